package account

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"ferry/shared/login"
)

// partError is an error in a part of a key's value, such as the second rule.
type partError struct {
	path []string // below the key; a number is the place in an array of tables
	err  error
}

func (e *partError) Error() string { return e.err.Error() }
func (e *partError) Unwrap() error { return e.err }

// inside says in which key of the nth table of an array the error is.
func inside(err error, n int, key string) error {
	return &partError{[]string{fmt.Sprint(n), key}, err}
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

// logins says what the account logs in with.
func (a *Account) logins() string {
	switch {
	case a.HasAuth && len(a.Keys) > 0:
		return "password,key"
	case a.HasAuth:
		return "password"
	case len(a.Keys) > 0:
		return "key"
	}
	return none
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

// rightsOf reads a list of rights.
func rightsOf(v any) (Rights, error) {
	list, ok := v.([]any)
	if !ok {
		return 0, errors.New("must be a list of strings")
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
			return 0, fmt.Errorf("%q is not one of %s, *", clip(fmt.Sprint(v)), strings.Join(rightNames(), ", "))
		}
	}
	return r, nil
}

func rightsOption(s string) (any, error) {
	list := []any{}
	if s == none {
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

func boolOf(v any) (bool, error) {
	b, ok := v.(bool)
	if !ok {
		return false, errors.New("must be true or false")
	}
	return b, nil
}

func boolOption(s string) (any, error) {
	switch s {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return nil, fmt.Errorf("%q is neither true nor false", clip(s))
}
