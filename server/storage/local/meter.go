package local

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"ferry/server/storage"
)

// meter counts what a tree takes up: what is named apart from what is staged, because the latter is known exactly whenever the
// stagings were read, and only the former has to be remembered or counted by a walk.
type meter struct {
	limits func() storage.Amount // nil: none

	mu     sync.Mutex // guards what follows
	loaded bool       // staged is right
	known  bool       // named is right; becomes so, and named is changed, only by who holds Home.names
	named  storage.Amount
	staged storage.Amount
}

// oneName is what a directory takes up.
func oneName() storage.Amount { return storage.Amount{Files: 1} }

// weightOf is what the name takes up that st is of.
func weightOf(st *unix.Stat_t) storage.Amount {
	a := oneName()
	if st.Mode&unix.S_IFMT == unix.S_IFREG {
		a.Bytes = st.Size
	}
	return a
}

// limit returns what the tree may take up now.
func (m *meter) limit() storage.Amount {
	if m.limits == nil {
		return storage.Amount{}
	}
	return m.limits()
}

// unready tells whether something must be counted before the limits can be kept.
func (m *meter) unready() bool {
	if m.limit() == (storage.Amount{}) {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.known || !m.loaded
}

// room refuses what does not fit any more. What takes nothing always fits, however low a limit has become. m.mu is held.
func (m *meter) room(need storage.Amount) error {
	limit, used := m.limit(), m.named.Plus(m.staged)
	if over(need.Bytes, used.Bytes, limit.Bytes) || over(need.Files, used.Files, limit.Files) {
		return &storage.QuotaError{Used: used, Limit: limit, Need: need}
	}
	return nil
}

func over(need, used, limit int64) bool { return limit > 0 && need > 0 && need > limit-used }

// stage counts so much more for unfinished uploads, or refuses it.
func (m *meter) stage(a storage.Amount) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.room(a); err != nil {
		return err
	}
	m.staged = m.staged.Plus(a)
	return nil
}

// name counts so much more for names, or refuses it.
func (m *meter) name(a storage.Amount) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.room(a); err != nil {
		return err
	}
	m.change(a)
	return nil
}

// publish makes an upload's part one of the names, in the place of what it replaced.
func (m *meter) publish(a, replaced storage.Amount) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.staged = m.staged.Minus(a)
	m.change(a.Minus(replaced))
}

// unname counts so much less for names.
func (m *meter) unname(a storage.Amount) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.change(storage.Amount{}.Minus(a))
}

// change counts more or less for names, if the count is right. Less than nothing shows that it was not: files have come in by
// another way. m.mu is held.
func (m *meter) change(a storage.Amount) {
	if !m.known {
		return
	}
	m.named = m.named.Plus(a)
	m.known = m.named.Bytes >= 0 && m.named.Files >= 0
}

// set says what the names take up.
func (m *meter) set(a storage.Amount) {
	m.mu.Lock()
	m.known, m.named = true, a
	m.mu.Unlock()
}

// load counts the stagings of earlier runs.
func (m *meter) load(a storage.Amount) {
	m.mu.Lock()
	m.loaded, m.staged = true, m.staged.Plus(a)
	m.mu.Unlock()
}

func (m *meter) total() (a storage.Amount, known bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.named.Plus(m.staged), m.known && m.loaded
}

// weigh makes length what s counts for, or says why it cannot. s.mu must be held, or s known to nobody else.
func (s *staging) weigh(length int64) error {
	now := storage.Amount{Bytes: length, Files: 1}
	if err := s.h.meter.stage(now.Minus(s.weight)); err != nil {
		return err
	}
	s.weight = now
	return nil
}

// unweigh makes s count for nothing.
func (s *staging) unweigh() {
	s.h.meter.stage(storage.Amount{}.Minus(s.weight)) // less is never refused
	s.weight = storage.Amount{}
}

