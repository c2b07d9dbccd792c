package daemon

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ferry/server/account"
	"ferry/shared/login"
)

// userCommand returns `ferryd user`, the administration of users.toml.
func userCommand() *cobra.Command { return newUserCommand(&userAdmin{params: login.DefaultParams()}) }

func newUserCommand(u *userAdmin) *cobra.Command {
	c := group("user", "Add, change, remove and list accounts")
	c.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usage(fmt.Errorf("%s: %w", strings.TrimPrefix(c.CommandPath(), "ferryd "), err))
	})
	// Options are the keys of users.toml, with dashes or underscores.
	c.SetGlobalNormalizationFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		return pflag.NormalizedName(strings.ReplaceAll(name, "_", "-"))
	})
	c.PersistentFlags().StringVar(&u.data, "data", "", "data directory `DIR`; its users.toml is used unless --users is given")
	c.PersistentFlags().StringVar(&u.users, "users", "", "account `FILE`")

	add := u.command("add NAME", "Add an account and make its home", u.add)
	mod := u.command("mod NAME", "Change the keys of an account ('' clears one)", u.mod)
	for _, k := range account.Keys() {
		if k.Usage != "" {
			add.Flags().String(k.Name, "", k.Usage)
			mod.Flags().String(k.Name, "", k.Usage)
		}
	}
	passwd := u.command("passwd NAME", "Give an account a new password", u.passwd)
	for _, c := range []*cobra.Command{add, mod, passwd} {
		c.Flags().BoolVar(&u.stdin, "password-stdin", false, "read the password from the first line of standard input")
		c.Flags().BoolVar(&u.generate, "generate", false, "make a password and print it, once, on standard output")
	}
	del := u.command("del NAME", "Remove an account", u.del)
	del.Flags().BoolVar(&u.purge, "purge", false, "remove its home with all files, too")
	lock := u.command("lock NAME", "Lock an account and end its sessions", u.lock)
	lock.Flags().StringVar(&u.reason, "reason", "locked by the administrator", "what the user is told after the right password")
	show := u.command("show NAME", "Show an account", u.show)
	list := u.command("list", "List the accounts", u.list)
	for _, c := range []*cobra.Command{show, list} {
		c.Flags().BoolVar(&u.json, "json", false, "print one JSON object a line")
	}
	key := group("key", "Add and remove public keys")
	key.AddCommand(u.command("add NAME KEY...", "Let a public key log in (the text of a .pub file, or its path)", u.keyAdd),
		u.command("del NAME KEY...", "Take a public key back (its text, fingerprint or comment)", u.keyDel))
	c.AddCommand(add, mod, passwd, del, lock,
		u.command("unlock NAME", "Unlock an account", u.unlock),
		u.command("expire NAME DATE", "Close an account from a day on, or \"never\"", u.expire),
		show, list, key,
		u.command("check", "Check the account file", u.check),
		u.command("explain NAME [PATH]", "Say in words what an account may do", u.explain),
		u.command("import FILE", "Add the accounts of an htpasswd, passwd or exported file", u.importFile),
		u.command("export FILE", "Write all accounts, with their secrets, to a new file", u.export))
	return c
}

// group returns a command that has only others below it.
func group(name, short string) *cobra.Command {
	return &cobra.Command{
		Use:           name,
		Short:         short,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			path := strings.TrimPrefix(c.CommandPath(), "ferryd ")
			err := errors.New(path + ": no command given")
			if len(args) > 0 {
				err = fmt.Errorf("%s: unknown command %q", path, args[0])
			}
			return usage(&advised{err, "ferryd " + path + " --help lists the commands"})
		},
	}
}

// userAdmin holds the options of one `ferryd user` command line.
type userAdmin struct {
	data, users     string
	stdin, generate bool
	purge, json     bool
	reason          string
	params          login.Params // cost of new passwords
	live            live
}

// live asks the server that runs on a data directory. A function that is nil means that it cannot be asked.
type live struct {
	accounts func(data string) (*account.Set, error)            // the accounts that are in force there
	notes    func(data, name string) (list []string, err error) // an account's last refusals and bans, a line each
}

// command returns one verb. Its use tells how many arguments it takes: NAME one, [PATH] one or none, KEY... one or more. Its
// errors begin with the verb and the account.
func (u *userAdmin) command(use, short string, run func(c *cobra.Command, args []string) error) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, ValidArgsFunction: u.complete}
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
	prefix := func(c *cobra.Command) string { return strings.TrimPrefix(c.CommandPath(), "ferryd ") }
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) < least || len(args) > most {
			want := strconv.Itoa(least)
			if most > least {
				want = "at least " + want
			}
			parent := strings.TrimSuffix(prefix(c), c.Name())
			return usage(&advised{fmt.Errorf("%s: %d arguments instead of %s", prefix(c), len(args), want), "ferryd " + parent + c.Use + " --data DIR"})
		}
		return nil
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		debug.SetGCPercent(400) // of a large file nearly all is needed until the end, and the end is near
		what := prefix(c)
		if u.data == "" && u.users == "" {
			return usage(&advised{errors.New(what + ": no account file"), "give --data DIR or --users FILE"})
		}
		if len(args) > 0 && strings.Contains(params[0], "NAME") {
			what += ": " + printableName(args[0])
		}
		if err := run(c, args); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return nil
	}
	return c
}

// printableName is what may be printed of an argument that should be a name.
func printableName(name string) string {
	if account.CheckName(name) != nil {
		return strconv.QuoteToASCII(name)
	}
	return name
}

func (u *userAdmin) file() string {
	if u.users != "" {
		return u.users
	}
	return filepath.Join(u.data, "users.toml")
}

// complete offers the names of the accounts to the shell.
func (u *userAdmin) complete(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if !strings.Contains(c.Use, "NAME") {
		return nil, cobra.ShellCompDirectiveDefault
	}
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	if set, err := account.Load(u.file()); err == nil {
		for a := range set.All() {
			names = append(names, a.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// find returns one account.
func (u *userAdmin) find(name string) (*account.Account, error) {
	s, err := account.Open(u.file())
	if err != nil {
		return nil, err
	}
	a, ok := s.Current().Lookup(name)
	if !ok {
		return nil, missing(u.file())
	}
	return a, nil
}

func missing(file string) error {
	return &advised{account.ErrNotFound, "ferryd user list --users " + file + " shows the names"}
}
