package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ferry/internal/faultproxy"
	"ferry/internal/termtest"
	"ferry/server/servertest"
)

// seat is where a person sits: a machine with ferry on it, and somewhere a server with the account alice.
type seat struct {
	t      *testing.T
	server *servertest.Server
	proxy  *faultproxy.Proxy // on the way to it
	here   string            // the directory of the person
}

func newSeat(t *testing.T) *seat {
	s := &seat{t: t, server: servertest.New(t), here: t.TempDir()}
	s.server.AddUser("alice", password)
	for name, text := range map[string]string{"my notes.txt": "notes\n", "日本語.txt": "nihongo\n", "日本画.txt": "nihonga\n", "two words/in side": "inside\n", "two words/other": "other\n"} {
		s.write(s.server.Home("alice"), name, []byte(text))
	}
	var err error
	if s.proxy, err = faultproxy.Start(s.server.Addr()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.proxy.Close)
	return s
}

func (s *seat) write(dir, name string, data []byte) {
	s.t.Helper()
	path := filepath.Join(dir, name)
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = os.WriteFile(path, data, 0o600)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// command is ferry with arguments, in the directory of the person, with the state that its last run left.
func (s *seat) command(args ...string) *exec.Cmd {
	s.t.Helper()
	bin, err := exec.LookPath("ferry") // testscript puts it there
	if err != nil {
		s.t.Fatal(err)
	}
	c := exec.Command(bin, append([]string{"--fingerprint", s.server.Fingerprint()}, args...)...)
	c.Dir = s.here
	c.Env = append(os.Environ(), "HOME="+s.here, "XDG_STATE_HOME="+filepath.Join(s.here, ".state"), "XDG_CONFIG_HOME="+s.here)
	return c
}

// sit starts ferry and logs in as alice.
func (s *seat) sit() *termtest.Terminal {
	s.t.Helper()
	p := termtest.Start(s.t, 100, 30, s.command("alice@"+s.proxy.Addr()))
	p.See("Password of alice on " + s.proxy.Addr() + ":")
	p.Type(password + "\r")
	p.See("logged in as alice")
	p.See(":/>>\n")
	return p
}

// ready waits for a prompt behind which nothing is typed. What is typed before it comes is the terminal's to handle.
func ready(p *termtest.Terminal) {
	p.Until("a prompt", func(screen string) bool { return strings.HasSuffix(strings.TrimRight(screen, "\n"), ">>") })
}

// staged returns how many bytes of uploads the server has of alice.
func (s *seat) staged() (n int64) {
	names, _ := filepath.Glob(filepath.Join(s.server.Home("alice"), ".ferry", "*", "data"))
	for _, name := range names {
		var st syscall.Stat_t
		if syscall.Stat(name, &st) == nil {
			n += st.Blocks * 512
		}
	}
	return n
}

// until waits for a condition that nothing tells of.
func (s *seat) until(what string, ok func() bool) {
	s.t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	late := time.After(termtest.Patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			s.t.Fatalf("in vain waited until %s", what)
		}
	}
}

// leave waits for the end, which must leave the terminal as it was.
func (s *seat) leave(p *termtest.Terminal, code int) {
	s.t.Helper()
	if got := p.Wait(); got != code {
		s.t.Errorf("exit code %d, want %d:\n%s", got, code, p.Raw())
	}
	if p.State() != p.Before {
		s.t.Errorf("the terminal is %+v, not %+v as before", p.State(), p.Before)
	}
}

