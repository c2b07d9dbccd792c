package daemon

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// completeVerb changes nothing and prints what the last of the words behind it can become, a line each.
const completeVerb = "complete"

// newCompleteCommand returns the verb with which the shell completes the command lines of administrators.
func newCompleteCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{Use: completeVerb, Hidden: true, DisableFlagParsing: true, RunE: func(c *cobra.Command, args []string) error {
		for _, word := range completions(root, args) {
			if _, err := fmt.Fprintln(c.OutOrStdout(), word); err != nil {
				return err
			}
		}
		return nil
	}}
}

// completions returns what the last of the words can become.
func completions(root *cobra.Command, words []string) (can []string) {
	if len(words) == 0 {
		return nil
	}
	typed, last := words[:len(words)-1], words[len(words)-1]
	c, rest, err := root.Find(typed)
	if err != nil || c.ParseFlags(rest) != nil { // such as an option that lacks its value
		return nil
	}
	if strings.HasPrefix(last, "-") {
		offer := func(f *pflag.Flag) { can = append(can, "--"+f.Name) }
		c.LocalFlags().VisitAll(offer)
		c.InheritedFlags().VisitAll(offer)
		return can
	}
	args := c.Flags().Args()
	for _, sub := range c.Commands() {
		if len(args) == 0 && !sub.Hidden {
			can = append(can, sub.Name())
		}
	}
	if c.ValidArgsFunction != nil {
		names, _ := c.ValidArgsFunction(c, args, last)
		can = append(can, names...)
	}
	return can
}

// takes gives a verb what its arguments can be. Only a running server knows that, and nothing is offered twice.
func (n *console) takes(c *cobra.Command, names func() []string) *cobra.Command {
	c.ValidArgsFunction = func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if n.inside == nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		if len(args) > 0 && !strings.HasSuffix(c.Use, "...") {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		left := slices.DeleteFunc(names(), func(name string) bool { return slices.Contains(args, name) })
		return left, cobra.ShellCompDirectiveNoFileComp
	}
	return c
}
