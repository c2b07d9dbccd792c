package term

import (
	"strings"
	"testing"
)

func TestText(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"plain\ttext\n", "plain\ttext\n"},
		{"one\r\ntwo\r\n", "one\ntwo\n"},
		{"over\rwritten\n", `over\x0dwritten` + "\n"},
		{"\x1b]0;title\a\x1b[2J\n", `\x1b]0;title\x07\x1b[2J` + "\n"},
		{`C:\x41 \\ \u0041` + "\n", `C:\x41 \\ \u0041` + "\n"}, // text, not a name: nothing is doubled
		{"日本語 é 🎉\n", "日本語 é 🎉\n"},
		{"\u202egnp.exe\n", `\u{202e}gnp.exe` + "\n"},
		{"\xff\xfe\x00\n", `\xff\xfe\x00` + "\n"},
		{"cut \xe6\x97", `cut \xe6\x97`},
		{"end\r", `end\x0d`},
		{"", ""},
	} {
		for size := 1; size <= len(c.in)+1; size++ { // however it is cut
			var b strings.Builder
			w := &Text{W: &b}
			for at := 0; at < len(c.in); at += size {
				part := c.in[at:min(at+size, len(c.in))]
				if n, err := w.Write([]byte(part)); n != len(part) || err != nil {
					t.Fatalf("%q: %d, %v", part, n, err)
				}
			}
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
			if b.String() != c.want {
				t.Errorf("%q in parts of %d: %q, want %q", c.in, size, b.String(), c.want)
			}
		}
	}
}
