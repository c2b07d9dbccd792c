package local

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"ferry/server/storage"
)

// entryOf describes the file called name that st is of.
func entryOf(name string, st *unix.Stat_t) storage.Entry {
	e := storage.Entry{
		Name: name, Kind: storage.Other, Mode: fs.FileMode(st.Mode & 0o777), ModTime: time.Unix(st.Mtim.Unix()),
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		e.Kind, e.Length, e.Version = storage.File, st.Size, version(st)
	case unix.S_IFDIR:
		e.Kind = storage.Dir
	case unix.S_IFLNK:
		e.Kind = storage.Link
	}
	return e
}

// version marks the content of a file: it changes with the inode, the length and both times, and the change time cannot be
// set back. Its first half leaves the change time out, so that it stays when the file is moved.
func version(st *unix.Stat_t) string {
	b := make([]byte, 0, 56)
	for _, v := range []int64{int64(st.Dev), int64(st.Ino), st.Size, st.Mtim.Sec, st.Mtim.Nsec} {
		b = binary.LittleEndian.AppendUint64(b, uint64(v))
	}
	file := sha256.Sum256(b)
	for _, v := range []int64{st.Ctim.Sec, st.Ctim.Nsec} {
		b = binary.LittleEndian.AppendUint64(b, uint64(v))
	}
	all := sha256.Sum256(b)
	return fmt.Sprintf("%x%x", file[:8], all[:8])
}

// Moved tells by the halves of their versions that do not change with a rename.
func (h *Home) Moved(version string, e storage.Entry) bool {
	const half = 16
	return len(version) == 2*half && len(e.Version) == 2*half && version[:half] == e.Version[:half]
}

// Stat describes a name.
func (h *Home) Stat(ctx context.Context, name string) (storage.Entry, error) {
	d, base, err := h.at(name)
	if err != nil {
		return storage.Entry{}, err
	}
	defer d.Close()
	st, err := d.stat(base)
	if err != nil {
		return storage.Entry{}, err
	}
	return entryOf(name, &st), nil
}

// List yields the entries of a directory. A link to a directory inside is followed when it is name itself, never below.
func (h *Home) List(ctx context.Context, name string, deep bool) iter.Seq2[storage.Entry, error] {
	return func(yield func(storage.Entry, error) bool) {
		d, err := h.openDir(name)
		if err != nil {
			yield(storage.Entry{}, err)
			return
		}
		defer d.Close()
		h.walk(ctx, d, name, deep, yield)
	}
}

// walk yields what is in d and, if deep, below, and tells whether to go on. As names end at a depth, so do open directories.
func (h *Home) walk(ctx context.Context, d *dir, name string, deep bool, yield func(storage.Entry, error) bool) bool {
	stop := func(err error) bool {
		yield(storage.Entry{}, err)
		return false
	}
	for {
		bases, err := d.Readdirnames(512)
		if err == io.EOF {
			return true
		}
		if err != nil {
			return stop(fail("list", err))
		}
		if err := ctx.Err(); err != nil {
			return stop(err)
		}
		for _, base := range bases {
			if base == reserved && d.id == h.top {
				continue
			}
			st, err := d.stat(base)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return stop(err)
			}
			e := entryOf(join(name, base), &st)
			if err := clean(e.Name); err != nil { // too deep or too long to be asked for: say so rather than leave it out
				return stop(err)
			}
			if !yield(e, nil) {
				return false
			}
			if deep && e.Kind == storage.Dir && !h.descend(ctx, d, base, e.Name, yield) {
				return false
			}
		}
	}
}

// descend walks the directory base of d.
func (h *Home) descend(ctx context.Context, d *dir, base, name string, yield func(storage.Entry, error) bool) bool {
	sub, err := d.sub(base)
	switch err {
	case nil:
	case unix.ENOENT, unix.ENOTDIR, unix.ELOOP: // gone or replaced meanwhile
		return true
	default:
		yield(storage.Entry{}, fail("list", err))
		return false
	}
	defer sub.Close()
	return h.walk(ctx, sub, name, true, yield)
}

// sub opens the directory base of d, which must not be a link. The error is the system's.
func (d *dir) sub(base string) (*dir, error) {
	fd, err := openDirAt(d.fd, base)
	if err != nil {
		return nil, err
	}
	return &dir{File: os.NewFile(uintptr(fd), base), fd: fd}, nil
}

