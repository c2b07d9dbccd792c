// Package guard knows who may try to log in now. It counts refused logins by address, and by address and name together, never
// by name alone, lets those who go on wait longer and longer, bans addresses for a time, and sees to it that nobody takes all
// the places that there are for strangers. Everything is in memory, bounded, and forgotten at a restart.
//
// Networks stand for addresses: all of an IPv6 /64 are one, since whoever has one of them mostly has them all. The zero Addr is
// whoever comes through a Unix socket.
package guard

import (
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// What failures cost is in points; rows has the prices.
const (
	pointsOfName    = 50               // so many make a name wait at an address: five wrong passwords
	pointsOfAddress = 100              // so many make an address wait, whatever the name
	pointsOfBan     = 200              // so many ban it
	pointsAtMost    = 300              // more are not counted, so that everything is forgotten within hours
	pointsPerStep   = 10               // so many more double the time to wait
	forgive         = 30 * time.Second // a point is forgotten after so long
)

const (
	firstWait   = 2 * time.Second
	longestWait = 15 * time.Minute
	firstBan    = 10 * time.Minute // each further one is twice as long
	longestBan  = 24 * time.Hour
	goodConduct = 24 * time.Hour // so long after a ban the next one is a first one again
)

// Bounds of what is remembered.
const (
	maxAddresses = 10_000
	maxPairs     = 10_000
	maxNames     = 1_000 // whose refusals are remembered
	maxRefusals  = 8     // of each
	maxName      = 32    // bytes; no account has a longer one
)

// Guard decides for one server.
type Guard struct {
	never []netip.Prefix
	log   *slog.Logger
	crowd crowd

	mu       sync.Mutex // guards what follows
	hosts    *table[netip.Prefix, host]
	pairs    *table[pair, record]
	refusals *table[string, []Refusal]
}

// pair is a name that was given at an address.
type pair struct {
	from netip.Prefix
	name string
}

// record is what is known of a pair or an address.
type record struct {
	points int
	at     time.Time // when points were last made right
	until  time.Time // no try before
}

// host is what is known of an address.
type host struct {
	record
	failures int // ever
	dropped  int // connections, because of the bans
	bans     int // without good conduct in between
	banned   time.Time
	last     time.Time // failure
}

// New returns a guard that never bans the addresses in never, nor makes them wait as a whole: only names at them. Bans are
// logged.
func New(never []netip.Prefix, log *slog.Logger) *Guard {
	g := &Guard{never: never, log: log}
	g.crowd.hosts = map[netip.Prefix]*queue{}
	g.hosts = newTable[netip.Prefix](maxAddresses, func(h *host) int {
		if time.Now().Before(h.banned) {
			return pointsAtMost + h.bans
		}
		return h.now(time.Now())
	})
	g.pairs = newTable[pair](maxPairs, func(r *record) int { return r.now(time.Now()) })
	g.refusals = newTable[string](maxNames, func(r *[]Refusal) int { return len(*r) })
	return g
}

// network returns what stands for an address; the zero Prefix for the zero Addr.
func (g *Guard) network(from netip.Addr) netip.Prefix {
	from = from.Unmap().WithZone("")
	bits := 32
	if from.Is6() {
		bits = 64
	}
	for _, p := range g.never {
		if p.Contains(from) {
			bits = max(bits, p.Bits()) // the neighbours are not spared
		}
	}
	p, _ := from.Prefix(bits)
	return p
}

// spared tells whether an address is neither banned nor made to wait as a whole.
func (g *Guard) spared(from netip.Addr) bool {
	from = from.Unmap().WithZone("")
	return !from.IsValid() || slices.ContainsFunc(g.never, func(p netip.Prefix) bool { return p.Contains(from) })
}

func (g *Guard) pair(from netip.Addr, name string) pair {
	return pair{g.network(from), strings.Clone(name[:min(len(name), maxName+1)])}
}

// Wait returns how long somebody must wait before a try to log in under a name will be looked at, 0 if not at all. Whether
// there is such an account makes no difference.
func (g *Guard) Wait(from netip.Addr, name string) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	var until time.Time
	if r := g.pairs.get(g.pair(from, name)); r != nil {
		until = r.until
	}
	if h := g.hosts.get(g.network(from)); h != nil && !g.spared(from) {
		until = later(until, h.until)
	}
	return max(0, time.Until(until))
}

// Refused is told of every login that was refused, and why.
func (g *Guard) Refused(from netip.Addr, name string, why Reason) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	g.remember(from, name, why, now)
	price := why.row()
	if price.name > 0 {
		r := g.pairs.touch(g.pair(from, name))
		r.charge(price.name, now)
		r.wait(now, pointsOfName)
	}
	if price.address > 0 {
		h := g.hosts.touch(g.network(from))
		h.charge(price.address, now)
		h.last = now
		if price.name > 0 {
			h.failures++
			h.wait(now, pointsOfAddress)
		}
		if h.points >= pointsOfBan && !g.spared(from) && !now.Before(h.banned) {
			g.ban(g.network(from), h, now)
		}
	}
}

func (g *Guard) ban(from netip.Prefix, h *host, now time.Time) {
	if now.Sub(h.banned) > goodConduct {
		h.bans = 0
	}
	span := min(firstBan<<min(h.bans, 10), longestBan)
	h.bans++
	h.banned = now.Add(span)
	h.until = h.banned
	g.log.Warn("address banned", "address", text(from), "for", span, "failures", h.failures, "names", g.names()[from])
}

// Admitted is told of everybody who has proved to be the user. It forgets the failures under that name at that address, no
// matter how many there were under others.
func (g *Guard) Admitted(from netip.Addr, name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.pair(from, name)
	r := g.pairs.get(p)
	if r == nil {
		return
	}
	now := time.Now()
	if h := g.hosts.get(p.from); h != nil {
		h.points = max(0, h.now(now)-r.now(now))
	}
	g.pairs.remove(p)
}

// Delay returns how long somebody must wait before he may attempt something, 0 if not at all.
func (g *Guard) Delay(from netip.Addr, what string) time.Duration { return g.Wait(from, "\x00"+what) }

// Attempt counts something else that strangers may do only so often, say "register", and returns how long this one must wait, 0
// if it may go on.
func (g *Guard) Attempt(from netip.Addr, what string) time.Duration {
	what = "\x00" + what // is no user's name
	if wait := g.Wait(from, what); wait > 0 {
		g.Refused(from, what, RateLimited)
		return wait
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	r, now := g.pairs.touch(g.pair(from, what)), time.Now()
	r.charge(pointsPerStep, now)
	r.wait(now, pointsOfName)
	return 0
}

// now returns the points that are left at a time.
func (r *record) now(now time.Time) int {
	steps := int64(now.Sub(r.at) / forgive)
	r.at = r.at.Add(time.Duration(steps) * forgive)
	r.points = int(max(0, int64(r.points)-steps))
	return r.points
}

// charge adds points.
func (r *record) charge(points int, now time.Time) {
	if r.points == 0 {
		r.at = now
	}
	r.points = min(r.now(now)+points, pointsAtMost)
}

// wait puts the next try off by what the points beyond free are worth.
func (r *record) wait(now time.Time, free int) {
	if over := r.points - free; over >= 0 {
		r.until = later(r.until, now.Add(min(firstWait<<(over/pointsPerStep), longestWait)))
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
