package shell

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"ferry/client/term"
	"ferry/shared/wire"
)

func lsCommand() Command {
	return Command{Name: "ls", Aliases: []string{"dir", "list", "nlist", "mls", "mdir"}, Group: "files", Usage: "ls [-1alhtSrR] [NAME...]", Short: "list files on the server",
		Examples: []string{"ls -l", "ls *.pdf"}, Fields: entryFields(), Login: true, Max: -1, Args: There, Wire: []string{wire.CmdLs}, Flags: func(f *pflag.FlagSet) {
			f.BoolP("one", "1", false, "one name a line")
			f.BoolP("all", "a", false, "also names that begin with a dot")
			f.BoolP("long", "l", false, "kind, mode, length and time")
			f.BoolP("human", "h", false, "lengths as 3.2 GiB")
			f.BoolP("time", "t", false, "newest first")
			f.BoolP("size", "S", false, "largest first")
			f.BoolP("reverse", "r", false, "the other way round")
			f.BoolP("recursive", "R", false, "everything below too")
		}, Run: runLs}
}

func runLs(ctx context.Context, s *Shell, c *Call) error {
	names, err := s.expandRemote(ctx, c.words)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		names = []string{s.dir}
	}
	var files []wire.Entry // named one by one: shown together, before the directories
	type listing struct {
		name    string
		entries []wire.Entry
	}
	var dirs []listing
	err = s.each(ctx, "ls", names, func(name string) error {
		var got []wire.Entry
		single := false
		for e, err := range s.client.List(ctx, s.abs(name), c.on("recursive")) {
			if err != nil {
				return err
			}
			got = append(got, e)
		}
		if len(got) == 1 && got[0].Kind != "dir" && path.Base(s.abs(name)) == string(got[0].Name) {
			e, err := s.client.Stat(ctx, s.abs(name))
			if err != nil {
				return err
			}
			single = e.Kind != "dir"
		}
		if single {
			got[0].Name = wire.Name(name)
			files = append(files, got[0])
			return nil
		}
		if !c.on("all") {
			got = slices.DeleteFunc(got, func(e wire.Entry) bool {
				return strings.HasPrefix(string(e.Name), ".") || strings.Contains(string(e.Name), "/.")
			})
		}
		dirs = append(dirs, listing{name, got})
		return nil
	})
	if len(files) > 0 {
		if err := s.list(c, files); err != nil {
			return err
		}
	}
	for i, d := range dirs {
		if len(names) > 1 && !s.JSON {
			if i > 0 || len(files) > 0 {
				fmt.Fprintln(s.Out)
			}
			fmt.Fprintf(s.Out, "%s:\n", term.Escape(d.name))
		}
		if err := s.list(c, d.entries); err != nil {
			return err
		}
	}
	return err
}

// list prints entries in the order and form asked for.
func (s *Shell) list(c *Call, entries []wire.Entry) error {
	slices.SortFunc(entries, func(a, b wire.Entry) int {
		order := 0
		switch {
		case c.on("time"):
			order = int(min(max(b.Mtime-a.Mtime, -1), 1))
		case c.on("size"):
			order = int(min(max(b.Length-a.Length, -1), 1))
		}
		if order == 0 {
			order = strings.Compare(string(a.Name), string(b.Name))
		}
		if c.on("reverse") {
			order = -order
		}
		return order
	})
	if s.JSON {
		for _, e := range entries {
			if err := s.emit(entryJSON(e), ""); err != nil {
				return err
			}
		}
		return nil
	}
	var b strings.Builder
	switch columns := s.columns(); {
	case c.on("long"):
		for _, e := range entries {
			length := fmt.Sprint(e.Length)
			if c.on("human") {
				length = term.Bytes(e.Length)
			}
			fmt.Fprintf(&b, "%s %12s  %s  %s\n", modeText(e), length, timeText(e.Mtime), decorated(e))
		}
	case c.on("one") || columns == 0:
		for _, e := range entries {
			b.WriteString(decorated(e) + "\n")
		}
	default:
		names := make([]string, len(entries))
		for i, e := range entries {
			names[i] = decorated(e)
		}
		b.WriteString(grid(names, columns))
	}
	_, err := s.Out.Write([]byte(b.String()))
	return err
}

// decorated is the name as it is shown, with a slash behind a directory.
func decorated(e wire.Entry) string {
	name := term.Escape(string(e.Name))
	switch e.Kind {
	case "dir":
		return name + "/"
	case "link":
		return name + "@"
	case "other":
		return name + "?"
	}
	return name
}

func modeText(e wire.Entry) string {
	kind := map[string]string{"dir": "d", "link": "l", "file": "-"}[e.Kind]
	if kind == "" {
		kind = "?"
	}
	const bits = "rwxrwxrwx"
	out := []byte(kind)
	for i := range 9 {
		if e.Mode&(1<<(8-i)) != 0 {
			out = append(out, bits[i])
		} else {
			out = append(out, '-')
		}
	}
	return string(out)
}

func timeText(ns int64) string { return time.Unix(0, ns).Format("2006-01-02 15:04") }

func entryJSON(e wire.Entry) map[string]any {
	return map[string]any{"name": string(e.Name), "kind": e.Kind, "length": e.Length, "mtime": time.Unix(0, e.Mtime).Format(time.RFC3339Nano),
		"mode": fmt.Sprintf("%04o", e.Mode), "version": e.Version}
}

// grid sets names in as many columns as fit, downwards.
func grid(names []string, columns int) string {
	widest := 0
	for _, n := range names {
		widest = max(widest, term.Width(n))
	}
	per := max(1, (columns+2)/(widest+2))
	rows := (len(names) + per - 1) / per
	var b strings.Builder
	for r := range rows {
		for i := r; i < len(names); i += rows {
			b.WriteString(names[i])
			if i+rows < len(names) {
				b.WriteString(strings.Repeat(" ", widest+2-term.Width(names[i])))
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}
