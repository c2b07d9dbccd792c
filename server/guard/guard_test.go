package guard_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ferry/server/guard"
)

var (
	home   = netip.MustParseAddr("192.0.2.7")
	abroad = netip.MustParseAddr("198.51.100.9")
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// fail lets n logins fail.
func fail(g *guard.Guard, from netip.Addr, name string, n int) {
	for range n {
		g.Refused(from, name, guard.WrongPassword)
	}
}

// spray lets one login fail under each of n names.
func spray(g *guard.Guard, from netip.Addr, n int) {
	for i := range n {
		g.Refused(from, fmt.Sprintf("name%d", i), guard.WrongPassword)
	}
}

func waits(t *testing.T, g *guard.Guard, from netip.Addr, name string, want time.Duration) {
	t.Helper()
	if got := g.Wait(from, name); got != want {
		t.Errorf("%s at %s waits %v, want %v", name, from, got, want)
	}
}

// listed returns what the list says of an address, nil if nothing.
func listed(g *guard.Guard, address string) *guard.Entry {
	for _, e := range g.List() {
		if e.Address == address {
			return &e
		}
	}
	return nil
}

// TestNameWaits: a person may mistype; whoever goes on waits twice as long each time. Neither the name elsewhere nor other names
// there are touched.
func TestNameWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := guard.New(nil, quiet())
		fail(g, home, "alice", 4)
		waits(t, g, home, "alice", 0)
		for _, want := range []time.Duration{2, 4, 8, 16} {
			fail(g, home, "alice", 1)
			waits(t, g, home, "alice", want*time.Second)
			waits(t, g, home, "bob", 0)
			waits(t, g, abroad, "alice", 0)
			time.Sleep(want*time.Second - 1)
			waits(t, g, home, "alice", 1)
			time.Sleep(time.Nanosecond)
			waits(t, g, home, "alice", 0)
		}
	})
}

// TestWaitIsBounded: however often somebody failed, he may try again within a quarter of an hour, and has a clean slate within hours.
func TestWaitIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := guard.New([]netip.Prefix{netip.PrefixFrom(home, 32)}, quiet())
		fail(g, home, "alice", 10_000)
		waits(t, g, home, "alice", 15*time.Minute)
		time.Sleep(150 * time.Minute)
		if len(g.List()) != 0 {
			t.Errorf("after hours: %v", g.List())
		}
		fail(g, home, "alice", 4)
		waits(t, g, home, "alice", 0)
	})
}

// TestBan: names in turn make the address wait, then it is banned, for longer each time, and only it.
func TestBan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		g := guard.New(nil, slog.New(slog.NewTextHandler(&log, nil)))
		enters := func(want error) {
			t.Helper()
			if s, err := g.Enter(home, func() {}); err != want {
				t.Errorf("a connection is answered %v, want %v", err, want)
			} else if err == nil {
				s.Leave()
			}
		}
		spray(g, home, 9)
		waits(t, g, home, "alice", 0)
		spray(g, home, 1)
		waits(t, g, home, "alice", 2*time.Second)
		waits(t, g, abroad, "alice", 0)
		enters(nil)
		spray(g, home, 10)
		for i, want := range []time.Duration{10, 20, 40, 80, 160, 320, 640, 1280, 1440, 1440} {
			waits(t, g, home, "alice", want*time.Minute)
			enters(guard.ErrBanned)
			if got := strings.Count(log.String(), `msg="address banned" address=192.0.2.7 for=`); got != i+1 {
				t.Fatalf("%d lines for %d bans:\n%s", got, i+1, &log)
			}
			e := listed(g, "192.0.2.7")
			if e == nil || !e.Banned || !e.Until.Equal(time.Now().Add(want*time.Minute)) || e.Dropped != i+1 || i == 0 && (e.Failures != 20 || e.Names != 10) {
				t.Fatalf("listed: %+v", e)
			}
			time.Sleep(want * time.Minute)
			enters(nil)
			waits(t, g, home, "alice", 0)
			spray(g, home, 30)
		}
		time.Sleep(49 * time.Hour) // the ban and a day of good conduct
		spray(g, home, 20)
		waits(t, g, home, "alice", 10*time.Minute)
		waits(t, g, abroad, "alice", 0)
	})
}

