package session_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"ferry/server/servertest"
	"ferry/server/session"
	"ferry/shared/block"
	"ferry/shared/login"
	"ferry/shared/wire"
)

// joined is a connection on which alice logged in, and what lets others join its session.
type joined struct {
	*peer
	session, secret string
}

func loggedIn(t *testing.T, s *servertest.Server) joined {
	t.Helper()
	p := greeted(t, s)
	a := p.login("alice", "correct horse")
	if a.Error != nil || len(a.Session) != 32 || len(a.Secret) != 64 {
		t.Fatalf("%+v", a)
	}
	return joined{p, a.Session, a.Secret}
}

// attach is the request that joins p to j's session.
func (j joined) attach(p *peer) string {
	secret, err := hex.DecodeString(j.secret)
	if err != nil {
		j.t.Fatal(err)
	}
	return fmt.Sprintf(`{"cmd":"attach","session":"%s","proof":"%x"}`, j.session, login.Attach(secret, p.bind))
}

func (j joined) join(t *testing.T, s *servertest.Server) *peer {
	t.Helper()
	p := greeted(t, s)
	if a := p.ask(j.attach(p)); a.Error != nil {
		t.Fatal(a.Error)
	}
	return p
}

// TestAttach lets those in who know the session's secret, on the connection they say so, and nobody else; whatever is wrong,
// the answer is the same to the byte.
func TestAttach(t *testing.T) {
	s := servertest.New(t)
	s.AddUser("alice", "correct horse")
	j := loggedIn(t, s)
	p := j.join(t, s)
	if a := p.ask(`{"cmd":"ping"}`); a.Error != nil {
		t.Error(a.Error)
	}
	replayed := j.attach(p)
	if a := p.ask(replayed); a.code() != wire.UnknownCommand {
		t.Errorf("attach when logged in: %v", a.Error)
	}
	other := j
	other.session = anID
	wrong := j
	wrong.secret = wrong.secret[:62] + map[bool]string{true: "00", false: "01"}[wrong.secret[62:] != "00"]
	var first []byte
	for what, text := range map[string]func(*peer) string{
		"another connection's proof": func(*peer) string { return replayed },
		"another session":            other.attach,
		"another secret":             wrong.attach,
		"no proof":                   func(*peer) string { return `{"cmd":"attach","session":"` + j.session + `","proof":""}` },
		"no text":                    func(*peer) string { return `{"cmd":"attach","session":"` + j.session + `","proof":"zz"}` },
	} {
		q := greeted(t, s)
		q.raw(frame(text(q)))
		got := q.hear()
		if first == nil {
			first = got
		}
		var a answer
		if json.Unmarshal(got, &a); a.code() != wire.AuthFailed || !bytes.Equal(got, first) {
			t.Errorf("%s is answered with %s, others with %s", what, got, first)
		}
		for range 2 { // the third failure ends it
			q.ask(text(q))
		}
		q.closed()
	}
	if a := connect(t, s).ask(j.attach(p)); a.code() != wire.Version {
		t.Errorf("attach before hello: %v", a.Error)
	}
}

// TestAttachPlain is the same without encryption, bound to the nonces.
func TestAttachPlain(t *testing.T) {
	s := servertest.New(t)
	s.AddUser("alice", "correct horse")
	p := plainGreeted(t, s)
	a := p.login("alice", "correct horse")
	j := joined{p, a.Session, a.Secret}
	q := plainGreeted(t, s)
	if a := q.ask(j.attach(q)); a.Error != nil {
		t.Error(a.Error)
	}
	if a := plainGreeted(t, s).ask(j.attach(q)); a.code() != wire.AuthFailed {
		t.Errorf("another connection's proof: %v", a.Error)
	}
}

