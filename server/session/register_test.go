package session_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ferry/server/account"
	"ferry/server/register"
	"ferry/server/servertest"
	"ferry/shared/wire"
)

func openly() servertest.Option {
	return servertest.WithRegister(register.Rules{Mode: register.Open, PerAddress: 20, PerDay: 20})
}

func registration(user, code, record string) string {
	b, _ := json.Marshal(map[string]string{"cmd": "register", "user": user, "code": code, "record": record})
	return string(b)
}

// TestRegister: who registers is nobody before he logs in, and then has an empty home.
func TestRegister(t *testing.T) {
	s := servertest.New(t, openly())
	record := newRecord(t, "correct horse")
	p := greeted(t, s)
	p.raw(frame(`{"cmd":"register","user":"alice"}`))
	var a wire.CostsAnswer
	if err := json.Unmarshal(p.hear(), &a); err != nil || a.Costs == nil || a.Costs.Passes != cheap().Time {
		t.Fatalf("%+v, %v", a, err)
	}
	for range 2 { // asked again it is there
		if a := p.ask(registration("alice", "", record)); a.Error != nil {
			t.Fatal(a.Error)
		}
	}
	if a := p.ask(`{"cmd":"ls","path":"/"}`); a.code() != wire.LoginRequired {
		t.Errorf("not logged in: %v", a.Error)
	}
	if a := p.login("alice", "correct horse"); a.Error != nil {
		t.Fatal(a.Error)
	}
	if a := p.ask(`{"cmd":"ls","path":"/"}`); a.Error != nil {
		t.Error(a.Error)
	}
	if a := p.ask(registration("carol", "", record)); a.code() != wire.UnknownCommand {
		t.Errorf("from within a session: %v", a.Error)
	}
	if strings.Contains(s.Log.String(), record) {
		t.Error("the record is in the log")
	}
}

// TestRegisterGrantsNothing: there is no way to say what the account may do, or whose it is.
func TestRegisterGrantsNothing(t *testing.T) {
	s := servertest.New(t, openly())
	s.AddUser("bob", "correct horse")
	before, err := os.ReadFile(s.Users())
	if err != nil {
		t.Fatal(err)
	}
	record := newRecord(t, "battery staple")
	for _, more := range []string{
		`"rights":["admin"]`, `"rights":"*"`, `"home":"bob"`, `"home":"../.."`, `"quota":"none"`, `"keys":["ssh-ed25519 AAAA"]`, `"admin":true`,
		`"locked":""`, `"rules":[]`, `"auth":"x"`, `"account":{"rights":["admin"]}`, `"Rights":["admin"]`, `"must_change":false`,
		`"user":"root"`, `"record":"x"`, `"mode":"open"`, `"costs":{"memory":1}`,
	} {
		p := greeted(t, s)
		p.raw(frame(strings.Replace(registration("alice", "", record), "{", "{"+more+",", 1)))
		if a := p.answer(); a.code() != wire.BadRequest {
			t.Errorf("with %s: %v", more, a.Error)
		}
	}
	for _, name := range []string{
		"bob", "Bob", "BOB", "bob/x", "../bob", "bob ", " bob", "bob\n[users.eve]", "x\"]\nrights=[\"admin\"]\n[users.\"y", "b\u006fb\u0000", "",
		".", "..", ".ferry", "root", "admin", "ferryd", strings.Repeat("x", 33), strings.Repeat("x", 3000), "б", "bob\u202e", "users.bob\"", "-x", "_x",
	} {
		p := greeted(t, s)
		if a := p.ask(registration(name, "", record)); a.code() != wire.BadRequest && a.code() != wire.Exists {
			t.Errorf("%.40q: %v", name, a.Error)
		}
	}
	for _, bad := range []string{
		"x", record + "\n", record + `"` + "\nrights = [\"admin\"]", strings.Replace(record, "t=2", "t=16", 1), strings.Replace(record, "19456", "65536", 1),
		strings.Replace(record, "scram-sha256", "plain", 1), "battery staple", "$$$$$",
	} {
		p := greeted(t, s)
		if a := p.ask(registration("alice", "", bad)); a.code() != wire.BadRequest || strings.Contains(a.Error.Message, "staple") {
			t.Errorf("record %.40q: %v", bad, a.Error)
		}
	}
	if after, _ := os.ReadFile(s.Users()); string(after) != string(before) {
		t.Errorf("the file has become\n%s", after)
	}
	if homes, _ := os.ReadDir(filepath.Join(s.Data(), "homes")); len(homes) != 1 {
		t.Errorf("homes: %v", homes)
	}
	p := greeted(t, s)
	if a := p.ask(registration("alice", "", record)); a.Error != nil {
		t.Fatal(a.Error)
	}
	set, err := account.Load(s.Users())
	if err != nil {
		t.Fatal(err)
	}
	if a, ok := set.Lookup("alice"); !ok || a.Rights != account.All || a.Home != "alice" {
		t.Errorf("%+v", a)
	}
}

