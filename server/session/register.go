package session

import (
	"errors"

	"ferry/server/register"
	"ferry/shared/wire"
)

// register lets somebody make an account of his own.
func (g *gate) register(r *wire.RegisterRequest) error {
	switch {
	case !g.greeted:
		return g.rude()
	case g.conn.key == nil:
		return g.no(wire.Unsupported, "register: not on a plain connection")
	case g.tries == maxTries:
		g.no(wire.AuthFailed, "authentication failed")
		return errTries
	}
	if wait := g.srv.guard.Delay(g.from, wire.CmdRegister); wait > 0 {
		return g.later(r.User, wait)
	}
	if r.Record == "" {
		if err := g.srv.Register.Ask(g.from, r.User, r.Code); err != nil {
			return g.unregistered(r.User, err)
		}
		return g.say(&wire.CostsAnswer{Costs: g.srv.costs()})
	}
	err := g.srv.checkRecord(r.Record)
	if err == nil {
		err = g.srv.Register.Add(g.from, r.User, r.Code, r.Record)
	}
	if err != nil {
		return g.unregistered(r.User, err)
	}
	g.log.Info("registered", "user", r.User, "mode", g.srv.Register.Rules.Mode)
	return g.say(&wire.CostsAnswer{})
}

// unregistered says why there is no account, and counts that as a try unless another one may do better.
func (g *gate) unregistered(user string, err error) error {
	e := g.refusedToRegister(err)
	g.log.Warn("registration refused", "code", string(e.Code), "user", clipped(user))
	if e.Code == wire.AuthFailed || e.Code == wire.Exists { // so an invite or a name may be guessed
		g.srv.guard.Attempt(g.from, wire.CmdRegister)
	}
	if e.Code != wire.RateLimited && e.Code != wire.Busy && e.Code != wire.Internal {
		g.tries++
	}
	if err := g.no(e.Code, "%s", e.Message); err != nil {
		return err
	}
	if g.tries >= maxTries {
		return errTries
	}
	return nil
}

func (g *gate) refusedToRegister(err error) *wire.Error {
	for _, m := range []struct {
		err  error
		code wire.Code
	}{
		{register.ErrClosed, wire.Denied}, {register.ErrInvite, wire.AuthFailed}, {register.ErrTaken, wire.Exists},
		{register.ErrName, wire.BadRequest}, {register.ErrLimit, wire.RateLimited},
	} {
		if errors.Is(err, m.err) {
			return &wire.Error{Code: m.code, Message: m.err.Error()}
		}
	}
	var e *wire.Error
	if errors.As(g.editFailed(err), &e) {
		return e
	}
	return g.internal("register", err)
}
