package shell

import (
	"context"
	"io"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// A Side says where the names lie that complete the arguments of a command: one letter for each of them, and the last for
// all that follow.
type Side string

// The sides.
const (
	Nowhere  Side = ""
	Here     Side = "h" // files of this machine
	There    Side = "t" // files on the server
	Commands Side = "c" // names of commands and of pages of help
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
	Login    bool     // needs a session
	Raw      bool     // takes its words as they are: its options are its own
	Secret   bool     // what is typed with it may be secret: its lines are never kept
	Min, Max int      // how many arguments it takes; Max -1: any
	Args     Side     // what Tab completes
	Wire     []string // the protocol's commands that it uses
	Fields   []Field  // of its results with --json
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

// table is every command, in the order of help.
func table() []Command {
	return slices.Concat([]Command{
		openCommand(), loginCommand(), logoutCommand(), whoamiCommand(), statusCommand(), helpCommand(), historyCommand(), quitCommand(),
		lsCommand(), cdCommand(), pwdCommand(), mkdirCommand(), rmdirCommand(), rmCommand(), mvCommand(), cpCommand(), lnCommand(), catCommand(), moreCommand(), editCommand(),
		statCommand(), touchCommand(), chmodCommand(), duCommand(), findCommand(), treeCommand(), sumCommand(),
		putCommand(), getCommand(), syncCommand(), resumeCommand(),
		lcdCommand(), lpwdCommand(), llsCommand(), lmkdirCommand(), shellCommand(),
	}, adminCommands())
}

// find returns the command of a name or alias, upper or lower case.
func (s *Shell) find(name string) (Command, bool) {
	name = strings.ToLower(name)
	for _, c := range s.commands {
		if c.Name == name || slices.Contains(c.Aliases, name) {
			return c, true
		}
	}
	return Command{}, false
}

// unknown is the answer to a command that does not exist, with the nearest one that does.
func (s *Shell) unknown(name string) error {
	best, least := "", 3
	for _, c := range s.commands {
		for _, n := range append([]string{c.Name}, c.Aliases...) {
			if d := distance(strings.ToLower(name), n); d < least && d < len(n) {
				best, least = n, d
			}
		}
	}
	advice := "help lists the commands"
	if best != "" {
		advice = "did you mean " + best + "?"
	}
	return &UsageError{"there is no such command", advice}
}

// distance counts the letters to insert, delete, replace or swap to make b of a (Damerau, optimal string alignment).
func distance(a, b string) int {
	if len(a) > 32 {
		return len(a)
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// All returns every command, in the order of help.
func All() []Command { return table() }
