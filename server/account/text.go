package account

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Errors that the verbs of Text return, wrapped with more words.
var (
	ErrExists   = errors.New("name in use")
	ErrNotFound = errors.New("no such user")
)

// EditError says why an edit was refused. The file is as it was.
type EditError struct {
	Msg    string // never holds a credential
	Advice string // what to do instead, may be ""
}

// Error returns the message.
func (e *EditError) Error() string { return e.Msg }

// Hint returns what to do instead, "" if that is plain.
func (e *EditError) Hint() string { return e.Advice }

// Text is a users.toml being edited. Its verbs splice the text, so that
// comments, order and line endings stay as people wrote them, and keep beside
// it what the text must decode to; finish compares the two.
type Text struct {
	file  string
	text  []byte
	was   *Set
	want  map[string]any // what the text must decode to in the end
	eol   string
	lines *parser // of the text as it was, for messages

	old    []byte                    // the text as it was
	head   int                       // so many of its first bytes were not touched,
	tail   int                       // and so many of its last
	edited map[string]map[string]any // the accounts that verbs looked for, as they were; nil for one that was not there
	items  []item                    // of the text as it is, nil if not known
	inline bool                      // users is written as an inline table

	prepare []func() error
}

// Change gives a key the value that the text of the option --Key means; "" removes the key.
type Change struct{ Key, Option string }

// newText begins an edit of a valid text; any other is an *Error.
func newText(file string, text []byte) (*Text, error) {
	p := &parser{file: file}
	if err := p.decode(text); err != nil {
		return nil, err
	}
	was, err := p.set()
	if err != nil {
		return nil, err
	}
	t := &Text{file: file, text: text, was: was, want: p.model, eol: "\n", lines: p,
		old: text, head: len(text), tail: len(text), edited: map[string]map[string]any{}, items: p.items}
	t.inline = slices.ContainsFunc(p.items, func(it item) bool { return it.kind == pair && slices.Equal(it.path, []string{"users"}) })
	if i := bytes.IndexByte(text, '\n'); i > 0 && text[i-1] == '\r' {
		t.eol = "\r\n"
	}
	if t.want == nil {
		t.want = map[string]any{}
	}
	return t, nil
}

// Accounts returns the accounts as they were before the edit.
func (t *Text) Accounts() *Set { return t.was }

// Outcome returns the accounts as the edit so far would make them, if it is about the named one.
func (t *Text) Outcome(name string) (set *Set, touched bool, err error) {
	if _, touched = t.edited[name]; !touched {
		return nil, false, nil
	}
	set, err = Parse(t.file, t.text)
	return set, true, verdict(err)
}

// Prepare lets f run when the outcome has been found valid, right before it replaces the file. An error of f keeps the file.
func (t *Text) Prepare(f func() error) { t.prepare = append(t.prepare, f) }

// byHand refuses to touch what is written in a way the splice does not know.
func (t *Text) byHand(why string, path ...string) error {
	return &EditError{Msg: why, Advice: fmt.Sprintf("edit line %d of %s by hand", max(t.lines.line(path...), 1), t.file)}
}

// account returns the wanted table of an account, nil if there is none.
func (t *Text) account(name string) map[string]any {
	users, _ := t.want["users"].(map[string]any)
	a, _ := users[name].(map[string]any)
	if _, known := t.edited[name]; !known {
		t.edited[name] = maps.Clone(a)
	}
	return a
}

// Add appends an account with the given keys. The name may be refused (EditError)
// or in use (ErrExists), a value refused (EditError).
func (t *Text) Add(name string, keys ...Change) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if t.account(name) != nil {
		return ErrExists
	}
	if t.inline {
		return t.byHand("users is written as an inline table", "users")
	}
	account, lines, rules := map[string]any{}, "", ""
	for _, c := range keys {
		v, err := valueOf(c)
		if err != nil {
			return err
		}
		if v == nil {
			continue
		}
		account[c.Key] = v
		if tables, ok := v.([]map[string]any); ok {
			rules += t.tables(name, tables)
		} else {
			lines += c.Key + " = " + render(v) + t.eol
		}
	}
	if t.want["users"] == nil {
		t.want["users"] = map[string]any{}
	}
	t.want["users"].(map[string]any)[name] = account
	var gap string
	if len(t.text) > 0 {
		gap = t.eol
		if t.text[len(t.text)-1] != '\n' {
			gap += t.eol
		}
	}
	t.splice(len(t.text), len(t.text), gap+"[users."+heading(name)+"]"+t.eol+lines+rules)
	return nil
}

