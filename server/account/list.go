package account

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"
)

// isTables reports whether a value is written as [[tables]].
func isTables(v any) bool {
	_, ok := v.([]map[string]any)
	return ok
}

// tables writes rules as tables of an account.
func (t *Text) tables(name string, rules []map[string]any) string {
	s := ""
	for _, r := range rules {
		s += t.eol + "[[users." + heading(name) + ".rules]]" + t.eol + "path = " + render(r["path"]) + t.eol + "rights = " + render(r["rights"]) + t.eol
	}
	return s
}

// putTables is put for rules. Those that stay keep their text and their place.
func (t *Text) putTables(name, key string, v any) error {
	a := t.account(name)
	old, _ := a[key].([]map[string]any)
	if inline := a[key] != nil && old == nil; inline {
		list := []any{}
		for _, r := range v.([]map[string]any) {
			list = append(list, r)
		}
		return t.put(name, key, list)
	}
	wanted, _ := v.([]map[string]any)
	kept, err := t.keepTables(name, key, old, wanted)
	if err != nil {
		return err
	}
	for _, r := range wanted {
		if ruleOf(kept, r["path"]) != nil {
			continue
		}
		at, err := t.tablesEnd(name, key)
		if err != nil {
			return err
		}
		t.insert(at, t.tables(name, []map[string]any{r}))
		kept = append(kept, r)
	}
	delete(a, key)
	switch {
	case len(kept) > 0:
		a[key] = kept
	case v != nil:
		return t.put(name, key, []any{})
	}
	return nil
}

// ruleOf finds the rule of a path.
func ruleOf(rules []map[string]any, path any) map[string]any {
	i := slices.IndexFunc(rules, func(r map[string]any) bool { return r["path"] == path })
	if i < 0 {
		return nil
	}
	return rules[i]
}

// keepTables removes the tables of rules that are no longer wanted and gives those whose rights differ the new ones.
func (t *Text) keepTables(name, key string, old, wanted []map[string]any) (kept []map[string]any, err error) {
	for i := len(old) - 1; i >= 0; i-- {
		items, bad := t.scan()
		if bad != nil {
			return nil, t.byHand("the text cannot be edited safely", "users", name)
		}
		at := nthTable(items, i, "users", name, key)
		want := ruleOf(wanted, old[i]["path"])
		switch {
		case at < 0:
			return nil, t.byHand("the rules are not written as [[users."+name+".rules]] tables", "users", name, key)
		case want == nil:
			t.removeTable(items, at)
			continue
		case reflect.DeepEqual(want, old[i]):
		default:
			rights := slices.IndexFunc(items[at:], func(it item) bool {
				return it.kind == pair && slices.Equal(it.path, []string{"users", name, key, "rights"})
			})
			if rights < 0 || items[at+rights].inner {
				return nil, t.byHand("the rights have comments inside", "users", name, key)
			}
			t.splice(items[at+rights].value, items[at+rights].valueEnd, render(want["rights"]))
		}
		kept = append(kept, want)
	}
	slices.Reverse(kept)
	return kept, nil
}

// nthTable returns where the nth [[table]] of a path is in items, -1 if there is none.
func nthTable(items []item, n int, path ...string) int {
	for i, it := range items {
		if it.kind != arrayHeader || !slices.Equal(it.path, path) {
			continue
		}
		if n == 0 {
			return i
		}
		n--
	}
	return -1
}

// tablesEnd returns where a new table of rules goes: behind the last one, or behind the account.
func (t *Text) tablesEnd(name, key string) (int, error) {
	head, body, err := t.section(name)
	if err != nil {
		return 0, err
	}
	last := head
	if len(body) > 0 {
		last = body[len(body)-1]
	}
	items, _ := t.scan()
	inside := false
	for _, it := range items {
		if it.kind != pair {
			inside = it.kind == arrayHeader && slices.Equal(it.path, []string{"users", name, key})
		}
		if inside {
			last = it
		}
	}
	return last.end, nil
}

// AddKey adds a public key to an account, on a line of its own where the list has lines. The account may be missing
// (ErrNotFound), the key refused or there already (EditError).
func (t *Text) AddKey(name, key string) error {
	a := t.account(name)
	if a == nil {
		return ErrNotFound
	}
	if k, err := ParsePublicKey(key); err != nil {
		return &EditError{Msg: err.Error(), Advice: "give the text of a .pub file, such as ssh-ed25519 AAAA... name"}
	} else if findKey(a, k) >= 0 {
		return &EditError{Msg: "the account has this key already"}
	}
	list, _ := a["keys"].([]any)
	if len(list) == 0 {
		return t.put(name, "keys", []any{key})
	}
	old, spans, err := t.list(name, "keys", len(list))
	if err != nil {
		return err
	}
	last := spans[len(spans)-1]
	lineStart := bytes.LastIndexByte(t.text[:last.from], '\n') + 1
	indent := t.text[lineStart:last.from]
	rest := bytes.IndexByte(t.text[last.end:old.valueEnd], '\n')
	switch {
	case rest < 0 || len(bytes.TrimSpace(indent)) > 0: // the bracket closes on the line of the last key
		t.splice(last.to, last.to, ", "+render(key))
	default: // behind that line and its comment
		at := last.end + rest + 1
		comma := ""
		if last.end > last.to {
			comma = ","
		}
		t.splice(at, at, string(indent)+render(key)+comma+t.eol)
		if last.end == last.to {
			t.splice(last.to, last.to, ",")
		}
	}
	a["keys"] = append(list[:len(list):len(list)], key)
	return nil
}

