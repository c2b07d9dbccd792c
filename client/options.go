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
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ferry/client/remote"
	"ferry/client/shell"
	"ferry/client/term"
	"ferry/client/transfer"
	"ferry/shared/partial"
	"ferry/shared/procs"
)

// options is the command line.
type options struct {
	commands, first, batch                      string
	passwordFile, passwordCommand               string
	passwordStdin, trustFirst, plain            bool
	fingerprint, knownHosts, progress, syncMode string
	reconnectFor                                time.Duration
	parallel                                    int
	limit                                       string
	json, quiet                                 bool
	identity                                    []string
}

// run is the program; it returns the exit code.
func run(ctx context.Context, args []string) int {
	var o options
	code := 0
	cmd := &cobra.Command{
		Use:           "ferry [options] [[ferry://|ferry+plain://][USER@]HOST[:PORT][/PATH] | unix:PATH]",
		Short:         "a shell for moving files to and from a ferryd",
		Long:          "Without -c, -b or input from elsewhere than a terminal, ferry is interactive.",
		Args:          cobra.MaximumNArgs(1),
		SilenceErrors: true, SilenceUsage: true,
		Version: version(),
		RunE: func(cmd *cobra.Command, args []string) error {
			code = o.start(cmd.Context(), cmd, args)
			return nil
		},
	}
	cmd.CompletionOptions.DisableDefaultCmd = true
	cmd.SetVersionTemplate("ferry {{.Version}}\n")
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVarP(&o.commands, "command", "c", "", "run these commands and exit")
	f.StringVarP(&o.first, "execute", "e", "", "run these commands and stay")
	f.StringVarP(&o.batch, "batch", "b", "", "run the commands of a file, - for stdin; the first that fails ends the run")
	f.StringVar(&o.passwordFile, "password-file", "", "read the password from the first line of a file")
	f.BoolVar(&o.passwordStdin, "password-stdin", false, "read the password from the first line of stdin")
	f.StringVar(&o.passwordCommand, "password-command", "", "take the first line a command prints as the password")
	f.StringArrayVar(&o.identity, "identity", nil, "log in with this private key (or the ssh-agent's half of this public one)")
	f.StringVar(&o.fingerprint, "fingerprint", "", "accept only the server with this key (SHA256:...)")
	f.BoolVar(&o.trustFirst, "trust-first", false, "accept and remember the key of an unknown server")
	f.StringVar(&o.knownHosts, "known-hosts", "", "where the keys of servers are remembered")
	f.BoolVar(&o.plain, "plain", false, "without encryption, to a plain listener")
	f.DurationVar(&o.reconnectFor, "reconnect-for", 5*time.Minute, "how long to try again when the connection is lost")
	f.BoolVar(&o.json, "json", false, "results as JSON, one object a line")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "only results and errors")
	f.StringVar(&o.progress, "progress", "auto", "auto, bar, plain, json or none")
	f.IntVar(&o.parallel, "parallel", 0, "connections of a transfer, 1 to 16 (default: one, more on a long line)")
	f.StringVar(&o.limit, "limit", "", "move at most so many bytes a second, as 500K or 2MiB/s")
	f.StringVar(&o.syncMode, "sync", "full", "full: puts are on disk when they are called stored; none: do not wait for that")
	cmd.SetArgs(args)
	if err := cmd.ExecuteContext(ctx); err != nil {
		return complain(&shell.UsageError{Msg: err.Error(), Advice: "ferry --help lists the options"})
	}
	return code
}

// complain shows an error that came before there was a shell.
func complain(err error) int {
	text := err.Error()
	if p, ok := err.(*fs.PathError); ok { // the operation tells a person nothing
		text = p.Path + ": " + p.Err.Error()
	}
	fmt.Fprintf(os.Stderr, "ferry: %s\n", term.Escape(text))
	var h interface{ Hint() string }
	if errors.As(err, &h) && h.Hint() != "" {
		fmt.Fprintf(os.Stderr, "hint: %s\n", h.Hint())
	}
	return shell.ExitCode(err)
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}

