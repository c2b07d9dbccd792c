package remote

import (
	"maps"
	"slices"
	"time"
)

// State is what a session is at, as far as this end can know: it tells what is waited for when nothing seems to happen.
type State struct {
	// Lost tells that there is no connection. Try is the one that is under way or comes next, from 1, 0 if that is not decided yet;
	// Next is when it begins, and lies in the past once it has.
	Lost bool
	Try  int
	Next time.Time

	Due   string    // command of the oldest request without an answer, "" if the server owes none
	Heard time.Time // when bytes last came, or that request left if nothing has come since; zero if no answer is due
	Full  bool      // an answer is here that nobody takes: this side is busy
	Pace  int64     // bytes a second that the account may send, if the server says that it is what it waits for; else 0

	Carried uint64 // bytes over all connections that are up; those to the server once its machine has them, where that can be known
}

// State tells what the session is at, over all connections of the client, its siblings and helpers; but see Apart.
func (c *Client) State() State {
	c.state.Lock()
	clients := slices.Collect(maps.Keys(c.clients))
	c.state.Unlock()
	clients = slices.DeleteFunc(clients, func(one *Client) bool { return one.own != c.own })
	var all State
	for _, one := range clients {
		s := one.line()
		all.Carried += s.Carried
		all.Full = all.Full || s.Full
		if s.Heard.After(all.Heard) {
			all.Due, all.Heard, all.Pace = s.Due, s.Heard, s.Pace
		}
		if s.Lost && s.Try >= all.Try {
			all.Lost, all.Try, all.Next = true, s.Try, s.Next
		}
	}
	if all.Due != "" { // another connection is there
		all.Lost = false
	}
	return all
}

// line is the state of one connection.
func (c *Client) line() State {
	c.mu.Lock()
	k, s := c.conn, State{Lost: c.trying.Try > 0, Try: c.trying.Try, Next: c.trying.Next}
	c.mu.Unlock()
	switch {
	case s.Lost || k == nil:
		return s
	case k.reason() != nil:
		return State{Lost: true}
	}
	return k.state()
}

// try notes which try to connect begins when; 0: none, it is over.
func (c *Client) try(n int, next time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trying.Try, c.trying.Next = n, next
}

func (c *conn) state() (s State) {
	in, out := c.link.Traffic()
	if acked, ok := ackedBytes(c.link.Conn); ok {
		out = int64(acked)
	}
	s.Carried = uint64(in + out)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.pending) > 0 {
		s.Due, s.Full, s.Pace, s.Heard = c.pending[0].cmd, c.handing, c.pace, c.asked
		if last := c.link.LastRead(); last.After(s.Heard) {
			s.Heard = last
		}
	}
	return s
}