// TestPersonTypes: a person logs in with a password that is not shown, completes names with blanks and in other scripts, and
// leaves; the next time the lines are still known.
func TestPersonTypes(t *testing.T) {
	t.Parallel()
	s := newSeat(t)
	p := s.sit()
	if raw := p.Raw(); strings.Contains(raw, password[:5]) || !strings.Contains(raw, strings.Repeat("*", len(password))) {
		t.Errorf("the password is not masked: %q", raw)
	}
	s.write(s.server.Home("alice"), "cafe\u0301-noir", []byte("coffee\n"))
	p.Type("cat caf\u00e9") // as most keyboards type it; the name is stored as some machines write it
	p.Complete("-noir\n")
	p.Type("\r")
	p.See("\ncoffee\n")
	ready(p)

	p.Type("cat my")
	p.Complete(`>> cat my\ notes.txt` + "\n")
	p.Type("\r")
	p.See("\nnotes\n")
	ready(p)

	p.Type("cat 日") // as far as it is certain, then the list
	p.Complete(">> cat 日本\n")
	p.Complete("日本画.txt  日本語.txt\n")
	p.Type("語")
	p.Complete(">> cat 日本語.txt\n")
	p.Type("\r")
	p.See("\nnihongo\n")
	ready(p)

	p.Type(`cat "two`) // the quote stays open for what is in the directory
	p.Complete(`>> cat "two words/` + "\n")
	p.Complete("in side  other\n")
	p.Type("i")
	p.Complete(`>> cat "two words/in side"` + "\n")
	p.Type("\r")
	p.See("\ninside\n")
	ready(p)

	p.Type("put -") // options and their values
	p.Complete("-r, --recursive")
	p.See(">> put -\n")
	p.Type("-ex")
	p.Complete(">> put --exclude\n")
	p.Type("'*.tmp' -O tw")
	p.Complete(`-O two\ words/` + "\n")
	p.Type("\x03")
	p.See("^C\n")
	ready(p)

	p.Type("echo last\r")
	p.See("\nlast\n")
	ready(p)
	p.Type(" echo secret\r")
	p.See("\nsecret\n")
	ready(p)
	p.Type("\x04") // Ctrl-D
	s.leave(p, 0)

	info, err := os.Stat(filepath.Join(s.here, ".state/ferry/history"))
	if err != nil || info.Mode() != 0o600 {
		t.Fatalf("history: %v, %v", info.Mode(), err)
	}
	p = s.sit()
	p.Type("\x1b[A")
	p.See(">> echo last\n")
	p.Type("\x1b[A\x1b[A")
	p.See(`>> cat 日本語.txt` + "\n")
	p.Type("\r")
	p.See("\nnihongo\n")
	ready(p)
	p.Type("quit\r")
	s.leave(p, 0)
}

// TestPersonInterrupts: Ctrl-C in a put brings the prompt back at once, and the same put goes on where it was.
func TestPersonInterrupts(t *testing.T) {
	s := newSeat(t)
	data := pattern(24<<20, 3)
	s.write(s.here, "big", data)
	p := s.sit()
	s.proxy.SetRate(8 << 20)
	fastest := time.Hour
	const tries = 3 // another program may hold one of them up
	for try := range tries {
		before := s.staged()
		p.Type("put big\r")
		p.See("big ")
		s.until("something new was moved", func() bool { return s.staged() >= before+2<<20 })
		p.Until("a bar", func(screen string) bool { return strings.Contains(screen, "B of 24 MiB") })
		begin := time.Now()
		p.Type("\x03")
		p.Until("interrupted", func(screen string) bool {
			return strings.Count(screen, "interrupted\nhint: it goes on with: put big\n") == try+1
		})
		ready(p)
		fastest = min(fastest, time.Since(begin))
	}
	t.Logf("the prompt came back after %v", fastest)
	if fastest > time.Second {
		t.Errorf("the prompt came back after %v", fastest)
	}
	s.proxy.SetRate(0)
	p.Type("put big\r")
	screen := p.See("stored big: 24 MiB, ")
	ready(p)
	if !strings.Contains(screen, "MiB reused and verified, ") {
		t.Errorf("nothing was reused:\n%s", screen)
	}
	if got, err := os.ReadFile(filepath.Join(s.server.Home("alice"), "big")); err != nil || string(got) != string(data) {
		t.Errorf("what was stored is not what was sent: %d bytes, %v", len(got), err)
	}
	p.Type("quit\r")
	s.leave(p, 0)
}

