package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"ferry/internal/faultproxy"
	"ferry/internal/picture"
	"ferry/internal/termtest"
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
	keys := func(text string) func(*scene) { return func(s *scene) { s.Type(text) } }
	wait := func(*scene) {}
	return []stage{
		{func(s *scene) { s.Type("ferry alice@" + s.proxy.Addr()) }, `^\$ ferry alice@127\.0\.0\.1:\d+$`, 1500 * time.Millisecond},
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
	t.Parallel()
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
	*termtest.Terminal
	proxy *faultproxy.Proxy
}

func newScene(t *testing.T) *scene {
	server := servertest.Exec(t)
	server.AddUser("alice", password)
	here, home := t.TempDir(), server.Home("alice")
	err := os.Mkdir(filepath.Join(home, "papers"), 0o750)
	for path, size := range map[string]int{filepath.Join(home, "notes.txt"): 1830, filepath.Join(home, "photos.zip"): 7 << 20, filepath.Join(here, "backup.tar"): 32 << 20} {
		err = errors.Join(err, os.WriteFile(path, pattern(size, 3), 0o640))
	}
	if err != nil {
		t.Fatal(err)
	}
	proxy, err := faultproxy.Start(server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	c := exec.Command("env", "-u", "NO_COLOR", "sh", "-i")
	c.Dir = here
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "PS1=$ ", "HOME=" + here, "LANG=C.UTF-8"}
	s := &scene{termtest.Start(t, 92, 19, c), proxy}
	s.sees(`^\$$`)
	return s
}

// sees waits until the screen matches a pattern and returns it.
func (s *scene) sees(pattern string) (f picture.Frame) {
	match := regexp.MustCompile(pattern).MatchString
	s.Until(pattern, func(string) bool {
		f = picture.Take(s.View())
		return match(f.String())
	})
	return f
}
