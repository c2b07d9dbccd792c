package main

import (
	"github.com/spf13/cobra"

	"ferry/client/shell"
)

// addresses completes an address: bookmarks and servers that are known.
func (o *options) addresses(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 || o.load() != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return shell.KnownAddresses(o.settings), cobra.ShellCompDirectiveNoFileComp
}

// complete tells the shell what the values of the options can be.
func (o *options) complete(cmd *cobra.Command) {
	for _, s := range o.settings.All() {
		if s.Unasked || s.File || s.Arg == "" {
			continue // the shell knows names of files
		}
		cmd.RegisterFlagCompletionFunc(s.Name, cobra.FixedCompletions(s.Choices, cobra.ShellCompDirectiveNoFileComp))
	}
}
