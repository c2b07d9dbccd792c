package servertest

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Process is a ferryd of its own, on a data directory of its own.
type Process struct {
	Store
	Log   *Log // of all its lives
	args  []string
	addrs []string
	cmd   *exec.Cmd     // nil while it does not run
	ended chan struct{} // closed when it has exited
	lives int
	taken int // times that its port was somebody else's
	asked int // reloads
}

// Prepare returns a ferryd that is not yet started, with more arguments for `ferryd serve`. Without a --listen among them
// it listens at a free port of 127.0.0.1.
func Prepare(t testing.TB, args ...string) *Process {
	t.Helper()
	p := &Process{Store: newStore(t), Log: newLog(), args: args}
	p.reload = func() {
		if p.cmd == nil {
			return
		}
		p.asked++
		p.Signal(syscall.SIGHUP)
		p.Log.await(t, p.asked, "accounts read again", p.ended)
	}
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			p.Log.show(t)
		}
	})
	return p
}

// Exec starts a ferryd as Prepare describes it and waits until it accepts connections. It is killed when the test ends.
func Exec(t testing.TB, args ...string) *Process {
	t.Helper()
	p := Prepare(t, args...)
	p.Start()
	return p
}

// command returns the test binary as ferryd.
func command(args ...string) *exec.Cmd {
	c := exec.Command(os.Args[0], args...)
	c.Env = slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "FERRYD_") })
	c.Env = append(c.Env, childMark)
	return c
}

// Start starts it, at the same addresses if it ran before, and waits until it accepts connections.
func (p *Process) Start() {
	p.t.Helper()
	file := filepath.Join(p.dir, "addresses")
	args := append([]string{"serve", "--data", p.dir, "--addr-file", file}, p.args...)
	listens := slices.ContainsFunc(p.args, func(a string) bool { return a == "--listen" || strings.HasPrefix(a, "--listen=") })
	switch {
	case !listens && p.addrs == nil:
		args = append(args, "--listen", "127.0.0.1:0")
	case !listens:
		args = append(args, "--listen", p.addrs[0])
	}
	p.lives++
	p.launch(args)
	// Of a server that is started again, somebody else's connection may have got the port meanwhile.
	for end := time.Now().Add(portWait); p.addrs != nil && p.refused() && time.Now().Before(end); {
		time.Sleep(100 * time.Millisecond)
		p.launch(args)
	}
	p.Log.await(p.t, p.lives, accepting, p.ended)
	text, err := os.ReadFile(file)
	if err != nil {
		p.t.Fatal(err)
	}
	p.addrs = strings.Fields(string(text))
}

// What it logs when it begins, and when it cannot.
const (
	accepting = "accepting connections"
	portTaken = "address already in use"
)

// launch starts the process.
func (p *Process) launch(args []string) {
	p.t.Helper()
	c, ended := command(args...), make(chan struct{})
	c.Stderr = p.Log
	if err := c.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.cmd, p.ended = c, ended
	go func() { c.Wait(); close(ended) }()
}

// refused tells whether the process ended because its port is somebody else's.
func (p *Process) refused() bool {
	if p.Log.reaches(p.lives, accepting, p.ended) || strings.Count(p.Log.String(), portTaken) == p.taken {
		return false
	}
	p.taken++
	return true
}

// Addr returns the first address it listens at, as host:port or unix:PATH.
func (p *Process) Addr() string { return p.addrs[0] }

// Addrs returns all addresses it listens at, in the order of the address file.
func (p *Process) Addrs() []string { return p.addrs }

// Pid returns its process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Fingerprint returns that of its key.
func (p *Process) Fingerprint() string {
	p.t.Helper()
	out, errs, code := Ferryd(p.t, "", "fingerprint", "--data", p.dir)
	if code != 0 {
		p.t.Fatal(errs)
	}
	return strings.TrimSpace(out)
}

// Signal sends it a signal, unless it has ended.
func (p *Process) Signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatal(err)
	}
}

// Kill ends it the hard way (SIGKILL), if it runs.
func (p *Process) Kill() {
	if p.cmd == nil {
		return
	}
	p.cmd.Process.Kill()
	<-p.ended
	p.cmd = nil
}

// Term sends SIGTERM and returns what Wait does.
func (p *Process) Term() int {
	p.t.Helper()
	p.Signal(syscall.SIGTERM)
	return p.Wait()
}

// Wait waits until it has exited and returns its exit code, -1 if a signal ended it.
func (p *Process) Wait() int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.t.Fatal("ferryd does not end")
	}
	code := p.cmd.ProcessState.ExitCode()
	p.cmd = nil
	return code
}

// Restart kills it if it runs, and starts it again at the same addresses.
func (p *Process) Restart() {
	p.t.Helper()
	p.Kill()
	p.Start()
}

// Ferryd runs one ferryd command line to its end.
func Ferryd(t testing.TB, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	c := command(args...)
	var out, errs bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(stdin), &out, &errs
	err := c.Start()
	if err == nil {
		late := time.AfterFunc(patience, func() { c.Process.Kill() })
		err = c.Wait()
		late.Stop()
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), c.ProcessState.ExitCode()
}
