package guard

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Entry is what is known of an address.
type Entry struct {
	Address  string    `json:"address"`  // as Lift takes it
	Failures int       `json:"failures"` // since it was first seen
	Names    int       `json:"names"`    // how many were tried lately
	Last     time.Time `json:"last"`     // refused login
	// Until is when it may try again, the zero time if it may; Banned tells whether its connections are closed unheard until then.
	Until   time.Time `json:"until,omitzero"`
	Banned  bool      `json:"banned"`
	Dropped int       `json:"dropped"` // connections closed unheard
	Spared  bool      `json:"spared"`  // it is never banned, nor made to wait as a whole
	Slowed  int       `json:"slowed"`  // names that have to wait at it
}

// List returns the addresses that failed lately: banned ones first, then those whose last failure is youngest.
func (g *Guard) List() []Entry {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	names, slowed := g.names(), map[netip.Prefix]int{}
	for p, r := range g.pairs.all() {
		if now.Before(r.until) {
			slowed[p.from]++
		}
	}
	all := []Entry{}
	for p, h := range g.hosts.all() {
		e := g.entry(p, h, now)
		e.Names, e.Slowed = names[p], slowed[p]
		if h.now(now) > 0 || !e.Until.IsZero() || e.Slowed > 0 {
			all = append(all, e)
		}
	}
	slices.SortStableFunc(all, func(a, b Entry) int {
		if a.Banned != b.Banned {
			return map[bool]int{true: -1, false: 1}[a.Banned]
		}
		return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.Address, b.Address))
	})
	return all
}

func (g *Guard) entry(p netip.Prefix, h *host, now time.Time) Entry {
	e := Entry{Address: text(p), Failures: h.failures, Last: h.last, Dropped: h.dropped, Spared: g.spared(p.Addr())}
	if now.Before(h.until) && !e.Spared {
		e.Until, e.Banned = h.until, now.Before(h.banned)
	}
	return e
}

// names counts the names that were tried lately, by address.
func (g *Guard) names() map[netip.Prefix]int {
	n := map[netip.Prefix]int{}
	for p := range g.pairs.all() {
		n[p.from]++
	}
	return n
}

// Lift forgets all failures of an address, whether it is banned or made to wait, and of the names at it, and tells whether there
// were any. It takes what Entry.Address holds, or any address that it stands for.
func (g *Guard) Lift(address string) (bool, error) {
	from, err := g.parse(address)
	if err != nil {
		return false, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	found := g.hosts.get(from) != nil
	g.hosts.remove(from)
	for p := range g.pairs.all() {
		if p.from == from {
			found = true
			g.pairs.remove(p)
		}
	}
	return found, nil
}

// Refusal is a login under some name that was refused.
type Refusal struct {
	Address string    `json:"address"`
	Reason  Reason    `json:"reason"`
	Count   int       `json:"count"` // so often in a row
	Time    time.Time `json:"time"`  // of the last of them
}

// remember adds to the refusals of a name.
func (g *Guard) remember(from netip.Addr, name string, why Reason, now time.Time) {
	if name == "" || len(name) > maxName || name[0] == 0 {
		return
	}
	r := Refusal{Address: text(g.network(from)), Reason: why, Count: 1, Time: now}
	all := g.refusals.touch(strings.Clone(name)) // name may be a part of something long
	if n := len(*all); n > 0 && (*all)[n-1].Address == r.Address && (*all)[n-1].Reason == why {
		r.Count += (*all)[n-1].Count
		*all = (*all)[:n-1]
	}
	if len(*all) == maxRefusals {
		*all = slices.Delete(*all, 0, 1)
	}
	*all = append(*all, r)
}

// Explain returns the last refusals of logins under a name, youngest last, and the addresses at which the name has to wait now,
// or that are banned and have tried it.
func (g *Guard) Explain(name string) (refusals []Refusal, waiting []Entry) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if all := g.refusals.get(name); all != nil {
		refusals = slices.Clone(*all)
	}
	now := time.Now()
	for p, r := range g.pairs.all() {
		if p.name != name {
			continue
		}
		e := Entry{Address: text(p.from)}
		if h := g.hosts.get(p.from); h != nil {
			e = g.entry(p.from, h, now)
		}
		if now.Before(r.until) {
			e.Slowed, e.Until = 1, later(e.Until, r.until)
		}
		if !e.Until.IsZero() {
			waiting = append(waiting, e)
		}
	}
	return refusals, waiting
}

// unix stands for whoever comes through a Unix socket.
const unix = "unix"

// text writes what stands for an address.
func text(p netip.Prefix) string {
	switch {
	case !p.IsValid():
		return unix
	case p.IsSingleIP():
		return p.Addr().String()
	}
	return p.String()
}

// parse reads what text writes, or an address.
func (g *Guard) parse(s string) (netip.Prefix, error) {
	if s == unix {
		return netip.Prefix{}, nil
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return g.network(a), nil
	}
	if p, err := netip.ParsePrefix(s); err == nil && g.network(p.Addr()) == p.Masked() {
		return p.Masked(), nil
	}
	return netip.Prefix{}, fmt.Errorf("%q is not an address such as 192.0.2.7 or 2001:db8::/64", s)
}
