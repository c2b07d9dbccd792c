package shell

import (
	"context"
	"errors"
	"os"
	"os/signal"
)

// ending says why a context ended.
func ending(ctx context.Context) error {
	if errors.Is(context.Cause(ctx), errInterrupted) {
		return errInterrupted
	}
	return errTerminated
}

var (
	errInterrupted = errors.New("interrupted")
	errTerminated  = errors.New("terminated")
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
// unless it is for a program in front.
func (s *Shell) interruptible(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
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
				os.Stderr.WriteString("\n")
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
