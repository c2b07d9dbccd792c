// Package servertest runs servers for tests: New one inside the test process, Exec the real program as a process of its
// own, which is the test binary executed again (so the test binary's TestMain must call Main or Child).
package servertest

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ferry/server/account"
	"ferry/server/daemon"
	"ferry/server/guard"
	"ferry/server/register"
	"ferry/server/session"
	"ferry/server/state"
	"ferry/server/storage/local"
	"ferry/shared/login"
)

// Store is a data directory with its accounts.
type Store struct {
	t      testing.TB
	dir    string
	reload func() // makes the server notice a change of the accounts
}

// newStore makes an empty data directory. Its path is short enough for a socket in it.
func newStore(t testing.TB) Store {
	t.Helper()
	dir, err := os.MkdirTemp("", "ferryd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return Store{t: t, dir: dir, reload: func() {}}
}

// Data returns the path of the data directory.
func (d *Store) Data() string { return d.dir }

// Users returns the path of users.toml.
func (d *Store) Users() string { return filepath.Join(d.dir, "users.toml") }

// Home returns the path of an account's home.
func (d *Store) Home(name string) string { return filepath.Join(d.dir, "homes", name) }

// Invites returns the invites of the data directory.
func (d *Store) Invites() register.Invites {
	return register.Invites{Path: filepath.Join(d.dir, "invites.json")}
}

// Invite makes an invite and returns its code.
func (d *Store) Invite() string {
	d.t.Helper()
	codes, err := d.Invites().Make(1, time.Hour, time.Now())
	if err != nil {
		d.t.Fatal(err)
	}
	return codes[0]
}

// AddUser makes an account with all ordinary rights and an empty home. Its password is as cheap to check as clients allow.
func (d *Store) AddUser(name, password string) {
	d.t.Helper()
	record, err := login.NewRecord(password, login.Params{Memory: 19 << 10, Time: 2, Threads: 1})
	if err != nil {
		d.t.Fatal(err)
	}
	if err := os.MkdirAll(d.Home(name), 0o700); err != nil {
		d.t.Fatal(err)
	}
	d.edit(func(x *account.Text) error {
		if err := x.Add(name); err != nil {
			return err
		}
		return x.Set(name, "auth", record.String())
	})
}

// Set sets a key of an account to what the text of the option of that name means: Set("alice", "locked", "on leave").
func (d *Store) Set(name, key, option string) {
	d.t.Helper()
	d.edit(func(x *account.Text) error { return x.Set(name, key, option) })
}

// DelUser deletes an account; its home stays.
func (d *Store) DelUser(name string) {
	d.t.Helper()
	d.edit(func(x *account.Text) error { return x.Delete(name) })
}

func (d *Store) edit(change func(*account.Text) error) {
	d.t.Helper()
	if err := account.Edit(d.Users(), change); err != nil {
		d.t.Fatal(err)
	}
	d.reload()
}

// Option changes how New makes a server.
type Option func(*session.Config)

// WithTiming sets the server's patience.
func WithTiming(t session.Timing) Option { return func(c *session.Config) { c.Timing = t } }

// WithBeat sets how often a request that takes long shows that it is alive.
func WithBeat(every time.Duration) Option {
	return func(c *session.Config) { c.Timing.Beat = every }
}

// WithBans lets addresses of this machine be banned, as others are.
func WithBans() Option { return func(c *session.Config) { c.Never = nil } }

// WithOps replaces the file operations of homes.
func WithOps(o local.Ops) Option { return func(c *session.Config) { c.Ops = o } }

// WithWrites lets before be called ahead of every write into a home.
func WithWrites(before func()) Option {
	o := local.RealOps()
	write := o.Write
	o.Write = func(fd int, b []byte, off int64) (int, error) {
		before()
		return write(fd, b, off)
	}
	return WithOps(o)
}

// WithSharing makes the file system of homes one that shares blocks between files, which is done by copying them; before is called
// ahead of each time.
func WithSharing(before func()) Option {
	o := local.RealOps()
	o.Clone = func(fd int, c *unix.FileCloneRange) error {
		before()
		b := make([]byte, c.Src_length)
		if _, err := unix.Pread(int(c.Src_fd), b, int64(c.Src_offset)); err != nil {
			return err
		}
		_, err := unix.Pwrite(fd, b, int64(c.Dest_offset))
		return err
	}
	return WithOps(o)
}

// WithRegister lets people register.
func WithRegister(r register.Rules) Option {
	return func(c *session.Config) { c.Register.Rules = r }
}

// WithOpenRegister lets everybody register.
func WithOpenRegister() Option {
	return WithRegister(register.Rules{Mode: register.Open, PerAddress: 2, PerDay: 2})
}

// Server is a server in the test process. It listens on loopback with TLS, on loopback without, and on a socket.
type Server struct {
	Store
	Log      *Log
	id       *daemon.Identity
	accounts *account.Store
	config   session.Config
	admin    *daemon.Admin

	server *session.Server
	addrs  [3]string // host:port with TLS, host:port without, the socket
	done   sync.WaitGroup
}

// New starts a server without accounts on a new data directory. It stops when the test ends.
func New(t testing.TB, options ...Option) *Server {
	t.Helper()
	s := &Server{Store: newStore(t), Log: newLog()}
	s.addrs = [3]string{"127.0.0.1:0", "127.0.0.1:0", filepath.Join(s.dir, "socket")}
	if err := os.Mkdir(filepath.Join(s.dir, "homes"), 0o700); err != nil {
		t.Fatal(err)
	}
	var err error
	if s.id, err = daemon.LoadIdentity(s.dir); err != nil {
		t.Fatal(err)
	}
	if s.accounts, err = account.Open(s.Users()); err != nil {
		t.Fatal(err)
	}
	s.config = session.Config{
		Accounts: s.accounts, Homes: filepath.Join(s.dir, "homes"), TLS: s.id.TLS, Fake: s.id.Fake,
		Log: slog.New(slog.NewTextHandler(s.Log, nil)), Version: "test", Never: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	}
	s.config.Register = &register.Desk{Accounts: s.accounts, Homes: s.config.Homes, Invites: s.Invites(), Now: time.Now}
	// Names that do not exist look like those that AddUser makes.
	s.config.Fake.Params = login.Params{Memory: 19 << 10, Time: 2, Threads: 1}
	s.admin = &daemon.Admin{Data: s.dir, Users: s.Users(), Accounts: s.accounts, Log: s.config.Log, Costs: s.config.Fake.Params}
	s.config.Admin = s.admin.Run
	for _, o := range options {
		o(&s.config)
	}
	s.reload = func() {
		t.Helper()
		if err := s.accounts.Reload(); err != nil {
			t.Fatal(err)
		}
		s.server.Enforce()
	}
	s.start()
	t.Cleanup(s.Stop)
	t.Cleanup(func() {
		if t.Failed() {
			s.Log.show(t)
		}
	})
	return s
}

// portWait is how long a port may be somebody else's.
const portWait = 30 * time.Second

func (s *Server) start() {
	s.t.Helper()
	var err error
	if s.config.State, err = state.Open(s.dir); err != nil {
		s.t.Fatal(err)
	}
	s.server = session.New(s.config)
	s.admin.Server = s.server
	for i, addr := range s.addrs {
		network := "tcp"
		if i == 2 {
			network = "unix"
		}
		ln, err := net.Listen(network, addr)
		// Of a server that is started again, somebody else's connection may have got the port meanwhile.
		for end := time.Now().Add(portWait); errors.Is(err, unix.EADDRINUSE) && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			ln, err = net.Listen(network, addr)
		}
		if err != nil {
			s.t.Fatal(err)
		}
		s.addrs[i] = ln.Addr().String()
		server := s.server
		s.done.Go(func() {
			if err := server.Serve(ln, i == 0); err != nil {
				s.t.Error(err)
			}
		})
	}
	control, err := daemon.ListenControl(s.dir, s.config.Log)
	if err != nil {
		s.t.Fatal(err)
	}
	server := s.server
	s.done.Go(func() {
		if err := server.Control(control); err != nil {
			s.t.Error(err)
		}
	})
}

// Fail lets n logins of a user from this machine fail.
func (s *Server) Fail(user string, n int) {
	for range n {
		s.server.Guard().Refused(netip.AddrFrom4([4]byte{127, 0, 0, 1}), user, guard.WrongPassword)
	}
}

// Addr returns the address that speaks TLS, as host:port.
func (s *Server) Addr() string { return s.addrs[0] }

// PlainAddr returns the address that does not, as host:port.
func (s *Server) PlainAddr() string { return s.addrs[1] }

// UnixAddr returns the address of the socket, as "unix:PATH".
func (s *Server) UnixAddr() string { return "unix:" + s.addrs[2] }

// Fingerprint returns that of the server's key.
func (s *Server) Fingerprint() string { return s.id.Fingerprint }

// Session returns the running server. Restart makes another.
func (s *Server) Session() *session.Server { return s.server }

// Stop ends the server, once requests that were read are finished, as on SIGTERM.
func (s *Server) Stop() {
	s.server.Shutdown(context.Background())
	s.done.Wait()
}

// Abort ends the server and cuts its connections off.
func (s *Server) Abort() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s.server.Shutdown(ctx)
	s.done.Wait()
}

// Restart stops the server and starts another at the same addresses with the same data.
func (s *Server) Restart() {
	s.t.Helper()
	s.Stop()
	s.start()
}

// Register lets people register in one of the modes "closed", "invite" and "open", two a day from one address, with the rights
// list, read and write. It starts the server anew.
func (s *Server) Register(mode string) {
	s.t.Helper()
	rules, err := register.ParseRules(map[string]any{"mode": mode, "per_address": int64(2), "account": map[string]any{"rights": []any{"list", "read", "write"}}})
	if err != nil {
		s.t.Fatal(err)
	}
	s.Stop()
	s.config.Register.Rules = rules
	s.start()
}

// Start starts a server again that was stopped, at the same addresses.
func (s *Server) Start() {
	s.t.Helper()
	s.start()
}

// childMark is in the environment of the test binary when it is to be ferryd.
const childMark = "SERVERTEST_FERRYD=1"

// Child becomes ferryd and does not return, if Exec or Ferryd executed the test binary for that. TestMain must call it
// first, unless it calls Main.
func Child() {
	name, value, _ := strings.Cut(childMark, "=")
	if os.Getenv(name) == value {
		Program()
	}
}

// Program is the main function of ferryd.
func Program() {
	os.Exit(daemon.Run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// Main is a TestMain that makes Exec and Ferryd work.
func Main(m *testing.M) {
	Child()
	os.Exit(m.Run())
}

// Commands returns the names of all commands of the protocol that the server serves.
func Commands() []string { return session.Commands() }
