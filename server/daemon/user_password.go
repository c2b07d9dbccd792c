package daemon

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"ferry/server/account"
	"ferry/shared/login"
	"ferry/shared/wire"
)

func (u *userAdmin) passwd(c *cobra.Command, args []string) error {
	name := args[0]
	if u.asks() { // the edit finds out, too, but then the password has been typed
		if _, err := u.find(name); err != nil {
			return err
		}
	}
	record, password, err := u.password(c, name)
	if err != nil {
		return err
	}
	if err := u.edit(name, func(t *account.Text) error { return t.Set(name, "auth", record) }); err != nil {
		return err
	}
	u.printPassword(c, password)
	fmt.Fprintf(c.ErrOrStderr(), "changed the password of %s\n", name)
	return nil
}

// printPassword prints a password that was generated here.
func (u *userAdmin) printPassword(c *cobra.Command, password string) {
	if u.generate && password != "" {
		fmt.Fprintln(c.OutOrStdout(), password)
	}
}

// password gets a new password the way the options say and returns its record.
func (u *userAdmin) password(c *cobra.Command, name string) (record, password string, err error) {
	switch {
	case u.stdin && u.generate:
		return "", "", usage(errors.New("--password-stdin and --generate exclude each other"))
	case u.inside != nil:
		return u.madeElsewhere(name)
	case u.generate:
		password = rand.Text()
	case u.stdin:
		if password, err = firstLine(c.InOrStdin()); err == nil {
			err = strong(name, password)
		}
	default:
		password, err = askTwice(c.Context(), name)
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

// madeElsewhere returns the record that came with the order, or asks for one: the server never sees a password.
func (u *userAdmin) madeElsewhere(name string) (record, password string, err error) {
	if u.order.Record == "" {
		from := "ask"
		if u.stdin {
			from = "stdin"
		} else if u.generate {
			from = "generate"
		}
		return "", "", &wanted{&wire.PasswordWanted{Name: name, From: from, Memory: u.params.Memory, Time: u.params.Time, Threads: u.params.Threads}}
	}
	if _, err := login.ParseRecord(u.order.Record); err != nil {
		return "", "", usage(err)
	}
	return u.order.Record, "", nil
}

// strong refuses a password that can be guessed.
func strong(name, password string) error {
	err := login.CheckStrength(name, password)
	if err != nil && password != "" {
		return &advised{err, login.StrengthHint}
	}
	return err
}

// asks reports whether the password will be asked for, here or by a client.
func (u *userAdmin) asks() bool { return u.inside != nil || !u.stdin && !u.generate }

// firstLine reads a line without its end.
func firstLine(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, 4096)).ReadString('\n')
	if err != nil && err != io.EOF {
		return "", fmt.Errorf("read the password: %w", err)
	}
	return strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"), nil
}

// askTwice asks at the terminal, without echo, until ctx ends. Whether the password is good is said before it is typed again.
func askTwice(ctx context.Context, name string) (string, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return "", usage(&advised{errors.New("there is no terminal to ask for the password"), "give --password-stdin or --generate"})
	}
	defer tty.Close()
	first, err := ask(ctx, tty, "New password: ")
	if err != nil {
		return "", err
	}
	if err := strong(name, first); err != nil {
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
