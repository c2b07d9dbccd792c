package faultproxy

import (
	"errors"
	"io"
	"net"
	"os"
	"time"
)

// chunk is what one read brought: bytes, or why there are no more.
type chunk struct {
	data []byte
	err  error
	due  time.Time
}

var (
	past   = time.Unix(1, 0)
	errCut = errors.New("connection was cut")
)

// conn is one forwarded connection: two readers and two writers. side[dir] is where the bytes of dir come from.
// Proxy.mu guards side's deadlines and everything that changes.
type conn struct {
	p        *Proxy
	side     [2]*net.TCPConn
	plan     *plan         // or nil
	sent     [2]int64      // bytes written to the receiver
	how      How           // valid once stop is closed
	stop     chan struct{} // closed by the cut
	released chan struct{} // closed by Release
	done     [2]chan struct{}
}

func (c *conn) isCut() bool {
	select {
	case <-c.stop:
		return true
	default:
		return false
	}
}

// cut ends the forwarding. The sockets are put into a state in which no write succeeds before it returns, so that a
// writer that has just decided to write does not get through. The caller holds Proxy.mu.
func (c *conn) cut(how How) {
	if c.isCut() {
		return
	}
	c.how = how
	close(c.stop)
	for _, s := range c.side {
		switch how {
		case FIN:
			s.CloseWrite()
		case RST:
			s.SetLinger(0)
			s.Close()
		case Silence:
			s.SetDeadline(past)
		}
	}
}

// close resets both sides. The caller holds Proxy.mu.
func (c *conn) close() {
	for _, s := range c.side {
		s.SetLinger(0)
		s.Close()
	}
}

// applyPause lets writes fail while the proxy is paused. The caller holds Proxy.mu.
func (c *conn) applyPause() {
	if c.isCut() {
		return
	}
	var deadline time.Time
	if c.p.paused {
		deadline = past
	}
	for _, s := range c.side {
		s.SetWriteDeadline(deadline)
	}
}

// waitGate waits while the proxy is paused; false means that the connection has ended.
func (c *conn) waitGate() bool {
	c.p.mu.Lock()
	gate := c.p.gate
	c.p.mu.Unlock()
	select {
	case <-gate:
	case <-c.stop:
	case <-c.p.ctx.Done():
	}
	return !c.isCut() && c.p.ctx.Err() == nil
}

// wait returns early when the connection ends.
func (c *conn) wait(d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.stop:
	case <-c.p.ctx.Done():
	}
}

func (c *conn) read(dir Direction, ch chan<- chunk) {
	src := c.side[dir]
	for {
		b := make([]byte, chunkSize)
		n, err := src.Read(b)
		c.p.mu.Lock()
		due := time.Now().Add(c.p.latency)
		c.p.mu.Unlock()
		for _, k := range []chunk{{data: b[:n], due: due}, {err: err, due: due}} {
			if len(k.data) == 0 && k.err == nil {
				continue
			}
			select {
			case ch <- k:
			case <-c.stop:
				io.Copy(io.Discard, src) // ends at once unless the cut was FIN
				return
			case <-c.p.ctx.Done():
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// write forwards dir and passes on how it ended: an end of file or a reset of the sender comes after the last byte; a
// receiver that is gone resets the sender, but not before it has been given what the receiver still had to say.
func (c *conn) write(dir Direction, ch <-chan chunk) {
	readErr, writeErr := c.forward(dir, ch)
	if readErr == io.EOF {
		c.side[1-dir].CloseWrite()
	}
	close(c.done[dir])
	if readErr == io.EOF {
		return
	}
	if writeErr != nil {
		select {
		case <-c.done[1-dir]:
		case <-c.stop:
		case <-c.p.ctx.Done():
		}
	}
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	c.cut(RST)
}

func (c *conn) forward(dir Direction, ch <-chan chunk) (readErr, writeErr error) {
	for {
		var k chunk
		select {
		case k = <-ch:
		case <-c.stop:
			return errCut, nil
		case <-c.p.ctx.Done():
			return errCut, nil
		}
		c.wait(time.Until(k.due))
		if !c.waitGate() {
			return errCut, nil
		}
		if k.err != nil {
			return k.err, nil
		}
		for b := k.data; len(b) > 0; {
			if !c.waitGate() {
				return errCut, nil
			}
			piece, rate := c.piece(dir, b)
			n, err := c.side[1-dir].Write(piece)
			b = b[n:]
			c.count(dir, n)
			if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) { // that one is a pause or a cut
				return nil, err
			}
			if rate > 0 {
				c.wait(time.Duration(n) * time.Second / time.Duration(rate))
			}
		}
	}
}

// piece is how much of b may be written at once: not past the cut, and little when the rate is limited.
func (c *conn) piece(dir Direction, b []byte) (piece []byte, rate int64) {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	n := int64(len(b))
	if c.plan != nil && c.plan.dir == dir {
		n = min(n, c.plan.n-c.sent[dir])
	}
	if rate = c.p.rate; rate > 0 {
		n = min(n, max(1, rate/100))
	}
	return b[:n], rate
}

// count adds n forwarded bytes and makes the planned cut when they were the last.
func (c *conn) count(dir Direction, n int) {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	c.sent[dir] += int64(n)
	c.p.total[dir] += int64(n)
	if c.plan != nil && c.plan.dir == dir && c.sent[dir] == c.plan.n && !c.isCut() {
		c.cut(c.plan.how)
		close(c.plan.fired)
	}
}
