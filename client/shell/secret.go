package shell

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"

	"ferry/shared/login"
)

// SecretFile returns the first line of a file that nobody else can read.
func SecretFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		var pe *fs.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return "", fmt.Errorf("password file %s: %w", path, err)
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("password: %s can be read by others (chmod 600 %s)", path, path)
	}
	return FirstLine(f)
}

// SecretCommand returns the first line that a command prints.
func SecretCommand(ctx context.Context, command string) (string, error) {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
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
	return "", errors.New("the password is longer than 4096 bytes")
}

// typedTwice asks a person for a new password. Whether it is good is said before it is typed again.
func (s *Shell) typedTwice(user string) (string, error) {
	first, err := s.In.Password(fmt.Sprintf("New password of %s: ", user))
	if err == nil {
		err = strong(user, first)
	}
	if err != nil {
		return "", err
	}
	second, err := s.In.Password("Again: ")
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