// TestSessionEnds: what ends a session keeps others out of it, and closes its connections.
func TestSessionEnds(t *testing.T) {
	for what, end := range map[string]func(*servertest.Server, joined){
		"logout":           func(s *servertest.Server, j joined) { j.ask(`{"cmd":"logout"}`) },
		"lock":             func(s *servertest.Server, j joined) { s.Set("alice", "locked", "on leave") },
		"removal":          func(s *servertest.Server, j joined) { s.DelUser("alice") },
		"another password": func(s *servertest.Server, j joined) { s.DelUser("alice"); s.AddUser("alice", "wrong horse") },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := servertest.New(t)
			s.AddUser("alice", "correct horse")
			j := loggedIn(t, s)
			p := j.join(t, s)
			end(s, j)
			if what != "logout" {
				if a := p.answer(); a.code() != wire.LoginRequired {
					t.Errorf("the other connection hears %v", a.Error)
				}
			}
			p.closed()
			q := greeted(t, s)
			if a := q.ask(j.attach(q)); a.code() != wire.AuthFailed {
				t.Errorf("attach afterwards: %v", a.Error)
			}
		})
	}
}

// TestLinger: a session outlives its last connection by a while, and no longer.
func TestLinger(t *testing.T) {
	s := servertest.New(t, servertest.WithTiming(session.Timing{Linger: time.Hour}))
	s.AddUser("alice", "correct horse")
	j := loggedIn(t, s)
	j.nc.Close()
	s.Log.Await(t, 1, "session ended")
	j.join(t, s).nc.Close()

	short := servertest.New(t, servertest.WithTiming(session.Timing{Linger: time.Millisecond}))
	short.AddUser("alice", "correct horse")
	j = loggedIn(t, short)
	j.nc.Close()
	for begin := time.Now(); ; {
		q := greeted(t, short)
		if a := q.ask(j.attach(q)); a.code() == wire.AuthFailed {
			break
		}
		q.nc.Close() // its end was not noticed yet, or it came in time
		if time.Since(begin) > 20*time.Second {
			t.Fatal("the session does not end")
		}
	}
}

// TestAttachMany: a session has a bounded number of connections.
func TestAttachMany(t *testing.T) {
	s := servertest.New(t)
	s.AddUser("alice", "correct horse")
	j := loggedIn(t, s)
	for range 15 {
		j.join(t, s)
	}
	q := greeted(t, s)
	if a := q.ask(j.attach(q)); a.code() != wire.TooMany {
		t.Errorf("the 17th connection hears %v", a.Error)
	}
	if n := s.Session().Sessions(); n != 1 {
		t.Errorf("%d sessions, want 1", n)
	}
}

// TestUploadOfSession: an upload that one connection opened is fed and published by others of the session, outlives the one
// that opened it, and is out of reach for another session of the same account.
func TestUploadOfSession(t *testing.T) {
	s := servertest.New(t)
	s.AddUser("alice", "correct horse")
	j := loggedIn(t, s)
	a, b := j.join(t, s), j.join(t, s)
	j.raw(frame(request("put", fmt.Sprintf(`"id":"%032x","path":"/f","length":%d,"mtime":1,"job":"%s"`, 1, 3*block.Size, anID))))
	var open wire.PutAnswer
	if err := json.Unmarshal(j.hear(), &open); err != nil || open.Key == nil {
		t.Fatalf("%v %+v", err, open)
	}
	tagger, body := block.NewTagger(*open.Key), make([]byte, block.Size)
	data := func(p *peer, n int64) wire.Code {
		text, _ := tagger.Tag(n, body).MarshalText()
		p.raw(append(frame(request("data", fmt.Sprintf(`"upload":"%s","epoch":%d,"offset":%d,"tag":"%s","size":%d`, open.Upload, open.Epoch, n*block.Size, text, len(body)))), body...))
		return p.answer().code()
	}
	commit := func(p *peer, id int) wire.Code {
		return p.ask(request("commit", fmt.Sprintf(`"id":"%032x","upload":"%s","epoch":%d`, id, open.Upload, open.Epoch))).code()
	}
	stranger := loggedIn(t, s)
	for _, c := range []struct {
		what      string
		got, want wire.Code
	}{
		{"the first block on the first connection", data(j.peer, 0), ""},
		{"the second on another", data(a, 1), ""},
		{"a block of another session", data(stranger.peer, 2), wire.Superseded},
		{"a commit of another session", commit(stranger.peer, 2), wire.Superseded},
		{"a commit too early", commit(b, 3), wire.VerifyFailed},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q, want %q", c.what, c.got, c.want)
		}
	}
	j.nc.Close()
	s.Log.Await(t, 1, "session ended")
	if code := data(b, 2); code != "" {
		t.Errorf("the third block, after the first connection has ended: %q", code)
	}
	if code := commit(a, 4); code != "" {
		t.Errorf("the commit: %q", code)
	}
	if info, err := os.Stat(filepath.Join(s.Home("alice"), "f")); err != nil || info.Size() != 3*block.Size {
		t.Errorf("%v, %v", info, err)
	}
}

