package account

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// maxRules bounds the rules of an account: every request looks through them.
const maxRules = 100

// Rule gives a directory or file, and all below it, rights of its own, which may be more or fewer than the account's.
type Rule struct {
	Path   string `json:"path"` // absolute and clean
	Rights Rights `json:"rights"`
}

// String writes a rule as the option --rules takes it: "/in=list,write".
func (r Rule) String() string { return r.Path + "=" + r.Rights.String() }

// RightsAt returns what the account may do at a path of its home, which must be absolute and clean: the rights of the rule
// with the longest path that is the path itself or above it, compared by components ("/in" is above "/in/x", not above
// "/inbox"), or else the account's own rights. Exec and Admin have no place: ask Rights for them.
//
// What needs which right: ls, stat, find, du: list (in a recursive listing at each directory). get, sum, the source of cp:
// read. put of a new name, mkdir, the target of cp and of mv: write. Replacing a file, by whatever command, and chmod and
// touch: overwrite. rm, rmdir: delete. mv: delete at the old path and write at the new one, both, for a directory, by
// RightsBelow; and it must not be a way to read: where the account may read the new path but not the old one, refuse it.
func (a *Account) RightsAt(path string) Rights {
	if r := a.RuleAt(path); r != nil {
		return r.Rights
	}
	return a.Rights
}

// RuleAt returns the rule that decides at a path, nil if none does.
func (a *Account) RuleAt(path string) *Rule {
	for i := range a.Rules { // longest path first
		if Within(path, a.Rules[i].Path) {
			return &a.Rules[i]
		}
	}
	return nil
}

// RightsBelow returns what the account may do at a path and at every path below it: for what acts on a whole directory in
// one step, such as mv.
func (a *Account) RightsBelow(path string) Rights {
	rights := a.RightsAt(path)
	for _, r := range a.Rules {
		if Within(r.Path, path) {
			rights &= r.Rights
		}
	}
	return rights
}

// RightsWithin returns what the account may do at a path or somewhere below it.
func (a *Account) RightsWithin(path string) Rights {
	rights := a.RightsAt(path)
	for _, r := range a.Rules {
		if Within(r.Path, path) {
			rights |= r.Rights
		}
	}
	return rights
}

// RightsSomewhere returns what the account may do at all, if only at one path.
func (a *Account) RightsSomewhere() Rights { return a.RightsWithin("/") | a.Rights&^All }

// Within reports whether a path is top or lies below it, by components; both are absolute and clean.
func Within(path, top string) bool {
	rest, ok := strings.CutPrefix(path, strings.TrimSuffix(top, "/"))
	return ok && (rest == "" || rest[0] == '/')
}

// setRules reads the tables of rules.
func setRules(a *Account, v any) error {
	tables, ok := ruleTables(v)
	if !ok {
		return errors.New("must be tables like [[users.NAME.rules]], or []")
	}
	if len(tables) > maxRules {
		return fmt.Errorf("are more than %d", maxRules)
	}
	var rules []Rule
	for i, table := range tables {
		r, err := newRule(i, table)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(rules, func(o Rule) bool { return o.Path == r.Path }) {
			return inside(fmt.Errorf("there are two for %q", clip(r.Path)), i, "path")
		}
		rules = append(rules, r)
	}
	slices.SortStableFunc(rules, func(x, y Rule) int { return len(y.Path) - len(x.Path) })
	a.Rules = rules
	return nil
}

// ruleTables returns the tables, which are of one type when they are [[tables]] and of another when they are written inline.
func ruleTables(v any) ([]map[string]any, bool) {
	switch v := v.(type) {
	case []map[string]any:
		return v, true
	case []any:
		var tables []map[string]any
		for _, v := range v {
			t, ok := v.(map[string]any)
			if !ok {
				return nil, false
			}
			tables = append(tables, t)
		}
		return tables, true
	}
	return nil, false
}

// newRule reads the nth table of rules.
func newRule(n int, table map[string]any) (Rule, error) {
	for key := range table {
		if key != "path" && key != "rights" {
			return Rule{}, inside(fmt.Errorf("unknown key %q: a rule has path and rights", clip(key)), n, key)
		}
	}
	p, ok := table["path"].(string)
	switch {
	case !ok:
		return Rule{}, inside(errors.New("a rule needs a path, a string"), n, "path")
	case line(p) != nil:
		return Rule{}, inside(fmt.Errorf("path %w", line(p)), n, "path")
	case !path.IsAbs(p) || path.Clean(p) != p || len(p) > 4096:
		return Rule{}, inside(fmt.Errorf("path %q is not the shortest spelling of a path that begins with /, the home", clip(p)), n, "path")
	}
	if table["rights"] == nil {
		return Rule{}, inside(errors.New("a rule needs rights"), n, "rights")
	}
	rights, err := rightsOf(table["rights"])
	if err == nil && rights&^All != 0 {
		err = errors.New("exec and admin cannot be given by a rule")
	}
	if err != nil {
		return Rule{}, inside(fmt.Errorf("rights of %q: %w", clip(p), err), n, "rights")
	}
	return Rule{Path: p, Rights: rights}, nil
}

// rulesOption reads "/in=list,write;/out=list,read", or "none".
func rulesOption(s string) (any, error) {
	if s == none {
		return []any{}, nil
	}
	var tables []map[string]any
	for part := range strings.SplitSeq(s, ";") {
		at := strings.LastIndexByte(part, '=')
		if at < 0 {
			return nil, fmt.Errorf("%q is not PATH=RIGHTS", clip(part))
		}
		rights, _ := rightsOption(strings.TrimSpace(part[at+1:]))
		tables = append(tables, map[string]any{"path": strings.TrimSpace(part[:at]), "rights": rights})
	}
	return tables, nil
}
