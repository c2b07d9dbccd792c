package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ferry/server/storage"
	"ferry/shared/block"
)

var bg = context.Background()

// tap stands between a Home and the system and decides what becomes of each operation.
type tap struct {
	mu   sync.Mutex
	log  []string
	hook func(k int, op string) fault // k counts from 1
}

// fault is what becomes of an operation: nothing special if zero.
type fault struct {
	err   error
	short bool // a write that does half
}

func (p *tap) next(op string) fault {
	p.mu.Lock()
	p.log = append(p.log, op)
	k, hook := len(p.log), p.hook
	p.mu.Unlock()
	if hook == nil {
		return fault{}
	}
	return hook(k, op)
}

// watch starts the count again, with another hook.
func (p *tap) watch(hook func(k int, op string) fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log, p.hook = nil, hook
}

func (p *tap) seen() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.log)
}

func (p *tap) ops() Ops {
	real := RealOps()
	do := func(op string, f func() error) error {
		if x := p.next(op); x.err != nil {
			return x.err
		}
		return f()
	}
	return Ops{
		Open: func(dir int, name string, flags int, mode uint32) (int, error) {
			if x := p.next("open"); x.err != nil {
				return -1, x.err
			}
			return real.Open(dir, name, flags, mode)
		},
		Write: func(fd int, b []byte, off int64) (int, error) {
			x := p.next("write")
			if x.err != nil {
				return 0, x.err
			}
			if x.short {
				b = b[:(len(b)+1)/2]
			}
			return real.Write(fd, b, off)
		},
		Truncate: func(fd int, n int64) error { return do("truncate", func() error { return real.Truncate(fd, n) }) },
		Chmod:    func(fd int, mode uint32) error { return do("chmod", func() error { return real.Chmod(fd, mode) }) },
		Times: func(dir int, name string, ts []unix.Timespec) error {
			return do("times", func() error { return real.Times(dir, name, ts) })
		},
		Sync:     func(fd int) error { return do("sync", func() error { return real.Sync(fd) }) },
		DataSync: func(fd int) error { return do("datasync", func() error { return real.DataSync(fd) }) },
		SyncDir:  func(fd int) error { return do("syncdir", func() error { return real.SyncDir(fd) }) },
		SyncFS:   func(fd int) error { return do("syncfs", func() error { return real.SyncFS(fd) }) },
		Rename: func(fd int, from string, toFd int, to string, flags uint) error {
			return do("rename", func() error { return real.Rename(fd, from, toFd, to, flags) })
		},
		Unlink: func(dir int, name string, flags int) error {
			return do("unlink", func() error { return real.Unlink(dir, name, flags) })
		},
		Mkdir: func(dir int, name string, mode uint32) error {
			return do("mkdir", func() error { return real.Mkdir(dir, name, mode) })
		},
		Clone: func(fd int, r *unix.FileCloneRange) error {
			return do("clone", func() error { return real.Clone(fd, r) })
		},
		Copy: func(from int, fromOff *int64, to int, toOff *int64, n int) (int, error) {
			if x := p.next("copy"); x.err != nil {
				return 0, x.err
			}
			return real.Copy(from, fromOff, to, toOff, n)
		},
	}
}

func put(h *Home, spec storage.Spec, content []byte) error {
	spec.Length = int64(len(content))
	u, err := h.Upload(bg, spec)
	if err != nil {
		return err
	}
	defer u.Close()
	if err := u.Put(bg, 0, content); err != nil {
		return err
	}
	return h.Commit(bg, true, u)[0].Err
}

// content returns what a file holds, "" if there is none.
func content(t *testing.T, h *Home, name string) string {
	t.Helper()
	r, err := h.Open(bg, name, "")
	if errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	if err != nil {
		t.Fatalf("open %s: %v", name, err)
	}
	defer r.Close()
	b, err := io.ReadAll(io.NewSectionReader(r, 0, r.Entry().Length))
	if err != nil {
		t.Fatalf("read %s: %v", name, err)
	}
	return string(b)
}

