package local

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"sync"

	"golang.org/x/sys/unix"

	"ferry/server/storage"
)

// reader is an open version of a file.
type reader struct {
	h     *Home
	entry storage.Entry
	st    unix.Stat_t
	mu    sync.RWMutex // guards fd
	fd    int          // -1 when closed
}

// Open opens a regular file for reading.
func (h *Home) Open(ctx context.Context, name, version string) (storage.Reader, error) {
	d, base, err := h.at(name)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	st, err := d.stat(base) // before it is opened: opening alone can make a device do something
	if err == nil {
		err = regular(&st)
	}
	if err != nil {
		return nil, err
	}
	fd, err := retry(func() (int, error) {
		return unix.Openat(d.fd, base, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	})
	if err == unix.ELOOP {
		return nil, storage.ErrNotRegular
	}
	if err != nil {
		return nil, fail("open", err)
	}
	r := &reader{h: h, fd: fd}
	err = fail("stat", unix.Fstat(fd, &r.st))
	if err == nil {
		err = regular(&r.st)
	}
	r.entry = entryOf(name, &r.st)
	if err == nil && version != "" && version != r.entry.Version {
		err = storage.ErrChanged
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	h.opened(r)
	return r, nil
}

// regular returns what is wrong with reading what st is of.
func regular(st *unix.Stat_t) error {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return nil
	case unix.S_IFDIR:
		return storage.ErrIsDir
	}
	return storage.ErrNotRegular
}

func (r *reader) Entry() storage.Entry { return r.entry }

// Check returns ErrChanged if the file was written to. Only length and modification time count: a rename or another link
// changes the change time and nothing that was promised.
func (r *reader) Check() error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.check()
}

func (r *reader) check() error {
	if r.fd < 0 {
		return fs.ErrClosed
	}
	var st unix.Stat_t
	if err := unix.Fstat(r.fd, &st); err != nil {
		return fail("stat", err)
	}
	if st.Size != r.st.Size || st.Mtim != r.st.Mtim {
		return storage.ErrChanged
	}
	return nil
}

// ReadAt implements io.ReaderAt; bytes that may be of another version are ErrChanged.
func (r *reader) ReadAt(b []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("read: negative offset")
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.fd < 0 {
		return 0, fs.ErrClosed
	}
	n, err := readFull(r.fd, b, off)
	if changed := r.check(); changed != nil { // after the read, so that what was read is known to be good
		return 0, changed
	}
	return n, err
}

// readFull fills b from off; less is io.EOF.
func readFull(fd int, b []byte, off int64) (int, error) {
	n := 0
	for n < len(b) {
		m, err := retry(func() (int, error) { return unix.Pread(fd, b[n:], off+int64(n)) })
		if err != nil {
			return n, fail("read", err)
		}
		if m == 0 {
			return n, io.EOF
		}
		n += m
	}
	return n, nil
}

// Close ends the reader; closing it again does nothing.
func (r *reader) Close() error {
	r.h.closing(r)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fd >= 0 {
		unix.Close(r.fd)
		r.fd = -1
	}
	return nil
}
