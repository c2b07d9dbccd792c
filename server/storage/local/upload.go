package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"golang.org/x/sys/unix"

	"ferry/server/storage"
	"ferry/shared/block"
)

// upload is a handle on a staging, good for one epoch.
type upload struct {
	s    *staging
	spec storage.Spec // as opened
}

func (u *upload) Spec() storage.Spec {
	spec, _ := u.s.current()
	own := u.spec
	own.Touched = spec.Touched
	return own
}

// live returns why the handle cannot be used. u.s.mu must be held.
func (u *upload) live() error {
	switch s := u.s; {
	case s.gone != nil:
		return s.gone
	case s.sick.Load():
		return storage.ErrLost
	case s.spec.Epoch != u.spec.Epoch:
		return storage.ErrSuperseded
	case s.handle != u:
		return fs.ErrClosed
	}
	return nil
}

// inside returns what is wrong with a range of the upload.
func (u *upload) inside(off, length int64) error {
	if off < 0 || length < 0 || length > u.spec.Length || off > u.spec.Length-length {
		return fmt.Errorf("range %d+%d is outside the declared length %d", off, length, u.spec.Length)
	}
	return nil
}

// Have returns where the data has no holes.
func (u *upload) Have(n int) block.Ranges {
	u.s.mu.RLock()
	defer u.s.mu.RUnlock()
	if n <= 0 || u.s.fd < 0 || u.spec.Ephemeral || u.live() != nil {
		return nil
	}
	var have block.Ranges
	for at := int64(0); at < u.spec.Length; {
		off, err := unix.Seek(u.s.fd, at, unix.SEEK_DATA)
		if err == unix.ENXIO { // no more data
			break
		}
		if err != nil { // unknown on this file system: then all of it may be there
			have.Add(block.Range{Off: at, End: u.spec.Length})
			break
		}
		at, err = unix.Seek(u.s.fd, off, unix.SEEK_HOLE)
		if err != nil || at <= off {
			at = u.spec.Length
		}
		have.Add(block.Range{Off: off, End: at})
		if len(have) > 64*n { // bounded memory for whatever the file looks like
			have = have.Coarsen(n)
		}
	}
	return have.Clip(u.spec.Length).Coarsen(n)
}

// Put writes b at off.
func (u *upload) Put(ctx context.Context, off int64, b []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s := u.s
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := u.live(); err != nil {
		return err
	}
	if err := u.inside(off, int64(len(b))); err != nil {
		return err
	}
	return u.put(off, b)
}

// put writes b at off and counts it. s.mu must be held shared.
func (u *upload) put(off int64, b []byte) error {
	n, err := u.s.h.write(u.s.fd, b, off)
	u.wrote(off, int64(n))
	return err
}

// write writes all of b at off.
func (h *Home) write(fd int, b []byte, off int64) (int, error) {
	n := 0
	for n < len(b) {
		m, err := h.ops.Write(fd, b[n:], off+int64(n))
		if err != nil {
			return n, fail("write", err)
		}
		if m <= 0 {
			return n, fmt.Errorf("write: %w", io.ErrShortWrite)
		}
		n += m
	}
	return n, nil
}

// wrote counts n bytes written at off and sees to it that they are synced some time. s.mu must be held shared.
func (u *upload) wrote(off, n int64) {
	s, h := u.s, u.s.h
	if s.spec.Ephemeral {
		for end := s.end.Load(); off+n > end && !s.end.CompareAndSwap(end, off+n); end = s.end.Load() {
		}
		if s.spec.Length <= block.Size { // nothing was reserved
			return
		}
	}
	h.paid(s, n)
	if n == 0 || s.spec.Ephemeral {
		return
	}
	s.touch()
	switch dirty := s.dirty.Add(n); {
	case dirty >= h.syncEvery && dirty-n < h.syncEvery:
		go s.flush()
	case dirty == n:
		s.timer.Reset(h.syncAfter)
	}
}

// Tag reads block n back and returns its tag.
func (u *upload) Tag(ctx context.Context, n int64) (block.Tag, error) {
	size := block.Len(n, u.spec.Length)
	if size == 0 {
		return block.Tag{}, fmt.Errorf("there is no block %d", n)
	}
	buf := u.s.h.bufs.Get().(*[block.Size]byte)
	defer u.s.h.bufs.Put(buf)
	u.s.mu.RLock()
	defer u.s.mu.RUnlock()
	if err := u.live(); err != nil {
		return block.Tag{}, err
	}
	if _, err := readFull(u.s.fd, buf[:size], n*block.Size); err != nil {
		return block.Tag{}, fmt.Errorf("tag block %d: %w", n, err)
	}
	return block.NewTagger(u.spec.Key).Tag(n, buf[:size]), nil
}

