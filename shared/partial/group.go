package partial

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// syncs is how many files of a group are synced at a time: the disk puts them together.
const syncs = 16

// Group publishes many small files at once, so that they share what is dear: their syncs run side by side, and each
// directory is synced once. The zero value is not ready; NewGroup makes one. It is not safe for concurrent use.
type Group struct {
	ops   Ops
	mask  fs.FileMode
	files []grouped
	bytes int64
}

type grouped struct {
	*File
	replace bool
}

// NewGroup returns an empty group.
func NewGroup(ops Ops) *Group { return &Group{ops: ops, mask: Umask()} }

// Len returns how many files are in the group.
func (g *Group) Len() int { return len(g.files) }

// Bytes returns how long the files of the group are together.
func (g *Group) Bytes() int64 { return g.bytes }

// Add writes a file beside its final name; mode and replace are as in Commit. The error is of this file alone, which is not
// in the group then. Errors: ErrBusy.
func (g *Group) Add(path string, data []byte, mtime time.Time, mode fs.FileMode, replace bool) error {
	p, err := g.open(path)
	if err != nil {
		return err
	}
	if _, err = p.WriteAt(data, 0); err == nil {
		err = p.finish(int64(len(data)), mtime, mode, g.mask)
	}
	if err != nil {
		p.Discard()
		return err
	}
	g.files = append(g.files, grouped{p, replace})
	g.bytes += int64(len(data))
	return nil
}

// open is Open for a file that most likely has no partial yet.
func (g *Group) open(path string) (*File, error) {
	part := Name(path)
	f, err := g.ops.Open(part, os.O_RDWR|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return Open(path, g.ops)
	}
	if err != nil {
		return nil, err
	}
	p := &File{ops: g.ops, f: f, path: path, part: part}
	if err := p.adopt(); err != nil { // somebody else took it in between
		f.Close()
		return nil, err
	}
	return p, nil
}

// Commit publishes the files and empties the group. It returns an error or nil for each, in the order in which they were
// added: nil means that the file and its name are on disk. A file that was not published leaves nothing behind.
func (g *Group) Commit() []error {
	files := g.files
	g.files, g.bytes = nil, 0
	errs := make([]error, len(files))
	eachOf(len(files), func(i int) { errs[i] = files[i].sync() })
	dirs := map[string]error{}
	for i, f := range files {
		if errs[i] == nil {
			if errs[i] = f.publish(f.replace); errs[i] == nil {
				dirs[filepath.Dir(f.path)] = nil
			}
		}
		if errs[i] != nil {
			f.ops.Remove(f.part)
		}
		f.f.Close()
	}
	names := make([]string, 0, len(dirs))
	for dir := range dirs {
		names = append(names, dir)
	}
	failed := make([]error, len(names))
	eachOf(len(names), func(i int) { failed[i] = g.ops.SyncDir(names[i]) })
	for i, dir := range names {
		dirs[dir] = failed[i]
	}
	for i, f := range files {
		if errs[i] == nil {
			errs[i] = dirs[filepath.Dir(f.path)]
		}
	}
	return errs
}

// eachOf calls f for 0 to n-1, several at a time.
func eachOf(n int, f func(i int)) {
	var wg sync.WaitGroup
	next := make(chan int)
	for range min(n, syncs) {
		wg.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}
