// Package shell is what a person or a script talks to: it reads lines, takes them apart, and runs commands. Each command
// is in a file of its own; table.go lists them all.
package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/crypto/ssh"

	"ferry/client/config"
	"ferry/client/remote"
	"ferry/client/term"
	"ferry/client/transfer"
)

// Config is what a Shell is made of.
type Config struct {
	In     LineReader
	Out    io.Writer      // results
	Err    *term.Progress // everything else, above the bars; nil: nowhere
	Person bool           // a person is at the terminal: questions may be asked, a failed command does not end the run
	Echo   bool           // each command is shown before it runs, as in sftp's batches
	Mover  transfer.Mover // its Client is set by login
	Remote remote.Options // its Address, Plain and User are where login goes; the settings say the rest
	// Settings are what may be set, by name; see settings.go for what becomes of them here. nil: the defaults.
	Settings *config.Settings
	// Password finds the password of a user for an address, without a person if it can.
	Password func(ctx context.Context, address, user string) (string, error)
	// Given tells whether Password will ask nobody; nil: it will.
	Given func(address, user string) bool
	// Keys finds the keys to log in with at an address, and whether a command may travel with that login; nil: none.
	Keys func(address, user string) (keys []ssh.Signer, eager bool, err error)
	// AgentKeys returns the public keys that the ssh-agent holds, as lines of .pub files.
	AgentKeys func() ([]string, error)
	// Ask asks a person for a secret, whether or not the commands come from one; nil if nobody is there.
	Ask     func(prompt string) (string, error)
	Invite  string    // what `register` uses without asking for it, "" if there is none
	Settled func()    // called after each login; may be nil
	Stdin   io.Reader // what the name - stands for; nil if it is not free for that
	Version string
}

// Shell runs commands. It is not safe for concurrent use.
type Shell struct {
	Config
	inForce
	commands []Command
	client   *remote.Client
	dir      string // on the server
	before   string // the directory before that
	ldir     string // on this machine, of a job; "": the program's
	lbefore  string // the directory on this machine before the last lcd
	meter    atomic.Pointer[term.Meter]
	dial     remote.Dialer  // how the session's connections are made, but for the limit
	limit    transfer.Limit // of the command that is running; without one overall holds
	overall  transfer.Limit // of the session
	jobs     jobs
	helpers  *helpers // of the session
	helping  int      // of these, that the command that is running has taken
	hush     hush
	job      *background  // whose shell this is; nil: the one in front
	stdout   io.Writer    // Out, while that is where the results of one command go
	programs atomic.Int32 // of this machine that have the terminal now
	bytes    bool         // the results of this command are no text: what else there is to say goes to Err
	lines    int          // read so far
	session  session      // what worked so far
	blank    bool         // the line begins with one: nothing of it is kept
	private  bool         // the line itself is kept nowhere
	typing   bool         // a line is being typed, not an answer
	lookups  lookups
	quit     bool
	spent    bool             // a put has read Stdin
	answers  map[verdict]bool // of a person to questions of this command
	all      bool             // "replace all" was among them
	status   int              // of the last command
}

// New returns a shell that is not logged in.
func New(c Config) *Shell {
	if c.Ask == nil && c.Person {
		c.Ask = c.In.Password
	}
	if c.Mover.Busy == nil {
		c.Mover.Busy = new(transfer.Busy)
	}
	s := &Shell{Config: c, commands: table(), helpers: new(helpers), stdout: c.Out, dir: "/", before: "/"}
	s.limit.Of = &s.overall
	s.Remote.Notice, s.Remote.Trying = s.notice, s.trying
	if s.Remote.Dial == nil {
		s.Remote.Dial = (&net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 15 * time.Second, Count: 4}}).DialContext
	}
	if s.Settings == nil {
		s.Settings = config.New("")
	}
	if s.Err == nil {
		s.Err = term.NewProgress(io.Discard, "none")
	}
	if c.Person { // jobs have something to say while a line is being typed
		s.Err.Through(c.In.Stdout())
	}
	s.settle()
	s.session.here, _ = os.Getwd()
	return s
}

// notice shows what happens to the connection.
func (s *Shell) notice(text string) {
	if !s.JSON {
		fmt.Fprintln(s.Err, term.Escape(text))
	}
}

// trying is told of a try to connect again that failed. Where a transfer is shown, it tells of that by itself.
func (s *Shell) trying(text string) {
	if s.meter.Load() == nil {
		s.notice(text)
	}
}

// UsageError is a command that was typed wrongly.
type UsageError struct {
	Msg    string
	Advice string
}

func (e *UsageError) Error() string { return e.Msg }

// Hint says what to do.
func (e *UsageError) Hint() string { return e.Advice }

func usagef(format string, args ...any) error { return &UsageError{Msg: fmt.Sprintf(format, args...)} }

// fileError names the file that something happened to.
type fileError struct {
	name string
	err  error
}

func (e *fileError) Error() string { return term.Escape(e.name) + ": " + explain(e.err) }
func (e *fileError) Unwrap() error { return e.err }