// DeleteKey removes the public key that which finds. The account may be missing (ErrNotFound), and so may the key, or it may be
// written among others in a way that must be edited by hand (EditError).
func (t *Text) DeleteKey(name string, which func(PublicKey) bool) error {
	a := t.account(name)
	if a == nil {
		return ErrNotFound
	}
	list, _ := a["keys"].([]any)
	at := slices.IndexFunc(list, func(v any) bool {
		s, _ := v.(string)
		k, err := ParsePublicKey(s)
		return err == nil && which(k)
	})
	switch {
	case at < 0:
		return &EditError{Msg: "the account has no such key"}
	case len(list) == 1:
		return t.put(name, "keys", nil)
	}
	_, spans, err := t.list(name, "keys", len(list))
	if err != nil {
		return err
	}
	s := spans[at]
	lineStart := bytes.LastIndexByte(t.text[:s.from], '\n') + 1
	lineEnd := s.end + bytes.IndexByte(append(t.text[s.end:len(t.text):len(t.text)], '\n'), '\n')
	after := bytes.TrimSpace(t.text[s.end:lineEnd])
	switch {
	case len(bytes.TrimSpace(t.text[lineStart:s.from])) == 0 && (len(after) == 0 || after[0] == '#'): // a line of its own
		t.splice(lineStart, lineEnd+1, "")
	case at < len(list)-1:
		t.splice(s.from, spans[at+1].from, "")
	default:
		t.splice(spans[at-1].to, s.to, "")
	}
	a["keys"] = slices.Delete(slices.Clone(list), at, at+1)
	return nil
}

// findKey returns where an account has a public key, -1 if it does not.
func findKey(a map[string]any, key PublicKey) int {
	list, _ := a["keys"].([]any)
	return slices.IndexFunc(list, func(v any) bool {
		s, _ := v.(string)
		k, err := ParsePublicKey(s)
		return err == nil && bytes.Equal(k.Marshal(), key.Marshal())
	})
}

// span is where an element of a list is: its text and, up to end, the comma behind it.
type span struct{ from, to, end int }

// list finds the n strings of a list that is the value of a key.
func (t *Text) list(name, key string, n int) (item, []span, error) {
	_, body, err := t.section(name)
	if err != nil {
		return item{}, nil, err
	}
	old, found, err := t.pair(body, name, key)
	if err != nil {
		return item{}, nil, err
	}
	spans, err := elements(t.text, old.value, old.valueEnd)
	if !found || err != nil || len(spans) != n {
		return item{}, nil, t.byHand("the list of "+key+" cannot be edited safely", "users", name, key)
	}
	return old, spans, nil
}

// elements finds the strings of the list text[from:to].
func elements(text []byte, from, to int) ([]span, error) {
	s := &scanner{text: string(text[:to]), pos: from + 1, line: 1}
	var spans []span
	for s.err == nil && s.pos < to-1 {
		switch c := s.peek(); c {
		case '"', '\'':
			at := s.pos
			s.str()
			spans = append(spans, span{at, s.pos, s.pos})
		case ',':
			s.pos++
			if len(spans) > 0 {
				spans[len(spans)-1].end = s.pos
			}
		case '#':
			s.comment()
		case ' ', '\t', '\r', '\n':
			s.pos++
		default:
			return nil, errors.New("not a list of strings")
		}
	}
	if s.err != nil {
		return nil, errors.New("not a list of strings")
	}
	return spans, nil
}

// AddAll appends the accounts of another users.toml with all their keys, and those that its [defaults] gave them. A name may
// be in use (ErrExists).
func (t *Text) AddAll(file string, text []byte) ([]*Account, error) {
	other, err := newText(file, text)
	if err != nil {
		return nil, err
	}
	defaults, _ := other.want["defaults"].(map[string]any)
	var added []*Account
	for a := range other.was.All() {
		if t.account(a.Name) != nil {
			return nil, fmt.Errorf("%s: %w", a.Name, ErrExists)
		}
		if err := t.Add(a.Name); err != nil {
			return nil, err
		}
		values := maps.Clone(defaults)
		if values == nil {
			values = map[string]any{}
		}
		maps.Copy(values, other.account(a.Name))
		lines, rules := "", ""
		for _, k := range Keys() {
			switch v := values[k.Name].(type) {
			case nil:
			case []map[string]any:
				rules = t.tables(a.Name, v)
			case time.Time: // a date without quotes
				values[k.Name] = a.Expires
				lines += k.Name + " = " + render(a.Expires) + t.eol
			default:
				lines += k.Name + " = " + render(v) + t.eol
			}
		}
		t.splice(len(t.text), len(t.text), lines+rules)
		t.want["users"].(map[string]any)[a.Name] = values
		added = append(added, a)
	}
	return added, nil
}
