package shell

import (
	"context"

	"ferry/client/config"
	"ferry/client/term"
)

func limitCommand() Command {
	return Command{Name: "limit", Group: "jobs", Usage: "limit [RATE | 0]", Short: "how fast all transfers together may be, also those that run",
		Examples: []string{"limit 2MiB/s", "limit 0"}, Max: 1, Args: Free,
		Fields: []Field{{"limit", "integer", "bytes a second, 0: none"}},
		More:   "It is the setting of that name (set limit); 0 is none. A transfer with --limit RATE of its own keeps to that.\n", Run: runLimit}
}

func runLimit(ctx context.Context, s *Shell, c *Call) error {
	if len(c.words) > 0 {
		rate := c.Args()[0]
		if rate == "0" {
			rate = "none"
		}
		return s.reset(config.Limit, func() error { return s.setTo(config.Limit, []string{rate}) })
	}
	text := "none"
	if s.Limit > 0 {
		text = term.Rate(float64(s.Limit))
	}
	return s.emit(map[string]any{"limit": s.Limit}, text+"\n")
}
