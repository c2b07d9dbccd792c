package shell

import (
	"os"
	"slices"
	"testing"
)

func TestComplete(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"plain", "a b", "it's", "日本語", "pv\nrm\rtypo.txt", "esc\x1bc", "c1\u009b", "bad\xff", "\u202ertl", "semi;colon"} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir("dir", 0o700); err != nil {
		t.Fatal(err)
	}
	s := New(Config{})
	for _, c := range []struct {
		line string
		want []string
	}{
		{"pu", []string{"put "}},
		{"set par", []string{"parallel "}},
		{"set sync n", []string{"none "}},
		{"put pl", []string{"plain "}},
		{"put a", []string{`a\ b `}},
		{`put "a`, []string{`"a b" `}},
		{"put 'a", []string{"'a b' "}},
		{"put it", []string{`it\'s `}},
		{`put "it`, []string{`"it's" `}},
		{"put 'it", nil}, // cannot be written in these quotes
		{"put 日", []string{"日本語 "}},
		{"put d", []string{"dir/"}},
		{"put se", []string{`semi\;colon `}},
		{"help stat", []string{"stat ", "status "}},
		{"help wor", []string{"words "}},
		{"ls > pl", []string{"plain "}},
		{"ls | gre", nil},
		{"sync u", []string{"up "}},
		{"sync -n up d", []string{"dir/"}},
		{"sync up dir d", nil}, // on the server, and there is none
		{"sync down d", nil},
		{"sync down x d", []string{"dir/"}},
		// What Tab inserts must never be a key, a command or something that cannot be seen.
		{"put pv", nil}, {"put esc", nil}, {"put c1", nil}, {"put bad", nil}, {"put \u202e", nil},
		{"put ", []string{`a\ b `, "dir/", `it\'s `, "plain ", `semi\;colon `, "日本語 "}},
		{"nothing x", nil},
		{"", nil},
	} {
		got, _ := s.Complete(c.line, len(c.line))
		if c.line == "" {
			continue // all commands
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.line, got, c.want)
		}
		for _, g := range got {
			words, err := Split("x " + g)
			if err != nil || len(words) != 1 {
				t.Errorf("%q inserts %q, which is not one word: %v", c.line, g, err)
			}
		}
	}
}
