package register

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"ferry/server/account"
)

// The modes of Rules.
const (
	Closed = "closed" // nobody; also ""
	Invite = "invite" // whoever has an invite
	Open   = "open"   // anybody, within limits
)

// Rules say who may make an account and what it gets: the table [register] of the server's configuration.
type Rules struct {
	Mode       string
	PerAddress int              // new accounts a day from one address, in mode open
	PerDay     int              // from all together, in mode open
	Reserved   []string         // names that nobody gets, besides a few that nobody ever does
	Account    []account.Change // keys of a new account; what is not among them is as [defaults] of users.toml say
}

// reserved are names that would let a stranger pass for somebody in charge.
func reserved() []string {
	return []string{"admin", "administrator", "root", "system", "support", "security", "ferry", "ferryd", "postmaster", "hostmaster",
		"webmaster", "abuse", "guest", "anonymous", "public", "nobody", "daemon", "backup", "www", "ftp"}
}

// ParseRules reads a decoded table [register]. Its errors name the key.
func ParseRules(table map[string]any) (Rules, error) {
	r := Rules{Mode: Closed, PerAddress: 3, PerDay: 100}
	keys := map[string]func(v any) error{
		"mode": func(v any) error {
			r.Mode, _ = v.(string)
			if !slices.Contains([]string{Closed, Invite, Open}, r.Mode) {
				return fmt.Errorf("must be %q, %q or %q", Closed, Invite, Open)
			}
			return nil
		},
		"per_address": count(&r.PerAddress),
		"per_day":     count(&r.PerDay),
		"reserved": func(v any) error {
			list, ok := v.([]any)
			for _, v := range list {
				name, is := v.(string)
				ok = ok && is && account.CheckName(name) == nil
				r.Reserved = append(r.Reserved, name)
			}
			if !ok {
				return fmt.Errorf("must be a list of account names")
			}
			return nil
		},
		"account": func(v any) (err error) { r.Account, err = parseAccount(v); return err },
	}
	for _, name := range slices.Sorted(maps.Keys(table)) {
		read, known := keys[name]
		if !known {
			return r, fmt.Errorf("register: unknown key %q (known: %s)", name, strings.Join(slices.Sorted(maps.Keys(keys)), ", "))
		}
		if err := read(table[name]); err != nil {
			return r, fmt.Errorf("register.%s: %w", name, err)
		}
	}
	return r, nil
}

func count(into *int) func(any) error {
	return func(v any) error {
		n, ok := v.(int64)
		if !ok || n < 0 || n > 1e6 {
			return fmt.Errorf("must be a number from 0 to 1000000")
		}
		*into = int(n)
		return nil
	}
}

// parseAccount reads the keys that new accounts get: those of users.toml that [defaults] may hold.
func parseAccount(v any) ([]account.Change, error) {
	table, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("must be a table")
	}
	var list []account.Change
	for _, k := range account.Keys() {
		v, given := table[k.Name]
		if !given || !k.Common() {
			continue
		}
		option := fmt.Sprint(v)
		if list, ok := v.([]any); ok {
			var words []string
			for _, v := range list {
				words = append(words, fmt.Sprint(v))
			}
			option = strings.Join(words, ",")
		}
		if option == "" {
			return nil, fmt.Errorf("%s is empty", k.Name)
		}
		if err := k.Check(option); err != nil {
			return nil, err
		}
		list = append(list, account.Change{Key: k.Name, Option: option})
		delete(table, k.Name)
	}
	for name := range table {
		return nil, fmt.Errorf("%q cannot be given to everybody who registers", name)
	}
	for _, c := range list {
		for right := range strings.SplitSeq(c.Option, ",") {
			if c.Key == "rights" && (right == "admin" || right == "exec") {
				return nil, fmt.Errorf("rights: nobody gets %s by registering", right)
			}
		}
	}
	return list, nil
}

// changes are the keys of a new account. If everybody has the right admin or exec by [defaults], whoever registers has not.
func (r Rules) changes(set *account.Set) []account.Change {
	const never = account.Admin | account.Exec
	rights := set.DefaultRights()
	given := slices.ContainsFunc(r.Account, func(c account.Change) bool { return c.Key == "rights" })
	if given || rights&never == 0 {
		return r.Account
	}
	return append(slices.Clone(r.Account), account.Change{Key: "rights", Option: (rights &^ never).String()})
}
