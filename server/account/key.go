package account

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Key is one key of an account's table in users.toml.
type Key struct {
	Name   string                // as written in users.toml
	Usage  string                // one line of help for the option --Name, "" if the key has no option
	Show   func(*Account) any    // the value for people and for JSON, never a secret
	Column bool                  // whether a list of accounts shows it
	Words  func(*Account) string // one clause about the account for people, "" if there is nothing to say

	example  string                    // a right line, for the hint
	defaults bool                      // whether [defaults] may hold it
	off      any                       // the value that takes back what [defaults] say, nil if leaving the key out is all there is
	set      func(*Account, any) error // checks a decoded TOML value and stores it
	option   func(string) (any, error) // the TOML value for the text of an option; never called for ""
}

// Keys returns every key an account may have. A new key is one entry here.
func Keys() []Key { return slices.Concat(identityKeys(), accessKeys(), limitKeys()) }

// Example returns a line of the file that is right, or says where one comes from.
func (k Key) Example() string { return k.example }

// Common tells whether [defaults] may hold the key: whether it can be the same for everybody.
func (k Key) Common() bool { return k.defaults }

// identityKeys are the keys that say who and where an account is. They cannot be common to all.
func identityKeys() []Key {
	return []Key{
		{
			Name:   "auth",
			Show:   func(a *Account) any { return a.logins() },
			Column: true,
			Words: func(a *Account) string {
				return said(a.logins() != none, "logs in with: %s", strings.ReplaceAll(a.logins(), ",", " or "))
			},
			example: "ferryd user passwd NAME",
			set:     setAuth,
			option:  text,
		},
		{
			Name:  "keys",
			Usage: "`PUBLIC KEYS` that log in, as in a .pub file, separated by commas",
			Show: func(a *Account) any {
				list := []string{}
				for _, k := range a.Keys {
					list = append(list, k.String())
				}
				return list
			},
			Words:   func(a *Account) string { return said(len(a.Keys) > 0, "has %d public keys", len(a.Keys)) },
			example: `keys = ["ssh-ed25519 AAAA... alice@laptop"]`,
			set:     setKeys,
			option:  keysOption,
		},
		{
			Name:    "home",
			Usage:   "home `DIRECTORY`, relative to DIR/homes (default NAME)",
			Show:    func(a *Account) any { return a.Home },
			Column:  true,
			Words:   func(a *Account) string { return "has the home homes/" + a.Home },
			example: `home = "alice"`,
			set:     setHome,
			option:  text,
		},
	}
}

