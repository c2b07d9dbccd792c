package account

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestOpenMissing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.toml")
	s, err := Open(path)
	if err != nil || s.Current().Len() != 0 {
		t.Fatalf("got %v, %v", s, err)
	}
	if _, ok := s.Current().Lookup("alice"); ok {
		t.Error("a missing file has accounts")
	}
	if err := s.Reload(); err != nil {
		t.Errorf("reload of a file that never was: %v", err)
	}
	if _, err := Load(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Load: %v", err)
	}
}

// A file that others can touch, or that is no file, is refused at once with
// what to type.
func TestOpenRefused(t *testing.T) {
	mode := func(m fs.FileMode) func(string) error {
		return func(path string) error { return errors.Join(os.WriteFile(path, nil, 0o600), os.Chmod(path, m)) }
	}
	for _, tt := range []struct {
		name       string
		make       func(path string) error
		want, hint string
	}{
		{"group readable", mode(0o640), "is open to others (mode 0640)", "type: chmod 600 PATH"},
		{"world readable", mode(0o604), "is open to others (mode 0604)", "type: chmod 600 PATH"},
		{"world writable", mode(0o602), "is open to others (mode 0602)", "type: chmod 600 PATH"},
		{"directory", func(path string) error { return os.Mkdir(path, 0o700) }, "is not a regular file", "type: mv PATH PATH.old"},
		{"FIFO", func(path string) error { return syscall.Mkfifo(path, 0o600) }, "is not a regular file", "type: mv PATH PATH.old"},
		{"symbolic link", func(path string) error {
			return errors.Join(mode(0o600)(path+".real"), os.Symlink(path+".real", path))
		}, "is a symbolic link", `name the file itself: --users "$(readlink -f PATH)"`},
		{"dangling link", func(path string) error { return os.Symlink("nowhere", path) }, "is a symbolic link", `name the file itself: --users "$(readlink -f PATH)"`},
	} {
		path := filepath.Join(t.TempDir(), "users.toml")
		if err := tt.make(path); err != nil {
			t.Fatal(err)
		}
		_, err := Open(path)
		var e *Error
		if !errors.As(err, &e) || e.Msg != tt.want || strings.ReplaceAll(e.Hint(), path, "PATH") != tt.hint {
			t.Errorf("%s: got %v, hint %q", tt.name, err, e.Hint())
		}
		if err := Edit(path, add("a")); !errors.As(err, &e) {
			t.Errorf("%s: Edit: %v", tt.name, err)
		}
	}
}

// A file of root that this user may read is fine; one he may not read says so.
func TestOpenUnreadable(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may read everything")
	}
	path := write(t, "")
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	var e *Error
	if _, err := Open(path); !errors.As(err, &e) || e.Msg != "permission denied" {
		t.Errorf("got %v", err)
	}
}

// A reload takes all of a good file and nothing of a bad one.
func TestReload(t *testing.T) {
	path := write(t, "[users.a]\n")
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	old := s.Current()
	for _, bad := range []string{"[users.a]\n[users.b]\nhome = '/'\n", "[users.\n", "x = " + strings.Repeat("[", 3<<20)} {
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		var e *Error
		if err := s.Reload(); !errors.As(err, &e) || e.Line == 0 || s.Current() != old {
			t.Errorf("got %v, accounts changed: %v", err, s.Current() != old)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(); !errors.Is(err, fs.ErrNotExist) || s.Current() != old {
		t.Errorf("a file that is gone: %v, accounts changed: %v", err, s.Current() != old)
	}
	if err := os.WriteFile(path, []byte("[users.b]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.Current().Lookup("b"); !ok || s.Current().Len() != 1 || old.Len() != 1 {
		t.Error("the new accounts are not there, or the old set changed")
	}
}

func TestWatch(t *testing.T) {
	path := write(t, "[users.a]\n")
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	changes, failures, ended := make(chan [2]*Set), make(chan error), make(chan struct{})
	go func() {
		defer close(ended)
		s.Watch(ctx, 10*time.Millisecond, func(old, new *Set) { collect(ctx, changes)([2]*Set{old, new}) }, collect(ctx, failures))
	}()
	change := func(what string) [2]*Set {
		t.Helper()
		select {
		case c := <-changes:
			return c
		case err := <-failures:
			t.Fatalf("%s: %v", what, err)
		case <-ctx.Done():
			t.Fatalf("%s: not noticed", what)
		}
		return [2]*Set{}
	}
	if err := Edit(path, add("b")); err != nil {
		t.Fatal(err)
	}
	if c := change("edit"); c[0].Len() != 1 || c[1].Len() != 2 || c[1] != s.Current() {
		t.Errorf("got %d accounts, then %d", c[0].Len(), c[1].Len())
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-failures:
		if !strings.Contains(err.Error(), "keeping the old accounts") || s.Current().Len() != 2 {
			t.Errorf("got %v, %d accounts", err, s.Current().Len())
		}
	case <-ctx.Done():
		t.Fatal("chmod: not noticed")
	}
	// Told once only: the next news is the repaired file.
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	change("repair")
	if err := os.WriteFile(path, []byte("[users.c]\n[users.d]\n[users.e]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c := change("written in place"); c[1].Len() != 3 {
		t.Errorf("got %d accounts, want 3", c[1].Len())
	}
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	change("somebody else's reload")
	stop()
	<-ended
}

// What Edit changes is in force when it returns, and what it refuses is not.
func TestStoreEdit(t *testing.T) {
	s, err := Open(filepath.Join(t.TempDir(), "users.toml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Edit(add("a")); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.Current().Lookup("a"); !ok {
		t.Error("a is not there")
	}
	if err := s.Edit(add("a")); !errors.Is(err, ErrExists) {
		t.Error(err)
	}
}
