package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ferry/internal/faultproxy"
	"ferry/server/servertest"
)

// killing is a ferryd process with the user alice behind a slow line, and a file to be moved.
type killing struct {
	*servertest.Process
	t     *testing.T
	proxy *faultproxy.Proxy
	here  string // working and state directory of ferry
	data  []byte
}

const killLength = 40<<20 + 12345

func newKilling(t *testing.T) *killing {
	t.Parallel()
	p := servertest.Exec(t)
	p.AddUser("alice", password)
	proxy, err := faultproxy.Start(p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	k := &killing{p, t, proxy, t.TempDir(), pattern(killLength, 5)}
	if err := os.WriteFile(filepath.Join(k.here, "f"), k.data, 0o600); err != nil {
		t.Fatal(err)
	}
	return k
}

// ferry returns the command, to be reached through addr.
func (k *killing) ferry(addr, line string) *exec.Cmd {
	c := ferryCommand(k.t, k.Process, k.here, "--json", "--progress", "json", "-c", line)
	through(c, addr)
	return c
}

// moved is the last line of a transfer.
type moved struct {
	Event         string
	Moved, Reused int64
}

// finish runs a command to its end.
func (k *killing) finish(addr, line string) (m moved) {
	k.t.Helper()
	c := k.ferry(addr, line)
	var errs bytes.Buffer
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil {
		k.t.Fatalf("%s: %v\n%s%s", line, err, out, &errs)
	}
	result, _, _ := bytes.Cut(out, []byte("\n"))
	if err := json.Unmarshal(result, &m); err != nil {
		k.t.Fatalf("%s printed %q: %v", line, out, err)
	}
	return m
}

// staged returns how many bytes of an upload lie on the server, or of a download here.
func (k *killing) staged(put bool) int64 {
	glob := filepath.Join(k.here, "back.ferry-part")
	if put {
		glob = filepath.Join(k.Home("alice"), ".ferry", "*", "data")
	}
	names, _ := filepath.Glob(glob)
	var n int64
	for _, name := range names {
		var st syscall.Stat_t
		if syscall.Stat(name, &st) == nil {
			n += min(st.Blocks*512, st.Size)
		}
	}
	return n
}

// until waits for a condition, while the command runs.
func (k *killing) until(ended <-chan error, what string, ok func() bool) {
	k.t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	patience := time.After(time.Minute)
	for !ok() {
		select {
		case err := <-ended:
			k.t.Fatalf("it ended before %s: %v", what, err)
		case <-patience:
			k.t.Fatalf("in vain waited until %s", what)
		case <-tick.C:
		}
	}
}

// whole fails if the result's name shows anything but nothing or all of the file.
func (k *killing) whole(put, must bool) {
	k.t.Helper()
	name := filepath.Join(k.here, "back")
	if put {
		name = filepath.Join(k.Home("alice"), "f")
	}
	b, err := os.ReadFile(name)
	if must && !bytes.Equal(b, k.data) || !must && !errors.Is(err, os.ErrNotExist) {
		k.t.Fatalf("%s shows %d bytes, equal %v, err %v", filepath.Base(name), len(b), bytes.Equal(b, k.data), err)
	}
}

func lineOf(put bool) string {
	if put {
		return "put f"
	}
	return "get f -o back"
}

// TestKilledClient kills ferry without warning again and again. The same command goes on each time, moves again no more than
// a block or two of what was there, repairs what was damaged meanwhile, and no half file is ever visible.
func TestKilledClient(t *testing.T) {
	for name, put := range map[string]bool{"put": true, "get": false} {
		t.Run(name, func(t *testing.T) {
			k := newKilling(t)
			if !put {
				if err := os.WriteFile(filepath.Join(k.Home("alice"), "f"), k.data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			k.proxy.SetRate(40 << 20)
			for _, part := range []int64{8 << 20, 20 << 20} {
				c := k.ferry(k.proxy.Addr(), lineOf(put))
				if err := c.Start(); err != nil {
					t.Fatal(err)
				}
				ended := make(chan error, 1)
				go func() { ended <- c.Wait() }()
				k.until(ended, "enough was moved", func() bool { return k.staged(put) >= part })
				c.Process.Kill()
				<-ended
				k.whole(put, false)
			}
			k.proxy.SetRate(0)
			have := k.staged(put)
			// A byte of what is there goes bad, and zeros follow what a download has.
			names, _ := filepath.Glob(filepath.Join(k.Home("alice"), ".ferry", "*", "data"))
			if !put {
				names = []string{filepath.Join(k.here, "back.ferry-part")}
			}
			if len(names) != 1 {
				t.Fatalf("staged in %q", names)
			}
			f, err := os.OpenFile(names[0], os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			var b [1]byte
			f.ReadAt(b[:], 3<<20+5)
			f.WriteAt([]byte{b[0] ^ 1}, 3<<20+5)
			if !put {
				if info, err := f.Stat(); err != nil || f.Truncate(info.Size()+3<<20) != nil {
					t.Fatal(err)
				}
			}
			f.Close()
			got := k.finish(k.Addr(), lineOf(put))
			k.whole(put, true)
			if limit := killLength - have + 1<<20 + 2<<20; got.Moved > limit || got.Moved+got.Reused < killLength {
				t.Errorf("with %d of %d bytes there it moved %d and reused %d", have, killLength, got.Moved, got.Reused)
			}
		})
	}
}

// TestKilledServer kills ferryd without warning five times in one transfer, and starts it again. The one ferry goes on each
// time by itself and ends with the exact file.
func TestKilledServer(t *testing.T) {
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
			var out, errs bytes.Buffer
			c.Stdout, c.Stderr = &out, &errs
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- c.Wait() }()
			for i := int64(1); i <= 5; i++ {
				k.until(ended, "enough was moved", func() bool { return k.staged(put) >= i*6<<20 })
				k.Restart() // SIGKILL
				k.whole(put, false)
			}
			if err := <-ended; err != nil {
				t.Fatalf("%v\n%s%s", err, &out, &errs)
			}
			k.whole(put, true)
			var m moved
			result, _, _ := bytes.Cut(out.Bytes(), []byte("\n"))
			if err := json.Unmarshal(result, &m); err != nil {
				t.Fatalf("%q: %v", &out, err)
			}
			last := int64(0)
			for _, line := range strings.Split(errs.String(), "\n") {
				var p struct{ Moved, Reused int64 }
				if json.Unmarshal([]byte(line), &p) != nil {
					continue
				}
				if p.Moved+p.Reused < last {
					t.Errorf("the progress went back from %d: %s", last, line)
				}
				last = p.Moved + p.Reused
			}
			if last != killLength {
				t.Errorf("the progress ended at %d of %d bytes:\n%s", last, killLength, &errs)
			}
			if m.Moved+m.Reused < killLength || m.Moved > killLength+5*2<<20 {
				t.Errorf("five restarts cost %d moved and %d reused of %d bytes", m.Moved, m.Reused, killLength)
			}
		})
	}
}

