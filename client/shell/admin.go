package shell

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"
	"strings"

	"ferry/client/term"
	"ferry/shared/login"
	"ferry/shared/wire"
)

// adminCommands are the verbs of ferryd for accounts with the right admin. The server knows their options; here they only get
// the words that ferryd wants before those that were typed.
func adminCommands() []Command {
	const noted = "The same verbs as `ferryd user` has on the server's machine; `user --help` and `user VERB --help` list them and their options.\n" +
		"A new password is asked for here, or comes from --generate, --password-stdin, --new-password-file FILE or --new-password-command\n" +
		"CMD; the server never sees it. import and export are for the server's machine only."
	return []Command{
		adminCommand("user", accountFields(), "user add|mod|passwd|del|lock|unlock|expire|show|list|key|check|explain|recount ...", "accounts: add, change, look at, remove", noted,
			[]string{"user add bob --generate", "user lock bob --reason 'on leave'"}, func(typed []string) []string { return append([]string{"user"}, typed...) }),
		adminCommand("sessions", sessionFields(), "sessions [list]", "who is logged in, from where, doing what", "", []string{"sessions", "sessions list"}, listing("sessions")),
		adminCommand("kick", nil, "kick ID|USER", "end a session, or all of a user",
			"It ends at once; unfinished uploads wait to be resumed. Whoever was there can log in again: `user lock` keeps him out.",
			[]string{"kick 5f0c9a21", "kick bob"}, func(typed []string) []string { return append([]string{"sessions", "kick"}, typed...) }),
		adminCommand("uploads", uploadFields(), "uploads [list] | uploads drop ID", "unfinished uploads of all accounts", "", []string{"uploads", "uploads drop 5f0c9a21"}, listing("uploads")),
		adminCommand("bans", banFields(), "bans [list] | bans lift ADDR", "addresses whose logins failed lately; let one try again", "",
			[]string{"bans", "bans lift 192.0.2.7"}, listing("bans")),
		adminCommand("invite", inviteFields(), "invite [--count N] [--for 2d] | invite list | invite revoke ID", "invites, with which people register",
			"Each is good for one account, and printed once: whoever gets it types `register NAME` and pastes it.",
			[]string{"invite", "invite --count 20 --for 7d > invites"}, func(typed []string) []string { return append([]string{"invite"}, typed...) }),
		adminCommand("reload", []Field{{"text", "string", "what has changed, a line each"}}, "reload", "let the server read its account file again", "It says what has changed. A file with a mistake changes nothing.",
			[]string{"reload", "user check && reload"}, func(typed []string) []string { return append([]string{"reload"}, typed...) }),
	}
}

// accountFields are those of `ferryd user`: the keys of users.toml.
func accountFields() []Field {
	return []Field{
		{"name", "string", "of the account"},
		{"auth", "string", `"password" if it has one`},
		{"keys", "list", "public keys: kind, fingerprint and comment"},
		{"home", "string", "relative to the server's homes"},
		{"rights", "list", "what it may do"},
		{"rules", "list", "other rights for parts of the home"},
		{"allow_from", "list", "networks that may log in; empty: all"},
		{"expires", "string", `first day it is closed, "" if there is none`},
		{"locked", "string", `why it is closed, "" if it is not`},
		{"must_change_password", "boolean", "nothing else can be done with the password until it is changed"},
		{"quota", "integer", "bytes, 0 is no limit"},
		{"quota_files", "integer", "files and directories, 0 is no limit"},
		{"max_file_size", "integer", "bytes, 0 is no limit"},
		{"rate_up", "integer", "bytes a second, 0 is no limit"},
		{"rate_down", "integer", "bytes a second, 0 is no limit"},
		{"max_sessions", "integer", "0 is no limit"},
		{"used", "integer", "bytes of all files, unfinished uploads included; absent if not counted yet"},
		{"files", "integer", "files and directories; absent if not counted yet"},
		{"used_before", "integer", "recount: what was believed"},
		{"files_before", "integer", "recount: what was believed"},
		{"last_login", "time", "absent if there was none"},
		{"password", "string", "that --generate made"},
		{"text", "string", "a line of check, explain or help"},
	}
}

