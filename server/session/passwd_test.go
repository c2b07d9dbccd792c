package session_test

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"ferry/server/account"
	"ferry/server/servertest"
	"ferry/shared/login"
	"ferry/shared/wire"
)

func cheap() login.Params { return login.Params{Memory: 19 << 10, Time: 2, Threads: 1} }

func newRecord(t *testing.T, password string) string {
	t.Helper()
	r, err := login.NewRecord(password, cheap())
	if err != nil {
		t.Fatal(err)
	}
	return r.String()
}

func passwd(record string) string { return fmt.Sprintf(`{"cmd":"passwd","record":%q}`, record) }

// has tells whether users.toml holds a record for alice.
func has(t *testing.T, s *servertest.Server, record string) bool {
	t.Helper()
	set, err := account.Load(s.Users())
	if err != nil {
		t.Fatal(err)
	}
	a, _ := set.Lookup("alice")
	return a != nil && a.Auth.String() == record
}

// TestPasswd: after a proof the new record stands in the file; this session and its connections go on, others that came in by the
// old password end, and theirs cannot be joined any more.
func TestPasswd(t *testing.T) {
	s := servertest.New(t)
	s.AddUser("alice", "correct horse")
	s.AddUser("bob", "correct horse")
	own, other := loggedIn(t, s), loggedIn(t, s)
	second := own.join(t, s)
	bob := greeted(t, s)
	if a := bob.login("bob", "correct horse"); a.Error != nil {
		t.Fatal(a.Error)
	}
	var costs wire.CostsAnswer
	own.raw(frame(`{"cmd":"passwd"}`))
	if err := json.Unmarshal(own.hear(), &costs); err != nil || costs.Costs == nil || costs.Costs.Memory != cheap().Memory {
		t.Fatalf("%+v, %v", costs, err)
	}
	record := newRecord(t, "battery staple")
	if a := own.login("alice", "correct horse"); a.Error != nil || a.Session != "" || a.Secret != "" {
		t.Fatalf("%+v", a)
	}
	if a := own.ask(passwd(record)); a.Error != nil {
		t.Fatal(a.Error)
	}
	if !has(t, s, record) {
		t.Error("it is not in the file")
	}
	if a := other.answer(); a.code() != wire.LoginRequired || a.Error.Message != "the password was changed: log in again" {
		t.Errorf("another session hears %v", a.Error)
	}
	other.closed()
	late := greeted(t, s)
	if a := late.ask(other.attach(late)); a.code() != wire.AuthFailed {
		t.Errorf("the other session is joined: %v", a.Error)
	}
	for _, p := range []*peer{own.peer, second, own.join(t, s), bob} {
		if a := p.ask(`{"cmd":"ping"}`); a.Error != nil {
			t.Errorf("goes on with %v", a.Error)
		}
	}
	if a := greeted(t, s).login("alice", "correct horse"); a.code() != wire.AuthFailed {
		t.Errorf("the old password: %v", a.Error)
	}
	if a := greeted(t, s).login("alice", "battery staple"); a.Error != nil {
		t.Error(a.Error)
	}
	// The same once more, proved by the new password: the request of a client that did not hear the answer.
	before, _ := os.ReadFile(s.Users())
	own.login("alice", "battery staple")
	if a := own.ask(passwd(record)); a.Error != nil {
		t.Error(a.Error)
	}
	if after, _ := os.ReadFile(s.Users()); string(after) != string(before) {
		t.Error("the file was written again")
	}
	// And another one.
	own.login("alice", "battery staple")
	if a := own.ask(passwd(newRecord(t, "third time lucky"))); a.Error != nil {
		t.Error(a.Error)
	}
	s.Session().Enforce()
	if a := own.ask(`{"cmd":"ping"}`); a.Error != nil {
		t.Error(a.Error)
	}
	if strings.Contains(s.Log.String(), "$scram") {
		t.Error("a record is in the log")
	}
}

