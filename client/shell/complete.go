package shell

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/text/unicode/norm"

	"ferry/client/remote"
)

// completionWait is how long Tab waits for the disk and the server: keys wait with it.
const completionWait = 500 * time.Millisecond

// typed reads a line with Tab.
func (s *Shell) typed() (string, error) {
	s.lookups.forget()
	s.typing = true
	defer func() { s.typing = false }()
	return s.In.Read(s.prompt())
}

// Complete returns what the word before pos can become, and how many bytes it replaces. Where a question is answered, there
// is nothing to complete. The last part of a name may be typed in another form than it is stored in: machines differ in whether ü is one
// character or two, and a person sees no difference.
func (s *Shell) Complete(ctx context.Context, line string, pos int) (candidates []Candidate, replace int) {
	if !s.typing {
		return nil, 0
	}
	ctx, cancel := context.WithTimeout(ctx, completionWait)
	defer cancel()
	candidates, replace = s.complete(ctx, line, pos)
	begin := max(pos-replace, strings.LastIndexByte(line[:pos], '/')+1)
	for _, form := range []norm.Form{norm.NFC, norm.NFD} {
		if stored := form.String(line[begin:pos]); len(candidates) == 0 && stored != line[begin:pos] {
			candidates, replace = s.complete(ctx, line[:begin]+stored+line[pos:], begin+len(stored))
			replace += pos - begin - len(stored)
		}
	}
	return candidates, replace
}

func (s *Shell) complete(ctx context.Context, line string, pos int) (candidates []Candidate, replace int) {
	o := s.offers(ctx, line[:pos])
	for _, f := range o.found {
		if !strings.HasPrefix(f.name, o.word.Text) {
			continue
		}
		text, ok := o.spell(line[o.word.Start:pos], f.name)
		if !ok {
			continue
		}
		// A quote that is closed already behind the cursor is not closed again.
		if q := o.word.Open; q != 0 && strings.HasPrefix(line[pos:], string(q)) {
			text = strings.TrimSuffix(text, string(q)+" ")
		}
		if f.show == "" {
			f.show = last(f.name)
		}
		candidates = append(candidates, Candidate{text, f.show})
	}
	return candidates, pos - o.word.Start
}

// last returns the last component of a path, with the slash of a directory.
func last(name string) string {
	return name[strings.LastIndexByte(strings.TrimSuffix(name, "/"), '/')+1:]
}

// offer is what can stand in the place of a word.
type offer struct {
	word  Word
	sh    bool // it is a word for sh
	found []found
}

// found is one of them. A name that ends in a slash is a directory, and stays open for more.
type found struct {
	name, show string // show as in Candidate
}

// names are what can stand there, in their order.
func names(list ...string) (all []found) {
	for _, n := range list {
		all = append(all, found{name: n})
	}
	return all
}

// sorted is names of a list that is in no order.
func sorted(list []string) []found {
	slices.Sort(list)
	return names(slices.Compact(list)...)
}

// offers returns what can stand at the end of line.
func (s *Shell) offers(ctx context.Context, line string) offer {
	cmd := SplitPartial(line)
	if out := cmd.Output; out != nil && out.To.End == len(line) {
		if out.Op == "|" {
			return s.forSh(ctx, out.To)
		}
		return offer{word: out.To, found: s.filesHere(ctx, out.To)}
	}
	words := s.unaliased(cmd.Words)
	for len(words) > 1 && !strings.HasPrefix(words[1].Text, "-") {
		if c, _ := s.find(words[0].Text); !c.Line {
			break
		}
		words = s.unaliased(words[1:])
	}
	w := words[len(words)-1]
	if len(words) == 1 {
		return offer{word: w, found: s.commandNames()}
	}
	c, ok := s.find(words[0].Text)
	for ok && c.Line && !strings.HasPrefix(words[1].Text, "-") { // a command follows
		if words = words[1:]; len(words) == 1 {
			return offer{word: w, found: s.commandNames()}
		}
		c, ok = s.find(words[0].Text)
	}
	switch {
	case !ok:
		return offer{word: w}
	case c.Name == "!":
		return s.forSh(ctx, w)
	case c.Order != nil:
		return offer{word: w, found: s.orderWords(ctx, c, words[1:])}
	}
	return offer{word: w, found: s.arguments(ctx, c, words[1:])}
}

// forSh completes the names of files in a line for sh, which is much like ours.
func (s *Shell) forSh(ctx context.Context, line Word) offer {
	words := SplitPartial(line.Text).Words
	w := words[len(words)-1]
	o := offer{word: w, sh: true}
	o.word.Start, o.word.End = w.Start+line.Start, w.End+line.Start
	if len(words) > 1 || strings.Contains(w.Text, "/") {
		o.found = s.filesHere(ctx, w)
	}
	return o
}

// unaliased puts the words that an alias stands for in its place.
func (s *Shell) unaliased(words []Word) []Word {
	for n := 0; len(words) > 1 && n < maxAliases; n++ {
		text, err := s.aliasOf(words[0])
		if err != nil || text == "" {
			break
		}
		means := SplitPartial(text + " ").Words
		if w := means[len(means)-1]; w.Start == w.End {
			means = means[:len(means)-1]
		}
		words = append(slices.Clone(means), words[1:]...)
	}
	return words
}

