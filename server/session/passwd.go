package session

import (
	"ferry/server/account"
	"ferry/shared/login"
	"ferry/shared/wire"
)

// servePasswd gives the account another password. Its record is all that the server sees of it.
func servePasswd(c *conn, r *request) error {
	var q wire.PasswdRequest
	if err := wire.DecodeRequest(r.header, &q); err != nil {
		return err
	}
	if q.Record == "" {
		if c.key == nil {
			return refusal(wire.Unsupported, "not on a plain connection")
		}
		c.respond(&wire.CostsAnswer{Costs: c.srv.costs()}, nil, nil)
		return nil
	}
	if err := c.srv.checkRecord(q.Record); err != nil {
		return err
	}
	// Before anybody can see the new one: the session must not end over it.
	c.srv.mu.Lock()
	c.ses.next = q.Record
	c.srv.mu.Unlock()
	err := c.change(func(t *account.Text, a *account.Account) error {
		if a.HasAuth && a.Auth.String() == q.Record {
			return nil // the same request as before
		}
		if err := t.Set(a.Name, "auth", q.Record); err != nil {
			return err
		}
		return t.Off(a.Name, "must_change_password")
	})
	if err != nil {
		return err
	}
	c.srv.mu.Lock()
	c.ses.auth = q.Record
	c.srv.mu.Unlock()
	c.log.Info("password changed")
	c.respond(&wire.CostsAnswer{}, nil, nil)
	return nil
}

// costs returns what a new record is to be made with: so that it tells nothing, the same for everybody.
func (s *Server) costs() *wire.Costs {
	p := s.Fake.Params
	return &wire.Costs{Memory: p.Memory, Passes: p.Time, Lanes: p.Threads}
}

func (s *Server) checkRecord(text string) error {
	record, err := login.ParseRecord(text)
	if err != nil {
		return refusal(wire.BadRequest, "field record: "+err.Error())
	}
	if record.Params != s.Fake.Params {
		return refusal(wire.BadRequest, "field record: the costs are not those that this server asks for")
	}
	return nil
}
