// Package remote is the client's side of the protocol as a library: a Client is a session on a server that outlives its
// connections. When one is lost it makes another, logs in again without a question, and repeats what had no answer.
package remote

import (
	"context"
	crand "crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"ferry/shared/login"
	"ferry/shared/wire"
)

// Options say whom to reach and how. Address and User are required.
type Options struct {
	Address string // host:port, [ip]:port or unix:PATH
	Plain   bool   // no TLS; always so for unix:PATH
	User    string
	// Password is called at most once, before the server is contacted; with Keys only if none of them is accepted.
	Password func(ctx context.Context) (string, error)
	// Keys are what to log in with before a password is asked for. They are shown to a server only whose key is known.
	Keys []ssh.Signer
	// Eager lets the first command travel with the login, if there is one key: a refusal is told by that command.
	Eager bool

	Known       KnownHosts
	Fingerprint string // accept this key only
	TrustFirst  bool   // accept and pin whatever key an unknown server shows
	// Confirm asks a person about the key of an unknown server; nil refuses.
	Confirm func(addr, fingerprint string) (bool, error)

	ReconnectFor time.Duration // how long to try again after a loss; 0: not at all
	Silence      time.Duration // without any sign of life for so long, a connection counts as lost (default 30 s)
	DialTimeout  time.Duration // until TLS is up (default 15 s)
	// Notice is told, in a few words, what happens to the connection, and Trying of each try to make it again that failed. They
	// may be nil.
	Notice, Trying func(text string)
	Program        string // name and version, for the server's log
	// Dial replaces the network; nil: net.Dialer.
	Dial Dialer
}

// Client is one connection of a session, made again whenever it is lost. One command at a time may use it, except where a
// method says otherwise; Sibling makes further ones.
type Client struct {
	*member

	mu     sync.Mutex
	conn   *conn
	closed bool
	extra  []*Client // for transfers over several connections
	trying struct {  // to connect again: see State
		Try  int
		Next time.Time
	}

	own *route // nil: that of the session
}

// Dialer makes a connection, as net.Dialer.DialContext does.
type Dialer = func(ctx context.Context, network, addr string) (net.Conn, error)

// route is how connections are made, and who is told of them.
type route struct {
	dial           Dialer
	notice, trying func(text string)
}

// member is what the connections of a session have in common.
type member struct {
	opts Options
	bufs *wire.Buffers

	entering sync.Mutex // held while logging in, so that all connections come into one session

	state  sync.Mutex // guards what follows
	secret *login.Secret
	next   *login.Secret // of the password that is being set; it may be in force already
	ticket ticket
	pinned string // fingerprint of the server logged in to
	info   Info
	trip   time.Duration // shortest time that an answer took; 0: not known
	signer ssh.Signer    // the key that was accepted
	kicked *wire.Error   // set once an administrator has ended the session

	clients map[*Client]bool // all that are not closed
}

// ticket is what lets a further connection join a session.
type ticket struct {
	session string
	secret  []byte
	run     run
}

// Info is what the server said of the session.
type Info struct {
	Server  string // program and version
	User    string
	Rights  []string
	Boot    string // changes when the server restarts
	Session string
	// MustChange says that the server refuses everything but Passwd until the password is changed.
	MustChange bool
}

// ErrAuth means that the server refused the user or the password.
var ErrAuth = errors.New("login refused: wrong user or password")

// RefusedError means that the user is not let in whether or not he is who he claims to be: the account is locked, say, or there were
// too many failed logins.
type RefusedError struct{ Why *wire.Error }

func (e *RefusedError) Error() string { return "login refused: " + e.Why.Message }

// Hint returns what can be done about it, "" if nothing comes to mind.
func (e *RefusedError) Hint() string {
	switch after := e.Why.After; {
	case e.Why.Code == wire.TooMany:
		return "log out somewhere else or end another transfer, or ask the administrator for more"
	case after > 120:
		return fmt.Sprintf("try again in %d min", (after+59)/60)
	case after > 0:
		return fmt.Sprintf("try again in %d s", after)
	}
	return ""
}

// Unwrap returns what the server said.
func (e *RefusedError) Unwrap() error { return e.Why }

// UnreachableError means that no connection could be made, or not again.
type UnreachableError struct {
	Addr string
	Lost bool // there was one before
	Err  error
}

