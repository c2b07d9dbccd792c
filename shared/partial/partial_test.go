package partial

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ferry/shared/block"
)

func open(t *testing.T, path string, ops Ops) *File {
	t.Helper()
	p, err := Open(path, ops)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func write(t *testing.T, p *File, text string, off int64) {
	t.Helper()
	if _, err := p.WriteAt([]byte(text), off); err != nil {
		t.Fatal(err)
	}
}

func read(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return "?" + err.Error()
	}
	return string(b)
}

func TestCommit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	when := time.Unix(1234567890, 5000)
	p := open(t, path, Real())
	write(t, p, "hello world", 0)
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Fatalf("visible before Commit: %v", err)
	}
	if err := p.Commit(5, when, 0o7640, false); err != nil {
		t.Fatal(err)
	}
	if kept, err := p.Close(); kept || err != nil {
		t.Fatalf("Close: kept %v, %v", kept, err)
	}
	info, err := os.Stat(path)
	if err != nil || read(path) != "hello" || !info.ModTime().Equal(when) || info.Mode() != 0o640&^umask() {
		t.Fatalf("%q %v %v", read(path), info, err)
	}
	if _, err := os.Lstat(Name(path)); !os.IsNotExist(err) {
		t.Fatalf("the partial is still there: %v", err)
	}

	p = open(t, path, Real())
	write(t, p, "other", 0)
	if err := p.Commit(5, when, 0, false); !errors.Is(err, fs.ErrExist) || read(path) != "hello" {
		t.Fatalf("without replace: %v, %q", err, read(path))
	}
	if err := p.Commit(5, when, 0, true); err != nil || read(path) != "other" {
		t.Fatalf("with replace: %v, %q", err, read(path))
	}
	p.Close()
}

// What an earlier try left is taken over as a hint, in its holes too.
func TestHave(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	p := open(t, path, Real())
	if len(p.Have()) != 0 {
		t.Fatalf("a new partial has %v", p.Have())
	}
	write(t, p, strings.Repeat("x", block.Size), 4*block.Size)
	if kept, err := p.Close(); !kept || err != nil {
		t.Fatalf("kept %v, %v", kept, err)
	}
	p = open(t, path, Real())
	defer p.Close()
	if have := p.Have(); !have.Has(block.Range{Off: 4 * block.Size, End: 5 * block.Size}) {
		t.Fatalf("have %v", have)
	}
}

func TestNothingWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	p := open(t, path, Real())
	if kept, _ := p.Close(); kept {
		t.Error("an empty partial is kept")
	}
	if _, err := os.Lstat(Name(path)); !os.IsNotExist(err) {
		t.Errorf("it is there: %v", err)
	}
}

func TestBusy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	p := open(t, path, Real())
	if _, err := Open(path, Real()); !errors.Is(err, ErrBusy) {
		t.Errorf("a second one: %v", err)
	}
	write(t, p, "x", 0)
	p.Close()
	p = open(t, path, Real())
	p.Discard()
	if _, err := os.Lstat(Name(path)); !os.IsNotExist(err) {
		t.Errorf("discarded and there: %v", err)
	}
}

// Whatever stands in the partial's place and is not ours is neither followed nor changed.
func TestInTheWay(t *testing.T) {
	for name, make := range map[string]func(dir, part string) error{
		"symlink": func(dir, part string) error {
			if err := os.WriteFile(filepath.Join(dir, "victim"), []byte("victim"), 0o600); err != nil {
				return err
			}
			return os.Symlink("victim", part)
		},
		"dangling": func(dir, part string) error { return os.Symlink("victim", part) },
		"hard link": func(dir, part string) error {
			if err := os.WriteFile(filepath.Join(dir, "victim"), []byte("victim"), 0o600); err != nil {
				return err
			}
			return os.Link(filepath.Join(dir, "victim"), part)
		},
		"directory":         func(dir, part string) error { return os.Mkdir(part, 0o700) },
		"FIFO":              func(dir, part string) error { return syscall.Mkfifo(part, 0o600) },
		"writable by group": func(dir, part string) error { os.WriteFile(part, nil, 0o600); return os.Chmod(part, 0o620) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "f")
			if err := make(dir, Name(path)); err != nil {
				t.Fatal(err)
			}
			_, err := Open(path, Real())
			if err == nil || !strings.Contains(err.Error(), "in the way") {
				t.Errorf("Open: %v", err)
			}
			if _, err := os.Stat(filepath.Join(dir, "victim")); err == nil && read(filepath.Join(dir, "victim")) != "victim" {
				t.Error("it was changed")
			}
		})
	}
}

