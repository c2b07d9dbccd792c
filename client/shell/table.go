package shell

import (
	"context"
	"io"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"ferry/client/term"
)

// A Side says where the names lie that complete the arguments of a command: one letter for each of them, and the last for
// all that follow.
type Side string

// The sides.
const (
	Nowhere   Side = ""
	Here      Side = "h" // files of this machine
	There     Side = "t" // files on the server
	Commands  Side = "c" // names of commands and of pages of help
	Addresses Side = "@" // bookmarks and servers that are known
	Settings  Side = "s" // names of settings
	Aliases   Side = "a" // names of aliases
	Bookmarks Side = "b" // names of bookmarks
	Numbers   Side = "j" // numbers of jobs
	Logins    Side = "l" // a user, and behind an @ servers that are known
	Free      Side = "-" // whatever one likes

	HereElseThere Side = "H" // files of this machine, and if none fits, on the server
	ThereElseHere Side = "T" // the other way round
)

// at returns the side of an argument, counted from 0.
func (s Side) at(n int) Side {
	if s == Nowhere {
		return Nowhere
	}
	n = min(n, len(s)-1)
	return s[n : n+1]
}

// Command is what the shell knows of a command.
type Command struct {
	Name     string
	Aliases  []string
	Group    string // its place in help
	Usage    string
	Short    string // one line
	More     string // further lines
	Examples []string
	Login    bool            // needs a session
	Raw      bool            // takes its words as they are: its options are its own
	Dash     bool            // its first argument may begin with a -, and is no option
	Line     bool            // its arguments are a command: what is behind > or | is that one's
	Secret   bool            // what is typed with it may be secret: its lines are never kept
	Min, Max int             // how many arguments it takes; Max -1: any
	Args     Side            // what Tab completes
	Verbs    map[string]Side // words that come first, and what Tab completes behind each
	Values   map[string]Side // of options that are names
	Words    []string        // the options of a Raw command
	Order    []string        // the words of ferryd that an administrator's command stands for
	Wire     []string        // the protocol's commands that it uses
	Fields   []Field         // of its results with --json
	Flags    func(*pflag.FlagSet)
	Run      func(ctx context.Context, s *Shell, c *Call) error
}

// Options returns the options that the command takes.
func (c Command) Options() *pflag.FlagSet {
	f := pflag.NewFlagSet(c.Name, pflag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.Usage = func() {}
	if c.Flags != nil {
		c.Flags(f)
	}
	return f
}

// front tells whether the command is for the prompt only: it is about the shell itself or needs the terminal.
func (c Command) front() bool {
	switch c.Group {
	case "session":
		return !slices.Contains([]string{"whoami", "status", "help"}, c.Name)
	case "jobs", "admin":
		return true
	}
	return slices.Contains([]string{"more", "edit", "!"}, c.Name)
}

// table is every command, in the order of help.
func table() []Command {
	return slices.Concat([]Command{
		openCommand(), loginCommand(), logoutCommand(), registerCommand(), passwdCommand(), keysCommand(), whoamiCommand(), statusCommand(), helpCommand(), historyCommand(), quitCommand(),
		setCommand(), aliasCommand(), bookmarkCommand(),
		lsCommand(), cdCommand(), pwdCommand(), mkdirCommand(), rmdirCommand(), rmCommand(), mvCommand(), cpCommand(), lnCommand(), catCommand(), moreCommand(), editCommand(),
		statCommand(), touchCommand(), chmodCommand(), duCommand(), dfCommand(), findCommand(), treeCommand(), sumCommand(),
		putCommand(), getCommand(), syncCommand(), resumeCommand(),
		jobsCommand(), fgCommand(), waitCommand(), killCommand(), queueCommand(), limitCommand(),
		lcdCommand(), lpwdCommand(), llsCommand(), lmkdirCommand(), echoCommand(), shellCommand(),
	}, adminCommands())
}

// find returns the command of a name or alias, upper or lower case.
func (s *Shell) find(name string) (Command, bool) { return find(s.commands, name) }

func find(commands []Command, name string) (Command, bool) {
	name = strings.ToLower(name)
	for _, c := range commands {
		if c.Name == name || slices.Contains(c.Aliases, name) {
			return c, true
		}
	}
	return Command{}, false
}

// elsewhere returns words of sh, ftp and sftp that are no commands here, and what is typed instead.
func elsewhere() [][2]string {
	return [][2]string{
		{"ascii bin binary type", "nothing is to be chosen: bytes are always moved as they are"},
		{"pass passive sendport", "nothing is to be chosen: there is one connection, and the client makes it"},
		{"prompt", "set confirm off asks no questions"},
		{"hash progress verbose", "set progress says how transfers are shown"},
		{"head tail grep wc sort awk sed", "programs of this machine take what is behind a |: cat FILE | head"},
		{"nano vim emacs pico editor", "edit FILE opens your editor"},
		{"lrm lmv lcp lcat lfind lstat ltree", "! runs commands of this machine: !rm FILE"},
		{"size modtime file", "stat NAME"},
		{"clear reset", "Ctrl-L clears the screen"},
		{"chown chgrp umask", "all files of an account belong to it; chmod changes their mode"},
	}
}

// unknown is the answer to a command that does not exist, with what is typed instead or the nearest one that does.
func (s *Shell) unknown(name string) error {
	for _, e := range elsewhere() {
		if slices.Contains(strings.Fields(e[0]), strings.ToLower(name)) {
			return &UsageError{"there is no such command", e[1]}
		}
	}
	var names []string
	for _, c := range s.commands {
		names = append(append(names, c.Name), c.Aliases...)
	}
	best := term.Nearest(name, names)
	advice := "help lists the commands"
	if best != "" {
		advice = "did you mean " + best + "?"
	}
	return &UsageError{"there is no such command", advice}
}

// IsCommand tells whether a name is that of a command, so that it can be no alias.
func IsCommand(name string) bool {
	_, ok := find(table(), name)
	return ok
}

// All returns every command, in the order of help.
func All() []Command { return table() }
