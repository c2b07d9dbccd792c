package shell

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"ferry/client/config"
	"ferry/client/term"
)

// maxAliases is how many are replaced in a line: nobody means more, but a circle does.
const maxAliases = 100

// unalias replaces the command at i of a line, if it is an alias, by what that stands for; what follows the name follows that.
// It returns the new line and its commands; those before i are the same. done counts the aliases of the line.
func (s *Shell) unalias(line string, cmds []Cmd, i int, done *int) (string, []Cmd, error) {
	for {
		w := cmds[i].Words[0]
		text, err := s.aliasOf(w)
		if err != nil || text == "" {
			return line, cmds, err
		}
		if *done++; *done > maxAliases {
			return line, cmds, &UsageError{"the aliases lead to each other without end", "alias lists them; alias -d NAME removes one"}
		}
		longer := line[:w.Start] + text + line[w.End:]
		split, err := Split(longer)
		if err != nil {
			return line, cmds, &UsageError{Msg: fmt.Sprintf("alias for %s: %v", text, err)}
		}
		for n := range len(split) - len(cmds) + 1 { // a - before an alias is about all of it
			split[i+n].Tolerate = split[i+n].Tolerate || cmds[i].Tolerate
			split[i+n].Quiet = split[i+n].Quiet || cmds[i].Quiet
		}
		line, cmds = longer, split
	}
}

// aliasOf returns what a word stands for in the place of a command, "" if for itself. The name of a command is never an
// alias, so that nobody's aliases change what a script does; nor is a word with quotes.
func (s *Shell) aliasOf(w Word) (string, error) {
	if _, command := s.find(w.Text); command || w.End-w.Start != len(w.Text) {
		return "", nil
	}
	e, _, err := s.Settings.Aliases.Find(w.Text)
	return e.Text, wrongly(err)
}

func aliasCommand() Command {
	return Command{Name: "alias", Group: "session", Usage: "alias [-s] [NAME [COMMAND...]] | alias -d NAME", Short: "give a command line a name of its own",
		More: "A name stands for its text; what is typed behind it follows the text. One argument is taken as it is, so that quotes can\n" +
			"hold several commands. An alias holds until the shell ends, with -s it is kept; those of the configuration file (help\n" +
			"config) are changed there. The name of a command cannot be an alias.",
		Examples: []string{"alias ll ls -lh", "alias -s up 'cd /incoming; put -r'", "alias -d ll"}, Max: -1, Args: Aliases + Free,
		Fields: []Field{{"alias", "string", "its name"}, {"text", "string", "what it stands for"}, {"from", "string", "session, or the file it stands in"}},
		Flags: func(f *pflag.FlagSet) {
			f.SetInterspersed(false) // options behind the name belong to the command
			f.BoolP("save", "s", false, "keep it")
			f.BoolP("delete", "d", false, "remove it")
		}, Run: runAlias}
}

func runAlias(ctx context.Context, s *Shell, c *Call) error {
	if len(c.words) == 0 && !c.on("delete") {
		all, err := s.Settings.Aliases.All()
		if err != nil {
			return wrongly(err)
		}
		for _, e := range all {
			if err := s.showEntry("alias", e); err != nil {
				return err
			}
		}
		return nil
	}
	if c.on("delete") {
		if len(c.words) != 1 {
			return usagef("alias -d takes the name of one alias")
		}
		return wrongly(s.Settings.Aliases.Remove(c.words[0].Text))
	}
	name, text := c.words[0].Text, ""
	switch rest := c.words[1:]; len(rest) {
	case 0:
		before, after, equals := strings.Cut(name, "=") // as sh has it
		if !equals {
			return s.showNamed(s.Settings.Aliases, "alias", name)
		}
		name, text = before, after
	case 1:
		text = rest[0].Text
	default:
		var words []string
		for _, w := range rest {
			words = append(words, spelled(w))
		}
		text = strings.Join(words, " ")
	}
	if _, command := s.find(name); command {
		return &UsageError{name + " is a command", "choose another name"}
	}
	if _, err := Split(text); err != nil {
		return &UsageError{Msg: fmt.Sprintf("%s: %v", name, err)}
	}
	if c.on("save") {
		return wrongly(s.Settings.Aliases.Keep(name, text))
	}
	return wrongly(s.Settings.Aliases.Define(name, text))
}

// spelled writes a word so that it is read as it was: what was not quoted may stay a pattern.
func spelled(w Word) string {
	if w.HasGlob() || strings.HasPrefix(w.Text, "-") || strings.HasPrefix(w.Text, "~") {
		return w.Text
	}
	return Quote(w.Text)
}

// showNamed shows one name.
func (s *Shell) showNamed(names *config.Names, kind, name string) error {
	e, ok, err := names.Find(name)
	if err == nil && !ok {
		err = names.Remove(name) // which says that it does not exist, and what does
	}
	if err != nil {
		return wrongly(err)
	}
	return s.showEntry(kind, e)
}

func (s *Shell) showEntry(kind string, e config.Entry) error {
	return s.emit(map[string]any{kind: e.Name, "text": e.Text, "from": e.From},
		fmt.Sprintf("%-12s %s  (%s)\n", e.Name, term.Escape(e.Text), term.Escape(e.From)))
}