// start makes the shell and runs it.
func (o *options) start(ctx context.Context, cmd *cobra.Command, args []string) int {
	target := shell.Target{Address: shell.DefaultAddress}
	if len(args) > 0 {
		var err error
		if target, err = shell.ParseTarget(args[0]); err != nil {
			return complain(err)
		}
	}
	target.Plain = target.Plain || o.plain
	for _, wrong := range []struct {
		is  bool
		msg string
	}{
		{o.commands != "" && o.batch != "", "-c and -b do not go together"},
		{!slices.Contains([]string{"full", "none"}, o.syncMode), "--sync is full or none"},
		{!slices.Contains([]string{"auto", "bar", "plain", "json", "none"}, o.progress), "--progress is auto, bar, plain, json or none"},
		{o.parallel < 0 || o.parallel > transfer.MaxParallel || o.parallel == 0 && cmd.Flags().Changed("parallel"), "--parallel is 1 to 16"},
	} {
		if wrong.is {
			return complain(&shell.UsageError{Msg: wrong.msg, Advice: "ferry --help lists the options"})
		}
	}
	if o.fingerprint != "" && !remote.ValidFingerprint(o.fingerprint) {
		return complain(&shell.UsageError{Msg: "--fingerprint: not of the form SHA256:...", Advice: "`ferryd fingerprint --data DIR` prints it on the server"})
	}
	limit := int64(0)
	if o.limit != "" {
		var err error
		if limit, err = shell.ParseLimit(o.limit); err != nil {
			return complain(&shell.UsageError{Msg: "--limit: " + err.Error()})
		}
	}
	state, err := stateDir()
	if err != nil {
		return complain(err)
	}
	known := o.knownHosts
	if known == "" {
		known = filepath.Join(state, "known_hosts")
	}
	person := o.commands == "" && o.batch == "" && term.IsTerminal(os.Stdin)
	progress := term.NewProgress(os.Stderr, o.progress)
	p := &passwords{options: o, person: person || term.IsTerminal(os.Stdin)}
	if o.passwordStdin {
		line, err := firstLine(os.Stdin)
		if err != nil {
			return complain(fmt.Errorf("password: %w", err))
		}
		p.given = &line
	}
	if env := os.Getenv("FERRY_PASSWORD"); env != "" {
		p.env = &env
		os.Unsetenv("FERRY_PASSWORD") // commands started from the shell must not see it
	}
	c := shell.Config{
		Out: os.Stdout, Err: progress, Person: person, JSON: o.json, Quiet: o.quiet, Echo: o.commands == "" && !person, NoSync: o.syncMode == "none", Version: version(),
		Parallel: o.parallel, Limit: limit,
		Mover: transfer.Mover{Jobs: transfer.Jobs{Dir: filepath.Join(state, "jobs")}, Ops: partial.Real()},
		Remote: remote.Options{Address: target.Address, Plain: target.Plain, User: target.User, Known: remote.KnownHosts{Path: known},
			Fingerprint: o.fingerprint, TrustFirst: o.trustFirst, ReconnectFor: o.reconnectFor, Program: "ferry " + version()},
		Password: p.find,
		Settled:  procs.Limit, // not before: making a secret of a password keeps every processor busy
	}
	var sh *shell.Shell
	switch {
	case person:
		c.In, err = shell.NewTerminal(shell.LineOptions{HistoryFile: filepath.Join(state, "history"),
			Complete: func(line string, pos int) ([]string, int) { return sh.Complete(line, pos) }})
		if err != nil {
			return complain(err)
		}
	case o.commands != "":
		c.Stdin = os.Stdin
		c.In = shell.NewScript(strings.NewReader(o.commands), os.Stdout)
	case o.batch != "" && o.batch != "-":
		f, err := os.Open(o.batch)
		if err != nil {
			return complain(err)
		}
		defer f.Close()
		c.Stdin = os.Stdin
		c.In = shell.NewScript(f, os.Stdout)
	default:
		c.In = shell.NewScript(os.Stdin, os.Stdout)
	}
	p.ask = c.In.Password
	if !person {
		p.ask = term.Password
	}
	if person {
		// The line editor cannot be woken up; the terminal is given back and the program ends.
		stop := context.AfterFunc(ctx, func() {
			time.AfterFunc(time.Second, func() { c.In.Close(); os.Exit(143) })
			c.In.Close()
		})
		defer stop()
	}
	if c.Remote.Keys, err = p.keys(); err != nil {
		return complain(err)
	}
	c.Remote.Eager = !person && len(o.identity) == 1 && !p.source()
	sh = shell.New(c)
	defer sh.Close()
	defer c.In.Close()
	return o.converse(ctx, sh, target, person)
}

// converse logs in if a user is named, runs what was asked for, and reads on.
func (o *options) converse(ctx context.Context, sh *shell.Shell, target shell.Target, person bool) int {
	if target.User != "" {
		if code := sh.Start(ctx, target); code != 0 && !person {
			return code
		}
	}
	if o.first != "" {
		if code, end := sh.Line(ctx, o.first); end {
			return code
		}
	}
	return sh.Run(ctx)
}

// stateDir returns where ferry keeps what it must remember, made private.
func stateDir() (string, error) {
	dir := os.Getenv("XDG_STATE_HOME")
	if dir == "" || !filepath.IsAbs(dir) {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(home, ".local", "state")
	}
	dir = filepath.Join(dir, "ferry")
	return dir, os.MkdirAll(dir, 0o700)
}

// passwords finds a password: the option that was given, the environment, or a person.
type passwords struct {
	*options
	given, env *string
	person     bool
	ask        func(prompt string) (string, error)
}

func (p *passwords) find(ctx context.Context, address, user string) (string, error) {
	switch {
	case p.given != nil:
		return *p.given, nil
	case p.passwordFile != "":
		f, err := os.Open(p.passwordFile)
		if err != nil {
			var pe *fs.PathError
			if errors.As(err, &pe) {
				err = pe.Err
			}
			return "", fmt.Errorf("password file %s: %w", p.passwordFile, err)
		}
		defer f.Close()
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
			return "", fmt.Errorf("password: %s can be read by others (chmod 600 %s)", p.passwordFile, p.passwordFile)
		}
		return firstLine(f)
	case p.passwordCommand != "":
		cmd := exec.CommandContext(ctx, "/bin/sh", "-c", p.passwordCommand)
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return "", fmt.Errorf("password command: %w", err)
		}
		return firstLine(bytes.NewReader(out))
	case p.env != nil:
		return *p.env, nil
	case !p.person:
		return "", &shell.UsageError{Msg: "no password for " + user, Advice: "give --password-file, --password-command, --password-stdin or FERRY_PASSWORD"}
	}
	return p.ask(fmt.Sprintf("Password of %s on %s: ", user, address))
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
