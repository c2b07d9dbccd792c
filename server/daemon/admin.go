package daemon

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"ferry/server/account"
	"ferry/server/session"
	"ferry/shared/login"
	"ferry/shared/wire"
)

// Admin carries out the command lines of administrators inside a running server, whichever way they came.
type Admin struct {
	Data, Users string // the data directory and the account file
	Accounts    *account.Store
	Server      *session.Server
	Log         *slog.Logger
	Costs       login.Params // of new passwords
}

// Run is the Admin of a session.Config.
func (a *Admin) Run(ctx context.Context, o session.Order, output, notes io.Writer) *wire.AdminAnswer {
	n := console{data: a.Data, users: a.Users, inside: a, order: o}
	root := &cobra.Command{
		Use: ">>", SilenceUsage: true, SilenceErrors: true, Args: cobra.ArbitraryArgs, CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		RunE: func(_ *cobra.Command, args []string) error {
			return usage(fmt.Errorf("unknown command %.40q", append(args, "")[0]))
		},
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		if c != root {
			err = fmt.Errorf("%s: %w", verb(c), err)
		}
		return usage(err)
	})
	root.SetHelpCommand(&cobra.Command{Use: "no-help", Hidden: true})
	root.AddCommand(verbs(n)...)
	root.AddCommand(newCompleteCommand(root))
	root.SetArgs(append([]string{}, o.Args...)) // never nil: that would be the arguments of the server itself
	root.SetIn(strings.NewReader(""))
	root.SetOut(a.veil(o, output))
	root.SetErr(a.veil(o, notes))
	c, err := root.ExecuteContextC(ctx)
	answer := &wire.AdminAnswer{Exit: exitCode(err)}
	var want *wanted
	switch {
	case errors.As(err, &want):
		return &wire.AdminAnswer{Password: want.PasswordWanted}
	case err != nil:
		answer.Message, answer.Hint = a.explain(o, err)
	}
	way, who := "shell", o.Admin
	if o.Admin == "" {
		way, who = "control.sock", "host"
	}
	if c.Name() == completeVerb {
		return answer // who only types does nothing yet
	}
	a.Log.Info("admin", "admin", who, "from", way, "verb", strings.ReplaceAll(verb(c), " ", "."), "name", fmt.Sprintf("%.64s", c.Flags().Arg(0)), "exit", answer.Exit)
	return answer
}

// verbs returns the commands that are the same on the server's machine and in the shell. Each has a console of its own.
func verbs(n console) []*cobra.Command {
	costs := login.DefaultParams()
	if n.inside != nil {
		costs = n.inside.Costs
	}
	return []*cobra.Command{
		newUserCommand(&userAdmin{console: n, params: costs}), newSessionsCommand(&n), newUploadsCommand(&n), newBansCommand(&n),
		newInviteCommand(&n), newReloadCommand(&n),
	}
}

// wanted ends a command line that cannot go on without a new password.
type wanted struct{ *wire.PasswordWanted }

func (*wanted) Error() string { return "a password is wanted" }

// explain says why a command line failed. Somebody far away is not told the words of the operating system.
func (a *Admin) explain(o session.Order, err error) (message, advice string) {
	if o.Admin != "" && (errors.As(err, new(syscall.Errno)) || errors.As(err, new(*fs.PathError))) {
		id := strings.ToLower(rand.Text()[:8])
		a.Log.Error("internal error", "cmd", "admin", "id", id, "err", err)
		return "internal error " + id + " on the server", "the server's log says more"
	}
	return a.relative(o, err.Error()), a.relative(o, hint(err))
}

// relative takes the server's paths out of a text for somebody far away: what is in the data directory keeps its name there.
func (a *Admin) relative(o session.Order, text string) string {
	if o.Admin == "" {
		return text
	}
	return strings.NewReplacer(filepath.Clean(a.Data)+"/", "", filepath.Dir(a.Users)+"/", "").Replace(text)
}

// veil does to all that is printed what relative does to a text.
func (a *Admin) veil(o session.Order, w io.Writer) io.Writer {
	return writerFunc(func(b []byte) (int, error) {
		if _, err := io.WriteString(w, strings.ToValidUTF8(a.relative(o, string(b)), "\uFFFD")); err != nil {
			return 0, err
		}
		return len(b), nil
	})
}

type writerFunc func(b []byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// reload takes in the account file as it is now and lets sessions feel it at once.
func (a *Admin) reload() error {
	if err := a.Accounts.Reload(); err != nil {
		return err
	}
	a.Server.Enforce()
	return nil
}

// newReloadCommand returns `ferryd reload`.
func newReloadCommand(n *console) *cobra.Command {
	c := n.command("reload", "Let the running server read the account file again", n.reload)
	c.Long = c.Short + ", and say what has changed. A file with a mistake changes nothing, exit code 7" + needsServer
	n.options(c, "data directory `DIR` of the server")
	return c
}

func (n *console) reload(c *cobra.Command, args []string) error {
	if n.inside == nil {
		return n.forward(c, args)
	}
	old := n.inside.Accounts.Current()
	if err := n.inside.reload(); err != nil {
		return err
	}
	return n.printDifferences(c, old, n.inside.Accounts.Current(), "nothing has changed")
}

// notes says what the running server knows of an account, a line each.
func (a *Admin) notes(acc *account.Account) []string {
	count := 0
	for _, s := range a.Server.List() {
		if s.User == acc.Name {
			count++
		}
	}
	lines := []string{fmt.Sprintf("%s has %d sessions now", acc.Name, count)}
	if inForce, ok := a.Accounts.Current().Lookup(acc.Name); !ok || len(changes(inForce, acc)) > 0 {
		lines = append(lines, "this is what the file says; the server has not read it yet")
	}
	return append(lines, refusalLines(a.Server.Guard(), acc.Name)...)
}