// heading writes a name as a part of a header.
func heading(name string) string {
	if strings.Contains(name, ".") {
		return quote(name)
	}
	return name
}

// valueOf returns the TOML value of a key, nil if it is to be removed.
func valueOf(c Change) (any, error) {
	k, known := keyNamed(c.Key)
	if !known {
		return nil, &EditError{Msg: fmt.Sprintf("unknown key %q", clip(c.Key))}
	}
	if c.Option == "" {
		return nil, nil
	}
	return k.value(c.Option)
}

// Set gives a key the value that the text of the command-line option --key
// means; "" removes the key. The account may be missing (ErrNotFound) and the
// value refused (EditError).
func (t *Text) Set(name, key, option string) error {
	a := t.account(name)
	if a == nil {
		return ErrNotFound
	}
	v, err := valueOf(Change{key, option})
	if err != nil {
		return err
	}
	return t.put(name, key, v)
}

// Off makes a key say nothing: it removes it, and where [defaults] have it gives the account the value that takes that
// back. The account may be missing (ErrNotFound).
func (t *Text) Off(name, key string) error {
	k, known := keyNamed(key)
	switch {
	case !known:
		return &EditError{Msg: fmt.Sprintf("unknown key %q", clip(key))}
	case t.account(name) == nil:
		return ErrNotFound
	}
	defaults, _ := t.want["defaults"].(map[string]any)
	if _, common := defaults[key]; common && k.off != nil {
		return t.put(name, key, k.off)
	}
	return t.put(name, key, nil)
}

// put gives a key of an account a value, or removes it if that is nil.
func (t *Text) put(name, key string, v any) error {
	a := t.account(name)
	if _, tables := a[key].([]map[string]any); tables || isTables(v) {
		return t.putTables(name, key, v)
	}
	if v == nil {
		return t.clear(name, key, a)
	}
	value := render(v)
	head, body, err := t.section(name)
	if err != nil {
		return err
	}
	old, found, err := t.pair(body, name, key)
	switch {
	case err != nil:
		return err
	case found && old.inner && !reflect.DeepEqual(a[key], v):
		return t.byHand("the value of "+key+" has comments inside", "users", name, key)
	case found && !reflect.DeepEqual(a[key], v):
		t.splice(old.value, old.valueEnd, value)
	case !found && a[key] != nil:
		return t.byHand(key+" is not in the account's table", "users", name, key)
	case !found:
		last := head
		if len(body) > 0 {
			last = body[len(body)-1]
		}
		t.insert(last.end, key+" = "+value+t.eol)
	}
	a[key] = v
	return nil
}

// insert puts whole lines where another line ends.
func (t *Text) insert(at int, lines string) {
	if at > 0 && t.text[at-1] != '\n' {
		lines = t.eol + lines
	}
	t.splice(at, at, lines)
}

// clear removes a key's lines. A comment at their end stays, as a line of its own.
func (t *Text) clear(name, key string, a map[string]any) error {
	if a[key] == nil {
		return nil
	}
	_, body, err := t.section(name)
	if err != nil {
		return err
	}
	old, found, err := t.pair(body, name, key)
	switch {
	case err != nil:
		return err
	case !found:
		return t.byHand(key+" is not in the account's table", "users", name, key)
	case old.inner:
		return t.byHand("the value of "+key+" has comments inside", "users", name, key)
	}
	end := old.end
	if old.comment >= 0 {
		end = old.comment
	}
	t.splice(old.start, end, "")
	delete(a, key)
	return nil
}

