package shell

import (
	"strings"

	"ferry/client/term"
)

// What is quoted with a backslash where no quote is open: for our lexer, and for sh.
const (
	quotedHere  = " \t'\"\\;&|<>*?[]#!"
	quotedForSh = quotedHere + "$`(){}^~"
)

// spell writes name so that it continues what was typed, in the quoting that is open. A directory stays open for more. A
// name that a terminal would not show as it is, is not offered: what Tab inserts must be text, never a key or a command.
func (o offer) spell(typed, name string) (string, bool) {
	if term.Escape(name) != name || o.word.HasGlob() { // a pattern stays one, whatever is appended
		return "", false
	}
	rest := name[len(o.word.Text):]
	special := quotedHere
	if o.sh {
		special = quotedForSh
	}
	end := " "
	switch o.word.Open {
	case '\'':
		if strings.Contains(rest, "'") {
			return "", false
		}
		end = "' "
	case '"':
		if o.sh && strings.ContainsAny(rest, "$`") {
			return "", false
		}
		rest = strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(rest)
		end = `" `
	default:
		rest = backslashed(rest, special)
	}
	if strings.HasSuffix(name, "/") {
		end = ""
	}
	return typed + rest + end, true
}

// backslashed puts a backslash in front of special characters.
func backslashed(text, special string) string {
	if !strings.ContainsAny(text, special) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if strings.ContainsRune(special, r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}
