package shell

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"time"
)

// ending says why a context ended.
func ending(ctx context.Context) error {
	for _, why := range []error{errInterrupted, errStopped} {
		if errors.Is(context.Cause(ctx), why) {
			return why
		}
	}
	return errTerminated
}

var (
	errInterrupted = errors.New("interrupted")
	errTerminated  = errors.New("terminated")
	errStopped     = errors.New("stopped") // a job, because somebody wanted it
)

// ended is the error of what ran until its context ended: why that was.
func ended(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	return stopped(ending(ctx), err)
}

// stopped is why with the hint of err, if that tells how to go on.
func stopped(why, err error) error {
	var r *hinted
	if errors.As(err, &r) {
		return &hinted{why, r.hint}
	}
	return why
}

// interruptWait is how long a script may take to end after a Ctrl-C: nobody may read what it writes.
const interruptWait = 5 * time.Second

// interruptible returns a context that ends with Ctrl-C. What hears none of that ends with the program, so that nothing can hang it:
// at the next Ctrl-C, or in a script by itself in the end, but a person, who may have jobs, is told before. Those that are for a
// program in front do not count, and a job hears none.
func (s *Shell) interruptible(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	if s.job != nil {
		return ctx, func() { cancel(nil) }
	}
	keys := make(chan os.Signal, 2)
	signal.Notify(keys, os.Interrupt)
	done := make(chan struct{})
	go func() {
		var late <-chan time.Time
		for n := 0; ; {
			select {
			case <-keys:
				cancel(errInterrupted)
			case <-late:
			case <-done:
				return
			}
			if !s.Person {
				late = time.After(interruptWait)
			}
			switch {
			case s.programs.Load() > 0:
				continue
			case n == 1 && s.Person:
				s.Err.Abandon() // until the next frame
				fmt.Fprintf(os.Stderr, "\nthe command is being stopped; Ctrl-C once more ends ferry%s\n", s.besides())
			case n > 0:
				s.cutOff()
			}
			n++
		}
	}()
	return ctx, func() {
		signal.Stop(keys)
		close(done)
		cancel(nil)
	}
}

// besides tells of the jobs that end with the program.
func (s *Shell) besides() string {
	switch n := len(s.jobs.unfinished()); n {
	case 0:
		return ""
	case 1:
		return " and 1 job"
	default:
		return fmt.Sprintf(" and %d jobs", n)
	}
}

// cutOff ends the program as it is. What a transfer has moved does not depend on how it ends.
func (s *Shell) cutOff() {
	jobs := s.besides()
	s.Err.Abandon()
	s.In.Close()            // a question may have the terminal
	if s.Err.OnTerminal() { // elsewhere nobody may read it
		fmt.Fprintln(os.Stderr)
		if jobs != "" {
			fmt.Fprintf(os.Stderr, "ferry%s ended; what was moved is kept, the same commands go on with it\n", jobs)
		}
	}
	os.Exit(exitStopped)
}
