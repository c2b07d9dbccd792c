package local

import (
	"context"
	"errors"
	"io"
	"io/fs"

	"golang.org/x/sys/unix"

	"ferry/server/storage"
)

// removal is a RemoveAll under way.
type removal struct {
	h       *Home
	ctx     context.Context
	may     func(name string) error
	kept    func(name string, why error)
	removed int64
	err     error // why it ends early
}

// RemoveAll removes a tree. A directory that went needs no sync of its own: it is gone with its name. One that stays is synced
// with what it lost.
func (h *Home) RemoveAll(ctx context.Context, name string, may func(name string) error, kept func(name string, why error)) (int64, error) {
	if name == "/" {
		return 0, storage.ErrBadPath
	}
	d, base, err := h.at(name)
	if err != nil {
		return 0, err
	}
	defer d.Close()
	if _, err := d.stat(base); err != nil {
		return 0, err
	}
	r := &removal{h: h, ctx: ctx, may: may, kept: kept}
	r.remove(d, base, name)
	r.sync(d)
	return r.removed, r.err
}

// remove removes base of d, called name, and tells whether it is gone.
func (r *removal) remove(d *dir, base, name string) bool {
	if r.err == nil {
		r.err = r.ctx.Err()
	}
	if r.err != nil {
		return false
	}
	err := clean(name) // too deep to be asked for; and so the number of open directories ends somewhere
	flags := 0
	if err == nil {
		var st unix.Stat_t
		if st, err = d.stat(base); err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR {
			flags = unix.AT_REMOVEDIR
			if !r.empty(d, base, name) {
				return false
			}
		}
	}
	if err == nil {
		err = r.may(name)
	}
	if err == nil {
		r.h.lockNames()
		err = r.h.unlink(d, base, flags)
		r.h.names.Unlock()
	}
	switch {
	case err == nil:
		r.removed++
	case !errors.Is(err, fs.ErrNotExist): // else somebody was faster
		r.kept(name, err)
		return false
	}
	return true
}

// empty removes everything in the directory base of d, and tells whether all of it is gone.
func (r *removal) empty(d *dir, base, name string) bool {
	sub, err := d.sub(base)
	if err != nil {
		r.kept(name, fail("open directory", err))
		return false
	}
	defer sub.Close()
	for { // names may be left out of a listing while others are removed, so the last one must find nothing
		found, all, err := r.pass(sub, name)
		if err != nil {
			r.kept(name, err)
		}
		if !all || err != nil {
			r.sync(sub)
			return false
		}
		if !found {
			return true
		}
		if _, err := sub.Seek(0, io.SeekStart); err != nil {
			r.kept(name, fail("list", err))
			return false
		}
	}
}

// pass removes what one listing of the directory names. found tells whether there was anything, all whether it is gone.
func (r *removal) pass(sub *dir, name string) (found, all bool, err error) {
	all = true
	for r.err == nil {
		bases, err := sub.Readdirnames(512)
		if err == io.EOF {
			return found, all, nil
		}
		if err != nil {
			return found, all, fail("list", err)
		}
		for _, base := range bases {
			found, all = true, r.remove(sub, base, join(name, base)) && all
		}
	}
	return found, false, nil
}

// sync makes durable what a directory lost.
func (r *removal) sync(d *dir) {
	r.h.lockNames()
	defer r.h.names.Unlock()
	if err := r.h.syncDirs(d.fd); err != nil && r.err == nil {
		r.err = err
	}
}