func (s *Shell) commandNames() []found {
	list := s.configured(Aliases)
	for _, c := range s.commands {
		list = append(append(list, c.Name), c.Aliases...)
	}
	return sorted(slices.DeleteFunc(list, func(n string) bool { return n == "!" || n == "?" }))
}

// arguments offers what can stand in the place of the last word behind a command: an option, the value of one, or an argument.
func (s *Shell) arguments(ctx context.Context, c Command, words []Word) []found {
	w, f := words[len(words)-1], c.Options()
	args, option, over := scan(f, words[:len(words)-1])
	switch {
	case option != nil:
		return s.values(ctx, c, option, w)
	case !over && strings.HasPrefix(w.Text, "--") && strings.Contains(w.Text, "="):
		name, value, _ := strings.Cut(w.Text, "=")
		if option = f.Lookup(name[2:]); option == nil {
			return nil
		}
		found := s.values(ctx, c, option, Word{Text: value})
		for i := range found {
			found[i].show = last(found[i].name)
			found[i].name = name + "=" + found[i].name
		}
		return found
	case !over && strings.HasPrefix(w.Text, "-") && c.Raw:
		return names(c.Words...)
	case !over && strings.HasPrefix(w.Text, "-"):
		return optionNames(f, w.Text == "-")
	}
	return s.argument(ctx, c, args, w)
}

// optionNames offers the options of a command, with short by the one letter that they may have: then a list comes at once.
func optionNames(f *pflag.FlagSet, short bool) (all []found) {
	f.VisitAll(func(o *pflag.Flag) {
		name, show := "--"+o.Name, "--"+o.Name
		if o.Shorthand != "" {
			show = "-" + o.Shorthand + ", " + show
		}
		if o.Shorthand != "" && short {
			name = "-" + o.Shorthand
		}
		if !o.Hidden {
			all = append(all, found{name, show})
		}
	})
	return all
}

// values offers what can be the value of an option: names on the side that the command says, or what a setting of that name
// can be.
func (s *Shell) values(ctx context.Context, c Command, option *pflag.Flag, w Word) []found {
	if side := c.Values[option.Name]; side != Nowhere {
		return s.on(ctx, side, w)
	}
	if t, err := s.Settings.Find(option.Name); err == nil {
		return names(t.Choices...)
	}
	return nil
}

// argument offers what can follow args.
func (s *Shell) argument(ctx context.Context, c Command, args []Word, w Word) []found {
	if c.Max >= 0 && len(args) >= c.Max {
		return nil
	}
	side := c.Args.at(len(args))
	if side == Settings && len(args) > 0 {
		t, err := s.Settings.Find(args[0].Text)
		if err != nil {
			return nil
		}
		return names(t.Choices...)
	}
	typed := make([]string, len(args))
	for i, a := range args {
		typed[i] = a.Text
	}
	var next []string
	longest := 0
	for verb, of := range c.Verbs {
		verb := strings.Fields(verb)
		n := min(len(verb), len(typed))
		switch {
		case !slices.Equal(verb[:n], typed[:n]):
		case n < len(verb):
			next = append(next, verb[n])
		case n > longest:
			longest, side = n, of.at(len(typed)-n)
		}
	}
	return append(sorted(next), s.on(ctx, side, w)...)
}

// on offers the names of a side.
func (s *Shell) on(ctx context.Context, side Side, w Word) []found {
	switch side {
	case Here:
		return s.filesHere(ctx, w)
	case There:
		return s.filesThere(ctx, w)
	case HereElseThere, ThereElseHere:
		first, second := s.filesHere, s.filesThere
		if side == ThereElseHere {
			first, second = second, first
		}
		if found := first(ctx, w); len(found) > 0 {
			return found
		}
		return second(ctx, w)
	case Commands:
		var list []string
		for _, c := range s.commands {
			list = append(list, c.Name)
		}
		for _, t := range Topics() {
			list = append(list, t.Name)
		}
		return sorted(list)
	case Addresses, Logins:
		if user, _, at := strings.Cut(w.Text, "@"); at || side == Logins {
			return atServers(user, knownServers(s.Settings))
		}
	}
	return sorted(s.configured(side))
}

// atServers offers a user at each server that is known.
func atServers(user string, servers []string) []found {
	list := make([]string, len(servers))
	for i, server := range servers {
		list[i] = user + "@" + server
	}
	return sorted(list)
}

// orderWords offers what can stand in a command line of an administrator: the server knows.
func (s *Shell) orderWords(ctx context.Context, c Command, words []Word) []found {
	w := words[len(words)-1]
	var typed []string
	for _, w := range words[:len(words)-1] {
		typed = append(typed, w.Text)
	}
	_, line, err := takeSecret(append(slices.Clone(c.Order), typed...))
	switch {
	case err != nil && typed[len(typed)-1] == newPasswordFile,
		len(line) == 4 && line[0] == "user" && line[1] == "key" && line[2] == "add":
		return s.filesHere(ctx, w)
	case err != nil || s.client == nil:
		return nil
	}
	begun := ""
	if strings.HasPrefix(w.Text, "-") {
		begun = "--"
	}
	line = append(line, begun)
	session := s.client
	all := s.lookups.find(ctx, "order "+strings.Join(line, "\x00"), func(ctx context.Context) ([]string, error) {
		if !slices.Contains(session.Info().Rights, "admin") {
			return nil, nil
		}
		return s.lookups.ask(session, func(c *remote.Client) ([]string, error) { return orderable(ctx, c, line) })
	})
	return names(all...)
}