// Mkdir makes a directory.
func (h *Home) Mkdir(ctx context.Context, name string, parents bool) error {
	if err := clean(name); err != nil {
		return err
	}
	if name == "/" && !parents {
		return fs.ErrExist
	}
	h.lockNames()
	defer h.names.Unlock()
	if parents {
		d, err := h.makeDir(ctx, name, true)
		if err != nil {
			return err
		}
		defer d.Close()
		return h.firm(d.fd)
	}
	d, base, err := h.at(name)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := h.mkdir(ctx, d.fd, base); err != nil {
		return err
	}
	return h.syncDirs(d.fd)
}

// makeDir opens the directory called name and makes it and those above it where they are missing. names must be held: until
// a new directory's entry is synced nobody may put anything into it and call that stored.
func (h *Home) makeDir(ctx context.Context, name string, sync bool) (*dir, error) {
	d, err := h.openDir(name)
	if name == "/" || !errors.Is(err, fs.ErrNotExist) {
		return d, err
	}
	above, err := h.makeDir(ctx, path.Dir(name), sync)
	if err != nil {
		return nil, err
	}
	defer above.Close()
	if err := h.mkdir(ctx, above.fd, path.Base(name)); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	if !sync {
		h.loose = true
	} else if err := h.syncDirs(above.fd); err != nil {
		return nil, err
	}
	return h.openDir(name)
}

// syncDirs syncs directories whose names were changed. names must be held.
func (h *Home) syncDirs(fds ...int) error {
	for _, fd := range fds {
		if err := h.ops.SyncDir(fd); err != nil {
			h.loose = true
			return fail("sync directory", err)
		}
	}
	return h.firm(fds[0])
}

// firm makes sure that no directory on the way to a name that is about to be called durable was left unsynced, by a failure
// or on request. names must be held.
func (h *Home) firm(fd int) error {
	if !h.loose {
		return nil
	}
	if err := h.ops.SyncFS(fd); err != nil {
		return fail("sync file system", err)
	}
	h.loose = false
	return nil
}

// Remove removes a file, a link or an empty directory.
func (h *Home) Remove(ctx context.Context, name string) error {
	if name == "/" {
		return storage.ErrBadPath
	}
	h.lockNames()
	defer h.names.Unlock()
	d, base, err := h.at(name)
	if err != nil {
		return err
	}
	defer d.Close()
	st, err := d.stat(base)
	if err != nil {
		return err
	}
	flags := 0
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		flags = unix.AT_REMOVEDIR
	}
	if err := h.unlink(d, base, flags); err != nil {
		return err
	}
	return h.syncDirs(d.fd)
}

// unlink removes a name from a directory, and counts that. names must be held.
func (h *Home) unlink(d *dir, base string, flags int) error {
	st, err := d.stat(base)
	if err != nil {
		return err
	}
	if err := h.ops.Unlink(d.fd, base, flags); err != nil {
		return fail("remove", err)
	}
	h.meter.unname(weightOf(&st))
	return nil
}

// Rename moves a file, a link or a directory.
func (h *Home) Rename(ctx context.Context, from, to string, replace bool) error {
	if from == "/" || to == "/" || strings.HasPrefix(to, from+"/") {
		return storage.ErrBadPath
	}
	h.lockNames()
	defer h.names.Unlock()
	src, fromBase, err := h.at(from)
	if err != nil {
		return err
	}
	defer src.Close()
	old, err := src.stat(fromBase)
	if err != nil {
		return err
	}
	dst, toBase, err := h.at(to)
	if err != nil {
		return err
	}
	defer dst.Close()
	there, err := dst.stat(toBase)
	var flags uint
	switch {
	case errors.Is(err, fs.ErrNotExist):
		flags = unix.RENAME_NOREPLACE
	case err != nil:
		return err
	case !replace || there.Mode&unix.S_IFMT == unix.S_IFDIR:
		return fs.ErrExist
	case inodeOf(&old) == inodeOf(&there) && src.id == dst.id && fromBase == toBase:
		return nil
	case inodeOf(&old) == inodeOf(&there): // two names of one file: renameat would leave both
		if err := h.unlink(src, fromBase, 0); err != nil {
			return err
		}
		return h.syncDirs(dst.fd, src.fd)
	case there.Mode&unix.S_IFMT != unix.S_IFREG && there.Mode&unix.S_IFMT != unix.S_IFLNK:
		return storage.ErrNotRegular
	}
	err = h.rename(src.fd, fromBase, dst.fd, toBase, flags)
	if err == unix.EINVAL {
		return storage.ErrBadPath // into itself, by way of a link
	}
	if err != nil {
		return fail("rename", err)
	}
	if replace && flags == 0 {
		h.meter.unname(weightOf(&there))
	}
	if src.id == dst.id {
		return h.syncDirs(dst.fd)
	}
	return h.syncDirs(dst.fd, src.fd)
}

