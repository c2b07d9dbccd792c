package term

import (
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestEscape(t *testing.T) {
	for in, want := range map[string]string{
		"":                                     "",
		"report.pdf":                           "report.pdf",
		"Größe 日本 한글 😀":                        "Größe 日本 한글 😀",
		"a\u0301":                              "a\u0301",
		"\u0301a":                              `\u{301}a`,
		"\x1b[2Jx\r\n\t\x00":                   `\x1b[2Jx\x0d\x0a\x09\x00`,
		"\x7f\u0085\u009b":                     `\x7f\u{85}\u{9b}`,
		"\xff\xc3(":                            `\xff\xc3(`,
		"gpj.\u202eexe":                        `gpj.\u{202e}exe`,
		"a\u200bb\u00adc\ufeff":                `a\u{200b}b\u{ad}c\u{feff}`,
		"\u2028\u2029\u2066\u2069\u061c\u200e": `\u{2028}\u{2029}\u{2066}\u{2069}\u{61c}\u{200e}`,
		"x\U000e0041\U000e01ef":                `x\u{e0041}\u{e01ef}`,
		"a\u00a0b\u202fc":                      `a\u{a0}b\u{202f}c`,
		"a\u3000b":                             "a\u3000b",
		"\u3164\u115f\u2800":                   `\u{3164}\u{115f}\u{2800}`,
		"\u2764\ufe0f a\ufe0f":                 "\u2764\ufe0f a" + `\u{fe0f}`,
		"\ufffd":                               "\ufffd",
		`a\b`:                                  `a\b`,
		`a\x1b`:                                `a\\x1b`,
		`\u{85}`:                               `\\u{85}`,
		"\\\x1b":                               `\\\x1b`,
		`\\`:                                   `\\\`,
		`end\`:                                 `end\`,
		"Z" + strings.Repeat("\u0300", 5):      "Z" + strings.Repeat("\u0300", 4) + `\u{300}`,
	} {
		if got := Escape(in); got != want {
			t.Errorf("Escape(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestWidth(t *testing.T) {
	for in, want := range map[string]int{
		"": 0, "abc": 3, "Größe": 5, "日本": 4, "a\u0301": 1, "😀": 2, "ｱ": 1, "Ａ": 2, "한": 2, "\u1112\u1161\u11ab": 2,
		"…": 1, "\u2764\ufe0f": 2, "\u3000": 2,
	} {
		if got := Width(in); got != want {
			t.Errorf("Width(%q) = %d, want %d", in, got, want)
		}
	}
}

func TestTruncate(t *testing.T) {
	for _, test := range []struct {
		in    string
		cells int
		want  string
	}{
		{"report.pdf", 10, "report.pdf"},
		{"report.pdf", 9, "report.p…"},
		{"日本語", 5, "日本…"},
		{"日本語", 4, "日…"},
		{"e\u0301e\u0301e\u0301", 2, "e\u0301…"},
		{"abc", 1, "…"},
		{"abc", 0, ""},
	} {
		if got := Truncate(test.in, test.cells); got != test.want {
			t.Errorf("Truncate(%q, %d) = %q, want %q", test.in, test.cells, got, test.want)
		}
	}
}

// unescape reads what Escape wrote.
func unescape(t *testing.T, s string) string {
	var b strings.Builder
	for s != "" {
		switch {
		case strings.HasPrefix(s, `\\`):
			// Doubled only if an escape would begin here otherwise; three in a row are one doubled
			// backslash and what follows.
			b.WriteByte('\\')
			s = s[2:]
		case strings.HasPrefix(s, `\x`):
			c, err := strconv.ParseUint(s[2:4], 16, 8)
			if err != nil {
				t.Fatal(err)
			}
			b.WriteByte(byte(c))
			s = s[4:]
		case strings.HasPrefix(s, `\u{`):
			code, rest, _ := strings.Cut(s[3:], "}")
			r, err := strconv.ParseUint(code, 16, 21)
			if err != nil {
				t.Fatal(err)
			}
			b.WriteRune(rune(r))
			s = rest
		default:
			b.WriteByte(s[0])
			s = s[1:]
		}
	}
	return b.String()
}

func FuzzEscape(f *testing.F) {
	for _, s := range []string{"", "a b", "\x1b[31m", `\\\x1b`, "\\\x1b", `\u{85}`, "日\u0301\u0301\u0301\u0301\u0301", "\u202e\xff", `\`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		out := Escape(s)
		if !utf8.ValidString(out) {
			t.Fatalf("Escape(%q) is not UTF-8: %q", s, out)
		}
		for _, r := range out {
			if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
				t.Fatalf("Escape(%q) holds %U", s, r)
			}
		}
		if back := unescape(t, out); back != s {
			t.Fatalf("Escape(%q) = %q, which reads as %q", s, out, back)
		}
		if w := Width("|" + out + "|"); w != 2+Width(out) {
			t.Fatalf("Escape(%q) has width %d alone and %d in a line", s, Width(out), w-2)
		}
		if cut := Truncate(out, 10); Width(cut) > 10 {
			t.Fatalf("Truncate(%q, 10) takes %d cells", out, Width(cut))
		}
	})
}
