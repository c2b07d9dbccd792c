package login

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestRecordRoundTrip(t *testing.T) {
	a, err := NewRecord("secret", cheap())
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewRecord("secret", cheap())
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(a.Salt, b.Salt) || a.StoredKey == b.StoredKey || a.ServerKey == b.ServerKey {
		t.Error("one password twice gives related records")
	}
	back, err := ParseRecord(a.String())
	if err != nil || back.String() != a.String() || back.StoredKey != a.StoredKey || back.ServerKey != a.ServerKey {
		t.Errorf("%s comes back as %s, %v", a, back, err)
	}
}

// TestRecordGolden pins the form: records outlive releases. The wanted values
// come from libargon2, the reference implementation, and Python's hmac.
func TestRecordGolden(t *testing.T) {
	salt := []byte("0123456789abcdef")
	for want, p := range map[string]Params{
		"$scram-sha256-argon2id$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$0iYaZiC0YmfCND42nH0eRgdTm78n1J43fw8VoWaJcKngd8zxV15t8lGQEt1CoaabSrhFf3z71/HrCuZn2RtKiw": cheap(),
		"$scram-sha256-argon2id$v=19$m=65536,t=3,p=4$MDEyMzQ1Njc4OWFiY2RlZg$j0J0yLighTtd4Guod6KPnFYGJ0BxtlXHyt7z4E/Y79F/6/Bcvsq97L/9vPHgSWMkqngi4hfNjV4IZI6AQ+KAaQ": DefaultParams(),
	} {
		if got := newSecret(argon2id([]byte("pencil"), salt, p), salt, p).Record().String(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestParseRecordRefuses(t *testing.T) {
	keys := base64.RawStdEncoding.EncodeToString(bytes.Repeat([]byte{0x5a}, 64))
	const salt = "MDEyMzQ1Njc4OWFiY2RlZg"
	good := "$scram-sha256-argon2id$v=19$m=65536,t=3,p=4$" + salt + "$" + keys
	if r, err := ParseRecord(good); err != nil || r.Params != DefaultParams() || string(r.Salt) != "0123456789abcdef" {
		t.Fatalf("%+v, %v", r.Params, err)
	}
	replace := func(old, new string) string { return strings.Replace(good, old, new, 1) }
	tests := []struct {
		record string
		scheme bool // whether the error is ErrScheme
	}{
		{"", false},
		{"hunter2", false},
		{"$", false},
		{"$$", true},
		{"$scram-sha256-argon2id", false},
		{"$argon2id$v=19$m=65536,t=3,p=4$" + salt + "$" + keys, true},
		{"$2b$12$abcdefghijklmnopqrstuv", true},
		{replace("$scram-sha256-argon2id", "$SCRAM-SHA256-ARGON2ID"), true},
		{replace("$scram-sha256-argon2id", "$opaque"), true},
		{good[1:], false},
		{" " + good, false},
		{good + "$", false},
		{good + "\n", false},
		{good + "=", false},
		{replace("v=19", "v=16"), false},
		{replace("v=19$", ""), false},
		{replace("m=65536,t=3", "t=3,m=65536"), false},
		{replace("t=3", "t=03"), false},
		{replace("t=3", "t=+3"), false},
		{replace("t=3", "t= 3"), false},
		{replace("t=3", "t=-3"), false},
		{replace("p=4", "p=4,x=1"), false},
		{replace("p=4", "p=0"), false},
		{replace("p=4", "p=256"), false},
		{replace("m=65536", "m=19455"), false},
		{replace("m=65536", "m=1048577"), false},
		{replace("m=65536", "m=99999999999999999999"), false},
		{replace("t=3", "t=1"), false},
		{replace("t=3", "t=17"), false},
		{replace(salt, ""), false},
		{replace(salt, salt+"=="), false},
		{replace(salt, "MDEy\nMzQ1Njc4OWFiY2RlZg"), false},
		{replace(salt, "MDEyMzQ1Njc4OWFiY2RlZh"), false}, // stray bits
		{replace(salt, "MDEyMzQ1Njc4OWFiY2Rl"), false},
		{replace(salt, "MDEyMzQ1Njc4OWFiY2RlZmc"), false},
		{replace(keys, keys[:43]), false},
		{replace(keys, strings.ReplaceAll(keys, "W", "-")), false},
	}
	for _, tt := range tests {
		r, err := ParseRecord(tt.record)
		if err == nil || errors.Is(err, ErrScheme) != tt.scheme || r.Salt != nil {
			t.Errorf("%q: %v", tt.record, err)
			continue
		}
		if len(tt.record) > 8 && strings.Contains(err.Error(), tt.record[len(tt.record)-8:]) {
			t.Errorf("the error quotes the record: %v", err)
		}
	}
}

func TestNewRecordRefuses(t *testing.T) {
	for name, password := range map[string]string{
		"empty":          "",
		"1025 bytes":     strings.Repeat("a", 1025),
		"1 MiB":          strings.Repeat("a", 1<<20),
		"newline":        "secret\n",
		"tab":            "sec\tret",
		"nul":            "sec\x00ret",
		"not UTF-8":      "sec\xffret",
		"cut UTF-8":      "sec\xc3",
		"unassigned":     "sec\U000e0fffret",
		"right to left ": "sec\u202eret",
	} {
		if r, err := NewRecord(password, cheap()); err == nil {
			t.Errorf("%s: made %v", name, r.Params)
		} else if len(password) > 3 && strings.Contains(err.Error(), password[:3]) {
			t.Errorf("%s: the error quotes the password: %v", name, err)
		}
	}
	for _, p := range []Params{{}, {19455, 2, 1}, {19456, 1, 1}, {19456, 2, 0}, {1<<20 + 1, 2, 1}, {19456, 17, 1}} {
		if _, err := NewRecord("secret", p); err == nil {
			t.Errorf("%+v accepted", p)
		}
	}
	if err := DefaultParams().Check(); err != nil {
		t.Error(err)
	}
}

// TestPasswordNotHashed: a password that cannot be one is refused by the
// client, too, without the cost of hashing it.
func TestPasswordNotHashed(t *testing.T) {
	f := newFixture(t, "secret")
	for _, password := range []string{"", strings.Repeat("a", 1025), strings.Repeat("a", 1<<20), "a\nb"} {
		if err := run(f.client("alice", password, channel(1)), f.server(channel(1))); err == nil || errors.Is(err, ErrAuth) {
			t.Errorf("%d bytes: %v", len(password), err)
		}
	}
	if f.runs != 0 {
		t.Errorf("hashed %d times", f.runs)
	}
	if err := run(f.client("alice", strings.Repeat("a", 1024), channel(1)), f.server(channel(1))); err != ErrAuth {
		t.Errorf("1024 bytes: %v", err)
	}
}

// TestPasswordForms is what OpaqueString (RFC 8265, section 4.2) makes one
// password of: composed and decomposed forms, and the various spaces. Case,
// width, outer blanks and look-alikes stay different passwords.
func TestPasswordForms(t *testing.T) {
	tests := []struct {
		set, typed string
		same       bool
	}{
		{"secret", "secret", true},
		{"p\u00e4ss", "pa\u0308ss", true}, // NFC, NFD
		{"pa\u0308ss", "p\u00e4ss", true},
		{"\u1e9b\u0323", "\u017f\u0323\u0307", true},
		{"\ud55c", "\u1112\u1161\u11ab", true}, // conjoining jamo
		{"a b", "a\u00a0b", true},
		{"a b", "a\u3000b", true},
		{"secret", "Secret", false},
		{"secret", " secret", false},
		{"secret", "secret ", false},
		{"secret", "\uff53ecret", false}, // full width
		{"\ufb01sh", "fish", false},      // no compatibility mapping
		{"\U0001f600", "\U0001f600", true},
		{"\U0001f600", "\U0001f601", false},
		{strings.Repeat("x", 72) + "a", strings.Repeat("x", 72) + "b", false}, // beyond bcrypt's 72 bytes
		{strings.Repeat("x", 1023) + "a", strings.Repeat("x", 1023) + "b", false},
	}
	for _, tt := range tests {
		f := newFixture(t, tt.set)
		err := run(f.client("alice", tt.typed, channel(1)), f.server(channel(1)))
		if (err == nil) != tt.same {
			t.Errorf("%+q for %+q: %v", tt.typed, tt.set, err)
		}
	}
}

// TestLongPasswordsDiffer has the real derivation tell byte 73.
func TestLongPasswordsDiffer(t *testing.T) {
	salt := make([]byte, saltSize)
	a, b := []byte(strings.Repeat("x", 72)+"a"), []byte(strings.Repeat("x", 72)+"b")
	if bytes.Equal(argon2id(a, salt, cheap()), argon2id(b, salt, cheap())) {
		t.Error("passwords that differ at byte 73 are one")
	}
}

func FuzzParseRecord(f *testing.F) {
	good := Fake{Params: DefaultParams()}.Record("alice").String()
	f.Add(good)
	f.Add(strings.Replace(good, "p=4", "p=04", 1))
	f.Add("$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA")
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRecord(s)
		if err != nil {
			if fmt.Sprint(r) != fmt.Sprint(Record{}) {
				t.Fatalf("%v, but %v", err, r)
			}
			return
		}
		if r.String() != s {
			t.Fatalf("%q comes back as %q", s, r)
		}
		if err := r.Params.Check(); err != nil {
			t.Fatal(err)
		}
	})
}
