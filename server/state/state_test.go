package state

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ferry/server/storage"
	"ferry/shared/partial"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func reopened(t *testing.T, dir string) *File {
	t.Helper()
	f, err := Open(dir)
	must(t, err)
	return f
}

var (
	some = storage.Amount{Bytes: 12345, Files: 67}
	few  = storage.Amount{Bytes: 8, Files: 9}
)

// What was saved is there again, and the file is closed to others.
func TestSave(t *testing.T) {
	dir := t.TempDir()
	f := reopened(t, dir)
	login := time.Date(2031, 1, 31, 12, 0, 0, 5, time.Local)
	f.Login("alice", login)
	f.Count("alice", "team/alice", some, few, true)
	f.Count("bob", "bob", storage.Amount{}, storage.Amount{}, false)
	f.Login("carol", login)
	must(t, f.Save())
	f = reopened(t, dir)
	for name, want := range map[string]Account{
		"alice": {Home: "team/alice", Named: some, Unfinished: few, Known: true, Exact: true, Login: login.UTC().Truncate(time.Second)},
		"bob":   {Home: "bob", Known: true},
		"carol": {Login: login.UTC().Truncate(time.Second)},
		"dave":  {},
	} {
		if got := f.Lookup(name); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, Name)); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	f.Forget(func(name string) bool { return name != "alice" })
	must(t, f.Save())
	if f = reopened(t, dir); f.Lookup("alice") != (Account{}) || f.Lookup("carol") == (Account{}) {
		t.Error("not only alice was forgotten")
	}
}

// A count is given out once, whatever happens afterwards, and only if it was exact and of that home.
func TestTake(t *testing.T) {
	dir := t.TempDir()
	f := reopened(t, dir)
	f.Count("alice", "alice", some, few, true)
	f.Count("bob", "bob", some, few, false)
	must(t, f.Save())
	f = reopened(t, dir)
	if _, ok, err := f.Take("alice", "elsewhere"); ok || err != nil {
		t.Errorf("the count of another home: %v, %v", ok, err)
	}
	if _, ok, err := f.Take("bob", "bob"); ok || err != nil {
		t.Errorf("a count that is not exact: %v, %v", ok, err)
	}
	if a, ok, err := f.Take("alice", "alice"); !ok || err != nil || a != some {
		t.Errorf("%+v, %v, %v", a, ok, err)
	}
	for _, f := range []*File{f, reopened(t, dir)} { // now, and as if the process had been killed
		if _, ok, _ := f.Take("alice", "alice"); ok {
			t.Error("given out twice")
		}
		if a := f.Lookup("alice"); a.Named != some || !a.Known {
			t.Errorf("to look at: %+v", a)
		}
	}
}

// Whatever cannot be understood is an error and nothing else.
func TestBroken(t *testing.T) {
	for _, text := range []string{"", "{", "[]", `{"format":2,"accounts":{}}`, `{"format":1,"accounts":{"a":{"used":"x"}}}`} {
		dir := t.TempDir()
		must(t, os.WriteFile(filepath.Join(dir, Name), []byte(text), 0o600))
		f, err := Open(dir)
		if err == nil || f == nil || f.Lookup("a") != (Account{}) {
			t.Errorf("%q: %v", text, err)
			continue
		}
		f.Login("a", time.Now())
		must(t, f.Save())
		reopened(t, dir)
	}
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, Name), []byte(`{"format":1,"accounts":{"a":{"home":"a","used":-1,"files":1,"exact":true}}}`), 0o600))
	if _, ok, _ := reopened(t, dir).Take("a", "a"); ok {
		t.Error("less than nothing is believed")
	}
}

// Whichever operation of a save fails, the file is whole, old or new, and the next save brings it up to date.
func TestFaults(t *testing.T) {
	broken := errors.New("broken")
	for at := 1; ; at++ {
		dir, n := t.TempDir(), 0
		hit := func() error {
			if n++; n == at {
				return broken
			}
			return nil
		}
		ops := partial.Real()
		real := ops
		ops.Open = func(name string, flag int, perm fs.FileMode) (*os.File, error) {
			if err := hit(); err != nil {
				return nil, err
			}
			return real.Open(name, flag, perm)
		}
		ops.WriteAt = func(f *os.File, b []byte, off int64) (int, error) {
			if err := hit(); err != nil {
				return 0, err
			}
			return real.WriteAt(f, b, off)
		}
		ops.Sync = func(f *os.File) error { return errors.Join(hit(), real.Sync(f)) }
		ops.Rename = func(from, to string) error {
			if err := hit(); err != nil {
				return err
			}
			return real.Rename(from, to)
		}
		ops.SyncDir = func(dir string) error { return errors.Join(hit(), real.SyncDir(dir)) }
		f := reopened(t, dir)
		f.Count("alice", "alice", some, few, true)
		must(t, f.Save())
		f, err := open(dir, ops)
		must(t, err)
		f.Count("alice", "alice", storage.Amount{}, storage.Amount{}, true)
		err = f.Save()
		if n < at {
			must(t, err)
			if at < 5 {
				t.Errorf("only %d operations", n)
			}
			return
		}
		if !errors.Is(err, broken) || strings.Contains(err.Error(), "\n") {
			t.Errorf("fault %d: %v", at, err)
		}
		if a := reopened(t, dir).Lookup("alice"); a.Named != some && a.Named != (storage.Amount{}) {
			t.Errorf("fault %d: %+v", at, a)
		}
		must(t, f.Save())
		if a := reopened(t, dir).Lookup("alice"); a.Named != (storage.Amount{}) {
			t.Errorf("fault %d, saved again: %+v", at, a)
		}
	}
}

// Many who need a save at once share it, and each of them has it.
func TestShared(t *testing.T) {
	dir := t.TempDir()
	ops := partial.Real()
	real := ops
	var syncs atomic.Int32
	begun, release := make(chan bool, 1), make(chan bool)
	ops.Sync = func(f *os.File) error {
		if syncs.Add(1) == 1 {
			begun <- true
			<-release
		}
		return real.Sync(f)
	}
	f, err := open(dir, ops)
	must(t, err)
	f.Login("first", time.Now())
	first := make(chan error)
	go func() { first <- f.Save() }()
	<-begun
	var all sync.WaitGroup
	var ready sync.WaitGroup
	for i := range 20 {
		name := string(rune('a' + i))
		ready.Add(1)
		all.Go(func() {
			f.Login(name, time.Now())
			ready.Done()
			if err := f.Save(); err != nil {
				t.Error(err)
			}
			if g, err := Open(dir); err != nil || g.Lookup(name) == (Account{}) {
				t.Errorf("%s is not there: %v", name, err)
			}
		})
	}
	ready.Wait()
	close(release)
	must(t, <-first)
	all.Wait()
	if n := syncs.Load(); n != 2 {
		t.Errorf("%d writes", n)
	}
}
