package shell

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// outputError is what happened to the place where results go; it is told as one of redirect, whatever the command.
type outputError struct{ error }

func (e *outputError) Unwrap() error { return e.error }

// sink is a place on this machine where the results of one command go.
type sink struct {
	io.WriteCloser
	name   string
	broken context.CancelFunc // ends the command: nothing takes its results any more
	wait   func() error       // for what reads them, after Close
	err    error              // the first of writing
}

// Write implements io.Writer. The first error is kept and ends the command, which sees no more than that.
func (s *sink) Write(b []byte) (int, error) {
	n, err := s.WriteCloser.Write(b)
	if err == nil {
		return n, nil
	}
	if s.err == nil {
		s.err = err
		s.broken()
	}
	return n, context.Canceled
}

// end closes the sink of a command that ended with err, and returns what the two come to. A program that has read enough is
// no failure of the command; its own counts only if the command had none.
func (s *sink) end(err error) error {
	closed := s.Close()
	exit := s.wait()
	gone := errors.Is(s.err, syscall.EPIPE)
	switch {
	case s.err != nil && !gone:
		return &outputError{named(s.name, s.err)}
	case err != nil && !gone:
		return err
	case exit != nil:
		return &outputError{named(s.name, exit)}
	case closed != nil && !gone:
		return &outputError{named(s.name, closed)}
	}
	return nil
}

// into runs a command with its results going to a file or a program, if there is a to.
func (s *Shell) into(ctx context.Context, to *Output, run func(context.Context) error) error {
	if to == nil {
		return run(ctx)
	}
	open := s.toFile
	if to.Op == "|" {
		open = s.toProgram
	}
	out, err := open(ctx, to)
	if err != nil {
		return &outputError{err}
	}
	ctx, out.broken = context.WithCancel(ctx)
	defer out.broken()
	before := s.Out
	s.Out = out
	defer func() { s.Out = before }()
	return out.end(run(ctx))
}

// toFile opens the file of > and >>.
func (s *Shell) toFile(ctx context.Context, to *Output) (*sink, error) {
	name, err := s.onlyHere(to.To)
	if err != nil {
		return nil, err
	}
	flags := map[string]int{">": os.O_TRUNC, ">>": os.O_APPEND}[to.Op]
	f, err := os.OpenFile(s.local(name), os.O_WRONLY|os.O_CREATE|flags, 0o666)
	if err != nil {
		return nil, named(name, err)
	}
	return &sink{WriteCloser: f, name: name, wait: func() error { return nil }}, nil
}

// toProgram starts the program of |.
func (s *Shell) toProgram(ctx context.Context, to *Output) (*sink, error) {
	cmd := localShell(to.To.Text)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.ldir, s.Out, os.Stderr
	if s.job != nil {
		cmd.Stderr = s.Err
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for what is in front
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	wait, err := s.front(ctx, cmd)
	if err != nil {
		return nil, err
	}
	return &sink{WriteCloser: in, name: to.To.Text, wait: wait}, nil
}

// localShell is the shell of this machine, with a line to run.
func localShell(line string) *exec.Cmd {
	sh := os.Getenv("SHELL")
	if sh == "" {
		sh = "/bin/sh"
	}
	return exec.Command(sh, "-c", line)
}

// killAfter is how long a program has to end, once ferry was told to.
const killAfter = 2 * time.Second

// front starts a program that has the terminal until wait returns. It is told when ctx ends; Ctrl-C is its own matter, so that
// a pager may stay, but nothing outlives a ferry that has to end.
func (s *Shell) front(ctx context.Context, cmd *exec.Cmd) (wait func() error, err error) {
	if err := cmd.Start(); err != nil {
		var p *fs.PathError
		if errors.As(err, &p) {
			err = named(p.Path, p)
		}
		return nil, err
	}
	s.programs.Add(1)
	speak := func() {}
	if s.Err.OnTerminal() {
		s.hush.begin()
		speak = s.hush.end
	}
	ended := make(chan struct{})
	signal := func(sig syscall.Signal) { cmd.Process.Signal(sig) }
	if s.job != nil {
		signal = func(sig syscall.Signal) { syscall.Kill(-cmd.Process.Pid, sig) }
	}
	go func() {
		select {
		case <-ctx.Done():
		case <-ended:
			return
		}
		if s.job == nil && ending(ctx) == errInterrupted {
			signal(syscall.SIGINT)
			return
		}
		signal(syscall.SIGTERM)
		select {
		case <-time.After(killAfter):
			signal(syscall.SIGKILL)
		case <-ended:
		}
	}()
	return func() error {
		err := cmd.Wait()
		close(ended)
		s.programs.Add(-1)
		speak()
		return interruptedBy(err)
	}, nil
}

// interruptedBy is what the end of a program comes to: it may have heard of a Ctrl-C before ferry has.
func interruptedBy(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGINT {
			return errInterrupted
		}
	}
	return err
}