func sessionFields() []Field {
	return []Field{
		{"id", "string", "for kick"},
		{"user", "string", "who logged in"},
		{"addresses", "list", "of the connections"},
		{"since", "time", "when it began"},
		{"idle", "number", "seconds since something was heard of it, 0 while it is being served"},
		{"connections", "integer", "0: lost, and may be joined again for some minutes"},
		{"in", "integer", "bytes received over these connections"},
		{"out", "integer", "bytes sent"},
		{"doing", "list", "objects with command, and path, done and length in bytes where there is a file"},
		{"client", "string", "the program, as it says itself"},
		{"text", "string", "a line of help"},
	}
}

func uploadFields() []Field {
	return []Field{
		{"id", "string", "for uploads drop"},
		{"user", "string", "of the account"},
		{"path", "string", "where it will be"},
		{"length", "integer", "bytes of the whole file"},
		{"done", "integer", "bytes staged, not yet verified"},
		{"created", "time", "when it was opened first"},
		{"touched", "time", "of the last write, about"},
		{"text", "string", "a line of help"},
	}
}

func banFields() []Field {
	return []Field{
		{"address", "string", "or the network that counts as one"},
		{"failures", "integer", "since it was first seen"},
		{"names", "integer", "how many were tried lately"},
		{"last", "time", "refused login"},
		{"until", "time", "when it may try again; absent if it may now"},
		{"banned", "boolean", "its connections are closed unheard until then"},
		{"dropped", "integer", "connections closed unheard"},
		{"spared", "boolean", "it is never banned"},
		{"slowed", "integer", "names that have to wait there"},
		{"text", "string", "a line of help"},
	}
}

func inviteFields() []Field {
	return []Field{
		{"invite", "string", "CODE@SHA256:..., when it is made"},
		{"id", "string", "for invite revoke"},
		{"made", "time", "when it was made"},
		{"expires", "time", "from when on it is good for nothing"},
		{"text", "string", "a line of help"},
	}
}

// listing returns the words of a verb that lists when nothing else is said.
func listing(verb string) func(typed []string) []string {
	return func(typed []string) []string {
		if len(typed) == 0 {
			typed = []string{"list"}
		}
		return append([]string{verb}, typed...)
	}
}

func adminCommand(name string, fields []Field, usage, short, more string, examples []string, words func(typed []string) []string) Command {
	order := words([]string{""})
	return Command{Name: name, Group: "admin", Usage: usage, Short: short, More: more, Examples: examples, Login: true, Max: -1, Raw: true,
		Order: order[:len(order)-1], Fields: fields, Wire: []string{wire.CmdAdmin}, Run: func(ctx context.Context, s *Shell, c *Call) error { return s.order(ctx, words(c.Args())) }}
}

// order has the server carry out a command line of an administrator and shows what comes of it.
func (s *Shell) order(ctx context.Context, args []string) error {
	secret, args, err := takeSecret(args)
	if err == nil {
		args, err = withKey(args)
	}
	if err != nil {
		return err
	}
	changes := !slices.ContainsFunc(args, func(w string) bool {
		return slices.Contains([]string{"list", "show", "check", "explain", "recount", "--help"}, w)
	})
	answer, err := s.client.Admin(ctx, args, "", s.JSON, changes)
	password := ""
	if err == nil && answer.Password != nil {
		var record string
		if password, record, err = s.recordFor(ctx, secret, answer.Password); err != nil {
			return err
		}
		answer, err = s.client.Admin(ctx, args, record, s.JSON, changes)
		if err == nil && answer.Password != nil {
			err = errors.New("the server asks for a password again and again")
		}
	}
	if err != nil {
		return err
	}
	if err := s.tell(answer); err != nil {
		return err
	}
	if answer.Exit != 0 {
		return &adminError{answer}
	}
	if slices.Contains(args, "--generate") {
		return s.emit(map[string]any{"password": password}, password+"\n")
	}
	return nil
}