// accessKeys are the keys that say what an account may do, and when, and from where.
func accessKeys() []Key {
	return []Key{
		{
			Name:     "rights",
			Usage:    "`RIGHTS`: a comma-separated list of " + strings.Join(rightNames(), ", ") + `; "*" is all but admin and exec, "none" is none`,
			Show:     func(a *Account) any { return a.Rights.Names() },
			Column:   true,
			Words:    func(a *Account) string { return "has the rights: " + spaced(a.Rights) },
			example:  `rights = ["list", "read"]`,
			defaults: true,
			set:      func(a *Account, v any) (err error) { a.Rights, err = rightsOf(v); return err },
			option:   rightsOption,
		},
		{
			Name:  "rules",
			Usage: `rights for parts of the home: "` + "`PATH=RIGHTS`" + `;...", the longest path wins; "none" is none`,
			Show: func(a *Account) any {
				list := []string{}
				for _, r := range a.Rules {
					list = append(list, r.String())
				}
				return list
			},
			Words: func(a *Account) string {
				var list []string
				for _, r := range a.Rules {
					list = append(list, "at "+r.Path+": "+spaced(r.Rights))
				}
				return said(len(list) > 0, "has other rights %s", strings.Join(list, "; "))
			},
			example:  `[[users.NAME.rules]] with the lines path = "/in" and rights = ["list", "write"]`,
			defaults: true,
			off:      []any{},
			set:      setRules,
			option:   rulesOption,
		},
		{
			Name:  "allow_from",
			Usage: "comma-separated `NETWORKS` or addresses that may log in: 192.0.2.0/24; \"any\" is all",
			Show: func(a *Account) any {
				list := []string{}
				for _, p := range a.AllowFrom {
					list = append(list, p.String())
				}
				return list
			},
			Words: func(a *Account) string {
				if len(a.AllowFrom) == 0 {
					return "may log in from any address"
				}
				return "may log in from " + strings.Trim(fmt.Sprint(a.AllowFrom), "[]") + " only"
			},
			example:  `allow_from = ["192.0.2.0/24", "2001:db8::7"]`,
			defaults: true,
			off:      []any{},
			set:      setAllowFrom,
			option:   allowFromOption,
		},
		{
			Name:     "expires",
			Usage:    "first `DAY` the account is closed: 2027-01-31, or \"never\"",
			Show:     func(a *Account) any { return a.Expires },
			Column:   true,
			Words:    func(a *Account) string { return said(a.Expires != "", "is closed from %s on", a.Expires) },
			example:  `expires = "2027-01-31"`,
			defaults: true,
			off:      never,
			set:      setExpires,
			option:   text,
		},
		{
			Name:     "locked",
			Usage:    "lock the account; the value is the `REASON` the user is told",
			Show:     func(a *Account) any { return a.Locked },
			Column:   true,
			Words:    func(a *Account) string { return said(a.Locked != "", "is locked: %s", a.Locked) },
			example:  `locked = "left in May"`,
			defaults: true,
			off:      "",
			set:      setLocked,
			option:   text,
		},
		{
			Name:     "must_change_password",
			Usage:    "`BOOL`: with true the user can do nothing but change the password",
			Show:     func(a *Account) any { return a.MustChange },
			Words:    func(a *Account) string { return said(a.MustChange, "must change the password before anything else") },
			example:  `must_change_password = true`,
			defaults: true,
			off:      false,
			set:      func(a *Account, v any) (err error) { a.MustChange, err = boolOf(v); return err },
			option:   boolOption,
		},
	}
}

// limitKeys are the keys that bound what an account takes up.
func limitKeys() []Key {
	keys := []Key{
		{
			Name:    "quota",
			Usage:   "`SIZE` of all files together, unfinished uploads too: 10GiB, or \"none\"",
			Show:    func(a *Account) any { return a.Limits.Quota },
			Column:  true,
			Words:   func(a *Account) string { return bound(a.Limits.Quota, "may store %v in all", "in bytes") },
			example: `quota = "10GiB"`,
			set:     func(a *Account, v any) (err error) { a.Limits.Quota, err = sizeOf(v); return err },
			option:  text,
		},
		{
			Name:  "quota_files",
			Usage: "`NUMBER` of files and directories, or \"none\"",
			Show:  func(a *Account) any { return a.Limits.QuotaFiles },
			Words: func(a *Account) string {
				return bound(a.Limits.QuotaFiles, "may have %v files and directories", "in files")
			},
			example: `quota_files = 100000`,
			set:     func(a *Account, v any) (err error) { a.Limits.QuotaFiles, err = countOf(v); return err },
			option:  countOption,
		},
		{
			Name:    "max_file_size",
			Usage:   "largest `SIZE` of a file: 4GiB, or \"none\"",
			Show:    func(a *Account) any { return a.Limits.MaxFileSize },
			Words:   func(a *Account) string { return bound(a.Limits.MaxFileSize, "may store files of up to %v", "") },
			example: `max_file_size = "4GiB"`,
			set:     func(a *Account, v any) (err error) { a.Limits.MaxFileSize, err = sizeOf(v); return err },
			option:  text,
		},
		{
			Name:    "rate_up",
			Usage:   "upload `RATE` of all connections together: 20MiB/s, or \"none\"",
			Show:    func(a *Account) any { return a.Limits.RateUp },
			Words:   func(a *Account) string { return bound(a.Limits.RateUp, "uploads at %v at most", "") },
			example: `rate_up = "20MiB/s"`,
			set:     func(a *Account, v any) (err error) { a.Limits.RateUp, err = rateOf(v); return err },
			option:  text,
		},
		{
			Name:    "rate_down",
			Usage:   "download `RATE` of all connections together: 20MiB/s, or \"none\"",
			Show:    func(a *Account) any { return a.Limits.RateDown },
			Words:   func(a *Account) string { return bound(a.Limits.RateDown, "downloads at %v at most", "") },
			example: `rate_down = "20MiB/s"`,
			set:     func(a *Account, v any) (err error) { a.Limits.RateDown, err = rateOf(v); return err },
			option:  text,
		},
		{
			Name:  "max_sessions",
			Usage: "`NUMBER` of sessions at the same time, or \"none\"",
			Show:  func(a *Account) any { return a.Limits.MaxSessions },
			Words: func(a *Account) string {
				return bound(a.Limits.MaxSessions, "may have %v sessions at the same time", "")
			},
			example: `max_sessions = 4`,
			set:     func(a *Account, v any) (err error) { a.Limits.MaxSessions, err = countOf(v); return err },
			option:  countOption,
		},
	}
	for i := range keys {
		keys[i].defaults, keys[i].off = true, none
	}
	return keys
}