// TestPasswdUnproved: what changes how one logs in needs a proof right before it, of this account, on an encrypted connection.
func TestPasswdUnproved(t *testing.T) {
	s := servertest.New(t)
	s.AddUser("alice", "correct horse")
	s.AddUser("bob", "battery staple")
	record := newRecord(t, "mine now")
	p := loggedIn(t, s)
	for _, request := range []string{passwd(record), putKey(newSigner(t), ""), `{"cmd":"dropkey","fingerprint":"SHA256:x"}`} {
		if a := p.ask(request); a.code() != wire.Denied {
			t.Errorf("without a proof %s: %v", request, a.Error)
		}
		p.login("alice", "correct horse")
		p.ask(`{"cmd":"ping"}`)
		if a := p.ask(request); a.code() != wire.Denied {
			t.Errorf("with something in between %s: %v", request, a.Error)
		}
	}
	p.login("alice", "correct horse")
	second := p.join(t, s)
	if a := second.ask(passwd(record)); a.code() != wire.Denied {
		t.Errorf("with the proof of another connection: %v", a.Error)
	}
	for _, bad := range []string{"x", record + "x", strings.Replace(record, "t=2", "t=1", 1), strings.Replace(record, "t=2", "t=3", 1), "correct horse"} {
		p.login("alice", "correct horse")
		if a := p.ask(passwd(bad)); a.code() != wire.BadRequest || strings.Contains(a.Error.Message, "correct") {
			t.Errorf("record %.20s: %v", bad, a.Error)
		}
	}
	for _, more := range []string{`"user":"bob"`, `"rights":["admin"]`, `"old":"x"`} {
		p.login("alice", "correct horse")
		if a := p.ask(fmt.Sprintf(`{"cmd":"passwd","record":%q,%s}`, record, more)); a.code() != wire.BadRequest {
			t.Errorf("with %s: %v", more, a.Error)
		}
	}
	if a := p.login("bob", "battery staple"); a.code() != wire.AuthFailed {
		t.Errorf("bob's password: %v", a.Error)
	}
	if a := p.ask(passwd(record)); a.code() != wire.Denied {
		t.Errorf("after it: %v", a.Error)
	}
	plain := plainGreeted(t, s)
	if a := plain.login("alice", "correct horse"); a.Error != nil {
		t.Fatal(a.Error)
	}
	plain.login("alice", "correct horse")
	for _, request := range []string{passwd(record), `{"cmd":"passwd"}`} {
		if a := plain.ask(request); a.code() != wire.Unsupported {
			t.Errorf("on a plain connection: %v", a.Error)
		}
	}
	if has(t, s, record) {
		t.Error("the password was changed all the same")
	}
}

// TestProofTries: whoever found a session open does not guess the password for long.
func TestProofTries(t *testing.T) {
	s := servertest.New(t)
	s.AddUser("alice", "correct horse")
	p := loggedIn(t, s)
	second := p.join(t, s)
	for i, q := range []*peer{p.peer, second, p.peer} {
		if a := q.login("alice", "wrong"); a.code() != wire.AuthFailed {
			t.Errorf("try %d: %v", i+1, a.Error)
		}
	}
	for _, q := range []*peer{p.peer, second} {
		if a := q.answer(); a.code() != wire.LoginRequired {
			t.Errorf("after the third: %v", a.Error)
		}
		q.closed()
	}
	late := greeted(t, s)
	if a := late.ask(p.attach(late)); a.code() != wire.AuthFailed {
		t.Errorf("the session is joined: %v", a.Error)
	}
}

// TestPasswdRace: of several that change it at once, with the same old password, one does.
func TestPasswdRace(t *testing.T) {
	s := servertest.New(t)
	s.AddUser("alice", "correct horse")
	var wg sync.WaitGroup
	won := make(chan string, 4)
	var peers []joined
	for range cap(won) {
		p := loggedIn(t, s)
		p.login("alice", "correct horse")
		peers = append(peers, p)
	}
	for n, p := range peers {
		record := newRecord(t, fmt.Sprint("battery staple ", n))
		wg.Go(func() {
			switch a := p.ask(passwd(record)); {
			case a.Error == nil:
				won <- record
			case a.code() != wire.AuthFailed && a.code() != wire.LoginRequired: // its session may have ended before
				t.Error(a.Error)
			}
		})
	}
	wg.Wait()
	close(won)
	if len(won) != 1 {
		t.Fatalf("%d have changed it", len(won))
	}
	if record := <-won; !has(t, s, record) {
		t.Error("the one that was told so has not")
	}
}

