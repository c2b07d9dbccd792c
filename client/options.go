package main

import (
	"cmp"
	"context"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"ferry/client/config"
	"ferry/client/remote"
	"ferry/client/shell"
	"ferry/client/term"
	"ferry/client/transfer"
	"ferry/shared/completion"
	"ferry/shared/partial"
	"ferry/shared/procs"
)

// options is the command line.
type options struct {
	commands, first, batch string
	passwordStdin          bool
	config                 string // the configuration file that was named
	place                  string // where it is otherwise
	settings               *config.Settings
	code                   int // what the program exits with
}

// run is the program; it returns the exit code.
func run(args []string) int {
	dir, state, err := config.Dirs()
	if err != nil {
		return shell.Complain(err, false)
	}
	o := &options{place: filepath.Join(dir, "config.toml"), settings: config.New(state)}
	cmd := o.command()
	cmd.SetArgs(args)
	if err := cmd.Execute(); err != nil {
		var ours *config.Error
		if errors.As(err, &ours) {
			return o.complain(ours) // without the words that cobra puts around it
		}
		if wrong := (*shell.UsageError)(nil); errors.As(err, &wrong) {
			return o.complain(wrong)
		}
		return o.complain(&shell.UsageError{Msg: err.Error(), Advice: "ferry --help lists the options"})
	}
	return o.code
}

// command is ferry's command line.
func (o *options) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ferry [options] [[ferry://|ferry+plain://][USER@]HOST[:PORT][/PATH] | unix:PATH | BOOKMARK]",
		Short: "a shell for moving files to and from a ferryd",
		Long: "Without -c, -b or input from elsewhere than a terminal, ferry is interactive. `ferry help` lists the commands of its shell,\n" +
			"`ferry help put` tells of one, `ferry help exit` lists the exit codes.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return &shell.UsageError{Msg: "more than an address: " + term.Escape(args[1]), Advice: "commands go behind -c: ferry ADDRESS -c 'put report.pdf'"}
			}
			return nil
		},
		SilenceErrors: true, SilenceUsage: true, DisableFlagsInUseLine: true,
		Version: version(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.commands == "" && cmd.Flags().Changed("command") {
				o.commands = "\n" // as in sh: no commands, and stdin is not read
			}
			if o.batch == "" && cmd.Flags().Changed("batch") {
				return errors.New("-b takes the name of a file, - for stdin")
			}
			o.code = o.start(args)
			return nil
		},
		ValidArgsFunction: o.addresses,
	}
	cmd.SetVersionTemplate("ferry {{.Version}}\n")
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVarP(&o.commands, "command", "c", "", "run these `COMMANDS` and exit")
	f.StringVarP(&o.first, "execute", "e", "", "run these `COMMANDS` and stay")
	f.StringVarP(&o.batch, "batch", "b", "", "run the commands of a `FILE`, - for stdin; the first that fails ends the run")
	f.BoolVar(&o.passwordStdin, "password-stdin", false, "read the password from the first line of stdin")
	o.configured(cmd)
	cmd.AddCommand(o.doctorCommand(), o.manCommand(), completion.Command("ferry"))
	cmd.SetHelpCommand(o.helpCommand())
	return cmd
}

// configured gives a command the options of all settings.
func (o *options) configured(cmd *cobra.Command) {
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.config, "config", "", "read the settings from this `FILE` (default "+tilde(o.place)+")")
	o.settings.Flags(f)
	o.complete(cmd)
}

// tilde shortens a path in the home directory.
func tilde(path string) string {
	if home, err := os.UserHomeDir(); err == nil {
		if rest, ok := strings.CutPrefix(path, home+"/"); ok {
			return "~/" + rest
		}
	}
	return path
}

// load reads the environment and the configuration file.
func (o *options) load() error {
	if err := o.settings.Environment(os.Getenv); err != nil {
		return err
	}
	named := cmp.Or(o.config, config.Home(os.Getenv("FERRY_CONFIG")))
	if err := o.settings.Load(cmp.Or(named, o.place), named == ""); err != nil {
		return err
	}
	for _, b := range o.settings.Bookmarks.Fixed() {
		if _, err := shell.ParseTarget(b.Text); err != nil {
			return &config.Error{Msg: b.From + ": " + err.Error()}
		}
	}
	for _, a := range o.settings.Aliases.Fixed() {
		if shell.IsCommand(a.Name) {
			return &config.Error{Msg: a.From + ": " + a.Name + " is a command, and no alias changes one", Advice: "choose another name"}
		}
	}
	return nil
}

