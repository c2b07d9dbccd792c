package local

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"ferry/internal/powercut"
	"ferry/server/storage"
)

// crashes are ways for a process to end at the operation numbered at: nothing it wants from then on is done any more.
func crashes() []faultMode {
	dead := func(k, at int) fault { return fault{err: when(k >= at, unix.EIO)} }
	return []faultMode{
		{name: "before", of: dead},
		{name: "in the middle", of: func(k, at int) fault {
			if k == at {
				return fault{short: true} // of a write half is done; of all else, all
			}
			return dead(k, at)
		}},
	}
}

// A process that ends at any operation leaves the old or the new state, and the new one if it had answered. The next one
// goes on with the upload or cleans up behind it.
func TestCrash(t *testing.T) {
	for _, sc := range scenarios() {
		for _, mode := range crashes() {
			t.Run(sc.name+"/"+mode.name, func(t *testing.T) {
				for at, reached := 1, true; reached; at++ {
					if at == 100 {
						t.Fatal("never ended")
					}
					reached = tryCrash(t, sc, at, mode)
				}
			})
		}
	}
}

// tryCrash runs the scenario with a crash at operation at and tells whether it came so far.
func tryCrash(t *testing.T, sc scenario, at int, mode faultMode) bool {
	dir, p := t.TempDir(), &tap{loose: true}
	gone := open(t, dir, Options{Ops: p.ops()})
	must(t, sc.setup(gone))
	p.watch(func(k int, op string) fault { return mode.of(k, at) })
	err := sc.act(gone)
	log := p.seen()
	if len(log) < at {
		must(t, err)
		return false
	}
	defer gone.Close() // which does nothing to the disk any more
	what := fmt.Sprintf("crash at %d, %s, answer %v", at, log[at-1], err)
	h := open(t, dir, Options{Ops: loose()})
	before, after := sc.did(t, h)
	if !before && !after {
		t.Errorf("%s: neither the old nor the new state", what)
	}
	if err == nil && !after {
		t.Errorf("%s: an untrue success", what)
	}
	for up, err := range h.Uploads(bg) { // all that is listed can be gone on with
		must(t, err)
		u, err := h.Upload(bg, up)
		if err != nil {
			t.Errorf("%s: a staging that cannot be opened: %v", what, err)
			continue
		}
		if u.Spec().Key != up.Key || u.Spec().Epoch != up.Epoch+1 {
			t.Errorf("%s: adopted with %+v, was %+v", what, u.Spec(), up)
		}
		must(t, u.Close())
	}
	if _, after := sc.did(t, h); !after {
		if err := sc.act(h); err != nil {
			t.Errorf("%s: the same again: %v", what, err)
		}
	}
	if _, after := sc.did(t, h); !after {
		t.Errorf("%s: not done after it was done again", what)
	}
	h.Expire(bg, 0)
	if left := below(t, dir); len(left) != 0 {
		t.Errorf("%s: left in the staging: %q", what, left)
	}
	return true
}

// A process that ends in the middle of a group commit leaves each member old or new.
func TestGroupCrash(t *testing.T) {
	for at := 1; at < 100; at++ {
		dir, p := t.TempDir(), &tap{loose: true}
		gone := open(t, dir, Options{Ops: p.ops()})
		ups, err := stageGroup(gone)
		must(t, err)
		p.watch(func(k int, op string) fault { return crashes()[0].of(k, at) })
		res := gone.Commit(bg, true, ups...)
		if len(p.seen()) < at {
			return
		}
		h := open(t, dir, Options{Ops: loose()})
		checkGroup(t, h, fmt.Sprintf("crash at %d", at), res)
		again, err := stageGroup(h)
		must(t, err)
		for _, r := range h.Commit(bg, true, again...) {
			must(t, r.Err)
		}
		h.Expire(bg, 0)
		if left := below(t, dir); len(left) != 0 {
			t.Errorf("crash at %d: left in the staging: %q", at, left)
		}
		h.Close()
		gone.Close()
	}
	t.Error("never ended")
}

