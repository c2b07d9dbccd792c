package shell

import (
	"context"
	"strings"
	"testing"
)

// TestExamples: every command has two examples, and each is a line that runs it as it is meant to be.
func TestExamples(t *testing.T) {
	for _, c := range All() {
		if len(c.Examples) < 2 {
			t.Errorf("%s has %d examples", c.Name, len(c.Examples))
		}
		for _, example := range c.Examples {
			s, ran := New(Config{}), ""
			for i := range s.commands {
				name := s.commands[i].Name
				s.commands[i].Login = false
				s.commands[i].Run = func(context.Context, *Shell, *Call) error { ran = ran + name + " "; return nil }
			}
			cmds, err := Split(example)
			if err != nil {
				t.Errorf("%s: %v", example, err)
				continue
			}
			for _, cmd := range cmds {
				cmd.Output = nil
				if err := s.command(t.Context(), cmd, &Call{}); err != nil {
					t.Errorf("%s: %v", example, err)
				}
			}
			if !strings.Contains(ran, c.Name+" ") && c.Name != "ln" { // that is refused: its examples are what to do instead
				t.Errorf("the example %q of %s runs %s", example, c.Name, ran)
			}
		}
	}
}

// TestHelp: there is a page for every command, alias and topic, no line of it is wider than 130 columns, and
// nothing that is said to be there is missing.
func TestHelp(t *testing.T) {
	s := New(Config{})
	var names []string
	for _, c := range All() {
		names = append(append(names, c.Name), c.Aliases...)
	}
	for _, topic := range Topics() {
		names = append(names, topic.Name)
		if _, ok := s.find(topic.Name); ok && topic.Name != "exit" {
			t.Errorf("help %s is a command and a topic", topic.Name)
		}
		if !strings.Contains(s.overview(), "  "+topic.Name) {
			t.Errorf("help does not list %s", topic.Name)
		}
	}
	for _, name := range names {
		page, err := s.page(name)
		if err != nil || !strings.HasSuffix(page, "\n") {
			t.Errorf("help %s: %v %q", name, err, page)
		}
		for line := range strings.Lines(page) {
			if len(line) > 130 {
				t.Errorf("help %s: this line is too wide: %s", name, line)
			}
		}
	}
	page, _ := s.page("exit")
	for _, e := range Exits() {
		if !strings.Contains(page, e.Text) {
			t.Errorf("help exit does not tell of %d", e.Code)
		}
	}
}

func TestUnknown(t *testing.T) {
	s := New(Config{})
	for typed, want := range map[string]string{"gte": "get", "LSS": "ls", "hepl": "help", "mkdri": "mkdir", "zzz": ""} {
		advice := s.unknown(typed).(*UsageError).Advice
		if want != "" && advice != "did you mean "+want+"?" || want == "" && strings.Contains(advice, "mean") {
			t.Errorf("%s: %s", typed, advice)
		}
	}
}

// TestArguments: what is an option's value is no argument, and what was quoted stays so.
func TestArguments(t *testing.T) {
	put, _ := New(Config{}).find("put")
	for line, want := range map[string]string{
		"put a -o b c":                    "a c",
		"put -rfP 4 a":                    "a",
		"put -P4 a":                       "a",
		"put --name=b a":                  "a",
		"put --name b -- -a --":           "-a --",
		"put -o 'a*' a*":                  "a*(glob)",
		"put -o a* 'a*'":                  "a*",
		"put --exclude x --exclude y - z": "- z",
		`put '~' \~/x ~ "~y"`:             "./~ ./~/x ~ ~y",
	} {
		cmds, err := Split(line)
		if err != nil {
			t.Fatal(err)
		}
		c := &Call{FlagSet: put.Options()}
		if err := c.parse(cmds[0].Words[1:]); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		var got []string
		for _, w := range c.words {
			text := w.Text
			if w.HasGlob() {
				text += "(glob)"
			}
			got = append(got, text)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %s", line, got, want)
		}
	}
}