// named adds the name of a file to an error; nil stays nil.
func named(name string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.As(err, new(*fileError)) || errors.As(err, new(*severalError)) {
		return err
	}
	return &fileError{name, err}
}

// severalError is what a command over several files ends with when some of them failed. Each was reported already.
type severalError struct {
	failed, all int
	errs        []error // at least one of each exit code
}

func (e *severalError) Error() string { return fmt.Sprintf("%d of %d failed", e.failed, e.all) }

// each runs f for every name. One name's error is the command's; of several each is reported, and the rest goes on.
func (s *Shell) each(ctx context.Context, cmd string, names []string, f func(name string) error) error {
	several := &severalError{all: len(names)}
	for _, name := range names {
		err := named(name, f(name))
		if err == nil {
			continue
		}
		if ctx.Err() != nil || len(names) == 1 || fatal(err) {
			return err
		}
		s.report(cmd, err)
		several.failed++
		several.errs = append(several.errs, err)
	}
	if several.failed > 0 {
		return several
	}
	return nil
}

// Run runs a first line, if there is one, and then reads and runs lines until the end, quit, or, without a person, the first
// failure. It returns the exit code.
func (s *Shell) Run(ctx context.Context, first string) int {
	if !s.Person { // Ctrl-C between two commands ends the script too
		var stop func()
		ctx, stop = s.interruptible(ctx)
		defer stop()
	}
	return s.finish(ctx, s.run(ctx, first))
}

func (s *Shell) run(ctx context.Context, first string) int {
	if first != "" {
		if code, end := s.Line(ctx, first); end {
			return code
		}
	}
	for !s.quit {
		line, err := s.read(ctx)
		switch {
		case ctx.Err() != nil:
			return ExitCode(ending(ctx))
		case errors.Is(err, ErrInterrupt):
			if !s.Person {
				return exitStopped
			}
			continue
		case errors.Is(err, io.EOF):
			if !s.Person {
				return s.status
			}
			fmt.Fprintln(s.Err)
			if err := s.part(ctx); err != nil {
				s.report("quit", err)
				continue
			}
			return 0
		case err != nil:
			var p *fs.PathError
			if errors.As(err, &p) {
				err = named(p.Path, p)
			}
			return s.report("ferry", err)
		}
		s.lines++
		s.remember(line)
		if code, end := s.Line(ctx, line); end {
			return code
		}
	}
	if s.Person {
		return 0
	}
	return s.status
}

// read returns the next line. That of a script may never come, so it is not waited for when the program is to end.
func (s *Shell) read(ctx context.Context) (string, error) {
	if s.Person {
		return s.typed()
	}
	type line struct {
		text string
		err  error
	}
	next := make(chan line, 1)
	go func() {
		text, err := s.In.Read("")
		next <- line{text, err}
	}()
	select {
	case l := <-next:
		return l.text, l.err
	case <-ctx.Done():
		return "", ErrInterrupt
	}
}

// Line runs the commands of one line. end tells that the run is over: code is its exit code.
func (s *Shell) Line(ctx context.Context, line string) (code int, end bool) {
	cmds, err := Split(line)
	if err != nil {
		var syn *SyntaxError
		if errors.As(err, &syn) {
			at := fmt.Sprintf("column %d", syn.Col+1)
			if s.lines > 1 && !s.Person {
				at = fmt.Sprintf("line %d, %s", s.lines, at)
			}
			err = &UsageError{Msg: fmt.Sprintf("%s (at %s)", syn.Msg, at)}
		}
		s.status = s.report("", err)
		return s.status, !s.Person
	}
	run, first := true, true // does the operator before this command let it run; is it the first of a list
	for i, aliases := 0, 0; i < len(cmds); i++ {
		if run {
			if s.Echo && !cmds[i].Quiet && s.lines > 0 { // not what stands on the command line
				s.say(">> %s", term.Escape(s.echoed(cmds[i:], first)))
			}
			line, cmds, err = s.unalias(line, cmds, i, &aliases)
		}
		cmd := cmds[i]
		if n := behind(cmds[i:]); n > 0 && first && err == nil {
			s.status = s.background(joined(cmds[i : i+n]))
			if i += n - 1; s.status != 0 && !s.Person {
				return s.status, true
			}
			continue
		}
		if run {
			if err != nil {
				s.status = s.report(cmd.Words[0].Text, err)
			} else {
				s.status = s.perform(ctx, cmd)
			}
			if ctx.Err() != nil {
				return ExitCode(ending(ctx)), true
			}
			if s.status == exitStopped {
				return exitStopped, !s.Person // Ctrl-C ends the whole line
			}
			if cmd.Tolerate {
				s.status = exitOK
			}
		}
		if s.quit {
			return s.status, true
		}
		op := cmd.Op
		first = op == ";" || op == "&"
		if op == "||" {
			run = s.status != 0
			continue
		}
		if s.status != 0 && !s.Person && op != "&&" {
			return s.status, true
		}
		if s.status != 0 && !s.Person && op == "&&" && !rescued(cmds[i+1:]) {
			return s.status, true
		}
		run = op != "&&" || s.status == 0
	}
	return s.status, false
}