// complain shows an error that came before there was a shell.
func (o *options) complain(err error) int {
	return shell.Complain(err, o.settings.Value(config.JSON, "").On())
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}

// start makes the shell and runs it.
func (o *options) start(args []string) int {
	if o.commands != "" && o.batch != "" {
		return o.complain(&shell.UsageError{Msg: "-c and -b do not go together", Advice: "ferry --help lists the options"})
	}
	if err := o.load(); err != nil {
		return o.complain(err)
	}
	target, err := shell.Resolve(cmp.Or(strings.Join(args, ""), shell.DefaultAddress), o.settings)
	if err != nil {
		return o.complain(err)
	}
	state := o.settings.State
	if err := os.MkdirAll(state, 0o700); err != nil {
		return o.complain(err)
	}
	person := o.commands == "" && o.batch == "" && term.IsTerminal(os.Stdin)
	p := &passwords{settings: o.settings, shell: person, person: person || term.IsTerminal(os.Stdin)}
	if err := p.take(o.passwordStdin); err != nil {
		return o.complain(err)
	}
	c := shell.Config{
		Out: os.Stdout, Err: term.NewProgress(os.Stderr, "auto"), Person: person, Echo: o.commands == "" && !person, Settings: o.settings, Version: version(),
		Mover:    transfer.Mover{Jobs: transfer.Jobs{Dir: filepath.Join(state, "jobs")}, Ops: partial.Real()},
		Remote:   remote.Options{Address: target.Address, Plain: target.Plain, User: target.User, Program: "ferry " + version()},
		Password: p.find, Given: p.needsNobody, Invite: p.invite,
		Keys: p.keys, AgentKeys: agentLines,
		Settled: procs.Limit, // not before: making a secret of a password keeps every processor busy
	}
	term.Suspendable(c.Err)
	var sh *shell.Shell
	switch {
	case person:
		c.In, err = shell.NewTerminal(shell.LineOptions{HistoryFile: filepath.Join(state, "history"),
			Complete: func(ctx context.Context, line string, pos int) ([]shell.Candidate, int) {
				return sh.Complete(ctx, line, pos)
			}})
		if err != nil {
			return o.complain(err)
		}
	case o.commands != "":
		c.Stdin = os.Stdin
		c.In = shell.NewScript(strings.NewReader(o.commands), os.Stdout)
	case o.batch != "" && o.batch != "-":
		f, err := os.Open(o.batch)
		if err != nil {
			return o.complain(err)
		}
		defer f.Close()
		if !isStdin(f) {
			c.Stdin = os.Stdin
		}
		c.In = shell.NewScript(f, os.Stdout)
	default:
		c.In = shell.NewScript(os.Stdin, os.Stdout)
	}
	p.ask = c.In.Password
	if !person {
		p.ask = term.Password
	}
	if p.person {
		c.Ask = p.ask
	}
	ctx, stop := o.signals(c.In, person)
	defer stop()
	sh = shell.New(c)
	defer sh.Close()
	defer c.In.Close()
	return o.converse(ctx, sh, target, person)
}

// isStdin tells whether a file is what stdin is, as /dev/stdin.
func isStdin(f *os.File) bool {
	a, err := f.Stat()
	b, berr := os.Stdin.Stat()
	return err == nil && berr == nil && os.SameFile(a, b)
}

// How long a ferry that is told to end may take for that: a person's has a line editor that cannot be woken up, and a script's
// may wait for whoever reads what it writes, or for a program that it has started.
const (
	personEnds = time.Second
	scriptEnds = 5 * time.Second
)

// signals returns a context that ends with SIGTERM and SIGHUP. Before there is a shell they end the program as they do any.
func (o *options) signals(in shell.LineReader, person bool) (context.Context, func()) {
	signals, wait := []os.Signal{syscall.SIGTERM}, scriptEnds
	if !signal.Ignored(syscall.SIGHUP) { // else somebody said nohup
		signals = append(signals, syscall.SIGHUP)
	}
	if person {
		wait = personEnds
	}
	ctx, stop := signal.NotifyContext(context.Background(), signals...)
	stay := context.AfterFunc(ctx, func() {
		time.AfterFunc(wait, func() { in.Close(); os.Exit(143) })
		if person {
			in.Close()
		}
	})
	return ctx, func() { stay(); stop() }
}

// converse logs in if a user is named, runs what was asked for, and reads on.
func (o *options) converse(ctx context.Context, sh *shell.Shell, target shell.Target, person bool) int {
	if target.User != "" {
		if code := sh.Start(ctx, target); code != 0 && !person {
			return code
		}
	}
	return sh.Run(ctx, o.first)
}
