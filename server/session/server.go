// Package session serves connections: it accepts them, lets a user in, and carries out the commands of one after the
// other, answering in order. What a command does is in a file of its own; table.go lists them all.
package session

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"ferry/server/account"
	"ferry/server/guard"
	"ferry/server/pace"
	"ferry/server/register"
	"ferry/server/state"
	"ferry/server/storage"
	"ferry/server/storage/local"
	"ferry/shared/login"
	"ferry/shared/wire"
)

// Config is what a Server is made of. All fields are required unless said otherwise.
type Config struct {
	Accounts *account.Store
	Homes    string         // directory that account homes are relative to
	TLS      *tls.Config    // for Serve with encryption
	Fake     login.Fake     // answers for names that do not exist; new records get its costs
	Register *register.Desk // nil: nobody can register
	State    *state.File    // what is kept of accounts from one run to the next
	Log      *slog.Logger
	Version  string           // of the server program
	Timing   Timing           // zero fields: the defaults
	Ops      local.Ops        // file operations of homes; zero: the real ones
	Now      func() time.Time // tells the day on which accounts expire; nil: time.Now
	Never    []netip.Prefix   // addresses that are never banned, see guard.New
	// Admin carries out the order of an administrator. It prints results to output, and what else there is to say to notes,
	// both in UTF-8; the answer says how it ended. nil: the server takes no orders.
	Admin func(ctx context.Context, o Order, output, notes io.Writer) *wire.AdminAnswer
}

// Timing is how long the server waits for whom. Zero fields take the defaults in brackets.
type Timing struct {
	Handshake time.Duration // until TLS is up (10 s)
	Login     time.Duration // from accept to a finished login (30 s)
	Stall     time.Duration // longest pause inside a message, either way (60 s)
	Beat      time.Duration // a request that takes longer sends a sign of life this often (2 s)
	Drain     time.Duration // how long Shutdown lets running requests finish (8 s)
	Keep      time.Duration // unfinished uploads are dropped when untouched for so long (7 days)
	Linger    time.Duration // how long a session without connections can be joined (5 min)
}

func (t *Timing) fill() {
	for _, d := range []struct {
		v   *time.Duration
		def time.Duration
	}{
		{&t.Handshake, 10 * time.Second}, {&t.Login, 30 * time.Second}, {&t.Stall, 60 * time.Second}, {&t.Beat, 2 * time.Second},
		{&t.Drain, 8 * time.Second}, {&t.Keep, 7 * 24 * time.Hour}, {&t.Linger, 5 * time.Minute},
	} {
		if *d.v == 0 {
			*d.v = d.def
		}
	}
}

// Limits that protect the server from its peers.
const (
	maxUnanswered      = 1024    // requests read but not answered, per connection
	maxQueuedBytes     = 2 << 20 // bodies read but not handled, per connection
	maxAnswerBytes     = 2 << 20 // answers made but not sent, per connection
	maxTries           = 3       // proofs per connection
	maxUploads         = 1000    // unfinished uploads per account
	maxClient          = 64      // bytes of what a client calls itself
	writerGone         = time.Minute
	farewell           = 2 * time.Second // to tell a peer why its session ends
	acceptBackoffFirst = 5 * time.Millisecond
	acceptBackoffMost  = time.Second
	strangerLines      = 10  // a second, in the log, about connections that are not logged in
	strangerLinesBurst = 200 // so many at once
)

// Server serves any number of listeners.
type Server struct {
	Config
	bufs    wire.Buffers
	boot    string
	began   time.Time
	quit    chan struct{} // closed by Shutdown
	ctx     context.Context
	stop    context.CancelFunc
	closing atomic.Bool
	active  sync.WaitGroup
	guard   *guard.Guard

	lines    *rate.Limiter // of what strangers make it log
	unlogged atomic.Int64  // lines that it held back

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	conns     map[*conn]struct{}
	sessions  map[string]*session // by id
	kicked    map[string][32]byte // secrets of sessions that an administrator ended lately, by id: who attaches is told
	homes     map[string]*home    // by account name
	left      []*home             // that were an account's home before it got another one; old sessions may be in them

	table map[string]entry
}

