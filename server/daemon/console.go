package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ferry/server/account"
	"ferry/server/session"
)

// console is where an administrator's command line is carried out: in a process of its own, or inside the server that runs.
// The verbs are the same; inside, nothing outside the data directory is read or written for whoever sits far away.
type console struct {
	data, users string
	fileAlone   bool // the account file is enough, without a data directory
	json, force bool
	inside      *Admin // nil in a process of its own
	order       session.Order
}

// far tells whether the administrator is a user of the server, who sits at a machine of his own.
func (n *console) far() bool { return n.order.Admin != "" }

// options adds what says where the accounts are. The server knows.
func (n *console) options(c *cobra.Command, usage string) {
	if n.inside != nil {
		return
	}
	c.PersistentFlags().StringVar(&n.data, "data", "", usage)
	c.PersistentFlags().StringVar(&n.users, "users", "", "account `FILE` (default DIR/users.toml)")
}

// jsonOption adds --json to a verb that prints results.
func (n *console) jsonOption(c *cobra.Command) {
	c.Flags().BoolVar(&n.json, "json", n.order.JSON, "print one JSON object a line")
}

// file returns the path of the account file.
func (n *console) file() string {
	if n.users != "" {
		return n.users
	}
	return filepath.Join(n.data, "users.toml")
}

// typed returns a command line as it is typed here: with the program's name and where the accounts are, or as in the shell.
func (n *console) typed(line, where string) string {
	if n.far() {
		return line
	}
	line = "ferryd " + line
	if where != "" {
		line += " --" + where + " " + map[string]string{"data": n.data, "users": n.file()}[where]
	}
	return line
}

// verb returns the words that name a command, without the program.
func verb(c *cobra.Command) string {
	_, path, _ := strings.Cut(c.CommandPath(), " ")
	return path
}

// group returns a command that has only others below it.
func (n *console) group(name, short string) *cobra.Command {
	c := &cobra.Command{
		Use:   name,
		Short: short,
		Args:  cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			err := errors.New(verb(c) + ": no command given")
			if len(args) > 0 {
				err = fmt.Errorf("%s: unknown command %q", verb(c), args[0])
			}
			return usage(&advised{err, n.typed(verb(c)+" --help", "") + " lists the commands"})
		},
	}
	c.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return usage(fmt.Errorf("%s: %w", verb(c), err)) })
	return c
}

// command returns one verb. Its use tells how many arguments it takes: NAME one, [PATH] one or none, KEY... one or more. Its
// errors begin with the verb, and with the account if that is the first argument.
func (n *console) command(use, short string, run func(c *cobra.Command, args []string) error) *cobra.Command {
	params := strings.Fields(use)[1:]
	least, most := 0, len(params)
	for _, p := range params {
		if !strings.HasPrefix(p, "[") {
			least++
		}
		if strings.HasSuffix(p, "...") {
			most = 1 << 10
		}
	}
	return &cobra.Command{
		Use:   use,
		Short: short,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) >= least && len(args) <= most {
				return nil
			}
			want := strconv.Itoa(least)
			if most > least {
				want = "at least " + want
			}
			line := n.typed(strings.TrimSuffix(verb(c), c.Name())+c.Use, "")
			if !n.far() {
				line += " --data DIR"
			}
			return usage(&advised{fmt.Errorf("%s: %d arguments instead of %s", verb(c), len(args), want), line})
		},
		RunE: func(c *cobra.Command, args []string) error {
			if err := n.located(c); err != nil {
				return fmt.Errorf("%s: %w", verb(c), err)
			}
			what := verb(c)
			if len(args) > 0 && strings.Contains(params[0], "NAME") {
				what += ": " + printableName(args[0])
			}
			err := run(c, args)
			if err == nil || errors.As(err, new(*answered)) {
				return err
			}
			return fmt.Errorf("%s: %w", what, err)
		},
	}
}

// begins is the annotation of a verb that makes the data directory where it is missing. To all others that is a mistyped name.
const begins = "begins"

// located refuses a command line that does not say where the accounts are.
func (n *console) located(c *cobra.Command) error {
	switch {
	case n.data != "":
		_, makes := c.Annotations[begins]
		if _, err := os.Stat(n.data); errors.Is(err, fs.ErrNotExist) && !makes {
			return &advised{errors.New(n.data + ": no such directory"), "--data names the directory that the server has: ferryd serve --data DIR"}
		}
		return nil
	case n.users != "" && n.fileAlone:
		return nil
	case n.fileAlone:
		return usage(&advised{errors.New("no account file"), "give --data DIR or --users FILE"})
	}
	return usage(&advised{errors.New("no data directory"), "give --data DIR"})
}

// edit changes the account file. An administrator far away is kept from shutting himself out.
func (n *console) edit(change func(t *account.Text) error) error {
	err := account.Edit(n.file(), func(t *account.Text) error {
		if err := change(t); err != nil {
			return err
		}
		if n.far() && !n.force {
			return n.keepsIn(t)
		}
		return nil
	})
	if err == nil && n.inside != nil {
		err = n.inside.reload()
	}
	return err
}

// keepsIn refuses an edit after which the administrator who asks for it could not take it back.
func (n *console) keepsIn(t *account.Text) error {
	set, touched, err := t.Outcome(n.order.Admin)
	if err != nil || !touched {
		return err
	}
	a, there := set.Lookup(n.order.Admin)
	if there && a.Locked == "" && !a.Expired(time.Now()) && a.Rights.Has(account.Admin) && a.Allowed(n.order.From) {
		return nil
	}
	return &advised{errors.New("this would shut you out"), "--force does it all the same"}
}

// printableName is what may be printed of an argument that should be a name.
func printableName(name string) string {
	if account.CheckName(name) != nil {
		return strconv.QuoteToASCII(name)
	}
	return name
}
