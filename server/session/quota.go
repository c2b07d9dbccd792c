package session

import (
	"context"
	"fmt"

	"ferry/server/account"
	"ferry/server/state"
	"ferry/server/storage"
	"ferry/shared/wire"
)

// limits returns what an account's home may take up, as users.toml has it now.
func (s *Server) limits(user string) storage.Amount {
	a, ok := s.Accounts.Current().Lookup(user)
	if !ok {
		return storage.Amount{}
	}
	return storage.Amount{Bytes: int64(a.Limits.Quota), Files: int64(a.Limits.QuotaFiles)}
}

// restore returns what a home took up when the server was stopped.
func (s *Server) restore(h *home) (storage.Amount, bool) {
	used, ok, err := s.State.Take(h.name, h.path)
	if err != nil { // on a full disk files must still be removable; what was not written now is with the next Save
		s.Log.Error("state not saved", "err", err)
	}
	return used, ok
}

// note puts what is known of a home into the state; exact says that nothing changes it any more.
func (h *home) note(f *state.File, exact bool) {
	if named, staged, known := h.store.Counted(); known {
		f.Count(h.name, h.path, named, staged, exact)
	}
}

// Use returns what is known of an account.
func (s *Server) Use(name string) state.Account {
	s.mu.Lock()
	if h := s.homes[name]; h != nil {
		h.note(s.State, false)
	}
	s.mu.Unlock()
	return s.State.Lookup(name)
}

// Recount counts anew what the home of an account takes up, logs a difference, and returns what was believed, if known, and what is.
func (s *Server) Recount(ctx context.Context, a *account.Account) (was, is storage.Amount, known bool, err error) {
	h, err := s.openHome(a)
	if err != nil {
		return was, is, known, err
	}
	was, is, known, err = h.store.Recount(ctx)
	if known && was != is && err == nil {
		s.Log.Warn("the count of a home was wrong", "user", a.Name, "bytes", is.Bytes, "files", is.Files, "bytes_before", was.Bytes, "files_before", was.Files)
	}
	return was, is, known, err
}

// fullText says which limit is reached, and how far.
func fullText(e *storage.QuotaError) string {
	if e.Limit.Bytes > 0 && e.Need.Bytes > e.Limit.Bytes-e.Used.Bytes {
		return fmt.Sprintf("the quota is reached: %s of %s used, %s more needed", account.Size(e.Used.Bytes).Short(),
			account.Size(e.Limit.Bytes).Short(), account.Size(e.Need.Bytes).Short())
	}
	return fmt.Sprintf("the quota is reached: %d of %d files and directories", e.Used.Files, e.Limit.Files)
}

func serveDf(c *conn, r *request) error {
	var q wire.EmptyRequest
	if err := wire.DecodeRequest(r.header, &q); err != nil {
		return err
	}
	u, err := c.home.store.Usage(c.ctx)
	if err != nil {
		return err
	}
	limit := c.srv.limits(c.ses.user)
	c.respond(&wire.DfAnswer{Used: u.Used.Bytes, Quota: limit.Bytes, Files: u.Used.Files, QuotaFiles: limit.Files, Free: u.Free}, nil, nil)
	return nil
}
