package shell

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/hinshun/vt10x"
	"golang.org/x/sys/unix"
)

// TestLineChild is the program the tests below run on a terminal of its own.
func TestLineChild(t *testing.T) {
	if os.Getenv("LINE_TEST") == "" {
		t.Skip("runs only as a child of the tests on a terminal")
	}
	unix.Umask(0)
	words := strings.Fields(os.Getenv("LINE_TEST"))
	r, err := NewTerminal(LineOptions{
		HistoryFile: os.Getenv("LINE_TEST_HISTORY"),
		Complete: func(line string, pos int) ([]string, int) {
			typed := line[strings.LastIndexByte(line[:pos], ' ')+1 : pos]
			var found []string
			for _, w := range words {
				if strings.HasPrefix(w, typed) {
					found = append(found, strings.ReplaceAll(w, "_", " "))
				}
			}
			return found, len(typed)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer fmt.Println("child ends")
	defer r.Close()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGUSR1)
	go func() {
		<-signals
		r.Close()
	}()
	for n := 1; ; n++ {
		line, err := r.Read(fmt.Sprintf("first\n%d>> ", n))
		fmt.Fprintf(r.Stdout(), "read %q %v.\n", line, err)
		switch {
		case err == io.EOF:
			return
		case line == "password":
			p, err := r.Password("Password: ")
			fmt.Fprintf(r.Stdout(), "secret %x %v.\n", p, err)
		case line == "history":
			fmt.Fprintf(r.Stdout(), "%q.\n", r.History())
		case line == "background":
			go fmt.Fprintln(r.Stdout(), "from elsewhere")
		}
		if err == nil {
			r.SaveHistory(line)
		}
	}
}

// person sits at a terminal on which the child runs.
type person struct {
	t    *testing.T
	ptm  *os.File
	tty  *os.File
	cmd  *exec.Cmd
	mu   sync.Mutex
	more *sync.Cond
	vt   vt10x.Terminal
	raw  strings.Builder
}

func sit(t *testing.T, columns int, words, history string) *person {
	t.Helper()
	ptm, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := pty.Setsize(ptm, &pty.Winsize{Cols: uint16(columns), Rows: 30}); err != nil {
		t.Fatal(err)
	}
	p := &person{t: t, ptm: ptm, tty: tty, vt: vt10x.New(vt10x.WithSize(columns, 30))}
	p.more = sync.NewCond(&p.mu)
	p.cmd = exec.Command(os.Args[0], "-test.run=^TestLineChild$")
	p.cmd.Env = append(os.Environ(), "LINE_TEST="+words+" ", "LINE_TEST_HISTORY="+history, "TERM=xterm")
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = tty, tty, tty
	p.cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true, Setctty: true}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		buf := make([]byte, 4096)
		for {
			n, err := ptm.Read(buf)
			p.mu.Lock()
			p.vt.Write(buf[:n])
			p.raw.Write(buf[:n])
			p.more.Broadcast()
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		p.cmd.Wait()
		tty.Close()
		<-ended
		ptm.Close()
	})
	p.sees("1>>\n")
	return p
}

func (p *person) types(keys string) {
	p.t.Helper()
	if _, err := p.ptm.WriteString(keys); err != nil {
		p.t.Fatal(err)
	}
}

// sees waits until text stands on the screen, and returns the screen without trailing blanks.
func (p *person) sees(text string) string {
	p.t.Helper()
	const patience = 5 * time.Second
	deadline := time.Now().Add(patience)
	late := time.AfterFunc(patience, p.more.Broadcast)
	defer late.Stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		var screen strings.Builder
		for line := range strings.Lines(p.vt.String()) {
			screen.WriteString(strings.TrimRight(line, " \n") + "\n")
		}
		if strings.Contains(screen.String(), text) {
			return screen.String()
		}
		if !time.Now().Before(deadline) {
			p.t.Fatalf("%q does not appear:\n%s\nraw: %q", text, strings.TrimRight(screen.String(), "\n"), p.raw.String())
		}
		p.more.Wait()
	}
}

// leaves waits for the end of the child, which must have been orderly.
func (p *person) leaves() {
	p.t.Helper()
	p.sees("child ends")
	late := time.AfterFunc(20*time.Second, func() { p.cmd.Process.Kill() })
	defer late.Stop()
	if err := p.cmd.Wait(); err != nil {
		p.mu.Lock()
		p.t.Errorf("child: %v\n%s", err, p.raw.String())
		p.mu.Unlock()
	}
	state, err := unix.IoctlGetTermios(int(p.tty.Fd()), unix.TCGETS)
	if err != nil || state.Lflag&(unix.ECHO|unix.ICANON|unix.ISIG) != unix.ECHO|unix.ICANON|unix.ISIG {
		p.t.Errorf("the terminal is not as it was: %+v, %v", state, err)
	}
}