// TestKnocking: whoever hammers on while he has to wait is banned though nothing of it is looked at; a script with an old
// password that comes once a minute is not, nor is an agent with many keys.
func TestKnocking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := guard.New(nil, quiet())
		try := func(from netip.Addr) {
			if g.Wait(from, "alice") > 0 {
				g.Refused(from, "alice", guard.RateLimited)
			} else {
				fail(g, from, "alice", 1)
			}
		}
		begin := time.Now()
		for listed(g, "192.0.2.7") == nil || !listed(g, "192.0.2.7").Banned {
			try(home)
			time.Sleep(100 * time.Millisecond)
			if time.Since(begin) > time.Minute {
				t.Fatal("hammering goes on and on")
			}
		}
		if n := listed(g, "192.0.2.7").Failures; n > 10 {
			t.Errorf("%d guesses before the ban", n)
		}
		for range 7 * 24 * 60 {
			try(abroad)
			time.Sleep(time.Minute)
			if listed(g, "198.51.100.9").Banned {
				t.Fatal("the script is banned")
			}
		}
		agent := netip.MustParseAddr("203.0.113.1")
		for range 20 {
			g.Refused(agent, "alice", guard.WrongKey)
		}
		waits(t, g, agent, "alice", 0)
	})
}

// TestAdmitted: who has the password gets his mistakes forgiven, also at the address, but not what was done under other names there.
func TestAdmitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := guard.New(nil, quiet())
		for range 100 { // an office full of people who mistype
			fail(g, home, "alice", 4)
			g.Admitted(home, "alice")
		}
		waits(t, g, home, "alice", 0)
		if l := g.List(); len(l) != 0 {
			t.Errorf("remembered: %v", l)
		}
		for range 5 { // somebody with an account who guesses another's password
			fail(g, home, "victim", 2)
			g.Admitted(home, "mallory")
		}
		waits(t, g, home, "victim", 64*time.Second)
		waits(t, g, home, "mallory", 2*time.Second)
		fail(g, home, "victim", 10)
		g.Admitted(home, "mallory")
		g.Admitted(home, "victim")
		if e := listed(g, "192.0.2.7"); e == nil || !e.Banned {
			t.Errorf("a login lifts the ban: %+v", e)
		}
	})
}

// TestSpared addresses and the socket are never banned and never wait as a whole; a name at them does.
func TestSpared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := guard.New([]netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::1/128")}, quiet())
		for _, from := range []string{"192.0.2.7", "::ffff:192.0.2.8", "2001:db8::1", ""} {
			addr, _ := netip.ParseAddr(from)
			spray(g, addr, 1000)
			fail(g, addr, "alice", 5)
			waits(t, g, addr, "bob", 0)
			waits(t, g, addr, "alice", 2*time.Second)
			if _, err := g.Enter(addr, func() {}); err != nil {
				t.Errorf("%q: %v", from, err)
			}
		}
		for _, e := range g.List() {
			if e.Banned || !e.Until.IsZero() || e.Slowed != 1 || !e.Spared {
				t.Errorf("%+v", e)
			}
		}
		waits(t, g, netip.MustParseAddr("2001:db8::2"), "alice", 0) // of the same network as one that is spared
		spray(g, netip.MustParseAddr("2001:db8::2"), 20)
		if _, err := g.Enter(netip.MustParseAddr("2001:db8::2"), func() {}); err != guard.ErrBanned {
			t.Errorf("the neighbour: %v", err)
		}
	})
}

// TestNetworks: what one household can choose from is one address.
func TestNetworks(t *testing.T) {
	for _, tt := range []struct {
		from, to string
		same     bool
	}{
		{"192.0.2.7", "192.0.2.8", false},
		{"192.0.2.7", "::ffff:192.0.2.7", true},
		{"2001:db8::7", "2001:db8::ffff:ffff:ffff:ffff", true},
		{"2001:db8::7", "2001:db8:0:1::7", false},
		{"fe80::1%eth0", "fe80::2%eth1", true},
	} {
		g := guard.New(nil, quiet())
		spray(g, netip.MustParseAddr(tt.from), 20)
		if got := g.Wait(netip.MustParseAddr(tt.to), "alice") > 0; got != tt.same {
			t.Errorf("%s for %s: %v", tt.from, tt.to, got)
		}
		if got, err := g.Lift(tt.to); got != tt.same || err != nil {
			t.Errorf("lift %s for %s: %v, %v", tt.from, tt.to, got, err)
		}
	}
}