func (e *UnreachableError) Error() string {
	if e.Lost {
		return fmt.Sprintf("connection to %s lost: %v", e.Addr, e.Err)
	}
	return fmt.Sprintf("cannot connect to %s: %v", e.Addr, e.Err)
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// Login connects and logs in. Errors: *TrustError, *UnreachableError, ErrAuth, *RefusedError, or a *wire.Error (version when
// the two programs have none in common).
func Login(ctx context.Context, o Options) (*Client, error) {
	c := newClient(o)
	err := c.trusting(func() error { return c.byKey(ctx) })
	var unknown *TrustError
	if errors.As(err, &unknown) && unknown.Want == "" && !unknown.Declined {
		err = ErrAuth // only a password makes a server prove itself
	}
	if !errors.Is(err, ErrAuth) {
		return c.unless(err)
	}
	password, err := o.Password(ctx)
	if err != nil && unknown != nil {
		err = unknown
	}
	if err != nil {
		return nil, err
	}
	err = c.trusting(func() error { return c.connect(ctx, password) })
	debug.FreeOSMemory() // the 64 MiB of Argon2id are not needed again
	return c.unless(err)
}

// newClient returns a client that is not connected.
func newClient(o Options) *Client {
	if o.Silence == 0 {
		o.Silence = 30 * time.Second
	}
	if o.DialTimeout == 0 {
		o.DialTimeout = 15 * time.Second
	}
	if o.Notice == nil {
		o.Notice = func(string) {}
	}
	if o.Trying == nil {
		o.Trying = func(string) {}
	}
	if strings.HasPrefix(o.Address, "unix:") {
		o.Plain = true
	}
	return (&Client{member: &member{opts: o, bufs: &wire.Buffers{}, clients: map[*Client]bool{}}}).Sibling()
}

// unless returns the client if there is no error.
func (c *Client) unless(err error) (*Client, error) {
	if err != nil {
		return nil, err
	}
	return c, nil
}

// trusting connects; if the server is not known, and somebody is there to be asked about its key, it does so again after a
// yes. A person's pause must not meet the server's time limit: the connection is closed meanwhile.
func (c *Client) trusting(connect func() error) error {
	err := connect()
	var ask *TrustError
	if !errors.As(err, &ask) || ask.Want != "" || ask.Declined || c.opts.Confirm == nil {
		return err
	}
	yes, err := c.opts.Confirm(ask.Addr, ask.Got)
	if err != nil {
		return err
	}
	if !yes {
		ask.Declined = true
		return ask
	}
	c.pinned = ask.Got
	return connect()
}

// Info returns what the server said at the last login; after one by key it waits for that.
func (c *Client) Info() Info {
	c.mu.Lock()
	k := c.conn
	c.mu.Unlock()
	if k != nil {
		k.welcome()
	}
	c.state.Lock()
	defer c.state.Unlock()
	return c.info
}

// RoundTrip returns about how long the way to the server and back is.
func (c *member) RoundTrip() time.Duration {
	c.state.Lock()
	defer c.state.Unlock()
	return c.trip
}

// Sibling returns another client of the session with a connection of its own, which is made at the first use. It must be
// closed. A session has at most 16 connections.
func (c *Client) Sibling() *Client { return c.along(c.own) }

// Apart returns a Sibling whose connections, and those of its own siblings, dial makes and notice is told of. Its State is that of
// those alone.
func (c *Client) Apart(dial Dialer, notice, trying func(text string)) *Client {
	return c.along(&route{dial, notice, trying})
}

func (c *Client) along(own *route) *Client {
	s := &Client{member: c.member, own: own}
	c.state.Lock()
	defer c.state.Unlock()
	c.clients[s] = true
	return s
}

// route returns how the client's connections are made.
func (c *Client) route() route {
	if c.own != nil {
		return *c.own
	}
	return route{c.opts.Dial, c.opts.Notice, c.opts.Trying}
}

// Server returns what names the server for good: the fingerprint of its key, or without encryption its address.
func (c *member) Server() string {
	c.state.Lock()
	defer c.state.Unlock()
	if c.pinned != "" {
		return c.pinned
	}
	return c.opts.Address
}

// Options returns what the client was made with.
func (c *member) Options() Options { return c.opts }

// connect makes a connection and logs in on it, by the secret when there is one.
func (c *Client) connect(ctx context.Context, password string) error {
	if err := c.barred(); err != nil {
		return err
	}
	var k *conn
	err := c.dial(ctx, func(ctx context.Context, nc net.Conn) (err error) {
		k, err = c.shake(ctx, nc, password)
		return err
	})
	if err != nil {
		return err
	}
	k.whenEnded(c.over)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		k.end(&lostError{net.ErrClosed})
		return net.ErrClosed
	}
	c.conn = k
	return nil
}

