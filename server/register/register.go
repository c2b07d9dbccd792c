// Package register lets people make accounts of their own: with an invite of the administrator's, or openly within limits.
package register

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"ferry/server/account"
)

// Errors of Ask and Add that say what the person can do; others are the server's.
var (
	ErrClosed = errors.New("registration is closed on this server")
	ErrInvite = errors.New("a valid invite is needed: this one is missing, used, expired or mistyped")
	ErrName   = errors.New("a name is 1 to 32 of a-z 0-9 . _ - and begins with a letter or digit")
	ErrTaken  = errors.New("this name is taken or reserved: choose another one")
	ErrLimit  = errors.New("too many accounts were made lately: try again tomorrow")
)

// day is the time over which Rules count.
const day = 24 * time.Hour

// Desk makes accounts for people who ask. Its fields are set before the first use; its methods may be called by several
// goroutines.
type Desk struct {
	Rules    Rules
	Accounts *account.Store
	Homes    string // directory that homes are relative to
	Invites  Invites
	Now      func() time.Time

	mu    sync.Mutex
	added []visit // accounts made openly in the last day, oldest first; at most Rules.PerDay
}

// visit is an account that somebody made.
type visit struct {
	from netip.Prefix
	at   time.Time
}

// Ask tells whether Add would refuse a name and an invite, before the person has thought of a password: nil or one of the errors
// above.
func (d *Desk) Ask(from netip.Addr, name, code string) error {
	if err := d.open(name); err != nil {
		return err
	}
	var err error
	if d.Rules.Mode == Invite {
		err = d.Invites.Check(code, d.Now())
	} else {
		err = d.room(from)
	}
	if err == nil {
		err = d.free(d.Accounts.Current(), name)
	}
	return err
}

// Add makes an account and its home, durably. record is the credential of its password; the keys that it gets are those of
// Rules, whatever the person would like. An account that is there with the same record is success: the same request again.
func (d *Desk) Add(from netip.Addr, name, code, record string) error {
	if err := d.open(name); err != nil {
		return err
	}
	if a, ok := d.Accounts.Current().Lookup(name); ok && a.HasAuth && a.Auth.String() == record {
		return nil
	}
	if d.Rules.Mode == Invite {
		return d.Invites.use(code, name, d.Now(), d.known, func() error { return d.add(name, record) })
	}
	release, err := d.reserve(from)
	if err != nil {
		return err
	}
	if err := d.add(name, record); err != nil {
		release()
		return err
	}
	return nil
}

// Settle finds out what became of invites that were in use when a server was killed. It is called before the first Add.
func (d *Desk) Settle() error { return d.Invites.settle(d.Now(), d.known) }

// open refuses everybody while registration is closed, and what is no name.
func (d *Desk) open(name string) error {
	if d.Rules.Mode != Invite && d.Rules.Mode != Open {
		return ErrClosed
	}
	if account.CheckName(name) != nil {
		return ErrName
	}
	return nil
}

// known tells whether the account file, as it is now, has an account.
func (d *Desk) known(name string) (bool, error) {
	if err := d.Accounts.Reload(); err != nil {
		return false, err
	}
	_, ok := d.Accounts.Current().Lookup(name)
	return ok, nil
}

// free refuses a name that somebody has, that is reserved, or whose home is, is above, or was somebody's.
func (d *Desk) free(set *account.Set, name string) error {
	if slices.Contains(reserved(), name) || slices.Contains(d.Rules.Reserved, name) {
		return ErrTaken
	}
	if _, used := set.Lookup(name); used {
		return ErrTaken
	}
	for a := range set.All() {
		if a.Home == name || strings.HasPrefix(a.Home, name+"/") {
			return ErrTaken
		}
	}
	if left, err := os.ReadDir(filepath.Join(d.Homes, name)); err == nil && len(left) > 0 {
		return ErrTaken // files of an account that was deleted
	}
	return nil
}

// add makes the home and then the account: of one that was killed in between, an empty directory is left.
func (d *Desk) add(name, record string) error {
	return d.Accounts.Edit(func(t *account.Text) error {
		if err := d.free(t.Accounts(), name); err != nil {
			return err
		}
		err := t.Add(name, append([]account.Change{{Key: "auth", Option: record}}, d.Rules.changes(t.Accounts())...)...)
		if err == nil {
			_, err = account.MakeHome(d.Homes, name)
		}
		return err
	})
}

// room refuses an address that has made enough accounts, and everybody when all have.
func (d *Desk) room(from netip.Addr) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.full(network(from))
}

func (d *Desk) full(from netip.Prefix) error {
	now := d.Now()
	d.added = slices.DeleteFunc(d.added, func(v visit) bool { return now.Sub(v.at) >= day })
	same := 0
	for _, v := range d.added {
		if v.from == from {
			same++
		}
	}
	if same >= d.Rules.PerAddress || len(d.added) >= d.Rules.PerDay {
		return ErrLimit
	}
	return nil
}

// reserve counts an account that is about to be made; release takes that back.
func (d *Desk) reserve(from netip.Addr) (release func(), err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	v := visit{network(from), d.Now()}
	if err := d.full(v.from); err != nil {
		return nil, err
	}
	d.added = append(d.added, v)
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if i := slices.Index(d.added, v); i >= 0 {
			d.added = slices.Delete(d.added, i, i+1)
		}
	}, nil
}

// network returns what counts as one address: of IPv6 the 64 bits that a provider gives to one customer.
func network(from netip.Addr) netip.Prefix {
	from = from.Unmap().WithZone("")
	bits := from.BitLen()
	if from.Is6() {
		bits = 64
	}
	return netip.PrefixFrom(from, bits).Masked()
}
