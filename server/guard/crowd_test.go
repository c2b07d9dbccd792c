package guard_test

import (
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ferry/server/guard"
)

// nth returns an address of its own for each n.
func nth(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}) }

// TestFlooder: one address that takes all places keeps nobody else out.
func TestFlooder(t *testing.T) {
	g := guard.New(nil, quiet())
	var dropped, in atomic.Int64
	for range 100_000 {
		if _, err := g.Enter(home, func() { dropped.Add(1) }); err == nil {
			in.Add(1)
		} else if err != guard.ErrFull {
			t.Fatal(err)
		}
	}
	if in.Load() < 1024 || in.Load() > 2048 {
		t.Errorf("%d places for one address", in.Load())
	}
	for i := range 500 {
		if _, err := g.Enter(nth(i), func() { t.Error("somebody else had to go") }); err != nil {
			t.Fatalf("number %d: %v", i, err)
		}
	}
}

// TestManyFlooders: when there are as many addresses as places, there are still no more places, and newcomers are refused.
func TestManyFlooders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := guard.New(nil, quiet())
		var inside, refused atomic.Int64
		for i := range 20_000 {
			if _, err := g.Enter(nth(i%10_000), func() { inside.Add(-1) }); err != nil {
				refused.Add(1)
			} else {
				inside.Add(1)
			}
		}
		synctest.Wait()
		if n := inside.Load(); n > 2048 || n < 1024 || refused.Load() == 0 {
			t.Errorf("%d inside, %d refused", n, refused.Load())
		}
	})
}

// TestQueue: of one address so many are served at a time; the others wait, give up, or get the place of who leaves, whether it
// says so once or twice.
func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := guard.New(nil, quiet())
		enter := func(from netip.Addr) *guard.Stranger {
			s, err := g.Enter(from, func() {})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		served := 0
		var first *guard.Stranger
		for range 300 {
			s := enter(home)
			if s.Wait(t.Context(), time.Second) {
				served++
				first = s
			} else {
				s.Leave()
			}
		}
		if served != 256 {
			t.Errorf("%d are served", served)
		}
		if !enter(abroad).Wait(t.Context(), time.Hour) {
			t.Error("another address waits")
		}
		var came atomic.Int64
		for range 2 {
			s := enter(home)
			go func() {
				if s.Wait(t.Context(), time.Hour) {
					came.Add(1)
				}
			}()
		}
		synctest.Wait()
		first.Leave()
		first.Leave()
		synctest.Wait()
		if came.Load() != 1 {
			t.Errorf("%d came for one who left", came.Load())
		}
	})
}

// TestDropped: who waits and loses his place stops waiting.
func TestDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := guard.New(nil, quiet())
		var lost atomic.Int64
		for range 1024 {
			s, err := g.Enter(home, func() {})
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				if !s.Wait(t.Context(), time.Hour) {
					lost.Add(1)
				}
				<-t.Context().Done()
				s.Leave()
			}()
		}
		synctest.Wait()
		for i := range 2000 {
			g.Enter(nth(i), func() {})
		}
		synctest.Wait()
		if lost.Load() == 0 {
			t.Error("nobody had to go")
		}
	})
}
