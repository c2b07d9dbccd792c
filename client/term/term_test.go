package term

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// TestPasswordChild is the program the tests below run on a terminal of its own.
func TestPasswordChild(t *testing.T) {
	if os.Getenv("TERM_TEST_PASSWORD") == "" {
		t.Skip("runs only as a child of TestPassword")
	}
	p, err := Password("Password: ")
	fmt.Printf("got %q, interrupted %v, error %v.\n", p, errors.Is(err, ErrInterrupt), err)
}

func TestPassword(t *testing.T) {
	for _, test := range []struct{ name, keys, want string }{
		{"enter", "geheim ß\n", `got "geheim ß", interrupted false, error <nil>.`},
		{"ctrl-c", "gehe\x03", `got "", interrupted true, error interrupted.`},
	} {
		t.Run(test.name, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run=^TestPasswordChild$")
			cmd.Env = append(os.Environ(), "TERM_TEST_PASSWORD=1")
			ptm, tty, err := pty.Open()
			if err != nil {
				t.Fatal(err)
			}
			defer ptm.Close()
			defer tty.Close() // stays open so that its state can be read after the child
			var stdout strings.Builder
			cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, &stdout, tty
			cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true, Setctty: true}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			late := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
			defer late.Stop()
			read := func(until string) string {
				var seen strings.Builder
				buf := make([]byte, 256)
				for !strings.Contains(seen.String(), until) {
					n, err := ptm.Read(buf)
					if err != nil {
						t.Fatalf("terminal: %v after %q", err, seen.String())
					}
					seen.Write(buf[:n])
				}
				return seen.String()
			}
			read("Password: ")
			if echo(t, tty) {
				t.Fatal("asked before the echo was off")
			}
			if _, err := ptm.WriteString(test.keys); err != nil {
				t.Fatal(err)
			}
			if seen := read("\r\n"); strings.Contains(seen, "gehe") {
				t.Errorf("the password is on the screen: %q", seen)
			}
			if err := cmd.Wait(); err != nil {
				t.Fatal(err)
			}
			if !echo(t, tty) {
				t.Error("echo is still off")
			}
			if got, _, _ := strings.Cut(stdout.String(), "\n"); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func echo(t *testing.T, tty *os.File) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

func TestColour(t *testing.T) {
	s := newScreen(t, 80, 24)
	file, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, test := range []struct {
		f             *os.File
		term, noColor string
		want          bool
	}{
		{s.tty, "xterm", "", true},
		{s.tty, "xterm", "1", false},
		{s.tty, "dumb", "", false},
		{s.tty, "", "", false},
		{file, "xterm", "", false},
	} {
		t.Setenv("TERM", test.term)
		t.Setenv("NO_COLOR", test.noColor)
		if got := Colour(test.f); got != test.want {
			t.Errorf("TERM=%s NO_COLOR=%s on %s: %v", test.term, test.noColor, test.f.Name(), got)
		}
	}
	if columns, rows := Size(s.tty); columns != 80 || rows != 24 {
		t.Errorf("Size of the terminal: %d x %d", columns, rows)
	}
	if columns, rows := Size(file); columns != 80 || rows != 24 {
		t.Errorf("Size of a file: %d x %d", columns, rows)
	}
}