// TestRegisterClosed: closed to everybody without an invite, whatever the name; three tries a connection; never without TLS.
func TestRegisterClosed(t *testing.T) {
	record := newRecord(t, "battery staple")
	for mode, want := range map[string]wire.Code{register.Closed: wire.Denied, register.Invite: wire.AuthFailed} {
		s := servertest.New(t, servertest.WithRegister(register.Rules{Mode: mode}))
		s.AddUser("bob", "correct horse")
		var first string
		for _, name := range []string{"bob", "root"} {
			for _, r := range []string{"", record} {
				p := greeted(t, s)
				p.raw(frame(registration(name, "guess", r)))
				text := string(p.hear())
				if first == "" {
					first = text
				}
				if !strings.Contains(text, string(want)) || text != first {
					t.Errorf("%s: %s is told %s, others %s", mode, name, text, first)
				}
			}
		}
		if a := connect(t, s).ask(registration("alice", "", record)); a.code() != wire.Version {
			t.Errorf("before hello: %v", a.Error)
		}
		if a := plainGreeted(t, s).ask(registration("alice", "", record)); a.code() != wire.Unsupported {
			t.Errorf("on a plain connection: %v", a.Error)
		}
	}
}

// TestRegisterGuessing: three tries a connection, and soon the address has to wait.
func TestRegisterGuessing(t *testing.T) {
	s := servertest.New(t, servertest.WithRegister(register.Rules{Mode: register.Invite}))
	code := s.Invite()
	for _, want := range []wire.Code{wire.AuthFailed, wire.RateLimited} {
		p := greeted(t, s)
		for n := range 3 {
			if a := p.ask(registration("alice", "guess", "")); a.code() == wire.RateLimited {
				break
			} else if n == 2 && want != wire.AuthFailed {
				t.Error("nobody has to wait")
			}
		}
		p.closed()
	}
	if a := greeted(t, s).ask(registration("alice", code, newRecord(t, "battery staple"))); a.code() != wire.RateLimited {
		t.Errorf("the right one meanwhile: %v", a.Error)
	}
}

// TestRegisterLimit: one address makes so many accounts and no more.
func TestRegisterLimit(t *testing.T) {
	s := servertest.New(t, servertest.WithRegister(register.Rules{Mode: register.Open, PerAddress: 2, PerDay: 10}))
	p := greeted(t, s)
	for n := range 5 {
		a := p.ask(registration(fmt.Sprintf("user%d", n), "", newRecord(t, "correct horse")))
		if want := map[bool]wire.Code{true: wire.RateLimited}[n >= 2]; a.code() != want {
			t.Errorf("account %d: %v", n, a.Error)
		}
	}
}

// TestRegisterInvite: an invite is good for one account, whoever else has it.
func TestRegisterInvite(t *testing.T) {
	s := servertest.New(t, servertest.WithRegister(register.Rules{Mode: register.Invite}))
	s.AddUser("bob", "correct horse")
	code := s.Invite()
	record := newRecord(t, "battery staple")
	if a := greeted(t, s).ask(registration("bob", code, record)); a.code() != wire.Exists {
		t.Errorf("a name in use: %v", a.Error)
	}
	for range 2 {
		if a := greeted(t, s).ask(registration("alice", code, record)); a.Error != nil {
			t.Fatal(a.Error)
		}
	}
	for _, name := range []string{"carol", "bob", "alice"} {
		if a := greeted(t, s).ask(registration(name, code, newRecord(t, "battery staple"))); a.code() != wire.AuthFailed {
			t.Errorf("%s with the same invite: %v", name, a.Error)
		}
	}
	if strings.Contains(s.Log.String(), code) {
		t.Error("the code is in the log")
	}
}
