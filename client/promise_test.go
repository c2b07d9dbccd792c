package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ferry/internal/faultproxy"
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
// another, one that went on after it was interrupted, a small one, an empty one, a tree of small ones, a directory, a move
// and a removal.
func TestPowerCut(t *testing.T) {
	disk := powercut.New(t)
	t.Setenv("TMPDIR", disk.Dir())
	t.Run("disk", func(t *testing.T) { // whose temporary directories lie on the disk
		p := servertest.Exec(t)
		p.AddUser("alice", password)
		proxy, err := faultproxy.Start(p.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer proxy.Close()
		state := t.TempDir()
		files := map[string][]byte{"new": pattern(5<<20+7, 1), "old": pattern(3<<20, 2), "broken": pattern(8<<20+9, 3), "small": []byte("hello"), "empty": {}}
		for i := range 100 {
			files[fmt.Sprintf("tree/%d/f%03d", i%7, i)] = pattern(4096*(i%3), uint64(i))
		}
		for name, text := range files {
			path := filepath.Join(state, name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, text, 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		ferryRun(t, p, state, "-c", "put new -o old; put small -o moving; put small -o gone")
		proxy.Cut(faultproxy.Up, 6<<20, faultproxy.RST)
		proxy.Cut(faultproxy.Up, 0, faultproxy.RST)
		interrupted := ferryCommand(t, p, state, "--reconnect-for", "0s", "-c", "put broken")
		through(interrupted, proxy.Addr())
		interrupted.Env = append(interrupted.Env, "FERRY_PARALLEL=1") // else a busy machine takes loopback for a long line, and more connections meet the cuts
		if out, err := interrupted.CombinedOutput(); err == nil || !strings.Contains(string(out), "lost") {
			t.Fatalf("the line was cut, and put ended with %v\n%s", err, out)
		}
		out := ferryRun(t, p, state, "-c", "put broken; put new; put -f old; put small empty; mkdir -p a/b; mv moving a/b/moved; rm gone")
		if n := strings.Count(out, "stored "); n != 5 || !strings.Contains(out, "reused and verified") {
			t.Fatalf("%d files are called stored:\n%s", n, out)
		}
		if out := ferryRun(t, p, state, "-c", "put -r tree"); !strings.Contains(out, "stored tree") {
			t.Fatalf("the tree is not called stored:\n%s", out)
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

// through makes a command reach the server at another address.
func through(c *exec.Cmd, addr string) {
	for i, a := range c.Args {
		if strings.HasPrefix(a, "alice@") {
			c.Args[i] = "alice@" + addr
		}
	}
}

// TestInterrupt: Ctrl-C in the middle of a put or a get ends it at once with nothing half to be seen, and the same command
// goes on.
func TestInterrupt(t *testing.T) {
	for name, put := range map[string]bool{"put": true, "get": false} {
		t.Run(name, func(t *testing.T) {
			k := newKilling(t)
			if !put {
				if err := os.WriteFile(filepath.Join(k.Home("alice"), "f"), k.data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			k.proxy.SetRate(40 << 20)
			c := k.ferry(k.proxy.Addr(), lineOf(put))
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- c.Wait() }()
			k.until(ended, "enough was moved", func() bool { return k.staged(put) >= 8<<20 })
			if err := c.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-ended:
				if c.ProcessState.ExitCode() != 130 {
					t.Errorf("it ended with %v", err)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("it goes on")
			}
			k.whole(put, false)
			k.proxy.SetRate(0)
			if got := k.finish(k.Addr(), lineOf(put)); got.Reused < 4<<20 {
				t.Errorf("of what was there only %d bytes were of use", got.Reused)
			}
			k.whole(put, true)
		})
	}
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
