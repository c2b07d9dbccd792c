package faultproxy

import (
	"context"
	"io"
	"net"
	"sync"
	"time"
)

// Late dials connections that can be lost to the client while what it wrote arrives at the server much later, when the
// client has long gone on over another one: as behind a slow queue. The zero value is ready.
type Late struct {
	arriving sync.WaitGroup

	mu    sync.Mutex
	conns map[*lateConn]bool // not closed
}

// Dial connects like net.Dialer.DialContext.
func (l *Late) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	nc, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conns == nil {
		l.conns = map[*lateConn]bool{}
	}
	c := &lateConn{Conn: nc, late: l}
	l.conns[c] = true
	return c, nil
}

// Hold keeps what is written to the connections there from now on, and the first such write loses them to the client.
func (l *Late) Hold() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		c.held = true
	}
}

// Arrive lets the server have what was kept, and then an end of file. It does not wait for that. The connections that are
// held and not lost yet go on as if they had never been.
func (l *Late) Arrive() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		if c.held && c.lost && !c.arrives {
			c.arrives = true
			l.arriving.Go(c.arrive)
		}
		c.held = c.lost
	}
}

// Close closes every connection.
func (l *Late) Close() {
	l.mu.Lock()
	for c := range l.conns {
		c.Conn.Close()
		delete(l.conns, c)
	}
	l.mu.Unlock()
	l.arriving.Wait()
}

// lateConn is one connection. late.mu guards what follows it.
type lateConn struct {
	net.Conn
	late          *Late
	held, arrives bool
	lost          bool // to the client
	kept          []byte
}

// arrive reads and drops what the server answers.
func (c *lateConn) arrive() {
	c.Conn.SetReadDeadline(time.Time{})
	c.late.arriving.Go(func() {
		c.Conn.Write(c.kept) // a server that is gone is not told
		c.Conn.(*net.TCPConn).CloseWrite()
	})
	io.Copy(io.Discard, c.Conn)
	c.late.mu.Lock()
	defer c.late.mu.Unlock()
	delete(c.late.conns, c)
	c.Conn.Close()
}

// lose ends the client's reading. late.mu is held.
func (c *lateConn) lose() {
	if !c.lost {
		c.lost = true
		c.Conn.SetReadDeadline(past)
	}
}

func (c *lateConn) Write(b []byte) (int, error) {
	c.late.mu.Lock()
	if !c.held {
		c.late.mu.Unlock()
		return c.Conn.Write(b)
	}
	defer c.late.mu.Unlock()
	if c.lose(); !c.arrives {
		c.kept = append(c.kept, b...)
	}
	return len(b), nil
}

// Read fails once the connection is lost to the client.
func (c *lateConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.late.mu.Lock()
	defer c.late.mu.Unlock()
	if c.lost {
		return 0, net.ErrClosed
	}
	return n, err
}

// SetReadDeadline has no meaning once the connection is lost to the client.
func (c *lateConn) SetReadDeadline(t time.Time) error {
	c.late.mu.Lock()
	defer c.late.mu.Unlock()
	if c.lost {
		return net.ErrClosed
	}
	return c.Conn.SetReadDeadline(t)
}

// SetDeadline is SetReadDeadline and SetWriteDeadline.
func (c *lateConn) SetDeadline(t time.Time) error {
	c.Conn.SetWriteDeadline(t)
	return c.SetReadDeadline(t)
}

// Close of a held connection leaves it to Arrive.
func (c *lateConn) Close() error {
	c.late.mu.Lock()
	defer c.late.mu.Unlock()
	if c.held {
		c.lose()
		return nil
	}
	delete(c.late.conns, c)
	return c.Conn.Close()
}