// A start that is killed while it cleans up, again and again, ends where one clean start would have.
func TestRecoveryKilled(t *testing.T) {
	leave := func() string {
		home := t.TempDir()
		h := open(t, home, Options{Ops: loose()})
		var ids []string
		for range 6 {
			u, err := h.Upload(bg, storage.Spec{Path: "/f", Length: 10})
			must(t, err)
			ids = append(ids, u.Spec().ID)
		}
		h.Close()
		stage := filepath.Join(home, reserved)
		must(t, os.Remove(filepath.Join(stage, ids[1], journalName)))
		must(t, os.Remove(filepath.Join(stage, ids[2], dataName)))
		must(t, os.Rename(filepath.Join(stage, ids[3], journalName), filepath.Join(stage, ids[3], journalNew)))
		must(t, os.WriteFile(filepath.Join(stage, ids[4], journalNew), []byte("half a jour"), 0o600))
		must(t, os.WriteFile(filepath.Join(stage, ids[5], journalName), []byte("no journal"), 0o600))
		for i := range 3 {
			must(t, os.WriteFile(filepath.Join(stage, fmt.Sprintf("%s%032x", lightPrefix, i)), nil, 0o600))
		}
		must(t, os.WriteFile(filepath.Join(stage, "stranger"), nil, 0o600))
		must(t, os.Mkdir(filepath.Join(stage, "folder"), 0o700))
		return home
	}
	load := func(home string, hook func(k int, op string) fault) (left []string, n int) {
		p := &tap{loose: true, hook: hook}
		h := open(t, home, Options{Ops: p.ops()})
		defer h.Close()
		listed := 0
		for _, err := range h.Uploads(bg) {
			must(t, err)
			listed++
		}
		for _, name := range below(t, home) {
			if id, ok := strings.CutPrefix(name, quarantined); ok && stagingID.MatchString(id) {
				name = quarantined + "upload"
			}
			left = append(left, name)
		}
		slices.Sort(left)
		return append(left, fmt.Sprint(listed, " listed")), len(p.seen())
	}
	want, n := load(leave(), nil)
	if again := []string{"quarantine-folder", "quarantine-stranger", "quarantine-upload", "upload", "upload", "2 listed"}; !slices.Equal(want, again) || n < 10 {
		t.Fatalf("a clean start does %d operations and leaves %q", n, want)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for at := 1; at <= n; at++ {
		home := leave()
		for round := range 20 {
			end := at
			if round > 0 {
				end = 1 + rnd.IntN(3)
			}
			load(home, func(k int, op string) fault { return crashes()[round%2].of(k, end) })
		}
		if got, _ := load(home, nil); !slices.Equal(got, want) {
			t.Errorf("killed first at %d, then 19 times more: %q, want %q", at, got, want)
		}
		if got, n := load(home, nil); !slices.Equal(got, want) || n != 0 {
			t.Errorf("killed first at %d: one more start does %d operations: %q", at, n, got)
		}
	}
}

// An upload whose sync failed once is not trusted after it: its bytes come from the sender again, though the next sync
// would succeed and the kernel still shows them.
func TestSyncFailedOnce(t *testing.T) {
	p := &tap{}
	home := t.TempDir()
	h := open(t, home, Options{Ops: p.ops()})
	must(t, put(h, storage.Spec{Path: "/f"}, oldText))
	for _, sc := range scenarios() {
		if sc.name != "resume" {
			continue
		}
		must(t, sc.setup(h))
		once := true
		p.watch(func(k int, op string) fault {
			err := when(op == "sync" && once && k > 3, unix.EIO) // after the journal's
			once = once && err == nil
			return fault{err: err}
		})
		if err := sc.act(h); !errors.Is(err, storage.ErrLost) || once {
			t.Fatalf("%v, failed %v", err, !once)
		}
		p.watch(nil)
		if got := content(t, h, "/f"); got != string(oldText) {
			t.Errorf("%d bytes are visible", len(got))
		}
		if left := below(t, home); len(left) != 0 {
			t.Errorf("what cannot be trusted is still there: %q", left)
		}
		must(t, sc.act(h))
		written := 0
		for _, op := range p.seen() {
			if op == "write" {
				written++
			}
		}
		if blocks := 3; written < blocks+1 { // and the journal
			t.Errorf("%d writes for %d blocks", written, blocks)
		}
		if _, after := sc.did(t, h); !after {
			t.Error("not there in the end")
		}
	}
}

// A staging whose sync failed and that cannot be removed is emptied, so that a later start finds nothing to trust.
func TestLostAndStuck(t *testing.T) {
	dir, p := t.TempDir(), &tap{}
	h := open(t, dir, Options{Ops: p.ops()})
	u, err := h.Upload(bg, storage.Spec{Path: "/f", Length: int64(len(newText))})
	must(t, err)
	must(t, u.Put(bg, 0, newText))
	p.watch(func(k int, op string) fault { return fault{err: when(op == "sync" || op == "unlink", unix.EIO)} })
	if err := h.Commit(bg, true, u)[0].Err; !errors.Is(err, storage.ErrLost) {
		t.Errorf("commit: %v", err)
	}
	h.Close()
	h = open(t, dir, Options{})
	again, err := h.Upload(bg, storage.Spec{ID: u.Spec().ID, Path: "/f", Length: int64(len(newText))})
	must(t, err)
	if have := again.Have(8); len(have) != 0 {
		t.Errorf("the next start trusts %v", have)
	}
}

// What the engine changes about one name at the same time ends as if one change had come after the other.
func TestRaces(t *testing.T) {
	const rounds = 200
	h := open(t, t.TempDir(), Options{})
	missing := func(err error) bool { return errors.Is(err, fs.ErrNotExist) }
	upload := func(eph bool) func() error {
		return func() error { return put(h, storage.Spec{Path: "/f", Ephemeral: eph}, newText) }
	}
	for _, race := range []struct {
		name  string
		setup func() error
		a, b  func() error
		legal func(a, b error, f, g string) bool // f and g are what /f and /g hold
	}{
		{"put and rm", func() error { return put(h, storage.Spec{Path: "/f", Ephemeral: true}, oldText) }, upload(true),
			func() error { return h.Remove(bg, "/f") },
			func(a, b error, f, g string) bool { return a == nil && b == nil && (f == "" || f == string(newText)) }},
		{"put and rm of nothing", func() error { return nil }, upload(false), func() error { return h.Remove(bg, "/f") },
			func(a, b error, f, g string) bool {
				return a == nil && (b == nil && f == "" || missing(b) && f == string(newText))
			}},
		{"put and mv", func() error { return put(h, storage.Spec{Path: "/f", Ephemeral: true}, oldText) }, upload(true),
			func() error { return h.Rename(bg, "/f", "/g", true) },
			func(a, b error, f, g string) bool {
				return a == nil && b == nil && (f == "" && g == string(newText) || f == string(newText) && g == string(oldText))
			}},
		{"mv and mv back", func() error { return put(h, storage.Spec{Path: "/f", Ephemeral: true}, oldText) },
			func() error { return h.Rename(bg, "/f", "/g", false) }, func() error { return h.Rename(bg, "/g", "/f", false) },
			func(a, b error, f, g string) bool {
				return a == nil && (b == nil && f == string(oldText) && g == "" || missing(b) && f == "" && g == string(oldText))
			}},
		{"two puts where nothing is", func() error { return nil },
			func() error { return put(h, storage.Spec{Path: "/f", Expect: new(string)}, newText) },
			func() error { return put(h, storage.Spec{Path: "/f", Expect: new(string), Ephemeral: true}, oldText) },
			func(a, b error, f, g string) bool {
				return a == nil && errors.Is(b, fs.ErrExist) && f == string(newText) || b == nil && errors.Is(a, fs.ErrExist) && f == string(oldText)
			}},
		{"mkdir and rmdir", func() error { return h.Mkdir(bg, "/d", false) }, func() error { return h.Mkdir(bg, "/d", false) },
			func() error { return h.Remove(bg, "/d") },
			func(a, b error, f, g string) bool {
				_, err := h.Stat(bg, "/d")
				return b == nil && (a == nil && err == nil || errors.Is(a, fs.ErrExist) && missing(err))
			}},
		{"put into a directory and rmdir", func() error { return h.Mkdir(bg, "/d", false) },
			func() error { return put(h, storage.Spec{Path: "/d/x", Ephemeral: true}, newText) },
			func() error { return h.Remove(bg, "/d") },
			func(a, b error, f, g string) bool {
				x, err := h.Stat(bg, "/d/x")
				return a == nil && errors.Is(b, storage.ErrNotEmpty) && x.Length == int64(len(newText)) || missing(a) && b == nil && missing(err)
			}},
	} {
		for i := range rounds {
			must(t, race.setup())
			var a, b error
			var wg sync.WaitGroup
			wg.Go(func() { a = race.a() })
			wg.Go(func() { b = race.b() })
			wg.Wait()
			if f, g := content(t, h, "/f"), content(t, h, "/g"); !race.legal(a, b, f, g) {
				t.Fatalf("%s, round %d: %v and %v leave %d and %d bytes", race.name, i, a, b, len(f), len(g))
			}
			wipe(t, h)
		}
		h.Expire(bg, 0)
		if left := below(t, h.root.Name()); len(left) != 0 {
			t.Errorf("%s: left in the staging: %q", race.name, left)
		}
	}
}

// wipe removes everything that scenarios and races make.
func wipe(t *testing.T, h *Home) {
	t.Helper()
	var names []string
	for e, err := range h.List(bg, "/", true) {
		must(t, err)
		names = append(names, e.Name)
	}
	for _, name := range slices.Backward(names) {
		must(t, h.Remove(bg, name))
	}
	for up, err := range h.Uploads(bg) {
		must(t, err)
		must(t, h.Drop(bg, up.ID))
	}
}

// When the file system of the homes is taken away under a running server, nothing is ever written where it was mounted.
func TestMountGone(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount a small file system")
	}
	point := t.TempDir()
	if err := unix.Mount("tmpfs", point, "tmpfs", 0, "size=8m"); err != nil {
		t.Skip("cannot mount a small file system: ", err)
	}
	home := filepath.Join(point, "alice")
	must(t, os.Mkdir(home, 0o700))
	h := open(t, home, Options{})
	must(t, put(h, storage.Spec{Path: "/f"}, oldText))
	u, err := h.Upload(bg, storage.Spec{Path: "/half", Length: 100})
	must(t, err)
	must(t, unix.Unmount(point, unix.MNT_DETACH))
	for what, err := range map[string]error{ // an error, or done on the file system that was meant
		"put": put(h, storage.Spec{Path: "/g"}, newText), "small put": put(h, storage.Spec{Path: "/d/g", Ephemeral: true, Parents: true}, newText),
		"commit": h.Commit(bg, true, u)[0].Err, "mkdir": h.Mkdir(bg, "/x/y", true), "mv": h.Rename(bg, "/f", "/moved", true),
	} {
		if err == nil && content(t, h, "/moved") != string(oldText) {
			t.Errorf("%s was done elsewhere", what)
		}
	}
	if list, err := os.ReadDir(point); err != nil || len(list) != 0 {
		t.Errorf("the empty mount point has %v, %v", list, err)
	}
	if h, err := Open(home, Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("opened again: %v, %v", h, err)
	}
	if list, err := os.ReadDir(point); err != nil || len(list) != 0 {
		t.Errorf("the empty mount point has %v, %v", list, err)
	}
}

