package daemon

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"ferry/server/account"
	"ferry/server/register"
	"ferry/server/session"
	"ferry/server/state"
	"ferry/shared/login"
)

const (
	pollAccounts = 2 * time.Second
	// stopWithin is less than the 10 s promised by what a busy machine needs to end a process.
	stopWithin = 9500 * time.Millisecond
)

// serveCommand returns `ferryd serve`.
func serveCommand() *cobra.Command {
	s := &settings{}
	flags := s.flags()
	c := &cobra.Command{
		Use:   "serve",
		Short: "Serve the accounts' files",
		Args:  exactly(0),
		RunE: func(c *cobra.Command, _ []string) error {
			err := s.load(flags, os.Getenv)
			if err == nil {
				err = s.serve(c.Context(), c.ErrOrStderr())
			}
			if err != nil {
				return fmt.Errorf("serve: %w", err)
			}
			return nil
		},
	}
	c.Flags().AddFlagSet(flags)
	return c
}

// serve runs the server until a signal or ctx ends it.
func (s *settings) serve(ctx context.Context, stderr io.Writer) error {
	signals := make(chan os.Signal, 4)
	// Never given back: a second SIGTERM in the last moments must not turn a clean end into a death by signal.
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	signal.Ignore(syscall.SIGPIPE) // whoever read the log is gone: no reason to stop

	places, err := endpoints(s.listen, s.plain, s.plainInsecure)
	if err != nil {
		return err
	}
	never, err := spared(s.neverBan)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(stderr, nil))
	if s.logFormat == "json" {
		log = slog.New(slog.NewJSONHandler(stderr, nil))
	}
	lock, err := openData(s.data)
	if err != nil {
		return err
	}
	defer lock.Close()
	id, err := LoadIdentity(s.data)
	if err != nil {
		return err
	}
	accounts, err := account.Open(s.users)
	if err != nil {
		return plain(err)
	}
	counts, err := state.Open(s.data)
	if err != nil {
		log.Warn("what was counted before is not known any more", "err", err)
	}
	var listeners []net.Listener
	var bound []string
	for _, e := range places {
		ln, err := e.listen()
		if err != nil {
			return err
		}
		defer ln.Close()
		listeners = append(listeners, ln)
		bound = append(bound, e.bound(ln))
	}

	control, err := ListenControl(s.data, log)
	if err != nil {
		return err
	}
	defer control.Close()

	desk := &register.Desk{Rules: s.register, Accounts: accounts, Homes: filepath.Join(s.data, "homes"), Invites: invites(s.data), Now: time.Now}
	if err := desk.Settle(); err != nil {
		return err
	}
	admin := &Admin{Data: s.data, Users: s.users, Accounts: accounts, Log: log, Costs: login.DefaultParams()}
	server := session.New(session.Config{
		Accounts: accounts, Homes: desk.Homes, TLS: id.TLS, Fake: id.Fake, State: counts, Register: desk, Log: log, Version: version(),
		Timing: session.Timing{Keep: time.Duration(s.keep)}, Never: never, Admin: admin.Run,
	})
	admin.Server = server
	failed := make(chan error, len(listeners)+1)
	go func() {
		if err := server.Control(control); err != nil {
			failed <- fmt.Errorf("%s: %w", controlName, err)
		}
	}()
	for i, ln := range listeners {
		go func() {
			if err := server.Serve(ln, places[i].encrypted); err != nil {
				failed <- fmt.Errorf("%s: %w", bound[i], err)
			}
		}()
	}
	stop := func() { drain(server, signals, log) }
	if s.addrFile != "" {
		if err := createFile(s.addrFile, []byte(strings.Join(bound, "\n")+"\n"), 0o644, false); err != nil {
			stop()
			return plain(err)
		}
	}
	s.greet(log, id, accounts.Current(), places, bound)

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go accounts.Watch(ctx, pollAccounts, func(_, now *account.Set) {
		log.Info("accounts changed", "accounts", now.Len())
		warn(log, now)
		server.Enforce()
	}, func(err error) { log.Error("accounts not read", "err", err) })

	days := time.NewTicker(time.Minute)
	defer days.Stop()
	for {
		select {
		case <-days.C:
			server.Enforce() // accounts expire
			server.Save()
		case err := <-failed:
			stop()
			return err
		case <-ctx.Done():
			stop()
			return nil
		case sig := <-signals:
			if sig != syscall.SIGHUP {
				log.Info("stopping", "signal", sig.String(), "sessions", server.Sessions())
				stop()
				return nil
			}
			if err := admin.reload(); err != nil {
				log.Error("accounts not read", "err", err)
				continue
			}
			log.Info("accounts read again", "accounts", accounts.Current().Len())
		}
	}
}

// drain lets the server come to an end, in the promised time, or at once on a second signal.
func drain(server *session.Server, signals <-chan os.Signal, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	done := make(chan struct{})
	go func() { server.Shutdown(ctx); close(done) }()
	for {
		select {
		case <-done:
			log.Info("stopped")
			return
		case <-ctx.Done():
			log.Warn("stopped in the middle of requests", "reason", "they took too long")
			return
		case sig := <-signals:
			if sig != syscall.SIGHUP {
				log.Warn("stopped in the middle of requests", "reason", "second signal")
				return
			}
		}
	}
}

// greet logs what an administrator wants to know of a server that has just begun to accept connections.
func (s *settings) greet(log *slog.Logger, id *Identity, set *account.Set, places []endpoint, bound []string) {
	if os.Geteuid() == 0 {
		log.Warn("running as root: a user of its own is enough for everything ferryd does")
	}
	if id.Made {
		log.Info("made the server's key: clients know the server by its fingerprint", "fingerprint", id.Fingerprint)
	}
	warn(log, set)
	for i, e := range places {
		if e.network == "tcp" && !e.encrypted {
			log.Warn("not encrypted: whoever is on the path can read, alter and take over sessions", "address", bound[i])
		}
	}
	log.Info("accepting connections", "address", strings.Join(bound, ","), "fingerprint", id.Fingerprint, "accounts", set.Len(), "version", version())
	switch s.register.Mode {
	case register.Invite:
		log.Info("people with an invite can register", "make_one", "ferryd invite --data "+s.data)
	case register.Open:
		log.Warn("anybody can register", "per_day", s.register.PerDay, "per_address", s.register.PerAddress)
	}
	if set.Len() > 0 {
		return
	}
	add := "ferryd user add alice --data " + s.data
	if s.users != filepath.Join(s.data, "users.toml") {
		add += " --users " + s.users
	}
	connect := "ferry --fingerprint " + id.Fingerprint + " alice@" + bound[0]
	if places[0].network == "unix" {
		connect = "ferry -e 'login alice' " + bound[0]
	} else if !places[0].encrypted {
		connect = "ferry ferry+plain://alice@" + bound[0]
	}
	log.Warn("there is no account yet: nobody can log in", "make_one", add, "then_connect", connect)
}

func warn(log *slog.Logger, set *account.Set) {
	for _, w := range set.Warnings() {
		log.Warn("account file", "warning", w)
	}
}