// dial makes a connection and gives it to do, and closes it if that fails.
func (c *Client) dial(ctx context.Context, do func(context.Context, net.Conn) error) error {
	dctx, cancel := context.WithTimeout(ctx, min(c.opts.DialTimeout, c.opts.Silence))
	defer cancel()
	network, addr := "tcp", c.opts.Address
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, addr = "unix", path
	}
	dial := c.route().dial
	if dial == nil {
		dial = (&net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 15 * time.Second, Count: 4}}).DialContext
	}
	nc, err := dial(dctx, network, addr)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return &UnreachableError{Addr: c.opts.Address, Err: dialReason(err)}
	}
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	defer stop()
	if err := do(dctx, nc); err != nil {
		nc.Close()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
	return nil
}

func dialReason(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// channel is a connection on which nothing has been said yet, and what the two ends have in common.
type channel struct {
	w     *wire.Conn
	bind  login.Binding // without TLS set by the answer to hello
	key   []byte        // binds a login by public key; nil without TLS
	shown string        // fingerprint of the server's key, "" without TLS
}

// secure brings TLS up and checks the server's key.
func (c *member) secure(ctx context.Context, nc net.Conn) (*channel, error) {
	link := wire.NewLink(nc, 2*c.opts.Silence, c.bufs)
	ch := &channel{}
	if c.opts.Plain {
		ch.w = wire.NewConn(link, link)
		return ch, nil
	}
	t := tls.Client(link, clientTLS(func(cs tls.ConnectionState) error {
		ch.shown = Fingerprint(cs.PeerCertificates[0])
		return c.trust(ch.shown)
	}))
	begin := time.Now()
	err := t.HandshakeContext(ctx)
	c.took(time.Since(begin))
	if err != nil {
		var te *TrustError
		if errors.As(err, &te) {
			return nil, te
		}
		return nil, &UnreachableError{Addr: c.opts.Address, Err: fmt.Errorf("TLS: %w", tlsReason(err))}
	}
	ch.w = wire.NewConn(t, link)
	if ch.bind, err = login.TLSBinding(t.ConnectionState()); err != nil {
		return nil, err
	}
	ch.key, err = login.KeyBinding(t.ConnectionState())
	return ch, err
}

// shake brings TLS up, checks the server's key, and logs in.
func (c *member) shake(ctx context.Context, nc net.Conn, password string) (*conn, error) {
	ch, err := c.secure(ctx, nc)
	if err != nil {
		return nil, err
	}
	if c.signer != nil && c.pass().secret == nil {
		c.state.Lock()
		c.pinned = ch.shown
		c.state.Unlock()
		ch.w.Link().SetLimit(time.Time{})
		return c.present(ch)
	}
	run, err := c.authenticate(ch, password)
	if err != nil {
		return nil, c.duringLogin(err)
	}
	ch.w.Link().SetLimit(time.Time{})
	if ch.shown != "" {
		// Now that the server has proved that it knows the account, its key is worth remembering.
		if c.opts.Fingerprint == "" && c.signer == nil {
			if err := c.opts.Known.Pin(c.opts.Address, ch.shown); err != nil {
				c.opts.Notice("the server's key could not be remembered: " + err.Error())
			}
		}
		c.state.Lock()
		c.pinned = ch.shown
		c.state.Unlock()
	}
	k := makeConn(ch, run, c.opts.Silence, c.bufs)
	k.start()
	return k, nil
}

// duringLogin tells a line that broke before the login was done from a refusal.
func (c *member) duringLogin(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || isNet(err) {
		return &UnreachableError{Addr: c.opts.Address, Err: fmt.Errorf("during login: %w", dialReason(&lostError{err}))}
	}
	return err
}

func isNet(err error) bool {
	var n net.Error
	return errors.As(err, &n)
}

// trust decides about a server's key before anything is said to it.
func (c *member) trust(shown string) error {
	c.state.Lock()
	want, file := c.pinned, ""
	key := c.signer != nil
	c.state.Unlock()
	if want == "" {
		want = c.opts.Fingerprint
	}
	if want == "" {
		known, err := c.opts.Known.Lookup(c.opts.Address)
		if err != nil {
			return err
		}
		want, file = known, c.opts.Known.Path
	}
	if want == "" && c.opts.TrustFirst && !key || want != "" && sameFingerprint(want, shown) {
		return nil
	}
	return &TrustError{Addr: c.opts.Address, Got: shown, Want: want, File: file, First: c.opts.TrustFirst}
}

// entrance is a connection on its way in.
type entrance struct {
	*member
	*channel
	server string // what it says it is, once it has answered hello
}

// authenticate brings a connection into the session, or with a login into a new one, and returns the run of the server.
func (c *member) authenticate(ch *channel, password string) (run, error) {
	e := &entrance{member: c, channel: ch}
	tried := c.pass()
	if tried.secret != nil {
		if err := e.attach(tried); !errors.Is(err, ErrAuth) {
			c.over(err)
			return tried.run, err
		}
	}
	c.entering.Lock()
	defer c.entering.Unlock()
	if now := c.pass(); now.session != tried.session { // somebody else was faster
		if err := e.attach(now); !errors.Is(err, ErrAuth) {
			c.over(err)
			return now.run, err
		}
	}
	return e.login(password)
}

// pass returns the session's ticket, the zero one if there is no session.
func (c *member) pass() ticket {
	c.state.Lock()
	defer c.state.Unlock()
	return c.ticket
}

// open sends the first request of the connection, with hello before it, and returns when ans holds the answer. first is
// called when the channel is known that it must be bound to.
func (e *entrance) open(first func() wire.Requester, ans wire.Answerer) error {
	var greeting *wire.HelloAnswer
	if e.server == "" {
		greeting = &wire.HelloAnswer{}
		hello := &wire.HelloRequest{Request: wire.Request{Cmd: wire.CmdHello}, Version: wire.ProtocolVersion, Client: e.opts.Program}
		nonce := make([]byte, 32)
		if e.opts.Plain {
			crand.Read(nonce)
			hello.Nonce = hex.EncodeToString(nonce)
		}
		if err := say(e.w, hello); err != nil {
			return err
		}
		if e.opts.Plain { // the binding needs the server's nonce
			if err := e.exchange(nil, greeting); err != nil {
				return err
			}
			theirs, err := hex.DecodeString(greeting.Nonce)
			if err != nil || len(theirs) != 32 {
				return &wire.ProtocolError{Msg: "the server sent no nonce"}
			}
			e.bind = login.PlainBinding(nonce, theirs)
			e.server, greeting = greeting.Server, nil
		}
	}
	if err := say(e.w, first()); err != nil {
		return err
	}
	if greeting != nil {
		if err := e.exchange(nil, greeting); err != nil {
			return err
		}
		e.server = greeting.Server
	}
	return e.exchange(nil, ans)
}

// exchange sends a request, if there is one, and hears the next answer.
func (e *entrance) exchange(req wire.Requester, ans wire.Answerer) error {
	if req != nil {
		if err := say(e.w, req); err != nil {
			return err
		}
	}
	if err := e.w.Flush(); err != nil {
		return err
	}
	begin := time.Now()
	e.w.Link().SetLimit(begin.Add(e.opts.Silence))
	err := hear(e.w, ans)
	if _, hello := ans.(*wire.HelloAnswer); err == nil && (req != nil || hello) { // else it may have waited for us
		e.took(time.Since(begin))
	}
	return err
}

// took is told how long an answer took.
func (c *member) took(trip time.Duration) {
	c.state.Lock()
	defer c.state.Unlock()
	if c.trip == 0 || trip < c.trip {
		c.trip = trip
	}
}

func (e *entrance) attach(t ticket) error {
	return refused(e.open(func() wire.Requester {
		return &wire.AttachRequest{Request: wire.Request{Cmd: wire.CmdAttach}, Session: t.session, Proof: hex.EncodeToString(login.Attach(t.secret, e.bind))}
	}, &wire.EmptyAnswer{}))
}

// login logs in, with the secret of an earlier login if there was one, and makes what comes of it the session.
func (e *entrance) login(password string) (run, error) {
	if e.signer != nil {
		return e.sign()
	}
	var exchange *login.Client
	var challenge wire.LoginAnswer
	err := e.open(func() wire.Requester {
		exchange = login.NewClient(e.opts.User, password, e.bind)
		if e.secret != nil {
			exchange = login.NewClientSecret(e.opts.User, e.bind, e.secret, e.next)
		}
		return &wire.MessageRequest{Request: wire.Request{Cmd: wire.CmdLogin}, Message: exchange.First()}
	}, &challenge)
	if err != nil {
		return run{}, refused(err)
	}
	final, err := exchange.Final(challenge.Message)
	if err != nil {
		return run{}, err
	}
	var proof wire.ProofAnswer
	if err := e.exchange(&wire.MessageRequest{Request: wire.Request{Cmd: wire.CmdProof}, Message: final}, &proof); err != nil {
		return run{}, refused(err)
	}
	if err := exchange.Verify(proof.Message); err != nil {
		return run{}, err
	}
	e.state.Lock()
	e.secret = exchange.Secret()
	e.state.Unlock()
	return runOf(&proof), e.joined(e.server, &proof)
}

// joined takes in what the server says of the session that a login began.
func (c *member) joined(server string, proof *wire.ProofAnswer) error {
	secret, err := hex.DecodeString(proof.Secret)
	if err != nil || len(secret) != 32 {
		return &wire.ProtocolError{Msg: "the server sent no secret of the session"}
	}
	c.state.Lock()
	defer c.state.Unlock()
	c.ticket = ticket{session: proof.Session, secret: secret, run: runOf(proof)}
	c.info = Info{Server: server, User: proof.User, Rights: proof.Rights, Boot: proof.Boot, Session: proof.Session,
		MustChange: proof.MustChange}
	return nil
}

func say(w *wire.Conn, req wire.Requester) error {
	header, err := wire.Encode(req)
	if err != nil {
		return err
	}
	return w.Write(header, nil)
}

func hear(w *wire.Conn, ans wire.Answerer) error {
	header, err := w.ReadHeader(nil, wire.MaxHeader)
	if err != nil {
		return err
	}
	return accept(header, ans)
}

// refused says of an error that it was a login that was refused, if it was.
func refused(err error) error {
	switch wire.CodeOf(err) {
	case wire.AuthFailed:
		return ErrAuth
	case wire.Denied, wire.TooMany, wire.RateLimited:
		var e *wire.Error
		errors.As(err, &e)
		return &RefusedError{e}
	}
	return err
}

// accept decodes an answer that comes before the session.
func accept(header []byte, ans wire.Answerer) error {
	if err := wire.DecodeAnswer(header, ans); err != nil {
		return err
	}
	top := ans.Top()
	if top.Error != nil {
		return top.Error
	}
	if top.Size != nil || top.More {
		return &wire.ProtocolError{Msg: "a login answer with a body"}
	}
	return nil
}

// Close ends the session. It may be called at any time; commands under way fail.
func (c *Client) Close() error {
	c.mu.Lock()
	k, extra := c.conn, c.extra
	c.conn, c.extra, c.closed = nil, nil, true
	c.mu.Unlock()
	c.state.Lock()
	delete(c.clients, c)
	c.state.Unlock()
	if k != nil {
		k.end(&lostError{net.ErrClosed})
	}
	for _, e := range extra {
		e.Close()
	}
	return nil
}

// helpers returns n further connections of the session for a transfer, made when they are used and kept for the next one.
func (c *Client) helpers(n int) []*Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.extra) < n && !c.closed {
		c.extra = append(c.extra, c.Sibling())
	}
	return c.extra[:min(n, len(c.extra))]
}