// A staging directory that somebody removes under a running server costs the uploads in it and nothing more.
func TestStagingRemoved(t *testing.T) {
	home := t.TempDir()
	h := open(t, home, Options{})
	must(t, put(h, storage.Spec{Path: "/f"}, oldText))
	u, err := h.Upload(bg, storage.Spec{Path: "/g", Length: int64(len(newText))})
	must(t, err)
	must(t, os.RemoveAll(filepath.Join(home, reserved)))
	must(t, put(h, storage.Spec{Path: "/small", Ephemeral: true}, newText))
	must(t, put(h, storage.Spec{Path: "/large"}, newText))
	if err := h.Commit(bg, true, u)[0].Err; !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("commit of what was removed: %v", err)
	}
	if _, err := h.Upload(bg, u.Spec()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("reopened: %v", err)
	}
	if _, err := h.Stat(bg, "/"+reserved+"/x"); !errors.Is(err, storage.ErrBadPath) {
		t.Errorf("the new one can be reached: %v", err)
	}
	for _, name := range []string{"/small", "/large"} {
		if content(t, h, name) != string(newText) {
			t.Errorf("%s holds something else", name)
		}
	}
}

// starve calls f with so many descriptors left.
func starve(t *testing.T, left int, f func()) {
	t.Helper()
	var limit unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	free, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	must(t, err)
	unix.Close(free)
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(free + left), Max: limit.Max}))
	defer func() { must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)) }()
	f()
}

