// Package pace holds the bytes that all connections of an account move together to a limit.
package pace

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

const (
	burst     = time.Second / 8       // what may move at once after a pause, and of one connection before the next has its turn, as time at the limit
	leastPart = 4 << 10               // bytes
	mostPart  = 128 << 10             // bytes
	nap       = 20 * time.Millisecond // shorter waits are not worth a timer: what is due meanwhile is made up for
)

// Limiter lets bytes pass at a limit, those who ask first first. The zero value has none. Its methods are safe for concurrent
// use, and cost one atomic load while there is no limit.
type Limiter struct {
	limit atomic.Int64 // bytes a second, 0: none; changed under mu

	mu      sync.Mutex    // guards what follows
	at      time.Time     // when paid was right
	paid    float64       // bytes that could have passed since the beginning
	sold    float64       // bytes that were asked for; at most a burst behind paid
	changed chan struct{} // closed when the limit changes
}

// Set changes the limit, in bytes a second; 0 is none. It holds at once, for those who wait already, too.
func (l *Limiter) Set(limit int64) {
	if l.limit.Load() == limit {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.accrue()
	if l.limit.Load() == 0 {
		l.paid = l.sold + burstOf(limit)
	}
	l.limit.Store(limit)
	if l.changed != nil {
		close(l.changed)
	}
	l.changed = make(chan struct{})
}

// Limit returns the limit in bytes a second, 0 if there is none.
func (l *Limiter) Limit() int64 { return l.limit.Load() }

// Limited tells whether there is a limit.
func (l *Limiter) Limited() bool { return l.limit.Load() != 0 }

// Part returns how many of n bytes to ask for at a time, so that others have their turn in between: all when there is no limit.
func (l *Limiter) Part(n int) int {
	limit := l.limit.Load()
	if limit == 0 {
		return n
	}
	return min(n, int(min(burstOf(limit), mostPart)))
}

// Wait returns when n more bytes may pass, or with the error of ctx.
func (l *Limiter) Wait(ctx context.Context, n int) error {
	if !l.Limited() {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.accrue()
	l.sold += float64(n)
	for due := l.sold; ; l.accrue() {
		limit := l.limit.Load()
		missing := due - l.paid
		if limit == 0 || missing <= 0 {
			return nil
		}
		if err := l.sleep(ctx, time.Duration(missing/float64(limit)*float64(time.Second))); err != nil {
			l.sold -= float64(n)
			return err
		}
	}
}

// sleep waits without the lock, which the caller holds, and not longer than until the limit changes.
func (l *Limiter) sleep(ctx context.Context, d time.Duration) error {
	changed := l.changed
	l.mu.Unlock()
	defer l.mu.Lock()
	t := time.NewTimer(max(d, nap))
	defer t.Stop()
	select {
	case <-t.C:
	case <-changed:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// accrue pays for the time since it was last called. l.mu is held.
func (l *Limiter) accrue() {
	now, limit := time.Now(), l.limit.Load()
	l.paid = min(l.paid+now.Sub(l.at).Seconds()*float64(limit), l.sold+burstOf(limit))
	l.at = now
}

func burstOf(limit int64) float64 { return max(leastPart, float64(limit)*burst.Seconds()) }
