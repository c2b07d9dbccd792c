package daemon

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"ferry/server/account"
	"ferry/shared/login"
)

// userCommand returns `ferryd user`, the administration of users.toml.
func userCommand() *cobra.Command {
	u := &userAdmin{params: login.DefaultParams()}
	c := &cobra.Command{
		Use:           "user",
		Short:         "Add, change, remove and list accounts",
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage(&advised{fmt.Errorf("user: unknown command %q", args[0]), "ferryd user --help lists the commands"})
			}
			return usage(&advised{errors.New("user: no command given"), "ferryd user --help lists the commands"})
		},
	}
	c.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usage(fmt.Errorf("user %s: %w", c.Name(), err))
	})
	c.PersistentFlags().StringVar(&u.data, "data", "", "data directory `DIR`; its users.toml is used unless --users is given")
	c.PersistentFlags().StringVar(&u.users, "users", "", "account `FILE`")

	add := u.command("add", true, "Add an account and make its home", u.add)
	mod := u.command("mod", true, "Change the keys of an account ('' clears one)", u.mod)
	for _, k := range account.Keys() {
		if k.Usage != "" {
			add.Flags().String(k.Name, "", k.Usage)
			mod.Flags().String(k.Name, "", k.Usage)
		}
	}
	passwd := u.command("passwd", true, "Give an account a new password", u.passwd)
	for _, c := range []*cobra.Command{add, mod, passwd} {
		c.Flags().BoolVar(&u.stdin, "password-stdin", false, "read the password from the first line of standard input")
		c.Flags().BoolVar(&u.generate, "generate", false, "make a password and print it, once, on standard output")
	}
	del := u.command("del", true, "Remove an account", u.del)
	del.Flags().BoolVar(&u.purge, "purge", false, "remove its home with all files, too")
	lock := u.command("lock", true, "Lock an account and end its sessions", u.lock)
	lock.Flags().StringVar(&u.reason, "reason", "locked by the administrator", "what the user is told after the right password")
	show := u.command("show", true, "Show an account", u.show)
	list := u.command("list", false, "List the accounts", u.list)
	for _, c := range []*cobra.Command{show, list} {
		c.Flags().BoolVar(&u.json, "json", false, "print one JSON object a line")
	}
	c.AddCommand(add, mod, passwd, del, lock, u.command("unlock", true, "Unlock an account", u.unlock), show, list,
		u.command("check", false, "Check the account file", u.check))
	return c
}

// userAdmin holds the options of one `ferryd user` command line.
type userAdmin struct {
	data, users     string
	stdin, generate bool
	purge, json     bool
	reason          string
	params          login.Params // cost of new passwords
}

