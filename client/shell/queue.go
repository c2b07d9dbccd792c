package shell

import (
	"context"

	"github.com/spf13/pflag"
)

func queueCommand() Command {
	return Command{Name: "queue", Group: "jobs", Usage: "queue [COMMAND...] | queue -d N...", Short: "run commands in the background, one after the other",
		Examples: []string{"queue put -r site", "queue 'get a.iso && rm a.iso'", "queue -d 2"}, Fields: jobFields(), Max: -1, Line: true, Args: Numbers,
		More: `Without a command it shows the queue. What is queued begins when what was queued before it has ended,
however that went. What is behind the name is the command, with its > and |; one argument in quotes
can hold several. -d takes jobs out of the queue, and stops the one that runs.
`,
		Flags: func(f *pflag.FlagSet) {
			f.SetInterspersed(false) // options behind the first word belong to the command
			f.BoolP("delete", "d", false, "take these jobs out")
		}, Run: runQueue}
}

func runQueue(ctx context.Context, s *Shell, c *Call) error {
	queue := func(b *background) bool { return b.inLine }
	switch {
	case c.on("delete"):
		return s.dequeue(ctx, c)
	case len(c.words) == 0:
		return s.showJobs(s.jobs.all(queue))
	}
	b, name, err := s.launch(c.rest(), true)
	if err != nil && name != "" {
		err = named(name, err)
	}
	if err != nil {
		return err
	}
	s.began(b, c.text)
	return nil
}

// dequeue takes jobs out of the queue.
func (s *Shell) dequeue(ctx context.Context, c *Call) error {
	list, err := s.chosen(c)
	if err == nil && len(list) == 0 {
		err = usagef("-d: which? (numbers of jobs)")
	}
	if err != nil {
		return err
	}
	for _, b := range list {
		if !b.inLine {
			return &UsageError{c.Args()[0] + ": this job is not of the queue", "kill stops it"}
		}
		if err := s.kill(ctx, b); err != nil {
			return err
		}
	}
	return nil
}
