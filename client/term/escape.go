package term

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"
)

// maxMarks is how many combining marks may stand on one letter; written languages need four,
// more of them only paint over other lines.
const maxMarks = 4

// Escape makes a foreign string safe to print: what moves the cursor, changes direction, is
// invisible, looks like a space or is not UTF-8 is shown as \xNN (a byte) or \u{NNNN} (a
// character beyond ASCII). Everything else stays. A backslash is doubled only where it would
// otherwise begin such an escape: before x, u, another backslash or an escape. Distinct strings
// stay distinct.
func Escape(s string) string {
	if isPlain(s) {
		return s
	}
	var b strings.Builder
	marks := maxMarks // on the letter before; at the start there is none to stand on
	var before rune
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		shown := s[i : i+n]
		switch {
		case isMark(r) && marks < maxMarks:
			marks++
		case isMark(r) || !visible(r, before) || r == utf8.RuneError && n == 1:
			marks = maxMarks
			if n == 1 {
				shown = fmt.Sprintf(`\x%02x`, s[i])
			} else {
				shown = fmt.Sprintf(`\u{%x}`, r)
			}
		default:
			marks = 0
		}
		if before == '\\' && strings.IndexByte(`xu\`, shown[0]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteString(shown)
		before = r
		i += n
	}
	return b.String()
}

// isPlain is the quick way for the usual name.
func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' || s[i] == '\\' {
			return false
		}
	}
	return true
}

func isMark(r rune) bool { return unicode.In(r, unicode.Mn, unicode.Me) && !isSelector(r) }

// isSelector reports a variation selector: invisible, it picks the look of the rune before it.
func isSelector(r rune) bool { return unicode.Is(unicode.Variation_Selector, r) }

// visible reports whether r shows as itself. The emoji selector U+FE0F does after a symbol.
func visible(r, before rune) bool {
	switch {
	case isSelector(r):
		return r == 0xFE0F && unicode.Is(unicode.So, before)
	case r == 0x3000: // the ideographic space has a width of its own
		return true
	case r == 0x2800: // the empty braille pattern is a symbol only in name
		return false
	}
	return unicode.IsPrint(r) && !unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r)
}

// Width returns the cells s takes on a terminal; s must have gone through Escape. East Asian
// wide and emoji take two, combining marks none.
func Width(s string) int {
	n := 0
	for _, r := range s {
		n += runeWidth(r)
	}
	return n
}

func runeWidth(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case r == 0xFE0F:
		return 1 // makes the narrow symbol before it wide; for one that was wide this is one too many
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case r >= 0x1160 && r <= 0x11FF: // vowels and finals join the Hangul initial before them
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// Truncate shortens s, which must have gone through Escape, to at most cells, with … as its
// last character if anything was cut off.
func Truncate(s string, cells int) string {
	if Width(s) <= cells {
		return s
	}
	used := 1 // the …
	for i, r := range s {
		if used += runeWidth(r); used > cells {
			if cells < 1 {
				return ""
			}
			return s[:i] + "…"
		}
	}
	return s
}
