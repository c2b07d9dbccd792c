package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"

	"ferry/client/config"
	"ferry/client/remote"
	"ferry/client/term"
	"ferry/shared/wire"
)

func openCommand() Command {
	return Command{Name: "open", Aliases: []string{"connect"}, Group: "session", Usage: "open [USER@]HOST[:PORT][/PATH] | unix:PATH | BOOKMARK",
		Short: "choose a server, and log in if a user is named", Examples: []string{"open alice@files.example.org", "open 127.0.0.1:8083"},
		Min: 1, Max: 1, Args: Addresses, Run: runOpen}
}

func runOpen(ctx context.Context, s *Shell, c *Call) error {
	t, err := Resolve(c.Args()[0], s.Settings)
	if err != nil {
		return err
	}
	if err := s.leave(ctx); err != nil {
		return err
	}
	s.Remote.Address, s.Remote.Plain, s.Remote.User = t.Address, t.Plain, t.User
	s.dir, s.before = "/", "/"
	s.settle()
	if t.User == "" {
		s.say("address is %s; type: login NAME", term.Escape(t.Address))
		return nil
	}
	return s.enter(ctx, t)
}

// enter logs in and goes to the directory of an address.
func (s *Shell) enter(ctx context.Context, t Target) error {
	if err := s.Login(ctx, t.User); err != nil || t.Path == "" {
		return err
	}
	e, err := s.client.Stat(ctx, s.abs(t.Path))
	if err == nil && e.Kind != "dir" {
		err = &wire.Error{Code: wire.NotDir, Message: "not a directory"}
	}
	if err != nil {
		return named(t.Path, err)
	}
	s.dir = s.abs(t.Path)
	s.arrived("cd " + Quote(s.dir))
	return nil
}

// Resolve is ParseTarget for what may also be a bookmark. An address that names no user has the one of the settings.
func Resolve(text string, settings *config.Settings) (Target, error) {
	if !strings.ContainsAny(text, "@:/") {
		b, ok, err := settings.Bookmarks.Find(text)
		if err != nil {
			return Target{}, wrongly(err)
		}
		if ok {
			text = b.Text
		}
	}
	t, err := ParseTarget(text)
	if err == nil && t.User == "" {
		t.User = settings.Value(config.User, t.Address).Text()
	}
	return t, err
}

// DefaultAddress is where ferry connects when nothing else is said.
const DefaultAddress = "127.0.0.1:8083"

// Target is a server as people write it.
type Target struct {
	Address string // host:port or unix:PATH
	User    string
	Path    string // directory to start in, "" for the home
	Plain   bool
}

// ParseTarget reads [ferry://|ferry+plain://][user@]host[:port][/path] and unix:PATH. The port is 8083 unless given.
func ParseTarget(text string) (Target, error) {
	t := Target{}
	rest := text
	if r, ok := strings.CutPrefix(rest, "ferry+plain://"); ok {
		t.Plain, rest = true, r
	} else if r, ok := strings.CutPrefix(rest, "ferry://"); ok {
		rest = r
	} else if strings.Contains(rest, "://") {
		return t, &UsageError{fmt.Sprintf("%s: not an address", text), "addresses look like ferry://alice@host:8083/dir"}
	}
	if at := strings.IndexByte(rest, '@'); at >= 0 && !strings.Contains(rest[:at], "/") {
		t.User, rest = rest[:at], rest[at+1:]
		if strings.Contains(t.User, ":") {
			return t, &UsageError{"a password does not belong into an address", "give it with --password-file, --password-command or FERRY_PASSWORD"}
		}
	}
	if strings.HasPrefix(rest, "unix:") {
		t.Address, t.Plain = rest, true
		return t, nil
	}
	if slash := strings.IndexByte(rest, '/'); slash >= 0 {
		t.Path, rest = rest[slash:], rest[:slash]
	}
	host, port := rest, "8083"
	if strings.HasPrefix(rest, "[") {
		end := strings.IndexByte(rest, ']')
		if end < 0 {
			return t, usagef("%s: the bracket is not closed", text)
		}
		host = rest[:end+1]
		if p, ok := strings.CutPrefix(rest[end+1:], ":"); ok {
			port = p
		} else if rest[end+1:] != "" {
			return t, usagef("%s: not an address", text)
		}
	} else if i := strings.LastIndexByte(rest, ':'); i >= 0 {
		if strings.Count(rest, ":") > 1 {
			return t, &UsageError{text + ": not an address", "write an IPv6 address in brackets: [::1]:8083"}
		}
		host, port = rest[:i], rest[i+1:]
	}
	if host == "" || port == "" || strings.Trim(port, "0123456789") != "" || len(port) > 5 || strings.ContainsAny(host, " \t") {
		return t, &UsageError{text + ": not an address", "addresses look like alice@host:8083"}
	}
	t.Address = host + ":" + port
	return t, nil
}

