package shell

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"

	"github.com/spf13/pflag"

	"ferry/client/remote"
	"ferry/client/term"
	"ferry/shared/login"
)

// SecretFile returns the first line of a file that nobody else can read. Errors say what file it is.
func SecretFile(what, path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		var pe *fs.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return "", fmt.Errorf("%s %s: %w", what, path, err)
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("%s %s can be read by others (chmod 600 %s)", what, path, path)
	}
	return FirstLine(f)
}

// SecretCommand returns the first line that a command prints.
func SecretCommand(ctx context.Context, command string) (string, error) {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	cmd.Stderr = os.Stderr
	cmd.WaitDelay = killAfter // for what it has left behind, which may keep the pipe open
	out, err := cmd.Output()
	if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		return "", fmt.Errorf("password command: %w", err)
	}
	return FirstLine(bytes.NewReader(out))
}

// FirstLine reads up to the first newline and not a byte further: what follows may be commands.
func FirstLine(r io.Reader) (string, error) {
	var line []byte
	var b [1]byte
	for len(line) <= 4096 {
		n, err := r.Read(b[:])
		if n == 1 && b[0] == '\n' || errors.Is(err, io.EOF) {
			return strings.TrimSuffix(string(line), "\r"), nil
		}
		if err != nil {
			return "", err
		}
		line = append(line, b[:n]...)
	}
	return "", errors.New("the first line is longer than 4096 bytes")
}

// newPasswordFlags are the options that say where a new password comes from, if not from a person.
func newPasswordFlags(f *pflag.FlagSet) {
	f.String("new-password-file", "", "read the new password from the first line of a `FILE`")
	f.String("new-password-command", "", "take the first line that a `COMMAND` prints as the new password")
	f.Bool("generate", false, "make a password and print it, once")
}

// newPassword gets the new password of a user, from where the options say or typed twice by a person. c may be nil: then a
// person is asked.
func (s *Shell) newPassword(ctx context.Context, c *Call, user string) (password string, err error) {
	file, command := "", ""
	if c != nil {
		file, command = c.value("new-password-file"), c.value("new-password-command")
	}
	switch {
	case c != nil && c.on("generate"):
		return rand.Text(), nil
	case file != "":
		password, err = SecretFile("password file", home(file))
	case command != "":
		password, err = SecretCommand(ctx, command)
	case s.Ask != nil:
		return s.typedTwice(user)
	default:
		return "", &UsageError{"no new password", "give --new-password-file FILE, --new-password-command CMD or --generate"}
	}
	if err != nil {
		return "", err
	}
	return password, strong(user, password)
}

// typedTwice asks a person for a new password. Whether it is good is said before it is typed again.
func (s *Shell) typedTwice(user string) (string, error) {
	first, err := s.Ask(fmt.Sprintf("New password of %s: ", term.Escape(user)))
	if err == nil {
		err = strong(user, first)
	}
	if err != nil {
		return "", err
	}
	second, err := s.Ask("Again: ")
	if err == nil && first != second {
		err = errors.New("the passwords differ")
	}
	return first, err
}

// weakError is a new password that somebody could guess.
type weakError struct{ error }

func (weakError) Hint() string { return login.StrengthHint }

// strong refuses a password that can be guessed.
func strong(user, password string) error {
	if err := login.CheckStrength(user, password); err != nil {
		return &weakError{err}
	}
	return nil
}

// present gets what proves the user to be himself: a person types the password once more, in case somebody else has found
// the session open. The key of the login, and a script, which has no more than it logged in with, prove it without a word.
func (s *Shell) present(ctx context.Context) (*remote.Proof, error) {
	if s.Ask == nil || s.client.ByKey() {
		return nil, nil
	}
	password, err := s.Ask(fmt.Sprintf("Present password of %s: ", s.client.Options().User))
	if err == nil && password == "" {
		err = errors.New("no password was given")
	}
	if err != nil {
		return nil, err
	}
	return s.client.Prove(ctx, password)
}
