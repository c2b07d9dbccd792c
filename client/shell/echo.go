package shell

import (
	"context"
	"strings"

	"ferry/client/term"
)

func echoCommand() Command {
	return Command{Name: "echo", Group: "local", Usage: "echo [TEXT...]", Short: "print words, for scripts",
		Examples: []string{"put nightly.tar || echo 'not tonight'", "echo done > state.txt"}, Raw: true, Max: -1, Fields: []Field{{"text", "string", "the words"}},
		Run: func(ctx context.Context, s *Shell, c *Call) error {
			text := strings.Join(c.Args(), " ")
			return s.emit(map[string]any{"text": text}, term.Escape(text)+"\n")
		}}
}
