package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/spf13/cobra"

	"ferry/server/account"
	"ferry/server/state"
	"ferry/server/storage"
	"ferry/server/storage/local"
)

// recount has the running server walk homes and keep what they take up, or does so itself if there is none.
func (u *userAdmin) recount(c *cobra.Command, args []string) error {
	if u.inside != nil {
		return u.recountInside(c, args)
	}
	if u.data == "" {
		return usage(&advised{errors.New("no data directory"), "give --data DIR"})
	}
	if err := u.forward(c, args); !errors.Is(err, errNotRunning) {
		return err
	}
	set, err := account.Load(u.file())
	if err != nil {
		return plain(err)
	}
	return u.withCounts(c, func(counts *state.File) error {
		return u.eachNamed(set, args, func(a *account.Account) error { return u.recountHome(c, a, counts) })
	})
}

// eachNamed calls do with the account that args name, or with all.
func (u *userAdmin) eachNamed(set *account.Set, args []string, do func(*account.Account) error) error {
	found := len(args) == 0
	for a := range set.All() {
		if len(args) > 0 && a.Name != args[0] {
			continue
		}
		found = true
		if err := do(a); err != nil {
			return fmt.Errorf("home of %s: %w", a.Name, err)
		}
	}
	if !found {
		return u.missing()
	}
	return nil
}

func (u *userAdmin) recountInside(c *cobra.Command, args []string) error {
	return u.eachNamed(u.inside.Accounts.Current(), args, func(a *account.Account) error {
		was, is, known, err := u.inside.Server.Recount(c.Context(), a)
		if errors.Is(err, fs.ErrNotExist) {
			return noHome(c, a)
		}
		if err != nil {
			return err
		}
		return u.printCount(c, a, is, was, known)
	})
}

// withCounts lets change work on the counts of a server that is not running, and saves them.
func (u *userAdmin) withCounts(c *cobra.Command, change func(*state.File) error) error {
	lock, held, err := tryLock(u.data)
	if err != nil {
		return plain(err)
	}
	defer lock.Close()
	if !held {
		return &advised{fmt.Errorf("%w on %s", errInUse, u.data), "try again in a moment"}
	}
	counts := openCounts(c, u.data)
	if err := change(counts); err != nil {
		return err
	}
	return counts.Save()
}

// errInUse refuses what cannot be done while a server that cannot be asked has the data directory.
var errInUse = errors.New("a ferryd is starting or stopping")

func (u *userAdmin) recountHome(c *cobra.Command, a *account.Account, counts *state.File) error {
	was := counts.Lookup(a.Name)
	home, err := local.Open(filepath.Join(u.data, "homes", filepath.FromSlash(a.Home)), local.Options{Owner: a.Name})
	if errors.Is(err, fs.ErrNotExist) {
		return noHome(c, a)
	}
	if err != nil {
		return err
	}
	defer home.Close()
	_, is, _, err := home.Recount(c.Context())
	if err != nil {
		return err
	}
	named, staged, _ := home.Counted()
	counts.Count(a.Name, a.Home, named, staged, true)
	return u.printCount(c, a, is, was.Used(), was.Exact && was.Home == a.Home)
}

func noHome(c *cobra.Command, a *account.Account) error {
	_, err := fmt.Fprintf(c.ErrOrStderr(), "%s has no home yet\n", a.Name)
	return err
}

// printCount says what a home takes up, and what was believed if that was something else.
func (u *userAdmin) printCount(c *cobra.Command, a *account.Account, is, was storage.Amount, known bool) error {
	if u.json {
		fields := []field{{name: "name", value: a.Name}, {name: "used", value: is.Bytes}, {name: "files", value: is.Files}}
		if known {
			fields = append(fields, field{name: "used_before", value: was.Bytes}, field{name: "files_before", value: was.Files})
		}
		return printJSON(c.OutOrStdout(), fields)
	}
	text := fmt.Sprintf("%s: %s", a.Name, amount(is))
	if known && was != is {
		text += ", believed was " + amount(was)
	}
	_, err := fmt.Fprintln(c.OutOrStdout(), text)
	return err
}

// amount writes how much there is for people.
func amount(a storage.Amount) string {
	return fmt.Sprintf("%v in %d files and directories", size(a.Bytes), a.Files)
}
