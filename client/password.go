package main

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

	"ferry/client/config"
	"ferry/client/netrc"
	"ferry/client/shell"
)

// passwords finds what to log in with: what was given on stdin, the settings, the environment, netrc, or a person.
type passwords struct {
	settings   *config.Settings
	given, env *string
	shell      bool // a person types the commands
	person     bool // somebody can be asked
	ask        func(prompt string) (string, error)
}

// take takes the password from stdin, if it is there, and from the environment.
func (p *passwords) take(stdin bool) error {
	if stdin {
		line, err := firstLine(os.Stdin)
		if err != nil {
			return fmt.Errorf("password: %w", err)
		}
		p.given = &line
	}
	if env := os.Getenv("FERRY_PASSWORD"); env != "" {
		p.env = &env
		os.Unsetenv("FERRY_PASSWORD") // commands started from the shell must not see it
	}
	return nil
}

// source is a way to get a password without a person.
type source func(ctx context.Context) (string, error)

// source returns the one to use for an address, nil if there is none. A stronger place wins; in one place a file wins over a
// command, and that over FERRY_PASSWORD.
func (p *passwords) source(address string) source {
	if p.given != nil {
		return func(context.Context) (string, error) { return *p.given, nil }
	}
	file, command := p.settings.Value(config.PasswordFile, address), p.settings.Value(config.PasswordCommand, address)
	for place := config.Session; place < config.BuiltIn; place++ {
		switch {
		case file.Place == place:
			return func(context.Context) (string, error) { return fromFile(file.Text()) }
		case command.Place == place:
			return func(ctx context.Context) (string, error) { return fromCommand(ctx, command.Text()) }
		case place == config.Environment && p.env != nil:
			return func(context.Context) (string, error) { return *p.env, nil }
		}
	}
	return nil
}

// find returns the password of a user.
func (p *passwords) find(ctx context.Context, address, user string) (string, error) {
	if source := p.source(address); source != nil {
		return source(ctx)
	}
	password, ok, err := netrc.Password(netrc.Path(), address, user)
	if ok || err != nil {
		return password, err
	}
	if !p.person {
		return "", &shell.UsageError{Msg: "no password for " + user,
			Advice: "give --password-file, --password-command, --password-stdin or FERRY_PASSWORD, or write it into " + tilde(netrc.Path())}
	}
	return p.ask(fmt.Sprintf("Password of %s on %s: ", user, address))
}

func fromFile(path string) (string, error) {
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
	return firstLine(f)
}

func fromCommand(ctx context.Context, command string) (string, error) {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("password command: %w", err)
	}
	return firstLine(bytes.NewReader(out))
}

// firstLine reads up to the first newline and not a byte further: what follows may be commands.
func firstLine(r io.Reader) (string, error) {
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
