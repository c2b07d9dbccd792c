// Package termtest runs a program on a terminal of its own, at which a test sits as a person does: it types, waits until
// something stands on the screen, and looks at what the program left of the terminal.
package termtest

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/hinshun/vt10x"
	"golang.org/x/sys/unix"
)

// Patience is how long anything may take that is awaited; only a failing test takes so long.
const Patience = 30 * time.Second

// Terminal is a screen with a keyboard, on which one program runs. Its methods end the test when what they wait for does not
// come; they are for the goroutine of the test.
type Terminal struct {
	Before State // how the terminal was before the program

	t       testing.TB
	cmd     *exec.Cmd
	ptm     *os.File      // the side of the person
	tty     *os.File      // that of the program, kept open so that its state can be looked at afterwards
	reading chan struct{} // closed when nothing more comes
	ended   chan struct{} // closed when the program has ended

	mu   sync.Mutex // guards what follows
	more *sync.Cond // something was written
	vt   vt10x.Terminal
	raw  strings.Builder // all that was written
}

// Start runs a program on a terminal of columns by rows, as the leader of a session of its own. It is killed when the test
// ends.
func Start(t testing.TB, columns, rows int, cmd *exec.Cmd) *Terminal {
	t.Helper()
	ptm, tty := open(t)
	p := &Terminal{t: t, cmd: cmd, ptm: ptm, tty: tty, reading: make(chan struct{}), ended: make(chan struct{}), vt: vt10x.New(vt10x.WithSize(columns, rows), vt10x.WithWriter(ptm))}
	p.more = sync.NewCond(&p.mu)
	p.setSize(columns, rows)
	p.Before = p.State()
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, "TERM=xterm", "NO_COLOR=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true, Setctty: true}
	for _, s := range []os.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTSTP} {
		if signal.Ignored(s) { // tests that nohup or a script has started: a program at a terminal is to hear them
			signal.Notify(make(chan os.Signal, 1), s)
		}
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go p.read()
	go func() {
		defer close(p.ended)
		cmd.Wait()
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-p.ended
		p.Hangup()
		<-p.reading
	})
	return p
}

// open returns the two sides of a terminal. A read from that of the person ends when it is closed.
func open(t testing.TB) (ptm, tty *os.File) {
	ptm, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer ptm.Close() // which cannot be interrupted any more
	fd, err := unix.FcntlInt(ptm.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), "ptm"), tty
}

func (p *Terminal) setSize(columns, rows int) {
	if err := pty.Setsize(p.tty, &pty.Winsize{Cols: uint16(columns), Rows: uint16(rows)}); err != nil {
		p.t.Fatal(err)
	}
}

// read draws what the program writes.
func (p *Terminal) read() {
	defer close(p.reading)
	buf := make([]byte, 64<<10)
	for {
		n, err := p.ptm.Read(buf)
		p.mu.Lock()
		p.vt.Write(buf[:n])
		p.raw.Write(buf[:n])
		p.more.Broadcast()
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// Type presses keys.
func (p *Terminal) Type(keys string) {
	p.t.Helper()
	if _, err := p.ptm.WriteString(keys); err != nil {
		p.t.Fatal(err)
	}
}

// See waits until text stands on the screen, and returns the screen. A newline in text is the end of a line.
func (p *Terminal) See(text string) string {
	p.t.Helper()
	return p.Until(text, func(screen string) bool { return strings.Contains(screen, text) })
}

// Until waits until the screen is as it should be, and returns it; what says in words how that is.
func (p *Terminal) Until(what string, ok func(screen string) bool) string {
	p.t.Helper()
	screen, seen := p.within(Patience, ok)
	if !seen {
		p.t.Fatalf("%q does not appear:\n%s\nraw: %.5000q", what, strings.TrimRight(screen, "\n"), p.Raw())
	}
	return screen
}

// Complete presses Tab until text stands on the screen, as a person does when Tab gave up because the machine was busy.
func (p *Terminal) Complete(text string) {
	p.t.Helper()
	has := func(screen string) bool { return strings.Contains(screen, text) }
	for begin := time.Now(); time.Since(begin) < Patience; {
		p.Type("\t")
		if _, seen := p.within(Patience/10, has); seen {
			return
		}
	}
	p.See(text)
}

// within waits for so long until the screen is as it should be, and tells whether it came to be.
func (p *Terminal) within(most time.Duration, ok func(screen string) bool) (screen string, seen bool) {
	deadline := time.Now().Add(most)
	late := time.AfterFunc(most, p.more.Broadcast)
	defer late.Stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		if screen = p.screen(); ok(screen) {
			return screen, true
		}
		if !time.Now().Before(deadline) {
			return screen, false
		}
		p.more.Wait()
	}
}

// Screen returns what stands on the screen now, without blanks at the ends of lines.
func (p *Terminal) Screen() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.screen()
}

// screen is Screen with p.mu held.
func (p *Terminal) screen() string {
	var b strings.Builder
	for line := range strings.Lines(p.vt.String()) {
		b.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	return b.String()
}

// View returns the screen with its colours and its cursor. It is only for the function that Until is given, while nothing is drawn.
func (p *Terminal) View() vt10x.View { return p.vt }

// Raw returns every byte that the program has written so far.
func (p *Terminal) Raw() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.raw.String()
}

// Resize makes the window another size, of which the kernel tells the program.
func (p *Terminal) Resize(columns, rows int) {
	p.t.Helper()
	p.mu.Lock()
	p.vt.Resize(columns, rows)
	p.mu.Unlock()
	p.setSize(columns, rows)
}

// Signal sends the program a signal, unless it has ended.
func (p *Terminal) Signal(sig syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatal(err)
	}
}

// Hangup closes the terminal as when its window is closed.
func (p *Terminal) Hangup() {
	p.tty.Close()
	p.ptm.Close()
}

// Ended returns a channel that is closed when the program has ended.
func (p *Terminal) Ended() <-chan struct{} { return p.ended }

// Wait waits for the end of the program and returns its exit code, -1 if a signal ended it.
func (p *Terminal) Wait() int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(Patience):
		p.Signal(syscall.SIGQUIT) // tells where it hangs
		p.See("goroutine ")
		p.t.Fatalf("the program does not end:\n%s", p.Raw())
	}
	return p.cmd.ProcessState.ExitCode()
}

// State is how the terminal treats what is typed and written.
type State struct {
	In, Out, Control, Local uint32
	Chars                   [19]uint8
}

// State returns how the terminal is set now.
func (p *Terminal) State() State {
	p.t.Helper()
	s, err := unix.IoctlGetTermios(int(p.tty.Fd()), unix.TCGETS)
	if err != nil {
		p.t.Fatal(err)
	}
	return State{s.Iflag, s.Oflag, s.Cflag, s.Lflag, s.Cc}
}
