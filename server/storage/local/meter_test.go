package local

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ferry/server/storage"
)

// space returns what a tree takes up by the lengths of its files, unfinished uploads included, as somebody sees who does not
// know the engine. What vanishes meanwhile, under one name or both, is looked at again.
func space(t *testing.T, home string) (a storage.Amount) {
	t.Helper()
	err := filepath.WalkDir(home, func(name string, d os.DirEntry, err error) error {
		if err != nil || name == home {
			return err
		}
		rel, _ := filepath.Rel(home, name)
		info, err := d.Info()
		switch {
		case err != nil:
			return err
		case rel == reserved || filepath.Base(rel) == journalName || filepath.Base(rel) == journalNew:
		case filepath.Dir(rel) == reserved && d.IsDir():
		case info.Mode().IsRegular():
			a = a.Plus(storage.Amount{Bytes: info.Size(), Files: 1})
		default:
			a.Files++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// limited opens a home with limits.
func limited(t *testing.T, dir string, limit storage.Amount) *Home {
	return open(t, dir, Options{Owner: "alice", Limits: func() storage.Amount { return limit }})
}

// full complains unless err says that limit is reached.
func full(t *testing.T, what string, err error, used storage.Amount) {
	t.Helper()
	var e *storage.QuotaError
	if !errors.As(err, &e) {
		t.Errorf("%s: %v, want a *QuotaError", what, err)
	} else if e.Used != used {
		t.Errorf("%s: %+v are said to be used, want %+v", what, e.Used, used)
	}
}

// What is there before the first change counts, and what would be too much is refused, before anything is changed. What takes
// no more is not.
func TestLimits(t *testing.T) {
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "d"), 0o700))
	must(t, os.WriteFile(filepath.Join(dir, "d/old"), make([]byte, 60), 0o600))
	h := limited(t, dir, storage.Amount{Bytes: 100, Files: 4})
	for _, n := range []int64{41, 1 << 62, 1<<63 - 1} {
		for _, once := range []bool{false, true} {
			_, err := h.Upload(bg, storage.Spec{Path: "/f", Length: n, Ephemeral: once})
			full(t, fmt.Sprint(n, " more bytes"), err, storage.Amount{Bytes: 60, Files: 2})
		}
	}
	u, err := h.Upload(bg, storage.Spec{Path: "/f", Length: 40})
	must(t, err)
	_, err = h.Upload(bg, storage.Spec{Path: "/d/old", Length: 1})
	full(t, "a new version, while the old one is there", err, storage.Amount{Bytes: 100, Files: 3})
	e, err := h.Upload(bg, storage.Spec{Path: "/empty", Ephemeral: true})
	must(t, err)
	full(t, "mkdir", h.Mkdir(bg, "/x", false), storage.Amount{Bytes: 100, Files: 4})
	full(t, "mkdir -p", h.Mkdir(bg, "/x/y", true), storage.Amount{Bytes: 100, Files: 4})
	if err := h.Mkdir(bg, "/d", false); !errors.Is(err, os.ErrExist) {
		t.Errorf("mkdir of what is there: %v", err)
	}
	must(t, h.Mkdir(bg, "/d", true))
	if r := h.Commit(bg, true, u, e); r[0].Err != nil || r[1].Err != nil {
		t.Error(r)
	}
	must(t, h.Rename(bg, "/f", "/d/old", true))
	u, err = h.Upload(bg, storage.Spec{Path: "/x/y", Length: 60, Parents: true})
	must(t, err)
	full(t, "the directory above a finished upload", h.Commit(bg, true, u)[0].Err, storage.Amount{Bytes: 100, Files: 4})
	spec := u.Spec()
	spec.Length = 61
	_, err = h.Upload(bg, spec)
	full(t, "a source that has grown", err, storage.Amount{Bytes: 100, Files: 4})
	must(t, h.Remove(bg, "/empty"))
	spec.Length = 60
	u, err = h.Upload(bg, spec)
	must(t, err)
	must(t, h.Commit(bg, true, u)[0].Err)
	if got := space(t, dir); got != (storage.Amount{Bytes: 100, Files: 4}) {
		t.Errorf("%+v", got)
	}
}

// A limit that is lowered below what is there keeps nobody from removing, moving, or going on with what was begun.
func TestLimitLowered(t *testing.T) {
	dir := t.TempDir()
	var limit storage.Amount
	h := open(t, dir, Options{Limits: func() storage.Amount { return limit }})
	u, err := h.Upload(bg, storage.Spec{Path: "/f", Length: 100})
	must(t, err)
	limit = storage.Amount{Bytes: 10, Files: 1}
	spec := u.Spec()
	spec.Length = 90
	u, err = h.Upload(bg, spec)
	must(t, err)
	must(t, h.Commit(bg, true, u)[0].Err)
	must(t, h.Rename(bg, "/f", "/g", false))
	full(t, "an empty file", second(h.Upload(bg, storage.Spec{Path: "/e", Ephemeral: true})), storage.Amount{Bytes: 90, Files: 1})
	must(t, h.Remove(bg, "/g"))
	u, err = h.Upload(bg, storage.Spec{Path: "/e", Length: 10})
	must(t, err)
	must(t, h.Commit(bg, true, u)[0].Err)
}

func second[T any](_ T, err error) error { return err }

// Whatever is done in whatever order, the count stays that of the disk, and that never exceeds the limit. With faults the count
// may be higher: nobody knows whether an upload's new length has reached the disk.
func TestMeterTorture(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			tortureMeter(t, seed, seed%2 == 1)
		})
	}
}

