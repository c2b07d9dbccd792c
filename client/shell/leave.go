package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"ferry/client/term"
)

// errStay is that a person would rather not leave the jobs alone.
var errStay = &hinted{errors.New("some jobs are not done"), "wait waits for them, kill N stops one, jobs lists them"}

// leave ends the session, once no job needs it.
func (s *Shell) leave(ctx context.Context) error {
	err := s.part(ctx)
	if err == nil {
		s.Close()
	}
	return err
}

// part makes sure that no job is left: a script waits for them, a person says what is to become of them.
func (s *Shell) part(ctx context.Context) error {
	for {
		left := s.jobs.unfinished()
		n := len(left)
		switch {
		case n == 0:
			return nil
		case !s.Person:
			return s.await(ctx, left)
		}
		answer, err := s.In.Read(fmt.Sprintf("%s not done: [w]ait, [s]top (what was moved is kept), or stay? [w/s/N] ",
			map[bool]string{true: "1 job is", false: fmt.Sprintf("%d jobs are", n)}[n == 1]))
		if errors.Is(err, io.EOF) { // Ctrl-D once more, or the terminal is gone
			answer = "s"
		} else if err != nil {
			return errInterrupted
		}
		switch strings.ToLower(strings.TrimSpace(answer)) {
		case "w", "wait":
			if err := s.await(ctx, left); err != nil {
				return err
			}
		case "s", "stop":
			s.jobs.endAll(errStopped)
		case "", "n", "no", "stay":
			return errStay
		default:
			continue
		}
		for _, b := range left {
			s.jobs.forget(b)
		}
	}
}

// finish is the end of a run: nothing goes on without it. In a script a job that failed, and that nobody waited for, makes the
// exit code, if nothing else did.
func (s *Shell) finish(ctx context.Context, code int) int {
	if s.Person {
		s.jobs.endAll(ending(ctx)) // none is left, unless the program was told to end
		return code
	}
	if err := s.await(ctx, s.jobs.unfinished()); err != nil {
		s.jobs.endAll(ending(ctx))
		return ExitCode(ending(ctx))
	}
	for _, b := range s.jobs.all(func(*background) bool { return true }) {
		if _, failed := s.jobs.how(b); code == exitOK {
			code = failed
		}
	}
	return code
}

// lookEvery is how often somebody who waits for jobs looks what they are moving.
const lookEvery = 100 * time.Millisecond

// await waits for jobs. On a terminal it shows how they go on.
func (s *Shell) await(ctx context.Context, list []*background) error {
	shown := map[*term.Meter]func(){}
	defer func() {
		for _, hide := range shown {
			hide()
		}
	}()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for len(list) > 0 {
		select {
		case <-list[0].ended:
			list = list[1:]
		case <-ctx.Done():
			return ctx.Err()
		case <-look.C:
			s.watch(list, shown)
		}
	}
	return nil
}

// watch shows what jobs are moving, but for what is shown already.
func (s *Shell) watch(list []*background, shown map[*term.Meter]func()) {
	if !s.Err.OnTerminal() { // else they tell by themselves
		return
	}
	for _, b := range list {
		if m := s.jobs.meter(b); m != nil && shown[m] == nil {
			shown[m] = s.Err.Follow(m)
		}
	}
}