// Whichever open finds no descriptor left, the answer is an error, the state old or new, and the next request works.
func TestNoDescriptors(t *testing.T) {
	const most = 8
	for _, sc := range scenarios() {
		failed := 0
		for left := range most {
			h := open(t, t.TempDir(), Options{Ops: loose()})
			must(t, sc.setup(h))
			var err error
			starve(t, left, func() { err = sc.act(h) })
			what := fmt.Sprintf("%s with %d descriptors, answer %v", sc.name, left, err)
			if err != nil {
				failed++
			}
			if err != nil && !errors.Is(err, unix.EMFILE) {
				t.Errorf("%s: another error", what)
			}
			before, after := sc.did(t, h)
			if !before && !after || err == nil && !after {
				t.Errorf("%s: before %v, after %v", what, before, after)
			}
			must(t, put(h, storage.Spec{Path: "/next"}, newText))
			if !after {
				if err := sc.act(h); err != nil {
					t.Errorf("%s: the same again: %v", what, err)
				}
			}
			h.Close()
		}
		if failed == 0 || failed == most {
			t.Errorf("%s failed %d times of %d", sc.name, failed, most)
		}
	}
	for left := range most { // when everything is there but for the commit
		h := open(t, t.TempDir(), Options{Ops: loose()})
		ups, err := stageGroup(h)
		must(t, err)
		var res []storage.Result
		starve(t, left, func() { res = h.Commit(bg, true, ups...) })
		if failed := checkGroup(t, h, fmt.Sprintf("group with %d descriptors", left), res); (failed == 0) != (left >= 4) {
			t.Errorf("group with %d descriptors: %d members failed", left, failed)
		}
		again := map[bool]string{true: "/next", false: "/small"}
		for eph, name := range again {
			must(t, put(h, storage.Spec{Path: name, Ephemeral: eph}, newText))
		}
		for i, r := range h.Commit(bg, true, ups...) {
			if res[i].Err != nil && r.Err != nil {
				t.Errorf("group with %d descriptors: member %d again: %v", left, i, r.Err)
			}
		}
		h.Close()
	}
}