func loginCommand() Command {
	return Command{Name: "login", Group: "session", Usage: "login NAME", Short: "log in on the chosen server",
		Examples: []string{"login alice", "login bob@files.example.org"}, Min: 1, Max: 1, Args: Logins, Wire: []string{wire.CmdHello, wire.CmdLogin, wire.CmdProof, wire.CmdKey, wire.CmdAttach}, Run: func(ctx context.Context, s *Shell, c *Call) error {
			name := c.Args()[0]
			if strings.ContainsAny(name, "@:/") {
				return runOpen(ctx, s, c)
			}
			return s.Login(ctx, name)
		}}
}

// Login replaces the session by one of the user on the chosen server.
func (s *Shell) Login(ctx context.Context, user string) error {
	if err := s.leave(ctx); err != nil {
		return err
	}
	o := s.reach(user)
	if s.Keys != nil {
		var err error
		if o.Keys, o.Eager, err = s.Keys(o.Address, user); err != nil {
			return err
		}
	}
	o.Password = func(ctx context.Context) (string, error) { return s.Password(ctx, o.Address, user) }
	if s.Person && o.Confirm == nil {
		o.Confirm = s.confirmKey
	}
	return s.login(ctx, o)
}

// reach returns how a user reaches the chosen server.
func (s *Shell) reach(user string) remote.Options {
	if s.Remote.Address == "" {
		s.Remote.Address = DefaultAddress
	}
	o := s.options()
	o.User = user
	s.dial = o.Dial
	o.Dial = s.limit.Dial(s.dial)
	return o
}

// login begins a session.
func (s *Shell) login(ctx context.Context, o remote.Options) error {
	c, err := remote.Login(ctx, o)
	if err != nil {
		return away(err, o.Plain)
	}
	if s.Settled != nil {
		s.Settled()
	}
	s.client, s.Mover.Client = c, c
	s.Remote.User = o.User
	s.dir, s.before = "/", "/"
	s.arrived("open " + Quote(s.here()))
	if !o.Eager { // else what it is, is not known yet
		s.say("logged in as %s on %s (%s)", o.User, o.Address, term.Escape(c.Info().Server))
		if c.Info().MustChange && s.Person {
			s.mustChange(ctx)
		}
	}
	return nil
}

// away adds to an error what to do about a server that cannot be reached, with encryption or plain.
func away(err error, plain bool) error {
	var u *remote.UnreachableError
	if errors.As(err, &u) {
		return &awayError{u, plain}
	}
	return err
}

// awayError is a server that cannot be reached, with what to do about it.
type awayError struct {
	*remote.UnreachableError
	plain bool
}

func (e *awayError) Hint() string {
	hungUp := errors.Is(e.Err, io.EOF) || errors.Is(e.Err, syscall.ECONNRESET) || errors.Is(e.Err, syscall.EPIPE)
	switch {
	case errors.Is(e.Err, remote.ErrNoTLS):
		return "a plain listener takes --plain only, and then nothing is encrypted"
	case hungUp && e.plain:
		return "the server hung up: perhaps this is no plain listener, and --plain has to go"
	case hungUp:
		return "the server hung up: it may be stopping or full, or keep this address out for a while after failed logins"
	}
	return "is ferryd running there? open HOST:PORT chooses another address"
}

