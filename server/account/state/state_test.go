package state

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ferry/server/storage"
	"ferry/server/storage/local"
)

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// TestMain lets the test binary stand in for a server that is killed: it counts an account and then changes the home
// without the file knowing.
func TestMain(m *testing.M) {
	path := os.Getenv("STATE_TEST_KILL")
	if path == "" {
		os.Exit(m.Run())
	}
	f := Open(path, quiet())
	r := newTree(nil, Usage{}, map[string]int64{"/f": 100})
	q := f.Quota("alice", "alice", r)
	q.Used(context.Background())
	f.write(false) // as Run does now and then
	q.Settle("1", "/g", 50, None)
	println("ready")
	select {}
}

// After an orderly end counts are as they were; after a kill they are not trusted and made again.
func TestKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	r := newTree(t, Usage{}, map[string]int64{"/f": 100})
	limit := Usage{Bytes: 1000}

	f := Open(path, quiet())
	if err := f.Quota("alice", "alice", r).Reserve(t.Context(), "1", "/x", 1, nil, limit); err != nil || r.counts != 1 {
		t.Fatalf("%v, counted %d times", err, r.counts)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	f = Open(path, quiet())
	if used, reserved, err := f.Quota("alice", "alice", r).Used(t.Context()); err != nil || used != (Usage{100, 1}) || reserved != (Usage{}) || r.counts != 1 {
		t.Errorf("after an end: %v, %v, %v, counted %d times", used, reserved, err, r.counts)
	}
	if q := f.Quota("alice", "elsewhere", r); q.counted {
		t.Error("the count of another home was taken over")
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}

	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), "STATE_TEST_KILL="+path)
	errs, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	errs.Read(make([]byte, 5))
	c.Process.Kill()
	c.Wait()
	r.publish("/g", 50)
	f = Open(path, quiet())
	if used, _, err := f.Quota("alice", "alice", r).Used(t.Context()); err != nil || used != (Usage{150, 2}) || r.counts != 2 {
		t.Errorf("after a kill: %v, %v, counted %d times", used, err, r.counts)
	}
}

// A file that is missing or broken, whatever it holds, costs a count and nothing else.
func TestBroken(t *testing.T) {
	for _, text := range []string{
		"", "{", "null", "[]", `{"clean":true,"accounts":{"alice":{"home":"alice","counted":true,"bytes":-1}}}`,
		`{"clean":true,"accounts":{"alice":7}}`, `{"clean":true}`, strings.Repeat("{", 1<<20), "\x00\x00",
	} {
		path := filepath.Join(t.TempDir(), "state.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r := newTree(t, Usage{}, map[string]int64{"/f": 100})
		f := Open(path, quiet())
		if used, _, err := f.Quota("alice", "alice", r).Used(t.Context()); err != nil || used != (Usage{100, 1}) || r.counts != 1 {
			t.Errorf("%.20q: %v, %v, counted %d times", text, used, err, r.counts)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if m, err := Load(path); err != nil || m["alice"].Bytes != 100 {
			t.Errorf("%.20q: %v, %v", text, m, err)
		}
	}
	if m, err := Load(filepath.Join(t.TempDir(), "none")); err != nil || len(m) > 0 {
		t.Errorf("no file: %v, %v", m, err)
	}
}

// A file that cannot be written when the server starts must not be trusted by the next one.
func TestUnwritable(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state.json")
	r := newTree(t, Usage{}, map[string]int64{"/f": 100})
	f := Open(path, quiet())
	f.Quota("alice", "alice", r).Used(t.Context())
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(path+".new/in the way", 0o700); err != nil {
		t.Fatal(err)
	}
	f = Open(path, quiet())
	if _, err := os.Stat(path); err == nil {
		t.Error("the counts of before are still there")
	}
	if !f.Quota("alice", "alice", r).counted {
		t.Error("the counts of before are right and were not used")
	}
}

// Changes are written, but not one by one.
func TestRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		f := Open(path, quiet())
		go f.Run(ctx, time.Minute)
		at := time.Date(2026, 11, 21, 9, 0, 0, 5, time.FixedZone("", 3600))
		for range 1000 {
			f.Login("alice", at)
			f.Login("bob", at)
		}
		if m, err := Load(path); err != nil || len(m) > 0 {
			t.Errorf("written at once: %v, %v", m, err)
		}
		time.Sleep(61 * time.Second)
		synctest.Wait()
		if m, err := Load(path); err != nil || !m["alice"].LastLogin.Equal(at.Truncate(time.Second)) || m["alice"].Counted {
			t.Errorf("after a minute: %+v, %v", m, err)
		}
		f.Keep(func(name string) bool { return name == "bob" })
		time.Sleep(time.Minute)
		synctest.Wait()
		if m, err := Load(path); err != nil || len(m) != 1 || !f.LastLogin("alice").IsZero() || f.LastLogin("bob").IsZero() {
			t.Errorf("after alice is gone: %+v, %v", m, err)
		}
		stop()
		synctest.Wait()
	})
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

// What is counted of a real home is its files, and its unfinished uploads are found.
func TestTreeOf(t *testing.T) {
	dir := t.TempDir()
	for name, length := range map[string]int{"a": 3, "d/b": 5, "d/e/c": 0} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, make([]byte, length), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("a", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	home, err := local.Open(dir, local.Options{Owner: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	defer home.Close()
	up, err := home.Upload(t.Context(), storage.Spec{Path: "/big", Job: "j", Length: 5 << 20})
	if err != nil {
		t.Fatal(err)
	}
	id := up.Spec().ID
	if err := up.Close(); err != nil {
		t.Fatal(err)
	}
	tree := TreeOf(home)
	if u, err := tree.Count(t.Context()); err != nil || u != (Usage{8, 3}) {
		t.Errorf("counted %v, %v", u, err)
	}
	if list, err := tree.Staged(t.Context()); err != nil || len(list) != 1 || list[0] != (Upload{id, "/big", 5 << 20}) {
		t.Errorf("found %v, %v", list, err)
	}
}
