package account

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

// plain decodes a text that has only what the verbs write: [defaults], [users.NAME] and [[users.NAME.rules]], and keys of one part
// below them. Of any other, be it right or wrong, it returns false, and the TOML library decodes it as a whole, which takes several times as
// long. What plain does decode is what the library would make of it.
func plain(text string, items []item) (model map[string]any, ok bool) {
	if !utf8.ValidString(text) || !printable(text) {
		return nil, false
	}
	model = map[string]any{}
	var in []string          // the header above
	var table map[string]any // what it stands for
	for _, it := range items {
		if it.kind != pair {
			if table = newTable(model, it); table == nil || strings.Contains(text[it.start:it.valueEnd], `\`) {
				return nil, false
			}
			in = it.path
			continue
		}
		if table == nil || len(it.path) != len(in)+1 || strings.Contains(text[it.start:it.value], `\`) {
			return nil, false
		}
		key := it.path[len(in)]
		value, ok := decodeValue(text[it.value:it.valueEnd])
		if !ok || table[key] != nil {
			return nil, false
		}
		table[key] = value
	}
	return model, true
}

// printable reports whether a text has no control characters but tabs and line feeds. Carriage returns are for the library: it
// knows where they may stand.
func printable(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' && c != '\n' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// newTable makes the table of a header, nil if it is there already or not one that the verbs write.
func newTable(model map[string]any, it item) map[string]any {
	table := map[string]any{}
	switch {
	case !ordinary(it):
		return nil
	case len(it.path) == 1:
		return fresh(model, it.path[0], table)
	}
	users := implied(model, it.path[0])
	if it.kind == header {
		return fresh(users, it.path[1], table)
	}
	account, key := implied(users, it.path[1]), it.path[2]
	rules, array := account[key].([]map[string]any)
	if account[key] != nil && !array {
		return nil
	}
	account[key] = append(rules, table)
	return table
}

// fresh puts a table where there is nothing yet, and returns it; else nil.
func fresh(in map[string]any, key string, table map[string]any) map[string]any {
	if in[key] != nil {
		return nil
	}
	in[key] = table
	return table
}

// implied returns a table that needs no header of its own. Where ordinary tables are, there is nothing else.
func implied(in map[string]any, key string) map[string]any {
	table, _ := in[key].(map[string]any)
	if table == nil {
		table = map[string]any{}
		in[key] = table
	}
	return table
}

// decodeValue decodes one value. The library is for those that are not a string, a number, a boolean or a list of strings on one
// line without escapes.
func decodeValue(s string) (any, bool) {
	if v := plainValue(s); v != nil {
		return v, true
	}
	var one map[string]any
	_, err := toml.Decode("v = "+s, &one)
	return one["v"], err == nil && len(one) == 1
}

// plainValue returns a value, nil if it is not a plain one.
func plainValue(s string) any {
	switch {
	case s == "":
	case s == "true" || s == "false":
		return s == "true"
	case s[0] == '[':
		return plainList(s[1:])
	case s[0] == '"' || s[0] == '\'':
		if v, rest, ok := plainString(s); ok && rest == "" {
			return v
		}
	case strings.Trim(s, "0123456789") == "" && (s[0] != '0' || s == "0"):
		if n, err := strconv.ParseInt(s, 10, 64); err == nil {
			return n
		}
	}
	return nil
}

// plainString reads the string that s begins with.
func plainString(s string) (v, rest string, ok bool) {
	v, rest, ok = strings.Cut(s[1:], s[:1])
	return v, rest, ok && !strings.ContainsAny(v, "\\\n") && !strings.HasPrefix(rest, s[:1])
}

// plainList reads a list of strings behind its bracket.
func plainList(s string) any {
	list := []any{}
	for {
		s = strings.TrimLeft(s, " \t")
		switch {
		case s == "]":
			return list
		case s == "" || s[0] != '"' && s[0] != '\'':
			return nil
		}
		v, rest, ok := plainString(s)
		if !ok {
			return nil
		}
		list = append(list, v)
		if s, ok = strings.CutPrefix(strings.TrimLeft(rest, " \t"), ","); !ok && s != "]" {
			return nil
		}
	}
}
