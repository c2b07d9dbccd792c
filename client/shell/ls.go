package shell

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"ferry/client/remote"
	"ferry/client/term"
	"ferry/shared/wire"
)

func lsCommand() Command {
	return Command{Name: "ls", Aliases: []string{"dir", "list", "nlist", "mls", "mdir"}, Group: "files", Usage: "ls [-1adlhtSUrR] [NAME...]", Short: "list files on the server",
		Examples: []string{"ls -lh", "ls -ltr *.pdf"},
		More: `On a terminal names stand in columns and, unless NO_COLOR is set, in the colours of LS_COLORS;
elsewhere each has its line. Names that begin with a dot take -a, or a pattern that does.
`,
		Fields: append(entryFields(), Field{"entries", "integer", "summary: how many"}), Login: true, Max: -1, Args: There, Wire: []string{wire.CmdLs, wire.CmdStat}, Flags: listFlags, Run: runLs}
}

// listFlags are the options of ls and lls.
func listFlags(f *pflag.FlagSet) {
	f.SortFlags = false
	f.BoolP("one", "1", false, "one name a line")
	f.BoolP("all", "a", false, "also names that begin with a dot; so does -A")
	same := f.VarPF(f.Lookup("all").Value, "almost-all", "A", "as -a: . and .. are never listed")
	same.NoOptDefVal, same.Hidden = "true", true
	f.BoolP("directory", "d", false, "directories themselves, not what is in them")
	f.BoolP("long", "l", false, "kind, mode, length and time")
	f.BoolP("human", "h", false, "lengths as 3.2 GiB")
	f.BoolP("time", "t", false, "newest first")
	f.BoolP("size", "S", false, "largest first")
	f.BoolP("unsorted", "U", false, "as they come, one a line: for directories with very many names")
	f.BoolP("reverse", "r", false, "the other way round")
	f.BoolP("recursive", "R", false, "everything below too")
}

func runLs(ctx context.Context, s *Shell, c *Call) error {
	names, err := s.expandRemote(ctx, c.words)
	if err != nil {
		return err
	}
	if len(names) == 0 && c.on("directory") {
		names = []string{"."}
	}
	if len(names) == 0 {
		return s.lister(c).dir("", s.client.List(ctx, s.dir, c.on("recursive")))
	}
	known, err := s.stats(ctx, names)
	if err != nil {
		return err
	}
	return s.listNames(ctx, "ls", c, names, func(name string) (wire.Entry, error) { return known[name].entry, known[name].err },
		func(name string) iter.Seq2[wire.Entry, error] {
			return s.client.List(ctx, s.abs(name), c.on("recursive"))
		})
}

// stat is what is known of a name.
type stat struct {
	entry wire.Entry
	err   error
}

// stats describes names, asking for all of them at once.
func (s *Shell) stats(ctx context.Context, names []string) (map[string]stat, error) {
	known := map[string]stat{}
	return known, s.pipeline(ctx, len(names), func(i int) *remote.Op {
		return remote.StatOp(s.abs(names[i]), func(e wire.Entry, err error) { known[names[i]] = stat{e, err} })
	})
}

// listNames lists what was asked for by name: files together, then each directory.
func (s *Shell) listNames(ctx context.Context, cmd string, c *Call, names []string, describe func(string) (wire.Entry, error),
	list func(string) iter.Seq2[wire.Entry, error]) error {
	isDir := func(name string) bool {
		e, err := describe(name)
		return err == nil && e.Kind == "dir" && !c.on("directory")
	}
	slices.SortStableFunc(names, func(a, b string) int {
		switch x, y := isDir(a), isDir(b); {
		case x == y:
			return 0
		case x:
			return 1
		}
		return -1
	})
	l, several := s.lister(c), len(names) > 1
	err := s.each(ctx, cmd, names, func(name string) error {
		if isDir(name) {
			if !several {
				name = ""
			}
			return l.dir(name, list(cmp.Or(name, names[0])))
		}
		e, err := describe(name)
		if err == nil {
			e.Name = wire.Name(name)
			l.files = append(l.files, e)
		}
		return err
	})
	if ferr := l.flush(); err == nil {
		err = ferr
	}
	return err
}

// lister is an ls under way.
type lister struct {
	s       *Shell
	c       *Call
	columns int
	palette palette
	files   []wire.Entry // to be shown together
	begun   bool         // something was shown
	entries int64
}

// streamed is how many entries are shown at once when they need no order.
const streamed = 512