// TestOneBlockTwice: while one connection writes a block another one must not touch it.
func TestOneBlockTwice(t *testing.T) {
	var armed atomic.Bool
	arrived, on := make(chan struct{}), make(chan struct{})
	s := servertest.New(t, servertest.WithWrites(func() {
		if armed.Swap(false) {
			close(arrived)
			<-on
		}
	}))
	s.AddUser("alice", "correct horse")
	j := loggedIn(t, s)
	p := j.join(t, s)
	j.raw(frame(request("put", fmt.Sprintf(`"id":"%032x","path":"/f","length":%d,"mtime":1,"job":"%s"`, 1, 2*block.Size, anID))))
	var open wire.PutAnswer
	if err := json.Unmarshal(j.hear(), &open); err != nil || open.Key == nil {
		t.Fatalf("%v %+v", err, open)
	}
	tagger, body := block.NewTagger(*open.Key), make([]byte, block.Size)
	text, _ := tagger.Tag(0, body).MarshalText()
	data := append(frame(request("data", fmt.Sprintf(`"upload":"%s","epoch":%d,"offset":0,"tag":"%s","size":%d`, open.Upload, open.Epoch, text, len(body)))), body...)
	armed.Store(true)
	j.raw(data)
	<-arrived // the first one is at its write
	tag := tagger.Tag(0, body)
	for what, text := range map[string][]byte{
		"data":   data,
		"check":  append(frame(request("check", fmt.Sprintf(`"upload":"%s","epoch":%d,"first":0,"size":16`, open.Upload, open.Epoch))), tag[:]...),
		"commit": frame(request("commit", fmt.Sprintf(`"id":"%032x","upload":"%s","epoch":%d`, 5, open.Upload, open.Epoch))),
	} {
		p.raw(text)
		if a := p.answer(); a.code() != wire.Busy {
			t.Errorf("%s meanwhile: %v", what, a.Error)
		}
	}
	close(on)
	if a := j.answer(); a.Error != nil {
		t.Error(a.Error)
	}
	p.raw(data)
	if a := p.answer(); a.Error != nil {
		t.Errorf("data afterwards: %v", a.Error)
	}
}

