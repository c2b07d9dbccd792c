package guard

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"
)

const (
	roomy     = 1024 // up to so many strangers nobody has to go
	crowded   = 2048 // more there never are
	maxActive = 256  // strangers of one address that are served; the others of it wait
)

// Why Enter refuses.
var (
	ErrBanned = errors.New("the address is banned")
	ErrFull   = errors.New("too many connections that are not logged in")
)

// crowd is everybody who is not logged in yet.
type crowd struct {
	mu    sync.Mutex // guards what follows
	all   []*Stranger
	hosts map[netip.Prefix]*queue // addresses that somebody is there from
}

// queue is the strangers of one address.
type queue struct {
	count int
	slots chan struct{}
}

// Stranger is a connection whose user is not known yet.
type Stranger struct {
	crowd *crowd
	from  netip.Prefix
	queue *queue
	drop  func()
	at    int           // index in crowd.all; -1: has left
	gone  chan struct{} // closed when it was dropped
	slot  bool
}

// Enter lets a connection in whose user is not known yet, and costs next to nothing. It returns ErrBanned or ErrFull. The more
// strangers there are, the more likely it is that for the newcomer somebody has to go: somebody by chance, but rather one of the
// many from one address, and the newcomer himself if he is one of them. drop ends the connection of who has to go.
func (g *Guard) Enter(from netip.Addr, drop func()) (*Stranger, error) {
	if g.drop(from) {
		return nil, ErrBanned
	}
	return g.crowd.enter(g.network(from), drop)
}

// drop tells whether an address is banned, and counts.
func (g *Guard) drop(from netip.Addr) bool {
	if g.spared(from) {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	h := g.hosts.get(g.network(from))
	if h == nil || !time.Now().Before(h.banned) {
		return false
	}
	h.dropped++
	return true
}

func (c *crowd) enter(from netip.Prefix, drop func()) (*Stranger, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	held := 0
	if q := c.hosts[from]; q != nil {
		held = q.count
	}
	if over := len(c.all) - roomy; over >= 0 && rand.N(crowded-roomy) <= over {
		victim := c.all[rand.N(len(c.all))]
		for range choice {
			if other := c.all[rand.N(len(c.all))]; other.queue.count > victim.queue.count {
				victim = other
			}
		}
		if mine := held + 1; mine > victim.queue.count || mine == victim.queue.count && rand.N(2) == 0 {
			return nil, ErrFull
		}
		c.remove(victim)
		close(victim.gone)
		go victim.drop() // closing may take its time
	}
	q := c.hosts[from]
	if q == nil {
		q = &queue{slots: make(chan struct{}, maxActive)}
		c.hosts[from] = q
	}
	q.count++
	s := &Stranger{crowd: c, from: from, queue: q, drop: drop, at: len(c.all), gone: make(chan struct{})}
	c.all = append(c.all, s)
	return s, nil
}

// remove takes a stranger out. c.mu is held.
func (c *crowd) remove(s *Stranger) {
	last := c.all[len(c.all)-1]
	c.all[s.at], last.at = last, s.at
	c.all[len(c.all)-1] = nil
	c.all = c.all[:len(c.all)-1]
	s.at = -1
	if s.queue.count--; s.queue.count == 0 {
		delete(c.hosts, s.from)
	}
}

// Wait waits until the stranger is among those of its address that are served, and tells whether it came to that before ctx
// ended, so much time passed, or somebody else got the place.
func (s *Stranger) Wait(ctx context.Context, most time.Duration) bool {
	select {
	case s.queue.slots <- struct{}{}: // mostly: a context of its own would cost ctx 400 bytes for as long as that lasts
		s.slot = true
		return true
	default:
	}
	late := time.NewTimer(most)
	defer late.Stop()
	select {
	case s.queue.slots <- struct{}{}:
		s.slot = true
		return true
	case <-s.gone:
	case <-ctx.Done():
	case <-late.C:
	}
	return false
}

// Leave gives the place back, because the user is known or the connection has ended. Only the first call counts.
func (s *Stranger) Leave() {
	s.crowd.mu.Lock()
	if s.at >= 0 {
		s.crowd.remove(s)
	}
	s.crowd.mu.Unlock()
	if s.slot {
		s.slot = false
		<-s.queue.slots
	}
}
