package register

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ferry/server/account"
	"ferry/shared/login"
)

func newRecord(t *testing.T, password string) string {
	t.Helper()
	r, err := login.NewRecord(password, login.Params{Memory: 19 << 10, Time: 2, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	return r.String()
}

// newDesk returns a desk with the account file text.
func newDesk(t *testing.T, r Rules, text string) *Desk {
	t.Helper()
	dir := t.TempDir()
	users := filepath.Join(dir, "users.toml")
	if text != "" {
		if err := os.WriteFile(users, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "homes"), 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := account.Open(users)
	if err != nil {
		t.Fatal(err)
	}
	return &Desk{Rules: r, Accounts: s, Homes: filepath.Join(dir, "homes"), Invites: Invites{Path: filepath.Join(dir, "invites.json")}, Now: noon}
}

func here() netip.Addr { return netip.MustParseAddr("192.0.2.7") }

func open() Rules { return Rules{Mode: Open, PerAddress: 100, PerDay: 1000} }

// TestAdd: an account that was made has what the rules say and nothing else, and a home; asked for again it is there.
func TestAdd(t *testing.T) {
	rules, err := ParseRules(map[string]any{"mode": "open", "account": map[string]any{"rights": []any{"list", "read"}, "max_sessions": int64(2)}})
	if err != nil {
		t.Fatal(err)
	}
	d := newDesk(t, rules, "")
	record := newRecord(t, "correct horse")
	for range 2 {
		if err := d.Add(here(), "alice", "", record); err != nil {
			t.Fatal(err)
		}
	}
	a, ok := d.Accounts.Current().Lookup("alice")
	if !ok || a.Auth.String() != record || a.Rights != account.List|account.Read || a.Limits.MaxSessions != 2 || len(a.Keys) > 0 || a.Home != "alice" {
		t.Errorf("%+v", a)
	}
	if info, err := os.Stat(filepath.Join(d.Homes, "alice")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("home: %v, %v", info, err)
	}
	if err := d.Add(here(), "alice", "", newRecord(t, "correct horse")); err != ErrTaken {
		t.Errorf("the same name with another password: %v", err)
	}
	if len(d.added) != 1 {
		t.Errorf("%d accounts are counted", len(d.added))
	}
}

// TestNames: nobody gets a name, or with it a home, that is somebody's, was somebody's, or sounds like somebody in charge.
func TestNames(t *testing.T) {
	rules := open()
	rules.Reserved = []string{"boss"}
	d := newDesk(t, rules, "[users.bob]\n[users.carol]\nhome = \"team/carol\"\n")
	if err := os.MkdirAll(filepath.Join(d.Homes, "gone", "files"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(d.Homes, "empty"), 0o700); err != nil {
		t.Fatal(err)
	}
	record := newRecord(t, "correct horse")
	for name, want := range map[string]error{
		"bob": ErrTaken, "team": ErrTaken, "gone": ErrTaken, "boss": ErrTaken, "root": ErrTaken, "admin": ErrTaken,
		"": ErrName, "Bob": ErrName, "b/x": ErrName, "..": ErrName, ".ferry": ErrName, "a b": ErrName, "a\nb": ErrName, "a\x00": ErrName,
		strings.Repeat("a", 33): ErrName, "älice": ErrName, "users.x\"]": ErrName,
		"empty": nil, "a.b": nil, strings.Repeat("a", 32): nil, "teams": nil,
	} {
		if err := d.Ask(here(), name, ""); err != want {
			t.Errorf("%q may be had: %v, want %v", name, err, want)
		}
		if err := d.Add(here(), name, "", record); err != want {
			t.Errorf("%q: %v, want %v", name, err, want)
		}
	}
	if n := d.Accounts.Current().Len(); n != 2+4 {
		t.Errorf("%d accounts", n)
	}
}

// TestNeverAdmin: what [defaults] give to everybody does not make a stranger an administrator.
func TestNeverAdmin(t *testing.T) {
	for defaults, want := range map[string]account.Rights{
		`["*", "admin", "exec"]`: account.All,
		`["list", "admin"]`:      account.List,
		`["admin"]`:              0,
		`["list", "read"]`:       account.List | account.Read,
	} {
		d := newDesk(t, open(), "[defaults]\nrights = "+defaults+"\n")
		if err := d.Add(here(), "alice", "", newRecord(t, "correct horse")); err != nil {
			t.Fatal(err)
		}
		if a, _ := d.Accounts.Current().Lookup("alice"); a.Rights != want {
			t.Errorf("%s: %v, want %v", defaults, a.Rights, want)
		}
	}
}

// TestClosed: closed is the default; with invites nobody learns a name without one.
func TestClosed(t *testing.T) {
	for mode, want := range map[string]error{"": ErrClosed, Closed: ErrClosed, Invite: ErrInvite} {
		d := newDesk(t, Rules{Mode: mode, PerAddress: 3, PerDay: 3}, "[users.bob]\n")
		for _, name := range []string{"bob", "alice", "root"} {
			if err := d.Ask(here(), name, "x"); err != want {
				t.Errorf("%q: %s may be had: %v", mode, name, err)
			}
			if err := d.Add(here(), name, "x", newRecord(t, "correct horse")); err != want {
				t.Errorf("%q: %s: %v", mode, name, err)
			}
		}
		if d.Accounts.Current().Len() != 1 {
			t.Error("there are more accounts")
		}
	}
}

// TestLimits: an address, an IPv6 network and all together make so many accounts a day; one that was refused counts for nothing.
func TestLimits(t *testing.T) {
	now := noon()
	d := newDesk(t, Rules{Mode: Open, PerAddress: 2, PerDay: 4}, "")
	d.Now = func() time.Time { return now }
	record, n := newRecord(t, "correct horse"), 0
	add := func(from string, want error) {
		t.Helper()
		n++
		if err := d.Add(netip.MustParseAddr(from), fmt.Sprintf("u%d", n), "", record); err != want {
			t.Errorf("account %d from %s: %v, want %v", n, from, err, want)
		}
	}
	if err := d.Add(here(), "root", "", record); err != ErrTaken {
		t.Error(err)
	}
	add("192.0.2.7", nil)
	add("::ffff:192.0.2.7", nil)
	add("192.0.2.7", ErrLimit)
	add("2001:db8::1", nil)
	add("2001:db8::ffff:2", nil)
	add("2001:db8::3", ErrLimit)
	add("192.0.2.8", ErrLimit)
	if err := d.Ask(netip.MustParseAddr("192.0.2.8"), "x", ""); err != ErrLimit {
		t.Error(err)
	}
	now = now.Add(day)
	add("192.0.2.7", nil)
	if len(d.added) != 1 {
		t.Errorf("%d are remembered", len(d.added))
	}
}

// TestAddRace: of many who want one name one gets it, and those who want different names all do.
func TestAddRace(t *testing.T) {
	d := newDesk(t, open(), "# kept\n[users.bob]\n")
	var wg sync.WaitGroup
	got := make(chan error, 8)
	for n := range cap(got) {
		record := newRecord(t, fmt.Sprint("correct horse ", n))
		wg.Go(func() { got <- d.Add(here(), "alice", "", record) })
		wg.Go(func() {
			if err := d.Add(here(), fmt.Sprintf("u%d", n), "", record); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	close(got)
	won := 0
	for err := range got {
		if err == nil {
			won++
		} else if err != ErrTaken {
			t.Error(err)
		}
	}
	if n := d.Accounts.Current().Len(); won != 1 || n != 2+8 {
		t.Errorf("%d got the name, %d accounts", won, n)
	}
}

// TestParseRules: what is not a rule is refused with the name of the key.
func TestParseRules(t *testing.T) {
	if r, err := ParseRules(nil); err != nil || r.Mode != Closed {
		t.Errorf("%+v, %v", r, err)
	}
	for want, table := range map[string]map[string]any{
		`register: unknown key "modus"`:                       {"modus": "open"},
		`register.mode: must be "closed", "invite" or "open"`: {"mode": "opne"},
		`register.per_day: must be a number`:                  {"per_day": "many"},
		`register.per_address: must be a number`:              {"per_address": int64(-1)},
		`register.reserved: must be a list of account names`:  {"reserved": []any{"Boss"}},
		`register.account: must be a table`:                   {"account": "x"},
		`register.account: "home" cannot be given`:            {"account": map[string]any{"home": "x"}},
		`register.account: "auth" cannot be given`:            {"account": map[string]any{"auth": "x"}},
		`register.account: "keys" cannot be given`:            {"account": map[string]any{"keys": []any{"x"}}},
		`register.account: "nonsense" cannot be given`:        {"account": map[string]any{"nonsense": "x"}},
		`register.account: rights: nobody gets admin`:         {"account": map[string]any{"rights": []any{"list", "admin"}}},
		`register.account: rights: nobody gets exec`:          {"account": map[string]any{"rights": "exec"}},
		`register.account: max_sessions`:                      {"account": map[string]any{"max_sessions": "x"}},
		`register.account: rights is empty`:                   {"account": map[string]any{"rights": []any{}}},
	} {
		if _, err := ParseRules(table); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v: %v, want %s", table, err, want)
		}
	}
	r, err := ParseRules(map[string]any{"mode": "invite", "per_day": int64(7), "reserved": []any{"boss"},
		"account": map[string]any{"rights": []any{"list"}, "must_change_password": true}})
	want := []account.Change{{Key: "rights", Option: "list"}, {Key: "must_change_password", Option: "true"}}
	if err != nil || r.Mode != Invite || r.PerDay != 7 || r.PerAddress != 3 || !slices.Equal(r.Account, want) || !slices.Equal(r.Reserved, []string{"boss"}) {
		t.Errorf("%+v, %v", r, err)
	}
}
