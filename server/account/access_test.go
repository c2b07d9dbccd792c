package account

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// one parses a file of one account.
func one(t *testing.T, text string) *Account {
	t.Helper()
	s, err := Parse("u", []byte("[users.a]\n"+text))
	if err != nil {
		t.Fatal(err)
	}
	a, _ := s.Lookup("a")
	return a
}

func TestRightsAt(t *testing.T) {
	a := one(t, `rights = ["*", "admin"]
rules = [ { path = "/in", rights = ["write"] }, { path = "/in/own", rights = ["*"] }, { path = "/é/x y", rights = [] } ]`)
	for _, tt := range []struct{ path, at, below string }{
		{"/", "list,read,write,overwrite,delete,admin", "none"},
		{"/in", "write", "write"},
		{"/in/x/y", "write", "write"},
		{"/inbox", "list,read,write,overwrite,delete,admin", "list,read,write,overwrite,delete,admin"},
		{"/in.d/own", "list,read,write,overwrite,delete,admin", "list,read,write,overwrite,delete,admin"},
		{"/in/own", "list,read,write,overwrite,delete", "list,read,write,overwrite,delete"},
		{"/in/own/x", "list,read,write,overwrite,delete", "list,read,write,overwrite,delete"},
		{"/in/owner", "write", "write"},
		{"/In", "list,read,write,overwrite,delete,admin", "list,read,write,overwrite,delete,admin"},
		{"/é", "list,read,write,overwrite,delete,admin", "none"},
		{"/é/x y", "none", "none"},
		{"/é/x yz", "list,read,write,overwrite,delete,admin", "list,read,write,overwrite,delete,admin"},
	} {
		if at, below := a.RightsAt(tt.path).String(), a.RightsBelow(tt.path).String(); at != tt.at || below != tt.below {
			t.Errorf("%s: %s, below %s, want %s, below %s", tt.path, at, below, tt.at, tt.below)
		}
	}
	root := one(t, `rules = [ { path = "/", rights = ["list"] }, { path = "/x", rights = ["read"] } ]`)
	if root.RightsAt("/") != List || root.RightsAt("/y/z") != List || root.RightsAt("/x/y") != Read {
		t.Errorf("a rule for the top: %v %v %v", root.RightsAt("/"), root.RightsAt("/y/z"), root.RightsAt("/x/y"))
	}
}

func TestAllowed(t *testing.T) {
	a := one(t, `allow_from = ["192.0.2.0/25", "198.51.100.7", "2001:db8::/32"]`)
	for addr, want := range map[string]bool{
		"192.0.2.1": true, "192.0.2.127": true, "192.0.2.128": false, "198.51.100.7": true, "198.51.100.8": false,
		"::ffff:192.0.2.1": true, "::ffff:198.51.100.8": false, "2001:db8:ffff::1": true, "2001:db9::1": false, "2001:db8::1%eth0": true,
		"127.0.0.1": false, "::1": false,
	} {
		if got := a.Allowed(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %v", addr, got)
		}
	}
	if a.Allowed(netip.Addr{}) {
		t.Error("a socket of this machine is none of these")
	}
	for text, want := range map[string]bool{"": true, `allow_from = []`: true, `allow_from = ["127.0.0.0/8"]`: true, `allow_from = ["::1"]`: true, `allow_from = ["10.0.0.0/8"]`: false} {
		if got := one(t, text).Allowed(netip.Addr{}); got != want {
			t.Errorf("%q: a socket of this machine: %v", text, got)
		}
	}
	if !one(t, "").Allowed(netip.MustParseAddr("203.0.113.9")) {
		t.Error("without a list somebody is refused")
	}
}

