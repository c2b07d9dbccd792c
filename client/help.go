package main

import (
	"context"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"ferry/client/shell"
	"ferry/client/term"
)

// helpCommand is help of the shell on the command line; the subcommands have theirs.
func (o *options) helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND | TOPIC]",
		Short: "tell of the commands of the shell, and of words, globs, scripts, transfer, config and exit codes",
		RunE: func(cmd *cobra.Command, args []string) error {
			if sub, _, err := cmd.Root().Find(args); err == nil && sub != cmd.Root() {
				return sub.Help()
			}
			sh := shell.New(shell.Config{Out: os.Stdout, Err: term.NewProgress(os.Stderr, "none")})
			line := "help"
			for _, a := range args {
				line += " " + shell.Quote(a)
			}
			o.code, _ = sh.Line(context.Background(), line)
			return nil
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			var names []string
			for _, c := range shell.All() {
				names = append(names, c.Name+"\t"+strings.TrimSuffix(c.Short, "."))
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
}
