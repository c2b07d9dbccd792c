package transfer

import (
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"ferry/client/remote"
	"ferry/shared/partial"
	"ferry/shared/wire"
)

// Kind is what a name stands for.
type Kind uint8

// The kinds. Special is everything that is neither moved nor entered: symbolic links, devices and the like.
const (
	Absent Kind = iota
	Regular
	Directory
	Special
)

// File is what a job knows of a name on one side.
type File struct {
	Kind    Kind
	Mode    uint16 // permission bits
	seen    bool   // the other side has the name too
	Length  int64
	Mtime   int64  // nanoseconds since 1970 UTC
	Version string // of a regular file on the server
}

// named is a File with its name relative to the top of a tree.
type named struct {
	name string
	File
}

// compareNames orders names so that what is in a directory follows it directly.
func compareNames(a, b string) int {
	for i := range min(len(a), len(b)) {
		if a[i] == b[i] {
			continue
		}
		switch {
		case a[i] == '/':
			return -1
		case b[i] == '/':
			return 1
		}
		return cmp.Compare(a[i], b[i])
	}
	return cmp.Compare(len(a), len(b))
}

func sortNames(list []named) {
	slices.SortFunc(list, func(a, b named) int { return compareNames(a.name, b.name) })
}

// join is path.Join for names that are clean already.
func join(dir, name string) string {
	switch {
	case name == "":
		return dir
	case dir == ".":
		return name
	case strings.HasSuffix(dir, "/"):
		return dir + name
	}
	return dir + "/" + name
}

// isPartial tells whether a name is that of an unfinished download.
func isPartial(name string) bool { return strings.HasSuffix(name, partial.Suffix) }

// fileOf describes a file of this machine.
func fileOf(info fs.FileInfo) File {
	f := File{Kind: Special, Mode: uint16(info.Mode().Perm()), Length: info.Size(), Mtime: info.ModTime().UnixNano()}
	switch {
	case info.IsDir():
		f.Kind = Directory
	case info.Mode().IsRegular():
		f.Kind = Regular
	}
	return f
}

// fileIn describes a file on the server.
func fileIn(e wire.Entry) File {
	f := File{Kind: Special, Mode: uint16(e.Mode & 0o777), Length: e.Length, Mtime: e.Mtime, Version: e.Version}
	switch e.Kind {
	case "file":
		f.Kind = Regular
	case "dir":
		f.Kind = Directory
	}
	return f
}

// entry is what the protocol's client needs to know of a file on the server.
func (f File) entry(name string) wire.Entry {
	return wire.Entry{Name: wire.Name(name), Kind: "file", Length: f.Length, Mtime: f.Mtime, Mode: uint32(f.Mode), Version: f.Version}
}

// walker goes through a tree of this machine.
type walker struct {
	top    string
	follow bool // symbolic links
	filter Filter
	found  func(name string, f File)
	failed func(name string, err error) // this one could not be looked at; the walk goes on
}

// walk finds everything below the top, each directory before what is in it. Nothing there is not an error.
func (w *walker) walk(ctx context.Context) error {
	info, err := os.Stat(w.top)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && !info.IsDir() {
		err = &fs.PathError{Op: "open", Path: w.top, Err: syscall.ENOTDIR}
	}
	if err != nil {
		return err
	}
	return w.dir(ctx, "", []fs.FileInfo{info})
}

// errLoop means that a symbolic link leads back to a directory that it is in.
var errLoop = errors.New("a symbolic link that leads back to where it is")

// dir goes through one directory; above is it and those it is in.
func (w *walker) dir(ctx context.Context, name string, above []fs.FileInfo) error {
	d, err := os.Open(join(w.top, name))
	if err != nil {
		w.failed(name, err)
		return nil
	}
	defer d.Close()
	for {
		entries, err := d.ReadDir(1024)
		for _, e := range entries {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err := w.entry(ctx, path.Join(name, e.Name()), e, above); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			w.failed(name, err)
			return nil
		}
	}
}

func (w *walker) entry(ctx context.Context, name string, e fs.DirEntry, above []fs.FileInfo) error {
	if e.IsDir() && !w.filter.Enters(name) || !e.IsDir() && e.Type() != fs.ModeSymlink && !w.filter.Takes(name, false) {
		return nil
	}
	info, err := e.Info()
	if err == nil && w.follow && info.Mode()&fs.ModeSymlink != 0 {
		if info, err = os.Stat(join(w.top, name)); errors.Is(err, fs.ErrNotExist) { // it leads nowhere
			info, err = e.Info()
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist): // removed in this moment
		return nil
	case err != nil:
		w.failed(name, err)
		return nil
	case !info.IsDir():
		if w.filter.Takes(name, false) {
			w.found(name, fileOf(info))
		}
		return nil
	case !w.filter.Enters(name):
		return nil
	case slices.ContainsFunc(above, func(a fs.FileInfo) bool { return os.SameFile(a, info) }):
		w.failed(name, errLoop)
		return nil
	}
	if w.filter.Takes(name, true) {
		w.found(name, fileOf(info))
	}
	return w.dir(ctx, name, append(above[:len(above):len(above)], info))
}

// list returns everything below a directory of the server, with deep not only what is directly in it. there tells whether
// there is such a directory.
func (p *planner) list(ctx context.Context, dir string, deep bool) (all []named, there bool, err error) {
	for try := 0; ; try++ {
		p.survey.again(serverSide, len(all))
		all, err = all[:0], nil
		var e wire.Entry
		for e, err = range p.client.List(ctx, dir, deep) {
			if err != nil {
				break
			}
			p.survey.name(serverSide)
			all = append(all, named{string(e.Name), fileIn(e)})
		}
		if err != nil && ctx.Err() == nil && remote.IsLost(err) && try < 3 {
			continue
		}
		break
	}
	if code := wire.CodeOf(err); code == wire.NotFound {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	if len(all) == 1 && all[0].Kind != Directory && all[0].name == path.Base(dir) { // a file lists itself
		e, err := p.client.Stat(ctx, dir)
		if err != nil {
			return nil, false, err
		}
		if e.Kind != "dir" {
			return nil, false, &wire.Error{Code: wire.NotDir, Message: "not a directory"}
		}
	}
	return all, true, nil
}

// errName means that the server named something in a way that no file here may be named.
var errName = errors.New("a name that no file here can have")

// localName tells whether a name that a server chose stays below the directory that it is meant for.
func localName(name string) bool {
	return filepath.IsLocal(name) && path.Clean(name) == name && name != "." && !strings.ContainsRune(name, 0)
}