// TestPersonResizes: the window may change its size while a line is typed and while a bar is drawn.
func TestPersonResizes(t *testing.T) {
	t.Parallel()
	s := newSeat(t)
	s.write(s.here, "big", pattern(24<<20, 4))
	p := s.sit()
	p.Type("echo one tw")
	p.See(">> echo one tw\n")
	p.Resize(60, 20)
	p.Type("o three\r")
	p.See("\none two three\n")
	ready(p)
	p.Resize(120, 40)
	p.Type("echo f\x7ffour\r")
	p.See("\nfour\n")
	ready(p)
	s.proxy.SetRate(4 << 20)
	p.Type("put big\r")
	p.See(" of 24 MiB")
	for _, columns := range []int{50, 110, 30, 80} {
		p.Resize(columns, 24)
		seen := len(p.Raw())
		p.Until("a frame of the bar", func(string) bool { return true })
		s.until("the bar was drawn anew", func() bool { return strings.Contains(p.Raw()[seen:], "big ") })
	}
	p.Type("\x03")
	p.See("interrupted")
	ready(p)
	p.Type("echo still here\r")
	p.See("\nstill here\n")
	ready(p)
	p.Type("quit\r")
	s.leave(p, 0)
}

// TestPersonErrs: keys and pasted text that nobody needs do no harm.
func TestPersonErrs(t *testing.T) {
	t.Parallel()
	s := newSeat(t)
	p := s.sit()
	p.Type("a\x13b\x03") // Ctrl-S, Ctrl-C
	p.See(">> ab^C\n")
	ready(p)
	p.Type("c\x00d\x03") // Ctrl-Space
	p.See(">> cd^C\n")
	ready(p)
	p.Type("\x1c\x0f\x16\x18\x1d\x1e\x1f")
	p.Type("echo 1\x13\x00\x112\r")
	p.See("\n12\n")
	ready(p)
	p.Type("\x12\x13\x03\x03") // Ctrl-R, Ctrl-S
	p.See(">> ^C\n")
	ready(p)
	p.Type("echo 34\r")
	p.See("\n34\n")
	ready(p)
	p.Type("echo " + strings.Repeat("0123456789", 1000) + "\r") // pasted
	p.Until("all of it", func(screen string) bool {
		return strings.HasSuffix(strings.TrimRight(screen, "\n"), "0123456789\nalice@"+s.proxy.Addr()+":/>>")
	})
	p.Type(strings.Repeat("no such command; ", 600) + "\x03")
	p.See("no such command; ^C\n")
	ready(p)
	p.Type("pwd\r")
	p.See("\n/\n")
	ready(p)
	p.Type("\x04")
	s.leave(p, 0)
}

// TestSilentServer: a command that waits for a server that is silent says so within 5 s, and is carried out when that is over.
func TestSilentServer(t *testing.T) {
	t.Parallel()
	s := newSeat(t)
	p := s.sit()
	s.proxy.Pause()
	p.Type("ls -1 my*\r")
	p.See("\nno answer from the server for ")
	s.proxy.Resume()
	p.See("\nmy notes.txt\n")
	ready(p)
	p.Type("quit\r")
	s.leave(p, 0)
}

// TestTabGivesUp: where the server does not answer Tab offers nothing, the line stays what it was, and Ctrl-C works; the same
// when it answers again.
func TestTabGivesUp(t *testing.T) {
	t.Parallel()
	s := newSeat(t)
	p := s.sit()
	s.proxy.Pause()
	p.Type("cat my\t")
	p.Type("x\x03")
	p.See(">> cat myx^C\n")
	ready(p)
	p.Type("echo all the same\r")
	p.See("\nall the same\n")
	ready(p)
	s.proxy.Resume()
	p.Type("cat my")
	p.Complete(`>> cat my\ notes.txt` + "\n")
	p.Type("\r")
	p.See("\nnotes\n")
	ready(p)
	p.Type("quit\r")
	s.leave(p, 0)
}

