package session

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"ferry/server/guard"
	"ferry/shared/login"
	"ferry/shared/wire"
)

// conn is one connection. Its reader goroutine reads requests into a queue; executing them and sending the answers go on
// beside it, each on a goroutine that exists only while there is work.
type conn struct {
	srv  *Server
	wire *wire.Conn
	link *wire.Link
	nc   net.Conn
	bind login.Binding
	key  []byte // binds logins by public key; nil without TLS
	log  *slog.Logger
	ctx  context.Context
	stop context.CancelFunc

	begin  time.Time // when it was accepted
	client string    // what hello said of the program

	ses  *session // set by the gate, under srv.mu since others look
	home *home    // of the session

	requests *queue[*request]
	answers  *queue[answer]
	batch    batch
	proving  proving // of the goroutine that handles requests

	mu      sync.Mutex
	owed    int         // requests taken up and not finally answered
	now     Activity    // what the last of them is about
	beat    *time.Timer // made by the first request
	beating bool        // beat runs: something is owed or was when it last fired
	quiet   bool        // no answer left since the last beat
	paced   bool        // a body waits for the account's rate
	killed  *wire.Error

	draining atomic.Bool
	failed   atomic.Bool // the sending side is broken
}

// request is a message that was read. body is nil without one.
type request struct {
	cmd    string
	header []byte
	body   []byte
	lent   *[]byte // the pooled buffer behind body, if it is one
	path   string  // what it was about, for the log
	code   wire.Code
	quiet  bool // one of many about the same
}

// answer is a message to be sent.
type answer struct {
	header []byte
	body   []byte
	lent   *[]byte
}

// serve lets a peer in and leaves it to a goroutine of its own; s.active counts it until the connection has ended. The
// handshake makes the stack grow that it runs on, and a session must not keep such a stack for hours.
func (s *Server) serve(nc net.Conn, encrypted bool) {
	place, err := s.guard.Enter(addrOf(nc), func() { hangUp(nc) })
	if err != nil {
		hangUp(nc)
		if errors.Is(err, guard.ErrFull) {
			s.stranger(s.Log, slog.LevelWarn, "connection refused", "peer", nc.RemoteAddr().String(), "reason", err.Error())
		}
		s.active.Done()
		return
	}
	ctx, stop := context.WithCancel(s.ctx)
	c := &conn{srv: s, nc: nc, link: wire.NewLink(nc, s.Timing.Stall, &s.bufs), log: s.Log.With("peer", nc.RemoteAddr().String()),
		ctx: ctx, stop: stop, begin: time.Now()}
	s.mu.Lock()
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	in := c.welcome(place, encrypted)
	place.Leave()
	if !in {
		c.end()
		return
	}
	go func() {
		defer c.end()
		c.live()
	}()
}

// end closes the connection and forgets it.
func (c *conn) end() {
	if c.wire != nil {
		c.wire.Close()
	}
	c.nc.Close()
	c.stop()
	c.srv.mu.Lock()
	delete(c.srv.conns, c)
	c.srv.mu.Unlock()
	c.srv.active.Done()
}

// welcome sees the peer through TLS and the login, and tells whether it is let in.
func (c *conn) welcome(place *guard.Stranger, encrypted bool) bool {
	s := c.srv
	if s.closing.Load() {
		return false
	}
	if !place.Wait(c.ctx, s.Timing.Login/2) {
		s.stranger(c.log, slog.LevelWarn, "connection refused", "reason", "others were not logged in in time")
		return false
	}
	keepAlive(c.nc)
	stream := net.Conn(c.link)
	if encrypted {
		t, err := c.handshake()
		if err != nil {
			s.stranger(c.log, slog.LevelInfo, "connection ended before login", "reason", "TLS handshake failed", "err", err)
			return false
		}
		stream = t
	}
	c.wire = wire.NewConn(stream, c.link)
	c.link.SetLimit(c.begin.Add(s.Timing.Login))
	if err := c.gate(encrypted); err != nil {
		if c.ses != nil { // it was let in and did not hear of it
			s.leave(c)
		}
		s.stranger(c.log, slog.LevelInfo, "connection ended before login", "reason", err.Error())
		return false
	}
	c.link.SetLimit(time.Time{})
	return true
}

// handshake sets up TLS and what logins are bound to.
func (c *conn) handshake() (*tls.Conn, error) {
	limit, most := c.begin.Add(c.srv.Timing.Login), time.Now().Add(c.srv.Timing.Handshake)
	if most.Before(limit) {
		limit = most
	}
	c.link.SetLimit(limit)
	t := tls.Server(c.link, c.srv.TLS)
	err := t.Handshake()
	if err == nil {
		c.bind, err = login.TLSBinding(t.ConnectionState())
	}
	if err == nil {
		c.key, err = login.KeyBinding(t.ConnectionState())
	}
	return t, err
}

