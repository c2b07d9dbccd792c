package shell

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

func helpCommand() Command {
	return Command{Name: "help", Aliases: []string{"?"}, Group: "session", Usage: "help [COMMAND | exit]", Short: "this list, a command, or the exit codes",
		Max: 1, Args: Commands, Run: runHelp}
}

const exitHelp = `Exit codes of ferry, in scripts and with -c:
    0  ok
    1  a command failed (missing, denied ...)
    2  wrong usage or syntax
    3  login refused
    4  no connection: never made, or lost for longer than --reconnect-for (unfinished work is kept)
    5  the server's key is not trusted
    6  conflict: something else is there, or it changed meanwhile
    7  no space or quota, here or on the server
    8  some of several files failed
  130  interrupted (Ctrl-C)
  143  terminated
`

func runHelp(ctx context.Context, s *Shell, c *Call) error {
	if len(c.words) == 0 {
		var b strings.Builder
		group := ""
		for _, c := range s.commands {
			if c.Group != group {
				group = c.Group
				fmt.Fprintf(&b, "%s\n", group)
			}
			fmt.Fprintf(&b, "  %-9s %s\n", c.Name, c.Short)
		}
		b.WriteString("\nhelp COMMAND tells more; help exit lists the exit codes. Ctrl-C stops a command and keeps the session.\n")
		return s.emit(map[string]any{"help": b.String()}, b.String())
	}
	name := c.Args()[0]
	text := exitHelp
	cmd, ok := s.find(name)
	switch {
	case name == "exit":
	case !ok:
		return s.unknown(name)
	default:
		var b strings.Builder
		fmt.Fprintf(&b, "%s\n    %s\n", cmd.Usage, cmd.Short)
		if len(cmd.Aliases) > 0 {
			fmt.Fprintf(&b, "also: %s\n", strings.Join(cmd.Aliases, ", "))
		}
		if cmd.Flags != nil {
			fs := pflag.NewFlagSet(cmd.Name, pflag.ContinueOnError)
			cmd.Flags(fs)
			b.WriteString("options:\n" + fs.FlagUsages())
		}
		if cmd.More != "" {
			b.WriteString(cmd.More + "\n")
		}
		for i, e := range cmd.Examples {
			if i == 0 {
				b.WriteString("examples:\n")
			}
			fmt.Fprintf(&b, "    >> %s\n", e)
		}
		text = b.String()
	}
	return s.emit(map[string]any{"help": text}, text)
}
