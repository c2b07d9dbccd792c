package shell

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"path"
	"strconv"
	"strings"
	"time"

	"ferry/client/term"
	"ferry/client/transfer"
	"ferry/shared/wire"
)

// test tells whether an entry is one that find looks for.
type test func(wire.Entry) bool

// finder is an option of find.
type finder struct {
	name, arg, help string
	parse           func(ctx context.Context, s *Shell, arg string) (test, error)
}

// search is a find under way.
type search struct {
	tests []test
	depth int // how many levels below a DIR are looked at
	found int
}

// finders are the options of find, in the order of help.
func (f *search) finders() []finder {
	return []finder{
		{"name", "GLOB", "the last component fits", func(_ context.Context, _ *Shell, arg string) (test, error) { return nameTest(arg, false) }},
		{"iname", "GLOB", "the same, upper or lower case", func(_ context.Context, _ *Shell, arg string) (test, error) { return nameTest(arg, true) }},
		{"path", "GLOB", "the whole name fits; * stops at a slash", pathTest},
		{"type", "f|d|l", "files, directories, symbolic links", typeTest},
		{"size", "[+-]N", "N bytes, +N more, -N less; N as 512, 10K, 1.5GiB", sizeTest},
		{"mtime", "[+-]DAYS", "changed so many days ago, + more, - less", daysTest},
		{"newer", "NAME", "changed after NAME on the server", newerTest},
		{"maxdepth", "N", "at most N levels below DIR, 0 for DIR itself", f.limit},
	}
}

func findCommand() Command {
	var more strings.Builder
	var options []string
	more.WriteString("tests, all of which must hold:\n")
	for _, f := range new(search).finders() {
		fmt.Fprintf(&more, "  %-18s %s\n", "-"+f.name+" "+f.arg, f.help)
		options = append(options, "-"+f.name)
	}
	more.WriteString(`Names come as the server finds them, in no order, and symbolic links are not followed. Quote what
stands behind -name: find photos -name '*.jpg'.
`)
	return Command{Name: "find", Group: "files", Usage: "find [DIR...] [-name GLOB] [-type f|d] [-size +N] [-mtime -DAYS] ...", Short: "find files on the server",
		Examples: []string{"find photos -name '*.jpg'", "find -type f -size +100MiB -mtime -7", "find -maxdepth 1 -type d"}, More: more.String(),
		Fields: append(entryFields(), Field{"path", "string", "absolute"}, Field{"found", "integer", "summary: how many"}),
		Login:  true, Max: -1, Args: There, Wire: []string{wire.CmdLs, wire.CmdStat}, Raw: true, Words: options, Run: runFind}
}

func runFind(ctx context.Context, s *Shell, c *Call) error {
	f := &search{depth: math.MaxInt}
	words := c.words
	first := len(words)
	for i, w := range words {
		if strings.HasPrefix(w.Text, "-") && len(w.Text) > 1 && !w.Quoted[0] {
			first = i
			break
		}
	}
	for i := first; i < len(words); i += 2 {
		t, err := f.parse(ctx, s, words[i:])
		if err != nil {
			return err
		}
		f.tests = append(f.tests, t)
	}
	names, err := s.expandRemote(ctx, words[:first])
	if err != nil {
		return err
	}
	if len(names) == 0 {
		names = []string{""}
	}
	err = s.each(ctx, "find", names, func(name string) error { return f.below(ctx, s, name) })
	c.summary = map[string]any{"found": f.found}
	return err
}

// parse reads a test and its argument.
func (f *search) parse(ctx context.Context, s *Shell, words []Word) (test, error) {
	for _, o := range f.finders() {
		if strings.TrimLeft(words[0].Text, "-") != o.name {
			continue
		}
		if len(words) < 2 {
			return nil, &UsageError{"-" + o.name + " needs its " + o.arg, "help find"}
		}
		return o.parse(ctx, s, words[1].Text)
	}
	return nil, &UsageError{fmt.Sprintf("there is no test %q", term.Escape(words[0].Text)), "help find lists them; a name that begins with - is quoted"}
}