func (e *awayError) Unwrap() error { return e.UnreachableError }

// confirmKey asks a person about the key of a server that is not known yet.
func (s *Shell) confirmKey(addr, fingerprint string) (bool, error) {
	fmt.Fprintf(s.Err, "The key of %s is not known yet:\n  %s\nOn the server, `ferryd fingerprint --data DIR` prints it.\n", addr, fingerprint)
	for {
		answer, err := s.In.Read("Is that the right key? [yes/no] ")
		if err != nil {
			return false, err
		}
		switch strings.ToLower(strings.TrimSpace(answer)) {
		case "yes", "y":
			return true, nil
		case "no", "n":
			return false, nil
		}
	}
}

func logoutCommand() Command {
	return Command{Name: "logout", Aliases: []string{"close", "disconnect"}, Group: "session", Usage: "logout", Short: "end the session, stay in the shell",
		Examples: []string{"logout", "close"}, Max: 0, Wire: []string{wire.CmdLogout}, Run: func(ctx context.Context, s *Shell, c *Call) error {
			return s.leave(ctx)
		}}
}

func whoamiCommand() Command {
	return Command{Name: "whoami", Group: "session", Usage: "whoami", Short: "who is logged in where, with which rights and quota",
		Examples: []string{"whoami", "whoami > me.txt"}, Fields: []Field{{"user", "string", "name of the account"}, {"server", "string", "address"},
			{"program", "string", "the server's name and version"}, {"rights", "list", "what the account may do"},
			{"used", "integer", "bytes of all files of the account, unfinished uploads included"}, {"quota", "integer", "how many there may be; 0: no limit"},
			{"files", "integer", "files and directories"}, {"quota_files", "integer", "how many there may be; 0: no limit"}}, Login: true, Max: 0,
		Wire: []string{wire.CmdPing, wire.CmdDf}, Run: func(ctx context.Context, s *Shell, c *Call) error {
			if err := s.client.Ping(ctx); err != nil {
				return err
			}
			room, err := s.client.Df(ctx)
			if err != nil {
				return err
			}
			i, o := s.client.Info(), s.client.Options()
			return s.emit(map[string]any{"user": i.User, "server": o.Address, "program": i.Server, "rights": i.Rights,
				"used": room.Used, "quota": room.Quota, "files": room.Files, "quota_files": room.QuotaFiles},
				fmt.Sprintf("%s on %s, rights: %s%s\n", term.Escape(i.User), o.Address, term.Escape(strings.Join(i.Rights, ", ")), roomText(room)))
		}}
}

// roomText tells how much of its quota an account has used, if it has one.
func roomText(room wire.DfAnswer) string {
	text := ""
	if room.Quota > 0 {
		text += fmt.Sprintf(", %s of %s used", term.Bytes(room.Used), term.Bytes(room.Quota))
	}
	if room.QuotaFiles > 0 {
		text += fmt.Sprintf(", %d of %d files and directories", room.Files, room.QuotaFiles)
	}
	return text
}

func quitCommand() Command {
	return Command{Name: "quit", Aliases: []string{"exit", "bye", "q"}, Group: "session", Usage: "quit", Short: "leave",
		Examples: []string{"quit", "put report.pdf && quit"}, Max: 0,
		Run: func(ctx context.Context, s *Shell, c *Call) error {
			err := s.part(ctx)
			s.quit = err == nil
			return err
		}}
}

// Start logs in as the command line asks for and returns the exit code.
func (s *Shell) Start(ctx context.Context, t Target) int {
	cctx, stop := s.interruptible(ctx)
	defer stop()
	if err := ended(cctx, s.enter(cctx, t)); err != nil {
		s.status = s.report("login", err)
		return s.status
	}
	return 0
}