// TestMustChange: with such a password nothing goes but changing it, which ends that at once; also in a session that was there
// before. It does not keep a key out.
func TestMustChange(t *testing.T) {
	s := servertest.New(t)
	s.AddUser("alice", "correct horse")
	before := loggedIn(t, s)
	k := newSigner(t)
	s.Set("alice", "keys", string(ssh.MarshalAuthorizedKey(k.PublicKey())))
	s.Set("alice", "must_change_password", "true")
	byKey := greeted(t, s)
	if a := byKey.prove(k); a.Error != nil {
		t.Fatal(a.Error)
	}
	s.Session().Enforce()
	if a := byKey.ask(`{"cmd":"ping"}`); a.Error != nil {
		t.Error(a.Error)
	}
	p := greeted(t, s)
	if a := p.login("alice", "correct horse"); a.Error != nil || !a.MustChange {
		t.Fatalf("%+v", a)
	}
	for _, cmd := range ordinary(t) {
		for _, q := range []*peer{p, before.peer} {
			request := fmt.Sprintf(`{"cmd":%q}`, cmd)
			if bodied(cmd) {
				request = fmt.Sprintf(`{"cmd":%q,"size":0}`, cmd)
			}
			if a := q.ask(request); a.code() != wire.MustChange {
				t.Errorf("%s: %v", cmd, a.Error)
			}
		}
	}
	if a := p.prove(k); a.code() != wire.MustChange {
		t.Errorf("a key proves something: %v", a.Error)
	}
	plain := plainGreeted(t, s)
	if a := plain.login("alice", "correct horse"); a.Error != nil {
		t.Error(a.Error)
	}
	if a := plain.ask(`{"cmd":"ping"}`); a.code() != wire.MustChange || !strings.Contains(a.Error.Message, "encrypted") {
		t.Errorf("on a plain connection: %v", a.Error)
	}
	p.login("alice", "correct horse")
	if a := p.ask(passwd(newRecord(t, "battery staple"))); a.Error != nil {
		t.Fatal(a.Error)
	}
	if a := p.ask(`{"cmd":"ping"}`); a.Error != nil {
		t.Error(a.Error)
	}
	if a := greeted(t, s).login("alice", "battery staple"); a.Error != nil || a.MustChange {
		t.Errorf("%+v", a)
	}
	if text, _ := os.ReadFile(s.Users()); strings.Contains(string(text), "must_change") {
		t.Errorf("the file still says so:\n%s", text)
	}
}

// ordinary returns the commands that need a login and are refused while the password must be changed.
func ordinary(t *testing.T) []string {
	t.Helper()
	var list []string
	for _, cmd := range servertest.Commands() {
		switch cmd {
		case wire.CmdHello, wire.CmdLogin, wire.CmdProof, wire.CmdKey, wire.CmdAttach, wire.CmdRegister, wire.CmdLogout, wire.CmdPasswd:
		default:
			list = append(list, cmd)
		}
	}
	if len(list) < 15 {
		t.Fatalf("only %q", list)
	}
	return list
}

func bodied(cmd string) bool {
	return cmd == wire.CmdData || cmd == wire.CmdCheck || cmd == wire.CmdVerify
}

// prove sends the proof of a key of alice's.
func (p *peer) prove(k ssh.Signer) answer {
	p.t.Helper()
	key, sig, err := login.SignKey(k, "alice", p.keyBinding())
	if err != nil {
		p.t.Fatal(err)
	}
	return p.ask(fmt.Sprintf(`{"cmd":"key","user":"alice","key":%q,"signature":%q}`, key, sig))
}

func putKey(k ssh.Signer, comment string) string {
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k.PublicKey())) + " " + comment)
	return fmt.Sprintf(`{"cmd":"putkey","key":%q}`, strings.ReplaceAll(line, "\n", ""))
}

func dropKey(k ssh.Signer) string {
	return fmt.Sprintf(`{"cmd":"dropkey","fingerprint":%q}`, ssh.FingerprintSHA256(k.PublicKey()))
}