// tell prints what a command line printed.
func (s *Shell) tell(answer *wire.AdminAnswer) error {
	for line := range strings.Lines(answer.Notes) {
		s.say("%s", term.Escape(strings.TrimSuffix(line, "\n")))
	}
	for line := range strings.Lines(answer.Output) {
		line = strings.TrimSuffix(line, "\n")
		var object any = map[string]any{"text": line}
		if json.Valid([]byte(line)) {
			object = json.RawMessage(line)
		}
		if err := s.emit(object, term.Escape(line)+"\n"); err != nil {
			return err
		}
	}
	return nil
}

// secretSource says where a new password comes from that nobody is asked for.
type secretSource struct{ file, command string }

// The options of an administrator's command line that are about this machine.
const (
	newPasswordFile    = "--new-password-file"
	newPasswordCommand = "--new-password-command"
)

// takeSecret takes the options out of a command line that are about this machine. The server is told that there is a password.
func takeSecret(args []string) (from secretSource, rest []string, err error) {
	for i := 0; i < len(args); i++ {
		name, value, joined := strings.Cut(args[i], "=")
		place := map[string]*string{newPasswordFile: &from.file, newPasswordCommand: &from.command}[name]
		if place == nil {
			rest = append(rest, args[i])
			continue
		}
		if !joined {
			if i++; i == len(args) {
				return from, nil, usagef("%s: what?", name)
			}
			value = args[i]
		}
		*place = value
		rest = append(rest, "--password-stdin")
	}
	return from, rest, nil
}

// recordFor makes a password, or gets it from where the command line says, and returns what the server may know of it.
func (s *Shell) recordFor(ctx context.Context, from secretSource, want *wire.PasswordWanted) (password, record string, err error) {
	switch {
	case want.From == "generate":
		password = rand.Text()
	case from.file != "":
		password, err = SecretFile("password file", home(from.file))
	case from.command != "":
		password, err = SecretCommand(ctx, from.command)
	case want.From == "stdin" && s.Stdin == nil:
		return "", "", &UsageError{"--password-stdin: stdin is where the commands come from", "give --new-password-file FILE or --generate"}
	case want.From == "stdin":
		password, err = FirstLine(s.Stdin)
	case s.Person:
		password, err = s.typedTwice(want.Name)
	default:
		return "", "", &UsageError{"no new password for " + want.Name, "give --new-password-file FILE, --new-password-command CMD, --password-stdin or --generate"}
	}
	if err == nil {
		err = strong(want.Name, password)
	}
	if err != nil {
		return "", "", err
	}
	r, err := login.NewRecord(password, login.Params{Memory: want.Memory, Time: want.Time, Threads: want.Threads})
	return password, r.String(), err
}

// maxPublicKey bounds the file of a public key, in bytes.
const maxPublicKey = 16 << 10

// withKey puts the text of a public key in the place of its file's name: `user key add bob bob.pub`.
func withKey(args []string) ([]string, error) {
	if len(args) != 5 || args[0] != "user" || args[1] != "key" || strings.ContainsAny(args[4], " \t") {
		return args, nil
	}
	f, err := os.Open(home(args[4]))
	if err != nil {
		return args, nil // then it is a fingerprint, a comment, or no key at all: the server says
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxPublicKey))
	if err != nil {
		return nil, named(args[4], err)
	}
	if strings.Contains(string(text), "PRIVATE KEY") {
		return nil, &UsageError{args[4] + ": this is a private key", "the public one is in the file that ends in .pub"}
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	return append(slices.Clone(args[:4]), line), nil
}

// adminError is a command line that the server could not carry out.
type adminError struct{ answer *wire.AdminAnswer }

func (e *adminError) Error() string { return e.answer.Message }

// Hint returns what the server advises.
func (e *adminError) Hint() string { return e.answer.Hint }

// Unwrap gives the server's exit code the meaning that it has among those of the client.
func (e *adminError) Unwrap() error {
	text := e.answer.Message
	switch e.answer.Exit {
	case 2:
		return &UsageError{Msg: text}
	case 6:
		return &wire.Error{Code: wire.NotFound, Message: text}
	case 9:
		return &wire.Error{Code: wire.Exists, Message: text}
	}
	return errors.New(text)
}