var (
	oldText = bytes.Repeat([]byte("old content, "), 900)
	newText = bytes.Repeat([]byte("another content, "), 1100)
)

// scenario is something a user asks for. did tells what became of it: whether the state is the one before, the one after,
// or neither.
type scenario struct {
	name  string
	setup func(h *Home) error
	act   func(h *Home) error
	did   func(t *testing.T, h *Home) (before, after bool)
}

func scenarios() []scenario {
	text := func(name string, before, after []byte) func(*testing.T, *Home) (bool, bool) {
		return func(t *testing.T, h *Home) (bool, bool) {
			got := content(t, h, name)
			return got == string(before), got == string(after)
		}
	}
	kinds := func(before, after map[string]storage.Kind) func(*testing.T, *Home) (bool, bool) {
		match := func(t *testing.T, h *Home, want map[string]storage.Kind) bool {
			for name, kind := range want {
				e, err := h.Stat(bg, name)
				if err != nil && !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("stat: %v", err)
				}
				if e.Kind != kind {
					return false
				}
			}
			return true
		}
		return func(t *testing.T, h *Home) (bool, bool) { return match(t, h, before), match(t, h, after) }
	}
	old := func(h *Home) error { return put(h, storage.Spec{Path: "/f"}, oldText) }
	staged := func(h *Home) error {
		u, err := h.Upload(bg, storage.Spec{Path: "/f", Length: 100})
		if err != nil {
			return err
		}
		defer u.Close()
		return u.Put(bg, 0, newText[:50])
	}
	spec := storage.Spec{Path: "/f", ModTime: time.Unix(1e9, 0), Mode: 0o640}
	light := spec
	light.Ephemeral = true
	return []scenario{
		{"put", func(*Home) error { return nil }, func(h *Home) error { return put(h, spec, newText) }, text("/f", nil, newText)},
		{"ephemeral", func(*Home) error { return nil }, func(h *Home) error { return put(h, light, newText) }, text("/f", nil, newText)},
		{"overwrite", old, func(h *Home) error { return put(h, spec, newText) }, text("/f", oldText, newText)},
		{"ephemeral overwrite", old, func(h *Home) error { return put(h, light, newText) }, text("/f", oldText, newText)},
		{"put with parents", func(*Home) error { return nil }, func(h *Home) error {
			return put(h, storage.Spec{Path: "/a/b/c", Parents: true}, newText)
		}, text("/a/b/c", nil, newText)},
		{"reopen", staged, func(h *Home) error {
			s := spec
			for up, err := range h.Uploads(bg) {
				if err != nil {
					return err
				}
				s.ID = up.ID
			}
			return put(h, s, newText) // made anew when the first staging was given up
		}, text("/f", nil, newText)},
		{"rename", old, func(h *Home) error { return h.Rename(bg, "/f", "/g", true) }, kinds(
			map[string]storage.Kind{"/f": storage.File, "/g": ""}, map[string]storage.Kind{"/f": "", "/g": storage.File})},
		{"rename to another directory", func(h *Home) error { return errors.Join(old(h), h.Mkdir(bg, "/d", false)) },
			func(h *Home) error { return h.Rename(bg, "/f", "/d/g", false) }, kinds(
				map[string]storage.Kind{"/f": storage.File, "/d/g": ""}, map[string]storage.Kind{"/f": "", "/d/g": storage.File})},
		{"rename over", func(h *Home) error { return errors.Join(old(h), put(h, storage.Spec{Path: "/g"}, newText)) },
			func(h *Home) error { return h.Rename(bg, "/f", "/g", true) }, text("/g", newText, oldText)},
		{"rm", old, func(h *Home) error { return h.Remove(bg, "/f") }, text("/f", oldText, nil)},
		{"rmdir", func(h *Home) error { return h.Mkdir(bg, "/d", false) }, func(h *Home) error { return h.Remove(bg, "/d") }, kinds(
			map[string]storage.Kind{"/d": storage.Dir}, map[string]storage.Kind{"/d": ""})},
		{"mkdir", func(*Home) error { return nil }, func(h *Home) error { return h.Mkdir(bg, "/d", false) }, kinds(
			map[string]storage.Kind{"/d": ""}, map[string]storage.Kind{"/d": storage.Dir})},
		{"chmod", old, func(h *Home) error {
			mode := fs.FileMode(0o600)
			return h.SetMeta(bg, "/f", storage.Meta{Mode: &mode})
		}, text("/f", oldText, oldText)},
	}
}

