package shell

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spf13/pflag"

	"ferry/client/config"
	"ferry/internal/termtest"
)

// offered returns what Tab offers behind a line, as it is typed.
func (s *Shell) offered(t *testing.T, line string) []string {
	candidates, replace := s.complete(t.Context(), line, len(line))
	var texts []string
	for _, c := range candidates {
		texts = append(texts, c.Text)
		if !strings.HasPrefix(c.Text, line[len(line)-replace:]) {
			t.Errorf("%q offers %q, which does not begin with what was typed", line, c.Text)
		}
	}
	return texts
}

func TestComplete(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("HOME", ".")
	for _, name := range []string{"plain", "a b", "it's", "日本語", "pv\nrm\rtypo.txt", "esc\x1bc", "c1\u009b", "bad\xff", "\u202ertl", "semi;colon", "[x]",
		"dir/x y", "dir/x z", ".hidden", "cafe\u0301", "mo$ney"} {
		os.Mkdir("dir", 0o700)
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("dir", "link"); err != nil {
		t.Fatal(err)
	}
	s := New(Config{})
	if err := errors.Join(s.Settings.Aliases.Define("up", "put -r"), s.Settings.Aliases.Define("upup", "up -O dir"), s.Settings.Bookmarks.Define("work", "alice@host")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		line string
		want []string
	}{
		{"pu", []string{"put "}},
		{"ls; -pu", []string{"put "}},
		{"up", []string{"up ", "uploads ", "upup "}},
		{"set par", []string{"parallel "}},
		{"set sync n", []string{"none "}},
		{"put pl", []string{"plain "}},
		{"put a", []string{`a\ b `}},
		{`put "a`, []string{`"a b" `}},
		{"put 'a", []string{"'a b' "}},
		{"put it", []string{`it\'s `}},
		{`put "it`, []string{`"it's" `}},
		{"put 'it", nil}, // cannot be written in these quotes
		{"put [", nil},   // a pattern, whatever follows
		{`put \[`, []string{`\[x\] `}},
		{"put 日", []string{"日本語 "}},
		{"put caf", []string{"cafe\u0301 "}},
		{"put d", []string{"dir/"}},
		{"put l", []string{"link/"}},
		{"put se", []string{`semi\;colon `}},
		{"help stat", []string{"stat ", "status "}},
		{"help wor", []string{"words "}},
		{"help stat x", nil},
		{"ls > pl", []string{"plain "}},
		{"ls | gre", nil},
		{"ls | grep pl", []string{"plain "}},
		{"ls | ./pl", []string{"./plain "}},
		{"!cat a", []string{`a\ b `}},
		{"!cat mo", []string{`mo\$ney `}},
		{`!cat "mo`, nil}, // sh would put a variable there
		{"put mo", []string{"mo$ney "}},
		{"sync u", []string{"up "}},
		{"sync -n up d", []string{"dir/"}},
		{"sync up dir d", nil}, // on the server, and there is none
		{"sync down d", nil},
		{"sync down x d", []string{"dir/"}},
		{"sync down x d y", nil},
		// What Tab inserts must never be a key, a command or something that cannot be seen.
		{"put pv", nil}, {"put esc", nil}, {"put c1", nil}, {"put bad", nil}, {"put \u202e", nil},
		{"put ", []string{`\[x\] `, `a\ b `, "cafe\u0301 ", "dir/", `it\'s `, "link/", "mo$ney ", "plain ", `semi\;colon `, "日本語 "}},
		{"put .h", []string{".hidden "}},
		{"put dir/x", []string{`dir/x\ y `, `dir/x\ z `}},
		{`put "dir/x`, []string{`"dir/x y" `, `"dir/x z" `}},
		{"put ~", []string{"~/"}},
		{"put ~/di", []string{"~/dir/"}},
		{`put '~/di`, nil}, // a directory with that name
		{"nothing x", nil},
		// options
		{"put --ex", []string{"--exclude "}},
		{"put --recu", []string{"--recursive "}},
		{"put -- --ex", nil},
		{"put plain --ex", []string{"--exclude "}},
		{"put --exclude d", nil}, // a pattern
		{"put --sync ", []string{"full ", "none "}},
		{"put --sync=n", []string{"--sync=none "}},
		{"get -rO d", []string{"dir/"}},
		{"get --dir=d", []string{"--dir=dir/"}},
		{"get --dir d", []string{"dir/"}},
		{"put -O d", nil}, // on the server
		{"history --script d", []string{"dir/"}},
		{"register x --invite-f", []string{"--invite-file "}},
		{"passwd --new-password-file d", []string{"dir/"}},
		{"find -na", []string{"-name "}},
		// what an alias stands for
		{"up d", []string{"dir/"}},
		{"up --ex", []string{"--exclude "}},
		{"upup pl", []string{"plain "}},
		// verbs, names of settings and addresses
		{"keys a", []string{"add "}},
		{"keys add ag", []string{"agent "}},
		{"keys add d", []string{"dir/"}},
		{"keys add agent d", nil},
		{"bookmark ", []string{"add ", "del ", "list "}},
		{"bookmark del w", []string{"work "}},
		{"bookmark add x wo", []string{"work "}},
		{"open wo", []string{"work "}},
		{"resume a", []string{"all "}},
		{"chmod d", nil},
		{"queue pu", []string{"put "}},
		{"queue put --ex", []string{"--exclude "}},
		{"queue up d", []string{"dir/"}},
		{"queue -d", nil},
		{"queue --de", []string{"--delete "}},
	} {
		if got := s.offered(t, c.line); !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.line, got, c.want)
		}
		for _, g := range s.offered(t, c.line) {
			if strings.HasPrefix(c.line, "!") {
				continue
			}
			words, err := Split("x " + strings.TrimSuffix(g, "/") + map[byte]string{'\'': "'", '"': `"`}[g[0]])
			if strings.HasSuffix(g, " ") {
				words, err = Split("x " + g)
			}
			if err != nil || len(words) != 1 {
				t.Errorf("%q inserts %q, which is not one word: %v", c.line, g, err)
			}
		}
	}
	if got := s.offered(t, "ls -"); !slices.Contains(got, "-R ") || len(got) < 8 {
		t.Errorf("ls - offers %q", got)
	}
	if got := s.offered(t, ""); len(got) < len(s.commands) {
		t.Errorf("an empty line offers %q", got)
	}
	if got, _ := s.Complete(t.Context(), "pu", 2); got != nil {
		t.Errorf("an answer to a question is completed with %q", got)
	}
}

