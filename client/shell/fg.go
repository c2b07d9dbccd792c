package shell

import (
	"context"
	"slices"

	"ferry/client/term"
)

func fgCommand() Command {
	return Command{Name: "fg", Group: "jobs", Usage: "fg [N]", Short: "wait for one job and show how it goes on; Ctrl-C stops it",
		Examples: []string{"fg", "fg 2"}, Fields: jobFields(), Max: 1, Args: Numbers,
		More: "Without a number it is the newest one that runs. The exit code is that of the job.\n", Run: runFg}
}

func runFg(ctx context.Context, s *Shell, c *Call) error {
	list, err := s.chosen(c)
	if err != nil {
		return err
	}
	if len(c.words) == 0 {
		list = s.jobs.all(func(b *background) bool { return b.state == jobRunning })
		if len(list) == 0 {
			return &UsageError{"nothing runs in the background", "jobs lists what there is"}
		}
		list = slices.Clip(list[len(list)-1:])
	}
	b := list[0]
	s.say("%s", term.Escape(b.line))
	if err := s.await(ctx, list); err != nil {
		s.jobs.end(b, ending(ctx))
		<-b.ended
	}
	return s.collect(b)
}
