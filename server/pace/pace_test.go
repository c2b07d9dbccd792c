package pace

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const mib = 1 << 20

// move takes n bytes through l as a connection does and returns how long that took.
func move(t *testing.T, l *Limiter, n int) time.Duration {
	t.Helper()
	begin := time.Now()
	for n > 0 {
		part := l.Part(n)
		if err := l.Wait(context.Background(), part); err != nil {
			t.Fatal(err)
		}
		n -= part
	}
	return time.Since(begin)
}

// near complains about a time that is not what the limit makes of the bytes, to a tenth of a second.
func near(t *testing.T, what string, got, want time.Duration) {
	t.Helper()
	if got < want-100*time.Millisecond || got > want+100*time.Millisecond {
		t.Errorf("%s took %v, want about %v", what, got, want)
	}
}

// An eighth of a second's worth passes at once, the rest at the limit; after a pause there is no more than that again.
func TestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l Limiter
		near(t, "without a limit", move(t, &l, 1000*mib), 0)
		l.Set(2 * mib)
		near(t, "a burst", move(t, &l, mib/4), 0)
		near(t, "10 MiB more", move(t, &l, 10*mib), 5*time.Second)
		time.Sleep(time.Hour)
		near(t, "10 MiB and a burst after a pause", move(t, &l, 10*mib+mib/4), 5*time.Second)
		begin := time.Now()
		for range 10 * mib / 1024 { // small files
			move(t, &l, 1024)
		}
		near(t, "10 MiB in small pieces", time.Since(begin), 5*time.Second)
	})
}

// However long nothing moved, no second then carries more than nine eighths of the limit; and none carries much less.
func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, limit := range []int{64 << 10, mib, 10*mib + 1, 1000 * mib} {
			var l Limiter
			l.Set(int64(limit))
			for _, pause := range []time.Duration{0, time.Second, time.Hour} {
				time.Sleep(pause)
				moved, begin := 0, time.Now()
				for n := l.Part(mib); ; moved += n {
					if l.Wait(t.Context(), n); time.Since(begin) > time.Second {
						break
					}
				}
				if moved > limit/8*9+1 || moved < limit/10*9 {
					t.Errorf("%v after a pause of %v a second carries %d bytes, the limit is %d", time.Since(begin), pause, moved, limit)
				}
			}
		}
	})
}

// All who move bytes at the same time together keep to the limit, and none of them is far behind.
func TestShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l Limiter
		l.Set(mib)
		move(t, &l, mib/8)
		begin := time.Now()
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				move(t, &l, 2*mib)
				if took := time.Since(begin); took < 14*time.Second {
					t.Errorf("number %d was done after %v of 16 s", i, took)
				}
			})
		}
		all.Wait()
		near(t, "16 MiB of 8 connections", time.Since(begin), 16*time.Second)
	})
}

// A new limit holds for those who wait already.
func TestChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l Limiter
		l.Set(64 << 10)
		move(t, &l, 8<<10)
		done := make(chan time.Duration)
		go func() { done <- move(t, &l, 20*mib) }()
		time.Sleep(16 * time.Second) // 1 MiB
		l.Set(mib)
		time.Sleep(9 * time.Second) // 9 MiB
		l.Set(0)
		near(t, "20 MiB", <-done, 25*time.Second)
	})
}

// Who gives up waiting has used nothing.
func TestGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l Limiter
		l.Set(mib)
		move(t, &l, mib/8)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := l.Wait(ctx, 100*mib); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("it waited until %v", err)
		}
		near(t, "2 MiB", move(t, &l, 2*mib), 1875*time.Millisecond) // a sixteenth passes at once
	})
}

// Without a limit nothing is allocated.
func TestFree(t *testing.T) {
	var l Limiter
	if n := testing.AllocsPerRun(100, func() { l.Wait(context.Background(), l.Part(mib)) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