// An operation that fails is an error, the state is the one before or the one after, and the next request works, in this
// process and after a restart.
func TestFaults(t *testing.T) {
	modes := []struct {
		name    string
		of      func(k, at int) fault
		must    bool // be an error, unless it hit a clean-up
		success bool // be none
	}{
		{"EIO", func(k, at int) fault { return fault{err: when(k == at, unix.EIO)} }, true, false},
		{"ENOSPC", func(k, at int) fault { return fault{err: when(k == at, unix.ENOSPC)} }, true, false},
		{"EIO from then on", func(k, at int) fault { return fault{err: when(k >= at, unix.EIO)} }, true, false},
		{"EINTR", func(k, at int) fault { return fault{err: when(k == at, unix.EINTR)} }, false, true},
		{"short write", func(k, at int) fault { return fault{short: k == at} }, false, true},
	}
	for _, sc := range scenarios() {
		for _, mode := range modes {
			t.Run(sc.name+"/"+mode.name, func(t *testing.T) {
				for at, reached := 1, true; reached && at < 100; at++ {
					reached = tryFault(t, sc, at, mode.of, mode.must, mode.success)
				}
			})
		}
	}
}

func when(yes bool, err error) error {
	if yes {
		return err
	}
	return nil
}

// tryFault runs the scenario with a fault at operation at and tells whether there was one.
func tryFault(t *testing.T, sc scenario, at int, of func(k, at int) fault, must, success bool) bool {
	dir, p := t.TempDir(), &tap{}
	h := open(t, dir, Options{Ops: p.ops()})
	if err := sc.setup(h); err != nil {
		t.Fatalf("setup: %v", err)
	}
	p.watch(func(k int, op string) fault { return of(k, at) })
	err := sc.act(h)
	log := p.seen()
	p.watch(nil)
	if len(log) < at {
		if err != nil {
			t.Errorf("no fault, but %v", err)
		}
		return false
	}
	what := fmt.Sprintf("fault at %d, %s, answer %v", at, log[at-1], err)
	before, after := sc.did(t, h)
	if !before && !after {
		t.Errorf("%s: neither the old nor the new state", what)
	}
	if err == nil && !after {
		t.Errorf("%s: an untrue success", what)
	}
	if must && err == nil && log[at-1] != "unlink" {
		t.Errorf("%s: no error", what)
	}
	if success && err != nil {
		t.Errorf("%s: must have been made good", what)
	}
	if err := put(h, storage.Spec{Path: "/next"}, newText); err != nil || content(t, h, "/next") != string(newText) {
		t.Errorf("%s: the next put: %v", what, err)
	}
	if !after {
		if err := sc.act(h); err != nil {
			t.Errorf("%s: the same again: %v", what, err)
		}
	}
	h.Close()
	h = open(t, dir, Options{})
	for _, err := range h.Uploads(bg) {
		if err != nil {
			t.Errorf("%s: uploads after a restart: %v", what, err)
		}
	}
	if _, after := sc.did(t, h); !after {
		t.Errorf("%s: not done after it was done again", what)
	}
	for _, e := range below(t, dir) {
		if e != "upload" {
			t.Errorf("%s: %s is left in the staging", what, e)
		}
	}
	return true
}