// TestTakeOver: a put hangs on a line that says nothing; the same put run again takes its work over at once, and the
// first one is refused when the line comes back.
func TestTakeOver(t *testing.T) {
	k := newKilling(t)
	k.proxy.SetRate(40 << 20)
	first := k.ferry(k.proxy.Addr(), "put f")
	var out bytes.Buffer
	first.Stdout = &out
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- first.Wait() }()
	k.until(ended, "something was moved", func() bool { return k.staged(true) >= 8<<20 })
	k.proxy.Pause()
	begin := time.Now()
	got := k.finish(k.Addr(), "put f")
	k.whole(true, true)
	if got.Reused < 4<<20 {
		t.Errorf("the second put reused %d bytes", got.Reused)
	}
	t.Logf("the second put took %v", time.Since(begin).Round(time.Millisecond))
	k.proxy.SetRate(0)
	k.proxy.Resume()
	err := <-ended
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 6 || !strings.Contains(out.String(), `"superseded"`) {
		t.Errorf("the first put ended with %v and said %s", err, &out)
	}
	k.whole(true, true)
}

// TestStoppedServer: SIGTERM in the middle of a put ends ferryd cleanly and in time. Nothing half is visible, and when the
// server is started again the same ferry goes on by itself.
func TestStoppedServer(t *testing.T) {
	k := newKilling(t)
	k.proxy.SetRate(40 << 20)
	c := k.ferry(k.proxy.Addr(), "put f")
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	k.until(ended, "something was moved", func() bool { return k.staged(true) >= 8<<20 })
	begin := time.Now()
	if code := k.Term(); code != 0 || time.Since(begin) > 10*time.Second {
		t.Errorf("ferryd ended with %d after %v", code, time.Since(begin))
	}
	k.whole(true, false)
	if n := k.staged(true); n < 8<<20 {
		t.Errorf("only %d bytes are still staged", n)
	}
	k.Start()
	if err := <-ended; err != nil {
		t.Fatalf("%v\n%s%s", err, &out, &errs)
	}
	k.whole(true, true)
}