// rescued tells whether a || follows before the list of && and || ends: then a failure is not the last word.
func rescued(rest []Cmd) bool {
	for _, c := range rest {
		switch c.Op {
		case "||":
			return true
		case "&&":
		default:
			return false
		}
	}
	return false
}

// perform runs one command, tells what went wrong, and returns its exit code.
func (s *Shell) perform(ctx context.Context, cmd Cmd) int {
	begin, code := time.Now(), exitOK
	call := &Call{name: cmd.Words[0].Text, summary: map[string]any{}}
	s.bytes = false
	err := s.command(ctx, cmd, call)
	if err != nil {
		code = s.report(cmd.Words[0].Text, err)
	} else {
		s.worked(cmd)
	}
	if s.JSON {
		s.object(s.beside(), call.last(err, code, time.Since(begin)))
	}
	return code
}

// prepare finds a command and takes its arguments apart.
func (s *Shell) prepare(cmd Cmd, call *Call) (c Command, err error) {
	name := cmd.Words[0].Text
	c, ok := s.find(name)
	if !ok {
		return c, s.unknown(name)
	}
	call.name, call.typed, call.text = c.Name, cmd.Words, cmd.Text
	call.FlagSet = c.Options()
	words := cmd.Words[1:]
	if c.Dash && len(words) > 1 {
		words = dashed(call.FlagSet, words)
	}
	if c.Raw && !(c.Words != nil && len(words) == 1 && words[0].Text == "--help") {
		call.words = words
	} else if err := call.parse(words); errors.Is(err, pflag.ErrHelp) {
		help := helpCommand()
		call.name, call.words = help.Name, []Word{literal(c.Name, 0)}
		return help, nil
	} else if err != nil {
		return c, &UsageError{err.Error(), "usage: " + c.Usage}
	}
	if n := len(call.words); n < c.Min || c.Max >= 0 && n > c.Max {
		return c, &UsageError{map[bool]string{true: "too few arguments", false: "too many arguments"}[n < c.Min], "usage: " + c.Usage}
	}
	if c.Login && s.client == nil {
		return c, &UsageError{"not logged in", "type: login NAME" + map[bool]string{true: "   (or open NAME@HOST:PORT)", false: ""}[s.Remote.Address == ""]}
	}
	if s.job != nil && c.front() {
		return c, &UsageError{"does not run in the background", "type it by itself, without &"}
	}
	return c, nil
}

// command runs one command with its own Ctrl-C.
func (s *Shell) command(ctx context.Context, cmd Cmd, call *Call) error {
	c, err := s.prepare(cmd, call)
	if err != nil {
		return err
	}
	to := cmd.Output
	if c.Line {
		to = nil
	}
	s.all, s.answers = false, map[verdict]bool{}
	cctx, stop := s.interruptible(ctx)
	defer stop()
	defer s.unshare()
	defer s.watchSilence()()
	err = s.into(cctx, to, func(ctx context.Context) error { return c.Run(ctx, s, call) })
	return ended(cctx, err)
}

func (s *Shell) prompt() string {
	if s.client == nil {
		return ">> "
	}
	o := s.client.Options()
	return promptFor(term.Escape(o.User+"@"+o.Address), term.Escape(s.dir), s.columns())
}

// promptFor leaves a third of the row to what is typed, columns wide (0: of any width): the directory is shortened first, and where there
// is no room for much of it, the place is left out.
func promptFor(place, dir string, columns int) string {
	const end = ">> "
	whole, room := place+":"+dir, columns*2/3-len(end)
	if columns == 0 || term.Width(whole) <= room {
		return whole + end
	}
	if left := room - term.Width(place) - 1; left >= min(12, term.Width(dir)) {
		return place + ":" + term.Shorten(dir, left) + end
	}
	return term.Shorten(dir, max(room, 1)) + end
}

// abs returns the absolute, clean path on the server of what a person typed.
func (s *Shell) abs(name string) string {
	if name == "~" || strings.HasPrefix(name, "~/") {
		name = "/" + strings.TrimPrefix(name[1:], "/")
	}
	if !strings.HasPrefix(name, "/") {
		name = s.dir + "/" + name
	}
	return path.Clean(name)
}

// say writes words about what went well.
func (s *Shell) say(format string, args ...any) {
	if !s.Quiet && !s.JSON {
		fmt.Fprintf(s.Err, format+"\n", args...)
	}
}

// Close ends the session.
func (s *Shell) Close() {
	if s.client != nil {
		s.client.Logout()
		s.client = nil
	}
}

// columns returns how wide the place is where results go, 0 if that is not a terminal.
func (s *Shell) columns() int {
	f, ok := s.Out.(*os.File)
	if job, is := s.Out.(*whole); is {
		f, ok = job.screen, job.screen != nil
	}
	if ok && term.IsTerminal(f) {
		columns, _ := term.Size(f)
		return columns
	}
	return 0
}