// Delete removes an account with all its keys and the comments among them.
// Comments before and after it stay. The account may be missing (ErrNotFound).
func (t *Text) Delete(name string) error {
	if t.account(name) == nil {
		return ErrNotFound
	}
	if _, _, err := t.section(name); err != nil {
		return err
	}
	items, _ := t.scan()
	t.remove(items, "users", name)
	users := t.want["users"].(map[string]any)
	delete(users, name)
	if len(users) == 0 && !slices.ContainsFunc(items, func(it item) bool { return it.kind == header && len(it.path) == 1 && it.path[0] == "users" }) {
		delete(t.want, "users")
	}
	return nil
}

// remove removes the tables whose paths begin with path.
func (t *Text) remove(items []item, path ...string) {
	for i := len(items) - 1; i >= 0; i-- {
		if items[i].kind != pair && begins(items[i].path, path...) {
			t.removeTable(items, i)
		}
	}
}

// removeTable removes the lines of the table whose header is items[i]; what is behind it in items is still right afterwards.
func (t *Text) removeTable(items []item, i int) {
	start, end := items[i].start, items[i].end
	for j := i + 1; j < len(items) && items[j].kind == pair; j++ {
		end = items[j].end
	}
	// Of the blank lines on both sides one is enough.
	before := start > 0 && blankEnd(t.text[:start])
	if rest := t.text[end:]; before && (len(rest) == 0 || rest[0] == '\n' || bytes.HasPrefix(rest, []byte("\r\n"))) {
		start = len(bytes.TrimSuffix(bytes.TrimSuffix(t.text[:start], []byte("\n")), []byte("\r")))
	}
	t.splice(start, end, "")
}

// scan returns the items of the text as it is.
func (t *Text) scan() ([]item, *scanError) {
	if t.items == nil {
		items, bad := scan(string(t.text))
		if bad != nil {
			return nil, bad
		}
		t.items = items
	}
	return t.items, nil
}

// blankEnd reports whether text ends in an empty line.
func blankEnd(text []byte) bool {
	return bytes.HasSuffix(text, []byte("\n\n")) || bytes.HasSuffix(text, []byte("\n\r\n"))
}

func begins(path []string, with ...string) bool {
	return len(path) >= len(with) && slices.Equal(path[:len(with)], with)
}

// section finds the one [users.NAME] header and the pairs below it.
func (t *Text) section(name string) (head item, body []item, err error) {
	items, bad := t.scan()
	if bad != nil {
		return item{}, nil, t.byHand("the text cannot be edited safely", "users", name)
	}
	at := slices.IndexFunc(items, func(it item) bool {
		return it.kind == header && slices.Equal(it.path, []string{"users", name})
	})
	if at < 0 {
		return item{}, nil, t.byHand("the account is not written as a [users."+name+"] table", "users", name)
	}
	end := at + 1
	for end < len(items) && items[end].kind == pair {
		end++
	}
	return items[at], items[at+1 : end], nil
}

// pair finds the line of a key among the pairs of an account.
func (t *Text) pair(body []item, name, key string) (old item, found bool, err error) {
	for _, it := range body {
		switch {
		case !begins(it.path, "users", name, key):
		case len(it.path) > 3:
			return item{}, false, t.byHand(key+" is written as a dotted key", "users", name, key)
		default:
			return it, true, nil
		}
	}
	return item{}, false, nil
}

func (t *Text) splice(from, to int, with string) {
	t.head, t.tail, t.items = min(t.head, from), min(t.tail, len(t.text)-to), nil
	if from == len(t.text) && len(t.text) > len(t.old) {
		t.text = append(t.text, with...) // its own array since the first splice
		return
	}
	t.text = slices.Concat(t.text[:from], []byte(with), t.text[to:])
}

// render writes a value as TOML on one line.
func render(v any) string {
	switch v := v.(type) {
	case string:
		return quote(v)
	case []any:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = render(v[i])
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]any: // of an inline rule
		return "{ path = " + render(v["path"]) + ", rights = " + render(v["rights"]) + " }"
	default:
		return fmt.Sprint(v)
	}
}

// quote writes a TOML basic string (TOML 1.0 section "String").
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			b.WriteString(`\u` + strconv.FormatInt(0x10000+int64(r), 16)[1:])
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
