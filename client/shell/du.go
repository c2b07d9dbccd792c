package shell

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"ferry/client/term"
	"ferry/shared/wire"
)

func duCommand() Command {
	return Command{Name: "du", Group: "files", Usage: "du [-hs] [-d N] [NAME...]", Short: "how many bytes directories hold",
		Examples: []string{"du -h", "du -hs photos/*", "du -d 1 /"},
		More: `Counted are the lengths of files, in bytes, everything below included; a symbolic link counts nothing.
`,
		Fields: []Field{{"path", "string", "absolute"}, {"bytes", "integer", "in it and below; in the summary of all names together"}},
		Login:  true, Max: -1, Args: There, Wire: []string{wire.CmdLs, wire.CmdStat}, Flags: func(f *pflag.FlagSet) {
			f.BoolP("human", "h", false, "lengths as 3.2 GiB")
			f.BoolP("summarize", "s", false, "one line for each NAME")
			f.IntP("max-depth", "d", 64, "show directories down to `N` levels below NAME")
		}, Run: runDu}
}

func runDu(ctx context.Context, s *Shell, c *Call) error {
	depth, _ := c.GetInt("max-depth")
	if c.on("summarize") {
		if c.Changed("max-depth") && depth != 0 {
			return usagef("-s shows no levels, -d %d does", depth)
		}
		depth = 0
	}
	if depth < 0 {
		return usagef("-d takes a number of levels")
	}
	names, err := s.expandRemote(ctx, c.words)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		names = []string{"."}
	}
	var total int64
	err = s.each(ctx, "du", names, func(name string) error {
		n, err := s.usage(ctx, name, depth, c.on("human"))
		total += n
		return err
	})
	c.summary = map[string]any{"bytes": total}
	return err
}

// usage prints what a name and the directories below it, so many levels down, hold, and returns the bytes in all.
func (s *Shell) usage(ctx context.Context, name string, depth int, human bool) (int64, error) {
	top, err := s.client.Stat(ctx, s.abs(name))
	if err != nil {
		return 0, err
	}
	held := map[string]int64{"": top.Length} // by the name below the top
	if top.Kind == "dir" {
		for e, err := range s.client.List(ctx, s.abs(name), true) {
			if err != nil {
				return 0, err
			}
			dir := path.Dir(string(e.Name))
			if e.Kind == "dir" {
				dir = string(e.Name)
			}
			held[""] += e.Length
			for ; dir != "."; dir = path.Dir(dir) {
				if strings.Count(dir, "/") < depth {
					held[dir] += e.Length
				}
			}
		}
	}
	below := slices.Sorted(maps.Keys(held))
	for _, dir := range append(below[1:], "") { // the sum last
		length := fmt.Sprint(held[dir])
		if human {
			length = term.Bytes(held[dir])
		}
		shown := name
		if dir != "" {
			shown = strings.TrimSuffix(name, "/") + "/" + dir
		}
		if err := s.emit(map[string]any{"path": path.Join(s.abs(name), dir), "bytes": held[dir]}, fmt.Sprintf("%12s  %s\n", length, term.Escape(shown))); err != nil {
			return 0, err
		}
	}
	return held[""], nil
}
