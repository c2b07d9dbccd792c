package daemon

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ferry/server/account"
	"ferry/shared/login"
)

// newUserCommand returns `ferryd user`, the administration of users.toml.
func newUserCommand(u *userAdmin) *cobra.Command {
	u.fileAlone = true
	c := u.group("user", "Add, change, remove and list accounts")
	c.Long = c.Short + `. Edits keep comments and order, one at a time, and are on disk when the command ends; a running server takes them
in by itself.`
	if !u.far() { // else they are those of ferry
		c.Long += "\n\nExit codes: 0 ok, 1 other, 2 wrong command line, 6 no such user, 7 the account file is invalid, 9 name in use."
	}
	// Options are the keys of users.toml, with dashes or underscores.
	c.SetGlobalNormalizationFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		return pflag.NormalizedName(strings.ReplaceAll(name, "_", "-"))
	})
	u.options(c, "data directory `DIR`; its users.toml is used unless --users is given")

	add := u.verb("add NAME", "Add an account and make its home", u.add)
	add.ValidArgsFunction = cobra.NoFileCompletions // the name is new
	take := u.verb("import FILE", "Add the accounts of an htpasswd, passwd or exported file", u.near(u.importFile))
	for _, c := range []*cobra.Command{add, take} {
		c.Annotations = map[string]string{begins: ""}
	}
	mod := u.verb("mod NAME", "Change the keys of an account ('' clears one)", u.mod)
	for _, k := range account.Keys() {
		if k.Usage != "" {
			add.Flags().String(k.Name, "", k.Usage)
			mod.Flags().String(k.Name, "", k.Usage)
		}
	}
	passwd := u.verb("passwd NAME", "Give an account a new password", u.passwd)
	for _, c := range []*cobra.Command{add, mod, passwd} {
		c.Flags().BoolVar(&u.stdin, "password-stdin", false, "read the password from the first line of standard input")
		c.Flags().BoolVar(&u.generate, "generate", false, "make a password and print it, once, on standard output")
	}
	del := u.verb("del NAME", "Remove an account", u.del)
	del.Flags().BoolVar(&u.purge, "purge", false, "remove its home with all files, too")
	lock := u.verb("lock NAME", "Lock an account and end its sessions", u.lock)
	lock.Flags().StringVar(&u.reason, "reason", "locked by the administrator", "what the user is told after the right password")
	expire := u.verb("expire NAME DATE", "Close an account from a day on, or \"never\"", u.expire)
	if u.far() {
		for _, c := range []*cobra.Command{mod, del, lock, expire} {
			c.Flags().BoolVar(&u.force, "force", false, "even if it shuts out who asks for it")
		}
	}
	show := u.verb("show NAME", "Show an account", u.show)
	list := u.verb("list", "List the accounts", u.list)
	u.jsonOption(show)
	u.jsonOption(list)
	recount := u.verb("recount [NAME]", "Count anew what an account's files take up, or everybody's", u.recount)
	u.jsonOption(recount)
	key := u.group("key", "Add and remove public keys")
	key.AddCommand(u.verb("add NAME KEY...", "Let a public key log in (the text of a .pub file, or its path)", u.keyAdd),
		u.verb("del NAME KEY...", "Take a public key back (its text, fingerprint or comment)", u.keyDel))
	c.AddCommand(add, mod, passwd, del, lock,
		u.verb("unlock NAME", "Unlock an account", u.unlock),
		expire, show, list, key,
		u.verb("check", "Check the account file", u.check),
		u.verb("explain NAME [PATH]", "Say in words what an account may do", u.explain),
		take, recount,
		u.verb("export FILE", "Write all accounts, with their secrets, to a new file", u.near(u.export)))
	return c
}

// userAdmin holds the options of one `ferryd user` command line.
type userAdmin struct {
	console
	stdin, generate bool
	purge           bool
	reason          string
	params          login.Params // cost of new passwords
}

// verb is command with the names of accounts for completion.
func (u *userAdmin) verb(use, short string, run func(c *cobra.Command, args []string) error) *cobra.Command {
	c := u.command(use, short, run)
	c.ValidArgsFunction = u.complete
	return c
}

// near keeps a verb that reads or writes other files from whoever is not on the machine where they are.
func (u *userAdmin) near(run func(c *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	if u.inside == nil {
		return run
	}
	return func(c *cobra.Command, _ []string) error {
		return &advised{errors.New("only on the server's machine"), "there: ferryd " + verb(c) + " FILE --data DIR"}
	}
}

// complete offers the names of the accounts to the shell.
func (u *userAdmin) complete(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if !strings.Contains(c.Use, "NAME") {
		return nil, cobra.ShellCompDirectiveDefault
	}
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	set, err := u.accounts()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for a := range set.All() {
		names = append(names, a.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// accounts returns the accounts as the running server knows them, or as they stand in the file.
func (u *userAdmin) accounts() (*account.Set, error) {
	if u.inside != nil {
		return u.inside.Accounts.Current(), nil
	}
	return account.Load(u.file())
}

// find returns one account.
func (u *userAdmin) find(name string) (*account.Account, error) {
	s, err := account.Open(u.file())
	if err != nil {
		return nil, err
	}
	a, ok := s.Current().Lookup(name)
	if !ok {
		return nil, u.missing()
	}
	return a, nil
}

func (u *userAdmin) missing() error {
	return &advised{account.ErrNotFound, u.typed("user list", "users") + " shows the names"}
}
