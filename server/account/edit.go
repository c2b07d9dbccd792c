package account

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/gofrs/flock"
)

// lockWait is how long an edit waits for another one to end.
const lockWait = 5 * time.Second

// Edit changes users.toml: it takes the lock PATH.lock (waiting up to 5 s),
// reads the file, lets change splice it, checks the outcome and replaces the
// file in one durable step. The text before it stays as PATH.bak. A missing
// file is made, 0600; a change that changes nothing writes nothing.
//
// The file is untouched if there is an error: what change returned, an *Error
// if the file is not valid as it is, an *EditError if the edit is refused.
func Edit(path string, change func(*Text) error) error {
	return edit(realOps(), path, change)
}

func edit(o ops, path string, change func(*Text) error) error {
	lock, err := Lock(path)
	if err != nil {
		return err
	}
	defer lock.Close()

	old, mark, err := read(o, path)
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return err
	}
	t, err := newText(path, old)
	if err != nil {
		return err
	}
	if err := change(t); err != nil {
		return err
	}
	text, err := t.finish()
	if err != nil {
		return err
	}
	for _, f := range t.prepare {
		if err := f(); err != nil {
			return err
		}
	}
	if bytes.Equal(text, old) {
		return nil
	}
	if !missing {
		if err := backup(o, path, old, mark.info); err != nil {
			return fmt.Errorf("keep a backup: %w", err)
		}
	}
	err = replace(o, path, text, mark.info, func() error {
		now, _, err := read(o, path)
		if errors.Is(err, fs.ErrNotExist) != missing || err != nil && !missing || !bytes.Equal(now, old) {
			return &EditError{Msg: path + " changed on disk meanwhile", Advice: "run the command again"}
		}
		return nil
	})
	if refused := (*EditError)(nil); err == nil || errors.As(err, &refused) {
		return err
	}
	return fmt.Errorf("replace %s: %w", path, err)
}

// Lock takes the lock PATH.lock of a file of the data directory, waiting up to 5 s; then it is an *EditError. Everybody who
// writes to such a file holds it.
func Lock(path string) (io.Closer, error) {
	lock := flock.New(path + ".lock")
	ctx, cancel := context.WithTimeout(context.Background(), lockWait)
	defer cancel()
	if _, err := lock.TryLockContext(ctx, 20*time.Millisecond); errors.Is(err, context.DeadlineExceeded) {
		return nil, &EditError{Msg: "another edit holds " + path + ".lock", Advice: "try again when it has ended"}
	} else if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	if dir, err := os.Stat(filepath.Dir(path)); err == nil && os.Geteuid() == 0 {
		// Made by root, it must not shut out the owner of the directory. A
		// failure shows when that owner edits.
		st := dir.Sys().(*syscall.Stat_t)
		os.Lchown(path+".lock", int(st.Uid), int(st.Gid))
	}
	return lock, nil
}

// backup keeps the text as it was beside the file. The file itself is about to give up its name, so another name is enough,
// where the file system can give it one.
func backup(o ops, path string, text []byte, like fs.FileInfo) error {
	temp := path + ".bak.new"
	if err := o.remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if o.link(path, temp) != nil {
		return replace(o, path+".bak", text, like, func() error { return nil })
	}
	if err := o.rename(temp, path+".bak"); err != nil {
		return err
	}
	// Still there if the backup was this file already, left by an edit that failed: such a rename does nothing.
	if err := o.remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// ops are the file operations of an edit, apart so that a test can make any
// of them fail.
type ops struct {
	open   func(name string, flag int, perm fs.FileMode) (*os.File, error)
	read   func(f *os.File) ([]byte, error) // at most one byte more than maxFile
	write  func(f *os.File, p []byte) (int, error)
	chmod  func(f *os.File, mode fs.FileMode) error
	chown  func(f *os.File, uid, gid int) error
	sync   func(f *os.File) error
	close  func(f *os.File) error
	rename func(from, to string) error
	link   func(from, to string) error
	remove func(name string) error
}

func realOps() ops {
	return ops{
		open:   os.OpenFile,
		read:   func(f *os.File) ([]byte, error) { return io.ReadAll(io.LimitReader(f, maxFile+1)) },
		write:  (*os.File).Write,
		chmod:  (*os.File).Chmod,
		chown:  (*os.File).Chown,
		sync:   (*os.File).Sync,
		close:  (*os.File).Close,
		rename: os.Rename,
		link:   os.Link,
		remove: os.Remove,
	}
}

// mark identifies one state of the file for the poll. The zero mark is no file.
type mark struct {
	size  int64
	mtime time.Time
	inode uint64
	mode  fs.FileMode
	info  fs.FileInfo
}

func markOf(info fs.FileInfo) mark {
	m := mark{size: info.Size(), mtime: info.ModTime(), mode: info.Mode(), info: info}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		m.inode = st.Ino
	}
	return m
}

