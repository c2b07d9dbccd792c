package shell

import (
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// Call is one command as it was typed.
type Call struct {
	*pflag.FlagSet
	words []Word // arguments without options
	typed []Word // the whole command
	text  string // the same, as it stands in the line
	name  string // of the command, whatever alias was typed

	summary map[string]any // what the last object of the command has of its own, with JSON
}

// rest returns all from the first argument on as it was typed, or if that is the only one and has quotes, what is in them.
func (c *Call) rest() string {
	first := c.words[0]
	if len(c.words) == 1 && first.End-first.Start != len(first.Text) && c.text[first.End-c.typed[0].Start:] == "" {
		return first.Text
	}
	return c.text[first.Start-c.typed[0].Start:]
}

// Args returns the arguments without options.
func (c *Call) Args() []string {
	out := make([]string, len(c.words))
	for i, w := range c.words {
		out[i] = w.Text
	}
	return out
}

// on tells whether a switch was given.
func (c *Call) on(name string) bool {
	v, err := c.GetBool(name)
	return err == nil && v
}

// value returns the argument of an option, "" if it was not given.
func (c *Call) value(name string) string {
	v, _ := c.GetString(name)
	return v
}

// parse takes options and arguments apart. Words keep what was quoted; a ~ that was quoted is a name as any other.
func (c *Call) parse(words []Word) error {
	words = slices.Clone(words)
	texts := make([]string, len(words))
	for i, w := range words {
		if w.Text != "" && w.Quoted[0] && plainName(w.Text) != w.Text {
			words[i].Text, words[i].Quoted = plainName(w.Text), append([]bool{true, true}, w.Quoted...)
		}
		texts[i] = words[i].Text
	}
	if err := c.FlagSet.Parse(texts); err != nil {
		return err
	}
	c.words = arguments(c.FlagSet, words)
	if !slices.Equal(c.Args(), c.FlagSet.Args()) { // what stands behind the first argument is none of the command's options
		c.words = words[len(words)-c.NArg():]
	}
	return nil
}

// arguments returns the words that are neither options nor the values of options.
func arguments(f *pflag.FlagSet, words []Word) (args []Word) {
	for i := 0; i < len(words); i++ {
		switch text := words[i].Text; {
		case text == "--":
			return append(args, words[i+1:]...)
		case text == "-" || !strings.HasPrefix(text, "-"):
			args = append(args, words[i])
		case valueFollows(f, text):
			i++
		}
	}
	return args
}

// valueFollows tells whether the next word is the value of an option.
func valueFollows(f *pflag.FlagSet, option string) bool {
	if name, long := strings.CutPrefix(option, "--"); long {
		flag := f.Lookup(name)
		return flag != nil && flag.NoOptDefVal == ""
	}
	for i := 1; i < len(option); i++ {
		flag := f.ShorthandLookup(option[i : i+1])
		if flag == nil {
			return false
		}
		if flag.NoOptDefVal == "" {
			return i == len(option)-1
		}
	}
	return false
}

// plainName returns a name so that a ~ at its beginning does not stand for the home.
func plainName(name string) string {
	if name == "~" || strings.HasPrefix(name, "~/") {
		return "./" + name
	}
	return name
}
