package shell

import (
	"context"
	"fmt"

	"ferry/client/remote"
	"ferry/shared/wire"
)

func passwdCommand() Command {
	return Command{Name: "passwd", Group: "session", Usage: "passwd [--new-password-file FILE | --new-password-command CMD | --generate]",
		Short: "change your password", Login: true, Max: 0, Flags: newPasswordFlags, Wire: []string{wire.CmdPasswd, wire.CmdLogin, wire.CmdProof, wire.CmdKey},
		More: "A person types the old password and twice the new one; a script proves itself with what it logged in\n" +
			"with. Who logged in with a key needs no old password, and may give an account that has none its first\n" +
			"one. Other sessions that came in by the old password end; this one goes on. The server never sees a\n" +
			"password.",
		Examples: []string{"passwd", "passwd --new-password-file ~/.ferry-password"},
		Secret:   true, // somebody will type the password behind it
		Values:   map[string]Side{"new-password-file": Here},
		Fields:   []Field{{"user", "string", "name of the account"}, {"changed", "boolean", "true"}, {"password", "string", "the new one, with --generate only"}},
		Run: func(ctx context.Context, s *Shell, c *Call) error {
			old, err := s.present(ctx)
			if err != nil {
				return err
			}
			return s.changePassword(ctx, c, old)
		}}
}

// changePassword gives the user another password. old is the present one, nil if it need not be typed again.
func (s *Shell) changePassword(ctx context.Context, c *Call, old *remote.Proof) error {
	user := s.client.Options().User
	password, err := s.newPassword(ctx, c, user)
	if err == nil {
		err = s.client.Passwd(ctx, old, password)
	}
	if err != nil {
		return err
	}
	result := map[string]any{"user": user, "changed": true}
	text := ""
	if c != nil && c.on("generate") {
		result["password"] = password
		text = password + "\n"
	}
	s.say("the password of %s is changed; other sessions that used the old one have ended", user)
	return s.emit(result, text)
}

// mustChange lets a person who cannot do anything else do it at once.
func (s *Shell) mustChange(ctx context.Context) {
	fmt.Fprintln(s.Err, "The password must be changed before anything else.")
	if err := s.changePassword(ctx, nil, nil); err != nil {
		s.report("passwd", err)
	}
}
