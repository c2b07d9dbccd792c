package account

import (
	"errors"
	"maps"
	"reflect"
	"slices"

	"github.com/BurntSushi/toml"
)

// finish returns the edited text after making sure that it decodes to what
// was wanted and is a valid users.toml. Of a file of ordinary tables only those that were touched are decoded again: the
// others are the same bytes, and a table means the same whatever stands around it.
func (t *Text) finish() ([]byte, error) {
	if t.head == len(t.old) && t.tail == len(t.old) {
		return t.text, nil
	}
	if from, to, ok := t.touched(); ok {
		return t.text, t.checkPart(from, to)
	}
	return t.text, t.checkWhole()
}

func (t *Text) refused(msg string) error {
	return &EditError{Msg: msg, Advice: "edit " + t.file + " by hand"}
}

// verdict turns what is wrong with the text after the edit into the reason why it is refused.
func verdict(err error) error {
	var e *Error
	if errors.As(err, &e) {
		return &EditError{Msg: e.Msg, Advice: e.Advice}
	}
	return err
}

// checkWhole decodes the whole text.
func (t *Text) checkWhole() error {
	p := &parser{file: t.file}
	if err := p.decode(t.text); err != nil {
		return t.refused("the edit would break the file")
	}
	if p.model == nil {
		p.model = map[string]any{}
	}
	if !reflect.DeepEqual(p.model, t.want) {
		return t.refused("the edit would change something else")
	}
	_, err := p.set()
	return verdict(err)
}

// touched returns where in the old text the accounts begin and end, each with its rules behind it, that hold all that was touched. It is
// false if the file has anything but [defaults], [users.NAME] and [[users.NAME.rules]] with plain keys: then one part may bear on another.
func (t *Text) touched() (from, to int, ok bool) {
	to = len(t.old)
	var table []string
	for _, it := range t.lines.items {
		if it.kind == pair {
			if table == nil || len(it.path) != len(table)+1 {
				return 0, 0, false
			}
			continue
		}
		if !ordinary(it) {
			return 0, 0, false
		}
		table = it.path
		if it.kind == arrayHeader {
			continue
		}
		if it.start < t.head { // what was put before a header belongs to the account above it
			from = it.start
		} else if it.start >= len(t.old)-t.tail {
			to = min(to, it.start)
		}
	}
	return from, to, table != nil
}

// ordinary reports whether a header is one that the verbs write.
func ordinary(it item) bool {
	switch it.path[0] {
	case "users":
		return it.kind == header && len(it.path) == 2 || it.kind == arrayHeader && len(it.path) == 3
	case "defaults":
		return it.kind == header && len(it.path) == 1
	}
	return false
}

// checkPart decodes only old[from:to] and what has become of it, both by the TOML library: what is written is TOML for everybody.
func (t *Text) checkPart(from, to int) error {
	var before, after map[string]any
	if _, err := toml.Decode(string(t.old[from:to]), &before); err != nil {
		return t.checkWhole()
	}
	if _, err := toml.Decode(string(t.text[from:len(t.text)-(len(t.old)-to)]), &after); err != nil {
		return t.refused("the edit would break the file")
	}
	old, now := tables(before), tables(after)
	for name, was := range t.edited {
		if !reflect.DeepEqual(old[name], was) {
			return t.checkWhole() // parts of it are elsewhere
		}
		if !reflect.DeepEqual(now[name], t.account(name)) {
			return t.refused("the edit would change something else")
		}
		delete(old, name)
		delete(now, name)
	}
	if !reflect.DeepEqual(old, now) || !reflect.DeepEqual(before["defaults"], after["defaults"]) {
		return t.refused("the edit would change something else")
	}
	return t.checkAccounts()
}

// tables returns the accounts of a decoded text.
func tables(model map[string]any) map[string]map[string]any {
	users, _ := model["users"].(map[string]any)
	all := map[string]map[string]any{}
	for name, v := range users {
		all[name], _ = v.(map[string]any)
	}
	return all
}

// checkAccounts checks the edited accounts by themselves and their homes against everybody's.
func (t *Text) checkAccounts() error {
	users := map[string]any{}
	p := &parser{file: t.file, items: t.lines.items, model: map[string]any{"users": users}}
	if d := t.want["defaults"]; d != nil {
		p.model["defaults"] = d
	}
	for name := range t.edited {
		if a := t.account(name); a != nil {
			users[name] = a
		}
	}
	p.order = paths(p.model)
	set, err := p.set()
	if err != nil {
		return verdict(err)
	}
	for a := range t.was.All() {
		if _, edited := t.edited[a.Name]; !edited {
			set.accounts = append(set.accounts, a)
		}
	}
	p.disjoint(set)
	if len(p.errs) > 0 {
		return verdict(p.errs[0])
	}
	return nil
}

// paths lists the tables and keys of a model in a fixed order.
func paths(model map[string]any) []toml.Key {
	var list []toml.Key
	for _, top := range slices.Sorted(maps.Keys(model)) {
		list = append(list, toml.Key{top})
		table, _ := model[top].(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(table)) {
			list = append(list, toml.Key{top, name})
			keys, _ := table[name].(map[string]any)
			for _, key := range slices.Sorted(maps.Keys(keys)) {
				list = append(list, toml.Key{top, name, key})
			}
		}
	}
	return list
}
