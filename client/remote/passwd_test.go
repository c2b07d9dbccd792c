package remote_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"ferry/client/remote"
	"ferry/internal/faultproxy"
	"ferry/shared/wire"
)

// TestPasswd: a client that changes the password goes on, also over a restart of the server, without a question; nobody else
// comes in by the old one.
func TestPasswd(t *testing.T) {
	r := newRig(t)
	c := r.login(r.options())
	for _, tt := range []struct {
		old, new string
		want     error
	}{
		{"wrong", "battery staple", remote.ErrWrongPassword},
		{password, password, remote.ErrSamePassword},
		{"", password, remote.ErrSamePassword},
		{password, "battery staple", nil},
		{"", "third time lucky", nil}, // proved by what is in memory
		{"third time lucky", "fourth", nil},
	} {
		var old *remote.Proof
		var err error
		if tt.old != "" {
			old, err = c.Prove(t.Context(), tt.old)
		}
		if err == nil {
			err = c.Passwd(t.Context(), old, tt.new)
		}
		if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
			t.Errorf("%q to %q: %v, want %v", tt.old, tt.new, err, tt.want)
		}
	}
	r.Restart()
	if err := c.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := remote.Login(t.Context(), r.options()); !errors.Is(err, remote.ErrAuth) {
		t.Errorf("the old password: %v", err)
	}
}

// TestPasswdCut cuts the line everywhere while the password is changed. Afterwards it is changed, and the client has noticed.
func TestPasswdCut(t *testing.T) {
	r := newRig(t)
	now, tried := password, 0
	o := r.options()
	o.Password = func(context.Context) (string, error) { return now, nil }
	for _, d := range []faultproxy.Direction{faultproxy.Up, faultproxy.Down} {
		for cut := int64(1800); cut < 3600; cut += 150 {
			r.proxy.Cut(d, cut, faultproxy.RST)
			c, err := remote.Login(t.Context(), o)
			if errors.As(err, new(*remote.UnreachableError)) {
				continue // before there was a session
			}
			if err != nil {
				t.Fatal(err)
			}
			tried++
			next := fmt.Sprint("battery staple ", tried)
			if err := c.Passwd(t.Context(), nil, next); err != nil {
				t.Fatalf("cut after %d bytes: %v", cut, err)
			}
			now = next
			r.Restart() // the session is gone: only the password lets it in
			if err := c.Ping(t.Context()); err != nil {
				t.Fatalf("cut after %d bytes, then: %v", cut, err)
			}
			c.Close()
		}
	}
	if tried < 10 {
		t.Errorf("only %d passwords were changed", tried)
	}
}

// TestKeys: keys are added and removed, proved by the password and by a key.
func TestKeys(t *testing.T) {
	r := newRig(t)
	c := r.login(r.options())
	key, other := newSigner(t), newSigner(t)
	line := func(s ssh.Signer) string { return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(s.PublicKey()))) }
	proof, err := c.Prove(t.Context(), password)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.PutKey(t.Context(), proof, line(key)); err != nil {
		t.Fatal(err)
	}
	k := r.login(r.keyOptions(key))
	if err := k.PutKey(t.Context(), nil, line(other)); err != nil {
		t.Fatal(err)
	}
	keys, withPassword, err := k.Keys(t.Context())
	if err != nil || len(keys) != 2 || !withPassword || keys[1].Fingerprint != ssh.FingerprintSHA256(other.PublicKey()) {
		t.Errorf("%v, %v, %v", keys, withPassword, err)
	}
	if err := k.DropKey(t.Context(), nil, keys[1].Fingerprint); err != nil {
		t.Error(err)
	}
	if err := k.Passwd(t.Context(), nil, "battery staple"); err != nil {
		t.Error(err)
	}
	if _, err := remote.Login(t.Context(), r.options()); !errors.Is(err, remote.ErrAuth) {
		t.Errorf("the old password: %v", err)
	}
}

// TestRegister: an account that was made is there once, however often the line is cut, and its password logs in.
func TestRegister(t *testing.T) {
	r := newRig(t)
	r.Server.Register("invite")
	for n, cut := 0, int64(0); cut < 2800; n, cut = n+1, cut+400 {
		o := r.options()
		o.User = fmt.Sprintf("user%d", n)
		code := r.Invite()
		ask := func(context.Context) (string, error) { // the next connection is the one that carries the record
			r.proxy.Cut(faultproxy.Down, cut, faultproxy.RST)
			return password, nil
		}
		if err := remote.Register(t.Context(), o, code, ask); err != nil {
			t.Fatalf("cut after %d bytes: %v", cut, err)
		}
		r.login(o).Close()
		if n >= 4 { // more failures, and the address would have to wait
			continue
		}
		o.User = "mallory"
		if err := remote.Register(t.Context(), o, code, ask); wire.CodeOf(err) != wire.AuthFailed {
			t.Fatalf("the invite once more: %v", err)
		}
	}
}

// TestRegisterUnknownServer: nothing is said to a server that is not known, whatever else would take its key on trust.
func TestRegisterUnknownServer(t *testing.T) {
	r := newRig(t)
	r.Server.Register("open")
	o := r.options()
	o.Fingerprint, o.TrustFirst = "", true
	o.Confirm = func(string, string) (bool, error) { t.Error("somebody was asked"); return true, nil }
	err := remote.Register(t.Context(), o, "", func(context.Context) (string, error) { t.Error("a password was asked for"); return password, nil })
	var unknown *remote.TrustError
	if !errors.As(err, &unknown) || !strings.Contains(unknown.Hint(), "--trust-first does not count") {
		t.Error(err, unknown)
	}
	o.Address, o.Plain = r.PlainAddr(), true
	if err := remote.Register(t.Context(), o, "", nil); wire.CodeOf(err) != wire.Unsupported {
		t.Error(err)
	}
}

func TestParseInvite(t *testing.T) {
	const fp = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	for text, want := range map[string][2]string{"CODE@" + fp: {"CODE", fp}, " CODE@" + fp + "\n": {"CODE", fp}, "CODE": {"CODE", ""}} {
		code, server, err := remote.ParseInvite(text)
		if err != nil || code != want[0] || server != want[1] {
			t.Errorf("%q: %q, %q, %v", text, code, server, err)
		}
	}
	for _, text := range []string{"", "@" + fp, "CODE@", "CODE@SHA256:AAA", "two words", "CODE@" + fp + "@" + fp} {
		if _, _, err := remote.ParseInvite(text); err == nil {
			t.Errorf("%q is taken for an invite", text)
		}
	}
}