// Logout ends the session, whose other connections the server closes, and closes. It does not wait for an answer: there is
// nothing that could be done about one.
func (c *Client) Logout() error {
	c.mu.Lock()
	k := c.conn
	c.mu.Unlock()
	if k != nil && k.reason() == nil {
		if _, err := k.send(&wire.EmptyRequest{Request: wire.Request{Cmd: wire.CmdLogout}}, nil); err == nil {
			k.flush()
		}
	}
	return c.Close()
}

// use returns the connection, making a new one if it was lost. again tells that the caller has had one lost in this
// command, since: then the time for reconnecting runs from there.
func (c *Client) use(ctx context.Context) (*conn, error) {
	c.mu.Lock()
	k, closed := c.conn, c.closed
	c.mu.Unlock()
	if closed {
		return nil, net.ErrClosed
	}
	if k != nil && k.reason() == nil {
		return k, nil
	}
	if err := c.barred(); err != nil {
		return nil, err
	}
	var cause error
	if k != nil {
		if cause = k.reason(); errors.Is(cause, context.Canceled) {
			cause = nil // we cut it ourselves
		}
	}
	return c.reconnect(ctx, cause)
}

// over is told why a connection ended. If an administrator has ended the session, nothing is to go on as if nothing had happened,
// on none of its connections.
func (c *member) over(why error) {
	var e *wire.Error
	if !errors.As(why, &e) || e.Code != wire.Kicked {
		return
	}
	c.state.Lock()
	defer c.state.Unlock()
	c.kicked = e
}