func (s *Shell) lister(c *Call) *lister {
	l := &lister{s: s, c: c, columns: s.columns()}
	if f, ok := s.Out.(*os.File); ok && term.Colour(f) {
		l.palette = newPalette(os.Getenv("LS_COLORS"))
	}
	return l
}

// flush shows the files that were gathered.
func (l *lister) flush() error {
	files := l.files
	l.files = nil
	if len(files) == 0 {
		return nil
	}
	l.begun = true
	return l.show(files)
}

// dir shows what is in a directory, under its name unless that is "".
func (l *lister) dir(name string, list iter.Seq2[wire.Entry, error]) error {
	if err := l.flush(); err != nil {
		return err
	}
	if name != "" && !l.s.JSON {
		head := term.Escape(name) + ":\n"
		if l.begun {
			head = "\n" + head
		}
		if _, err := io.WriteString(l.s.Out, head); err != nil {
			return err
		}
	}
	l.begun = true
	var got []wire.Entry
	for e, err := range list {
		if err != nil {
			return err
		}
		if n := string(e.Name); !l.c.on("all") && (strings.HasPrefix(n, ".") || strings.Contains(n, "/.")) {
			continue
		}
		got = append(got, e)
		if l.c.on("unsorted") && len(got) == streamed {
			if err := l.show(got); err != nil {
				return err
			}
			got = got[:0]
		}
	}
	return l.show(got)
}

// sort puts entries in the order asked for.
func (l *lister) sort(entries []wire.Entry) {
	if l.c.on("unsorted") {
		return
	}
	slices.SortFunc(entries, func(a, b wire.Entry) int {
		order := strings.Compare(string(a.Name), string(b.Name))
		switch {
		case l.c.on("time"):
			order = cmp.Or(cmp.Compare(b.Mtime, a.Mtime), order)
		case l.c.on("size"):
			order = cmp.Or(cmp.Compare(b.Length, a.Length), order)
		}
		if l.c.on("reverse") {
			order = -order
		}
		return order
	})
}

// show prints entries in the order and form asked for.
func (l *lister) show(entries []wire.Entry) error {
	l.sort(entries)
	l.entries += int64(len(entries))
	l.c.summary = map[string]any{"entries": l.entries}
	if l.s.JSON {
		for _, e := range entries {
			if err := l.s.emit(entryJSON(e), ""); err != nil {
				return err
			}
		}
		return nil
	}
	var b strings.Builder
	switch {
	case l.c.on("long"):
		for _, e := range entries {
			length := fmt.Sprint(e.Length)
			if l.c.on("human") {
				length = term.Bytes(e.Length)
			}
			fmt.Fprintf(&b, "%s %12s  %s  %s\n", modeText(e), length, timeText(e.Mtime), l.palette.paint(e))
		}
	case l.c.on("one") || l.c.on("unsorted") || l.columns == 0:
		for _, e := range entries {
			b.WriteString(l.palette.paint(e) + "\n")
		}
	default:
		b.WriteString(l.grid(entries))
	}
	_, err := io.WriteString(l.s.Out, b.String())
	return err
}

// decorated is the name as it is shown, with a mark behind all that is no file.
func decorated(e wire.Entry) string { return term.Escape(string(e.Name)) + marks()[e.Kind] }

// marks stand behind names, by kind.
func marks() map[string]string { return map[string]string{"dir": "/", "link": "@", "other": "?"} }

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

// gap is how many blanks stand between columns.
const gap = 2

// grid sets names in as many columns as fit, downwards; each column is as wide as it must be.
func (l *lister) grid(entries []wire.Entry) string {
	widths := make([]int, len(entries))
	for i, e := range entries {
		widths[i] = term.Width(decorated(e))
	}
	rows, wide := fit(widths, l.columns)
	var b strings.Builder
	for r := range rows {
		for i := r; i < len(entries); i += rows {
			b.WriteString(l.palette.paint(entries[i]))
			if i+rows < len(entries) {
				b.WriteString(strings.Repeat(" ", wide[i/rows]-widths[i]+gap))
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// fit returns in how many rows names of these widths fill so many cells, and how wide each column is.
func fit(widths []int, cells int) (rows int, wide []int) {
	for columns := min(len(widths), max(1, (cells+gap)/(1+gap))); columns > 0; columns-- {
		rows = (len(widths) + columns - 1) / columns
		wide = make([]int, (len(widths)+rows-1)/rows)
		for i, w := range widths {
			wide[i/rows] = max(wide[i/rows], w)
		}
		total := gap * (len(wide) - 1)
		for _, w := range wide {
			total += w
		}
		if total <= cells {
			break
		}
	}
	return rows, wide
}
