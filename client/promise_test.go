package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ferry/internal/powercut"
	"ferry/server/servertest"
)

// ferryCommand returns the test binary as ferry, logged in as alice on a ferryd, with a state directory of its own.
func ferryCommand(t *testing.T, p *servertest.Process, state string, args ...string) *exec.Cmd {
	t.Helper()
	bin, err := exec.LookPath("ferry") // testscript puts it there
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(bin, append([]string{"--fingerprint", p.Fingerprint(), "alice@" + p.Addr()}, args...)...)
	c.Env = append(os.Environ(), "FERRY_PASSWORD="+password, "XDG_STATE_HOME="+state)
	c.Dir = state
	return c
}

func ferryRun(t *testing.T, p *servertest.Process, state string, args ...string) string {
	t.Helper()
	out, err := ferryCommand(t, p, state, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("ferry %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// TestPowerCut: what was called stored is there after the power failed in the next moment: a new file, one that replaced
// another, a small one, an empty one, a directory, a move and a removal.
func TestPowerCut(t *testing.T) {
	disk := powercut.New(t)
	t.Setenv("TMPDIR", disk.Dir())
	t.Run("disk", func(t *testing.T) { // whose temporary directories lie on the disk
		p := servertest.Exec(t)
		p.AddUser("alice", password)
		state := t.TempDir()
		files := map[string][]byte{"new": pattern(5<<20+7, 1), "old": pattern(3<<20, 2), "small": []byte("hello"), "empty": {}}
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(state, name), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		ferryRun(t, p, state, "-c", "put new -o old; put small -o moving; put small -o gone")
		out := ferryRun(t, p, state, "-c", "put new; put -f old; put small empty; mkdir -p a/b; mv moving a/b/moved; rm gone")
		if n := strings.Count(out, "stored "); n != 4 {
			t.Fatalf("%d files are called stored:\n%s", n, out)
		}
		p.Kill()
		home := filepath.Join(disk.Cut(), strings.TrimPrefix(p.Home("alice"), disk.Dir()))
		files["a/b/moved"] = files["small"]
		for name, want := range files {
			got, err := os.ReadFile(filepath.Join(home, name))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("after the cut %s has %d bytes of %d, err %v", name, len(got), len(want), err)
			}
		}
		for _, name := range []string{"gone", "moving"} {
			if _, err := os.Lstat(filepath.Join(home, name)); !os.IsNotExist(err) {
				t.Errorf("after the cut %s is there: %v", name, err)
			}
		}
	})
}

// TestParallelUserAdd: 20 ferryd that add a user at the same time add 20 users, and the comments stay.
func TestParallelUserAdd(t *testing.T) {
	dir := t.TempDir()
	users := filepath.Join(dir, "users.toml")
	if err := os.WriteFile(users, []byte("# ours\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan string)
	for i := range 20 {
		go func() {
			_, errs, code := servertest.Ferryd(t, "a password for number "+fmt.Sprint(i)+"\n", "user", "add", fmt.Sprintf("u%02d", i), "--password-stdin", "--data", dir)
			if code != 0 {
				errs = fmt.Sprintf("exit %d: %s", code, errs)
			} else {
				errs = ""
			}
			done <- errs
		}()
	}
	for range 20 {
		if errs := <-done; errs != "" {
			t.Error(errs)
		}
	}
	list, _, _ := servertest.Ferryd(t, "", "user", "list", "--data", dir)
	for i := range 20 {
		if !strings.Contains(list, fmt.Sprintf("u%02d", i)) {
			t.Errorf("u%02d is missing in\n%s", i, list)
		}
	}
	if text, _ := os.ReadFile(users); !strings.HasPrefix(string(text), "# ours\n") {
		t.Errorf("the comment is gone:\n%s", text)
	}
}

// pattern returns bytes that repeat nowhere near.
func pattern(n int, seed uint64) []byte {
	b := make([]byte, n)
	seed = seed*7919 + 1
	for i := range b {
		seed ^= seed << 13
		seed ^= seed >> 7
		seed ^= seed << 17
		b[i] = byte(seed)
	}
	return b
}