// New returns a server for c.
func New(c Config) *Server {
	c.Timing.fill()
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Register == nil {
		c.Register = &register.Desk{}
	}
	ctx, stop := context.WithCancel(context.Background())
	commands := map[string]entry{}
	for _, e := range table() {
		if _, twice := commands[e.cmd]; twice {
			panic("session: two entries for " + e.cmd)
		}
		commands[e.cmd] = e
	}
	return &Server{
		table: commands, boot: newID(), began: time.Now(), quit: make(chan struct{}),
		Config: c, ctx: ctx, stop: stop, listeners: map[net.Listener]struct{}{}, conns: map[*conn]struct{}{},
		sessions: map[string]*session{}, kicked: map[string][32]byte{}, homes: map[string]*home{},
		guard: guard.New(c.Never, c.Log), lines: rate.NewLimiter(strangerLines, strangerLinesBurst),
	}
}

// Guard returns who decides about failed logins. It forgets everything when the server ends.
func (s *Server) Guard() *guard.Guard { return s.guard }

// Serve accepts connections from ln until Shutdown or Close, then returns nil. With encrypted false the frames travel
// without TLS: for unix sockets and for networks the administrator declared private.
func (s *Server) Serve(ln net.Listener, encrypted bool) error {
	return s.accept(ln, func(nc net.Conn) { s.serve(nc, encrypted) })
}

// accept hands every connection that comes in at ln to serve, on a goroutine of its own that s.active counts.
func (s *Server) accept(ln net.Listener, serve func(nc net.Conn)) error {
	s.mu.Lock()
	s.listeners[ln] = struct{}{}
	s.mu.Unlock()
	defer ln.Close()
	pause := acceptBackoffFirst
	for {
		nc, err := ln.Accept()
		if s.closing.Load() {
			if err == nil {
				nc.Close()
			}
			return nil
		}
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return err
			}
			// Out of descriptors, mostly: others may free some; a tight loop would only take the processor from them.
			s.Log.Warn("accept failed", "err", err, "retry_in", pause)
			select {
			case <-time.After(pause):
			case <-s.quit:
			}
			pause = min(2*pause, acceptBackoffMost)
			continue
		}
		pause = acceptBackoffFirst
		s.active.Add(1)
		go serve(nc)
	}
}

// hangUp ends a connection so that nothing of it is left in the kernel.
func hangUp(nc net.Conn) {
	if t, ok := nc.(*net.TCPConn); ok {
		t.SetLinger(0)
	}
	nc.Close()
}

// stranger logs what somebody caused who is not logged in: only so many lines a second, for he must not be able to fill the log.
func (s *Server) stranger(log *slog.Logger, level slog.Level, msg string, args ...any) {
	if !s.lines.Allow() {
		s.unlogged.Add(1)
		return
	}
	if n := s.unlogged.Swap(0); n > 0 {
		args = append(args, "unlogged", n)
	}
	log.Log(s.ctx, level, msg, args...)
}