func TestLift(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := guard.New(nil, quiet())
		froms := []netip.Addr{home, netip.MustParseAddr("2001:db8::7"), {}}
		for _, from := range froms {
			spray(g, from, 20)
			fail(g, from, "alice", 9)
		}
		spray(g, abroad, 20)
		for _, address := range []string{"192.0.2.7", "2001:db8::/64", "unix"} {
			if listed(g, address) == nil {
				t.Errorf("%s is not listed", address)
			}
			if found, err := g.Lift(address); !found || err != nil {
				t.Error(address, found, err)
			}
			if listed(g, address) != nil {
				t.Errorf("%s is still listed", address)
			}
		}
		if found, err := g.Lift("unix"); found || err != nil {
			t.Error("lifted twice", found, err)
		}
		for _, from := range froms {
			waits(t, g, from, "alice", 0)
			if _, err := g.Enter(from, func() {}); err != nil {
				t.Error(from, err)
			}
		}
		if _, err := g.Enter(abroad, func() {}); err != guard.ErrBanned {
			t.Error("another ban was lifted, too")
		}
		for _, bad := range []string{"", "alice", "192.0.2.0/24", "2001:db8::/48", "192.0.2.7:22"} {
			if _, err := g.Lift(bad); err == nil {
				t.Errorf("%q is taken", bad)
			}
		}
	})
}

// TestFlood: any number of addresses and names takes no more memory than some thousands, and do not push out who is banned.
func TestFlood(t *testing.T) {
	g := guard.New(nil, quiet())
	spray(g, home, 20)
	flood := func(n int) {
		for i := range n {
			from := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
			message := fmt.Sprintf("%d%4000d", i, i) // the name is a part of what was sent, which must not be kept
			g.Refused(from, message[:1+i%255], guard.WrongPassword)
			g.Attempt(from, "register")
		}
	}
	memory := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := memory()
	flood(25_000)
	after := memory()
	if n := len(g.List()); n > 10_000 {
		t.Errorf("%d addresses are remembered", n)
	}
	if after > before && after-before > 9<<20 {
		t.Errorf("%d KiB are remembered", (after-before)>>10)
	}
	if _, err := g.Enter(home, func() {}); err != guard.ErrBanned {
		t.Error("the flood has lifted the ban")
	}
}

// TestExplain tells what an administrator asks when somebody cannot log in.
func TestExplain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := guard.New(nil, quiet())
		if r, w := g.Explain("alice"); r != nil || w != nil {
			t.Error(r, w)
		}
		fail(g, home, "alice", 5)
		time.Sleep(time.Second)
		g.Refused(home, "alice", guard.RateLimited)
		g.Refused(abroad, "alice", guard.Locked)
		fail(g, home, "bob", 1)
		spray(g, abroad, 20)
		g.Refused(abroad, "alice", guard.WrongKey)
		refusals, waiting := g.Explain("alice")
		var got []string
		for _, r := range refusals {
			got = append(got, fmt.Sprintf("%d %s %s", r.Count, r.Address, r.Reason))
		}
		want := "5 192.0.2.7 wrong_password, 1 192.0.2.7 rate_limited, 1 198.51.100.9 locked, 1 198.51.100.9 wrong_key"
		if strings.Join(got, ", ") != want {
			t.Errorf("refusals %q", got)
		}
		if len(waiting) != 2 || waiting[0].Address != "192.0.2.7" || waiting[0].Banned || time.Until(waiting[0].Until) != time.Second ||
			waiting[1].Address != "198.51.100.9" || !waiting[1].Banned {
			t.Errorf("waiting: %+v", waiting)
		}
		for i := range 100 {
			g.Refused(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), "alice", guard.Locked)
		}
		refusals, _ = g.Explain("alice")
		if len(refusals) != 8 || refusals[7].Address != "10.0.0.99" {
			t.Errorf("%d refusals, the last %+v", len(refusals), refusals[len(refusals)-1])
		}
	})
}

// TestAttempt: what is no login waits likewise, and apart from logins and from other addresses.
func TestAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := guard.New(nil, quiet())
		for range 5 {
			if wait := g.Attempt(home, "register"); wait != 0 {
				t.Fatalf("has to wait %v", wait)
			}
		}
		if wait := g.Attempt(home, "register"); wait != 2*time.Second {
			t.Errorf("waits %v", wait)
		}
		waits(t, g, home, "register", 0)
		if wait := g.Attempt(abroad, "register"); wait != 0 {
			t.Errorf("another address waits %v", wait)
		}
	})
}

// TestReasons: each is one word that needs no quotes in a log, and can be told to people.
func TestReasons(t *testing.T) {
	for _, r := range guard.Reasons() {
		if strings.Trim(string(r), "abcdefghijklmnopqrstuvwxyz_") != "" || r.Words() == "" {
			t.Errorf("%q means %q", r, r.Words())
		}
	}
}