// TestKeys: a user adds and removes his own keys; the last way in stays, and sessions of a removed key end.
func TestKeys(t *testing.T) {
	s := servertest.New(t)
	s.AddUser("alice", "correct horse")
	p := loggedIn(t, s)
	k, other := newSigner(t), newSigner(t)
	list := func() (a wire.KeysAnswer) {
		t.Helper()
		p.raw(frame(`{"cmd":"keys"}`))
		if err := json.Unmarshal(p.hear(), &a); err != nil || a.Error != nil {
			t.Fatalf("%v, %v", a.Error, err)
		}
		return a
	}
	if a := list(); len(a.Keys) != 0 || !a.Password {
		t.Errorf("%+v", a)
	}
	for range 2 { // there already is as good
		p.login("alice", "correct horse")
		if a := p.ask(putKey(k, `alice@"laptop" \u00e9`)); a.Error != nil {
			t.Fatal(a.Error)
		}
	}
	if a := list(); len(a.Keys) != 1 || a.Keys[0].Kind != "ssh-ed25519" || a.Keys[0].Fingerprint != ssh.FingerprintSHA256(k.PublicKey()) {
		t.Errorf("%+v", a)
	}
	for what, request := range map[string]string{
		"no key": `{"cmd":"putkey","key":"x"}`, "two keys": fmt.Sprintf(`{"cmd":"putkey","key":"%s\n%[1]s"}`, "ssh-ed25519 AAAA"),
		"options": `{"cmd":"putkey","key":"command=\"x\" ssh-ed25519 AAAA"}`, "a long comment": putKey(other, strings.Repeat("x", wire.MaxComment+1)),
		"another's": strings.Replace(putKey(other, ""), `{`, `{"user":"bob",`, 1),
	} {
		p.login("alice", "correct horse")
		if a := p.ask(request); a.code() != wire.BadRequest {
			t.Errorf("%s: %v", what, a.Error)
		}
	}
	byKey := greeted(t, s)
	if a := byKey.prove(k); a.Error != nil {
		t.Fatal(a.Error)
	}
	// The key is as good a proof as the password.
	if a := byKey.prove(k); a.Error != nil {
		t.Fatal(a.Error)
	}
	if a := byKey.ask(putKey(other, "")); a.Error != nil {
		t.Fatal(a.Error)
	}
	if a := byKey.prove(newSigner(t)); a.code() != wire.AuthFailed {
		t.Errorf("a stranger's key: %v", a.Error)
	}
	p.login("alice", "correct horse")
	if a := p.ask(dropKey(k)); a.Error != nil {
		t.Fatal(a.Error)
	}
	if a := byKey.answer(); a.code() != wire.LoginRequired || a.Error.Message != "the key was removed from the account" {
		t.Errorf("its session hears %v", a.Error)
	}
	byKey.closed()
	p.login("alice", "correct horse")
	if a := p.ask(dropKey(k)); a.Error != nil { // gone already
		t.Error(a.Error)
	}
	if a := list(); len(a.Keys) != 1 {
		t.Errorf("%+v", a)
	}
}

// TestLastKey: the only way in cannot be removed; who has keys only may set a password, and then can.
func TestLastKey(t *testing.T) {
	s := servertest.New(t)
	s.AddUser("alice", "correct horse")
	k := newSigner(t)
	s.Set("alice", "keys", string(ssh.MarshalAuthorizedKey(k.PublicKey())))
	s.Set("alice", "auth", "")
	p := greeted(t, s)
	p.prove(k)
	p.prove(k)
	if a := p.ask(dropKey(k)); a.code() != wire.Denied || !strings.Contains(a.Error.Message, "only way") {
		t.Errorf("%v", a.Error)
	}
	if a := p.login("alice", "correct horse"); a.code() != wire.AuthFailed {
		t.Errorf("a password that is not there: %v", a.Error)
	}
	p.prove(k)
	if a := p.ask(passwd(newRecord(t, "battery staple"))); a.Error != nil {
		t.Fatal(a.Error)
	}
	if a := greeted(t, s).login("alice", "battery staple"); a.Error != nil {
		t.Error(a.Error)
	}
	p.prove(k)
	if a := p.ask(dropKey(k)); a.Error != nil {
		t.Error(a.Error)
	}
}

// TestManyKeys: so many and no more, and all of them fit in one answer.
func TestManyKeys(t *testing.T) {
	s := servertest.New(t)
	s.AddUser("alice", "correct horse")
	var lines []string
	for range account.MaxKeys {
		public, _, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		k, err := ssh.NewPublicKey(public)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k)))+" "+strings.Repeat("é", 1000))
	}
	s.Set("alice", "keys", strings.Join(lines, "\n"))
	p := loggedIn(t, s)
	p.raw(frame(`{"cmd":"keys"}`))
	b := p.hear()
	if n := strings.Count(string(b), `"kind"`); n != account.MaxKeys || len(b) > wire.MaxHeader {
		t.Errorf("%d keys in %d bytes", n, len(b))
	}
	p.login("alice", "correct horse")
	if a := p.ask(putKey(newSigner(t), "")); a.code() != wire.TooMany {
		t.Errorf("one more: %v", a.Error)
	}
}
