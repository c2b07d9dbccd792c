package shell

import (
	"context"
	"fmt"

	"github.com/spf13/pflag"

	"ferry/client/term"
)

func killCommand() Command {
	return Command{Name: "kill", Group: "jobs", Usage: "kill N... | kill -a", Short: "stop jobs; what was moved is kept, and the same command goes on with it",
		Examples: []string{"kill 1", "kill -a"}, Fields: jobFields(), Max: -1, Args: Numbers,
		Flags: func(f *pflag.FlagSet) { f.BoolP("all", "a", false, "all of them") }, Run: runKill}
}

func runKill(ctx context.Context, s *Shell, c *Call) error {
	if c.on("all") == (len(c.words) > 0) {
		return usagef("which? (numbers of jobs, or -a)")
	}
	list, err := s.chosen(c)
	if c.on("all") {
		list = s.jobs.unfinished()
	}
	if err != nil {
		return err
	}
	for _, b := range list {
		if err := s.kill(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

// kill stops a job and forgets it.
func (s *Shell) kill(ctx context.Context, b *background) error {
	before, _ := s.jobs.how(b)
	if before.over() {
		return &UsageError{fmt.Sprintf("%d: this job has ended already", b.number), "jobs lists what there is"}
	}
	s.jobs.end(b, errStopped)
	if err := s.await(ctx, []*background{b}); err != nil {
		return err
	}
	if before == jobQueued {
		s.say("[%d] dropped: %s", b.number, term.Escape(b.line))
	}
	s.jobs.forget(b)
	return s.emit(s.jobObject(b), "")
}