// A tree of small files that was committed as groups is there, whole, after a power cut.
func TestPowerTree(t *testing.T) {
	d := powercut.New(t)
	h := open(t, d.Dir(), Options{})
	want := map[string]string{}
	for group := range 3 {
		var ups []storage.Upload
		for i := range 256 {
			path, text := fmt.Sprintf("/tree/%d/%d/f%03d", group, i%9, i), fmt.Sprintf("%d-%d", group, i)
			if i%50 == 0 {
				text = ""
			}
			u, err := h.Upload(bg, storage.Spec{Path: path, Length: int64(len(text)), Ephemeral: true, Parents: true})
			must(t, err)
			must(t, u.Put(bg, 0, []byte(text)))
			ups, want[path] = append(ups, u), text
		}
		for _, r := range h.Commit(bg, true, ups...) {
			must(t, r.Err)
		}
	}
	cut := open(t, d.Cut(), Options{})
	n := 0
	for e, err := range cut.List(bg, "/", true) {
		must(t, err)
		if e.Kind != storage.File {
			continue
		}
		text, ok := want[e.Name]
		if got := content(t, cut, e.Name); !ok || got != text {
			t.Errorf("%s holds %q, want %q", e.Name, got, text)
		}
		n++
	}
	if n != len(want) {
		t.Errorf("%d files of %d are there", n, len(want))
	}
}

// A power cut at any operation of a group commit leaves each member old or new.
func TestPowerGroup(t *testing.T) {
	d, p := powercut.New(t), &tap{}
	h := open(t, d.Dir(), Options{Ops: p.ops()})
	ups, err := stageGroup(h)
	must(t, err)
	var mu sync.Mutex // one cut at a time
	var cuts []string
	p.watch(func(k int, op string) fault {
		mu.Lock()
		defer mu.Unlock()
		cuts = append(cuts, d.Cut())
		return fault{}
	})
	res := h.Commit(bg, true, ups...)
	p.watch(nil)
	if n := checkGroup(t, h, "without a cut", res); n != 0 {
		t.Errorf("%d members failed", n)
	}
	for i, dir := range append(cuts, d.Cut()) {
		if i < len(cuts) {
			res = nil // not answered yet
		} else {
			res = make([]storage.Result, len(ups))
		}
		cut := open(t, dir, Options{})
		checkGroup(t, cut, fmt.Sprintf("cut %d", i+1), res)
		for _, err := range cut.Uploads(bg) {
			must(t, err)
		}
		cut.Close()
	}
	if len(cuts) < 10 {
		t.Errorf("only %d cuts", len(cuts))
	}
}

