package main

import (
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"ferry/internal/termtest"
)

// TestPersonHasJobs: what a job has to say spoils neither a line that is being typed nor the bar of what is in front; fg shows
// its bar and Ctrl-C stops it; who leaves is asked, and a signal stops the rest so that it can be gone on with.
func TestPersonHasJobs(t *testing.T) {
	s := newSeat(t)
	s.write(s.here, "big", pattern(6<<20, 5))
	p := s.sit()
	prompt := "alice@" + s.proxy.Addr() + ":/>>"
	ends := func(screen string, lines ...string) bool { // with these, of which those that are no prompt may be longer
		got := strings.Split(strings.TrimRight(screen, "\n"), "\n")
		return len(got) >= len(lines) && slices.EqualFunc(got[len(got)-len(lines):], lines, func(got, want string) bool {
			return got == want || !strings.HasPrefix(want, prompt) && strings.HasPrefix(got, want)
		})
	}
	shows := func(lines ...string) {
		t.Helper()
		p.Until(strings.Join(lines, "\n"), func(screen string) bool { return ends(screen, lines...) })
	}
	s.proxy.Pause()
	p.Type("put big &\r")
	shows(prompt+" put big &", "[1] put big", prompt)
	p.Type("ls -1 b")
	shows("[1] put big", prompt+" ls -1 b")
	s.proxy.Resume()
	shows("[1] put big", "[1] stored big: 6 MiB sent", prompt+" ls -1 b")
	p.Type("ig\r")
	shows("[1] stored big: ", prompt+" ls -1 big", "big", prompt)

	const both = "put --limit 8M big -o one & put --limit 3M big -o two"
	p.Type(both + "\r")
	p.See(" of 6 MiB")
	p.Until("both are stored", func(screen string) bool {
		begin, one, two := []string{prompt + " " + both, "[2] put --limit 8M big -o one"}, "[2] stored one: 6 MiB sent", "stored two: 6 MiB sent"
		return ends(screen, append(begin, one, two, prompt)...) || ends(screen, append(begin, two, one, prompt)...)
	})

	before := s.staged()
	p.Type("put --limit 512K big -o three &\r")
	p.See("[3] put --limit 512K big -o three\n")
	s.until("a block was moved", func() bool { return s.staged() > before+1<<20 })
	p.Type("fg\r")
	p.Until("a bar", func(screen string) bool { return strings.Contains(screen, "MiB of 6 MiB") })
	p.Type("\x03")
	p.See("[3] put: interrupted\n[3] hint: it goes on with: ")
	p.See("cd / && put --limit 512K big -o three\n")
	shows("fg: interrupted", prompt)
	p.Type("put big -o three\r")
	p.Until("it goes on", func(screen string) bool {
		return strings.Contains(screen, "stored three: 6 MiB, ") && strings.Contains(screen, " reused and verified, ")
	})

	p.Type("put --limit 64K big -o four &\r")
	p.See("[3] put --limit 64K big -o four\n")
	p.Type("quit\r")
	p.See("1 job is not done: [w]ait, [s]top (what was moved is kept), or stay? [w/s/N]\n")
	p.Type("\r")
	shows("quit: some jobs are not done", "hint: ", prompt)
	p.Signal(syscall.SIGTERM)
	s.leave(p, 143)
	p.See("[3] put: terminated\n")
	p = termtest.Start(t, 100, 30, s.command("alice@"+s.proxy.Addr(), "-c", "put big -o four"))
	p.See("Password of alice")
	p.Type(password + "\r")
	p.See("stored four: 6 MiB")
	s.leave(p, 0)
}

// TestPersonHasEnough: where a command does not stop, Ctrl-C again says that ferry ends with the next one, and with it the jobs, whose
// transfers go on the next time.
func TestPersonHasEnough(t *testing.T) {
	t.Parallel()
	s := newSeat(t)
	s.write(s.here, "big", pattern(24<<20, 7))
	if err := syscall.Mkfifo(filepath.Join(s.here, "nobody-reads"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := s.sit()
	s.proxy.SetRate(8 << 20)
	p.Type("put big &\r")
	p.See("[1] put big\n")
	s.until("a block was moved", func() bool { return s.staged() >= 2<<20 })
	s.proxy.Pause()
	ready(p)
	p.Type("pwd > nobody-reads\r")
	p.Until("the command runs", func(string) bool { return p.State() == p.Before })
	for over := false; !over; {
		p.Signal(syscall.SIGINT)
		select {
		case <-p.Ended():
			over = true
		case <-time.After(20 * time.Millisecond): // two at once are one
		}
	}
	s.leave(p, 130)
	p.See("the command is being stopped; Ctrl-C once more ends ferry and 1 job\n")
	p.See("ferry and 1 job ended; what was moved is kept, the same commands go on with it\n")
	s.proxy.SetRate(0)
	s.proxy.Resume()
	p = termtest.Start(t, 100, 30, s.command("alice@"+s.proxy.Addr(), "-c", "put big"))
	p.See("Password of alice")
	p.Type(password + "\r")
	p.See(" reused and verified, ")
	s.leave(p, 0)
}
