package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"ferry/server/account"
	"ferry/server/state"
)

func (u *userAdmin) add(c *cobra.Command, args []string) error {
	name := args[0]
	if err := account.CheckName(name); err != nil {
		return usage(err)
	}
	changes, err := u.changes(c)
	if err != nil {
		return err
	}
	var password string
	if !keyOnly(changes) || u.stdin || u.generate {
		if u.asks() { // the edit finds out, too, but then the password has been typed
			if err := u.free(name); err != nil {
				return err
			}
		}
		var record string
		if record, password, err = u.password(c, name); err != nil {
			return err
		}
		changes = append([]account.Change{{Key: "auth", Option: record}}, changes...)
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
	err = u.console.edit(func(t *account.Text) error {
		if err := t.Add(name, changes...); err != nil {
			return u.taken(err)
		}
		t.Prepare(func() (err error) {
			made, err = u.makeHome(c, home)
			return err
		})
		return nil
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

// keyOnly reports whether a new account has public keys: then nobody is asked for a password.
func keyOnly(changes []account.Change) bool {
	return slices.ContainsFunc(changes, func(ch account.Change) bool { return ch.Key == "keys" && ch.Option != "" })
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
		return &advised{err, "choose another name, or change the account with " + u.typed("user mod", "")}
	}
	return err
}

// changes returns the keys given as options; a wrong value is a usage error.
func (u *userAdmin) changes(c *cobra.Command) ([]account.Change, error) {
	var list []account.Change
	for _, k := range account.Keys() {
		if k.Usage == "" || !c.Flags().Changed(k.Name) {
			continue
		}
		option, _ := c.Flags().GetString(k.Name)
		if err := k.Check(option); err != nil {
			return nil, usage(err)
		}
		list = append(list, account.Change{Key: k.Name, Option: option})
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
	homes := filepath.Join(u.data, "homes")
	if made, err = account.MakeHome(homes, home); err != nil {
		return made, plain(err)
	}
	path := filepath.Join(homes, home)
	if made == "" {
		if names, err := os.ReadDir(path); err == nil && len(names) > 0 {
			fmt.Fprintf(c.ErrOrStderr(), "warning: the home %s already holds files\n", path)
		}
	}
	return made, nil
}

func (u *userAdmin) mod(c *cobra.Command, args []string) error {
	name := args[0]
	changes, err := u.changes(c)
	if err != nil {
		return err
	}
	if len(changes) == 0 && !u.stdin && !u.generate {
		return usage(&advised{errors.New("nothing to change"), u.typed("user mod --help", "") + " lists the options"})
	}
	var password string
	if u.stdin || u.generate {
		var record string
		if record, password, err = u.password(c, name); err != nil {
			return err
		}
		changes = append(changes, account.Change{Key: "auth", Option: record})
	}
	err = u.edit(name, func(t *account.Text) error {
		for _, ch := range changes {
			if err := t.Set(name, ch.Key, ch.Option); err != nil {
				return err
			}
		}
		t.Prepare(func() error { return u.moveHome(c, name, changes) })
		return nil
	})
	if err != nil {
		return err
	}
	u.printPassword(c, password)
	fmt.Fprintf(c.ErrOrStderr(), "changed %s\n", name)
	return nil
}

// moveHome makes the new home if that is among the changes.
func (u *userAdmin) moveHome(c *cobra.Command, name string, changes []account.Change) error {
	i := slices.IndexFunc(changes, func(ch account.Change) bool { return ch.Key == "home" })
	if i < 0 {
		return nil
	}
	home := changes[i].Option
	if home == "" {
		home = name
	}
	made, err := u.makeHome(c, home)
	if made != "" {
		fmt.Fprintln(c.ErrOrStderr(), "the new home is empty: files in the old one were not moved")
	}
	return err
}

// edit changes an existing account.
func (u *userAdmin) edit(name string, change func(t *account.Text) error) error {
	return u.console.edit(func(t *account.Text) error {
		err := change(t)
		if errors.Is(err, account.ErrNotFound) {
			return u.missing()
		}
		return err
	})
}

func (u *userAdmin) lock(c *cobra.Command, args []string) error {
	name := args[0]
	if u.reason == "" {
		return usage(errors.New("the reason is empty"))
	}
	if err := check("locked", u.reason); err != nil {
		return err
	}
	if err := u.edit(name, func(t *account.Text) error { return t.Set(name, "locked", u.reason) }); err != nil {
		return err
	}
	fmt.Fprintf(c.ErrOrStderr(), "locked %s\n", name)
	return nil
}

// check refuses a wrong value of a key as a wrong command line.
func check(key, option string) error {
	for _, k := range account.Keys() {
		if err := k.Check(option); k.Name == key && err != nil {
			return usage(err)
		}
	}
	return nil
}

func (u *userAdmin) unlock(c *cobra.Command, args []string) error {
	name := args[0]
	if err := u.edit(name, func(t *account.Text) error { return t.Off(name, "locked") }); err != nil {
		return err
	}
	fmt.Fprintf(c.ErrOrStderr(), "unlocked %s\n", name)
	return nil
}

func (u *userAdmin) expire(c *cobra.Command, args []string) error {
	name, day := args[0], args[1]
	if err := check("expires", day); err != nil {
		return err
	}
	never := day == "" || day == "never"
	err := u.edit(name, func(t *account.Text) error {
		if never {
			return t.Off(name, "expires")
		}
		return t.Set(name, "expires", day)
	})
	if err != nil {
		return err
	}
	switch {
	case never:
		fmt.Fprintf(c.ErrOrStderr(), "%s does not expire\n", name)
	case (&account.Account{Expires: day}).Expired(time.Now()):
		fmt.Fprintf(c.ErrOrStderr(), "%s is closed: that day has begun\n", name)
	default:
		fmt.Fprintf(c.ErrOrStderr(), "%s is closed from %s on\n", name, day)
	}
	return nil
}

func (u *userAdmin) del(c *cobra.Command, args []string) error {
	name := args[0]
	if u.purge && u.data == "" {
		return usage(&advised{errors.New("--purge needs the data directory"), "give --data DIR"})
	}
	var home string
	err := u.edit(name, func(t *account.Text) error {
		if a, ok := t.Accounts().Lookup(name); ok {
			home = a.Home
		}
		return t.Delete(name)
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(c.ErrOrStderr(), "deleted %s\n", name)
	if err := u.forget(c, name); err != nil {
		return fmt.Errorf("the account is deleted, what was counted of it is not: %w", err)
	}
	if u.purge {
		if err := u.purgeHome(home); err != nil {
			return fmt.Errorf("the account is deleted, its home is not: %w", plain(err))
		}
	}
	return nil
}

// forget drops what was counted of an account, lest it is believed of another one of that name. A running server does so itself.
func (u *userAdmin) forget(c *cobra.Command, name string) error {
	if _, err := os.Stat(filepath.Join(u.data, state.Name)); err != nil || u.data == "" {
		return nil
	}
	err := u.withCounts(c, func(counts *state.File) error {
		counts.Forget(func(other string) bool { return other != name })
		return nil
	})
	if errors.Is(err, errInUse) {
		return nil
	}
	return err
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
