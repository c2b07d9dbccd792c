package daemon

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"ferry/server/account"
	"ferry/shared/login"
)

const (
	maxImport = 8 << 20 // bytes of a file that is imported
	// importLock is told to a user whose account was imported and not opened yet.
	importLock = "not opened yet: ask the administrator"
	firstUser  = 1000  // user numbers below are the system's own
	nobody     = 65534 // as are those from here on
)

// newcomer is an account that is being imported from a list of names.
type newcomer struct {
	name             string
	line             int
	password, record string
}

// importFile adds the accounts of another program's list, or of an export.
func (u *userAdmin) importFile(c *cobra.Command, args []string) error {
	file := args[0]
	text, err := readImport(c, file)
	if err != nil {
		return err
	}
	if set, err := account.Parse(file, text); err == nil && set.Len() > 0 {
		return u.importExport(c, file, text)
	} else if err != nil && looksLikeExport(text) {
		return err
	}
	list, skipped, err := newcomers(file, text)
	if err != nil {
		return err
	}
	if err := u.noneTaken(file, list); err != nil {
		return err
	}
	if err := u.invent(list); err != nil {
		return err
	}
	if u.data != "" {
		if err := os.MkdirAll(u.data, 0o700); err != nil {
			return plain(err)
		}
	}
	err = u.console.edit(func(t *account.Text) error {
		for _, n := range list {
			err := t.Add(n.name, account.Change{Key: "auth", Option: n.record}, account.Change{Key: "locked", Option: importLock},
				account.Change{Key: "must_change_password", Option: "true"})
			if err != nil {
				return fmt.Errorf("%s:%d: %s: %w", file, n.line, n.name, err)
			}
		}
		t.Prepare(func() error { return u.makeHomes(c, list) })
		return nil
	})
	if err != nil {
		return err
	}
	for _, n := range list {
		fmt.Fprintf(c.OutOrStdout(), "%s\t%s\n", n.name, n.password)
	}
	fmt.Fprintf(c.ErrOrStderr(), "imported %d accounts, locked, each with a first password that must be changed; skipped %d of the system\n", len(list), skipped)
	if len(list) > 0 {
		fmt.Fprintln(c.ErrOrStderr(), "hint: hand the passwords over and type: "+u.typed("user unlock NAME", ""))
	}
	return nil
}

// readImport reads a file, or standard input for "-".
func readImport(c *cobra.Command, file string) ([]byte, error) {
	in := c.InOrStdin()
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, plain(err)
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxImport+1))
	if err == nil && len(text) > maxImport {
		err = fmt.Errorf("%s: is larger than %d MiB", file, maxImport>>20)
	}
	return text, plain(err)
}

// looksLikeExport tells a broken users.toml from a list of names.
func looksLikeExport(text []byte) bool {
	return bytes.HasPrefix(text, []byte("[users.")) || bytes.Contains(text, []byte("\n[users."))
}

// newcomers reads lines of NAME:HASH, or of NAME:HASH:UID:... of which those of the system are skipped. The hashes are of no
// use here. All lines that cannot be taken are in the error.
func newcomers(file string, text []byte) (list []*newcomer, skipped int, err error) {
	var bad []error
	seen := map[string]int{}
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		line = strings.TrimRight(line, "\r\n")
		if strings.TrimSpace(line) == "" || line[0] == '#' {
			continue
		}
		fields := strings.Split(line, ":")
		name := fields[0]
		if len(fields) > 3 {
			uid, err := strconv.Atoi(fields[2])
			if err == nil && (uid < firstUser || uid >= nobody) {
				skipped++
				continue
			}
		}
		err := account.CheckName(name)
		switch {
		case len(fields) < 2:
			err = errors.New("is not NAME:HASH")
		case err == nil && seen[name] > 0:
			err = fmt.Errorf("%s is also on line %d", name, seen[name])
		}
		if err != nil {
			bad = append(bad, fmt.Errorf("%s:%d: %w", file, number, err))
			continue
		}
		seen[name] = number
		list = append(list, &newcomer{name: name, line: number})
	}
	if len(bad) > 0 {
		return nil, 0, &advised{errors.Join(bad...), "nothing was imported; correct or remove these lines in a copy of the file"}
	}
	return list, skipped, nil
}

// noneTaken refuses names that are in use, all of them at once.
func (u *userAdmin) noneTaken(file string, list []*newcomer) error {
	s, err := account.Open(u.file())
	if err != nil {
		return err
	}
	var bad []error
	for _, n := range list {
		if _, taken := s.Current().Lookup(n.name); taken {
			bad = append(bad, fmt.Errorf("%s:%d: %s: %w", file, n.line, n.name, account.ErrExists))
		}
	}
	if len(bad) > 0 {
		return &advised{errors.Join(bad...), "nothing was imported; remove these lines in a copy of the file"}
	}
	return nil
}

// invent makes the passwords, several at once.
func (u *userAdmin) invent(list []*newcomer) error {
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, n := range list {
		g.Go(func() error {
			n.password = rand.Text()
			r, err := login.NewRecord(n.password, u.params)
			n.record = r.String()
			return err
		})
	}
	return g.Wait()
}

// makeHomes makes the homes of new accounts.
func (u *userAdmin) makeHomes(c *cobra.Command, list []*newcomer) error {
	if u.data == "" {
		fmt.Fprintln(c.ErrOrStderr(), "the homes were not made: --data was not given")
		return nil
	}
	for _, n := range list {
		if _, err := u.makeHome(c, n.name); err != nil {
			return err
		}
	}
	return nil
}

// importExport adds the accounts of an exported file with their secrets and all they had there.
func (u *userAdmin) importExport(c *cobra.Command, file string, text []byte) error {
	if u.data != "" {
		if err := os.MkdirAll(u.data, 0o700); err != nil {
			return plain(err)
		}
	}
	count := 0
	err := u.console.edit(func(t *account.Text) error {
		added, err := t.AddAll(file, text)
		if err != nil {
			return u.taken(err)
		}
		for _, a := range added {
			if u.data != "" {
				t.Prepare(func() error {
					_, err := u.makeHome(c, a.Home)
					return err
				})
			}
		}
		count = len(added)
		return nil
	})
	if err == nil {
		fmt.Fprintf(c.ErrOrStderr(), "imported %d accounts as they were\n", count)
	}
	return err
}

// export writes the account file to a new file, which only its owner can read.
func (u *userAdmin) export(c *cobra.Command, args []string) error {
	set, err := account.Load(u.file())
	if err != nil {
		return plain(err)
	}
	text, err := os.ReadFile(u.file())
	if err != nil {
		return plain(err)
	}
	if args[0] == "-" {
		_, err := c.OutOrStdout().Write(text)
		return err
	}
	f, err := os.OpenFile(args[0], os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return plain(err)
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		os.Remove(args[0])
		return plain(err)
	}
	fmt.Fprintf(c.ErrOrStderr(), "exported %d accounts with their secrets to %s\n", set.Len(), args[0])
	return nil
}
