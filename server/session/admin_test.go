package session_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"ferry/server/servertest"
	"ferry/server/session"
	"ferry/shared/wire"
)

// adminServer is a server whose account alice is an administrator and bob is not. Orders are counted and repeated in the output.
func adminServer(t *testing.T, orders *atomic.Int64, output string) *servertest.Server {
	t.Helper()
	s := servertest.New(t, func(c *session.Config) {
		c.Admin = func(_ context.Context, o session.Order, out, notes io.Writer) *wire.AdminAnswer {
			orders.Add(1)
			io.WriteString(out, output)
			fmt.Fprintf(notes, "%s: %s", o.Admin, strings.Join(o.Args, " "))
			return &wire.AdminAnswer{}
		}
	})
	s.AddUser("alice", "correct horse")
	s.AddUser("bob", "correct horse")
	s.Set("alice", "rights", "list,admin")
	return s
}

// TestAdminOnly: orders are taken from administrators on encrypted connections, as long as they are that.
func TestAdminOnly(t *testing.T) {
	var orders atomic.Int64
	s := adminServer(t, &orders, "")
	const order = `{"cmd":"admin","args":["user","list"]}`
	p := greeted(t, s)
	if a := p.ask(order); a.code() != wire.LoginRequired {
		t.Errorf("before the login: %v", a.Error)
	}
	if a := p.login("bob", "correct horse"); a.Error != nil {
		t.Fatal(a.Error)
	}
	if a := p.ask(order); a.code() != wire.Denied || !strings.Contains(a.Error.Message, "admin") {
		t.Errorf("by somebody else: %v", a.Error)
	}
	plain := plainGreeted(t, s)
	if a := plain.login("alice", "correct horse"); a.Error != nil {
		t.Fatal(a.Error)
	}
	if a := plain.ask(order); a.code() != wire.Unsupported {
		t.Errorf("on a plain connection: %v", a.Error)
	}
	if n := orders.Load(); n != 0 {
		t.Fatalf("%d orders were carried out", n)
	}
	p = in(t, s)
	if a := p.ask(order); a.Error != nil || orders.Load() != 1 {
		t.Errorf("by alice: %v, %d orders", a.Error, orders.Load())
	}
	s.Set("alice", "rights", "list")
	if a := p.ask(order); a.code() != wire.Denied || orders.Load() != 1 {
		t.Errorf("by alice, who is no longer an administrator: %v, %d orders", a.Error, orders.Load())
	}
}

// TestAdminOnce: an order with an id is carried out once, and its outcome told again; long output comes in parts that are whole
// characters.
func TestAdminOnce(t *testing.T) {
	var orders atomic.Int64
	output := strings.Repeat("äöü\n", 10000)
	s := adminServer(t, &orders, output)
	p := in(t, s)
	hear := func() (out, notes string, again bool) {
		t.Helper()
		for {
			var a wire.AdminAnswer
			if err := wire.DecodeAnswer(p.hear(), &a); err != nil || a.Error != nil {
				t.Fatal(err, a.Error)
			}
			out, notes = out+a.Output, notes+a.Notes
			if !a.More {
				return out, notes, a.Again
			}
		}
	}
	const once = `{"cmd":"admin","id":"` + anID + `","args":["user","lock","bob"]}`
	p.raw(frame(once))
	if out, notes, again := hear(); out != output || notes != "alice: user lock bob" || again {
		t.Errorf("%d bytes of output, want %d; %q, again %v", len(out), len(output), notes, again)
	}
	p.raw(frame(once))
	if _, notes, again := hear(); notes != "alice: user lock bob" || !again || orders.Load() != 1 {
		t.Errorf("repeated: %q, again %v, %d orders", notes, again, orders.Load())
	}
	for range 2 {
		p.raw(frame(`{"cmd":"admin","args":["user","list"]}`))
		if out, _, again := hear(); out != output || again {
			t.Errorf("%d bytes of output, again %v", len(out), again)
		}
	}
	if n := orders.Load(); n != 3 {
		t.Errorf("%d orders", n)
	}
}