// live carries out what the user asks for until the connection ends.
func (c *conn) live() {
	c.log = c.log.With("user", c.ses.user, "session", c.ses.id[:8])
	c.log.Info("login")
	err := c.run()
	in, out := c.link.Traffic()
	c.log.Info("session ended", "reason", c.reason(err), "seconds", int(time.Since(c.begin).Seconds()), "in", in, "out", out)
}

func (c *conn) reason(err error) string {
	switch {
	case c.draining.Load():
		return "logged out or stopped"
	case err == nil || err == io.EOF:
		return "closed by the client"
	case errors.Is(err, net.ErrClosed):
		return "the client takes no answers"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "stalled"
	}
	return err.Error()
}

// keepAlive lets the kernel notice within two minutes that a silent peer is gone.
func keepAlive(nc net.Conn) {
	if t, ok := nc.(*net.TCPConn); ok {
		t.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 15 * time.Second, Count: 4})
	}
}

// run reads requests until the connection ends and returns why. When it returns, everything that was read has been
// executed.
func (c *conn) run() error {
	c.batch.c, c.batch.change.L = c, &c.batch.mu
	c.requests = newQueue(maxQueuedBytes, c.execute)
	c.answers = newQueue(maxAnswerBytes, c.send)
	err := c.read()
	if !c.draining.Load() {
		c.stop() // nobody waits for bytes any more; what changes something is carried out all the same
	}
	c.requests.close()
	<-c.requests.drained
	c.batch.wait()
	c.mu.Lock()
	if c.beat != nil {
		c.beat.Stop()
	}
	c.mu.Unlock()
	c.answers.close()
	<-c.answers.drained
	c.stop()
	c.srv.leave(c)
	return err
}

func (c *conn) read() error {
	var buf []byte
	for {
		header, err := c.wire.ReadHeader(buf[:0], wire.MaxHeader)
		if err != nil {
			return c.refuse(err)
		}
		cmd, size, err := wire.Peek(header)
		if err != nil {
			return c.refuse(err)
		}
		r := &request{cmd: cmd, header: header}
		if size >= 0 {
			if size > 64<<10 {
				c.requests.await(int(size)) // one block is read while one is written: no third one waits
				r.lent = c.srv.bufs.Body()
				r.body = (*r.lent)[:size]
			} else {
				r.body = make([]byte, size)
			}
			if err := c.readBody(r.body); err != nil {
				c.srv.bufs.PutBody(r.lent)
				return c.refuse(err)
			}
		}
		if !c.requests.push(r, len(r.body)+len(header)) {
			c.srv.bufs.PutBody(r.lent)
			return net.ErrClosed
		}
	}
}

// refuse answers a protocol error, after everything that is still owed, and returns why reading ends.
func (c *conn) refuse(err error) error {
	c.mu.Lock()
	killed := c.killed
	c.mu.Unlock()
	var proto *wire.ProtocolError
	if killed == nil && errors.As(err, &proto) {
		killed = &wire.Error{Code: wire.BadRequest, Message: proto.Msg}
	}
	if killed != nil {
		c.requests.close()
		<-c.requests.drained
		c.batch.wait()
		c.respond(&wire.EmptyAnswer{Answer: wire.Answer{Error: killed}}, nil, nil)
		return errors.New(killed.Message)
	}
	return err
}

// drain ends the connection once everything read so far is done.
func (c *conn) drain() {
	c.draining.Store(true)
	c.link.Interrupt()
}

// abort ends the connection now; the peer is told why if there is a reason and the line is free.
func (c *conn) abort(why *wire.Error) {
	c.mu.Lock()
	c.killed = why
	c.mu.Unlock()
	c.stop()
	if why == nil {
		c.nc.Close()
		return
	}
	c.link.Interrupt()
	time.AfterFunc(farewell, func() { c.nc.Close() })
}

// ended tells why the session is over, nil if it is not.
func (c *conn) ended() *wire.Error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.killed
}

// execute is the consumer of requests.
func (c *conn) execute(q *queue[*request]) {
	for {
		r, ok := q.next()
		if !ok {
			c.batch.flush() // nothing more is waiting: everybody's answer is due
			if q.done() {
				return
			}
			continue
		}
		c.owe(r.cmd)
		c.handle(r)
	}
}

