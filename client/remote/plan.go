package remote

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"ferry/shared/block"
)

// step is one request of a transfer: blocks to move, or with tags to compare.
type step struct {
	first int64
	count int   // blocks to compare; 0: move first
	more  int64 // fetch so many blocks
	body  []byte
	lent  *[]byte
	tag   block.Tag
	call  *call
}

// plan hands out what remains to be moved and compared, to as many connections as want some.
type plan struct {
	mu      sync.Mutex
	change  sync.Cond
	send    []int64 // blocks to move
	checks  []step  // blocks to compare
	out     int     // steps handed out and neither done nor given back
	turn    int
	stopped chan struct{} // closed by stop
}

// checkBlocks is how many blocks one request compares: few, so that both ends compare at the same time and new bytes travel
// in between.
const checkBlocks = 16

// newPlan moves what is outside have and compares the rest.
func newPlan(length int64, have block.Ranges) *plan {
	p := &plan{stopped: make(chan struct{})}
	p.change.L = &p.mu
	run := step{first: -1}
	flush := func() {
		if run.count > 0 {
			p.checks = append(p.checks, run)
		}
		run = step{first: -1}
	}
	for n := int64(0); n < block.Count(length); n++ {
		if !have.Has(block.Range{Off: n * block.Size, End: n*block.Size + block.Len(n, length)}) {
			flush()
			p.send = append(p.send, n)
			continue
		}
		if run.first < 0 {
			run.first = n
		}
		if run.count++; run.count == checkBlocks {
			flush()
		}
	}
	flush()
	return p
}

// checks counts the bytes that are compared, of those that no earlier attempt has counted.
type checks struct {
	left, there int64
	told        func(left, there int64) // whenever that changes; may be nil
}

// checksOf are those of a plan for so many bytes; told is called with what it begins with.
func checksOf(p *plan, length int64, counted block.Bitmap, told func(left, there int64)) *checks {
	c := &checks{told: told}
	for _, s := range p.checks {
		for n := s.first; n < s.first+int64(s.count); n++ {
			if !counted.Has(n) {
				c.left += block.Len(n, length)
			}
		}
	}
	c.there = c.left
	c.done(0)
	return c
}

// done takes off n bytes whose answer is there.
func (c *checks) done(n int64) {
	c.left -= n
	if c.told != nil && c.there > 0 {
		c.told(c.left, c.there)
	}
}

// next returns the next step, waiting while only those that are under way can tell whether there is one. false: nothing is
// left, or quit was closed.
func (p *plan) next(quit <-chan struct{}) (step, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.over(quit) && len(p.send) == 0 && len(p.checks) == 0 && p.out > 0 {
		p.change.Wait()
	}
	if p.over(quit) {
		return step{}, false
	}
	// New bytes go first; checks travel between them, so that the server's disk and the line are busy at once.
	p.turn++
	switch {
	case len(p.send) > 0 && (p.turn%2 == 1 || len(p.checks) == 0):
		n := p.send[0]
		p.send = p.send[1:]
		p.out++
		return step{first: n}, true
	case len(p.checks) > 0:
		s := p.checks[0]
		p.checks = p.checks[1:]
		p.out++
		return s, true
	}
	return step{}, false
}

func (p *plan) over(quit <-chan struct{}) bool {
	select {
	case <-quit:
		return true
	case <-p.stopped:
		return true
	default:
		return false
	}
}

// nextRun is next with up to most neighbouring blocks put together, since one get fetches several.
func (p *plan) nextRun(most int64, quit <-chan struct{}) (step, bool) {
	s, ok := p.next(quit)
	if !ok || s.count > 0 {
		return s, ok
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s.more = 1
	for len(p.send) > 0 && p.send[0] == s.first+s.more && s.more < most {
		p.send = p.send[1:]
		s.more++
	}
	return s, true
}

// done takes a step off; need are blocks that it showed must be moved after all.
func (p *plan) done(need []int64) {
	p.mu.Lock()
	p.send = append(p.send, need...)
	p.out--
	p.mu.Unlock()
	p.change.Broadcast()
}

// back gives a step back that came to nothing, for another connection.
func (p *plan) back(s step) {
	p.mu.Lock()
	if s.count > 0 {
		p.checks = append(p.checks, step{first: s.first, count: s.count})
	} else {
		for n := range max(s.more, 1) {
			p.send = append(p.send, s.first+n)
		}
	}
	p.out--
	p.mu.Unlock()
	p.change.Broadcast()
}

// stop lets every connection find that nothing is left. It is called once.
func (p *plan) stop() {
	close(p.stopped)
	p.wake()
}

// wake lets those who wait look whether they are to quit.
func (p *plan) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.change.Broadcast()
}

// When a transfer takes several connections of itself.
const (
	farTrip     = 10 * time.Millisecond // from this round trip on one connection does not fill the line
	farStreams  = 4
	streamBytes = 4 * block.Size // a connection for less is not worth its beginning
	maxStreams  = 16
)

// Streams returns how many connections the transfer of a long file takes if so many are wanted; 0: as many as the line needs.
func (c *Client) Streams(wanted int) int { return c.streams(wanted, math.MaxInt64) }

// streams returns how many connections a transfer of so many bytes is to take.
func (c *Client) streams(wanted int, length int64) int {
	if wanted == 0 {
		wanted = 1
		if c.RoundTrip() >= farTrip {
			wanted = farStreams
		}
	}
	return int(max(1, min(int64(wanted), maxStreams, length/streamBytes)))
}

// spread runs work over n connections, of which k is the first, until the plan is done. What a helper fails at is left to
// the others, so only the first one's error counts.
func (c *Client) spread(ctx context.Context, n int, p *plan, k *conn, work func(context.Context, *conn) error) error {
	if n == 1 {
		return work(ctx, k)
	}
	hctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var helpers sync.WaitGroup
	for _, h := range c.helpers(n - 1) {
		helpers.Go(func() { h.help(hctx, p, work) })
	}
	err := work(ctx, k)
	p.stop()
	if err != nil {
		cancel()
	}
	helpers.Wait()
	return err
}

// help works at a plan over a further connection as long as that serves anything.
func (c *Client) help(ctx context.Context, p *plan, work func(context.Context, *conn) error) {
	wait := firstPause
	for {
		k, err := c.once(ctx)
		if err == nil {
			unhook := context.AfterFunc(ctx, func() { k.end(&lostError{ctx.Err()}) })
			err = work(ctx, k)
			unhook()
		}
		if err == nil || ctx.Err() != nil || !IsLost(err) && !errors.As(err, new(*UnreachableError)) {
			return
		}
		select {
		case <-time.After(wait):
		case <-p.stopped:
			return
		case <-ctx.Done():
			return
		}
		wait = min(2*wait, lastPause)
	}
}
