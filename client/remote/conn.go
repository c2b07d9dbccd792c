package remote

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"ferry/shared/wire"
)

// conn is one connection: requests go out, answers come back in the same order.
type conn struct {
	wire    *wire.Conn
	link    *wire.Link
	bufs    *wire.Buffers
	silence time.Duration
	ch      *channel // what proofs are bound to

	greeting []func(header []byte) error // take in the first answers, for which nobody waits; set before start
	greeted  chan struct{}               // closed when all of them have come; nil if there are none

	wmu sync.Mutex // sending

	mu      sync.Mutex
	pending []*call // sent, not wholly answered; oldest first
	err     error   // why it ended
	run     run     // of the server
	ended   chan struct{}
	told    func(error) // is told err, once
	made    time.Time
	watch   *time.Timer
	asked   time.Time // when the first of pending was sent
	acked   uint64    // bytes the peer's kernel had taken when the watch last looked
	alive   time.Time
	pace    int64         // that the last message was a sign of life for, else 0
	handing bool          // an answer is there and waits for its taker
	room    chan struct{} // holds one for each body that is being read or not yet done with
}

// bodies is how many large bodies a connection holds at once: one comes in while one is written. Each is a block's length.
const bodies = 2

// call is a request under way.
type call struct {
	conn  *conn
	cmd   string
	parts chan part
}

// part is one message of an answer. The buffer behind body belongs to whoever receives it.
type part struct {
	header []byte
	body   []byte
	lent   *[]byte
}

// lostError says that the connection ended, not that the server refused: the command may be sent again on another one.
type lostError struct{ err error }

func (e *lostError) Error() string {
	switch {
	case e.err == nil, errors.Is(e.err, io.EOF), errors.Is(e.err, net.ErrClosed):
		return "the connection was closed"
	case errors.Is(e.err, io.ErrUnexpectedEOF):
		return "the connection was cut"
	}
	var op *net.OpError
	if errors.As(e.err, &op) {
		return "the connection was lost: " + op.Err.Error()
	}
	return "the connection was lost: " + e.err.Error()
}

func (e *lostError) Unwrap() error { return e.err }

// IsLost tells whether an error means that the connection ended, and not that the server refused.
func IsLost(err error) bool {
	var l *lostError
	return errors.As(err, &l)
}

var errSilent = errors.New("no answer")

// makeConn takes over a connection that is logged in or about to be; start lets answers come.
func makeConn(ch *channel, run run, silence time.Duration, bufs *wire.Buffers) *conn {
	now := time.Now()
	return &conn{wire: ch.w, link: ch.w.Link(), ch: ch, bufs: bufs, silence: silence, run: run, ended: make(chan struct{}), room: make(chan struct{}, bodies), made: now, alive: now}
}

func (c *conn) start() {
	if len(c.greeting) > 0 {
		c.greeted = make(chan struct{})
	}
	if c.silence > 0 {
		c.watch = time.AfterFunc(c.silence/4, c.look)
	}
	go c.read()
}

// run is one run of the server, from its start to its end; the zero value is one that is not known.
type run struct {
	boot  string
	began time.Time // or before
}

// runOf returns what a server that has just been heard says of its run.
func runOf(proof *wire.ProofAnswer) run {
	return run{proof.Boot, time.Now().Add(-time.Duration(max(proof.Up, 0)) * time.Millisecond)}
}

// unknownBoot is no server's: a request that may have been carried out by who knows which one is not carried out again.
const unknownBoot = "00000000000000000000000000000000"

// origin is the connection that a request was first sent on; the zero value belongs to a request that was not sent yet.
type origin struct{ first *conn }

// fill sets boot, which a request that is about to be sent on k says of the server that first got it: nothing the first
// time, and the same however often it is repeated.
func (o *origin) fill(boot *string, k *conn) {
	switch {
	case o.first == nil:
		o.first = k
	case *boot == "":
		*boot = k.bootOf(o.first)
	}
}

// bootOf returns the boot of the server behind an earlier connection. If that was lost before the server told, the one
// behind this connection tells: it is the same if it has been there for longer than the earlier connection.
func (c *conn) bootOf(earlier *conn) string {
	earlier.mu.Lock()
	boot := earlier.run.boot
	earlier.mu.Unlock()
	if boot != "" {
		return boot
	}
	if c.welcome() == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		// By the wall clock too, since the other one stands still while this machine sleeps.
		if c.run.boot != "" && !c.run.began.After(earlier.made) && !c.run.began.Round(0).After(earlier.made.Round(0)) {
			return c.run.boot
		}
	}
	return unknownBoot
}

// look closes the connection when answers are due and nothing moves in either direction. A server that is merely busy
// sends signs of life; a slow line takes bytes.
func (c *conn) look() {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	now := time.Now()
	if acked, ok := ackedBytes(c.link.Conn); len(c.pending)+len(c.greeting) == 0 || c.handing || ok && acked != c.acked {
		c.acked, c.alive = acked, now
	}
	if last := c.link.LastRead(); last.After(c.alive) {
		c.alive = last
	}
	silent := now.Sub(c.alive) > c.silence
	c.mu.Unlock()
	if silent {
		c.end(&lostError{errSilent})
		return
	}
	c.watch.Reset(c.silence / 4)
}

// end closes the connection; the first reason stands.
func (c *conn) end(err error) {
	c.mu.Lock()
	told := c.told
	if c.err == nil {
		c.err = err
		close(c.ended)
		if c.watch != nil {
			c.watch.Stop()
		}
	} else {
		told = nil
	}
	c.mu.Unlock()
	if told != nil {
		told(err)
	}
	if errors.Is(err, net.ErrClosed) {
		c.wire.Close()
	} else {
		c.link.Conn.Close() // a farewell would wait behind what the line does not take
	}
}

// whenEnded lets f be told why the connection ends, or has ended.
func (c *conn) whenEnded(f func(why error)) {
	c.mu.Lock()
	c.told = f
	err := c.err
	c.mu.Unlock()
	if err != nil {
		f(err)
	}
}

func (c *conn) reason() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// send buffers a request; flush sends what is buffered. body is not kept.
func (c *conn) send(req wire.Requester, body []byte) (*call, error) {
	if body != nil {
		n := int64(len(body))
		req.Head().Size = &n
	}
	header, err := wire.Encode(req)
	if err != nil { // nothing but a name can be what no header holds
		err = &wire.Error{Code: wire.BadPath, Message: "not a valid name"}
	}
	if err == nil && len(header) > wire.MaxHeader { // the connection would have to end, and on the next one it would be the same
		err = &wire.Error{Code: wire.BadRequest, Message: "too long for a request"}
	}
	if err != nil {
		return nil, err
	}
	k := &call{conn: c, cmd: req.Head().Cmd, parts: make(chan part, 1)}
	c.wmu.Lock()
	defer c.wmu.Unlock()
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return nil, c.err
	}
	if len(c.pending) == 0 {
		c.alive = time.Now()
		c.asked = c.alive
	}
	c.pending = append(c.pending, k)
	c.mu.Unlock()
	if err := c.wire.Write(header, body); err != nil {
		c.fail(err)
		return nil, c.reason()
	}
	return k, nil
}

func (c *conn) flush() error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if err := c.wire.Flush(); err != nil {
		c.fail(err)
		return c.reason()
	}
	return nil
}

// fail ends the connection because sending failed, but lets the reader first take in what the server had to say: a server
// that closes has mostly told why.
func (c *conn) fail(err error) {
	select {
	case <-c.ended:
	case <-time.After(200 * time.Millisecond):
		c.end(&lostError{err})
	}
}

