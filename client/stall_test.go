package main

import (
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
	w.sees("no answer from the server for 5 s")
	p.Signal(syscall.SIGCONT)
	w.sees("MiB/s")
	p.Kill()
	w.sees("reconnecting: try ")
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
