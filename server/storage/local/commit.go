package local

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"ferry/server/storage"
	"ferry/shared/block"
)

// syncers is how many files or directories of one commit are synced at once.
const syncers = 16

// member is one upload of a commit.
type member struct {
	u    *upload
	from int    // the directory its data is in
	base string // and the name there
	dest *dest
	same bool // what was there stays
	res  *storage.Result
}

// dest is a directory that a commit puts names into.
type dest struct {
	*dir
	err error // of its sync
}

// Commit publishes uploads.
func (h *Home) Commit(ctx context.Context, sync bool, ups ...storage.Upload) []storage.Result {
	res := make([]storage.Result, len(ups))
	err := h.enter()
	if err == nil {
		defer h.life.RUnlock()
		err = ctx.Err()
	}
	if err != nil {
		for i := range res {
			res[i].Err = err
		}
		return res
	}
	batch := h.members(ups, res)
	locked := slices.Clone(batch) // in an order that is the same for everybody
	slices.SortFunc(locked, func(a, b *member) int { return cmp.Compare(a.u.s.id, b.u.s.id) })
	for _, m := range locked {
		m.u.s.mu.Lock()
		defer m.u.s.mu.Unlock()
	}
	each(batch, func(m *member) { m.res.Err = m.settle(sync) })
	dests := h.publish(ctx, batch, sync)
	if sync {
		h.syncDests(dests)
	}
	for _, m := range batch {
		m.conclude()
	}
	for _, d := range dests {
		d.Close()
	}
	return res
}

// each calls f for the members, several at once.
func each[T any](all []T, f func(T)) {
	if len(all) == 1 {
		f(all[0])
		return
	}
	var g errgroup.Group
	g.SetLimit(syncers)
	for _, v := range all {
		g.Go(func() error { f(v); return nil })
	}
	g.Wait()
}

// members returns those of ups that can be part of a commit and says of the others why not.
func (h *Home) members(ups []storage.Upload, res []storage.Result) []*member {
	var batch []*member
	seen := map[*staging]bool{}
	for i, up := range ups {
		u, ok := up.(*upload)
		switch {
		case !ok || u.s.h != h:
			res[i].Err = errors.New("commit: upload of another storage")
		case seen[u.s]:
			res[i].Err = storage.ErrSuperseded
		default:
			seen[u.s] = true
			batch = append(batch, &member{u: u, from: -1, res: &res[i]})
		}
	}
	return batch
}

// settle makes the data what is going to be published and syncs it.
func (m *member) settle(sync bool) error {
	s := m.u.s
	if s.sick.Load() && s.gone == nil {
		return s.lose(errors.New("an earlier sync failed"))
	}
	if err := m.u.live(); err != nil {
		return err
	}
	h := s.h
	if s.spec.Ephemeral {
		m.from, m.base = h.stage, lightPrefix+s.id
		if s.end.Load() < s.spec.Length {
			if err := h.ops.Truncate(s.fd, s.spec.Length); err != nil {
				return fail("size staging", err)
			}
		}
	} else {
		dir, err := openDirAt(h.stage, s.id)
		if err != nil {
			return fail("open staging", err)
		}
		m.from, m.base = dir, dataName
		mode := uint32(s.spec.Mode.Perm())
		if mode == 0 {
			mode = 0o666
		}
		if err := h.ops.Chmod(s.fd, mode&^h.umask); err != nil {
			return fail("chmod", err)
		}
	}
	if t := s.spec.ModTime; !t.IsZero() {
		if err := h.setTime(m.from, m.base, t); err != nil {
			return err
		}
	}
	if !sync {
		return nil
	}
	if err := h.ops.Sync(s.fd); err != nil {
		return s.lose(fail("sync", err))
	}
	return nil
}

// publish puts each member that is settled under its name and returns the directories that changed.
func (h *Home) publish(ctx context.Context, batch []*member, sync bool) map[string]*dest {
	h.lockNames()
	defer h.names.Unlock()
	dests := map[string]*dest{}
	for _, m := range batch {
		if m.res.Err == nil {
			m.res.Err = h.place(ctx, m, dests, sync)
		}
	}
	if !sync || len(dests) == 0 {
		return dests
	}
	if err := h.firm(h.stage); err != nil {
		for _, d := range dests {
			d.err = err
		}
	}
	return dests
}

