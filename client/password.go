package main

import (
	"context"
	"fmt"
	"os"

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
	invite     string // of FERRY_INVITE
}

// take takes the password from stdin, if it is there, and what the environment has.
func (p *passwords) take(stdin bool) error {
	if stdin {
		line, err := shell.FirstLine(os.Stdin)
		if err != nil {
			return fmt.Errorf("password: %w", err)
		}
		p.given = &line
	}
	if env := os.Getenv("FERRY_PASSWORD"); env != "" {
		p.env = &env
	}
	p.invite = os.Getenv("FERRY_INVITE")
	for _, name := range []string{"FERRY_PASSWORD", "FERRY_INVITE"} {
		os.Unsetenv(name) // commands started from the shell must not see it
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
			return func(context.Context) (string, error) { return shell.SecretFile("password file", file.Text()) }
		case command.Place == place:
			return func(ctx context.Context) (string, error) { return shell.SecretCommand(ctx, command.Text()) }
		case place == config.Environment && p.env != nil:
			return func(context.Context) (string, error) { return *p.env, nil }
		}
	}
	return nil
}

// needsNobody tells whether find will ask nobody.
func (p *passwords) needsNobody(address, user string) bool {
	_, netrc, _ := netrc.Password(netrc.Path(), address, user)
	return netrc || p.source(address) != nil
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
