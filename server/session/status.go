package session

import (
	"context"
	"io/fs"
	"slices"
	"strings"
	"time"

	"ferry/server/account"
	"ferry/shared/block"
	"ferry/shared/wire"
)

// Status is what an administrator is told of a session.
type Status struct {
	ID, User    string
	Client      string // the program and its version, as it says itself
	Addresses   []string
	Begun       time.Time
	Idle        time.Duration // since something was heard of it; 0 while it is being served
	Connections int
	In, Out     int64 // bytes over the connections that are there
	Doing       []Activity
}

// Activity is a command under way.
type Activity struct {
	Cmd  string
	Path string // "" if it is about no file, or many
	Done int64  // bytes; of an upload those that were verified
	Of   int64
}

// minID is how many digits of a session's id are told, and name it.
const minID = 8

// List returns the sessions there are, oldest first; one without a connection may be joined again for some minutes.
func (s *Server) List() []Status {
	var list []Status
	var sessions []*session
	s.mu.Lock()
	for _, ses := range s.sessions {
		sessions = append(sessions, ses)
	}
	slices.SortFunc(sessions, func(a, b *session) int { return a.begun.Compare(b.begun) })
	for _, ses := range sessions {
		list = append(list, ses.status())
	}
	s.mu.Unlock()
	for i, ses := range sessions { // apart: whoever holds uploads.mu may want Server.mu
		list[i].Doing = append(ses.sending(), list[i].Doing...)
	}
	return list
}

// status describes the session but for its uploads. Server.mu is held.
func (ses *session) status() Status {
	st := Status{ID: ses.id, User: ses.user, Client: ses.client, Begun: ses.begun, Connections: len(ses.conns)}
	seen, served := ses.seen, false
	for c := range ses.conns {
		in, out := c.link.Traffic()
		st.In, st.Out = st.In+in, st.Out+out
		if last := c.link.LastRead(); last.After(seen) {
			seen = last
		}
		if a := addressOf(c.nc); !slices.Contains(st.Addresses, a) {
			st.Addresses = append(st.Addresses, a)
		}
		c.mu.Lock()
		if c.owed > 0 {
			served = true
			st.Doing = merge(st.Doing, c.now)
		}
		c.mu.Unlock()
	}
	slices.Sort(st.Addresses)
	if !served {
		st.Idle = max(0, time.Since(seen))
	}
	return st
}

// merge adds what a connection does. Requests about an upload are told by the upload; of several connections that fetch one
// file the one counts that is farthest.
func merge(list []Activity, a Activity) []Activity {
	switch a.Cmd {
	case wire.CmdData, wire.CmdCheck, wire.CmdCommit, wire.CmdVerify, wire.CmdPing:
		return list
	}
	for i := range list {
		if list[i].Cmd == a.Cmd && list[i].Path == a.Path {
			list[i].Done = max(list[i].Done, a.Done)
			return list
		}
	}
	return append(list, a)
}

// sending returns the uploads that the session has open.
func (ses *session) sending() []Activity {
	var list []Activity
	ses.home.uploads.mu.Lock()
	defer ses.home.uploads.mu.Unlock()
	for _, u := range ses.uploads {
		u.mu.Lock()
		list = append(list, Activity{Cmd: wire.CmdPut, Path: u.spec.Path, Done: max(0, u.spec.Length-u.left*block.Size), Of: u.spec.Length})
		u.mu.Unlock()
	}
	slices.SortFunc(list, func(a, b Activity) int { return strings.Compare(a.Path, b.Path) })
	return list
}

// errKicked is why a session ends that an administrator ended.
var errKicked = &wire.Error{Code: wire.Kicked, Message: "an administrator ended the session"}

// Kick ends the sessions of a user, or the one whose id begins with which (at least 8 digits), and returns their ids. What they
// were sending can be resumed.
func (s *Server) Kick(which string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []*session
	for _, ses := range s.sessions {
		if ses.user == which {
			found = append(found, ses)
		}
	}
	for id, ses := range s.sessions {
		if len(found) == 0 && len(which) >= minID && strings.HasPrefix(id, which) {
			found = append(found, ses)
		}
	}
	var ids []string
	for _, ses := range found {
		s.end(ses, errKicked)
		s.kicked[ses.id] = ses.secret // a client whose line was full or gone has not heard of it
		time.AfterFunc(s.Timing.Linger, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.kicked, ses.id)
		})
		ids = append(ids, ses.id[:minID])
	}
	slices.Sort(ids)
	return ids
}

// DropUpload discards an unfinished upload of an account; fs.ErrNotExist if it has none of that id, or no home.
func (s *Server) DropUpload(ctx context.Context, a *account.Account, id string) error {
	if !validID(id) {
		return fs.ErrNotExist
	}
	h, err := s.openHome(a)
	if err != nil {
		return err
	}
	return h.store.Drop(ctx, id)
}