// Shutdown stops accepting, lets requests that were read finish, and closes every connection; unfinished uploads stay
// resumable. After ctx or the drain time whatever is left is cut off.
func (s *Server) Shutdown(ctx context.Context) {
	if s.closing.Swap(true) {
		return
	}
	close(s.quit)
	ctx, cancel := context.WithTimeout(ctx, s.Timing.Drain)
	defer cancel()
	s.mu.Lock()
	for ln := range s.listeners {
		ln.Close()
	}
	for c := range s.conns {
		if c.ses == nil {
			c.abort(nil) // it has asked for nothing yet
		} else {
			c.drain()
		}
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() { s.active.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		s.mu.Lock()
		for c := range s.conns {
			c.abort(nil)
		}
		s.mu.Unlock()
		<-done // closed connections end everything but what is at the disk
	}
	s.stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ses := range s.sessions {
		s.forget(ses)
	}
	for _, h := range s.homes {
		h.store.Close()
		h.note(s.State, true)
	}
	s.State.Forget(func(name string) bool { _, ok := s.Accounts.Current().Lookup(name); return ok })
	if err := s.State.Save(); err != nil {
		s.Log.Error("state not saved", "err", err)
	}
	for _, h := range s.left {
		h.store.Close()
	}
}

// Save writes what was counted of the accounts, for people to look at. Call it once a minute.
func (s *Server) Save() {
	s.mu.Lock()
	for _, h := range s.homes {
		h.note(s.State, false)
	}
	s.mu.Unlock()
	if err := s.State.Save(); err != nil {
		s.Log.Error("state not saved", "err", err)
	}
}

// Enforce sets the rates of running sessions, and ends those of accounts that are gone, locked, expired or whose credentials
// changed, and connections from addresses that are no longer allowed. Call it after the accounts were reloaded, and once a
// minute: days pass, too.
func (s *Server) Enforce() {
	set := s.Accounts.Current()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.homes {
		if a, ok := set.Lookup(h.name); ok {
			h.pace(a)
		}
	}
	for _, ses := range s.sessions {
		a, _ := set.Lookup(ses.user)
		if why := s.revoked(ses, a); why != nil {
			s.end(ses, why)
			continue
		}
		for c := range ses.conns {
			if !a.Allowed(addrOf(c.nc)) {
				c.abort(&wire.Error{Code: wire.LoginRequired, Message: "no longer from this address"})
			}
		}
	}
}

// Sessions returns how many sessions have a connection.
func (s *Server) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, ses := range s.sessions {
		if len(ses.conns) > 0 {
			n++
		}
	}
	return n
}

// home is one account's storage and what its connections share.
type home struct {
	name     string
	dir      fs.FileInfo // of its directory when it was opened
	path     string      // of its directory, relative to Config.Homes
	store    *local.Home
	expired  time.Time // when old uploads were last looked for
	uploads  uploads
	outcomes outcomes
	up, down pace.Limiter // of all its connections together

	lingering int // sessions without a connection; guarded by Server.mu
}

// openHome returns the home of an account, opened once for all: an account's outcomes outlive its sessions. It is opened again
// if the account has another directory now, or another one has taken the place of that.
func (s *Server) openHome(a *account.Account) (*home, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	dir, err := os.Stat(filepath.Join(s.Homes, a.Home))
	if err != nil {
		return nil, err
	}
	if h := s.homes[a.Name]; h != nil {
		if os.SameFile(h.dir, dir) {
			h.pace(a)
			s.expire(h)
			return h, nil
		}
		s.left = append(s.left, h)
	}
	h := &home{name: a.Name, dir: dir, path: a.Home}
	h.store, err = local.Open(filepath.Join(s.Homes, a.Home), local.Options{Log: s.Log, Ops: s.Ops, Owner: h.name,
		Limits: func() storage.Amount { return s.limits(h.name) }, Restore: func() (storage.Amount, bool) { return s.restore(h) }})
	if err != nil {
		return nil, err
	}
	h.pace(a)
	s.homes[a.Name] = h
	s.expire(h)
	return h, nil
}

// pace sets the rates that the account's connections keep to.
func (h *home) pace(a *account.Account) {
	h.up.Set(int64(a.Limits.RateUp))
	h.down.Set(int64(a.Limits.RateDown))
}

// expire drops an account's old uploads, when somebody logs in and at most once an hour, and counts what is in a home with a
// quota, so that the first upload need not wait for that. s.mu is held.
func (s *Server) expire(h *home) {
	if time.Since(h.expired) < time.Hour {
		return
	}
	h.expired = time.Now()
	s.active.Add(1)
	go func() {
		defer s.active.Done()
		if s.limits(h.name) != (storage.Amount{}) {
			if _, err := h.store.Usage(s.ctx); err != nil {
				s.Log.Warn("home not counted", "user", h.name, "err", err)
			}
		}
		if n := h.store.Expire(s.ctx, s.Timing.Keep); n.Files > 0 {
			s.Log.Info("old uploads dropped", "user", h.name, "count", n.Files, "bytes", n.Bytes)
		}
	}()
}

func newID() string {
	var b [16]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

var _ storage.Storage = (*local.Home)(nil)

func (s *Server) lookup(cmd string) (entry, bool) {
	e, ok := s.table[cmd]
	return e, ok
}