// command returns one verb. Its errors begin with the verb and the account.
func (u *userAdmin) command(verb string, named bool, short string, run func(c *cobra.Command, name string) error) *cobra.Command {
	c := &cobra.Command{Use: verb, Short: short}
	want, prefix := 0, "user "+verb
	if named {
		c.Use, want = verb+" NAME", 1
		c.ValidArgsFunction = u.complete
	}
	c.Args = func(_ *cobra.Command, args []string) error {
		if len(args) != want {
			return usage(&advised{fmt.Errorf("%s: %d arguments instead of %d", prefix, len(args), want), "ferryd user " + c.Use + " --data DIR"})
		}
		return nil
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		if u.data == "" && u.users == "" {
			return usage(&advised{errors.New(prefix + ": no account file"), "give --data DIR or --users FILE"})
		}
		name := ""
		if named {
			name = args[0]
			prefix += ": " + printableName(name)
		}
		if err := run(c, name); err != nil {
			return fmt.Errorf("%s: %w", prefix, err)
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
func (u *userAdmin) complete(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var names []string
	if set, err := account.Load(u.file()); err == nil && len(args) == 0 {
		for a := range set.All() {
			names = append(names, a.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// find returns the set and one account of it.
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

func (u *userAdmin) add(c *cobra.Command, name string) error {
	if err := account.CheckName(name); err != nil {
		return usage(err)
	}
	// Told before a password is asked for; the edit checks again.
	if err := u.free(name); err != nil {
		return err
	}
	changes, err := u.changes(c)
	if err != nil {
		return err
	}
	record, password, err := u.password(c)
	if err != nil {
		return err
	}
	if u.data != "" {
		if err := os.MkdirAll(u.data, 0o700); err != nil {
			return plain(err)
		}
	}
	home := name
	if option, _ := c.Flags().GetString("home"); option != "" {
		home = option
	}
	var made string
	err = account.Edit(u.file(), func(t *account.Text) error {
		if err := t.Add(name); err != nil {
			return u.taken(err)
		}
		for _, ch := range append([]change{{"auth", record}}, changes...) {
			if err := t.Set(name, ch.key, ch.option); err != nil {
				return err
			}
		}
		var err error
		made, err = u.makeHome(c, home)
		return err
	})
	if err != nil {
		if made != "" {
			os.Remove(made) // only if it is still empty
		}
		return err
	}
	u.printPassword(c, password)
	fmt.Fprintf(c.ErrOrStderr(), "added %s\n", name)
	return nil
}

// free refuses a name that is in use.
func (u *userAdmin) free(name string) error {
	s, err := account.Open(u.file())
	if err != nil {
		return err
	}
	if _, used := s.Current().Lookup(name); used {
		return u.taken(account.ErrExists)
	}
	return nil
}

// taken adds advice to a name in use.
func (u *userAdmin) taken(err error) error {
	if errors.Is(err, account.ErrExists) {
		return &advised{err, "choose another name, or change the account with ferryd user mod"}
	}
	return err
}

// change is one key to set to what the text of an option means.
type change struct{ key, option string }

// changes returns the keys given as options; a wrong value is a usage error.
func (u *userAdmin) changes(c *cobra.Command) ([]change, error) {
	var list []change
	for _, k := range account.Keys() {
		if k.Usage == "" || !c.Flags().Changed(k.Name) {
			continue
		}
		option, _ := c.Flags().GetString(k.Name)
		if err := k.Check(option); err != nil {
			return nil, usage(err)
		}
		list = append(list, change{k.Name, option})
	}
	return list, nil
}

// makeHome makes DIR/homes/HOME and what is missing above it, 0700 and
// durably, and returns its path if it did not exist before.
func (u *userAdmin) makeHome(c *cobra.Command, home string) (made string, err error) {
	if u.data == "" {
		fmt.Fprintln(c.ErrOrStderr(), "the home was not made: --data was not given")
		return "", nil
	}
	path := u.data
	for _, part := range append([]string{"homes"}, strings.Split(home, "/")...) {
		parent := path
		path = filepath.Join(path, part)
		err := os.Mkdir(path, 0o700)
		if errors.Is(err, fs.ErrExist) {
			made = ""
			if info, err := os.Lstat(path); err != nil || !info.IsDir() {
				return "", fmt.Errorf("%s is not a directory", path)
			}
			continue
		}
		if err == nil {
			made = path
			err = settle(parent, path)
		}
		if err != nil {
			return made, plain(err)
		}
	}
	if made == "" {
		if names, err := os.ReadDir(path); err == nil && len(names) > 0 {
			fmt.Fprintf(c.ErrOrStderr(), "warning: the home %s already holds files\n", path)
		}
	}
	return made, nil
}

// settle gives a new directory its parent's owner, which matters when root
// made it, and makes it durable.
func settle(parent, path string) error {
	d, err := os.Open(parent)
	if err != nil {
		return err
	}
	defer d.Close()
	info, err := d.Stat()
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
		if err := os.Lchown(path, int(st.Uid), int(st.Gid)); err != nil {
			return err
		}
	}
	return d.Sync()
}

func (u *userAdmin) mod(c *cobra.Command, name string) error {
	changes, err := u.changes(c)
	if err != nil {
		return err
	}
	if len(changes) == 0 && !u.stdin && !u.generate {
		return usage(&advised{errors.New("nothing to change"), "ferryd user mod --help lists the options"})
	}
	if _, err := u.find(name); err != nil {
		return err
	}
	var password string
	if u.stdin || u.generate {
		var record string
		if record, password, err = u.password(c); err != nil {
			return err
		}
		changes = append(changes, change{"auth", record})
	}
	err = u.edit(name, changes, func() error {
		i := slices.IndexFunc(changes, func(ch change) bool { return ch.key == "home" })
		if i < 0 {
			return nil
		}
		home := changes[i].option
		if home == "" {
			home = name
		}
		made, err := u.makeHome(c, home)
		if made != "" {
			fmt.Fprintln(c.ErrOrStderr(), "the new home is empty: files in the old one were not moved")
		}
		return err
	})
	if err != nil {
		return err
	}
	u.printPassword(c, password)
	fmt.Fprintf(c.ErrOrStderr(), "changed %s\n", name)
	return nil
}

// edit sets keys of an existing account; also runs inside the edit, before
// the file is replaced.
func (u *userAdmin) edit(name string, changes []change, also func() error) error {
	return account.Edit(u.file(), func(t *account.Text) error {
		for _, ch := range changes {
			if err := t.Set(name, ch.key, ch.option); errors.Is(err, account.ErrNotFound) {
				return missing(u.file())
			} else if err != nil {
				return err
			}
		}
		return also()
	})
}

// nothing is the extra step of an edit that has none.
func nothing() error { return nil }

func (u *userAdmin) passwd(c *cobra.Command, name string) error {
	if _, err := u.find(name); err != nil {
		return err
	}
	record, password, err := u.password(c)
	if err != nil {
		return err
	}
	if err := u.edit(name, []change{{"auth", record}}, nothing); err != nil {
		return err
	}
	u.printPassword(c, password)
	fmt.Fprintf(c.ErrOrStderr(), "changed the password of %s\n", name)
	return nil
}

func (u *userAdmin) lock(c *cobra.Command, name string) error {
	if u.reason == "" {
		return usage(errors.New("the reason is empty"))
	}
	for _, k := range account.Keys() {
		if err := k.Check(u.reason); k.Name == "locked" && err != nil {
			return usage(err)
		}
	}
	if err := u.edit(name, []change{{"locked", u.reason}}, nothing); err != nil {
		return err
	}
	fmt.Fprintf(c.ErrOrStderr(), "locked %s\n", name)
	return nil
}

func (u *userAdmin) unlock(c *cobra.Command, name string) error {
	if err := u.edit(name, []change{{"locked", ""}}, nothing); err != nil {
		return err
	}
	fmt.Fprintf(c.ErrOrStderr(), "unlocked %s\n", name)
	return nil
}

func (u *userAdmin) del(c *cobra.Command, name string) error {
	if u.purge && u.data == "" {
		return usage(&advised{errors.New("--purge needs the data directory"), "give --data DIR"})
	}
	var home string
	err := account.Edit(u.file(), func(t *account.Text) error {
		if a, ok := t.Accounts().Lookup(name); ok {
			home = a.Home
		}
		if err := t.Delete(name); errors.Is(err, account.ErrNotFound) {
			return missing(u.file())
		} else if err != nil {
			return err
		}
		return nil
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(c.ErrOrStderr(), "deleted %s\n", name)
	if u.purge {
		if err := u.purgeHome(home); err != nil {
			return fmt.Errorf("the account is deleted, its home is not: %w", plain(err))
		}
	}
	return nil
}

// purgeHome removes a home. No symbolic link leads it out of DIR/homes.
func (u *userAdmin) purgeHome(home string) error {
	root, err := os.OpenRoot(filepath.Join(u.data, "homes"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.RemoveAll(home); err != nil {
		return err
	}
	d, err := root.Open(filepath.Dir(home))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// shown returns what may be seen of an account, in the order of the keys.
func shown(a *account.Account) (names []string, values []any) {
	names, values = []string{"name"}, []any{a.Name}
	for _, k := range account.Keys() {
		if k.Show != nil {
			names, values = append(names, k.Name), append(values, k.Show(a))
		}
	}
	return names, values
}

// word writes a value for people.
func word(v any) string {
	if list, ok := v.([]string); ok {
		v = strings.Join(list, ",")
	}
	if s := fmt.Sprint(v); s != "" {
		return s
	}
	return "-"
}

// printJSON prints an account as one object on one line.
func printJSON(w io.Writer, a *account.Account) error {
	names, values := shown(a)
	object := map[string]any{}
	for i, name := range names {
		object[name] = values[i]
	}
	return json.NewEncoder(w).Encode(object)
}

func (u *userAdmin) show(c *cobra.Command, name string) error {
	a, err := u.find(name)
	if err != nil {
		return err
	}
	if u.json {
		return printJSON(c.OutOrStdout(), a)
	}
	names, values := shown(a)
	for i := range names {
		if _, err := fmt.Fprintf(c.OutOrStdout(), "%s: %s\n", names[i], word(values[i])); err != nil {
			return err
		}
	}
	return nil
}

func (u *userAdmin) list(c *cobra.Command, _ string) error {
	s, err := account.Open(u.file())
	if err != nil {
		return err
	}
	out := bufio.NewWriter(c.OutOrStdout())
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for a := range s.Current().All() {
		if u.json {
			if err := printJSON(out, a); err != nil {
				return err
			}
			continue
		}
		_, values := shown(a)
		words := make([]string, len(values))
		for i, v := range values {
			words[i] = word(v)
		}
		fmt.Fprintln(table, strings.Join(words, "\t"))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	return out.Flush()
}

func (u *userAdmin) check(c *cobra.Command, _ string) error {
	set, err := account.Load(u.file())
	if err != nil {
		return plain(err)
	}
	for _, w := range set.Warnings() {
		fmt.Fprintln(c.ErrOrStderr(), "warning: "+w)
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "%s: ok, accounts: %d\n", u.file(), set.Len())
	return err
}

// printPassword prints a generated password; there is no other.
func (u *userAdmin) printPassword(c *cobra.Command, password string) {
	if u.generate {
		fmt.Fprintln(c.OutOrStdout(), password)
	}
}

// password gets a new password the way the options say and returns its record.
func (u *userAdmin) password(c *cobra.Command) (record, password string, err error) {
	switch {
	case u.stdin && u.generate:
		return "", "", usage(errors.New("--password-stdin and --generate exclude each other"))
	case u.generate:
		password = rand.Text()
	case u.stdin:
		password, err = firstLine(c.InOrStdin())
	default:
		password, err = askTwice(c.Context())
	}
	if err != nil {
		return "", "", err
	}
	r, err := login.NewRecord(password, u.params)
	if err != nil {
		return "", "", err
	}
	return r.String(), password, nil
}

// firstLine reads a line without its end.
func firstLine(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, 4096)).ReadString('\n')
	if err != nil && err != io.EOF {
		return "", fmt.Errorf("read the password: %w", err)
	}
	return strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"), nil
}

// askTwice asks at the terminal, without echo, until ctx ends.
func askTwice(ctx context.Context) (string, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return "", usage(&advised{errors.New("there is no terminal to ask for the password"), "give --password-stdin or --generate"})
	}
	defer tty.Close()
	first, err := ask(ctx, tty, "New password: ")
	if err != nil {
		return "", err
	}
	second, err := ask(ctx, tty, "Again: ")
	if err != nil {
		return "", err
	}
	if first != second {
		return "", errors.New("the passwords differ")
	}
	return first, nil
}

// ask reads one password. A signal gives the terminal its echo back.
func ask(ctx context.Context, tty *os.File, prompt string) (string, error) {
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	fd := int(tty.Fd())
	state, err := term.GetState(fd)
	if err != nil {
		return "", fmt.Errorf("terminal: %w", err)
	}
	fmt.Fprint(tty, prompt)
	type answer struct {
		text []byte
		err  error
	}
	done := make(chan answer, 1)
	go func() {
		text, err := term.ReadPassword(fd)
		done <- answer{text, err}
	}()
	var a answer
	select {
	case a = <-done:
	case <-ctx.Done():
		a.err = &exitError{code: 130, err: errors.New("interrupted")}
	}
	term.Restore(fd, state)
	fmt.Fprintln(tty)
	if a.err != nil && !errors.Is(a.err, io.EOF) {
		return "", fmt.Errorf("read the password: %w", a.err)
	}
	return string(a.text), nil
}
