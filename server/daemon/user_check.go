package daemon

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ferry/server/account"
	"ferry/server/state"
)

func (u *userAdmin) check(c *cobra.Command, args []string) error {
	if there, err := u.insideRunning(c, args); there {
		return err
	}
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
	if u.inside == nil {
		return nil
	}
	return u.printDifferences(c, u.inside.Accounts.Current(), set, "a reload changes nothing")
}

// insideRunning has the server that runs on the data directory carry the command line out, if there is one and the command line
// is not about another file: it knows what is in force, and what has happened.
func (u *userAdmin) insideRunning(c *cobra.Command, args []string) (there bool, err error) {
	if u.inside != nil || u.data == "" || u.users != "" {
		return false, nil
	}
	err = u.forward(c, args)
	return !errors.Is(err, errNotRunning), err
}

// printDifferences says what is different between two sets of accounts.
func (n *console) printDifferences(c *cobra.Command, old, now *account.Set, none string) error {
	lines := differences(old, now)
	if len(lines) == 0 {
		lines = []string{none}
	}
	_, err := fmt.Fprintln(c.OutOrStdout(), strings.Join(lines, "\n"))
	return err
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
		for _, change := range changes(a, b) {
			lines = append(lines, b.Name+": "+change)
		}
	}
	return lines
}

// changes says what is different between two states of an account.
func changes(a, b *account.Account) []string {
	var list []string
	if a.HasAuth && b.HasAuth && a.Auth.String() != b.Auth.String() {
		list = append(list, "another password")
	}
	for _, k := range account.Keys() {
		if was, is := word(k.Show(a)), word(k.Show(b)); was != is {
			list = append(list, fmt.Sprintf("%s: %s -> %s", k.Name, was, is))
		}
	}
	return list
}

func (u *userAdmin) explain(c *cobra.Command, args []string) error {
	place := ""
	if len(args) > 1 {
		if place = args[1]; !path.IsAbs(place) || path.Clean(place) != place {
			return usage(&advised{fmt.Errorf("%q is not a path of the home", place), "such as / or /in/box"})
		}
	}
	if there, err := u.insideRunning(c, args); there {
		return err
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
	lines = append(lines, useLines(a.Name, u.use(c, a))...)
	if u.inside == nil {
		lines = append(lines, "no ferryd is running: refused logins and bans are known to a running one only")
	} else {
		lines = append(lines, u.inside.notes(a)...)
	}
	_, err = fmt.Fprintln(c.OutOrStdout(), strings.Join(lines, "\n"))
	return err
}

// useLines says what an account takes up and when it was last here, as far as that is known.
func useLines(name string, use state.Account) (lines []string) {
	if use.Known {
		lines = append(lines, fmt.Sprintf("%s takes up %v in %d files and directories", name, size(use.Used().Bytes), use.Used().Files))
	}
	if !use.Login.IsZero() {
		lines = append(lines, name+" logged in last at "+use.Login.Local().Format(time.DateTime))
	}
	return lines
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