func TestTerminal(t *testing.T) {
	p := sit(t, 80, "", "")
	p.types("hällo 日本\x01X\r")
	p.sees(`read "Xhällo 日本" <nil>.`)
	p.sees("2>>\n")
	p.types("half\x03")
	p.sees(`read "half" interrupted.`)
	p.sees("3>>\n")
	p.types("a\x13b\x03") // Ctrl-S, then Ctrl-C
	p.sees(`read "ab" interrupted.`)
	p.sees("4>>\n")
	p.types("c\x00d\r") // Ctrl-Space
	p.sees(`read "cd" <nil>.`)
	p.sees("5>>\n")
	p.types("background\r")
	p.sees("from elsewhere")
	p.sees("6>>\n")
	p.types("\x1b[A\x1b[A!\r") // up, up
	p.sees(`read "cd!" <nil>.`)
	screen := p.sees("7>>\n")
	if n := strings.Count(screen, "first\n"); n != 7 {
		t.Errorf("first line of the prompt printed %d times:\n%s", n, screen)
	}
	p.types("e\x1af\r") // Ctrl-Z; this process group has no one to wake it, so it is not stopped
	p.sees(`read "ef" <nil>.`)
	p.sees("8>>\n")
	p.types("\x04")
	p.sees(`read "" EOF.`)
	p.leaves()
}

func TestTerminalComplete(t *testing.T) {
	p := sit(t, 40, "report.pdf report.txt 日本語.txt 日本画.pdf only_one", "")
	p.types("put o\t")
	p.sees("put only one")
	p.types("\r")
	p.sees(`read "put only one" <nil>.`)
	p.sees("2>>\n")
	p.types("put r\t")
	p.sees("put report.\n")
	p.types("\t")
	p.sees("report.pdf  report.txt\n2>> put report.\n")
	p.types("p\t\r")
	p.sees(`read "put report.pdf" <nil>.`)
	p.sees("3>>\n")
	p.types("put 日\t")
	p.sees("put 日本\n")
	p.types("\t")
	p.sees("日本語.txt  日本画.pdf\n3>> put 日本\n")
	p.types("画\t\r")
	p.sees(`read "put 日本画.pdf" <nil>.`)
	p.sees("4>>\n")
	p.types("zz\t\t.\r")
	p.sees(`read "zz." <nil>.`)
	p.sees("5>>\n")
	p.types("\x04")
	p.leaves()
}

func TestTerminalPassword(t *testing.T) {
	file := filepath.Join(t.TempDir(), "history")
	p := sit(t, 80, "", file)
	p.types("password\r")
	p.sees("Password:\n")
	p.types("geheim\x7f\x00\x13M\r")
	p.sees("secret 67656865694d <nil>.") // geheiM
	p.sees("Password: ******")
	p.sees("2>>\n")
	p.types("password\r")
	p.sees("Password:\n")
	p.types("x\x03")
	p.sees("secret  interrupted.")
	p.sees("3>>\n")
	p.types("\x1b[A\r") // up: the command, not the password, and once only
	p.sees(`3>> password`)
	p.sees("Password:\n")
	p.types("\r")
	p.sees("secret  <nil>.")
	p.sees("4>>\n")
	p.types("history\r")
	p.sees(`["password"].`)
	p.sees("5>>\n")
	p.types("\x04")
	p.leaves()
	p.mu.Lock()
	defer p.mu.Unlock()
	if strings.Contains(p.raw.String(), "gehei") {
		t.Errorf("the password is on the screen: %q", p.raw.String())
	}
	if data, err := os.ReadFile(file); err != nil || string(data) != "password\nhistory\n" {
		t.Errorf("history file: %q, %v", data, err)
	}
}

func TestTerminalHistory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "history")
	p := sit(t, 80, "", file)
	p.types("one\r")
	p.sees("2>>\n")
	p.types(" secret\r")
	p.sees("3>>\n")
	p.types("two\r")
	p.sees("4>>\n")
	p.types("two\r")
	p.sees("5>>\n")
	p.types("\x04")
	p.leaves()
	info, err := os.Lstat(file)
	if err != nil || info.Mode() != 0o600 {
		t.Fatalf("history file: %v, %v", info, err)
	}
	if data, _ := os.ReadFile(file); string(data) != "one\ntwo\n" {
		t.Errorf("history file: %q", data)
	}

	p = sit(t, 80, "", file)
	p.types("\x1b[A\x1b[A!\r")
	p.sees(`read "one!" <nil>.`)
	p.sees("2>>\n")
	p.types("history\r")
	p.sees(`["one" "two" "one!"].`)
	p.sees("3>>\n")
	p.types("\x04")
	p.leaves()
}