// handle carries out one request. A panic costs this connection, nobody else's.
func (c *conn) handle(r *request) {
	begin := time.Now()
	c.proving.next()
	defer func() {
		if p := recover(); p != nil {
			id := newID()[:8]
			c.log.Error("panic", "cmd", r.cmd, "id", id, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			c.batch.wait()
			c.fail(&wire.Error{Code: wire.Internal, Message: "internal error " + id + " on the server"})
			c.drain() // what was read behind it is still answered, in its place
		}
	}()
	e, ok := c.srv.lookup(r.cmd)
	if !ok || e.serve == nil {
		c.srv.bufs.PutBody(r.lent)
		msg := "there is no command " + quoted(r.cmd)
		if e.gate {
			msg = r.cmd + ": already logged in"
		}
		c.batch.wait()
		c.fail(&wire.Error{Code: wire.UnknownCommand, Message: msg})
		return
	}
	if !e.batched {
		c.batch.wait()
	}
	if (r.body != nil) != e.body && !e.batched {
		c.srv.bufs.PutBody(r.lent)
		c.fail(&wire.Error{Code: wire.BadRequest, Message: r.cmd + ": a body is " + map[bool]string{true: "needed", false: "not taken"}[e.body]})
		return
	}
	err := c.allow(e)
	if err == nil {
		err = e.serve(c, r)
	} else {
		c.batch.wait()
	}
	c.srv.bufs.PutBody(r.lent)
	level := slog.LevelInfo
	if e.quiet || r.quiet {
		level = slog.LevelDebug
	}
	if err != nil {
		e := c.errorOf(r.cmd, err)
		c.fail(e)
		r.code = e.Code
	}
	if c.log.Enabled(c.ctx, level) {
		c.log.Log(c.ctx, level, r.cmd, "path", r.path, "code", string(r.code), "ms", time.Since(begin).Milliseconds())
	}
}

// respond queues one message of an answer; lent is given back once body was sent.
func (c *conn) respond(a wire.Answerer, body []byte, lent *[]byte) {
	top := a.Top()
	if body != nil {
		n := int64(len(body))
		top.Size = &n
	}
	header, err := wire.Encode(a)
	if err != nil {
		c.srv.bufs.PutBody(lent)
		lent, body = nil, nil
		header, _ = wire.Encode(&wire.EmptyAnswer{Answer: wire.Answer{Error: c.internal("encode", err)}})
	}
	c.mu.Lock()
	c.quiet = false
	if !top.More {
		c.owed--
	}
	c.mu.Unlock()
	if !c.answers.push(answer{header: header, body: body, lent: lent}, len(header)+len(body)) {
		c.srv.bufs.PutBody(lent)
	}
}

func (c *conn) fail(e *wire.Error) {
	c.respond(&wire.EmptyAnswer{Answer: wire.Answer{Error: e}}, nil, nil)
}

// owe counts a request taken up. As long as there are some the beat runs: an idle connection needs none.
func (c *conn) owe(cmd string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = Activity{Cmd: cmd}
	c.expect()
}

// expect counts an answer that the client waits for. c.mu is held.
func (c *conn) expect() {
	c.owed++
	if c.beating {
		return
	}
	c.beating, c.quiet = true, true
	if c.beat == nil {
		c.beat = time.AfterFunc(c.srv.Timing.Beat, c.onBeat)
	} else {
		c.beat.Reset(c.srv.Timing.Beat)
	}
}

// about tells others what the request under way is about.
func (c *conn) about(a Activity) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = a
}

// onBeat sends a sign of life while a request takes long, so that the client can tell a busy server from a dead one.
func (c *conn) onBeat() {
	c.mu.Lock()
	defer c.mu.Unlock()
	sign := wire.EmptyAnswer{Answer: wire.Answer{More: true}}
	if c.paced {
		sign.Pace = c.home.up.Limit()
	}
	beat, _ := wire.Encode(&sign)
	if c.owed > 0 && c.quiet {
		// Under the lock, so that the last message of the answer cannot overtake it. An answer that is waiting for room
		// has made quiet false, and so is no reason to wait here.
		c.answers.push(answer{header: beat}, 0)
	}
	c.quiet, c.beating = true, c.owed > 0 && c.ctx.Err() == nil
	if c.beating {
		c.beat.Reset(c.srv.Timing.Beat)
	}
}

// send is the consumer of answers.
func (c *conn) send(q *queue[answer]) {
	for {
		a, ok := q.next()
		if ok {
			if !c.failed.Load() {
				if err := c.write(a); err != nil {
					c.broken()
				}
			}
			c.srv.bufs.PutBody(a.lent)
			continue
		}
		if !c.failed.Load() {
			if err := c.wire.Flush(); err != nil {
				c.broken()
			}
		}
		if q.done() {
			return
		}
	}
}

// broken gives up on a peer that does not take its answers: what was read is still carried out, unheard.
func (c *conn) broken() {
	c.failed.Store(true)
	c.stop()
	c.nc.Close()
}
