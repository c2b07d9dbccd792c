package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/hinshun/vt10x"

	"ferry/server/servertest"
)

// window is a terminal that somebody looks at.
type window struct {
	t    *testing.T
	ptm  *os.File
	mu   sync.Mutex
	more *sync.Cond
	vt   vt10x.Terminal
}

// sees waits until the screen holds one of these texts, and returns the screen.
func (w *window) sees(texts ...string) string {
	w.t.Helper()
	const patience = 30 * time.Second
	deadline := time.Now().Add(patience)
	defer time.AfterFunc(patience, w.more.Broadcast).Stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		screen := w.vt.String()
		for _, text := range texts {
			if strings.Contains(screen, text) {
				return screen
			}
		}
		if !time.Now().Before(deadline) {
			w.t.Fatalf("%q does not appear:\n%s", texts, screen)
		}
		w.more.Wait()
	}
}

// TestStallIsTold: a person sees what a transfer waits for: a server that does not answer, one that is gone, the limit. After
// Ctrl-C nothing of that is left on the screen.
func TestStallIsTold(t *testing.T) {
	t.Parallel()
	p := servertest.Exec(t)
	p.AddUser("alice", password)
	here := t.TempDir()
	if err := os.WriteFile(filepath.Join(here, "a report.pdf"), pattern(96<<20, 6), 0o600); err != nil {
		t.Fatal(err)
	}
	c := ferryCommand(t, p, here, "--limit", "4MiB/s", "-c", "put 'a report.pdf'")
	c.Env = append(c.Env, "TERM=xterm")
	ptm, err := pty.StartWithSize(c, &pty.Winsize{Cols: 79, Rows: 12})
	if err != nil {
		t.Fatal(err)
	}
	w := &window{t: t, ptm: ptm, vt: vt10x.New(vt10x.WithSize(79, 12))}
	w.more = sync.NewCond(&w.mu)
	read := make(chan struct{})
	go func() {
		defer close(read)
		buf := make([]byte, 4096)
		for {
			n, err := ptm.Read(buf)
			w.mu.Lock()
			w.vt.Write(buf[:n])
			w.more.Broadcast()
			w.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		c.Process.Kill()
		ptm.Close()
		<-read
	})
	w.sees("4 MiB/s", "3.9 MiB/s", "4.1 MiB/s")
	p.Signal(syscall.SIGSTOP)
	w.sees("no answer from the server for ")
	p.Signal(syscall.SIGCONT)
	w.sees("MiB/s")
	p.Kill()
	if screen := w.sees("reconnecting: try "); strings.Contains(screen, "no connection yet") {
		t.Errorf("each try has a line of its own:\n%s", screen)
	}
	p.Start()
	w.sees("connected again")
	if _, err := ptm.WriteString("\x03"); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); c.ProcessState.ExitCode() != 130 {
		t.Errorf("after Ctrl-C: %v", err)
	}
	<-read
	w.mu.Lock()
	defer w.mu.Unlock()
	screen := w.vt.String()
	for _, rest := range []string{"%", "MiB", "try"} {
		if strings.Contains(screen, rest) {
			t.Errorf("%q is left on the screen:\n%s", rest, screen)
		}
	}
	if x := w.vt.Cursor().X; x != 0 {
		t.Errorf("the cursor is in column %d:\n%s", x, screen)
	}
}

// TestTreeProgress: the figures of a directory are those of all its files from the first object on, what was there already is
// told apart, and the files that take long are told one by one.
func TestTreeProgress(t *testing.T) {
	t.Parallel()
	p := servertest.Exec(t)
	p.AddUser("alice", password)
	here := t.TempDir()
	site := filepath.Join(here, "site")
	if err := os.MkdirAll(site, 0o700); err != nil {
		t.Fatal(err)
	}
	const large, small = 12 << 20, 1000
	const total = 2*large + 50*small
	write := func(name string, data []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(site, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 50 {
		write(fmt.Sprint("f", i), pattern(small, uint64(i)))
	}
	for _, name := range []string{"a.bin", "b.bin"} {
		write(name, pattern(large, uint64(name[0])))
	}
	type object struct {
		Progress             string
		Total, Reused, Moved int64
		Files                int64
		All                  int64 `json:"all_files"`
		Left                 *int64
		Running              []struct{ Name string }
		Done                 bool
	}
	put := func(args ...string) (list []object, running map[string]bool) {
		t.Helper()
		c := ferryCommand(t, p, here, append(args, "--progress", "json", "-c", "put -r site")...)
		var errs bytes.Buffer
		c.Stderr = &errs
		if err := c.Run(); err != nil {
			t.Fatalf("%v\n%s", err, &errs)
		}
		running = map[string]bool{}
		for line := range strings.Lines(errs.String()) {
			var o object
			if !strings.HasPrefix(line, "{") {
				continue
			}
			if err := json.Unmarshal([]byte(line), &o); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			if o.Total < 0 {
				continue // of the plan
			}
			if n := len(list); o.Progress != "site" || o.Left != nil && *o.Left < 0 || n > 0 && (o.Moved < list[n-1].Moved || o.Reused < list[n-1].Reused) {
				t.Errorf("%+v after %+v", o, list[max(n-1, 0):n])
			}
			list = append(list, o)
			for _, f := range o.Running {
				running[f.Name] = true
			}
		}
		return list, running
	}
	list, running := put("--limit", "6MiB/s", "--parallel", "2")
	for _, o := range list {
		if o.Total != total || o.All != 52 {
			t.Errorf("%+v", o)
		}
	}
	last := list[len(list)-1]
	if len(list) < 3 || !last.Done || last.Moved != total || last.Reused != 0 || last.Files != 52 || !running["a.bin"] || !running["b.bin"] || len(running) != 2 {
		t.Errorf("%d objects, running %v, last %+v", len(list), running, last)
	}

	changed := pattern(large, 'a')
	changed[5<<20]++
	write("a.bin", changed)
	list, _ = put()
	if last = list[len(list)-1]; !last.Done || last.Total != large || last.All != 1 || last.Moved != 1<<20 || last.Reused != large-1<<20 {
		t.Errorf("the second time %+v", last)
	}
}
