// Package daemon is the command line of ferryd: it reads options and configuration, owns the data directory, opens the
// listeners, and runs a session.Server on them.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"ferry/shared/completion"
)

// Run carries out one ferryd command line, without the program's name, and returns the exit code: 0 ok, 1 failed, 2 wrong
// command line or configuration, 6 no such user, 7 invalid users.toml, 9 name in use. `serve` returns when ctx ends, as on
// SIGTERM.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := rootCommand()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	if len(args) > 0 && args[0] == "user" {
		debug.SetGCPercent(400) // of a large account file nearly all is needed until the end, and the end is near
	}
	err := root.ExecuteContext(ctx)
	if err != nil {
		fmt.Fprintln(stderr, err)
		if h := hint(err); h != "" {
			fmt.Fprintln(stderr, "hint: "+h)
		}
	}
	return exitCode(err)
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "ferryd",
		Short:         "The server of ferry",
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage(&advised{fmt.Errorf("ferryd: unknown command %q", args[0]), "ferryd --help lists the commands"})
			}
			return usage(&advised{errors.New("ferryd: no command given"), "ferryd --help lists the commands"})
		},
	}
	root.SetVersionTemplate("ferryd {{.Version}}\n")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usage(&advised{fmt.Errorf("%s: %w", c.Name(), err), c.CommandPath() + " --help lists the options"})
	})
	root.AddCommand(verbs(console{})...)
	root.AddCommand(serveCommand(), fingerprintCommand(), manCommand(), completionCommand(), &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  exactly(0),
		Run:   func(c *cobra.Command, _ []string) { fmt.Fprintln(c.OutOrStdout(), "ferryd "+version()) },
	})
	return root
}

// completionCommand is the one of all programs, with the words and codes of this one.
func completionCommand() *cobra.Command {
	c := completion.Command("ferryd")
	c.Short = "Print what a shell needs to complete the command line of ferryd"
	args := c.Args
	c.Args = func(c *cobra.Command, given []string) error {
		if err := args(c, given); err != nil {
			return usage(&advised{fmt.Errorf("completion: %w", err), c.UseLine()})
		}
		return nil
	}
	return c
}

// exactly refuses any other number of arguments.
func exactly(n int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != n {
			return usage(&advised{fmt.Errorf("%s: %d arguments instead of %d", c.Name(), len(args), n), c.UseLine()})
		}
		return nil
	}
}

// version says what was built, and with which Go for which system.
func version() string {
	v := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		v = info.Main.Version
	}
	return fmt.Sprintf("%s %s %s/%s", v, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
