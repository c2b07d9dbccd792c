package transfer

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sync"
	"syscall"

	"ferry/shared/partial"
)

// nest makes the directories that files are fetched into. Below the one that a person named it takes real directories only:
// what a server says never leads through a symbolic link.
type nest struct {
	ops partial.Ops

	mu    sync.Mutex // guards what follows
	known map[string]error
	grown map[string]bool // directories in which others were made
}

func newNest(ops partial.Ops) *nest {
	return &nest{ops: ops, known: map[string]error{}, grown: map[string]bool{}}
}

// place makes the directory that a task's file goes into.
func (n *nest) place(t *Task) error {
	dir := path.Dir(t.target())
	if dir == "." {
		dir = ""
	}
	return n.make(t.root, dir)
}

// make makes a directory below a root, "" the root itself, and those above it.
func (n *nest) make(r *Root, name string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.real(r, name)
}

func (n *nest) real(r *Root, name string) error {
	full := join(r.Local, name)
	if err, ok := n.known[full]; ok {
		return err
	}
	err := n.one(r, name, full)
	n.known[full] = err
	return err
}

func (n *nest) one(r *Root, name, full string) error {
	stat := os.Lstat
	if name != "" {
		above := path.Dir(name)
		if above == "." {
			above = ""
		}
		if err := n.real(r, above); err != nil {
			return err
		}
	} else {
		above := filepath.Dir(full)
		for dir := above; ; dir = filepath.Dir(dir) {
			_, err := os.Stat(dir)
			if dir != above || err != nil {
				n.grown[dir] = true
			}
			if !errors.Is(err, fs.ErrNotExist) {
				break
			}
		}
		if err := os.MkdirAll(above, 0o777); err != nil {
			return err
		}
		if r.Chosen {
			stat = os.Stat
		}
	}
	err := os.Mkdir(full, 0o777)
	if err == nil {
		n.grown[filepath.Dir(full)] = true
		return nil
	}
	if info, serr := stat(full); serr == nil && info.IsDir() {
		return nil
	} else if serr == nil {
		err = &fs.PathError{Op: "mkdir", Path: full, Err: errInTheWay}
	}
	return err
}

// note has the names of a file and of all directories above it synced too, whoever made them.
func (n *nest) note(t *Task) {
	n.mu.Lock()
	defer n.mu.Unlock()
	top := filepath.Dir(t.root.Local)
	for dir := filepath.Dir(t.Local()); dir != top && dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		n.grown[dir] = true
	}
	n.grown[top] = true
}

// sync brings the names of new directories to the disk.
func (n *nest) sync() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for dir := range n.grown {
		if err := n.ops.SyncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

// full tells whether an error means that there is no room on this machine.
func full(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }
