package wire

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	recordSize = 16 << 10  // what a TLS record carries: smaller messages are gathered up to it
	linkBuffer = 128 << 10 // what one system call carries

	lull = 100 * time.Millisecond // after so long a pause between two messages the buffer is given back
)

// Buffers lends the buffers of connections, so that only those that move bytes hold any. The zero value is ready; one
// serves a whole process.
type Buffers struct{ body, link, writers sync.Pool }

// Body returns a buffer of MaxBody bytes.
func (p *Buffers) Body() *[]byte {
	if b, ok := p.body.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, MaxBody)
	return &b
}

// PutBody gives back a buffer that came from Body; nil is ignored.
func (p *Buffers) PutBody(b *[]byte) {
	if b != nil {
		p.body.Put(b)
	}
}

func (p *Buffers) lend() *[]byte {
	if b, ok := p.link.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, linkBuffer)
	return &b
}

func (p *Buffers) writer(w io.Writer) *bufio.Writer {
	if b, ok := p.writers.Get().(*bufio.Writer); ok {
		b.Reset(w)
		return b
	}
	return bufio.NewWriterSize(w, recordSize)
}

func (p *Buffers) putWriter(w *bufio.Writer) {
	w.Reset(nil)
	p.writers.Put(w)
}

// Link is the transport of a Conn. It gathers writes and reads ahead in pieces of 128 KiB, because crypto/tls asks the
// kernel once per record of 16 KiB; it ends a connection whose peer stalls; and it counts.
type Link struct {
	net.Conn
	bufs  *Buffers
	stall time.Duration // longest pause inside a message, either way; 0 waits for ever
	limit time.Time     // hard end of everything, zero: none

	idle   bool    // reading between two messages: a pause there is no stall
	armed  bool    // a read deadline is set
	r      *[]byte // lent while unread bytes are held or more are likely at once
	rn, rm int     // unread part of r
	hungry bool    // the last read filled all it was given
	cut    atomic.Bool

	wmu     sync.Mutex // crypto/tls also writes from its reading side
	gather  bool
	closing bool    // the deadline that Close set stands
	w       *[]byte // lent until Flush
	wn      int
	in, out atomic.Int64
	last    atomic.Int64 // when bytes last came in, UnixNano
}

// NewLink returns the transport over nc. A pause of more than stall inside a message ends the connection.
func NewLink(nc net.Conn, stall time.Duration, bufs *Buffers) *Link {
	l := &Link{Conn: nc, bufs: bufs, stall: stall}
	l.last.Store(time.Now().UnixNano())
	return l
}

// SetLimit sets the time at which every read fails, however lively the peer; the zero time lifts it. It must not be
// called while a read is under way.
func (l *Link) SetLimit(t time.Time) { l.limit = t }

// Interrupt makes the read under way and every later one that has to wait for bytes fail with os.ErrDeadlineExceeded;
// writing goes on.
func (l *Link) Interrupt() {
	l.cut.Store(true)
	l.Conn.SetReadDeadline(time.Unix(1, 0))
}

// Traffic returns how many bytes the link has received and sent.
func (l *Link) Traffic() (in, out int64) { return l.in.Load(), l.out.Load() }

// LastRead returns when bytes last came in.
func (l *Link) LastRead() time.Time { return time.Unix(0, l.last.Load()) }

// Read implements io.Reader. A read that fills its buffer is followed by one of 128 KiB; when a read comes back with
// less than a record, or nothing comes between two messages, the buffer is given back.
func (l *Link) Read(p []byte) (int, error) {
	if l.rn < l.rm {
		return l.buffered(p), nil
	}
	if l.hungry && len(p) < linkBuffer { // else reading ahead would only copy
		if l.r == nil {
			l.r = l.bufs.lend()
		}
		n, err := l.receive(*l.r)
		l.rn, l.rm, l.hungry = 0, n, n >= recordSize
		if n > 0 {
			return l.buffered(p), nil
		}
		if !l.idle || !errors.Is(err, os.ErrDeadlineExceeded) {
			return 0, err
		}
		// A lull between two messages, unless the deadline was another one: then it is met again below.
	}
	if l.r != nil {
		l.bufs.link.Put(l.r)
		l.r = nil
	}
	n, err := l.receive(p)
	l.hungry = n >= recordSize || n == len(p) && n > 512
	return n, err
}

func (l *Link) buffered(p []byte) int {
	n := copy(p, (*l.r)[l.rn:l.rm])
	l.rn += n
	return n
}

func (l *Link) receive(p []byte) (int, error) {
	pause := l.stall
	if l.idle {
		pause = 0
		if l.r != nil {
			pause = lull
		}
	}
	deadline := l.limit
	if pause > 0 {
		if t := time.Now().Add(pause); deadline.IsZero() || t.Before(deadline) {
			deadline = t
		}
	}
	if l.armed || !deadline.IsZero() {
		l.Conn.SetReadDeadline(deadline)
		l.armed = !deadline.IsZero()
		if l.cut.Load() {
			l.Conn.SetReadDeadline(time.Unix(1, 0))
		}
	}
	n, err := l.Conn.Read(p)
	if n > 0 {
		l.in.Add(int64(n))
		l.last.Store(time.Now().UnixNano())
	}
	return n, err
}

// Write implements io.Writer: once a Conn is on the link, the bytes leave when 128 KiB are there or with Flush; before
// that, during the TLS handshake, at once.
func (l *Link) Write(p []byte) (int, error) {
	l.wmu.Lock()
	defer l.wmu.Unlock()
	if !l.gather {
		return l.send(p)
	}
	total := len(p)
	for len(p) > 0 {
		if l.wn == 0 && len(p) >= linkBuffer { // nothing to gather
			n, err := l.send(p)
			return total - len(p) + n, err
		}
		if l.w == nil {
			l.w = l.bufs.lend()
		}
		n := copy((*l.w)[l.wn:], p)
		l.wn += n
		p = p[n:]
		if l.wn == linkBuffer {
			if err := l.drain(); err != nil {
				return total - len(p), err
			}
		}
	}
	return total, nil
}

// Flush sends what Write holds back.
func (l *Link) Flush() error {
	l.wmu.Lock()
	defer l.wmu.Unlock()
	err := l.drain()
	if l.w != nil {
		l.bufs.link.Put(l.w)
		l.w = nil
	}
	return err
}

func (l *Link) drain() error {
	if l.wn == 0 {
		return nil
	}
	_, err := l.send((*l.w)[:l.wn])
	l.wn = 0
	return err
}

func (l *Link) send(p []byte) (int, error) {
	done := 0
	for done < len(p) { // in pieces, so that the deadline moves with the progress
		if l.stall > 0 && !l.closing {
			l.Conn.SetWriteDeadline(time.Now().Add(l.stall))
		}
		n, err := l.Conn.Write(p[done:min(len(p), done+linkBuffer)])
		done += n
		l.out.Add(int64(n))
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// Close sends what Write holds back, if that takes no time, and closes the connection.
func (l *Link) Close() error {
	l.Conn.SetWriteDeadline(time.Now().Add(time.Second))
	if l.wmu.TryLock() { // else a write is under way, and Close must end it
		l.closing = true
		l.drain()
		l.wmu.Unlock()
	}
	return l.Conn.Close()
}
