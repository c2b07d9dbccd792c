package account

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// maxFile is the largest users.toml that is read, in bytes.
const maxFile = 8 << 20

// Error says what is wrong with users.toml.
type Error struct {
	File   string // as it was given to Parse or Open
	Line   int    // from 1; 0 if it is about the file as a whole
	Msg    string // never holds a credential
	Advice string // what to do about it, may be ""
}

// Error returns "FILE:LINE: message".
func (e *Error) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Msg
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Msg)
}

// Hint returns what to do about it, "" if that is plain.
func (e *Error) Hint() string { return e.Advice }

// Parse reads the text of a users.toml of at most 8 MiB. The file's name is
// only used in messages. Every error is an *Error.
func Parse(file string, text []byte) (*Set, error) {
	p := &parser{file: file}
	if err := p.decode(text); err != nil {
		return nil, err
	}
	return p.set()
}

// parser turns one text into a Set.
type parser struct {
	file  string
	items []item
	order []toml.Key     // every key in file order
	model map[string]any // the decoded text
	lines map[string]int // first line of each path and of its beginnings, keyed by join
}

func join(path ...string) string { return strings.Join(path, "\x00") }

func (p *parser) errorf(line int, advice, format string, args ...any) *Error {
	return &Error{File: p.file, Line: line, Msg: fmt.Sprintf(format, args...), Advice: advice}
}

// decode fills p and refuses what is not well-formed TOML.
func (p *parser) decode(text []byte) error {
	if len(text) > maxFile {
		return p.errorf(0, "split the accounts over several servers", "is larger than %d MiB", maxFile>>20)
	}
	items, bad := scan(text)
	if bad != nil && bad.msg != "" {
		return p.errorf(bad.line, "", "%s", bad.msg)
	}
	if bad != nil {
		// Only what leads up to the error: what follows was not checked for depth.
		text = text[:min(bad.pos+maxDepth, len(text))]
	}
	if err := p.index(items); err != nil {
		return err
	}
	md, err := toml.Decode(string(text), &p.model)
	var syntax toml.ParseError
	switch {
	case errors.As(err, &syntax):
		line := syntax.Position.Line
		if bad != nil {
			line = min(line, bad.line) // the library is one line late at a line's end
		}
		return p.errorf(line, "", "%s", discreet(syntax))
	case err != nil:
		return p.errorf(0, "", "not TOML")
	case bad != nil:
		return p.errorf(bad.line, "", "cannot read this line")
	}
	p.order = md.Keys()
	return nil
}

// discreet returns the library's message without anything that may be part of
// a credential.
func discreet(e toml.ParseError) string {
	if e.LastKey == "auth" || strings.HasSuffix(e.LastKey, ".auth") {
		return `auth is not one quoted string on one line`
	}
	words := strings.Fields(e.Message)
	for i, w := range words {
		words[i] = clip(w)
	}
	return strings.Join(words, " ")
}

// index fills p.items and p.lines and refuses a table that is defined twice,
// naming both lines.
func (p *parser) index(items []item) error {
	p.items, p.lines = items, map[string]int{}
	headers := map[string]int{}
	for _, it := range items {
		if first := headers[join(it.path...)]; first > 0 && it.kind == header {
			return p.errorf(it.line, "remove one of the two", "[%s] is already defined on line %d", clip(strings.Join(it.path, ".")), first)
		}
		if it.kind == header {
			headers[join(it.path...)] = it.line
		}
		for n := range it.path {
			if at := join(it.path[:n+1]...); p.lines[at] == 0 {
				p.lines[at] = it.line
			}
		}
	}
	return nil
}

// line returns where a path is first mentioned, or else what it is inside of.
func (p *parser) line(path ...string) int {
	for ; len(path) > 0; path = path[:len(path)-1] {
		if line := p.lines[join(path...)]; line > 0 {
			return line
		}
	}
	return 0
}