// In a group a member's fault is its own, and a directory's that of all in it.
func TestGroupFaults(t *testing.T) {
	for at := 1; at < 60; at++ {
		dir, p := t.TempDir(), &tap{}
		h := open(t, dir, Options{Ops: p.ops()})
		var ups []storage.Upload
		specs := []storage.Spec{{Path: "/a", Ephemeral: true}, {Path: "/b"}, {Path: "/d/c", Ephemeral: true, Parents: true}, {Path: "/e", Ephemeral: true}}
		for _, s := range specs {
			if err := put(h, s, oldText); err != nil {
				t.Fatal(err)
			}
			s.Length = int64(len(newText))
			u, err := h.Upload(bg, s)
			if err == nil {
				err = u.Put(bg, 0, newText)
			}
			if err != nil {
				t.Fatal(err)
			}
			ups = append(ups, u)
		}
		p.watch(func(k int, op string) fault { return fault{err: when(k == at, unix.EIO)} })
		res := h.Commit(bg, true, ups...)
		log := p.seen()
		p.watch(nil)
		if len(log) < at {
			return
		}
		failed := 0
		for i, r := range res {
			got := content(t, h, specs[i].Path)
			if got != string(newText) && (got != string(oldText) || r.Err == nil) {
				t.Errorf("fault at %d, %s: %s: %v and %d bytes", at, log[at-1], specs[i].Path, r.Err, len(got))
			}
			if r.Err != nil {
				failed++
			}
		}
		least, most := 1, 1
		switch log[at-1] {
		case "unlink": // of what is left behind
			least, most = 0, 0
		case "syncdir": // three are in one directory
			most = 3
		}
		if failed < least || failed > most {
			t.Errorf("fault at %d, %s: %d members failed", at, log[at-1], failed)
		}
		for _, u := range ups {
			u.Close()
		}
	}
	t.Error("never ended")
}

