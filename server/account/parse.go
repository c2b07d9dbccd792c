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
// only used in messages. Every error is an *Error, the first of the file.
func Parse(file string, text []byte) (*Set, error) {
	p := &parser{file: file}
	if err := p.decode(text); err != nil {
		return nil, err
	}
	return p.set()
}

// Problems reads a users.toml as Load does and returns all that is wrong with it, in the order of the file; of a file that
// is not TOML only the first. It has the accounts if nothing is. The error is about a file that cannot be read.
func Problems(path string) (*Set, []*Error, error) {
	text, _, err := read(realOps(), path)
	var e *Error
	if errors.As(err, &e) {
		return nil, []*Error{e}, nil
	}
	if err != nil {
		return nil, nil, err
	}
	p := &parser{file: path}
	if err := p.decode(text); errors.As(err, &e) {
		return nil, []*Error{e}, nil
	}
	set, _ := p.set()
	return set, p.errs, nil
}

// parser turns one text into a Set.
type parser struct {
	file  string
	items []item
	order []toml.Key     // every key in file order
	model map[string]any // the decoded text
	lines map[string]int // first line of each path and of its beginnings, keyed by join; nil until a message needs one
	errs  []*Error       // what set found, in file order
}

func join(path ...string) string { return strings.Join(path, "\x00") }

func (p *parser) errorf(line int, advice, format string, args ...any) *Error {
	return &Error{File: p.file, Line: line, Msg: fmt.Sprintf(format, args...), Advice: advice}
}

// decode fills p and refuses what is not well-formed TOML.
func (p *parser) decode(data []byte) error {
	if len(data) > maxFile {
		return p.errorf(0, "split the accounts over several servers", "is larger than %d MiB", maxFile>>20)
	}
	text := string(data)
	items, bad := scan(text)
	if bad != nil && bad.msg != "" {
		return p.errorf(bad.line, "", "%s", bad.msg)
	}
	p.items = items
	if model, ok := plain(text, items); ok && bad == nil {
		p.model = model
		for _, it := range items {
			p.order = append(p.order, it.path)
		}
		return nil
	}
	return p.decodeAny(text, bad)
}

