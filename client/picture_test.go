package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/hinshun/vt10x"

	"ferry/internal/faultproxy"
	"ferry/internal/picture"
	"ferry/server/servertest"
)

const picturePage = "../docs/session.svg"

// stage is one moment of the session that the picture in README.md shows.
type stage struct {
	do   func(s *scene) // brings it about
	sees string         // what the screen shows then, a pattern that may run over lines
	stay time.Duration  // in the picture
}

// stages are the moments in order. Each stands on the screen of every run, and in the picture.
func stages() []stage {
	keys := func(text string) func(*scene) { return func(s *scene) { s.types(text) } }
	wait := func(*scene) {}
	return []stage{
		{func(s *scene) { s.types("ferry alice@" + s.proxy.Addr()) }, `^\$ ferry alice@127\.0\.0\.1:\d+$`, 1500 * time.Millisecond},
		{keys("\r"), `Password of alice on .*:$`, time.Second},
		{keys(password), `Password of alice on .*: \*+$`, time.Second},
		{keys("\r"), `SHA256:(.*\n)+.*\[yes/no\]$`, 2500 * time.Millisecond},
		{keys("yes\r"), `logged in as alice on 127\.0\.0\.1:\d+ .*\n.*>>$`, 1500 * time.Millisecond},
		{keys("ls -lh\r"), `.*>> ls -lh\n(.*\n)*.*papers/\n(.*\n)*.*>>$`, 2 * time.Second},
		{keys("put backup.tar --limit 8MiB/s"), `>> put backup\.tar --limit 8MiB/s$`, time.Second},
		{keys("\r"), `backup\.tar +\d+% \[=`, time.Second},
		{wait, `backup\.tar +[1-9]\d% \[=+`, time.Second},
		{func(s *scene) { s.proxy.Pause(); s.proxy.CutNow(faultproxy.FIN) }, `the connection was .*; reconnecting\n.*\d+%`, 2 * time.Second},
		{func(s *scene) { s.proxy.Resume() }, `connected again\n(.*\n)*backup\.tar +\d+% \[=[^,]*$`, 1500 * time.Millisecond},
		{wait, `connected again\n(.*\n)*backup\.tar +[4-9]\d% \[=+`, 1500 * time.Millisecond},
		{keys("\x03"), `connected again\n(.*\n)+.*>>$`, 2 * time.Second},
		{keys("put backup.tar --limit 8MiB/s\r"), `>> put backup\.tar --limit 8MiB/s\n.*backup\.tar +\d+% \[-+`, 1500 * time.Millisecond},
		{wait, `backup\.tar +[7-9]\d% \[-+=+`, 1500 * time.Millisecond},
		{wait, `stored backup\.tar: 32 MiB, .* reused and verified, .* sent at .*\n.*>>$`, 5 * time.Second},
	}
}

// TestPicture plays the session of the picture on a terminal, with a connection that is really cut, and makes sure that the
// picture in README.md shows the same. `make picture` takes a new one; what differs each time stays in it as it was then.
func TestPicture(t *testing.T) {
	s := newScene(t)
	var frames []picture.Frame
	for _, st := range stages() {
		st.do(s)
		f := s.sees(st.sees)
		f.Stay = st.stay
		frames = append(frames, f)
	}
	var svg bytes.Buffer
	const title = "A session with ferry in a terminal: login, ls, a put whose connection is cut and comes back by itself, an interrupt, and the same put again, which sends what is missing"
	if err := picture.Write(&svg, title, frames); err != nil {
		t.Fatal(err)
	}
	if os.Getenv("FERRY_PICTURE") != "" {
		if err := os.WriteFile(picturePage, svg.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	inOrder(t, "today's picture", svg.Bytes())
	taken, err := os.ReadFile(picturePage)
	if err != nil {
		t.Fatal(err)
	}
	inOrder(t, picturePage, taken)
}

// inOrder fails unless a picture shows every stage on a screen of its own, in their order, and is small enough for a page.
func inOrder(t *testing.T, name string, svg []byte) {
	t.Helper()
	if len(svg) > 100<<10 {
		t.Errorf("%s has %d bytes, want at most 100 KiB", name, len(svg))
	}
	screens, err := picture.Read(bytes.NewReader(svg))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	for i, st := range stages() {
		if i >= len(screens) || !regexp.MustCompile(st.sees).MatchString(screens[i]) {
			t.Fatalf("%s does not show %s where it should; make picture takes a new one", name, st.sees)
		}
	}
}

// scene is a person at a terminal with a shell, and a server behind a proxy that can cut.
type scene struct {
	t     *testing.T
	proxy *faultproxy.Proxy
	ptm   *os.File

	mu   sync.Mutex // guards vt
	more *sync.Cond // vt has changed
	vt   vt10x.Terminal
}

func newScene(t *testing.T) *scene {
	server := servertest.Exec(t)
	server.AddUser("alice", password)
	home := server.Home("alice")
	for name, size := range map[string]int{"notes.txt": 1830, "photos.zip": 7 << 20} {
		if err := os.WriteFile(filepath.Join(home, name), pattern(size, 3), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(home, "papers"), 0o750); err != nil {
		t.Fatal(err)
	}
	here := t.TempDir()
	if err := os.WriteFile(filepath.Join(here, "backup.tar"), pattern(32<<20, 4), 0o640); err != nil {
		t.Fatal(err)
	}
	proxy, err := faultproxy.Start(server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)

	const columns, rows = 92, 19
	s := &scene{t: t, proxy: proxy, vt: vt10x.New(vt10x.WithSize(columns, rows))}
	s.more = sync.NewCond(&s.mu)
	ptm, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := pty.Setsize(ptm, &pty.Winsize{Cols: columns, Rows: rows}); err != nil {
		t.Fatal(err)
	}
	s.ptm = ptm
	c := exec.Command("sh", "-i")
	c.Dir = here
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "PS1=$ ", "TERM=xterm-256color", "HOME=" + here, "XDG_STATE_HOME=" + filepath.Join(here, ".state"), "LANG=C.UTF-8"}
	c.Stdin, c.Stdout, c.Stderr = tty, tty, tty
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	tty.Close()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.show()
	}()
	t.Cleanup(func() {
		c.Process.Kill() // hangs up on what runs in it
		c.Wait()
		<-ended
		ptm.Close()
	})
	s.sees(`^\$$`)
	return s
}

// show brings what is written to the terminal onto its screen, until it is closed.
func (s *scene) show() {
	buf := make([]byte, 4096)
	for {
		n, err := s.ptm.Read(buf)
		s.mu.Lock()
		s.vt.Write(buf[:n])
		s.more.Broadcast()
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (s *scene) types(keys string) {
	s.t.Helper()
	if _, err := s.ptm.WriteString(keys); err != nil {
		s.t.Fatal(err)
	}
}

// sees waits until the screen matches a pattern and returns it.
func (s *scene) sees(text string) picture.Frame {
	s.t.Helper()
	pattern := regexp.MustCompile(text)
	const patience = 20 * time.Second
	late := time.AfterFunc(patience, s.more.Broadcast)
	defer late.Stop()
	deadline := time.Now().Add(patience)
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		f := picture.Take(s.vt)
		if pattern.MatchString(f.String()) {
			return f
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("the screen does not show %s:\n%s", text, f)
		}
		s.more.Wait()
	}
}