// A sync that failed once is never asked again: the staging is given up.
func TestPoison(t *testing.T) {
	p := &tap{}
	h := open(t, t.TempDir(), Options{Ops: p.ops(), SyncEvery: block.Size, SyncAfter: time.Hour})
	u, err := h.Upload(bg, storage.Spec{Path: "/f", Length: 4 * block.Size})
	if err != nil {
		t.Fatal(err)
	}
	committed := make(chan storage.Result)
	p.watch(func(k int, op string) fault {
		if op != "datasync" {
			return fault{}
		}
		go func() { committed <- h.Commit(bg, true, u)[0] }()
		for mu := &u.(*upload).s.mu; mu.TryRLock(); mu.RUnlock() { // until the commit is next in line
			runtime.Gosched()
		}
		return fault{err: unix.EIO}
	})
	if err := u.Put(bg, 0, make([]byte, block.Size)); err != nil {
		t.Fatal(err)
	}
	select {
	case r := <-committed: // its own sync would have succeeded
		if !errors.Is(r.Err, storage.ErrLost) {
			t.Errorf("commit after a failed sync: %v", r.Err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("no background sync")
	}
	if err := u.Put(bg, 0, []byte("x")); !errors.Is(err, storage.ErrLost) {
		t.Errorf("put after a failed sync: %v", err)
	}
	if _, err := h.Upload(bg, storage.Spec{ID: u.Spec().ID, Path: "/f"}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a lost staging can be reopened: %v", err)
	}
	if content(t, h, "/f") != "" {
		t.Error("published")
	}
}

// A full disk at fsync is told as such, and as a loss.
func TestNoSpaceAtSync(t *testing.T) {
	p := &tap{}
	h := open(t, t.TempDir(), Options{Ops: p.ops()})
	for _, eph := range []bool{true, false} {
		u, err := h.Upload(bg, storage.Spec{Path: "/f", Length: 1, Ephemeral: eph})
		if err != nil {
			t.Fatal(err)
		}
		p.watch(func(k int, op string) fault { return fault{err: when(op == "sync", unix.EDQUOT)} })
		r := h.Commit(bg, true, u)[0]
		p.watch(nil)
		if !errors.Is(r.Err, storage.ErrNoSpace) || !errors.Is(r.Err, storage.ErrLost) {
			t.Errorf("ephemeral %v: %v", eph, r.Err)
		}
		u.Close()
	}
}

// Written data is synced when there is enough of it and when it is old enough.
func TestBackgroundSync(t *testing.T) {
	for _, o := range []Options{{SyncEvery: 3 * block.Size, SyncAfter: time.Hour}, {SyncAfter: time.Millisecond}} {
		p := &tap{}
		synced := make(chan bool, 100)
		o.Ops = p.ops()
		h := open(t, t.TempDir(), o)
		u, err := h.Upload(bg, storage.Spec{Path: "/f", Length: 16 * block.Size})
		if err != nil {
			t.Fatal(err)
		}
		p.watch(func(k int, op string) fault {
			if op == "datasync" {
				synced <- true
			}
			return fault{}
		})
		for n := range int64(4) {
			if err := u.Put(bg, n*block.Size, make([]byte, block.Size)); err != nil {
				t.Fatal(err)
			}
		}
		select {
		case <-synced:
		case <-time.After(10 * time.Second):
			t.Errorf("every %d bytes, after %v: no sync", o.SyncEvery, o.SyncAfter)
		}
	}
}

// A small put costs five operations and its share of one directory sync.
func TestEphemeralCost(t *testing.T) {
	const n = 8
	p := &tap{}
	h := open(t, t.TempDir(), Options{Ops: p.ops()})
	if err := put(h, storage.Spec{Path: "/d/first", Ephemeral: true, Parents: true}, nil); err != nil {
		t.Fatal(err)
	}
	p.watch(nil)
	var ups []storage.Upload
	for i := range n {
		u, err := h.Upload(bg, storage.Spec{Path: fmt.Sprintf("/d/%d", i), Length: 4096, ModTime: time.Unix(1e9, 0), Ephemeral: true})
		if err == nil {
			err = u.Put(bg, 0, make([]byte, 4096))
		}
		if err != nil {
			t.Fatal(err)
		}
		ups = append(ups, u)
	}
	for _, r := range h.Commit(bg, true, ups...) {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	for _, u := range ups {
		u.Close()
	}
	got := map[string]int{}
	for _, op := range p.seen() {
		got[op]++
	}
	want := map[string]int{"open": n, "write": n, "times": n, "sync": n, "rename": n, "syncdir": 1}
	for op := range got {
		if got[op] != want[op] {
			t.Errorf("%d files took %v, want %v", n, got, want)
			break
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d files took %v, want %v", n, got, want)
	}
}

// Keep copies the same bytes whatever the file system can do.
func TestKeepRoutes(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcdef"), block.Size/8)
	for _, refuse := range [][]string{{}, {"clone"}, {"clone", "copy"}} {
		p := &tap{}
		h := open(t, t.TempDir(), Options{Ops: p.ops()})
		if err := put(h, storage.Spec{Path: "/f"}, data); err != nil {
			t.Fatal(err)
		}
		r, err := h.Open(bg, "/f", "")
		if err != nil {
			t.Fatal(err)
		}
		u, err := h.Upload(bg, storage.Spec{Path: "/g", Length: int64(len(data))})
		if err != nil {
			t.Fatal(err)
		}
		p.watch(func(k int, op string) fault { return fault{err: when(slices.Contains(refuse, op), unix.EOPNOTSUPP)} })
		for n := range int64(2) {
			if err := u.Keep(bg, r, n*block.Size, block.Size); err != nil {
				t.Errorf("without %v: %v", refuse, err)
			}
		}
		probes := 0
		for _, op := range p.seen() {
			if slices.Contains(refuse, op) {
				probes++
			}
		}
		if probes != len(refuse) {
			t.Errorf("without %v: asked %d times", refuse, probes)
		}
		p.watch(nil)
		if err := h.Commit(bg, true, u)[0].Err; err != nil || content(t, h, "/g") != string(data) {
			t.Errorf("without %v: %v, or other bytes", refuse, err)
		}
		r.Close()
	}
}