// A rename that is reported to have failed and was done after all, as network file systems can, leaves no handle through
// which the published file could be written to.
func TestRenameUnsure(t *testing.T) {
	for _, eph := range []bool{true, false} {
		p := &tap{}
		h := open(t, t.TempDir(), Options{Ops: p.ops()})
		u, err := h.Upload(bg, storage.Spec{Path: "/f", Length: int64(len(newText)), Ephemeral: eph})
		must(t, err)
		must(t, u.Put(bg, 0, newText))
		p.watch(func(k int, op string) fault { return fault{err: when(op == "rename", unix.EIO), late: true} })
		if err := h.Commit(bg, true, u)[0].Err; !errors.Is(err, unix.EIO) {
			t.Errorf("ephemeral %v: commit: %v", eph, err)
		}
		p.watch(nil)
		again, err := h.Upload(bg, storage.Spec{ID: u.Spec().ID, Path: "/f", Length: int64(len(newText)), Ephemeral: eph})
		if err == nil {
			err = again.Put(bg, 0, oldText)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("ephemeral %v: reopened: %v", eph, err)
		}
		if err := u.Put(bg, 0, oldText); !errors.Is(err, storage.ErrLost) {
			t.Errorf("ephemeral %v: put through the old handle: %v", eph, err)
		}
		if got := content(t, h, "/f"); got != string(newText) {
			t.Errorf("ephemeral %v: the published file has %d bytes now", eph, len(got))
		}
	}
}

// What was sent without a sync, or published by a commit whose last sync failed, is durable once SetMeta has said so.
func TestPowerSetMeta(t *testing.T) {
	d, p := powercut.New(t), &tap{}
	h := open(t, d.Dir(), Options{Ops: p.ops()})
	loose := func(spec storage.Spec, sync bool) {
		t.Helper()
		spec.Length = int64(len(newText))
		u, err := h.Upload(bg, spec)
		must(t, err)
		defer u.Close()
		must(t, u.Put(bg, 0, newText))
		if err := h.Commit(bg, sync, u)[0].Err; (err == nil) == sync {
			t.Fatalf("commit of %s: %v", spec.Path, err)
		}
	}
	loose(storage.Spec{Path: "/a/b/sent", Parents: true}, false)
	loose(storage.Spec{Path: "/a/c/small", Parents: true, Ephemeral: true}, false)
	p.watch(func(k int, op string) fault { return fault{err: when(op == "syncdir", unix.EIO)} })
	loose(storage.Spec{Path: "/failed", Ephemeral: true}, true)
	p.watch(nil)
	names := []string{"/a/b/sent", "/a/c/small", "/failed"}
	for _, name := range names {
		must(t, h.SetMeta(bg, name, storage.Meta{}))
	}
	cut := open(t, d.Cut(), Options{})
	for _, name := range names {
		if got := content(t, cut, name); got != string(newText) {
			t.Errorf("%s has %d bytes after the cut", name, len(got))
		}
	}
}

// A tree that was removed stays so after a power cut; what had to stay, and what was there besides, is whole.
func TestPowerRemoveAll(t *testing.T) {
	d := powercut.New(t)
	h := open(t, d.Dir(), Options{})
	for _, name := range []string{"/gone/a/b/f", "/gone/g", "/part/a/f", "/part/a/keep", "/part/g", "/besides"} {
		must(t, put(h, storage.Spec{Path: name, Parents: true}, newText))
	}
	stays := 0
	for _, name := range []string{"/gone", "/part"} {
		_, err := h.RemoveAll(bg, name, func(name string) error {
			return when(strings.HasSuffix(name, "/keep"), fs.ErrPermission)
		}, func(string, error) { stays++ })
		must(t, err)
	}
	cut := open(t, d.Cut(), Options{})
	var left []string
	for e, err := range cut.List(bg, "/", true) {
		must(t, err)
		if e.Name != "/lost+found" { // the file system's own
			left = append(left, e.Name)
		}
	}
	slices.Sort(left)
	if want := []string{"/besides", "/part", "/part/a", "/part/a/keep"}; !slices.Equal(left, want) || stays != 1 {
		t.Errorf("after the cut: %q, want %q; %d names stayed", left, want, stays)
	}
	if content(t, cut, "/part/a/keep") != string(newText) || content(t, cut, "/besides") != string(newText) {
		t.Error("what was to stay is not whole")
	}
}
