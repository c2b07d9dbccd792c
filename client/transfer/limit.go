package transfer

import (
	"context"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/time/rate"
)

// MinRate is the lowest limit: below it a healthy connection would look like a dead one.
const MinRate = 4 << 10

// Limit holds connections together to a rate, each way. The zero value holds nothing up; it may be changed at any time.
type Limit struct {
	Of  *Limit // holds while this one says nothing; may be nil
	now atomic.Pointer[bothWays]

	held atomic.Int32 // readers and writers that wait now
	last atomic.Int64 // when one waited last, UnixNano
}

type bothWays struct {
	up, down rate.Limiter
	piece    int // bytes that travel at once
}

// Set sets the rate in bytes a second; 0: none but that of Of.
func (l *Limit) Set(bytesPerSecond int64) {
	if bytesPerSecond <= 0 {
		l.now.Store(nil)
		return
	}
	burst := max(bytesPerSecond/8, 1<<10) // what is made up for after a pause, as on the server: less would cost a busy machine speed
	b := &bothWays{piece: int(min(burst/2, 64<<10))}
	for _, way := range []*rate.Limiter{&b.up, &b.down} {
		way.SetLimit(rate.Limit(bytesPerSecond))
		way.SetBurst(int(burst))
	}
	l.now.Store(b)
}

// inForce returns what holds now, nil if nothing does.
func (l *Limit) inForce() *bothWays {
	for ; l != nil; l = l.Of {
		if b := l.now.Load(); b != nil {
			return b
		}
	}
	return nil
}

// Holding returns the rate in bytes a second, if it is what a connection waits for, or did in the last second; else 0.
func (l *Limit) Holding() int64 {
	b := l.inForce()
	if b == nil || l.held.Load() == 0 && time.Since(time.Unix(0, l.last.Load())) > time.Second {
		return 0
	}
	return int64(b.up.Limit())
}

// wait waits until n bytes may travel.
func (l *Limit) wait(ctx context.Context, way *rate.Limiter, n int) error {
	l.held.Add(1)
	defer l.held.Add(-1)
	begin := time.Now()
	err := way.WaitN(ctx, n)
	if now := time.Now(); now.Sub(begin) > time.Millisecond {
		l.last.Store(now.UnixNano())
	}
	return err
}

// Dial wraps a dial function so that its connections obey the limit.
func (l *Limit) Dial(dial func(ctx context.Context, network, addr string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		c := &limitedConn{Conn: nc, limit: l}
		c.open, c.close = context.WithCancel(context.WithoutCancel(ctx))
		return c, nil
	}
}

// limitedConn is a connection that waits for its turn.
type limitedConn struct {
	net.Conn
	limit *Limit
	open  context.Context
	close context.CancelFunc
}

func (c *limitedConn) Read(b []byte) (int, error) {
	l := c.limit.inForce()
	if l == nil {
		return c.Conn.Read(b)
	}
	n, err := c.Conn.Read(b[:min(len(b), l.piece)])
	if n > 0 && c.limit.wait(c.open, &l.down, n) != nil && err == nil {
		err = net.ErrClosed
	}
	return n, err
}

func (c *limitedConn) Write(b []byte) (n int, err error) {
	for n < len(b) {
		l := c.limit.inForce()
		if l == nil {
			m, err := c.Conn.Write(b[n:])
			return n + m, err
		}
		piece := b[n:min(n+l.piece, len(b))]
		if c.limit.wait(c.open, &l.up, len(piece)) != nil {
			return n, net.ErrClosed
		}
		m, err := c.Conn.Write(piece)
		if n += m; err != nil {
			return n, err
		}
	}
	return n, nil
}

func (c *limitedConn) Close() error {
	c.close()
	return c.Conn.Close()
}

// SyscallConn lets those look at the connection who want to know what the other end has taken.
func (c *limitedConn) SyscallConn() (syscall.RawConn, error) {
	if s, ok := c.Conn.(syscall.Conn); ok {
		return s.SyscallConn()
	}
	return nil, syscall.ENOTSUP
}
