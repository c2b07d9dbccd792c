package remote_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"ferry/client/remote"
	"ferry/internal/faultproxy"
	"ferry/shared/wire"
)

func newSigner(t *testing.T) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// keyOptions is how alice comes in with keys; a password that is asked for fails the test.
func (r *rig) keyOptions(keys ...ssh.Signer) remote.Options {
	o := r.options()
	o.Keys = keys
	o.Password = func(context.Context) (string, error) {
		r.t.Error("the password was asked for")
		return password, nil
	}
	return o
}

func (r *rig) allow(s ssh.Signer) {
	r.Set("alice", "keys", string(ssh.MarshalAuthorizedKey(s.PublicKey())))
}

// TestKeyLogin: a key of the account lets in, also when others were tried before, and goes on doing so after a restart.
func TestKeyLogin(t *testing.T) {
	r := newRig(t)
	key := newSigner(t)
	r.allow(key)
	c := r.login(r.keyOptions(newSigner(t), key))
	if i := c.Info(); i.User != "alice" || i.Session == "" {
		t.Errorf("%+v", i)
	}
	r.Restart()
	if err := c.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Mkdir(t.Context(), "/d", false); err != nil {
		t.Fatal(err)
	}
	s := c.Sibling()
	defer s.Close()
	if _, err := s.Stat(t.Context(), "/d"); err != nil {
		t.Fatal(err)
	}
}

// TestKeyRefused: without a key that is the account's, the password is asked for, once.
func TestKeyRefused(t *testing.T) {
	r := newRig(t)
	r.allow(newSigner(t))
	o := r.options()
	asked := 0
	o.Keys = []ssh.Signer{newSigner(t)}
	o.Password = func(context.Context) (string, error) { asked++; return password, nil }
	r.login(o)
	if asked != 1 {
		t.Errorf("the password was asked for %d times", asked)
	}
}

// TestKeyUnknownServer: a key proves nothing about the server, so an unknown one does not see it.
func TestKeyUnknownServer(t *testing.T) {
	r := newRig(t)
	key := newSigner(t)
	r.allow(key)
	o := r.options()
	o.Fingerprint, o.TrustFirst, o.Known = "", true, remote.KnownHosts{Path: filepath.Join(t.TempDir(), "known")}
	asked := 0
	o.Keys = []ssh.Signer{watched{key, t}}
	o.Password = func(context.Context) (string, error) { return "", errors.New("there is none") }
	var unknown *remote.TrustError
	if _, err := remote.Login(t.Context(), o); !errors.As(err, &unknown) || !strings.Contains(unknown.Hint(), "--trust-first does not count") {
		t.Error("without a password:", err)
	}
	o.Password = func(context.Context) (string, error) { asked++; return password, nil }
	r.login(o)
	if asked != 1 {
		t.Errorf("the password was asked for %d times", asked)
	}
	o.Keys = []ssh.Signer{key} // now it is known
	r.login(o)
	if asked != 1 {
		t.Errorf("the password was asked for %d times, though the server was known", asked)
	}
}

// watched is a key that must not be used.
type watched struct {
	ssh.Signer
	t *testing.T
}

func (w watched) Sign(io.Reader, []byte) (*ssh.Signature, error) {
	w.t.Error("the key was used")
	return nil, errors.New("not here")
}

// TestKeyTrips: with the only key the first command travels with the login: three round trips from nothing to stored.
func TestKeyTrips(t *testing.T) {
	r := newRig(t)
	key := newSigner(t)
	r.allow(key)
	var n turns
	o := r.keyOptions(key)
	o.Address, o.Dial, o.Eager = r.Addr(), n.dial, true
	c := r.login(o)
	res, err := c.Put(t.Context(), "/f", source(noise(1024, 1)), remote.PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := n.n.Load(); got != 1+1 { // TLS, then all of it; TCP's own is not counted
		t.Errorf("%d round trips, want 2", got)
	}
	if got, err := os.ReadFile(r.home("f")); err != nil || int64(len(got)) != res.Entry.Length {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// TestKeyRefusedEagerly: the command that travelled with a refused login was not carried out, and says why.
func TestKeyRefusedEagerly(t *testing.T) {
	r := newRig(t)
	r.allow(newSigner(t))
	o := r.keyOptions(newSigner(t))
	o.Eager = true
	for _, size := range []int{0, 1024} {
		c := r.login(o)
		if _, err := c.Put(t.Context(), "/f", source(noise(size, 1)), remote.PutOptions{}); !errors.Is(err, remote.ErrAuth) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	if _, err := os.Stat(r.home("f")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// TestKeyLost cuts the line while the first command travels with the login.
func TestKeyLost(t *testing.T) {
	r := newRig(t)
	key := newSigner(t)
	r.allow(key)
	for n := int64(500); n < 4000; n += 50 {
		r.proxy.Cut(faultproxy.Down, n, faultproxy.RST)
		o := r.keyOptions(key)
		o.Eager = true
		c, err := remote.Login(t.Context(), o)
		if remote.IsLost(err) || errors.As(err, new(*remote.UnreachableError)) {
			continue // before there was a session
		}
		if err != nil {
			t.Fatalf("cut after %d bytes: %v", n, err)
		}
		if _, err := c.Put(t.Context(), "/f", source(noise(1024, uint64(n))), remote.PutOptions{}); err != nil {
			t.Fatalf("cut after %d bytes: %v", n, err)
		}
		c.Close()
	}
}

// mute is a connection that, once armed, takes what is written, does something else, and breaks.
type mute struct {
	net.Conn
	instead *atomic.Pointer[func()]
}

func (m mute) Write(b []byte) (int, error) {
	if do := m.instead.Swap(nil); do != nil {
		(*do)()
		m.Close()
		return len(b), nil
	}
	return m.Conn.Write(b)
}

// TestKeyLostUnheard: the login and the command that travelled with it did not arrive. The command is sent again, if the
// server is the one that was connected to: another one cannot know whether it was carried out.
func TestKeyLostUnheard(t *testing.T) {
	for _, restarted := range []bool{false, true} {
		r := newRig(t)
		key := newSigner(t)
		r.allow(key)
		mustWrite(t, r.home("f"), []byte("old"))
		var instead atomic.Pointer[func()]
		o := r.keyOptions(key)
		o.Eager = true
		o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			return mute{nc, &instead}, err
		}
		c := r.login(o)
		do, want := func() {}, "newer"
		if restarted {
			do, want = r.Restart, "old"
		}
		instead.Store(&do)
		_, err := c.Put(t.Context(), "/f", source([]byte("newer")), remote.PutOptions{})
		// How long the server has been up is known as exactly as its answer is quick: at first that may be too little to tell.
		for end := time.Now().Add(patience); !restarted && wire.CodeOf(err) == wire.Uncertain && time.Now().Before(end); {
			c = r.login(o)
			instead.Store(&do)
			_, err = c.Put(t.Context(), "/f", source([]byte("newer")), remote.PutOptions{})
		}
		if restarted {
			wantCode(t, err, wire.Uncertain)
		} else if err != nil {
			t.Fatal(err)
		}
		if got := string(mustRead(t, r.home("f"))); got != want {
			t.Errorf("restarted %v: %q is there", restarted, got)
		}
	}
}
