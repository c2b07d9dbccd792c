// Package faultproxy is a TCP proxy on loopback that breaks connections at an exact byte. It is for tests only.
//
// A cut "after byte n" of a direction means: exactly n bytes of that direction have been written to the receiver's
// socket, byte n+1 never is, and from then on nothing is forwarded in the other direction either. The cut does not
// wait for byte n+1 to show up. With n = 0 it comes as soon as both sides are connected; a reset that early can make the
// client's connect itself fail. A planned reset waits until the receiver's kernel has all n bytes, because it would
// otherwise destroy those still on their way: for 5 s at most, if the receiver does not read. How much the other
// direction has carried by the time of the cut is not fixed (see [Proxy.Stats]).
package faultproxy

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// Direction says which way bytes travel.
type Direction int

// The two directions.
const (
	Up   Direction = iota // client to server
	Down                  // server to client
)

// How says what a cut looks like to both ends.
type How int

// The kinds of cut.
const (
	FIN     How = iota // end of file; what an end still sends is read and dropped until it closes
	RST                // connection reset
	Silence            // nothing any more, sockets stay open, until Release or Close
)

const (
	chunkSize = 32 << 10
	queued    = 256 // chunks held per direction, so that latency delays bytes without throttling them
	flushTime = 5 * time.Second
)

type plan struct {
	dir   Direction
	n     int64
	how   How
	fired chan struct{} // closed by the cut
}

// Proxy forwards connections to one target. Its methods may be called at any time from any goroutine.
type Proxy struct {
	ln     net.Listener
	wg     sync.WaitGroup
	ctx    context.Context // ends with Close
	cancel context.CancelFunc

	mu       sync.Mutex // guards everything below and the state of every conn
	target   string
	plans    []plan
	gate     chan struct{} // closed while bytes may flow
	paused   bool
	latency  time.Duration
	rate     int64
	conns    map[*conn]bool
	newest   *conn
	accepted int
	total    [2]int64
}

// Stats counts since Start. Bytes are counted when they have been written to the receiver's socket.
type Stats struct {
	Accepted int   // connections accepted, also those whose target could not be reached
	Open     int   // connections that have not ended, silent ones included
	Up, Down int64 // bytes of all connections

	ConnUp, ConnDown int64 // bytes of the connection accepted last
}

// Start listens on a free loopback port and forwards every connection to target, a host:port.
func Start(target string) (*Proxy, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &Proxy{ln: ln, ctx: ctx, cancel: cancel, target: target, gate: make(chan struct{}), conns: map[*conn]bool{}}
	close(p.gate)
	p.wg.Go(p.accept)
	return p, nil
}

// Addr is the host:port to connect to.
func (p *Proxy) Addr() string { return p.ln.Addr().String() }

// Close closes the listener and every connection and waits until all goroutines have ended.
func (p *Proxy) Close() {
	p.cancel()
	p.ln.Close()
	p.mu.Lock()
	for c := range p.conns {
		c.close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}

// SetTarget changes where later connections go, for a server that restarted on another port.
func (p *Proxy) SetTarget(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// Cut plans a cut after byte n of direction dir for the next accepted connection that has no plan yet: two calls plan
// the next two connections. The channel is closed when the cut has been made; it never is if the connection ends
// before byte n or does not reach the target.
func (p *Proxy) Cut(dir Direction, n int64, how How) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	fired := make(chan struct{})
	p.plans = append(p.plans, plan{dir, n, how, fired})
	return fired
}

// CutNow cuts every accepted connection, without waiting for anything. When it returns, nothing more is forwarded on them.
// A connection is cut once: one that is silent stays so until Release.
func (p *Proxy) CutNow(how How) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.cut(how)
	}
}

// Release resets the connections that are silent now. What they had not forwarded is lost.
func (p *Proxy) Release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		if c.isCut() && c.how == Silence {
			c.close()
			close(c.released)
			delete(p.conns, c)
		}
	}
}

// Pause stops forwarding on every connection, and new ones are not forwarded either. When it returns, nothing more is
// written to any receiver. Nothing is lost: Resume goes on with the next byte.
func (p *Proxy) Pause() { p.setPaused(true) }

// Resume ends a Pause.
func (p *Proxy) Resume() { p.setPaused(false) }

func (p *Proxy) setPaused(paused bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.paused == paused {
		return
	}
	p.paused = paused
	if paused {
		p.gate = make(chan struct{})
	} else {
		close(p.gate)
	}
	for c := range p.conns {
		if !c.isCut() {
			c.settle(c.side[:]...)
		}
	}
}

// SetLatency delays every byte read from now on by d in each direction, so a round trip grows by 2d.
func (p *Proxy) SetLatency(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.latency = d
}

// SetRate limits each direction of each connection to about so many bytes a second, in pieces of a hundredth of that
// (at least one byte). Zero is no limit.
func (p *Proxy) SetRate(bytesPerSecond int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rate = bytesPerSecond
}

// Stats returns the counters.
func (p *Proxy) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Stats{Accepted: p.accepted, Open: len(p.conns), Up: p.total[Up], Down: p.total[Down]}
	if p.newest != nil {
		s.ConnUp, s.ConnDown = p.newest.sent[Up], p.newest.sent[Down]
	}
	return s
}

func (p *Proxy) accept() {
	for {
		client, err := p.ln.Accept()
		if p.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
			if err == nil {
				client.Close()
			}
			return
		}
		if err != nil { // the client gave up before Accept, or descriptors ran out: the next one may do better
			time.Sleep(time.Millisecond)
			continue
		}
		c := p.newConn(client.(*net.TCPConn))
		p.wg.Go(func() {
			c.serve()
			c.end()
		})
	}
}

func (p *Proxy) newConn(client *net.TCPConn) *conn {
	c := &conn{p: p, stop: make(chan struct{}), released: make(chan struct{})}
	c.done = [2]chan struct{}{make(chan struct{}), make(chan struct{})}
	c.side[Up] = client
	p.mu.Lock()
	defer p.mu.Unlock()
	p.accepted++
	if len(p.plans) > 0 {
		c.plan, p.plans = &p.plans[0], p.plans[1:]
	}
	p.conns[c], p.newest = true, c
	c.settle(client)
	return c
}