func TestExpired(t *testing.T) {
	east := time.FixedZone("east", 10*3600)
	for _, text := range []string{`expires = "2027-03-01"`, `expires = 2027-03-01`} {
		a := one(t, text)
		for _, tt := range []struct {
			now  time.Time
			want bool
		}{
			{time.Date(2027, 2, 28, 23, 59, 59, 999, time.UTC), false},
			{time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC), true},
			{time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC).In(time.FixedZone("west", -3600)), false},
			{time.Date(2027, 2, 28, 14, 0, 0, 0, time.UTC).In(east), true},
			{time.Date(2103, 1, 1, 0, 0, 0, 0, time.UTC), true},
		} {
			if got := a.Expired(tt.now); got != tt.want {
				t.Errorf("%s at %v: %v", text, tt.now, got)
			}
		}
	}
	for _, text := range []string{"", `expires = "never"`} {
		if one(t, text).Expired(time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)) {
			t.Errorf("%q has expired", text)
		}
	}
}

// An account's own keys win over [defaults], also when they take a limit back.
func TestDefaults(t *testing.T) {
	s, err := Parse("u", []byte(`[users.plain]
[users.own]
quota = "1GiB"
rate_up = "none"
allow_from = []
expires = "never"
locked = ""
must_change_password = false
rules = []
max_sessions = "none"
[defaults]
quota = "2GiB"
rate_up = "1MiB/s"
allow_from = ["10.0.0.0/8"]
expires = "2020-01-01"
locked = "closed for the move"
must_change_password = true
max_sessions = 3
[[defaults.rules]]
path = "/x"
rights = []
`))
	if err != nil {
		t.Fatal(err)
	}
	plain, _ := s.Lookup("plain")
	own, _ := s.Lookup("own")
	if plain.Limits != (Limits{Quota: 2 << 30, RateUp: 1 << 20, MaxSessions: 3}) || plain.Expires != "2020-01-01" || plain.Locked != "closed for the move" ||
		!plain.MustChange || len(plain.AllowFrom) != 1 || plain.RightsAt("/x") != 0 || plain.Home != "plain" {
		t.Errorf("plain is %+v", plain)
	}
	if own.Limits != (Limits{Quota: 1 << 30}) || own.Expires != "" || own.Locked != "" || own.MustChange || len(own.AllowFrom) != 0 || own.RightsAt("/x") != All {
		t.Errorf("own is %+v", own)
	}
}

func TestPublicKey(t *testing.T) {
	for _, key := range []string{publicKey, ecdsaKey, rsaKey} {
		a := one(t, `keys = ["`+key+` me@here"]`)
		parsed, _, _, _, err := ssh.ParseAuthorizedKey([]byte(key))
		if err != nil {
			t.Fatal(err)
		}
		k, ok := a.PublicKey(parsed.Marshal())
		if !ok || k.Comment != "me@here" || k.Type() != strings.Fields(key)[0] {
			t.Errorf("%s: %v, %v", key, k, ok)
		}
		if _, ok := a.PublicKey(parsed.Marshal()[1:]); ok {
			t.Error("found by a part of it")
		}
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]Size{
		"1B": 1, "10GiB": 10 << 30, "1.5TiB": 3 << 39, "1500MB": 1500e6, "1 kB": 1000, "0.5KiB": 512, "8191PiB": 8191 << 50, "none": 0,
		"0B": -1, "10": -1, "10G": -1, "GiB": -1, "1.1B": -1, "1e3MB": -1, "+1MB": -1, "1,5MB": -1, "1..5MB": -1, ".MB": -1, "10gib": -1,
		"": -1, "9223372036854775808B": -1, "٣MB": -1, "1MBx": -1, "0x1MB": -1, "1/2MB": -1,
	} {
		got, err := sizeOf(text)
		if (err != nil) != (want < 0) || err == nil && got != want {
			t.Errorf("%q: %d, %v, want %d", text, got, err, want)
		}
		if err != nil {
			continue
		}
		if again, err := sizeOf(got.String()); err != nil || again != got {
			t.Errorf("%q is written %q: %d, %v", text, got, again, err)
		}
	}
	if r, err := rateOf("20MiB/s"); err != nil || r != 20<<20 || r.String() != "20MiB/s" {
		t.Errorf("%v, %v", r, err)
	}
}