// TestLeaves: the terminal is as it was whichever way ferry ends.
func TestLeaves(t *testing.T) {
	type terminal = termtest.Terminal
	prompt := func(p *terminal) { p.See(">>\n") }
	asked := func(p *terminal) { p.See("Password of alice") }
	for _, test := range []struct {
		name string
		args []string // A stands for alice at the server
		at   func(*terminal)
		end  func(*terminal)
		code int
	}{
		{"quit", nil, prompt, func(p *terminal) { p.Type("quit\r") }, 0},
		{"Ctrl-D", nil, prompt, func(p *terminal) { p.Type("\x04") }, 0},
		{"-e", []string{"-e", "quit"}, func(*terminal) {}, func(*terminal) {}, 0},
		{"-c", []string{"-c", "nothing"}, func(*terminal) {}, func(*terminal) {}, 2},
		{"SIGTERM", nil, prompt, func(p *terminal) { p.Signal(syscall.SIGTERM) }, 143},
		{"SIGHUP", nil, prompt, func(p *terminal) { p.Signal(syscall.SIGHUP) }, 143},
		{"SIGINT", nil, prompt, func(p *terminal) {
			p.Signal(syscall.SIGINT)
			p.Type("echo on\r")
			p.See("\non\n")
			ready(p)
			p.Type("quit\r")
		}, 0},
		{"SIGTERM at the password", []string{"A"}, asked, func(p *terminal) { p.Signal(syscall.SIGTERM) }, 143},
		{"SIGHUP at the password", []string{"A"}, asked, func(p *terminal) { p.Signal(syscall.SIGHUP) }, 143},
		{"Ctrl-C at the password", []string{"A"}, asked, func(p *terminal) { p.Type("x\x03"); prompt(p); p.Type("quit\r") }, 0},
		{"SIGINT again and again at the password", []string{"A"}, asked, func(p *terminal) {
			for {
				select {
				case <-p.Ended():
					return
				case <-time.After(20 * time.Millisecond): // two at once are one
					p.Signal(syscall.SIGINT)
				}
			}
		}, 130},
		{"SIGINT at the password of a script", []string{"A", "-c", "pwd"}, asked, func(p *terminal) { p.Signal(syscall.SIGINT) }, 130},
		{"SIGTERM at the password of a script", []string{"A", "-c", "pwd"}, asked, func(p *terminal) { p.Signal(syscall.SIGTERM) }, 143},
		{"SIGTERM in a command", nil, func(p *terminal) { p.Type("!echo on; exec sleep 100\r"); p.See("\non\n") }, func(p *terminal) { p.Signal(syscall.SIGTERM) }, 143},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSeat(t)
			for i, a := range test.args {
				if a == "A" {
					test.args[i] = "alice@" + s.server.Addr()
				}
			}
			p := termtest.Start(t, 80, 24, s.command(test.args...))
			test.at(p)
			test.end(p)
			s.leave(p, test.code)
		})
	}
}

// TestHangup: a terminal that is closed ends ferry.
func TestHangup(t *testing.T) {
	t.Parallel()
	s := newSeat(t)
	p := termtest.Start(t, 80, 24, s.command())
	p.See(">>\n")
	p.Hangup()
	if code := p.Wait(); code != 143 && code != 0 { // whichever comes first: the signal, or the end of what is typed
		t.Errorf("exit code %d", code)
	}
}