// TestCompleteWithin: in the middle of a line, the rest of it stays, and a quote that is there is not put there again.
// TestCompleteForms: a name may be typed in another form than it is stored in.
func TestCompleteForms(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"cafe\u0301 noir", "u\u0308/e\u0301te\u0301", "\u1112\u1161\u11ab.txt", "\u00fc.txt"} {
		err := os.MkdirAll(filepath.Dir(name), 0o700)
		if err == nil {
			err = os.WriteFile(name, nil, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	s := New(Config{})
	s.typing = true
	for _, c := range []struct{ line, after, want string }{
		{"put caf\u00e9", "", "put cafe\u0301\\ noir "},
		{"put \"caf\u00e9 n", "\" x", "put \"cafe\u0301 noir\" x"},
		{"put u\u0308/\u00e9t", "", "put u\u0308/e\u0301te\u0301 "},
		{"put \u00fc/x", "", ""},
		{"put \ud55c", "", "put \u1112\u1161\u11ab.txt "},
		{"put u\u0308.", "", "put \u00fc.txt "},
		{"put \u00e9", "", ""},
	} {
		got := ""
		candidates, replace := s.Complete(t.Context(), c.line+c.after, len(c.line))
		for begin := time.Now(); candidates == nil && c.want != "" && time.Since(begin) < termtest.Patience; { // it gives up on a busy machine
			candidates, replace = s.Complete(t.Context(), c.line+c.after, len(c.line))
		}
		if len(candidates) == 1 {
			got = c.line[:len(c.line)-replace] + candidates[0].Text + c.after
		}
		if got != c.want {
			t.Errorf("%+q becomes %+q, want %+q", c.line+c.after, got, c.want)
		}
	}
}

func TestCompleteWithin(t *testing.T) {
	t.Chdir(t.TempDir())
	os.WriteFile("a b", nil, 0o600)
	s := New(Config{})
	for _, c := range []struct{ before, after, want string }{
		{`put "a`, `" -r`, `"a b`}, {`put "a`, ``, `"a b" `}, {`put a`, ` -r`, `a\ b `}, {`put 'a`, `'`, `'a b`},
	} {
		got, _ := s.complete(t.Context(), c.before+c.after, len(c.before))
		if len(got) != 1 || got[0].Text != c.want {
			t.Errorf("%s|%s: %q, want %q", c.before, c.after, got, c.want)
		}
	}
}

// TestCompleteSigns: a name that would be an option or the home is offered so that it is a name.
func TestCompleteSigns(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, dir := range []string{"-r", "~"} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	os.WriteFile("~/tilde", nil, 0o600)
	s := New(Config{})
	if got, want := s.offered(t, "put "), []string{"./-r/", "./~/"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := s.offered(t, "put '~/t"), []string{"'~/tilde' "}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestCompleteTable: every option that takes the name of a file, and every command that takes one, says on which side it lies.
func TestCompleteTable(t *testing.T) {
	for _, c := range table() {
		options := c.Options()
		options.VisitAll(func(f *pflag.Flag) {
			kind, _ := pflag.UnquoteUsage(f)
			file := strings.Contains(f.Usage, "a file") || slices.Contains([]string{"FILE", "DIR", "NAME"}, kind)
			if _, says := c.Values[f.Name]; file && f.NoOptDefVal == "" && !says {
				t.Errorf("%s --%s: Tab does not know what it takes", c.Name, f.Name)
			}
		})
		for name := range c.Values {
			if options.Lookup(name) == nil {
				t.Errorf("%s has no option --%s", c.Name, name)
			}
		}
		if c.Max != 0 && c.Args == Nowhere && c.Verbs == nil && c.Order == nil && !slices.Contains([]string{"!", "echo", "ln"}, c.Name) {
			t.Errorf("%s: Tab does not know what its arguments are", c.Name)
		}
	}
}

// TestLookups: what is asked for comes at once when it was asked for lately, and holds Tab up for no longer than it may.
func TestLookups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l lookups
		asked := 0
		ask := func(takes time.Duration, names ...string) func(context.Context) ([]string, error) {
			return func(ctx context.Context) ([]string, error) {
				asked++
				select {
				case <-time.After(takes):
					return slices.Clone(names), nil
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			}
		}
		tab := func(key string, ask func(context.Context) ([]string, error)) (names []string, took time.Duration) {
			ctx, cancel := context.WithTimeout(t.Context(), completionWait)
			defer cancel()
			begin := time.Now()
			names = l.find(ctx, key, ask)
			return names, time.Since(begin)
		}
		if names, _ := tab("quick", ask(time.Millisecond, "b", "a")); !slices.Equal(names, []string{"a", "b"}) {
			t.Errorf("found %q", names)
		}
		if _, took := tab("quick", ask(time.Millisecond, "c")); took != 0 || asked != 1 {
			t.Errorf("asked %d times, in %v", asked, took)
		}
		l.forget()
		if names, _ := tab("quick", ask(time.Millisecond, "c")); !slices.Equal(names, []string{"c"}) {
			t.Errorf("what was forgotten is still %q", names)
		}
		time.Sleep(lookupKept + time.Second)
		if names, _ := tab("quick", ask(time.Millisecond, "d")); !slices.Equal(names, []string{"d"}) {
			t.Errorf("what is old is still %q", names)
		}

		if names, took := tab("slow", ask(2*time.Second, "late")); names != nil || took != completionWait {
			t.Errorf("found %q after %v", names, took)
		}
		time.Sleep(2 * time.Second)
		for range 3 { // what was long in coming is kept for longer
			if names, took := tab("slow", ask(0)); !slices.Equal(names, []string{"late"}) || took != 0 {
				t.Errorf("the next Tab finds %q after %v", names, took)
			}
			time.Sleep(lookupKept)
		}

		fail := func(context.Context) ([]string, error) { return []string{"half"}, errors.New("failed") }
		if names, _ := tab("failing", fail); names != nil {
			t.Errorf("what failed is %q", names)
		}
		if names, _ := tab("failing", ask(0, "whole")); !slices.Equal(names, []string{"whole"}) {
			t.Errorf("what failed once is not asked again: %q", names)
		}

		l.forget()
		hang := make(chan struct{}) // a disk that hangs listens to nobody
		for i := range 3 * maxLookups {
			tab(fmt.Sprint(i), func(context.Context) ([]string, error) { <-hang; return nil, nil })
		}
		if l.busy != maxLookups {
			t.Errorf("%d lookups hang", l.busy)
		}
		if names, took := tab("more", ask(0, "x")); names != nil || took != 0 {
			t.Errorf("found %q after %v", names, took)
		}
		close(hang)
		synctest.Wait()
		if names, _ := tab("more", ask(0, "x")); !slices.Equal(names, []string{"x"}) {
			t.Errorf("found %q", names)
		}
		time.Sleep(10 * lookupEnds) // the timers
	})
}

// TestCompleteMany: of a large directory only the names that fit are looked at and spelled.
func TestCompleteMany(t *testing.T) {
	all := make([]string, 200_000)
	for i := range all {
		all[i] = fmt.Sprintf("file %06d", i)
	}
	if got := within("d/", "file 1999", all); len(got) != 100 || got[0].name != "d/file 199900" {
		t.Errorf("%d names from %v", len(got), got[:1])
	}
	if got := within("", "g", all); got != nil {
		t.Errorf("%d names begin with g", len(got))
	}
	s := New(Config{Settings: config.New("")})
	s.lookups.kept = map[string]*lookup{}
	wd, _ := os.Getwd()
	done := make(chan struct{})
	close(done)
	s.lookups.kept["here "+wd] = &lookup{done: done, names: all}
	candidates, _ := s.complete(t.Context(), "put fi", 6)
	if len(candidates) != len(all) || commonPrefix(candidates) != `file\ ` {
		t.Errorf("%d candidates begin with %q", len(candidates), commonPrefix(candidates))
	}
}
