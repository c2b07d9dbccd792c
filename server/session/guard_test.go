package session_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"ferry/server/servertest"
	"ferry/shared/login"
	"ferry/shared/wire"
)

// from returns a connection from another address of this machine on which hello was said.
func from(t *testing.T, s *servertest.Server, ip string) *peer {
	t.Helper()
	d := tls.Dialer{NetDialer: &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}, Config: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{wire.ALPN}}}
	nc, err := d.DialContext(context.Background(), "tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(30 * time.Second))
	bind, err := login.TLSBinding(nc.(*tls.Conn).ConnectionState())
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{t, nc, bind}
	if a := p.ask(`{"cmd":"hello","version":1}`); a.Error != nil {
		t.Fatal(a.Error)
	}
	return p
}

// guess lets n logins fail.
func guess(t *testing.T, s *servertest.Server, name string, n int) {
	t.Helper()
	for range n {
		if a := greeted(t, s).login(name, "wrong"); a.code() != wire.AuthFailed {
			t.Fatalf("%s: %v", name, a.Error)
		}
	}
}

// TestGuessing: after some failures the right password is not looked at either, nor a key, for this name from this address and
// for nobody else, until the time is over or an administrator lifts it. A name that does not exist hears the same.
func TestGuessing(t *testing.T) {
	s := servertest.New(t)
	s.AddUser("alice", "correct horse")
	s.AddUser("bob", "correct horse")
	k := newSigner(t)
	s.Set("alice", "keys", string(ssh.MarshalAuthorizedKey(k.PublicKey())))
	before := loggedIn(t, s)
	early := greeted(t, s) // its challenge is there before the others fail
	exchange := login.NewClient("alice", "correct horse", early.bind)
	final, err := exchange.Final(early.ask(message(wire.CmdLogin, exchange.First())).Message)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"alice", "nobdy"} {
		guess(t, s, name, 1)
		s.Fail(name, 14) // in all for a quarter of an hour
	}
	later := func(what string, p *peer, a answer) {
		t.Helper()
		if a.code() != wire.RateLimited || a.Error.Message != "too many failed logins" || a.Error.After < 600 || a.Error.After > 900 {
			t.Errorf("%s: %+v", what, a.Error)
		}
		p.closed()
	}
	for _, name := range []string{"alice", "nobdy"} {
		p := greeted(t, s)
		later(name, p, p.login(name, "correct horse"))
	}
	later("a proof", early, early.ask(message(wire.CmdProof, final)))
	p := greeted(t, s)
	key, sig, err := login.SignKey(k, "alice", p.keyBinding())
	if err != nil {
		t.Fatal(err)
	}
	later("a key", p, p.ask(fmt.Sprintf(`{"cmd":"key","user":"alice","key":%q,"signature":%q}`, key, sig)))

	if a := greeted(t, s).login("bob", "correct horse"); a.Error != nil {
		t.Errorf("another name: %v", a.Error)
	}
	if a := from(t, s, "127.0.0.2").login("alice", "correct horse"); a.Error != nil {
		t.Errorf("from another address: %v", a.Error)
	}
	if a := plainGreeted(t, s).login("alice", "correct horse"); a.code() != wire.RateLimited {
		t.Errorf("another listener: %v", a.Error)
	}
	before.join(t, s) // who is in stays in
	if found, err := s.Session().Guard().Lift("127.0.0.1"); !found || err != nil {
		t.Fatal(found, err)
	}
	loggedIn(t, s)
	guess(t, s, "alice", 4)
	loggedIn(t, s) // and forgives what went before
	guess(t, s, "alice", 4)
	loggedIn(t, s)
}

// TestGuessersInStep: guesses that are all made ready before the first one is looked at are not more guesses.
func TestGuessersInStep(t *testing.T) {
	s := servertest.New(t)
	s.AddUser("alice", "correct horse")
	type ready struct {
		*peer
		proof string
	}
	var all []ready
	for range 12 {
		p := greeted(t, s)
		c := login.NewClient("alice", "wrong", p.bind)
		final, err := c.Final(p.ask(message(wire.CmdLogin, c.First())).Message)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, ready{p, message(wire.CmdProof, final)})
	}
	for i, r := range all {
		want := wire.AuthFailed
		if i == 5 {
			if e := s.Session().Guard().List()[0]; e.Failures != 5 {
				t.Errorf("after five: %+v", e)
			}
			s.Fail("alice", 10) // else a slow machine might have waited long enough
		}
		if i >= 5 {
			want = wire.RateLimited
		}
		if a := r.ask(r.proof); a.code() != want {
			t.Errorf("guess %d: %v, want %s", i, a.Error, want)
		}
	}
}

