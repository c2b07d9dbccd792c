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
	loose bool // do no sync

	mu   sync.Mutex
	log  []string
	hook func(k int, op string) fault // k counts from 1
}

// loose returns operations that sync nothing, for tests that would do so thousands of times and look at what the kernel shows.
func loose() Ops {
	o, nothing := RealOps(), func(int) error { return nil }
	o.Sync, o.DataSync, o.SyncDir, o.SyncFS = nothing, nothing, nothing, nothing
	return o
}

// fault is what becomes of an operation: nothing special if zero.
type fault struct {
	err   error
	short bool // a write that does half
	late  bool // err comes after the operation was done
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
	if p.loose {
		real = loose()
	}
	do := func(op string, f func() error) error {
		x := p.next(op)
		if x.err != nil && !x.late {
			return x.err
		}
		if err := f(); err != nil {
			return err
		}
		return x.err
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
	long    = bytes.Repeat([]byte("several blocks, "), block.Size/16*2+100)
)

// scenario is something a user asks for. did tells what became of it: whether the state is the one before, the one after,
// or neither.
type scenario struct {
	name  string
	setup func(h *Home) error
	act   func(h *Home) error
	did   func(t *testing.T, h *Home) (before, after bool)
}

// goOn finishes the upload that is staged, sending only what is not there as it should be, or makes it anew.
func goOn(h *Home, spec storage.Spec, content []byte) error {
	for up, err := range h.Uploads(bg) {
		if err != nil {
			return err
		}
		spec.ID = up.ID
	}
	spec.Length = int64(len(content))
	u, err := h.Upload(bg, spec)
	if err != nil {
		return err
	}
	defer u.Close()
	tagger, have := block.NewTagger(u.Spec().Key), u.Have(64)
	for n := range block.Count(spec.Length) {
		r := block.Range{Off: n * block.Size, End: n*block.Size + block.Len(n, spec.Length)}
		if have.Has(r) {
			tag, err := u.Tag(bg, n)
			if err != nil {
				return err
			}
			if tag == tagger.Tag(n, content[r.Off:r.End]) {
				continue
			}
		}
		if err := u.Put(bg, r.Off, content[r.Off:r.End]); err != nil {
			return err
		}
	}
	return h.Commit(bg, true, u)[0].Err
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
	half := func(h *Home) error {
		u, err := h.Upload(bg, storage.Spec{Path: "/f", Length: int64(len(long))})
		if err != nil {
			return err
		}
		defer u.Close()
		return u.Put(bg, block.Size, long[block.Size:2*block.Size])
	}
	listed := func(t *testing.T, h *Home) (bool, bool) {
		n := 0
		for _, err := range h.Uploads(bg) {
			if err != nil {
				t.Errorf("uploads: %v", err)
			}
			n++
		}
		return n == 1, n == 0
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
		{"resume", half, func(h *Home) error { return goOn(h, spec, long) }, text("/f", nil, long)},
		{"empty", old, func(h *Home) error { return put(h, spec, nil) }, func(t *testing.T, h *Home) (bool, bool) {
			e, err := h.Stat(bg, "/f")
			return err == nil && e.Length == int64(len(oldText)), err == nil && e.Length == 0
		}},
		{"drop", staged, func(h *Home) error {
			for up, err := range h.Uploads(bg) {
				if err != nil {
					return err
				}
				return h.Drop(bg, up.ID)
			}
			return nil
		}, listed},
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
		{"rm -r", func(h *Home) error {
			return errors.Join(h.Mkdir(bg, "/d/e", true), put(h, storage.Spec{Path: "/d/f"}, oldText), put(h, storage.Spec{Path: "/d/e/g"}, oldText))
		}, func(h *Home) error {
			var stays error
			_, err := h.RemoveAll(bg, "/d", func(string) error { return nil }, func(_ string, why error) { stays = why })
			return errors.Join(err, stays)
		}, func(t *testing.T, h *Home) (bool, bool) {
			e, err := h.Stat(bg, "/d")
			return err == nil && e.Kind == storage.Dir, errors.Is(err, fs.ErrNotExist) // part of what is in it may be gone
		}},
		{"mkdir", func(*Home) error { return nil }, func(h *Home) error { return h.Mkdir(bg, "/d", false) }, kinds(
			map[string]storage.Kind{"/d": ""}, map[string]storage.Kind{"/d": storage.Dir})},
		{"mkdir -p", func(*Home) error { return nil }, func(h *Home) error { return h.Mkdir(bg, "/d/e/g", true) }, func(t *testing.T, h *Home) (bool, bool) {
			e, err := h.Stat(bg, "/d/e/g")
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("stat: %v", err)
			}
			return err != nil, e.Kind == storage.Dir // some of the parents alone are neither harm nor help
		}},
		{"chmod", old, func(h *Home) error {
			mode := fs.FileMode(0o600)
			return h.SetMeta(bg, "/f", storage.Meta{Mode: &mode})
		}, text("/f", oldText, oldText)},
		{"touch", old, func(h *Home) error {
			when := time.Unix(1e9, 0)
			return h.SetMeta(bg, "/f", storage.Meta{ModTime: &when})
		}, func(t *testing.T, h *Home) (bool, bool) {
			e, err := h.Stat(bg, "/f")
			now := err == nil && e.ModTime.Equal(time.Unix(1e9, 0))
			return !now && content(t, h, "/f") == string(oldText), now && content(t, h, "/f") == string(oldText)
		}},
	}
}