// said is a clause, or nothing.
func said(yes bool, format string, args ...any) string {
	if !yes {
		return ""
	}
	return fmt.Sprintf(format, args...)
}

// bound is a clause about a limit; without is what to say where there is none, "" for nothing.
func bound[N Size | Rate | Count](n N, with, without string) string {
	if n == 0 {
		return said(without != "", "has no limit %s", without)
	}
	return fmt.Sprintf(with, n)
}

// spaced writes rights for people.
func spaced(r Rights) string { return strings.ReplaceAll(r.String(), ",", ", ") }

// keyNamed finds a key in the table.
func keyNamed(name string) (Key, bool) {
	keys := Keys()
	i := slices.IndexFunc(keys, func(k Key) bool { return k.Name == name })
	if i < 0 {
		return Key{}, false
	}
	return keys[i], true
}

// keyNames lists the names of all keys.
func keyNames() string {
	var names []string
	for _, k := range Keys() {
		names = append(names, k.Name)
	}
	return strings.Join(names, ", ")
}

// Check refuses, with an *EditError, the text of an option that Text.Set would
// refuse too. The empty text, which clears the key, is always right.
func (k Key) Check(option string) error {
	if option == "" {
		return nil
	}
	_, err := k.value(option)
	return err
}

// value returns the TOML value that the text of an option means.
func (k Key) value(option string) (any, error) {
	v, err := k.option(option)
	if err == nil {
		err = k.set(&Account{}, v)
	}
	if err != nil {
		return nil, &EditError{Msg: k.Name + ": " + err.Error(), Advice: "in the file it looks like: " + k.example}
	}
	return v, nil
}

// CheckName refuses, with an *EditError, what is not
// [a-z0-9][a-z0-9._-]{0,31}.
func CheckName(name string) error {
	const first = "abcdefghijklmnopqrstuvwxyz0123456789"
	if name == "" || len(name) > 32 || !strings.Contains(first, name[:1]) ||
		strings.ContainsFunc(name, func(r rune) bool { return !strings.ContainsRune(first+"._-", r) }) {
		return &EditError{Msg: fmt.Sprintf("bad account name %q", clip(name)), Advice: nameHint}
	}
	return nil
}

// nameHint says what a name may be.
const nameHint = "a name is 1 to 32 of a-z 0-9 . _ - and begins with a letter or digit"

// line refuses what must not be printed as one line of text, such as a
// credential under the wrong key.
func line(s string) error {
	switch {
	case !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl):
		return errors.New("holds a control character")
	case strings.HasPrefix(s, "$") && strings.Count(s, "$") > 2:
		return errors.New("looks like a credential")
	}
	return nil
}

// clip shortens what is quoted in messages, so that a credential in the wrong
// place is never printed whole.
func clip(s string) string {
	if len(s) <= 20 {
		return s
	}
	return strings.ToValidUTF8(s[:8], "") + "..."
}
