package term

import (
	"io"
	"strings"
	"unicode/utf8"
)

// Text is a writer that lets a foreign text through to a terminal and nothing that would command it: what Escape would not
// show is written as Escape does, but line ends, tabs and backslashes stay.
type Text struct {
	W    io.Writer
	rest []byte // not written yet: it may go on
}

// Write implements io.Writer. The last few bytes may wait for those that follow, or for Flush.
func (t *Text) Write(b []byte) (int, error) {
	all := append(t.rest, b...)
	whole := len(all) - unfinished(all)
	t.rest = append([]byte(nil), all[whole:]...)
	if _, err := io.WriteString(t.W, plainText(string(all[:whole]))); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Flush writes what waits.
func (t *Text) Flush() error {
	rest := t.rest
	t.rest = nil
	_, err := io.WriteString(t.W, plainText(string(rest)))
	return err
}

// unfinished returns how many bytes at the end may be the beginning of a character or a line end.
func unfinished(b []byte) int {
	if len(b) > 0 && b[len(b)-1] == '\r' {
		return 1
	}
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		if tail := b[len(b)-n:]; utf8.RuneStart(tail[0]) {
			if !utf8.FullRune(tail) {
				return n
			}
			break
		}
	}
	return 0
}

func plainText(s string) string {
	var b strings.Builder
	for {
		i := strings.IndexAny(s, "\n\t\\")
		if i < 0 {
			b.WriteString(Escape(s))
			return b.String()
		}
		part := s[:i]
		if s[i] == '\n' {
			part = strings.TrimSuffix(part, "\r")
		}
		b.WriteString(Escape(part))
		b.WriteByte(s[i])
		s = s[i+1:]
	}
}
