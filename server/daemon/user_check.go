package daemon

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ferry/server/account"
)

func (u *userAdmin) check(c *cobra.Command, _ []string) error {
	set, problems, err := account.Problems(u.file())
	if err != nil {
		return plain(err)
	}
	if len(problems) == 1 {
		return problems[0]
	}
	for _, p := range problems {
		fmt.Fprintln(c.ErrOrStderr(), p)
		if p.Hint() != "" {
			fmt.Fprintln(c.ErrOrStderr(), "hint: "+p.Hint())
		}
	}
	if len(problems) > 1 {
		err := fmt.Errorf("%s: %d errors", u.file(), len(problems))
		return &exitError{code: 7, err: &advised{err, "a running ferryd keeps the accounts it has until the file is right"}}
	}
	for _, w := range set.Warnings() {
		fmt.Fprintln(c.ErrOrStderr(), "warning: "+w)
	}
	for a := range set.All() {
		if a.Expired(time.Now()) {
			fmt.Fprintf(c.ErrOrStderr(), "warning: %s:%d: %s is closed since %s\n", u.file(), a.Line, a.Name, a.Expires)
		}
	}
	if _, err := fmt.Fprintf(c.OutOrStdout(), "%s: ok, accounts: %d\n", u.file(), set.Len()); err != nil {
		return err
	}
	return u.checkReload(c, set)
}

// checkReload says what a reload would change in the server that runs on the data directory.
func (u *userAdmin) checkReload(c *cobra.Command, set *account.Set) error {
	if u.data == "" {
		return nil
	}
	running, err := serverRuns(u.data)
	if err != nil || !running {
		return err
	}
	if u.live.accounts == nil {
		fmt.Fprintf(c.OutOrStdout(), "a ferryd runs on %s: it takes a changed file by itself, within seconds; what would change is not known here\n", u.data)
		return nil
	}
	now, err := u.live.accounts(u.data)
	if err != nil {
		return err
	}
	lines := differences(now, set)
	if len(lines) == 0 {
		lines = []string{"a reload changes nothing"}
	}
	_, err = fmt.Fprintln(c.OutOrStdout(), strings.Join(lines, "\n"))
	return err
}

// serverRuns reports whether a server holds a data directory. It leaves nothing behind.
func serverRuns(data string) (bool, error) {
	if _, err := os.Stat(filepath.Join(data, "lock")); err != nil {
		return false, nil
	}
	lock, held, err := tryLock(data)
	if err != nil {
		return false, plain(err)
	}
	return !held, lock.Close()
}

// differences says what is different between the accounts in force and others, a line each.
func differences(old, now *account.Set) []string {
	var lines []string
	for a := range old.All() {
		if _, kept := now.Lookup(a.Name); !kept {
			lines = append(lines, a.Name+": deleted, its sessions end")
		}
	}
	for b := range now.All() {
		a, known := old.Lookup(b.Name)
		if !known {
			lines = append(lines, b.Name+": added")
			continue
		}
		if a.HasAuth && b.HasAuth && a.Auth.String() != b.Auth.String() {
			lines = append(lines, b.Name+": another password")
		}
		for _, k := range account.Keys() {
			if was, is := word(k.Show(a)), word(k.Show(b)); was != is {
				lines = append(lines, fmt.Sprintf("%s: %s: %s -> %s", b.Name, k.Name, was, is))
			}
		}
	}
	return lines
}

func (u *userAdmin) explain(c *cobra.Command, args []string) error {
	place := ""
	if len(args) > 1 {
		if place = args[1]; !path.IsAbs(place) || path.Clean(place) != place {
			return usage(&advised{fmt.Errorf("%q is not a path of the home", place), "such as / or /in/box"})
		}
	}
	a, err := u.find(args[0])
	if err != nil {
		return err
	}
	lines := []string{standing(a, time.Now())}
	for _, k := range account.Keys() {
		if words := k.Words(a); words != "" {
			lines = append(lines, a.Name+" "+words)
		}
	}
	if place != "" {
		lines = append(lines, rightsThere(a, place))
	}
	if u.live.notes == nil {
		lines = append(lines, "refused logins and bans are known to the running server only: see its log")
	} else {
		notes, err := u.live.notes(u.data, a.Name)
		if err != nil {
			return err
		}
		lines = append(lines, notes...)
	}
	_, err = fmt.Fprintln(c.OutOrStdout(), strings.Join(lines, "\n"))
	return err
}

// standing says whether the account can log in, and else why not.
func standing(a *account.Account, now time.Time) string {
	var why []string
	if !a.HasAuth && len(a.Keys) == 0 {
		why = append(why, "it has neither a password nor a key")
	}
	if a.Locked != "" {
		why = append(why, "it is locked")
	}
	if a.Expired(now) {
		why = append(why, "it is closed since "+a.Expires)
	}
	if len(why) > 0 {
		return a.Name + " cannot log in: " + strings.Join(why, ", ")
	}
	return a.Name + " can log in"
}

// rightsThere says what the account may do at a path and what decides it.
func rightsThere(a *account.Account, place string) string {
	by := "its own rights"
	if r := a.RuleAt(place); r != nil {
		by = "the rule for " + r.Path
	}
	rights := a.RightsAt(place)
	text := fmt.Sprintf("at %s %s may: %s", place, a.Name, strings.ReplaceAll(rights.String(), ",", ", "))
	if lacks := account.All &^ rights; lacks != 0 {
		text += "; may not: " + strings.ReplaceAll(lacks.String(), ",", ", ")
	}
	return text + " (by " + by + ")"
}
