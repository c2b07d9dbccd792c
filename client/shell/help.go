package shell

import (
	"context"
	"fmt"
	"strings"
)

func helpCommand() Command {
	return Command{Name: "help", Aliases: []string{"?", "man"}, Group: "session", Usage: "help [COMMAND | TOPIC]", Short: "this list, a command, or a topic",
		Examples: []string{"help put", "help exit"}, Fields: []Field{{"help", "string", "the text"}}, Max: 1, Args: Commands, Run: runHelp}
}

// A Topic is a page of help that is about no single command.
type Topic struct {
	Name, Short string
	Text        func() string
}

// Topics returns the pages of help, in their order.
func Topics() []Topic {
	page := func(text string) func() string { return func() string { return text } }
	return []Topic{
		{"terminal", "what keys do", page(terminalHelp)},
		{"words", "quotes, several commands in a line, > and |", page(wordsHelp)},
		{"globs", "* ? and [ ] in names", page(globsHelp)},
		{"scripts", "-c, -b and stdin", page(scriptsHelp)},
		{"transfer", "how put and get go on, and what is replaced", page(transferHelp)},
		{"config", "settings, the configuration file, bookmarks and aliases", configHelp},
		{"exit", "exit codes", exitHelp},
	}
}

const terminalHelp = `Tab        completes commands, options and names, here and on the server; lists them if there are several
Up, Down   earlier lines; Ctrl-R searches them, Ctrl-G ends that
Ctrl-A, E  the begin and the end of the line; Alt-B, Alt-F a word
Ctrl-W     takes back a word, Ctrl-U all before the cursor, Ctrl-K all behind it; Ctrl-Y brings it again
Ctrl-L     clears the screen
Ctrl-C     stops a command and keeps the session, and what was moved; drops the line that is being typed
Ctrl-Z     gives you the shell that ferry was started from, where fg brings ferry back and bg lets a
           transfer go on
Ctrl-D     ends ferry, in an empty line
Where a command is slow to stop, the third Ctrl-C ends ferry, and in a script the second one. Jobs (help
jobs) hear no Ctrl-C, but end with ferry.
`

const wordsHelp = `Lines are taken apart as in sh:
  'a b' "a b" a\ b    one word; in "..." a backslash escapes " and \ only
  a; b                b after a; in a script only if a went well
  a && b    a || b    b if a went well; b if a failed
  put big &           in the background, while you go on; so is all of a && b & (help jobs)
  ls > list.txt       results go to a file of this machine; >> appends
  ls | grep pdf       results go to a program of this machine, up to the next ; && or ||
                      that is neither quoted nor in parentheses
  # ...               a comment, where a command would begin
  !make && x          all of the line is for the shell of this machine
  -rm old             a script goes on even if this fails
  @put x              a script does not show this command
What goes to a file or a program has no columns and no colours. The pipeline fails if the command
does (its exit code), else if the program does (exit code 1). A program that stops reading, such
as head, ends the command without a word.
~ is the home: on the server your top directory. '~', \~ and ./~ are a file of that name.
`

const globsHelp = `*      any characters but /
?      one character but /
[a-z]  one of these, [!a-z] or [^a-z] none of these
Names that begin with a dot are left out unless the pattern does too. They stand for files on the
server or on this machine, wherever the command looks: put *.txt here, get *.txt there. A pattern
that nothing fits is an error; one that ends in a slash fits directories only. Quoted they are
characters like any other: rm 'a*', rm a\*.
`

const scriptsHelp = `ferry ADDRESS -c 'put a; ls'   runs these commands and ends
ferry ADDRESS -e 'cd www'      runs these first, then reads on
ferry ADDRESS -b FILE          runs a file, - for stdin; so does stdin that is no terminal
The first command that fails ends the run, and its exit code is ferry's (help exit); - in front of
a command tolerates that, and && and || do as in sh. -b shows each command on stderr before it
runs, as >> put a; @ in front of one hides that, and -q hides all. Nobody is asked: put replaces,
get does not unless -f is given. With --json results, errors and a summary of each command are
objects, one a line. What runs in the background is waited for in the end (help jobs). history
--script FILE makes a script of what you did.
`

const transferHelp = `put and get need no other command to go on: the same one again moves what is missing, after a
Ctrl-C, a lost connection, a crash or a restart on either side, and compares what is there. A name
shows its old content or all of the new one. resume lists what is unfinished.
What is there already and has the same content is left alone: "up to date". If it differs, a
person is asked:
  replace    the new content takes its place             -f
  skip       it stays                                    --no-clobber
  keep both  the new one becomes "NAME (2)"              --keep-both
  all        replace this and all that follow
  cancel     nothing more is done
In a script put replaces and get leaves it, with exit code 6; the options say otherwise.
put -r and get -r move directories, sync makes one have what another has; -n shows what would be
done. -o NAME names the target, -O DIR its directory, -P 4 uses four connections.
`

func exitHelp() string {
	var b strings.Builder
	b.WriteString("Exit codes of ferry, in scripts and with -c:\n")
	for _, e := range Exits() {
		fmt.Fprintf(&b, "  %3d  %s\n", e.Code, e.Text)
	}
	return b.String()
}

func runHelp(ctx context.Context, s *Shell, c *Call) error {
	text := s.overview()
	if len(c.words) > 0 {
		var err error
		if text, err = s.page(strings.ToLower(c.Args()[0])); err != nil {
			return err
		}
	}
	return s.emit(map[string]any{"help": text}, text)
}

// overview lists all commands and topics.
func (s *Shell) overview() string {
	var b strings.Builder
	group := ""
	for _, c := range s.commands {
		if c.Group != group {
			group = c.Group
			fmt.Fprintf(&b, "%s\n", group)
		}
		fmt.Fprintf(&b, "  %-9s %s\n", c.Name, c.Short)
	}
	b.WriteString("topics\n")
	for _, t := range Topics() {
		fmt.Fprintf(&b, "  %-9s %s\n", t.Name, t.Short)
	}
	b.WriteString("\nhelp NAME tells more. Tab completes. Ctrl-C stops a command and keeps the session.\n")
	return b.String()
}

// page is the help for a topic or a command.
func (s *Shell) page(name string) (string, error) {
	for _, t := range Topics() {
		if t.Name == name {
			return t.Text(), nil
		}
	}
	c, ok := s.find(name)
	if !ok {
		return "", named(name, s.unknown(name))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n    %s\n", c.Usage, c.Short)
	if len(c.Aliases) > 0 {
		fmt.Fprintf(&b, "also: %s\n", strings.Join(c.Aliases, ", "))
	}
	if options := c.Options().FlagUsagesWrapped(100); options != "" {
		b.WriteString("options:\n" + options)
	}
	if c.More != "" {
		b.WriteString(strings.TrimSuffix(c.More, "\n") + "\n")
	}
	for i, e := range c.Examples {
		if i == 0 {
			b.WriteString("examples:\n")
		}
		fmt.Fprintf(&b, "    >> %s\n", e)
	}
	return b.String(), nil
}