// Keep takes length bytes at off over from old: shared, from have, by the kernel, or by hand. It returns ErrChanged when old was
// altered meanwhile; what was copied is then worth nothing.
func (u *upload) Keep(ctx context.Context, old storage.Reader, off, length int64, have []byte) (shared bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	s := u.s
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := u.live(); err != nil {
		return false, err
	}
	if err := u.inside(off, length); err != nil {
		return false, err
	}
	if off+length > old.Entry().Length {
		return false, storage.ErrChanged
	}
	r, ours := old.(*reader)
	if ours {
		if shared, err = u.share(r, off, length); shared || err != nil {
			return shared, errors.Join(err, old.Check())
		}
	}
	if have != nil {
		if int64(len(have)) != length {
			return false, errors.New("keep: not the bytes of the range")
		}
		return false, u.put(off, have)
	}
	done := int64(0)
	if ours {
		if done, err = u.graft(r, off, length); err != nil {
			return false, err
		}
	}
	buf := s.h.bufs.Get().(*[block.Size]byte)
	defer s.h.bufs.Put(buf)
	for done < length {
		part := buf[:min(block.Size, length-done)]
		if n, err := old.ReadAt(part, off+done); n < len(part) {
			if err == io.EOF {
				err = storage.ErrChanged
			}
			return false, fmt.Errorf("keep: %w", err)
		}
		if err := u.put(off+done, part); err != nil {
			return false, err
		}
		done += int64(len(part))
	}
	return false, old.Check()
}

// cannot are the errors of a file system that does not have an operation, as opposed to refusing this one.
var cannot = map[error]bool{unix.EOPNOTSUPP: true, unix.ENOTTY: true, unix.ENOSYS: true}

// share has the file system share bytes between the two files, and tells whether it did.
func (u *upload) share(r *reader, off, length int64) (bool, error) {
	const align = 4096 // what file systems share is cut there, except at the end of both files
	h := u.s.h
	last := off+length == r.entry.Length && off+length == u.spec.Length
	if h.noClone.Load() || length == 0 || off%align != 0 || length%align != 0 && !last {
		return false, nil
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.fd < 0 {
		return false, fs.ErrClosed
	}
	err := h.ops.Clone(u.s.fd, &unix.FileCloneRange{
		Src_fd: int64(r.fd), Src_offset: uint64(off), Src_length: uint64(length), Dest_offset: uint64(off),
	})
	if err == nil {
		u.wrote(off, length)
		return true, nil
	}
	if errors.Is(fail("", err), storage.ErrNoSpace) {
		return false, fail("keep", err)
	}
	h.noClone.CompareAndSwap(false, cannot[err])
	return false, nil
}

// graft has the kernel copy bytes from one file to the other and returns how many it could.
func (u *upload) graft(r *reader, off, length int64) (done int64, err error) {
	h := u.s.h
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.fd < 0 {
		return 0, fs.ErrClosed
	}
	defer func() { u.wrote(off, done) }()
	for done < length && !h.noCopy.Load() {
		from, to := off+done, off+done
		n, err := h.ops.Copy(r.fd, &from, u.s.fd, &to, int(min(length-done, 1<<30)))
		switch {
		case cannot[err]:
			h.noCopy.Store(true)
		case err == unix.EXDEV || err == unix.EINVAL || err == nil && n == 0:
			return done, nil // not these files, or the old one ended: the copy by hand finds out
		case err != nil:
			return done, fail("keep", err)
		}
		done += int64(max(n, 0))
	}
	return done, nil
}

// Close ends the handle; closing it again, or after the Home, does nothing.
func (u *upload) Close() error {
	u.s.h.closing(u)
	if u.s.h.enter() != nil {
		return nil
	}
	defer u.s.h.life.RUnlock()
	u.shut()
	return nil
}

// shut is Close for who already keeps the staging directory open.
func (u *upload) shut() {
	s := u.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.handle != u {
		return
	}
	s.shut()
	if s.spec.Ephemeral {
		if err := s.drop(); err != nil {
			s.h.log.Warn("ephemeral upload stays until the next start", "id", s.id, "error", err)
		}
	}
}

// Discard ends the handle and removes the staging; a handle that was fenced leaves it to the newer one.
func (u *upload) Discard(ctx context.Context) error {
	h := u.s.h
	h.closing(u)
	if err := h.enter(); err != nil {
		return err
	}
	defer h.life.RUnlock()
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	if err := u.live(); err != nil {
		return err
	}
	return u.s.drop()
}