// set checks the decoded text and builds the accounts.
func (p *parser) set() (*Set, error) {
	for _, top := range []string{"users", "defaults"} {
		if _, ok := p.model[top].(map[string]any); p.model[top] != nil && !ok {
			return nil, p.errorf(p.line(top), "write it as a table: ["+top+map[string]string{"users": ".NAME"}[top]+"]", "%s must be a table", top)
		}
	}
	keys := map[string]Key{}
	for _, k := range Keys() {
		keys[k.Name] = k
	}
	defaults := Account{Rights: All}
	s := &Set{byName: map[string]*Account{}}
	folded := map[string]int{} // lower-case name -> line
	for _, path := range p.order {
		if path[0] != "users" && path[0] != "defaults" {
			return nil, p.errorf(p.line(path[:1]...), "accounts are tables like [users.alice]", "unknown key %q", clip(path[0]))
		}
		if path[0] == "defaults" && len(path) > 1 {
			if err := p.apply(&defaults, keys, "defaults", path[1]); err != nil {
				return nil, err
			}
		}
		if path[0] != "users" || len(path) < 2 || s.byName[path[1]] != nil {
			continue
		}
		a := &Account{Name: path[1], Home: path[1], Line: p.line(path[:2]...)}
		if err := CheckName(a.Name); err != nil {
			also := ""
			if first := folded[strings.ToLower(a.Name)]; first > 0 {
				also = fmt.Sprintf(", and %s is on line %d", strings.ToLower(a.Name), first)
			}
			return nil, p.errorf(a.Line, nameHint, "%v%s", err, also)
		}
		folded[a.Name] = a.Line
		s.byName[a.Name] = a
		s.accounts = append(s.accounts, a)
	}
	for _, a := range s.accounts {
		line, home := a.Line, a.Name
		*a = Account{Name: a.Name, Home: home, Rights: defaults.Rights, Line: line}
	}
	for _, path := range p.order {
		if path[0] == "users" && len(path) == 2 {
			if _, ok := p.model["users"].(map[string]any)[path[1]].(map[string]any); !ok {
				return nil, p.errorf(p.line(path...), "write it as a table: [users."+path[1]+"]", "users.%s must be a table", path[1])
			}
		}
		if path[0] == "users" && len(path) > 2 {
			if err := p.apply(s.byName[path[1]], keys, "users", path[1], path[2]); err != nil {
				return nil, err
			}
		}
	}
	p.warn(s)
	return s, p.disjoint(s)
}

// apply stores the value of one key in an account.
func (p *parser) apply(a *Account, keys map[string]Key, path ...string) error {
	last := len(path) - 1
	name, line, table := path[last], p.line(path...), p.model
	for _, part := range path[:last] {
		sub, ok := table[part].(map[string]any)
		if !ok {
			return p.errorf(line, "write it as a table: ["+strings.Join(path[:last], ".")+"]", "%s must be a table", strings.Join(path[:last], "."))
		}
		table = sub
	}
	subject := path[last-1]
	k, ok := keys[name]
	switch {
	case !ok:
		var names []string
		for _, k := range Keys() {
			names = append(names, k.Name)
		}
		return p.errorf(line, "known keys: "+strings.Join(names, ", "), "%s: unknown key %q", subject, clip(name))
	case subject == "defaults" && last == 1 && !k.defaults:
		return p.errorf(line, "give it to each account", "[defaults] cannot hold %q", name)
	}
	if err := k.set(a, table[name]); err != nil {
		return p.errorf(line, "for example: "+k.example, "%s: %s: %v", subject, name, err)
	}
	return nil
}

// warn notes the accounts that cannot log in.
func (p *parser) warn(s *Set) {
	for _, a := range s.accounts {
		if a.HasAuth {
			continue
		}
		why := "has no password"
		if p.lines[join("users", a.Name, "auth")] > 0 {
			why = "has a credential of a scheme that is not known here"
		}
		s.warnings = append(s.warnings, fmt.Sprintf("%s:%d: %s %s and cannot log in", p.file, p.line("users", a.Name, "auth"), a.Name, why))
	}
}

// disjoint refuses a home that is another one or lies inside it.
func (p *parser) disjoint(s *Set) error {
	sorted := slices.Clone(s.accounts)
	// With a slash after every component, whatever lies inside a home sorts
	// right behind it.
	slices.SortStableFunc(sorted, func(a, b *Account) int { return strings.Compare(a.Home+"/", b.Home+"/") })
	for i := 1; i < len(sorted); i++ {
		outer, inner := sorted[i-1], sorted[i]
		if !strings.HasPrefix(inner.Home+"/", outer.Home+"/") {
			continue
		}
		how := "lies inside"
		if inner.Home == outer.Home {
			how = "is also"
		}
		return p.errorf(p.line("users", inner.Name, "home"), "give each account a home of its own",
			"%s: home %q %s the home of %s (line %d)", inner.Name, inner.Home, how, outer.Name, p.line("users", outer.Name, "home"))
	}
	return nil
}