// TestKeyRefusals: whatever is wrong about a login by key, the answer is the same to the byte, and only a right one lets in.
func TestKeyRefusals(t *testing.T) {
	s := servertest.New(t)
	s.AddUser("alice", "correct horse")
	s.AddUser("bob", "correct horse")
	mine, other := newSigner(t), newSigner(t)
	s.Set("alice", "keys", string(ssh.MarshalAuthorizedKey(mine.PublicKey())))
	ask := func(p *peer, k ssh.Signer, user, signed string, binding []byte) string {
		key, sig, err := login.SignKey(k, signed, binding)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf(`{"cmd":"key","user":%q,"key":%q,"signature":%q}`, user, key, sig)
	}
	good := greeted(t, s)
	replayed := ask(good, mine, "alice", "alice", good.keyBinding())
	good.raw(append(frame(replayed), frame(`{"cmd":"ping"}`)...)) // and a command with it
	if a := good.answer(); a.Error != nil || a.Session == "" || a.Message != "" {
		t.Errorf("%+v", a)
	}
	if a := good.answer(); a.Error != nil {
		t.Error(a.Error)
	}
	var first []byte
	for what, text := range map[string]func(*peer) string{
		"another key":                func(p *peer) string { return ask(p, other, "alice", "alice", p.keyBinding()) },
		"an account without keys":    func(p *peer) string { return ask(p, mine, "bob", "bob", p.keyBinding()) },
		"an unknown name":            func(p *peer) string { return ask(p, mine, "carol", "carol", p.keyBinding()) },
		"a signature for another":    func(p *peer) string { return ask(p, mine, "alice", "bob", p.keyBinding()) },
		"another connection's":       func(p *peer) string { return replayed },
		"a password's binding":       func(p *peer) string { return ask(p, mine, "alice", "alice", p.bind.Data) },
		"no key":                     func(p *peer) string { return `{"cmd":"key","user":"alice","key":"","signature":""}` },
		"a name that cannot be one":  func(p *peer) string { return ask(p, mine, "../alice", "../alice", p.keyBinding()) },
		"a key with a broken format": func(p *peer) string { return `{"cmd":"key","user":"alice","key":"AAAA","signature":"AAAA"}` },
	} {
		p := greeted(t, s)
		p.raw(frame(text(p)))
		got := p.hear()
		if first == nil {
			first = got
		}
		var a answer
		if json.Unmarshal(got, &a); a.code() != wire.AuthFailed || !bytes.Equal(got, first) {
			t.Errorf("%s is answered with %s, others with %s", what, got, first)
		}
	}
	plain := plainGreeted(t, s)
	if a := plain.ask(ask(plain, mine, "alice", "alice", make([]byte, 32))); a.code() != wire.Unsupported {
		t.Errorf("on a plain connection: %v", a.Error)
	}
	s.Set("alice", "locked", "on leave")
	locked := greeted(t, s)
	if a := locked.ask(ask(locked, mine, "alice", "alice", locked.keyBinding())); a.code() != wire.Denied {
		t.Errorf("locked: %v", a.Error)
	}
}

// TestKeyRemoved: a session that a key began ends when the key is taken from the account, and not with the password.
func TestKeyRemoved(t *testing.T) {
	s := servertest.New(t)
	s.AddUser("alice", "correct horse")
	k := newSigner(t)
	s.Set("alice", "keys", string(ssh.MarshalAuthorizedKey(k.PublicKey())))
	p := greeted(t, s)
	key, sig, err := login.SignKey(k, "alice", p.keyBinding())
	if err != nil {
		t.Fatal(err)
	}
	if a := p.ask(fmt.Sprintf(`{"cmd":"key","user":"alice","key":%q,"signature":%q}`, key, sig)); a.Error != nil {
		t.Fatal(a.Error)
	}
	record, err := login.NewRecord("another password", login.Params{Memory: 19 << 10, Time: 2, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	s.Set("alice", "auth", record.String())
	if a := p.ask(`{"cmd":"ping"}`); a.Error != nil {
		t.Errorf("after a change of the password: %v", a.Error)
	}
	s.Set("alice", "keys", "")
	if a := p.answer(); a.code() != wire.LoginRequired {
		t.Errorf("without the key: %v", a.Error)
	}
	p.closed()
}

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

func (p *peer) keyBinding() []byte {
	p.t.Helper()
	b, err := login.KeyBinding(p.nc.(*tls.Conn).ConnectionState())
	if err != nil {
		p.t.Fatal(err)
	}
	return b
}
