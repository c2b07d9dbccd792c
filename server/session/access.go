package session

import (
	"net"
	"net/netip"
	"strings"

	"ferry/server/account"
	"ferry/server/guard"
	"ferry/server/storage"
	"ferry/shared/wire"
)

// addressOf returns the address of a peer for people.
func addressOf(nc net.Conn) string {
	if a := addrOf(nc); a.IsValid() {
		return nc.RemoteAddr().String()
	}
	return "unix"
}

// addrOf returns the address of a peer; the zero Addr for who comes through a socket of this machine.
func addrOf(nc net.Conn) netip.Addr {
	if a, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr()
	}
	return netip.Addr{}
}

// barred tells why an account that has proved to be it may not come in; the reason is "" if it may.
func (s *Server) barred(a *account.Account, from netip.Addr) (guard.Reason, *wire.Error) {
	no := func(why guard.Reason, msg string) (guard.Reason, *wire.Error) {
		return why, &wire.Error{Code: wire.Denied, Message: msg}
	}
	switch {
	case a.Locked != "":
		return no(guard.Locked, "the account is locked: "+a.Locked)
	case a.Expired(s.Now()):
		return no(guard.Expired, "the account expired on "+a.Expires)
	case !a.Allowed(from):
		return no(guard.BadAddress, "not from this address")
	}
	return "", nil
}

// full tells whether an account has as many sessions as it may, not counting one that asks. Those without a connection do not
// count: whoever comes again after a lost line must find room. s.mu is held.
func (s *Server) full(a *account.Account, asks *session) bool {
	if a.Limits.MaxSessions == 0 {
		return false
	}
	n := account.Count(0)
	for _, ses := range s.sessions {
		if ses.user == a.Name && ses != asks && len(ses.conns) > 0 {
			n++
		}
	}
	return n >= a.Limits.MaxSessions
}

// errSessions refuses a session too many.
var errSessions = refusal(wire.TooMany, "the account has as many sessions as it may have")

// account returns the account as it is now, if it is still active.
func (c *conn) account() (*account.Account, error) {
	a, ok := c.srv.Accounts.Current().Lookup(c.ses.user)
	if !ok || a.Locked != "" || a.Expired(c.srv.Now()) {
		return nil, refusal(wire.LoginRequired, "the account is no longer active")
	}
	return a, nil
}

// allow tells whether the account, as it is now, may use a command: its password need not be changed first, and it has all of
// the rights somewhere. Where exactly is for allowAt to say: every command that is about a path asks it.
func (c *conn) allow(e entry) error {
	a, err := c.account()
	switch {
	case err != nil:
		return err
	case a.MustChange && c.ses.key == nil && !e.always && c.key == nil:
		return refusal(wire.MustChange, "the password must be changed first, over an encrypted connection")
	case a.MustChange && c.ses.key == nil && !e.always:
		return refusal(wire.MustChange, "the password must be changed first")
	}
	return lacks(e.rights &^ a.RightsSomewhere())
}

// allowAt tells whether the account, as it is now, has all of the rights at a path of its home.
func (c *conn) allowAt(rights account.Rights, at string) error {
	a, err := c.account()
	if err != nil {
		return err
	}
	return lacks(rights &^ a.RightsAt(at))
}

// lacks refuses what takes rights that are missing.
func lacks(missing account.Rights) error {
	if missing == 0 {
		return nil
	}
	return refusal(wire.Denied, "permission denied: the account lacks the right "+missing.String())
}

// allowNew is allowAt for what is new, with the directories above it that are missing and would be made.
func (c *conn) allowNew(at string, parents bool) error {
	err := c.allowAt(account.Write, at)
	for up := at; parents && err == nil && up != ""; {
		up = up[:max(0, strings.LastIndexByte(up, '/'))]
		if no := c.allowAt(account.Write, up); up != "" && no != nil && c.missing(wire.Name(up)) {
			err = no
		}
	}
	return err
}

// allowMove tells whether a file or directory may get another name, with all that is below it. A place where content may not
// be read must not be left for one where it may.
func (c *conn) allowMove(from, to string) error {
	a, err := c.account()
	if err == nil {
		err = lacks(account.Delete&^a.RightsBelow(from) | account.Write&^a.RightsBelow(to))
	}
	if err == nil && !a.RightsBelow(from).Has(account.Read) && a.RightsWithin(to).Has(account.Read) {
		err = lacks(account.Read)
	}
	return err
}

// fits refuses a file that is longer than the account's may be.
func (c *conn) fits(length int64) error {
	a, err := c.account()
	if err == nil && a.Limits.MaxFileSize > 0 && length > int64(a.Limits.MaxFileSize) {
		err = refusal(wire.TooLarge, "the account takes files of at most "+a.Limits.MaxFileSize.String())
	}
	return err
}

// shows returns which entries of a listing of dir the account may see: those that it may list, in directories that it may list.
func (c *conn) shows(dir string) (func(storage.Entry) bool, error) {
	a, err := c.account()
	if err != nil {
		return nil, err
	}
	if len(a.Rules) == 0 {
		return func(storage.Entry) bool { return true }, nil
	}
	top := len(strings.TrimSuffix(dir, "/"))
	return func(e storage.Entry) bool {
		for end := top + 1; end <= len(e.Name); end++ {
			if (end == len(e.Name) || e.Name[end] == '/') && !a.RightsAt(e.Name[:end]).Has(account.List) {
				return false
			}
		}
		return true
	}, nil
}