// limit sets how far down the search goes. As a test it holds for whatever is looked at.
func (f *search) limit(_ context.Context, _ *Shell, arg string) (test, error) {
	n, err := strconv.ParseUint(arg, 10, 31)
	if err != nil {
		return nil, usagef("-maxdepth takes a number of levels")
	}
	f.depth = int(n)
	return func(wire.Entry) bool { return true }, nil
}

// below prints what is found at and below a name.
func (f *search) below(ctx context.Context, s *Shell, name string) error {
	show := func(e wire.Entry) error {
		for _, t := range f.tests {
			if !t(e) {
				return nil
			}
		}
		f.found++
		object := entryJSON(e)
		object["path"] = s.abs(string(e.Name))
		return s.emit(object, term.Escape(string(e.Name))+"\n") // names alone, to be used as such
	}
	if name != "" {
		top, err := s.client.Stat(ctx, s.abs(name))
		if err != nil {
			return err
		}
		top.Name = wire.Name(cmp.Or(strings.TrimRight(name, "/"), "/"))
		if err := show(top); err != nil || top.Kind != "dir" {
			return err
		}
	}
	if f.depth == 0 {
		return nil
	}
	for e, err := range s.client.List(ctx, s.abs(name), f.depth > 1) {
		if err != nil {
			return err
		}
		if strings.Count(string(e.Name), "/") >= f.depth {
			continue
		}
		e.Name = wire.Name(path.Join(name, string(e.Name)))
		if err := show(e); err != nil {
			return err
		}
	}
	return nil
}

func nameTest(glob string, fold bool) (test, error) {
	if fold {
		glob = strings.ToLower(glob)
	}
	glob = transfer.Glob(glob)
	if _, err := path.Match(glob, ""); err != nil {
		return nil, usagef("%q is not a valid pattern", term.Escape(glob))
	}
	return func(e wire.Entry) bool {
		base := path.Base(string(e.Name))
		if fold {
			base = strings.ToLower(base)
		}
		ok, _ := path.Match(glob, base)
		return ok
	}, nil
}

func pathTest(_ context.Context, _ *Shell, glob string) (test, error) {
	glob = transfer.Glob(glob)
	if _, err := path.Match(glob, ""); err != nil {
		return nil, usagef("%q is not a valid pattern", term.Escape(glob))
	}
	return func(e wire.Entry) bool { ok, _ := path.Match(glob, string(e.Name)); return ok }, nil
}

func typeTest(_ context.Context, _ *Shell, arg string) (test, error) {
	kind := map[string]string{"f": "file", "d": "dir", "l": "link"}[arg]
	if kind == "" {
		return nil, usagef("-type is f, d or l")
	}
	return func(e wire.Entry) bool { return e.Kind == kind }, nil
}

// compared makes a test of an argument that is a number, or with + or - what is above or below it.
func compared(arg string, parse func(string) (int64, error), of func(wire.Entry) int64) (test, error) {
	n, err := parse(strings.TrimLeft(arg, "+-"))
	if err != nil {
		return nil, &UsageError{Msg: err.Error()}
	}
	return func(e wire.Entry) bool {
		switch v := of(e); arg[0] {
		case '+':
			return v > n
		case '-':
			return v < n
		default:
			return v == n
		}
	}, nil
}

func sizeTest(_ context.Context, _ *Shell, arg string) (test, error) {
	longer, err := compared(arg, term.ParseBytes, func(e wire.Entry) int64 { return e.Length })
	return func(e wire.Entry) bool { return e.Kind == "file" && longer(e) }, err
}

func daysTest(_ context.Context, _ *Shell, arg string) (test, error) {
	now := time.Now().UnixNano()
	days := func(s string) (int64, error) {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("-mtime: %q is not a number of days", term.Escape(s))
		}
		return n, nil
	}
	return compared(arg, days, func(e wire.Entry) int64 { return (now - e.Mtime) / int64(24*time.Hour) })
}

func newerTest(ctx context.Context, s *Shell, name string) (test, error) {
	ref, err := s.client.Stat(ctx, s.abs(name))
	if err != nil {
		return nil, named(name, err)
	}
	return func(e wire.Entry) bool { return e.Mtime > ref.Mtime }, nil
}