// TestKick ends the sessions of a user, or one, tells them why, and makes their secrets worthless. Others go on.
func TestKick(t *testing.T) {
	s := servertest.New(t)
	s.AddUser("alice", "correct horse")
	s.AddUser("bob", "correct horse")
	first, second := loggedIn(t, s), loggedIn(t, s)
	other := first.join(t, s)
	bob := greeted(t, s)
	bob.login("bob", "correct horse")
	if ids := s.Session().Kick("nobody"); len(ids) != 0 {
		t.Errorf("ended %q", ids)
	}
	if ids := s.Session().Kick(second.session[:7]); len(ids) != 0 {
		t.Errorf("seven digits end %q", ids)
	}
	if ids := s.Session().Kick(second.session[:8]); len(ids) != 1 || ids[0] != second.session[:8] {
		t.Errorf("ended %q", ids)
	}
	if a := second.answer(); a.code() != wire.Kicked {
		t.Errorf("the session hears %v", a.Error)
	}
	second.closed()
	if a := first.ask(`{"cmd":"ping"}`); a.Error != nil {
		t.Errorf("the other session: %v", a.Error)
	}
	waiting := greeted(t, s)
	if ids := s.Session().Kick("alice"); len(ids) != 1 {
		t.Errorf("ended %q", ids)
	}
	for _, p := range []*peer{first.peer, other} {
		if a := p.answer(); a.code() != wire.Kicked {
			t.Errorf("a connection hears %v", a.Error)
		}
		p.closed()
	}
	if a := waiting.ask(first.attach(waiting)); a.code() != wire.Kicked {
		t.Errorf("attach: %v", a.Error)
	}
	wrong := strings.Replace(first.attach(waiting), `"proof":"`, `"proof":"00`, 1)
	if a := waiting.ask(wrong[:len(wrong)-4] + wrong[len(wrong)-2:]); a.code() != wire.AuthFailed {
		t.Errorf("attach by somebody else: %v", a.Error)
	}
	if a := bob.ask(`{"cmd":"ping"}`); a.Error != nil {
		t.Errorf("bob: %v", a.Error)
	}
	loggedIn(t, s)
}

// TestList: what is told of sessions.
func TestList(t *testing.T) {
	s := servertest.New(t)
	s.AddUser("alice", "correct horse")
	p := connect(t, s)
	p.ask(`{"cmd":"hello","version":1,"client":"mine 1.0"}`)
	if a := p.login("alice", "correct horse"); a.Error != nil {
		t.Fatal(a.Error)
	}
	n := 0
	q := &sender{p, &n}
	q.open(t, "/big", 3)
	list := s.Session().List()
	if len(list) != 1 {
		t.Fatalf("%d sessions", len(list))
	}
	got := list[0]
	if got.User != "alice" || got.Client != "mine 1.0" || got.Connections != 1 || len(got.Addresses) != 1 || got.Addresses[0] != p.nc.LocalAddr().String() ||
		got.In == 0 || got.Out == 0 || got.Begun.IsZero() {
		t.Errorf("%+v", got)
	}
	if want := (session.Activity{Cmd: "put", Path: "/big", Done: 3 << 20, Of: 3 << 20}); len(got.Doing) != 1 || got.Doing[0] != want {
		t.Errorf("it does %+v, want %+v", got.Doing, want)
	}
	p.nc.Close()
	s.Log.Await(t, 1, "session ended")
	if list := s.Session().List(); len(list) != 1 || list[0].Connections != 0 || len(list[0].Doing) != 0 {
		t.Errorf("without a connection: %+v", list)
	}
}

// TestHomeMoved: an account whose home is elsewhere now, or was made anew, is let in there; its old session ends.
func TestHomeMoved(t *testing.T) {
	s := servertest.New(t)
	s.AddUser("alice", "correct horse")
	s.AddUser("spare", "correct horse")
	p := in(t, s)
	p.ask(`{"cmd":"mkdir","id":"` + anID + `","path":"/old"}`)
	s.DelUser("spare")
	s.Set("alice", "home", "spare")
	if a := p.answer(); a.code() != wire.LoginRequired {
		t.Errorf("the old session hears %v", a.Error)
	}
	p.closed()
	p = in(t, s)
	if a := p.ask(`{"cmd":"stat","path":"/old"}`); a.code() != wire.NotFound {
		t.Errorf("in the new home: %v", a.Error)
	}
}