// unheard checks that a connection is closed without a byte.
func unheard(t *testing.T, s *servertest.Server) {
	t.Helper()
	nc, err := net.Dial("tcp", s.Addr())
	if err != nil {
		return // closed sooner than it could be seen open
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(30 * time.Second))
	n, err := nc.Read(make([]byte, 1))
	if no, ok := err.(net.Error); n > 0 || ok && no.Timeout() {
		t.Errorf("heard %d bytes, then %v", n, err)
	}
}

// TestBanned: an address that goes through names, and does not stop when told to wait, is shut out, for the price of one line in the
// log; who was in stays in, others come and go, and an administrator can lift the ban.
func TestBanned(t *testing.T) {
	s := servertest.New(t, servertest.WithBans())
	s.AddUser("alice", "correct horse")
	inside := loggedIn(t, s)
	waiting := greeted(t, s)
	banned := func() bool {
		l := s.Session().Guard().List()
		return len(l) > 0 && l[0].Banned
	}
	tries := 0
	for ; !banned() && tries < 1000; tries++ {
		greeted(t, s).ask(message(wire.CmdLogin, "nonsense"))
	}
	if !banned() {
		t.Fatalf("%d tries, and no ban: %+v", tries, s.Session().Guard().List())
	}
	if e := s.Session().Guard().List()[0]; e.Failures > 20 || e.Address != "127.0.0.1" {
		t.Errorf("%+v", e)
	}
	s.Log.Await(t, 1, `msg="address banned" address=127.0.0.1`)
	unheard(t, s)
	if a := waiting.login("alice", "correct horse"); a.code() != wire.RateLimited {
		t.Errorf("who was already connected hears %v", a.Error)
	}
	waiting.closed()
	if a := inside.ask(`{"cmd":"ping"}`); a.Error != nil {
		t.Errorf("who was logged in: %v", a.Error)
	}
	if a := from(t, s, "127.0.0.2").login("alice", "correct horse"); a.Error != nil {
		t.Errorf("another address: %v", a.Error)
	}
	nc, err := net.Dial("unix", strings.TrimPrefix(s.UnixAddr(), "unix:"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if a := (&peer{t: t, nc: nc}).ask(`{"cmd":"nonsense"}`); a.code() != wire.UnknownCommand {
		t.Errorf("the socket: %v", a.Error)
	}
	lines := strings.Count(s.Log.String(), "\n")
	for range 100 {
		unheard(t, s)
	}
	if more := strings.Count(s.Log.String(), "\n") - lines; more > 3 { // of the others, above
		t.Errorf("%d lines for the connections of who is banned", more)
	}
	if found, err := s.Session().Guard().Lift("127.0.0.1"); !found || err != nil {
		t.Fatal(found, err)
	}
	loggedIn(t, s)
}

// TestManySilent: whoever takes more places than there are, without a word, keeps nobody else waiting.
func TestManySilent(t *testing.T) {
	s := servertest.New(t)
	s.AddUser("alice", "correct horse")
	var all []net.Conn
	defer func() {
		for _, nc := range all {
			nc.Close()
		}
	}()
	for range 1500 {
		if nc, err := net.Dial("tcp", s.Addr()); err == nil { // else it was one too many
			all = append(all, nc)
		}
	}
	if a := from(t, s, "127.0.0.2").login("alice", "correct horse"); a.Error != nil {
		t.Error(a.Error)
	}
}

// TestQuietLog: what strangers do fills no log.
func TestQuietLog(t *testing.T) {
	s := servertest.New(t)
	for range 1000 {
		nc, err := net.Dial("tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(nc, "GET / HTTP/1.1\r\n\r\n")
		io.Copy(io.Discard, nc)
		nc.Close()
	}
	// As many as may come at once, and those that time allows.
	if n := strings.Count(s.Log.String(), "\n"); n >= 1000 {
		t.Errorf("%d lines", n)
	}
}

// TestLoginLine: the line about a failed login cannot be made to look like another one, and is short.
func TestLoginLine(t *testing.T) {
	s := servertest.New(t)
	name := "x\ntime=2031-01-01T00:00:00Z level=WARN msg=\"login failed\" peer=192.0.2.7:1 reason=wrong_password user=y" + strings.Repeat("z", 3000)
	p := greeted(t, s)
	key := fmt.Sprintf(`{"cmd":"key","user":%q,"key":"AAAA","signature":"AAAA"}`, name)
	if a := p.ask(key); a.code() != wire.AuthFailed {
		t.Fatal(a.Error)
	}
	s.Log.Await(t, 1, "login failed")
	for line := range bytes.Lines([]byte(s.Log.String())) {
		if bytes.HasPrefix(line, []byte("time=2031")) || len(line) > 300 {
			t.Errorf("%s", line)
		}
	}
}
