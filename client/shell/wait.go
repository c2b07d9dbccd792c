package shell

import "context"

func waitCommand() Command {
	return Command{Name: "wait", Group: "jobs", Usage: "wait [N...]", Short: "wait for jobs; Ctrl-C ends the wait, not the jobs",
		Examples: []string{"put a.iso & put b.iso & wait", "wait 1 2"}, Fields: jobFields(), Max: -1, Args: Numbers,
		More: `Without a number it waits for all. The exit code is that of the first one, by number, that did not
end well. A job that ended before is waited for, too, unless it was forgotten.
`, Run: runWait}
}

func runWait(ctx context.Context, s *Shell, c *Call) error {
	list, err := s.chosen(c)
	if err != nil {
		return err
	}
	if len(c.words) == 0 {
		list = s.jobs.all(func(*background) bool { return true })
	}
	if err := s.await(ctx, list); err != nil {
		return err
	}
	var first error
	for _, b := range list {
		if err := s.collect(b); first == nil {
			first = err
		}
	}
	return first
}
