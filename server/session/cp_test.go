package session_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ferry/server/servertest"
	"ferry/server/storage/local"
	"ferry/shared/wire"
)

// TestCopy copies a file where nothing is, where something is, and where that cannot be.
func TestCopy(t *testing.T) {
	s := servertest.New(t)
	s.AddUser("alice", "correct horse")
	home := s.Home("alice")
	for name, text := range map[string]string{"f": "text", "old": "something else"} {
		if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	when := time.Unix(1e9, 5)
	if err := os.Chtimes(filepath.Join(home, "f"), when, when); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(home, "d"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("f", filepath.Join(home, "l")); err != nil {
		t.Fatal(err)
	}
	n := 0
	p := &sender{in(t, s), &n}
	for _, tt := range []struct {
		from, to string
		replace  bool
		code     wire.Code
	}{
		{"/f", "/g", false, ""},
		{"/f", "/old", false, wire.Exists},
		{"/f", "/old", true, ""},
		{"/f", "/d", true, wire.IsDir},
		{"/f", "/f", true, wire.BadPath},
		{"/f", "/none/f", false, wire.NotFound},
		{"/f", "/.ferry/f", false, wire.BadPath},
		{"/none", "/h", false, wire.NotFound},
		{"/d", "/h", false, wire.IsDir},
		{"/l", "/h", false, wire.Denied},
	} {
		a := p.ask(request("cp", fmt.Sprintf(`%s,"path":"%s","to":"%s","replace":%v`, p.id(), tt.from, tt.to, tt.replace)))
		if a.code() != tt.code {
			t.Errorf("cp %s %s: %v, want %q", tt.from, tt.to, a.Error, tt.code)
		}
	}
	for _, name := range []string{"g", "old"} {
		b, err := os.ReadFile(filepath.Join(home, name))
		info, serr := os.Stat(filepath.Join(home, name))
		if err != nil || serr != nil || string(b) != "text" || !info.ModTime().Equal(when) || info.Mode() != 0o640 {
			t.Errorf("%s is %q %v %v, %v", name, b, info.Mode(), info.ModTime(), err)
		}
	}
	if names := namesIn(t, home); len(names) != 5 {
		t.Errorf("there are %q", names)
	}
}

// TestCopyBrokenOff: a copy ends when nobody waits for it, leaves nothing, and is carried out when it is asked for again.
func TestCopyBrokenOff(t *testing.T) {
	real, began := local.RealOps(), make(chan struct{})
	var once sync.Once
	var slow atomic.Bool
	var parts atomic.Int32
	slow.Store(true)
	ops := real
	ops.Clone = func(int, *unix.FileCloneRange) error { return unix.EOPNOTSUPP }
	ops.Copy = func(from int, fromOff *int64, to int, toOff *int64, n int) (int, error) {
		parts.Add(1)
		once.Do(func() { close(began) })
		if slow.Load() {
			time.Sleep(20 * time.Millisecond) // so that it lasts
		}
		return real.Copy(from, fromOff, to, toOff, min(n, 1<<20))
	}
	s := servertest.New(t, servertest.WithOps(ops))
	s.AddUser("alice", "correct horse")
	home := s.Home("alice")
	if err := os.WriteFile(filepath.Join(home, "f"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const length = 128 << 20 // of holes
	if err := os.Truncate(filepath.Join(home, "f"), length); err != nil {
		t.Fatal(err)
	}
	text := request("cp", `"id":"`+anID+`","path":"/f","to":"/g"`)
	p := in(t, s)
	p.raw(frame(text))
	<-began
	p.nc.Close()
	s.Log.Await(t, 1, "session ended")
	if got := parts.Load(); got >= length>>20 {
		t.Errorf("all %d parts were copied for nobody", got)
	}
	if names := namesIn(t, home); len(names) != 1 {
		t.Errorf("it left %q", names)
	}
	p, q := in(t, s), in(t, s)
	parts.Store(0)
	p.raw(frame(text))
	for parts.Load() == 0 {
		runtime.Gosched()
	}
	q.raw(frame(text)) // the same, while the first is under way
	p.nc.Close()
	slow.Store(false)
	if a := q.answer(); a.Error != nil {
		t.Errorf("taken over: %v", a.Error)
	}
	if info, err := os.Stat(filepath.Join(home, "g")); err != nil || info.Size() != length {
		t.Errorf("taken over: %+v, %v", info, err)
	}
	if err := os.Remove(filepath.Join(home, "g")); err != nil {
		t.Fatal(err)
	}
	text = request("cp", `"id":"`+anID[2:]+`00","path":"/f","to":"/g"`)
	if a := in(t, s).ask(text); a.Error != nil {
		t.Errorf("again: %v", a.Error)
	}
	if info, err := os.Stat(filepath.Join(home, "g")); err != nil || info.Size() != length {
		t.Errorf("%+v, %v", info, err)
	}
}