// A crash between the two steps of a Commit without replace leaves one file with two names; the next try goes on from there.
func TestPublishedTwice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("whole"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(path, Name(path)); err != nil {
		t.Fatal(err)
	}
	p := open(t, path, Real())
	if len(p.Have()) != 0 {
		t.Error("the published file was taken for the partial")
	}
	p.Close()
	if read(path) != "whole" {
		t.Errorf("now %q", read(path))
	}
}

func TestLongName(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, strings.Repeat("a", 255)), filepath.Join(dir, strings.Repeat("a", 254)+"b")
	if Name(a) == Name(b) || len(filepath.Base(Name(a))) > 255 {
		t.Fatalf("%s and %s", Name(a), Name(b))
	}
	p := open(t, a, Real())
	write(t, p, "x", 0)
	if err := p.Commit(1, time.Now(), 0, false); err != nil || read(a) != "x" {
		t.Fatal(err)
	}
	p.Close()
}

// TestFaults fails each operation in turn: the file is always the whole old one or the whole new one, nothing is called
// done that is not, and the next try ends well.
func TestFaults(t *testing.T) {
	old, want := "the old text", bytes.Repeat([]byte("the new text "), 1000)
	for _, fault := range []error{syscall.EIO, syscall.ENOSPC} {
		for _, replace := range []bool{true, false} {
			for k := 1; ; k++ {
				path := filepath.Join(t.TempDir(), "f")
				if replace {
					if err := os.WriteFile(path, []byte(old), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				n := 0
				fail := func() error {
					if n++; n == k {
						return fault
					}
					return nil
				}
				real := Real()
				ops := Ops{
					Open: func(name string, flag int, perm fs.FileMode) (*os.File, error) {
						if err := fail(); err != nil {
							return nil, err
						}
						return real.Open(name, flag, perm)
					},
					WriteAt: func(f *os.File, b []byte, off int64) (int, error) {
						if err := fail(); err != nil {
							real.WriteAt(f, b[:len(b)/2], off)
							return len(b) / 2, err
						}
						return real.WriteAt(f, b, off)
					},
					Truncate: func(f *os.File, size int64) error {
						return unless(fail(), func() error { return real.Truncate(f, size) })
					},
					Chmod:   func(f *os.File, m fs.FileMode) error { return unless(fail(), func() error { return real.Chmod(f, m) }) },
					Chtimes: func(n string, m time.Time) error { return unless(fail(), func() error { return real.Chtimes(n, m) }) },
					Sync:    func(f *os.File) error { return unless(fail(), func() error { return real.Sync(f) }) },
					Rename:  func(a, b string) error { return unless(fail(), func() error { return real.Rename(a, b) }) },
					Link:    func(a, b string) error { return unless(fail(), func() error { return real.Link(a, b) }) },
					Remove:  func(a string) error { return unless(fail(), func() error { return real.Remove(a) }) },
					SyncDir: func(a string) error { return unless(fail(), func() error { return real.SyncDir(a) }) },
				}
				try := func() error {
					p, err := Open(path, ops)
					if err != nil {
						return err
					}
					defer p.Close()
					if _, err := p.WriteAt(want, 0); err != nil {
						return err
					}
					return p.Commit(int64(len(want)), time.Now(), 0, replace)
				}
				err := try()
				got := read(path)
				isNew := got == string(want)
				isOld := replace && got == old || !replace && strings.HasPrefix(got, "?")
				if !isNew && !isOld || err == nil && !isNew {
					t.Fatalf("%v at operation %d, replace %v: %v, and the file is %.40q", fault, k, replace, err, got)
				}
				if err == nil && n < k { // a run without a fault: every operation had its turn
					if k < 7 {
						t.Fatalf("only %d operations", n)
					}
					break
				}
				n = k // no more faults
				if err := try(); err != nil && !(isNew && !replace && errors.Is(err, fs.ErrExist)) || read(path) != string(want) {
					t.Fatalf("%v at operation %d, replace %v: the next try ends with %v and %.40q", fault, k, replace, err, read(path))
				}
			}
		}
	}
}

func unless(err error, f func() error) error {
	if err != nil {
		return err
	}
	return f()
}