// read delivers answers until the connection ends.
func (c *conn) read() {
	var err error
	for err == nil {
		err = c.receive()
	}
	if !errors.Is(err, errGoodbye) {
		err = &lostError{err}
		c.end(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.pending {
		close(k.parts)
	}
	c.pending = nil
}

var errGoodbye = errors.New("the server ended the session")

// greet takes in one of the first answers. A refusal is why the connection ends.
func (c *conn) greet(header []byte) error {
	if err := c.greeting[0](header); err != nil {
		c.end(err)
		return errGoodbye
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.alive = time.Now()
	if c.greeting = c.greeting[1:]; len(c.greeting) == 0 {
		close(c.greeted)
	}
	return nil
}

func (c *conn) receive() error {
	header, err := c.wire.ReadHeader(nil, wire.MaxHeader)
	if err != nil {
		return err
	}
	c.mu.Lock()
	greeting := c.greeting
	c.mu.Unlock()
	if len(greeting) > 0 {
		return c.greet(header)
	}
	var top wire.EmptyAnswer
	if err := wire.DecodeAnswer(header, &top); err != nil {
		return err
	}
	p := part{header: header}
	if top.Size != nil {
		n := *top.Size
		if n > 64<<10 {
			if err := c.lend(&p, n); err != nil {
				return err
			}
		} else {
			p.body = make([]byte, n)
		}
		if err := c.wire.ReadBody(p.body); err != nil {
			c.release(p)
			return err
		}
	}
	c.mu.Lock()
	if len(c.pending) == 0 {
		c.mu.Unlock()
		c.release(p)
		if top.Error != nil { // the server says why it closes
			c.end(&lostError{top.Error})
			return errGoodbye
		}
		return &wire.ProtocolError{Msg: "an answer without a request"}
	}
	if top.Error != nil && top.Error.Code == wire.LoginRequired { // the session is over: whether there can be another a login tells
		c.mu.Unlock()
		c.end(&lostError{top.Error})
		return errGoodbye
	}
	k := c.pending[0]
	if !top.More {
		c.pending = c.pending[1:]
	}
	beat := top.More && top.Size == nil && (top.Pace > 0 || len(header) <= len(`{"more":true}`))
	c.handing, c.pace = !beat, top.Pace
	c.mu.Unlock()
	if beat {
		return nil // a sign of life
	}
	defer c.hand(false)
	select {
	case k.parts <- p:
	case <-c.ended:
		c.release(p)
		err = c.reason()
	}
	if !top.More { // it is no longer among the pending ones, so nobody else would
		close(k.parts)
	}
	if top.Error != nil && top.Error.Code == wire.Kicked {
		c.end(&lostError{top.Error})
		return errGoodbye
	}
	return err
}

// lend gives p a buffer for a body of n bytes as soon as there is room. Meanwhile it is us who are slow, not the server.
func (c *conn) lend(p *part, n int64) error {
	select {
	case c.room <- struct{}{}:
	default:
		c.hand(true)
		defer c.hand(false)
		select {
		case c.room <- struct{}{}:
		case <-c.ended:
			return c.reason()
		}
	}
	p.lent = c.bufs.Body()
	p.body = (*p.lent)[:n]
	return nil
}

// release takes a part's buffer back.
func (c *conn) release(p part) {
	if p.lent != nil {
		c.bufs.PutBody(p.lent)
		<-c.room
	}
}

// hand notes whether we are the ones who are waited for.
func (c *conn) hand(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.handing, c.alive = on, time.Now()
}

// next waits for the next message of the answer and decodes it into ans; more tells whether another follows. A refusal by
// the server is a *wire.Error. The caller owns the returned buffer.
func (k *call) next(ctx context.Context, ans wire.Answerer) (p part, more bool, err error) {
	select {
	case got, ok := <-k.parts:
		if !ok {
			if err := k.conn.reason(); err != nil {
				return p, false, err
			}
			return p, false, &lostError{io.ErrUnexpectedEOF}
		}
		if err := wire.DecodeAnswer(got.header, ans); err != nil {
			k.conn.release(got)
			k.conn.end(&lostError{err})
			return p, false, err
		}
		if e := ans.Top().Error; e != nil {
			k.conn.release(got)
			return p, false, e
		}
		return got, ans.Top().More, nil
	case <-ctx.Done():
		// Cancelling a command is closing its connection: what is under way cannot be told apart from what follows.
		k.conn.end(&lostError{ctx.Err()})
		return p, false, ctx.Err()
	}
}

// last is next for answers of one message.
func (k *call) last(ctx context.Context, ans wire.Answerer) ([]byte, error) {
	p, more, err := k.next(ctx, ans)
	if err == nil && more {
		err = &wire.ProtocolError{Msg: "an answer goes on that should not"}
		k.conn.end(&lostError{err})
	}
	return p.body, err
}

// ask sends one request and waits for its answer.
func (c *conn) ask(ctx context.Context, req wire.Requester, body []byte, ans wire.Answerer) ([]byte, error) {
	k, err := c.send(req, body)
	if err != nil {
		return nil, err
	}
	if err := c.flush(); err != nil {
		return nil, err
	}
	return k.last(ctx, ans)
}
