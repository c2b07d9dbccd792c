package partial

import (
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
	if err != nil || read(path) != "hello" || !info.ModTime().Equal(when) || info.Mode() != 0o640&^Umask() {
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

// Nothing takes the place of what is no file but can be written to, also if it comes while the file is gathered; a link to a file gives way.
func TestStays(t *testing.T) {
	for name, c := range map[string]struct {
		make  func(path string) error
		stays bool
	}{
		"FIFO":           {func(path string) error { return syscall.Mkfifo(path, 0o600) }, true},
		"socket":         {func(path string) error { return syscall.Mknod(path, syscall.S_IFSOCK|0o600, 0) }, true},
		"link to device": {func(path string) error { return os.Symlink("/dev/null", path) }, true},
		"link to a file": {func(path string) error { return os.Symlink("victim", path) }, false},
		"link":           {func(path string) error { return os.Symlink("nowhere", path) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			if err := os.WriteFile("victim", []byte("victim"), 0o600); err != nil {
				t.Fatal(err)
			}
			p := open(t, "f", Real())
			write(t, p, "new", 0)
			g := NewGroup(Real())
			if err := g.Add("g", []byte("new"), time.Now(), 0, true); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(c.make("f"), c.make("g")); err != nil {
				t.Fatal(err)
			}
			before, err := os.Lstat("g")
			if err != nil {
				t.Fatal(err)
			}
			for path, err := range map[string]error{"f": p.Commit(3, time.Now(), 0, true), "g": g.Commit()[0]} {
				if errors.Is(err, ErrNotRegular) != c.stays || (err != nil) != c.stays {
					t.Errorf("%s: %v", path, err)
				}
			}
			if now, err := os.Lstat("g"); err != nil || os.SameFile(now, before) != c.stays || read("victim") != "victim" {
				t.Errorf("%v, %v, %q", now.Mode(), err, read("victim"))
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
