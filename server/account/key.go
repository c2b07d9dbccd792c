package account

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"ferry/shared/login"
)

// Key is one key of an account's table in users.toml.
type Key struct {
	Name  string             // as written in users.toml
	Usage string             // one line of help for the option --Name, "" if the key has no option
	Show  func(*Account) any // the value for people and for JSON, never a secret; nil if it is not shown

	example  string                    // a right line, for the hint
	defaults bool                      // whether [defaults] may hold it
	set      func(*Account, any) error // checks a decoded TOML value and stores it
	option   func(string) (any, error) // the TOML value for the text of an option; never called for ""
}

// Keys returns every key an account may have. A new key is one entry here.
func Keys() []Key {
	return []Key{
		{
			Name:    "auth",
			Show:    func(a *Account) any { return map[bool]string{true: "password", false: "none"}[a.HasAuth] },
			example: "ferryd user passwd NAME",
			set:     setAuth,
			option:  text,
		},
		{
			Name:    "keys",
			Usage:   "public keys, separated by commas",
			example: `keys = ["ssh-ed25519 AAAA... alice@laptop"]`,
			set:     setKeys,
			option:  keysOption,
		},
		{
			Name:    "home",
			Usage:   "home directory, relative to DIR/homes (default NAME)",
			Show:    func(a *Account) any { return a.Home },
			example: `home = "alice"`,
			set:     setHome,
			option:  text,
		},
		{
			Name:     "rights",
			Usage:    `comma-separated list of ` + strings.Join(rightNames(), ", ") + `; "*" is all but admin and exec, "none" is none`,
			Show:     func(a *Account) any { return a.Rights.Names() },
			example:  `rights = ["list", "read"]`,
			defaults: true,
			set:      setRights,
			option:   rightsOption,
		},
		{
			Name:    "locked",
			Usage:   "lock the account; the value is the reason the user is told",
			Show:    func(a *Account) any { return a.Locked },
			example: `locked = "left in May"`,
			set:     setLocked,
			option:  text,
		},
	}
}

// keyNamed finds a key in the table.
func keyNamed(name string) (Key, bool) {
	keys := Keys()
	i := slices.IndexFunc(keys, func(k Key) bool { return k.Name == name })
	if i < 0 {
		return Key{}, false
	}
	return keys[i], true
}

func text(s string) (any, error) { return s, nil }

func setAuth(a *Account, v any) error {
	s, ok := v.(string)
	if !ok {
		return errors.New("must be a string")
	}
	r, err := login.ParseRecord(s)
	if errors.Is(err, login.ErrScheme) {
		return nil // only this account cannot log in
	}
	if err != nil {
		return err // never quotes the record
	}
	a.Auth, a.HasAuth = r, true
	return nil
}

func setHome(a *Account, v any) error {
	s, ok := v.(string)
	switch {
	case !ok:
		return errors.New("must be a string")
	case line(s) != nil:
		return line(s)
	case path.IsAbs(s):
		return errors.New("must be relative to the homes directory")
	case slices.Contains(strings.Split(s, "/"), ".."):
		return errors.New(`must not contain ".."`)
	case s == "." || s == "" || path.Clean(s) != s:
		return fmt.Errorf("must be the shortest spelling of a directory below the homes directory, not %q", clip(s))
	case len(s) > 1024 || slices.ContainsFunc(strings.Split(s, "/"), func(part string) bool { return len(part) > 255 }):
		return errors.New("is too long (at most 255 bytes a name, 1024 in all)")
	}
	a.Home = s
	return nil
}

func setRights(a *Account, v any) error {
	list, ok := v.([]any)
	if !ok {
		return errors.New("must be a list of strings")
	}
	var r Rights
	for _, v := range list {
		word, _ := v.(string)
		i := slices.Index(rightNames(), word)
		switch {
		case word == "*":
			r |= All
		case i >= 0:
			r |= 1 << i
		default:
			return fmt.Errorf("%q is not one of %s, *", clip(fmt.Sprint(v)), strings.Join(rightNames(), ", "))
		}
	}
	a.Rights = r
	return nil
}

func rightsOption(s string) (any, error) {
	list := []any{}
	if s == "none" {
		return list, nil
	}
	for word := range strings.SplitSeq(s, ",") {
		list = append(list, strings.TrimSpace(word))
	}
	return list, nil
}

func setLocked(a *Account, v any) error {
	s, ok := v.(string)
	switch {
	case !ok:
		return errors.New("must be a string, the reason")
	case line(s) != nil:
		return line(s)
	case len(s) > 200:
		return errors.New("is too long (at most 200 bytes)")
	}
	a.Locked = s
	return nil
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
