package shell

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"ferry/client/term"
	"ferry/shared/wire"
)

func treeCommand() Command {
	return Command{Name: "tree", Group: "files", Usage: "tree [-ad] [-L N] [DIR...]", Short: "draw directories with what is in them",
		Examples: []string{"tree", "tree -L 2 photos"},
		Fields:   append(entryFields(), Field{"path", "string", "absolute"}, Field{"directories", "integer", "summary: how many"}, Field{"files", "integer", "summary: how many"}),
		Login:    true, Max: -1, Args: There, Wire: []string{wire.CmdLs, wire.CmdStat},
		Flags: func(f *pflag.FlagSet) {
			f.BoolP("all", "a", false, "also names that begin with a dot")
			f.BoolP("directories", "d", false, "directories only")
			f.IntP("level", "L", 64, "no deeper than `N` levels")
		}, Run: runTree}
}

// drawing is a tree command under way.
type drawing struct {
	s           *Shell
	level       int
	all         bool
	dirsOnly    bool
	dirs, files int64
}

func runTree(ctx context.Context, s *Shell, c *Call) error {
	level, _ := c.GetInt("level")
	if level < 1 {
		return usagef("-L takes a number of levels, 1 or more")
	}
	names, err := s.expandRemote(ctx, c.words)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		names = []string{"."}
	}
	d := &drawing{s: s, level: level, all: c.on("all"), dirsOnly: c.on("directories")}
	err = s.each(ctx, "tree", names, func(name string) error { return d.draw(ctx, name) })
	c.summary = map[string]any{"directories": d.dirs, "files": d.files}
	if s.JSON || err != nil && ExitCode(err) != exitSome {
		return err
	}
	text := count(d.dirs, "directory")
	if !d.dirsOnly {
		text += ", " + count(d.files, "file")
	}
	if _, werr := io.WriteString(s.Out, "\n"+text+"\n"); err == nil {
		err = werr
	}
	return err
}

// draw draws one directory.
func (d *drawing) draw(ctx context.Context, name string) error {
	top, err := d.s.client.Stat(ctx, d.s.abs(name))
	if err == nil && top.Kind != "dir" {
		err = &wire.Error{Code: wire.NotDir, Message: "not a directory"}
	}
	if err != nil {
		return err
	}
	in := map[string][]wire.Entry{} // by directory, relative to the top
	for e, err := range d.s.client.List(ctx, d.s.abs(name), true) {
		if err != nil {
			return err
		}
		if d.wanted(e) {
			dir := path.Dir(string(e.Name))
			in[dir] = append(in[dir], e)
		}
	}
	if !d.s.JSON {
		if err := d.s.emit(nil, term.Escape(name)+"\n"); err != nil {
			return err
		}
	}
	return d.below(in, d.s.abs(name), ".", "")
}

// wanted tells whether an entry is part of the drawing.
func (d *drawing) wanted(e wire.Entry) bool {
	name := string(e.Name)
	hidden := strings.HasPrefix(name, ".") || strings.Contains(name, "/.")
	return (d.all || !hidden) && (!d.dirsOnly || e.Kind == "dir") && strings.Count(name, "/") < d.level
}

// below draws what is in one directory, each line behind indent.
func (d *drawing) below(in map[string][]wire.Entry, top, dir, indent string) error {
	list := in[dir]
	slices.SortFunc(list, func(a, b wire.Entry) int { return cmp.Compare(a.Name, b.Name) })
	for i, e := range list {
		branch, deeper := "├── ", "│   "
		if i == len(list)-1 {
			branch, deeper = "└── ", "    "
		}
		if e.Kind == "dir" {
			d.dirs++
		} else {
			d.files++
		}
		full := string(e.Name)
		object := entryJSON(e)
		object["path"] = path.Join(top, full)
		e.Name = wire.Name(path.Base(full))
		if err := d.s.emit(object, fmt.Sprintf("%s%s%s\n", indent, branch, decorated(e))); err != nil {
			return err
		}
		if err := d.below(in, top, full, indent+deeper); err != nil {
			return err
		}
	}
	return nil
}
