package shell

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
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

// again is a line that is the same command: its words, quoted where they have to be.
func (c *Call) again() string {
	words := make([]string, len(c.typed))
	for i, w := range c.typed {
		option := strings.TrimLeft(w.Text, "-")
		if words[i] = w.Text; !w.HasGlob() && !strings.HasPrefix(w.Text, "~") && Quote(option) != option {
			words[i] = Quote(w.Text)
		}
	}
	return strings.Join(words, " ")
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
		if name := w.unquotedHome(); name != w.Text {
			words[i].Text, words[i].Quoted = name, append([]bool{true, true}, w.Quoted...)
		}
		texts[i] = words[i].Text
	}
	if err := c.FlagSet.Parse(texts); err != nil {
		var bad *pflag.InvalidValueError
		if errors.As(err, &bad) && errors.As(err, new(*strconv.NumError)) {
			return fmt.Errorf("--%s: %q is not a number", bad.GetFlag().Name, bad.GetValue())
		}
		return err
	}
	c.words, _, _ = scan(c.FlagSet, words)
	if !slices.Equal(c.Args(), c.FlagSet.Args()) { // what stands behind the first argument is none of the command's options
		c.words = words[len(words)-c.NArg():]
	}
	return nil
}

// dashed puts -- before the first argument, which may begin with a - and be no option. Switches stand before it.
func dashed(f *pflag.FlagSet, words []Word) []Word {
	for i, w := range words {
		switch long := strings.HasPrefix(w.Text, "--"); {
		case w.Text == "--":
			return words
		case !long && (len(w.Text) != 2 || w.Text[0] != '-' || f.ShorthandLookup(w.Text[1:]) == nil):
			return slices.Insert(slices.Clone(words), i, literal("--", w.Start))
		}
	}
	return words
}

// scan returns the words that are neither options nor the values of options, the option whose value would come next, and
// whether nothing that follows is an option.
func scan(f *pflag.FlagSet, words []Word) (args []Word, option *pflag.Flag, over bool) {
	for i := 0; i < len(words); i++ {
		switch text := words[i].Text; {
		case text == "--":
			return append(args, words[i+1:]...), nil, true
		case text == "-" || !strings.HasPrefix(text, "-"):
			args = append(args, words[i])
		default:
			if option = valued(f, text); option != nil && i+1 < len(words) {
				i, option = i+1, nil
			}
		}
	}
	return args, option, false
}

// valued returns the option whose value is the word behind this one, nil if that is something else.
func valued(f *pflag.FlagSet, option string) *pflag.Flag {
	if name, long := strings.CutPrefix(option, "--"); long {
		if flag := f.Lookup(name); flag != nil && flag.NoOptDefVal == "" {
			return flag
		}
		return nil
	}
	for i := 1; i < len(option); i++ {
		flag := f.ShorthandLookup(option[i : i+1])
		if flag == nil {
			return nil
		}
		if flag.NoOptDefVal == "" {
			if i == len(option)-1 {
				return flag
			}
			return nil
		}
	}
	return nil
}

// unquotedHome returns the text so that a ~ at its beginning stands for the home only if it was not quoted.
func (w Word) unquotedHome() string {
	if len(w.Quoted) > 0 && w.Quoted[0] {
		return plainName(w.Text)
	}
	return w.Text
}

// plainName returns a name so that a ~ at its beginning does not stand for the home.
func plainName(name string) string {
	if name == "~" || strings.HasPrefix(name, "~/") {
		return "./" + name
	}
	return name
}
