// Package account reads, checks, edits and reloads users.toml, the list of
// the people who may log in.
package account

import (
	"iter"
	"net/netip"
	"strings"

	"ferry/shared/login"
)

// Rights is the set of things an account may do in its home.
type Rights uint16

// The rights. Exec and Admin are never part of "*".
const (
	List Rights = 1 << iota
	Read
	Write
	Overwrite
	Delete
	Exec
	Admin

	// All is what "*" in users.toml stands for, and what an account has that
	// names no rights where [defaults] names none either.
	All = List | Read | Write | Overwrite | Delete
)

// rightNames lists the words of users.toml in the order of the bits.
func rightNames() []string {
	return []string{"list", "read", "write", "overwrite", "delete", "exec", "admin"}
}

// Has reports whether every right of want is in r.
func (r Rights) Has(want Rights) bool { return r&want == want }

// Names returns the rights as the words of users.toml; never nil.
func (r Rights) Names() []string {
	names := []string{}
	for i, name := range rightNames() {
		if r.Has(1 << i) {
			names = append(names, name)
		}
	}
	return names
}

// String returns the words joined by commas, "none" for the empty set.
func (r Rights) String() string {
	if r == 0 {
		return "none"
	}
	return strings.Join(r.Names(), ",")
}

// MarshalText returns the words joined by commas.
func (r Rights) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// Account is one [users.NAME] table, with [defaults] filled in. It is shared
// by everyone who looked it up and must not be changed.
type Account struct {
	Name       string       // [a-z0-9][a-z0-9._-]{0,31}
	Auth       login.Record // a secret; zero unless HasAuth
	HasAuth    bool         // false if there is no record, or one of an unknown scheme: no password logs in
	Keys       []PublicKey  // in file order
	Home       string       // slash path relative to DIR/homes, clean, disjoint from every other home
	Rights     Rights       // where no rule says otherwise: see RightsAt
	Rules      []Rule       // longest path first
	Limits     Limits
	AllowFrom  []netip.Prefix // empty: any address; see Allowed
	Expires    string         // the first day it is closed, YYYY-MM-DD, "" if never; see Expired
	Locked     string         // the reason, "" if the account is not locked
	MustChange bool           // after a login with a password everything but passwd is refused
	Line       int            // where the table begins, from 1
}

// Limits are the numbers that bound an account; 0 is no limit. Two are equal exactly if no limit differs.
type Limits struct {
	Quota            Size  // of all files, unfinished uploads included
	QuotaFiles       Count // files and directories, likewise
	MaxFileSize      Size
	RateUp, RateDown Rate // of all connections of the account together
	MaxSessions      Count
}

// Set is the content of one valid users.toml. It never changes.
type Set struct {
	accounts []*Account // in file order
	byName   map[string]*Account
	defaults *Account // what [defaults] say; nil if there is no file
	warnings []string
}

// Lookup returns the account of exactly that name.
func (s *Set) Lookup(name string) (*Account, bool) {
	a, ok := s.byName[name]
	return a, ok
}

// All yields the accounts in file order.
func (s *Set) All() iter.Seq[*Account] {
	return func(yield func(*Account) bool) {
		for _, a := range s.accounts {
			if !yield(a) {
				return
			}
		}
	}
}

// Len returns the number of accounts.
func (s *Set) Len() int { return len(s.accounts) }

// DefaultRights returns what an account may do that says nothing about it.
func (s *Set) DefaultRights() Rights {
	if s.defaults == nil {
		return All
	}
	return s.defaults.Rights
}

// Warnings returns what is not wrong but probably not meant, such as an
// account that cannot log in, each as "FILE:LINE: text".
func (s *Set) Warnings() []string { return append([]string(nil), s.warnings...) }
