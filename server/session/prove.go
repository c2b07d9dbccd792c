package session

import (
	"errors"

	"ferry/server/account"
	"ferry/server/guard"
	"ferry/shared/login"
	"ferry/shared/wire"
)

// credential is what somebody has shown to know or to have: a password's record, or a public key.
type credential struct {
	record string
	key    []byte // in wire form; nil for the password
}

// of tells whether an account is logged in to by the credential.
func (p *credential) of(a *account.Account) bool {
	if p.key != nil {
		_, ok := a.PublicKey(p.key)
		return ok
	}
	return a.HasAuth && a.Auth.String() == p.record
}

// proving is how far somebody is who is logged in and proves once more who he is.
type proving struct {
	exchange *login.Server
	record   string      // that the exchange is about
	fresh    *credential // proved by the request that was handled last
	proved   *credential // proved by the one before: what the request in hand may rely on
}

// next is called for every request: a proof is good for the one behind it.
func (p *proving) next() { p.proved, p.fresh = p.fresh, nil }

// serveLogin begins a proof of the account's password.
func serveLogin(c *conn, r *request) error {
	var q wire.MessageRequest
	if err := wire.DecodeRequest(r.header, &q); err != nil {
		return err
	}
	p := &c.proving
	p.exchange = login.NewServer(c.bind, func(user string) (login.Record, bool) {
		a, ok := c.srv.Accounts.Current().Lookup(c.ses.user)
		if !ok || user != c.ses.user || !a.HasAuth {
			return login.Record{}, false
		}
		p.record = a.Auth.String()
		return a.Auth, true
	}, c.srv.Fake)
	challenge, err := p.exchange.First(q.Message)
	if err != nil {
		p.exchange = nil
		return c.wrong(guard.Malformed)
	}
	c.respond(&wire.LoginAnswer{Message: challenge}, nil, nil)
	return nil
}

func serveProof(c *conn, r *request) error {
	var q wire.MessageRequest
	if err := wire.DecodeRequest(r.header, &q); err != nil {
		return err
	}
	p := &c.proving
	if p.exchange == nil {
		return refusal(wire.BadRequest, "proof: send login first")
	}
	final, err := p.exchange.Final(q.Message)
	p.exchange = nil
	if err != nil {
		return c.wrong(guard.WrongPassword)
	}
	p.fresh = &credential{record: p.record}
	c.respond(&wire.LoginAnswer{Message: final}, nil, nil)
	return nil
}

// serveKey takes the proof of one of the account's keys.
func serveKey(c *conn, r *request) error {
	var q wire.KeyRequest
	if err := wire.DecodeRequest(r.header, &q); err != nil {
		return err
	}
	if c.key == nil {
		return refusal(wire.Unsupported, "key: not on a plain connection")
	}
	key, err := login.VerifyKey(q.Key, q.Signature, c.ses.user, c.key)
	a, ok := c.srv.Accounts.Current().Lookup(c.ses.user)
	proof := &credential{key: key}
	if err != nil || !ok || !proof.of(a) {
		return c.wrong(guard.WrongKey)
	}
	c.proving.fresh = proof
	c.respond(&wire.LoginAnswer{}, nil, nil)
	return nil
}

// wrong counts a proof that failed. Whoever has found a session open must not guess for long.
func (c *conn) wrong(why guard.Reason) error {
	c.srv.guard.Refused(addrOf(c.nc), c.ses.user, why)
	c.log.Warn("proof failed", "reason", string(why))
	c.srv.mu.Lock()
	defer c.srv.mu.Unlock()
	c.ses.wrong++
	if c.ses.wrong >= maxTries {
		c.srv.end(c.ses, &wire.Error{Code: wire.LoginRequired, Message: "too many wrong passwords: log in again"})
	}
	return refusal(wire.AuthFailed, "authentication failed")
}

// errStale refuses what was proved with something that is no longer good.
var errStale = refusal(wire.AuthFailed, "the password or key was changed meanwhile: log in again")

// change edits the session's account, if the request before this one has proved that it may: change is given the account as
// the file has it now.
func (c *conn) change(change func(t *account.Text, a *account.Account) error) error {
	if c.key == nil {
		return refusal(wire.Unsupported, "not on a plain connection")
	}
	proof := c.proving.proved
	if proof == nil {
		return refusal(wire.Denied, "prove first that it is you: send login and proof, or key")
	}
	err := c.srv.Accounts.Edit(func(t *account.Text) error {
		a, ok := t.Accounts().Lookup(c.ses.user)
		if !ok || !proof.of(a) {
			return errStale
		}
		return change(t, a)
	})
	if err == nil {
		c.srv.Enforce()
	}
	return c.editFailed(err)
}

// editFailed returns what a client is told of a failed edit: the details are for the administrator.
func (c *conn) editFailed(err error) error {
	var refused *account.EditError
	var broken *account.Error
	if errors.As(err, &refused) || errors.As(err, &broken) {
		c.log.Error("the account file was not changed", "err", err)
		return refusal(wire.Busy, "the account cannot be changed now: try again, or tell the administrator")
	}
	return err
}
