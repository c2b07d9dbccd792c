package shell

import (
	"context"
	"errors"
	"os"
	"os/signal"
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

// stopped is why with the hint of err, if that tells how to go on.
func stopped(why, err error) error {
	var r *hinted
	if errors.As(err, &r) {
		return &hinted{why, r.hint}
	}
	return why
}

// interruptible returns a context that ends with Ctrl-C; a second Ctrl-C ends the program, so that nothing can hang it,
// unless it is for a program in front. A job hears no Ctrl-C.
func (s *Shell) interruptible(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	if s.job != nil {
		return ctx, func() { cancel(nil) }
	}
	keys := make(chan os.Signal, 2)
	signal.Notify(keys, os.Interrupt)
	done := make(chan struct{})
	go func() {
		for n := 0; ; n++ {
			select {
			case <-keys:
				cancel(errInterrupted)
			case <-done:
				return
			}
			if n > 0 && s.programs.Load() == 0 {
				s.Err.Abandon()
				os.Stderr.WriteString("\n")
				s.In.Close() // a question may have the terminal
				os.Exit(exitStopped)
			}
		}
	}()
	return ctx, func() {
		signal.Stop(keys)
		close(done)
		cancel(nil)
	}
}