func tortureMeter(t *testing.T, seed uint64, faults bool) {
	dir := t.TempDir()
	limit := storage.Amount{Bytes: 3000, Files: 12}
	var p tap
	r := rand.New(rand.NewPCG(seed, 1))
	spoil := func(_ int, op string) fault { // not so that something is done or stays without being known
		return fault{err: when(faults && op != "unlink" && op != "mkdir" && rand.IntN(40) == 0, unix.EIO)}
	}
	p.watch(spoil)
	var kept *storage.Amount
	reopen := func() *Home {
		return open(t, dir, Options{Ops: p.ops(), Limits: func() storage.Amount { return limit }, Restore: func() (a storage.Amount, ok bool) {
			if kept != nil {
				a, ok = *kept, true
			}
			kept = nil
			return a, ok
		}})
	}
	h := reopen()
	names := []string{"/a", "/b", "/d", "/d/a", "/d/e/a", "/d/e", "/g/h"}
	refused, done := 0, 0
	for turn := 0; turn < 400 || refused < 8 && turn < 4000; turn++ { // how often there is no room depends on the faults
		name, other := names[r.IntN(len(names))], names[r.IntN(len(names))]
		var err error
		switch r.IntN(13) {
		case 6:
			_, err = h.RemoveAll(bg, name, func(string) error { return when(r.IntN(4) == 0, unix.EACCES) }, func(string, error) {})
		case 0:
			err = h.Mkdir(bg, name, r.IntN(2) == 0)
		case 1:
			err = h.Remove(bg, name)
		case 2:
			err = h.Rename(bg, name, other, r.IntN(2) == 0)
		case 3:
			for s := range h.Uploads(bg) {
				if r.IntN(2) == 0 {
					err = h.Drop(bg, s.ID)
				}
			}
		case 4:
			h.Expire(bg, 0)
		case 5:
			must(t, h.Close())
			if a, _, ok := h.Counted(); ok && r.IntN(2) == 0 {
				kept = &a
			}
			h = reopen()
		default:
			err = randomUpload(h, r, name)
		}
		if errors.As(err, new(*storage.QuotaError)) {
			refused++
		} else if err == nil {
			done++
		}
		p.watch(nil)
		u, err := h.Usage(bg)
		must(t, err)
		p.watch(spoil)
		got := space(t, dir)
		if u.Used != got && (!faults || u.Used.Files != got.Files || u.Used.Bytes < got.Bytes) || got.Bytes > limit.Bytes || got.Files > limit.Files {
			t.Fatalf("%+v counted, %+v there, %+v allowed\n%s", u.Used, got, limit, strings.Join(below(t, dir), "\n"))
		}
	}
	if refused < 8 || done < 100 {
		t.Errorf("%d refused, %d done: not what this test is for", refused, done)
	}
}

// randomUpload begins an upload, or goes on with one, and does something with it.
func randomUpload(h *Home, r *rand.Rand, name string) error {
	spec := storage.Spec{Path: name, Length: r.Int64N(1500), Parents: r.IntN(2) == 0, Ephemeral: r.IntN(2) == 0, KeepSame: r.IntN(2) == 0}
	for s := range h.Uploads(bg) {
		if r.IntN(3) == 0 {
			spec.ID = s.ID
		}
	}
	u, err := h.Upload(bg, spec)
	if err != nil {
		return err
	}
	defer u.Close()
	if err := u.Put(bg, 0, make([]byte, spec.Length/2)); err != nil {
		return err
	}
	switch r.IntN(4) {
	case 0:
		return nil
	case 1:
		return u.Discard(bg)
	}
	return h.Commit(bg, r.IntN(2) == 0, u)[0].Err
}

// Files that came in by another way are found by Recount, or when removing them leaves less than nothing.
func TestRecount(t *testing.T) {
	dir := t.TempDir()
	h := limited(t, dir, storage.Amount{Bytes: 100})
	must(t, h.Mkdir(bg, "/d", false))
	must(t, os.WriteFile(filepath.Join(dir, "d/foreign"), make([]byte, 90), 0o600))
	was, is, known, err := h.Recount(bg)
	if err != nil || !known || was != (storage.Amount{Files: 1}) || is != (storage.Amount{Bytes: 90, Files: 2}) {
		t.Errorf("%+v, %+v, %v, %v", was, is, known, err)
	}
	must(t, os.WriteFile(filepath.Join(dir, "d/more"), make([]byte, 95), 0o600))
	must(t, h.Remove(bg, "/d/more"))
	_, err = h.Upload(bg, storage.Spec{Path: "/f", Length: 11})
	full(t, "after a count that cannot be right", err, storage.Amount{Bytes: 90, Files: 2})
}

// What the names took up is asked for before the first change, once, and believed.
func TestRestore(t *testing.T) {
	dir, asked := t.TempDir(), 0
	h := open(t, dir, Options{Limits: func() storage.Amount { return storage.Amount{Bytes: 100} }, Restore: func() (storage.Amount, bool) {
		asked++
		return storage.Amount{Bytes: 70, Files: 3}, true
	}})
	if _, _, known := h.Counted(); known || asked > 0 {
		t.Error("known before it was asked for")
	}
	must(t, h.Mkdir(bg, "/d", false))
	_, err := h.Upload(bg, storage.Spec{Path: "/f", Length: 31})
	full(t, "31 bytes", err, storage.Amount{Bytes: 70, Files: 4})
	if a, _, known := h.Counted(); !known || asked != 1 || a != (storage.Amount{Bytes: 70, Files: 4}) {
		t.Errorf("%+v, %v, asked %d times", a, known, asked)
	}
}