// An operation that fails is an error, the state is the one before or the one after, and the next request works, in this
// process and after a restart.
func TestFaults(t *testing.T) {
	for _, sc := range scenarios() {
		for _, mode := range faultModes() {
			t.Run(sc.name+"/"+mode.name, func(t *testing.T) {
				for at, reached := 1, true; reached; at++ {
					if at == 100 {
						t.Fatal("never ended")
					}
					reached = tryFault(t, sc, at, mode)
				}
			})
		}
	}
}

// faultMode is a kind of failure of the operation numbered at.
type faultMode struct {
	name string
	of   func(k, at int) fault
	must error // what the answer must be, unless it hit a clean-up; nil: success, as the failure can be made good
}

func faultModes() []faultMode {
	return []faultMode{
		{"EIO", func(k, at int) fault { return fault{err: when(k == at, unix.EIO)} }, unix.EIO},
		{"ENOSPC", func(k, at int) fault { return fault{err: when(k == at, unix.ENOSPC)} }, storage.ErrNoSpace},
		{"EDQUOT", func(k, at int) fault { return fault{err: when(k == at, unix.EDQUOT)} }, storage.ErrNoSpace},
		{"EIO after it was done", func(k, at int) fault { return fault{err: when(k == at, unix.EIO), late: true} }, unix.EIO},
		{"EIO from then on", func(k, at int) fault { return fault{err: when(k >= at, unix.EIO)} }, unix.EIO},
		{"EINTR", func(k, at int) fault { return fault{err: when(k == at, unix.EINTR)} }, nil},
		{"short write", func(k, at int) fault { return fault{short: k == at} }, nil},
	}
}

func when(yes bool, err error) error {
	if yes {
		return err
	}
	return nil
}

// tryFault runs the scenario with a fault at operation at and tells whether there was one.
func tryFault(t *testing.T, sc scenario, at int, mode faultMode) bool {
	dir, p := t.TempDir(), &tap{loose: true}
	h := open(t, dir, Options{Ops: p.ops()})
	if err := sc.setup(h); err != nil {
		t.Fatalf("setup: %v", err)
	}
	p.watch(func(k int, op string) fault { return mode.of(k, at) })
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
	if !errors.Is(err, mode.must) && (err != nil || log[at-1] != "unlink") {
		t.Errorf("%s: want %v", what, mode.must)
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
	h = open(t, dir, Options{Ops: loose()})
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

// groupPaths are what a group of uploads is for: three in one directory, one below a directory that is new.
var groupPaths = []string{"/a", "/b", "/d/c", "/e"}

// stageGroup puts the old content at every path of the group but that in the new directory, and stages the new one.
func stageGroup(h *Home) (ups []storage.Upload, err error) {
	for i, path := range groupPaths {
		s := storage.Spec{Path: path, Ephemeral: i != 1, Parents: true}
		if path != "/d/c" {
			if err := put(h, s, oldText); err != nil {
				return nil, err
			}
		}
		s.Length = int64(len(newText))
		u, err := h.Upload(bg, s)
		if err == nil {
			err = u.Put(bg, 0, newText)
		}
		if err != nil {
			return nil, err
		}
		ups = append(ups, u)
	}
	return ups, nil
}

// checkGroup holds that each member is old or new, and new where that was the answer. res is nil if there was none.
func checkGroup(t *testing.T, h *Home, what string, res []storage.Result) (failed int) {
	t.Helper()
	for i, path := range groupPaths {
		old := string(oldText)
		if path == "/d/c" {
			old = ""
		}
		got := content(t, h, path)
		if got != string(newText) && (got != old || res != nil && res[i].Err == nil) {
			t.Errorf("%s: %s has %d bytes, result %+v", what, path, len(got), res)
		}
		if res != nil && res[i].Err != nil {
			failed++
		}
	}
	return failed
}

// In a group a member's fault is its own, and a directory's that of all in it.
func TestGroupFaults(t *testing.T) {
	for _, mode := range faultModes() {
		t.Run(mode.name, func(t *testing.T) {
			for at := 1; at < 100; at++ {
				p := &tap{loose: true}
				h := open(t, t.TempDir(), Options{Ops: p.ops()})
				ups, err := stageGroup(h)
				must(t, err)
				p.watch(func(k int, op string) fault { return mode.of(k, at) })
				res := h.Commit(bg, true, ups...)
				log := p.seen()
				p.watch(nil)
				if len(log) < at {
					return
				}
				op := log[at-1]
				failed := checkGroup(t, h, fmt.Sprintf("fault at %d, %s", at, op), res)
				least, most := 1, 1
				switch {
				case mode.must == nil:
					least, most = 0, 0
				case op == "unlink": // of what is left behind
					least, most = 0, 0
				case mode.name == "EIO from then on":
					most = len(ups)
				case op == "syncdir": // of which three have the same
					most = 3
				}
				if failed < least || failed > most {
					t.Errorf("fault at %d, %s: %d members failed", at, op, failed)
				}
				for i, r := range res {
					if r.Err != nil && !errors.Is(r.Err, mode.must) {
						t.Errorf("fault at %d, %s: %s: %v, want %v", at, op, groupPaths[i], r.Err, mode.must)
					}
				}
				for _, u := range ups {
					u.Close()
				}
				must(t, put(h, storage.Spec{Path: "/next"}, newText))
				h.Close()
			}
			t.Error("never ended")
		})
	}
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
			if _, err := u.Keep(bg, r, n*block.Size, block.Size, nil); err != nil {
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