// barred returns what the server said when an administrator ended the session, nil if none did.
func (c *member) barred() error {
	c.state.Lock()
	defer c.state.Unlock()
	if c.kicked == nil {
		return nil
	}
	return c.kicked
}

// once is use without patience: one try at most.
func (c *Client) once(ctx context.Context) (*conn, error) {
	c.mu.Lock()
	k, closed := c.conn, c.closed
	c.mu.Unlock()
	if closed {
		return nil, net.ErrClosed
	}
	if k != nil && k.reason() == nil {
		return k, nil
	}
	if err := c.connect(ctx, ""); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conn, nil
}

// reconnect tries until it is in again, the time is over, or there is no point.
func (c *Client) reconnect(ctx context.Context, cause error) (*conn, error) {
	begin := time.Now()
	said := cause != nil // a connection that was cut on purpose is replaced without a word
	if said {
		c.route().notice(fmt.Sprintf("%v; reconnecting", cause))
	}
	defer c.try(0, time.Time{})
	c.try(1, begin)
	for try, wait := 2, firstPause; ; try, wait = try+1, min(wait*2, lastPause) {
		err := c.connect(ctx, "")
		if err == nil {
			c.mu.Lock()
			k := c.conn
			c.mu.Unlock()
			if said {
				c.route().notice("connected again")
			}
			return k, nil
		}
		if !transient(err) {
			return nil, err
		}
		var no *wire.Error
		after := time.Duration(0) // before, there is no point
		if errors.As(err, &no) {
			after = time.Duration(no.After) * time.Second
		}
		left := c.opts.ReconnectFor - time.Since(begin)
		if left <= after {
			var u *UnreachableError
			if errors.As(err, &u) {
				u.Lost = true
			}
			return nil, err
		}
		pause := min(after+wait/2+rand.N(wait), left)
		why := err
		var u *UnreachableError
		var full *RefusedError
		if errors.As(err, &u) {
			why = u.Err
		} else if errors.As(err, &full) {
			why = full.Why
		}
		c.route().trying(fmt.Sprintf("no connection yet (%v), next try in %v", why, pause.Round(100*time.Millisecond)))
		c.try(try, time.Now().Add(pause))
		said = true
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// patience decides whether a transfer whose connection was lost once more is to go on. Time and pauses run from the last
// progress, so that a line which breaks after every login neither spins nor goes on for ever.
type patience struct {
	moved int64 // how far it was at the last loss
	since time.Time
	tries int // losses without progress
}

// lost is told how many bytes are across, and waits before the next try. It returns an *UnreachableError when there is no
// point in going on.
func (p *patience) lost(ctx context.Context, c *Client, moved int64, why error) error {
	if p.since.IsZero() || moved > p.moved {
		p.moved, p.since, p.tries = moved, time.Now(), 0
		return nil
	}
	p.tries++
	left := c.opts.ReconnectFor - time.Since(p.since)
	if left <= 0 {
		return &UnreachableError{Addr: c.opts.Address, Lost: true, Err: fmt.Errorf("again and again: %w", why)}
	}
	wait := firstPause << min(p.tries, 3) // at most 2 s: the line does come up each time
	select {
	case <-time.After(min(wait/2+rand.N(wait), left)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// How long to wait between two tries to connect.
const (
	firstPause = 250 * time.Millisecond
	lastPause  = 10 * time.Second
)

// transient tells whether trying to connect again may help.
func transient(err error) bool {
	var u *UnreachableError
	if errors.As(err, &u) {
		return true
	}
	code := wire.CodeOf(err)
	return code == wire.ShuttingDown || code == wire.TooMany || code == wire.RateLimited
}

// NewID returns 32 random hexadecimal digits.
func NewID() string {
	var b [16]byte
	crand.Read(b[:])
	return hex.EncodeToString(b[:])
}