// decodeAny is decode by the TOML library, whatever the text looks like. A scan that ended early says where.
func (p *parser) decodeAny(text string, bad *scanError) error {
	if bad != nil {
		// Only what leads up to the error: what follows was not checked for depth.
		text = text[:min(bad.pos+maxDepth, len(text))]
	}
	md, err := toml.Decode(text, &p.model)
	if err != nil {
		if twice := p.twice(); twice != nil {
			return twice
		}
	}
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

// twice finds the first table that is defined a second time, and names both lines.
func (p *parser) twice() error {
	headers := map[string]int{}
	for _, it := range p.items {
		if it.kind != header {
			continue
		}
		path := join(it.path...)
		if first := headers[path]; first > 0 {
			return p.errorf(it.line, "remove one of the two", "[%s] is already defined on line %d", clip(strings.Join(it.path, ".")), first)
		}
		headers[path] = it.line
	}
	return nil
}

// index fills p.lines.
func (p *parser) index() {
	p.lines = map[string]int{}
	tables := map[string]int{} // how many of each array of tables were seen
	for _, it := range p.items {
		p.mention(it.line, it.path)
		if it.kind == arrayHeader {
			tables[join(it.path...)]++
		}
		for n := len(it.path); n > 1 && len(tables) > 0; n-- {
			if count := tables[join(it.path[:n]...)]; count > 0 {
				p.mention(it.line, slices.Concat(it.path[:n], []string{fmt.Sprint(count - 1)}, it.path[n:]))
			}
		}
	}
}

// mention notes the first line of a path and of all it is inside of.
func (p *parser) mention(line int, path []string) {
	whole := join(path...)
	end := -1
	for _, part := range path {
		end += 1 + len(part)
		if at := whole[:end]; p.lines[at] == 0 {
			p.lines[at] = line
		}
	}
}

// line returns where a path is first mentioned, or else what it is inside of.
func (p *parser) line(path ...string) int {
	if p.lines == nil {
		p.index()
	}
	for ; len(path) > 0; path = path[:len(path)-1] {
		if line := p.lines[join(path...)]; line > 0 {
			return line
		}
	}
	return 0
}

// set checks the decoded text and builds the accounts. All that is wrong is in p.errs afterwards, the first of it is the error.
func (p *parser) set() (*Set, error) {
	keys := map[string]Key{}
	for _, k := range Keys() {
		keys[k.Name] = k
	}
	defaults := p.defaults(keys)
	s := p.accounts(defaults)
	var last []string // the key that was applied last; its parts follow it
	for _, path := range p.order {
		if path[0] != "users" || len(path) < 3 || begins(path, last...) && last != nil {
			continue
		}
		last = path[:3]
		if a := s.byName[path[1]]; a != nil {
			p.apply(a, keys, last)
		}
	}
	p.disjoint(s)
	if len(p.errs) > 0 {
		slices.SortStableFunc(p.errs, func(x, y *Error) int { return x.Line - y.Line })
		p.errs = slices.CompactFunc(p.errs, func(x, y *Error) bool { return *x == *y })
		return nil, p.errs[0]
	}
	p.warn(s)
	return s, nil
}

// refuse notes an error.
func (p *parser) refuse(line int, advice, format string, args ...any) {
	p.errs = append(p.errs, p.errorf(line, advice, format, args...))
}

// defaults reads [defaults].
func (p *parser) defaults(keys map[string]Key) *Account {
	d := &Account{Rights: All}
	if _, ok := p.model["defaults"].(map[string]any); p.model["defaults"] != nil && !ok {
		p.refuse(p.line("defaults"), "write it as a table: [defaults]", "defaults must be a table")
		return d
	}
	for _, path := range p.order {
		if path[0] == "defaults" && len(path) > 1 {
			p.apply(d, keys, path[:2])
		}
	}
	return d
}

// accounts makes one account of each table of users, in file order, as it is before its keys are applied.
func (p *parser) accounts(defaults *Account) *Set {
	users, ok := p.model["users"].(map[string]any)
	s := &Set{byName: make(map[string]*Account, len(users)), defaults: defaults}
	if p.model["users"] != nil && !ok {
		p.refuse(p.line("users"), "write it as a table: [users.NAME]", "users must be a table")
	}
	for _, path := range p.order {
		if path[0] != "users" && path[0] != "defaults" {
			p.refuse(p.line(path[:1]...), "accounts are tables like [users.alice]", "unknown key %q", clip(path[0]))
		}
		if path[0] != "users" || len(path) < 2 || s.byName[path[1]] != nil || !ok {
			continue
		}
		name := path[1]
		if err := CheckName(name); err != nil {
			also := ""
			if first := s.byName[strings.ToLower(name)]; first != nil {
				also = fmt.Sprintf(", and %s is on line %d", first.Name, p.line("users", first.Name))
			}
			p.refuse(p.line(path[:2]...), nameHint, "%v%s", err, also)
			continue
		}
		if _, ok := users[name].(map[string]any); !ok {
			p.refuse(p.line(path[:2]...), "write it as a table: [users."+name+"]", "users.%s must be a table", name)
			continue
		}
		a := *defaults
		a.Name, a.Home = name, name
		s.byName[name] = &a
		s.accounts = append(s.accounts, &a)
	}
	p.place(s)
	return s
}

// place notes where each account begins.
func (p *parser) place(s *Set) {
	users := 0 // where they begin: the line of those that have none of their own
	for _, it := range slices.Backward(p.items) {
		if it.path[0] != "users" {
			continue
		}
		users = it.line
		if len(it.path) > 1 {
			if a := s.byName[it.path[1]]; a != nil {
				a.Line = it.line
			}
		}
	}
	for _, a := range s.accounts {
		if a.Line == 0 {
			a.Line = users
		}
	}
}

// apply stores the value of a key, of which path is the whole, in an account.
func (p *parser) apply(a *Account, keys map[string]Key, path []string) {
	table := p.model
	for _, part := range path[:len(path)-1] {
		table, _ = table[part].(map[string]any)
	}
	subject, name := path[len(path)-2], path[len(path)-1]
	k, known := keys[name]
	switch {
	case !known:
		p.refuse(p.line(path...), unknownHint(path, table[name]), "%s: unknown key %q", subject, clip(name))
		return
	case len(path) == 2 && !k.defaults:
		p.refuse(p.line(path...), "give it to each account", "[defaults] cannot hold %q", name)
		return
	}
	if err := k.set(a, table[name]); err != nil {
		var part *partError
		if errors.As(err, &part) {
			path = slices.Concat(path, part.path)
		}
		p.refuse(p.line(path...), "for example: "+k.example, "%s: %s: %v", subject, name, err)
	}
}

// unknownHint says what may have been meant by an unknown key.
func unknownHint(path []string, value any) string {
	dotted := strings.Join(path[1:], ".")
	_, table := value.(map[string]any)
	switch {
	case table && path[0] == "users" && CheckName(dotted) == nil:
		return fmt.Sprintf("the name of an account with a dot is quoted: [users.%q]", dotted)
	case path[len(path)-1] == "password":
		return "ferryd user passwd NAME makes the line that begins with auth"
	}
	return "known keys: " + keyNames()
}

// warn notes the accounts that cannot log in.
func (p *parser) warn(s *Set) {
	users, _ := p.model["users"].(map[string]any)
	for _, a := range s.accounts {
		if a.HasAuth || len(a.Keys) > 0 {
			continue
		}
		line, why := a.Line, "has no password"
		if table, _ := users[a.Name].(map[string]any); table["auth"] != nil {
			line, why = p.line("users", a.Name, "auth"), "has a credential of a scheme that is not known here"
		}
		s.warnings = append(s.warnings, fmt.Sprintf("%s:%d: %s %s and cannot log in", p.file, line, a.Name, why))
	}
}

// disjoint refuses a home that is another one or lies inside it.
func (p *parser) disjoint(s *Set) {
	sorted := make([]string, len(s.accounts))
	owner := make(map[string]*Account, len(s.accounts))
	for i, a := range s.accounts {
		// With a slash after every component, whatever lies inside a home sorts
		// right behind it.
		sorted[i] = a.Home + "/"
		if first := owner[sorted[i]]; first != nil {
			p.overlap(a, first, "is also")
			continue
		}
		owner[sorted[i]] = a
	}
	slices.Sort(sorted)
	outer := ""
	for _, home := range sorted {
		if home != outer && outer != "" && strings.HasPrefix(home, outer) {
			p.overlap(owner[home], owner[outer], "lies inside")
			continue
		}
		outer = home
	}
}

func (p *parser) overlap(a, with *Account, how string) {
	p.refuse(p.line("users", a.Name, "home"), "give each account a home of its own", "%s: home %q %s the home of %s (line %d)",
		a.Name, a.Home, how, with.Name, p.line("users", with.Name, "home"))
}