// lockNames takes the lock that whoever changes names must hold. What the names took up when the tree was closed is asked for
// before the first change: afterwards nobody else can know it.
func (h *Home) lockNames() {
	h.names.Lock()
	if h.restore == nil {
		return
	}
	if a, ok := h.restore(); ok {
		h.meter.set(a)
	}
	h.restore = nil
}

// countFor makes sure that what a limited tree takes up is known, as every decision about more of it needs.
func (h *Home) countFor(ctx context.Context) error {
	if !h.meter.unready() {
		return nil
	}
	h.lockNames()
	defer h.names.Unlock()
	return h.measure(ctx)
}

// mkdir makes a directory in the one that is open as fd. names must be held.
func (h *Home) mkdir(ctx context.Context, fd int, base string) error {
	if h.meter.unready() {
		if err := h.measure(ctx); err != nil {
			return err
		}
	}
	if err := h.meter.name(oneName()); err != nil {
		var st unix.Stat_t
		if unix.Fstatat(fd, base, &st, unix.AT_SYMLINK_NOFOLLOW) == nil {
			return fs.ErrExist
		}
		return err
	}
	if err := h.ops.Mkdir(fd, base, 0o777); err != nil {
		h.meter.unname(oneName())
		return fail("mkdir", err)
	}
	return nil
}

// measure finds out what the tree takes up, by a walk if it must. names must be held, so it does not change meanwhile.
func (h *Home) measure(ctx context.Context) error {
	h.mu.Lock()
	err := h.load()
	h.mu.Unlock()
	if err != nil {
		return err
	}
	if _, known := h.meter.total(); known {
		return nil
	}
	top, err := h.openDir("/")
	if err != nil {
		return err
	}
	defer top.Close()
	var sum storage.Amount
	begin := time.Now()
	if err := h.tally(ctx, top, &sum); err != nil {
		return err
	}
	h.meter.set(sum)
	h.log.Info("home counted", "user", h.owner, "bytes", sum.Bytes, "files", sum.Files, "seconds", int(time.Since(begin).Seconds()))
	return nil
}

// tally adds up what is in d and below, but for the staging directory. What somebody else put there and this program may not
// read is left out: it must not keep the account from being used.
func (h *Home) tally(ctx context.Context, d *dir, sum *storage.Amount) error {
	for {
		bases, err := d.Readdirnames(512)
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return fail("count", err)
		}
		for _, base := range bases {
			st, err := d.stat(base)
			if base == reserved && d.id == h.top || errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			*sum = sum.Plus(weightOf(&st))
			if st.Mode&unix.S_IFMT != unix.S_IFDIR {
				continue
			}
			sub, err := d.sub(base)
			if err != nil {
				if cause := fail("count", err); !errors.Is(cause, fs.ErrNotExist) && !errors.Is(cause, fs.ErrPermission) && !errors.Is(cause, storage.ErrNotDir) {
					return cause
				}
				h.log.Warn("directory not counted", "name", base, "error", err)
				continue
			}
			err = h.tally(ctx, sub, sum)
			sub.Close()
			if err != nil {
				return err
			}
		}
	}
}

// Recount walks the tree whether its count is believed or not, and returns what was believed, if anything, and what is.
// Changes wait.
func (h *Home) Recount(ctx context.Context) (was, is storage.Amount, known bool, err error) {
	h.lockNames()
	defer h.names.Unlock()
	was, known = h.meter.total()
	h.meter.mu.Lock()
	h.meter.known = false
	h.meter.mu.Unlock()
	if err := h.measure(ctx); err != nil {
		return was, is, known, err
	}
	is, _ = h.meter.total()
	return was, is, known, nil
}

// Counted returns what the names and the unfinished uploads take up, and false if that was never needed and is not known.
func (h *Home) Counted() (named, staged storage.Amount, known bool) {
	h.meter.mu.Lock()
	defer h.meter.mu.Unlock()
	return h.meter.named, h.meter.staged, h.meter.known
}