// TestSuspended: Ctrl-Z gives the terminal to the shell that ferry was started from, as it was, and fg goes on with the line; so it is
// where a password is asked for.
func TestSuspended(t *testing.T) {
	for name, test := range map[string]struct {
		args   []string
		asks   string
		onward func(*termtest.Terminal)
	}{
		"prompt":             {nil, ">>\n", func(p *termtest.Terminal) { p.Type("o on\r"); p.See("\non\n"); ready(p); p.Type("quit\r") }},
		"password":           {[]string{"A"}, "Password of alice", func(p *termtest.Terminal) { p.Type("\x03"); p.See("\n>>\n"); p.Type("quit\r") }},
		"password of script": {[]string{"A", "-c", "pwd"}, "Password of alice", func(p *termtest.Terminal) { p.Type(password + "\r"); p.See("\n/\n") }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSeat(t)
			for i, a := range test.args {
				if a == "A" {
					test.args[i] = "alice@" + s.server.Addr()
				}
			}
			p, shell := s.inShell(test.args...)
			p.See(test.asks)
			if name == "prompt" {
				p.Type("ech")
			}
			p.Type("\x1a")
			p.See("Stopped")
			p.See("shell$\n")
			if p.State() != shell {
				t.Errorf("the shell gets %+v, not %+v", p.State(), shell)
			}
			p.Type("echo in the shell\r")
			p.See("\nin the shell\n")
			p.Type("fg\r")
			s.until("it is in front again", func() bool { return p.State() != shell })
			test.onward(p)
			s.leaveShell(p)
		})
	}
}

// inShell starts ferry from a shell, and returns how that has the terminal.
func (s *seat) inShell(args ...string) (*termtest.Terminal, termtest.State) {
	s.t.Helper()
	ferry := s.command(args...)
	sh := exec.Command("/bin/sh", "-i")
	sh.Dir, sh.Env = ferry.Dir, append(ferry.Env, "PS1=shell$ ", "ENV=")
	p := termtest.Start(s.t, 80, 24, sh)
	p.See("shell$\n")
	shell := p.State()
	p.Type(strings.Join(append([]string{ferry.Path}, ferry.Args[1:]...), " ") + "\r")
	return p, shell
}

// leaveShell waits for the end of what the shell has started, and leaves it.
func (s *seat) leaveShell(p *termtest.Terminal) {
	s.t.Helper()
	p.Until("the shell", func(screen string) bool { return strings.HasSuffix(strings.TrimRight(screen, "\n"), "shell$") })
	p.Type("exit\r")
	s.leave(p, 0)
}

// TestSuspendedTransfer: Ctrl-Z takes the bar off the screen, which belongs to the shell then, also while the transfer goes on in the
// background; in front it is shown again.
func TestSuspendedTransfer(t *testing.T) {
	t.Parallel()
	s := newSeat(t)
	data := pattern(24<<20, 6)
	s.write(s.here, "big", data)
	s.proxy.SetRate(2 << 20)
	p, _ := s.inShell("alice@"+s.proxy.Addr(), "-c", "'put big'")
	p.See("Password of alice")
	p.Type(password + "\r")
	const bar = " of 24 MiB"
	p.See(bar)
	p.Type("\x1a")
	if screen := p.See("Stopped"); strings.Contains(screen, bar) {
		t.Errorf("the bar is still there:\n%s", screen)
	}
	p.See("shell$\n")
	before := s.staged()
	p.Type("bg\r")
	s.until("the transfer goes on", func() bool { return s.staged() >= before+2<<20 })
	s.proxy.Pause()
	if screen := p.Screen(); strings.Contains(screen, bar) {
		t.Errorf("in the background the bar is drawn:\n%s", screen)
	}
	p.Type("fg\r")
	p.See(bar)
	s.proxy.SetRate(0)
	s.proxy.Resume()
	p.See("stored big: 24 MiB sent")
	s.leaveShell(p)
	if got, err := os.ReadFile(filepath.Join(s.server.Home("alice"), "big")); err != nil || string(got) != string(data) {
		t.Errorf("what was stored is not what was sent: %d bytes, %v", len(got), err)
	}
}
