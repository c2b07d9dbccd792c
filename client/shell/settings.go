package shell

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"ferry/client/config"
	"ferry/client/remote"
	"ferry/client/term"
)

// inForce are the settings that commands look at, as they are now.
type inForce struct {
	JSON     bool  // results as one object a line
	Quiet    bool  // no words about what went well
	NoSync   bool  // puts do not wait for the disk
	Confirm  bool  // a person is asked before something is replaced or deleted
	Parallel int   // connections of a transfer, 0: as many as seem right
	Limit    int64 // bytes a second, 0: none
}

// setting returns what is in force for the chosen server.
func (s *Shell) setting(name string) config.Value { return s.Settings.Value(name, s.Remote.Address) }

// settle puts the settings in force that take effect at once.
func (s *Shell) settle() {
	s.inForce = inForce{JSON: s.setting(config.JSON).On(), Quiet: s.setting(config.Quiet).On(), NoSync: s.setting(config.Sync).Text() == "none",
		Confirm: s.setting(config.Confirm).On(), Parallel: s.setting(config.Parallel).Int(), Limit: s.setting(config.Limit).Rate()}
	s.overall.Set(s.Limit)
	s.Err.SetMode(s.progress())
}

// progress is how transfers are shown: quietly not at all, unless it was said how.
func (s *Shell) progress() string {
	mode := s.setting(config.Progress).Text()
	if mode == "auto" && s.Quiet {
		return "none"
	}
	return mode
}

// options are how the chosen server is reached now.
func (s *Shell) options() remote.Options {
	o := s.Remote
	o.Plain = o.Plain || s.setting(config.Plain).On()
	o.Known = remote.KnownHosts{Path: s.setting(config.KnownHosts).Text()}
	o.Fingerprint = s.setting(config.Fingerprint).Text()
	o.TrustFirst = s.setting(config.TrustFirst).On()
	o.ReconnectFor = s.setting(config.ReconnectFor).Duration()
	dial := o.Dial
	if p := s.setting(config.ProxyCommand).Text(); p != "none" && !strings.HasPrefix(o.Address, "unix:") {
		dial = remote.Proxy(p)
	}
	o.Dial = dial
	return o
}

func setCommand() Command {
	return Command{Name: "set", Group: "session", Usage: "set [-a] [-d] [NAME [VALUE...]]", Short: "show and change settings",
		More: "Without a name it shows what differs from the defaults, -a everything, each with the place it comes from. What is set here\n" +
			"holds until the shell ends; to keep it, write it into the configuration file (help config).",
		Examples: []string{"set -a", "set limit 2MiB/s", "set confirm off", "set -d limit"}, Max: -1, Args: Settings,
		Fields: []Field{{"name", "string", "of the setting"}, {"value", "string", "what is in force; the parts of a list are separated by commas"},
			{"from", "string", "the place it comes from: set, an option, a variable, FILE:LINE or default"}},
		Flags: func(f *pflag.FlagSet) {
			f.SetInterspersed(false) // a value may begin with -
			f.BoolP("all", "a", false, "show every setting")
			f.BoolP("default", "d", false, "take back what was set here")
		}, Run: runSet}
}

func runSet(ctx context.Context, s *Shell, c *Call) error {
	args := c.Args()
	switch {
	case c.on("default") && (c.on("all") || len(args) != 1):
		return usagef("set -d takes the name of one setting")
	case c.on("default"):
		return s.reset(args[0], func() error { return s.Settings.Unset(args[0]) })
	case len(args) > 1:
		return s.reset(args[0], func() error { return s.setTo(args[0], args[1:]) })
	case len(args) == 1:
		t, err := s.Settings.Find(args[0])
		if err != nil {
			return wrongly(err)
		}
		return s.showSetting(t)
	}
	for _, t := range s.Settings.All() {
		if !c.on("all") && s.setting(t.Name).Place == config.BuiltIn {
			continue
		}
		if err := s.showSetting(t); err != nil {
			return err
		}
	}
	return nil
}

// setTo gives a setting a value: words that are no list are one text, such as a command.
func (s *Shell) setTo(name string, words []string) error {
	if t, err := s.Settings.Find(name); err == nil && !t.List {
		words = []string{strings.Join(words, " ")}
	}
	return s.Settings.Set(config.Session, "set", name, words...)
}

// reset changes a setting and puts it in force.
func (s *Shell) reset(name string, change func() error) error {
	t, err := s.Settings.Find(name)
	if err == nil {
		err = change()
	}
	if err != nil {
		return wrongly(err)
	}
	s.settle()
	if t.Login && s.client != nil {
		s.say("%s: from the next login on", t.Name)
	}
	return nil
}

func (s *Shell) showSetting(t config.Setting) error {
	v := s.setting(t.Name)
	shown := v.Text()
	if shown == "" {
		shown = "-"
	}
	return s.emit(map[string]any{"name": t.Name, "value": v.Text(), "from": v.From},
		fmt.Sprintf("%-17s %-20s (%s)\n", t.Name, term.Escape(shown), term.Escape(v.From)))
}

// wrongly makes what the settings refuse a wrong usage of the shell.
func wrongly(err error) error {
	if c, ok := err.(*config.Error); ok {
		return &UsageError{c.Msg, c.Advice}
	}
	return err
}
