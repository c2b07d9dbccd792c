package faultproxy

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"
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
// Proxy.mu guards everything that changes.
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
	c.settle(c.side[:]...)
}

// settle puts sockets into the state that the connection is in. The caller holds Proxy.mu.
func (c *conn) settle(sockets ...*net.TCPConn) {
	for _, s := range sockets {
		switch {
		case s == nil: // not dialed yet
		case !c.isCut() && c.p.paused:
			s.SetWriteDeadline(past)
		case !c.isCut():
			s.SetWriteDeadline(time.Time{})
		case c.how == FIN:
			s.CloseWrite()
		case c.how == RST:
			s.SetLinger(0)
			s.Close()
		case c.how == Silence:
			s.SetDeadline(past)
		}
	}
}

// cutAsPlanned is cut for the plan. The caller holds Proxy.mu.
func (c *conn) cutAsPlanned() {
	if !c.isCut() {
		c.cut(c.plan.how)
		close(c.plan.fired)
	}
}

// close resets both sides. The caller holds Proxy.mu.
func (c *conn) close() {
	for _, s := range c.side {
		if s != nil {
			s.SetLinger(0)
			s.Close()
		}
	}
}

// serve forwards until there is nothing more to forward.
func (c *conn) serve() {
	if !c.waitGate() {
		return
	}
	c.p.mu.Lock()
	target := c.p.target
	c.p.mu.Unlock()
	server, err := new(net.Dialer).DialContext(c.p.ctx, "tcp", target)

	c.p.mu.Lock()
	if err != nil {
		c.cut(RST)
		c.p.mu.Unlock()
		return
	}
	c.side[Down] = server.(*net.TCPConn)
	c.settle(c.side[Down])
	if c.plan != nil && c.plan.n <= 0 {
		c.cutAsPlanned()
	}
	c.p.mu.Unlock()

	var pumps sync.WaitGroup
	for _, dir := range []Direction{Up, Down} {
		ch := make(chan chunk, queued)
		pumps.Go(func() { c.read(dir, ch) })
		pumps.Go(func() { c.write(dir, ch) })
	}
	pumps.Wait()
}

// end closes what serve has left open, for silent sockets not before Release or Close.
func (c *conn) end() {
	if c.isCut() && c.how == Silence {
		select {
		case <-c.released:
		case <-c.p.ctx.Done():
		}
	}
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	delete(c.p.conns, c)
	for _, s := range c.side {
		if s != nil {
			s.Close()
		}
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
	if readErr != nil {
		c.flush(dir)
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
	if c.plan == nil || c.plan.dir != dir || c.sent[dir] < c.plan.n {
		return
	}
	if c.plan.how == RST {
		c.p.mu.Unlock()
		c.flush(dir)
		c.p.mu.Lock()
	}
	c.cutAsPlanned()
}

// flush waits until the receiver's kernel has acknowledged everything: a reset discards what it has not.
func (c *conn) flush(dir Direction) {
	raw, err := c.side[1-dir].SyscallConn()
	if err != nil {
		return
	}
	for end := time.Now().Add(flushTime); time.Now().Before(end) && !c.isCut() && c.p.ctx.Err() == nil; c.wait(time.Millisecond) {
		var unacknowledged int32
		var errno syscall.Errno
		err := raw.Control(func(fd uintptr) {
			_, _, errno = syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCOUTQ, uintptr(unsafe.Pointer(&unacknowledged)))
		})
		if err != nil || errno != 0 || unacknowledged == 0 {
			return
		}
	}
}