func TestTerminalCloseWhileReading(t *testing.T) {
	p := sit(t, 80, "", "")
	p.types("half")
	p.sees("1>> half\n")
	if err := p.cmd.Process.Signal(unix.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	p.sees(`read "" EOF.`)
	p.leaves()
}

func TestHistoryFile(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "target")
	if err := os.WriteFile(target, []byte("keep\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink("target", link); err != nil {
		t.Fatal(err)
	}
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{link, fifo, dir, filepath.Join(dir, "missing/history")} {
		h := history{path: path}
		h.load()
		if !h.add("secret") || len(h.lines) != 1 {
			t.Errorf("%s: %q", path, h.lines)
		}
	}
	if data, _ := os.ReadFile(target); string(data) != "keep\n" {
		t.Errorf("the target of the link now holds %q", data)
	}

	h := history{path: target} // a regular file others can read becomes private
	h.load()
	if info, _ := os.Stat(target); info.Mode() != 0o600 || !slices.Equal(h.lines, []string{"keep"}) {
		t.Errorf("mode %v, lines %q", info.Mode(), h.lines)
	}

	// A long file is cut down to the last lines, and is then not touched again.
	var long strings.Builder
	for n := range 2*maxHistory + 1 {
		fmt.Fprintf(&long, "line %d\n", n)
	}
	if err := os.WriteFile(target, []byte(long.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	h = history{path: target}
	h.load()
	h.add("last")
	data, _ := os.ReadFile(target)
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	if len(lines) != maxHistory+1 || lines[0] != fmt.Sprintf("line %d", maxHistory+1) || lines[maxHistory] != "last" || len(h.lines) != maxHistory {
		t.Errorf("%d lines in the file from %q to %q, %d in memory", len(lines), lines[0], lines[len(lines)-1], len(h.lines))
	}
	if info, _ := os.Stat(target); info.Mode() != 0o600 {
		t.Errorf("mode %v after the cut", info.Mode())
	}
}

func TestCommonPrefix(t *testing.T) {
	for _, test := range []struct {
		candidates []string
		want       string
	}{
		{[]string{"abc"}, "abc"},
		{[]string{"abc", "abd"}, "ab"},
		{[]string{"ä", "ö"}, ""},
		{[]string{"日本", "日語"}, "日"},
		{[]string{`a\ b`, `a\(b`}, "a"},
		{[]string{`a\\b`, `a\\c`}, `a\\`},
		{[]string{"a", ""}, ""},
	} {
		if got := commonPrefix(test.candidates); got != test.want {
			t.Errorf("commonPrefix(%q) = %q, want %q", test.candidates, got, test.want)
		}
	}
}

func TestListCandidates(t *testing.T) {
	got := listCandidates([]string{"a ", "\x1b[2J", strings.Repeat("日", 30), "b"}, 20)
	if want := "\na\n\\x1b[2J\n日日日日日日日日日…\nb\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := listCandidates([]string{"1", "2", "3", "4", "5"}, 9), "\n1  3  5\n2  4\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := listCandidates(slices.Repeat([]string{"x"}, maxCandidates+7), 80); !strings.HasSuffix(got, "\n... and 7 more\n") {
		t.Errorf("got %q", got)
	}
}

func TestScript(t *testing.T) {
	long := strings.Repeat("x", maxLine)
	var out strings.Builder
	r := NewScript(strings.NewReader("one\r\n\n"+long+"\n two"), &out)
	for _, want := range []string{"one", "", long, " two"} {
		if got, err := r.Read("prompt"); got != want || err != nil {
			t.Fatalf("got %.20q (%d bytes), %v; want %.20q", got, len(got), err, want)
		}
	}
	if _, err := r.Read("prompt"); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	if _, err := r.Password("Password: "); err == nil || !strings.Contains(err.Error(), "--password-stdin") {
		t.Errorf("Password: %v", err)
	}
	fmt.Fprint(r.Stdout(), "x")
	if out.String() != "x" {
		t.Errorf("wrote %q", out.String())
	}
	r = NewScript(strings.NewReader("ok\n"+long+"yyyy\n"), io.Discard)
	r.Read("")
	if _, err := r.Read(""); err == nil || err.Error() != "line 2 is longer than 1 MiB" {
		t.Errorf("a long line: %v", err)
	}
}