// place renames the data of one member over its target.
func (h *Home) place(ctx context.Context, m *member, dests map[string]*dest, sync bool) error {
	spec := &m.u.s.spec
	if spec.Path == "/" {
		return storage.ErrIsDir
	}
	above, base := path.Dir(spec.Path), path.Base(spec.Path)
	d := dests[above]
	if d == nil {
		dir, err := h.openDir(above)
		if spec.Parents && errors.Is(err, fs.ErrNotExist) {
			dir, err = h.makeDir(ctx, above, sync)
		}
		if err != nil {
			return err
		}
		d = &dest{dir: dir}
		dests[above] = d
	}
	if base == reserved && d.id == h.top {
		return storage.ErrBadPath
	}
	st, err := d.stat(base)
	there := err == nil
	if !there && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if there {
		if err := replaceable(&st); err != nil {
			return err
		}
	}
	if there && spec.NoReplace && spec.Ephemeral {
		return fmt.Errorf("replace: %w", fs.ErrPermission)
	}
	if there && spec.KeepSame && spec.Again {
		if same, err := h.keepSame(m, d, base, &st, sync); same || err != nil {
			return err
		}
	}
	if e := spec.Expect; spec.Again && (e == nil || *e == "" || !there || entryOf(spec.Path, &st).Version != *e) {
		return storage.ErrUncertain // only a version that is still there shows that it was never replaced
	}
	var flags uint
	switch e := spec.Expect; {
	case e == nil:
	case *e == "" && there:
		return fs.ErrExist
	case *e == "":
		flags = unix.RENAME_NOREPLACE
	case !there || entryOf(spec.Path, &st).Version != *e:
		return storage.ErrConflict
	}
	if there && spec.KeepSame && !spec.Again {
		if same, err := h.keepSame(m, d, base, &st, sync); same || err != nil {
			return err
		}
	}
	if err := h.rename(m.from, m.base, d.fd, base, flags); err != nil {
		err = fail("publish", err)
		var left unix.Stat_t
		if unix.Fstatat(m.from, m.base, &left, unix.AT_SYMLINK_NOFOLLOW) == unix.ENOENT {
			// Done all the same, as network file systems can: nobody may write to what is published now.
			m.u.s.named(there, &st)
			h.loose = true
			return m.u.s.lose(err)
		}
		return err
	}
	m.u.s.named(there, &st)
	m.dest = d
	return nil
}

// named counts s among the names from now on, in the place of what st is of, if there was anything.
func (s *staging) named(there bool, st *unix.Stat_t) {
	var replaced storage.Amount
	if there {
		replaced = weightOf(st)
	}
	s.h.meter.publish(s.weight, replaced)
	s.weight = storage.Amount{}
}

// keepSame leaves the file that is there, which st is of, in place if its content is that of m, and gives it the time and the
// mode of m. It is made durable, whoever wrote it. A file that cannot be read is merely of no use.
func (h *Home) keepSame(m *member, d *dest, base string, st *unix.Stat_t, sync bool) (bool, error) {
	spec := &m.u.s.spec
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size != spec.Length || !spec.Ephemeral {
		return false, nil
	}
	fd, err := retry(func() (int, error) {
		return unix.Openat(d.fd, base, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return false, nil
	}
	defer unix.Close(fd)
	if !h.equal(fd, m.u.s.fd, spec.Length) {
		return false, nil
	}
	if p := uint32(spec.Mode.Perm()) &^ h.umask; spec.Mode != 0 && p != st.Mode&0o777 {
		if err := h.ops.Chmod(fd, p); err != nil {
			return false, fail("chmod", err)
		}
	}
	if t := spec.ModTime; !t.IsZero() && !t.Equal(time.Unix(st.Mtim.Unix())) {
		if err := h.setTime(d.fd, base, t); err != nil {
			return false, err
		}
	}
	if sync {
		if err := h.ops.Sync(fd); err != nil {
			return false, fail("sync", err)
		}
	}
	var now unix.Stat_t
	if err := unix.Fstat(fd, &now); err != nil {
		return false, fail("stat", err)
	}
	m.dest, m.same, m.res.Same, m.res.Entry = d, true, true, entryOf(spec.Path, &now)
	return true, nil
}

// equal tells whether two files of that length hold the same bytes. The second is staged, so nobody writes to it.
func (h *Home) equal(a, b int, length int64) bool {
	x, y := h.bufs.Get().(*[block.Size]byte), h.bufs.Get().(*[block.Size]byte)
	defer h.bufs.Put(x)
	defer h.bufs.Put(y)
	for off := int64(0); off < length; off += block.Size {
		n := min(block.Size, length-off)
		if _, err := readFull(a, x[:n], off); err != nil {
			return false
		}
		if _, err := readFull(b, y[:n], off); err != nil {
			return false
		}
		if !bytes.Equal(x[:n], y[:n]) {
			return false
		}
	}
	return true
}

// syncDests syncs the directories, each once.
func (h *Home) syncDests(dests map[string]*dest) {
	var todo []*dest
	for _, d := range dests {
		if d.err == nil {
			todo = append(todo, d)
		}
	}
	if len(todo) == 0 {
		return
	}
	each(todo, func(d *dest) { d.err = fail("sync directory", h.ops.SyncDir(d.fd)) })
	if slices.ContainsFunc(todo, func(d *dest) bool { return d.err != nil }) {
		h.names.Lock()
		h.loose = true
		h.names.Unlock()
	}
}

// conclude says how it went and lets go of what a published member leaves behind.
func (m *member) conclude() {
	s := m.u.s
	if m.dest != nil {
		if m.dest.err != nil {
			m.res.Err = s.lose(m.dest.err)
		} else if m.same {
			if err := s.erase(); err != nil {
				s.h.log.Warn("staging of an upload that was there stays until the next start", "id", s.id, "error", err)
			}
			s.finish(storage.ErrSuperseded)
		} else {
			var st unix.Stat_t
			m.res.Err = fail("stat", unix.Fstat(s.fd, &st))
			m.res.Entry = entryOf(s.spec.Path, &st)
			s.publish()
		}
	}
	if m.from >= 0 && !s.spec.Ephemeral {
		unix.Close(m.from)
	}
}

// publish forgets a staging whose data has a name of its own. s.mu must be held.
func (s *staging) publish() {
	if !s.spec.Ephemeral {
		if err := s.erase(); err != nil {
			s.h.log.Warn("staging of a published upload stays until the next start", "id", s.id, "error", err)
		}
	}
	s.finish(storage.ErrSuperseded)
}
