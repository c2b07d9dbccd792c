package shell

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"ferry/client/remote"
	"ferry/shared/wire"
)

func registerCommand() Command {
	return Command{Name: "register", Group: "session", Usage: "register NAME[@HOST[:PORT]] [--invite-file FILE] [--new-password-file FILE | ...]",
		Short: "make an account for yourself, where the server allows that", Min: 1, Max: 1, Args: Logins, Values: map[string]Side{"invite-file": Here, "new-password-file": Here}, Wire: []string{wire.CmdHello, wire.CmdRegister},
		More: "The invite, CODE@SHA256:..., comes from the administrator and names the server's key, too: it is\n" +
			"asked for, or taken from a file or FERRY_INVITE. Without one the server must be known, or given with\n" +
			"--fingerprint. The password is typed twice; in a script it is that of the login (--password-file ...).\n" +
			"The server never sees it. Afterwards you are logged in.",
		Examples: []string{"register alice", "register alice@files.example.org --invite-file invite"},
		Secret:   true, // somebody will type the invite behind it
		Fields: []Field{{"user", "string", "name of the account"}, {"server", "string", "address"}, {"registered", "boolean", "true"},
			{"password", "string", "with --generate only"}},
		Flags: func(f *pflag.FlagSet) {
			f.String("invite-file", "", "read the invite from the first line of a `FILE`")
			newPasswordFlags(f)
		},
		Run: runRegister}
}

func runRegister(ctx context.Context, s *Shell, c *Call) error {
	if err := s.part(ctx); err != nil {
		return err
	}
	name := c.Args()[0]
	if strings.Contains(name, "@") {
		t, err := ParseTarget(name)
		if err != nil {
			return err
		}
		s.Close()
		s.Remote.Address, s.Remote.Plain = t.Address, t.Plain
		name = t.User
	}
	o := s.reach(name)
	code, err := s.invite(c, &o)
	if err != nil {
		return err
	}
	password := ""
	ask := func(ctx context.Context) (string, error) {
		var err error
		password, err = s.firstPassword(ctx, c, o)
		return password, err
	}
	err = remote.Register(ctx, o, code, ask)
	if wire.CodeOf(err) == wire.AuthFailed && code == "" && s.Ask != nil {
		if code, err = s.askInvite(&o); err == nil {
			err = remote.Register(ctx, o, code, ask)
		}
	}
	if err != nil {
		return unregistered(away(err, o.Plain))
	}
	s.say("registered %s on %s", name, o.Address)
	result, text := map[string]any{"user": name, "server": o.Address, "registered": true}, ""
	if c.on("generate") {
		result["password"], text = password, password+"\n"
	}
	if err := s.emit(result, text); err != nil {
		return err
	}
	if s.options().Fingerprint == "" && o.Fingerprint != "" { // the invite has vouched for the server
		if err := o.Known.Pin(o.Address, o.Fingerprint); err != nil {
			s.notice("the server's key could not be remembered: " + err.Error())
		}
	}
	s.Close()
	o.Password = func(context.Context) (string, error) { return password, nil }
	o.Keys, o.Eager = nil, false
	return s.login(ctx, o)
}

// invite finds the invite: a file, the environment, or, where the server's key is not known yet, a person. Without one the
// code is empty. The key that it names goes to o.
func (s *Shell) invite(c *Call, o *remote.Options) (code string, err error) {
	text := s.Invite
	if file := c.value("invite-file"); file != "" {
		if text, err = SecretFile("invite file", home(file)); err != nil {
			return "", err
		}
	}
	if text != "" {
		return takeInvite(text, o)
	}
	known, err := o.Known.Lookup(o.Address)
	if err != nil || known != "" || o.Fingerprint != "" || s.Ask == nil {
		return "", err
	}
	return s.askInvite(o)
}

func (s *Shell) askInvite(o *remote.Options) (code string, err error) {
	text, err := s.Ask("Invite (CODE@SHA256:...): ")
	if err != nil || strings.TrimSpace(text) == "" {
		return "", err
	}
	return takeInvite(text, o)
}

// takeInvite takes an invite apart. It must not lead to another server than the one that is known or was asked for.
func takeInvite(text string, o *remote.Options) (code string, err error) {
	code, server, err := remote.ParseInvite(text)
	if err != nil {
		return "", &UsageError{err.Error(), "paste it whole, as the administrator gave it to you"}
	}
	if server == "" {
		return code, nil
	}
	want := o.Fingerprint
	if want == "" {
		if want, err = o.Known.Lookup(o.Address); err != nil {
			return "", err
		}
	}
	if want != "" && want != server {
		return "", &UsageError{fmt.Sprintf("the invite is for another server than the one that is known as %s", o.Address), "open HOST:PORT chooses the server that it is for"}
	}
	o.Fingerprint = server
	return code, nil
}

// firstPassword gets the password of a new account.
func (s *Shell) firstPassword(ctx context.Context, c *Call, o remote.Options) (string, error) {
	asked := c.on("generate") || c.value("new-password-file") != "" || c.value("new-password-command") != ""
	if asked || s.Ask != nil && (s.Given == nil || !s.Given(o.Address, o.User)) {
		return s.newPassword(ctx, c, o.User)
	}
	password, err := s.Password(ctx, o.Address, o.User)
	if err == nil {
		err = strong(o.User, password)
	}
	return password, err
}

// registerError is a registration that was refused, with what to do about it.
type registerError struct {
	error
	advice string
}

func (e *registerError) Hint() string  { return e.advice }
func (e *registerError) Unwrap() error { return e.error }

func unregistered(err error) error {
	var unknown *remote.TrustError
	if errors.As(err, &unknown) && unknown.Want == "" {
		return &registerError{err, "give the --fingerprint that the administrator told you, or an invite, which brings it along"}
	}
	advice := map[wire.Code]string{
		wire.Denied:     "the administrator makes accounts: ferryd user add NAME",
		wire.AuthFailed: "the administrator makes invites: ferryd invite; each is good once",
		wire.Exists:     "if it is yours: login NAME",
	}[wire.CodeOf(err)]
	if advice == "" {
		return err
	}
	return &registerError{err, advice}
}