// rename is renameat2, without flags on file systems that know none: callers have looked before, holding names.
func (h *Home) rename(fromDir int, from string, toDir int, to string, flags uint) error {
	err := h.ops.Rename(fromDir, from, toDir, to, flags)
	if flags != 0 && (err == unix.EINVAL || err == unix.ENOSYS) {
		err = h.ops.Rename(fromDir, from, toDir, to, 0)
	}
	return err
}

// SetMeta changes the mode or the time of a file or directory, or nothing, and makes it durable with its name: whoever put
// it there may not have got so far.
func (h *Home) SetMeta(ctx context.Context, name string, m storage.Meta) error {
	d, base, err := h.at(name)
	if err != nil {
		return err
	}
	defer d.Close()
	st, err := d.stat(base)
	if err != nil {
		return err
	}
	if kind := st.Mode & unix.S_IFMT; kind != unix.S_IFREG && kind != unix.S_IFDIR {
		return storage.ErrNotRegular
	}
	open := func(how int) (int, error) {
		return retry(func() (int, error) {
			return unix.Openat(d.fd, base, how|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		})
	}
	fd, err := open(unix.O_RDONLY)
	if err == unix.EACCES && m.Mode != nil { // the owner's own file, unreadable until now
		if err := unix.Fchmodat(d.fd, base, uint32(m.Mode.Perm())&^h.umask, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return fail("chmod", err)
		}
		fd, err = open(unix.O_RDONLY)
	}
	if err == unix.EACCES {
		fd, err = open(unix.O_WRONLY)
	}
	if err != nil {
		return fail("open", err)
	}
	defer unix.Close(fd)
	if m.Mode != nil {
		if err := h.ops.Chmod(fd, uint32(m.Mode.Perm())&^h.umask); err != nil {
			return fail("chmod", err)
		}
	}
	if m.ModTime != nil {
		if err := h.setTime(d.fd, base, *m.ModTime); err != nil {
			return err
		}
	}
	if err := h.ops.Sync(fd); err != nil {
		return fail("sync", err)
	}
	h.lockNames()
	defer h.names.Unlock()
	return h.syncDirs(d.fd)
}

// setTime sets the modification time of base in dir.
func (h *Home) setTime(dir int, base string, t time.Time) error {
	ts, err := unix.TimeToTimespec(t)
	if err != nil {
		return fmt.Errorf("set time: %w", err)
	}
	return fail("set time", h.ops.Times(dir, base, []unix.Timespec{{Nsec: unix.UTIME_OMIT}, ts}))
}

// Usage tells what the tree takes up and how full the file system is.
func (h *Home) Usage(ctx context.Context) (storage.Usage, error) {
	d, err := h.openDir("/")
	if err != nil {
		return storage.Usage{}, err
	}
	defer d.Close()
	used, known := h.meter.total()
	if !known {
		h.lockNames()
		err := h.measure(ctx)
		used, _ = h.meter.total()
		h.names.Unlock()
		if err != nil {
			return storage.Usage{}, err
		}
	}
	u, err := medium(d.fd)
	u.Used = used
	return u, err
}

// medium tells how full the file system is.
func medium(fd int) (storage.Usage, error) {
	var st unix.Statfs_t
	if err := retryErr(func() error { return unix.Fstatfs(fd, &st) }); err != nil {
		return storage.Usage{}, fail("statfs", err)
	}
	return storage.Usage{Free: int64(st.Bavail) * st.Bsize, Total: int64(st.Blocks) * st.Bsize}, nil
}