func (m mark) same(n mark) bool {
	return m.size == n.size && m.mtime.Equal(n.mtime) && m.inode == n.inode && m.mode == n.mode
}

// read returns the file's bytes and the state they were read in. A missing
// file is fs.ErrNotExist; one that is not private to this user and plain is an
// *Error that says what to type.
func read(o ops, path string) ([]byte, mark, error) {
	// Without O_NONBLOCK a FIFO would hold the open until somebody writes.
	f, err := o.open(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ELOOP) {
		return nil, mark{}, &Error{File: path, Msg: "is a symbolic link", Advice: "name the file itself: --users \"$(readlink -f " + path + ")\""}
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, mark{}, &Error{File: path, Msg: "permission denied", Advice: "run it as the owner of the file, or type: chmod 600 " + path}
	}
	if err != nil {
		return nil, mark{}, fmt.Errorf("open the account file: %w", err)
	}
	defer o.close(f)
	info, err := f.Stat()
	if err != nil {
		return nil, mark{}, fmt.Errorf("stat the account file: %w", err)
	}
	if err := private(path, info); err != nil {
		return nil, mark{}, err
	}
	text, err := o.read(f)
	if err != nil {
		return nil, mark{}, fmt.Errorf("read the account file: %w", err)
	}
	return text, markOf(info), nil
}

// private refuses a file whose content others could have written or read.
func private(path string, info fs.FileInfo) error {
	st, _ := info.Sys().(*syscall.Stat_t)
	uid := os.Geteuid()
	switch {
	case !info.Mode().IsRegular():
		return &Error{File: path, Msg: "is not a regular file", Advice: "type: mv " + path + " " + path + ".old"}
	case info.Mode().Perm()&0o077 != 0:
		return &Error{File: path, Msg: fmt.Sprintf("is open to others (mode %04o)", info.Mode().Perm()), Advice: "type: chmod 600 " + path}
	case st != nil && uid != 0 && int(st.Uid) != uid && st.Uid != 0:
		return &Error{File: path, Msg: "belongs to another user", Advice: fmt.Sprintf("type as root: chown %d %s", uid, path)}
	}
	return nil
}

// replace gives path the content text in one step: afterwards, and after a
// crash at any point, it holds the whole old or the whole new text. Mode and
// owner are like's, or 0600 and the directory's if that is nil. Just before
// the step it asks last.
func replace(o ops, path string, text []byte, like fs.FileInfo, last func() error) error {
	// The lock makes one fixed name safe, and what a killed edit left is taken over.
	temp := path + ".new"
	if err := o.remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	dir, err := o.open(filepath.Dir(path), os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer o.close(dir)
	f, err := o.open(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = fill(o, f, dir, text, like)
	if cerr := o.close(f); err == nil {
		err = cerr
	}
	if err == nil {
		err = last()
	}
	if err == nil {
		err = o.rename(temp, path)
	}
	if err != nil {
		o.remove(temp)
		return err
	}
	return o.sync(dir)
}

// fill writes and syncs the temporary file.
func fill(o ops, f, dir *os.File, text []byte, like fs.FileInfo) error {
	mode := fs.FileMode(0o600)
	if like != nil {
		mode = like.Mode().Perm()
	} else {
		var err error
		if like, err = dir.Stat(); err != nil {
			return err
		}
	}
	if err := o.chmod(f, mode); err != nil {
		return err
	}
	// Only root can, and only root needs to: for anyone else the file is his own.
	if st, ok := like.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
		if err := o.chown(f, int(st.Uid), int(st.Gid)); err != nil {
			return err
		}
	}
	if _, err := o.write(f, text); err != nil {
		return err
	}
	return o.sync(f)
}

// WriteFile gives a file of the data directory the content text, 0600, in one durable step. The caller holds its Lock, or is its
// only writer.
func WriteFile(path string, text []byte) error {
	return replace(realOps(), path, text, nil, func() error { return nil })
}
