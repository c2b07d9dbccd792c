package session

import (
	"crypto/hmac"
	"crypto/rand"
	"encoding/hex"
	"time"

	"ferry/server/account"
	"ferry/shared/login"
	"ferry/shared/wire"
)

const (
	maxAttached  = 16              // connections of a session
	maxLingering = 64              // sessions of an account without a connection
	maybeDead    = 5 * time.Second // after so long a silence
)

// session is a user who is logged in: what the connections that came in by one login share.
type session struct {
	id     string
	user   string
	client string // the program, as it says itself
	begun  time.Time
	key    []byte // the public key that was proved; nil for the password
	secret [32]byte
	home   *home
	at     string // where that is among the homes

	// Guarded by Server.mu.
	auth  string // the record that was proved
	next  string // the one that this session puts in its place
	wrong int    // proofs that failed since it began
	conns map[*conn]struct{}
	seen  time.Time   // when the last connection ended
	over  *time.Timer // ends a session without connections; nil while there are some

	uploads map[string]*upload // opened by this session, by id; guarded by home.uploads.mu
}

// begin makes a session with its first connection, or returns too_many.
func (s *Server) begin(c *conn, a *account.Account, key []byte, h *home) (*session, error) {
	ses := &session{id: newID(), user: a.Name, client: c.client, begun: time.Now(), auth: a.Auth.String(), key: key, home: h, at: a.Home,
		conns: map[*conn]struct{}{c: {}}}
	rand.Read(ses.secret[:])
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.full(a, nil) {
		return nil, errSessions
	}
	s.sessions[ses.id] = ses
	c.ses = ses
	s.State.Login(a.Name, s.Now())
	return ses, nil
}

// attach adds a connection to a session, if proof shows that it knows the secret. It returns auth_failed or too_many.
func (s *Server) attach(c *conn, id, proof string, bind login.Binding) error {
	given, err := hex.DecodeString(proof)
	s.mu.Lock()
	defer s.mu.Unlock()
	ses := s.sessions[id]
	secret, kicked := s.kicked[id] // without one that of nobody: what is compared takes as long
	if ses != nil {
		secret = ses.secret
	}
	if !hmac.Equal(given, login.Attach(secret[:], bind)) || ses == nil && !kicked || err != nil {
		return refusal(wire.AuthFailed, "authentication failed")
	}
	if kicked {
		return errKicked
	}
	a, ok := s.Accounts.Current().Lookup(ses.user)
	if !ok || s.revoked(ses, a) != nil || !a.Allowed(addrOf(c.nc)) {
		return refusal(wire.AuthFailed, "authentication failed") // a login tells the reason
	}
	if s.full(a, ses) {
		return errSessions
	}
	if len(ses.conns) >= maxAttached && !ses.evict() {
		return refusal(wire.TooMany, "the session has as many connections as it may")
	}
	if ses.over != nil {
		ses.over.Stop()
		ses.over = nil
		ses.home.lingering--
	}
	ses.conns[c] = struct{}{}
	c.ses = ses
	return nil
}

// evict ends the connection of the session that has been silent for longest, if it may be dead: the client knows first that a
// line is gone, and whoever comes in its place must find room. Server.mu is held.
func (ses *session) evict() bool {
	var dead *conn
	since := time.Now().Add(-maybeDead)
	for c := range ses.conns {
		if last := c.link.LastRead(); last.Before(since) {
			dead, since = c, last
		}
	}
	if dead == nil {
		return false
	}
	delete(ses.conns, dead)
	dead.abort(nil)
	return true
}

// leave takes a connection that ended out of its session. The last one closes the session's uploads, which stay resumable.
func (s *Server) leave(c *conn) {
	ses := c.ses
	s.mu.Lock()
	delete(ses.conns, c)
	ses.seen = time.Now()
	last := len(ses.conns) == 0
	if last && s.sessions[ses.id] == ses {
		if ses.home.lingering >= maxLingering {
			s.forget(ses)
		} else {
			ses.home.lingering++
			ses.over = time.AfterFunc(s.Timing.Linger, func() {
				s.mu.Lock()
				defer s.mu.Unlock()
				if ses.over != nil {
					s.forget(ses)
				}
			})
		}
	}
	s.mu.Unlock()
	if last {
		s.release(ses)
	}
}

// forget makes a session's secret worthless. s.mu is held.
func (s *Server) forget(ses *session) {
	if s.sessions[ses.id] != ses {
		return
	}
	delete(s.sessions, ses.id)
	if ses.over != nil {
		ses.over.Stop()
		ses.over = nil
		ses.home.lingering--
	}
}

// end ends a session and its connections, telling them why; nil lets what they have asked for finish. s.mu is held.
func (s *Server) end(ses *session, why *wire.Error) {
	s.forget(ses)
	for c := range ses.conns {
		if why == nil {
			c.drain()
		} else {
			c.abort(why)
		}
	}
}

// revoked tells why an account's session must end, nil if it need not.
func (s *Server) revoked(ses *session, a *account.Account) *wire.Error {
	switch {
	case a == nil:
		return &wire.Error{Code: wire.LoginRequired, Message: "the account was removed"}
	case a.Locked != "":
		return &wire.Error{Code: wire.LoginRequired, Message: "the account was locked: " + a.Locked}
	case a.Expired(s.Now()):
		return &wire.Error{Code: wire.LoginRequired, Message: "the account expired on " + a.Expires}
	case a.Home != ses.at:
		return &wire.Error{Code: wire.LoginRequired, Message: "the account has another home now: log in again"}
	case ses.key == nil && a.Auth.String() != ses.auth && a.Auth.String() != ses.next:
		return &wire.Error{Code: wire.LoginRequired, Message: "the password was changed: log in again"}
	case ses.key != nil:
		if _, ok := a.PublicKey(ses.key); !ok {
			return &wire.Error{Code: wire.LoginRequired, Message: "the key was removed from the account"}
		}
	}
	return nil
}

// silent tells whether no connection of the session has shown a sign of life lately.
func (s *Server) silent(ses *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range ses.conns {
		if c.ctx.Err() == nil && time.Since(c.link.LastRead()) <= writerGone {
			return false
		}
	}
	return true
}
