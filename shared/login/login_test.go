package login

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/xdg-go/scram"
)

// cheap are the lowest costs that clients accept.
func cheap() Params { return Params{Memory: minMemory, Time: minTime, Threads: 1} }

func channel(seed byte) Binding {
	return Binding{GS2: "p=tls-exporter,,", Data: bytes.Repeat([]byte{seed}, 32)}
}

func testFake() Fake { return Fake{Key: []byte("0123456789abcdef0123456789abcdef"), Params: cheap()} }

// pbkdf2Mechanism is RFC 7677's own; Params.Time is its iteration count.
func pbkdf2Mechanism(t testing.TB) mechanism {
	return mechanism{
		derive: func(password, salt []byte, p Params) []byte {
			key, err := pbkdf2.Key(sha256.New, string(password), salt, int(p.Time), 32)
			if err != nil {
				t.Fatal(err)
			}
			return key
		},
		costs: func(p Params) string { return fmt.Sprintf("i=%d", p.Time) },
		parse: func(s string) (Params, error) {
			n, err := strconv.ParseUint(strings.TrimPrefix(s, "i="), 10, 32)
			return Params{Time: uint32(n)}, err
		},
		bound: func(Binding) error { return nil },
	}
}

// fast is the real flow with a hash in the place of Argon2id, which counts its
// runs.
func fast(runs *int) mechanism {
	m := argon2idMechanism()
	m.derive = func(password, salt []byte, p Params) []byte {
		*runs++
		sum := mac(salt, string(password)+m.costs(p))
		return sum[:]
	}
	return m
}

// fixture is an account `alice` and the flow that fast gives.
type fixture struct {
	mechanism mechanism
	runs      int
	record    Record
}

func newFixture(t testing.TB, password string) *fixture {
	f := &fixture{}
	f.mechanism = fast(&f.runs)
	prepared, err := prepare(password)
	if err != nil {
		t.Fatal(err)
	}
	salt := []byte("0123456789abcdef")
	f.record = newSecret(f.mechanism.derive(prepared, salt, cheap()), salt, cheap()).Record()
	f.runs = 0
	return f
}

func (f *fixture) client(user, password string, b Binding) *Client {
	c := newClient(user, newNonce(), b, f.mechanism)
	c.derive = c.fromPassword(password)
	return c
}

func (f *fixture) server(b Binding) *Server {
	lookup := func(user string) (Record, bool) { return f.record, user == "alice" }
	return newServer(newNonce(), b, lookup, testFake(), f.mechanism)
}

// run plays a whole login and returns the first error of either side.
func run(c *Client, s *Server) error {
	challenge, err := s.First(c.First())
	if err != nil {
		return err
	}
	proof, err := c.Final(challenge)
	if err != nil {
		return err
	}
	final, err := s.Final(proof)
	if err != nil {
		return err
	}
	return c.Verify(final)
}

// TestRFC7677Vector plays section 3 of RFC 7677 with both halves.
func TestRFC7677Vector(t *testing.T) {
	m := pbkdf2Mechanism(t)
	b := Binding{GS2: "n,,"}
	salt, _ := decode("W22ZaJ0SNY7soEsUEjb6gQ==", saltSize)
	p := Params{Time: 4096}
	record := newSecret(m.derive([]byte("pencil"), salt, p), salt, p).Record()
	c := newClient("user", "rOprNGfwEbeRWgbNEkqO", b, m)
	c.derive = c.fromPassword("pencil")
	s := newServer("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", b, func(string) (Record, bool) { return record, true }, Fake{}, m)

	step := func(got string, err error, want string) string {
		t.Helper()
		if err != nil || got != want {
			t.Fatalf("got %q, %v\nwant %q", got, err, want)
		}
		return got
	}
	msg := step(c.First(), nil, "n,,n=user,r=rOprNGfwEbeRWgbNEkqO")
	msg, err := s.First(msg)
	msg = step(msg, err, "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")
	msg, err = c.Final(msg)
	msg = step(msg, err, "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
	msg, err = s.Final(msg)
	msg = step(msg, err, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
	if err := c.Verify(msg); err != nil {
		t.Fatal(err)
	}
}

// tlsPair returns both ends' states of one TLS connection.
func tlsPair(t *testing.T, version uint16) (client, server tls.ConnectionState) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	sc := tls.Server(b, &tls.Config{MaxVersion: version, SessionTicketsDisabled: true,
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	cc := tls.Client(a, &tls.Config{MaxVersion: version, InsecureSkipVerify: true})
	done := make(chan error, 1)
	go func() { done <- sc.Handshake() }()
	if err := cc.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return cc.ConnectionState(), sc.ConnectionState()
}

func mustTLSBinding(t *testing.T, cs tls.ConnectionState) Binding {
	t.Helper()
	b, err := TLSBinding(cs)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTLSBinding(t *testing.T) {
	cs, ss := tlsPair(t, tls.VersionTLS13)
	c, s := mustTLSBinding(t, cs), mustTLSBinding(t, ss)
	if c.GS2 != "p=tls-exporter,," || len(c.Data) != 32 || !bytes.Equal(c.Data, s.Data) {
		t.Errorf("ends differ: %q %x, %x", c.GS2, c.Data, s.Data)
	}
	other, _ := tlsPair(t, tls.VersionTLS13)
	if bytes.Equal(mustTLSBinding(t, other).Data, c.Data) {
		t.Error("two connections have the same binding")
	}
	old, _ := tlsPair(t, tls.VersionTLS12)
	for _, cs := range []tls.ConnectionState{old, {}, {Version: tls.VersionTLS13}} {
		if _, err := TLSBinding(cs); err == nil {
			t.Errorf("version %x, handshake %v: accepted", cs.Version, cs.HandshakeComplete)
		}
	}
}

func TestPlainBinding(t *testing.T) {
	mine, theirs := []byte("client nonce 16B"), []byte("server nonce 16B")
	b := PlainBinding(mine, theirs)
	mine[0] = 'X'
	if b.GS2 != "p=ferry-plain,," || string(b.Data) != "client nonce 16Bserver nonce 16B" {
		t.Errorf("%q %q", b.GS2, b.Data)
	}
}

// TestInteropServer logs our client in to an independent server, over a real
// TLS binding; the server does not care how the keys were derived, so Argon2id
// keys serve, too.
func TestInteropServer(t *testing.T) {
	m := argon2idMechanism()
	m.costs, m.parse = pbkdf2Mechanism(t).costs, func(s string) (Params, error) {
		p, err := pbkdf2Mechanism(t).parse(s)
		return Params{Memory: minMemory, Time: p.Time, Threads: 1}, err
	}
	record, err := NewRecord("pencil, päncil", cheap())
	if err != nil {
		t.Fatal(err)
	}
	cs, ss := tlsPair(t, tls.VersionTLS13)
	xb, err := scram.NewTLSExporterBinding(&ss)
	if err != nil {
		t.Fatal(err)
	}
	x, err := scram.SHA256.NewServer(func(user string) (scram.StoredCredentials, error) {
		if user != "al=ice,1" {
			return scram.StoredCredentials{}, fmt.Errorf("user %q", user)
		}
		return scram.StoredCredentials{
			KeyFactors: scram.KeyFactors{Salt: string(record.Salt), Iters: int(record.Params.Time)},
			StoredKey:  record.StoredKey[:], ServerKey: record.ServerKey[:],
		}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for password, want := range map[string]bool{"pencil, päncil": true, "pencil": false} {
		conv := x.NewConversationWithChannelBindingRequired(xb)
		c := newClient("al=ice,1", newNonce(), mustTLSBinding(t, cs), m)
		c.derive = c.fromPassword(password)
		challenge, err := conv.Step(c.First())
		if err != nil {
			t.Fatal(err)
		}
		proof, err := c.Final(challenge)
		if err != nil {
			t.Fatal(err)
		}
		final, _ := conv.Step(proof)
		if got := c.Verify(final) == nil; got != want || conv.Valid() != want {
			t.Errorf("%q: client says %v, server says %v, want %v", password, got, conv.Valid(), want)
		}
	}
}

// TestInteropClient logs an independent client in to our server. It derives
// with PBKDF2 and passes over attribute k.
func TestInteropClient(t *testing.T) {
	salt := []byte("0123456789abcdef")
	p := Params{Memory: minMemory, Time: 4096, Threads: 1}
	record := newSecret(pbkdf2Mechanism(t).derive([]byte("pencil"), salt, p), salt, p).Record()
	cs, ss := tlsPair(t, tls.VersionTLS13)
	xb, err := scram.NewTLSExporterBinding(&cs)
	if err != nil {
		t.Fatal(err)
	}
	for password, want := range map[string]error{"pencil": nil, "pencils": ErrAuth} {
		x, err := scram.SHA256.NewClient("al=ice,1", password, "")
		if err != nil {
			t.Fatal(err)
		}
		conv := x.NewConversationWithChannelBinding(xb)
		s := NewServer(mustTLSBinding(t, ss), func(string) (Record, bool) { return record, true }, testFake())
		first, err := conv.Step("")
		if err != nil {
			t.Fatal(err)
		}
		challenge, err := s.First(first)
		if err != nil || s.User() != "al=ice,1" {
			t.Fatalf("user %q, %v", s.User(), err)
		}
		proof, err := conv.Step(challenge)
		if err != nil {
			t.Fatal(err)
		}
		final, err := s.Final(proof)
		if !errors.Is(err, want) {
			t.Fatalf("%q: %v, want %v", password, err, want)
		}
		if want != nil {
			continue
		}
		if _, err := conv.Step(final); err != nil || !conv.Valid() {
			t.Errorf("client refuses our signature: %v", err)
		}
	}
}

// TestLogin is the whole way with Argon2id, then again with the secret.
func TestLogin(t *testing.T) {
	record, err := NewRecord("correct horse", cheap())
	if err != nil {
		t.Fatal(err)
	}
	if record, err = ParseRecord(record.String()); err != nil {
		t.Fatal(err)
	}
	lookup := func(string) (Record, bool) { return record, true }
	plain := PlainBinding(bytes.Repeat([]byte{1}, 16), bytes.Repeat([]byte{2}, 16))
	c, s := NewClient("alice", "correct horse", plain), NewServer(plain, lookup, testFake())
	if c.Secret() != nil {
		t.Error("secret before the login")
	}
	if err := run(c, s); err != nil || s.User() != "alice" {
		t.Fatalf("user %q, %v", s.User(), err)
	}
	secret := c.Secret()
	c = NewClientSecret("alice", channel(1), secret)
	if err := run(c, NewServer(channel(1), lookup, testFake())); err != nil {
		t.Fatal(err)
	}
	if c.Secret() != secret {
		t.Error("the second login leaves another secret")
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		for _, v := range []any{secret, *secret} {
			if got := fmt.Sprintf(format, v); got != "login.Secret" {
				t.Errorf("%s prints %s", format, got)
			}
		}
	}

	resalted, err := NewRecord("correct horse", cheap())
	if err != nil {
		t.Fatal(err)
	}
	dearer := record
	dearer.Params.Time++
	for name, changed := range map[string]Record{"salt": resalted, "costs": dearer} {
		s := NewServer(channel(1), func(string) (Record, bool) { return changed, true }, testFake())
		if err := run(NewClientSecret("alice", channel(1), secret), s); !errors.Is(err, ErrNeedPassword) {
			t.Errorf("changed %s: %v", name, err)
		}
	}
	if err := run(NewClientSecret("alice", channel(1), nil), NewServer(channel(1), lookup, testFake())); !errors.Is(err, ErrNeedPassword) {
		t.Errorf("no secret: %v", err)
	}
}

func TestSecretNeedsVerify(t *testing.T) {
	f := newFixture(t, "secret")
	c, s := f.client("alice", "secret", channel(1)), f.server(channel(1))
	if err := c.Verify(""); !errors.Is(err, ErrServerProof) {
		t.Errorf("verify before the proof: %v", err)
	}
	challenge, _ := s.First(c.First())
	proof, err := c.Final(challenge)
	if err != nil {
		t.Fatal(err)
	}
	final, err := s.Final(proof)
	if err != nil {
		t.Fatal(err)
	}
	flipped := []byte(final)
	flipped[5] ^= 1
	for _, wrong := range []string{"", "v=", string(flipped), final + ",x=1", final + "\n", "e=other-error", strings.TrimRight(final, "=")} {
		if err := c.Verify(wrong); !errors.Is(err, ErrServerProof) || c.Secret() != nil {
			t.Errorf("%q: %v, secret %v", wrong, err, c.Secret() != nil)
		}
	}
	if err := c.Verify(final); err != nil || c.Secret() == nil {
		t.Errorf("right signature: %v", err)
	}
}

// TestRefusals: wrong password, unknown name and wrong channel end in the same
// error, after messages of the same length.
func TestRefusals(t *testing.T) {
	f := newFixture(t, "secret")
	tests := []struct {
		name           string
		user, password string
		channel        Binding
		want           error
	}{
		{"right", "alice", "secret", channel(1), nil},
		{"wrong password", "alice", "Secret", channel(1), ErrAuth},
		{"unknown user", "malic", "secret", channel(1), ErrAuth},
		{"other channel", "alice", "secret", channel(2), ErrAuth},
	}
	var length int
	for _, tt := range tests {
		c, s := f.client(tt.user, tt.password, channel(1)), f.server(tt.channel)
		challenge, err := s.First(c.First())
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if length == 0 {
			length = len(challenge)
		}
		if len(challenge) != length {
			t.Errorf("%s: challenge of %d bytes, others %d", tt.name, len(challenge), length)
		}
		proof, err := c.Final(challenge)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		final, err := s.Final(proof)
		if err != tt.want || (err != nil) != (final == "") {
			t.Errorf("%s: %q, %v, want %v", tt.name, final, err, tt.want)
		}
		if _, err := s.Final(proof); err == nil {
			t.Errorf("%s: a second proof was taken", tt.name)
		}
		if _, err := s.First(c.First()); err == nil {
			t.Errorf("%s: a second first message was taken", tt.name)
		}
	}
}

// TestSameWork compares what the server allocates for the two kinds of name.
// Leaving out one HMAC for either shows as six; pools that the race detector
// empties at random account for one or two.
func TestSameWork(t *testing.T) {
	f := newFixture(t, "secret")
	allocs := func(user string) float64 {
		return testing.AllocsPerRun(50, func() {
			s := f.server(channel(1))
			if _, err := s.First("p=tls-exporter,,n=" + user + ",r=0123456789abcdef0123456789abcdef"); err != nil {
				t.Fatal(err)
			}
			proof := s.binding.finalWithoutProof(s.nonce) + ",p=" + encode(make([]byte, 32))
			if _, err := s.Final(proof); err != ErrAuth {
				t.Fatal(err)
			}
		})
	}
	if known, unknown := allocs("alice"), allocs("malic"); max(known, unknown)-min(known, unknown) > 3 {
		t.Errorf("known name %v allocations, unknown %v", known, unknown)
	}
}

// TestUnknownUserNeverIn: even who knows the fake record's keys is refused.
func TestUnknownUserNeverIn(t *testing.T) {
	f := newFixture(t, "secret")
	lookup := func(string) (Record, bool) { return f.record, false }
	fake := testFake()
	s := newServer(newNonce(), channel(1), lookup, fake, f.mechanism)
	c := f.client("ghost", "secret", channel(1))
	challenge, err := s.First(c.First())
	if err != nil {
		t.Fatal(err)
	}
	// As if the fake record were that of a password the client knows.
	s.record = f.record
	s.first = strings.Replace(challenge, encode(fake.Record("ghost").Salt), encode(f.record.Salt), 1)
	proof, err := c.Final(s.first)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Final(proof); err != ErrAuth {
		t.Errorf("got %v", err)
	}
}

func TestFakeStable(t *testing.T) {
	a, again, b := testFake().Record("ghost"), testFake().Record("ghost"), testFake().Record("spirit")
	if a.String() != again.String() {
		t.Error("one name, two records")
	}
	if bytes.Equal(a.Salt, b.Salt) || a.StoredKey == b.StoredKey || a.ServerKey == b.ServerKey || a.StoredKey == a.ServerKey {
		t.Error("records share values")
	}
	other := testFake()
	other.Key = []byte("another")
	if bytes.Equal(other.Record("ghost").Salt, a.Salt) {
		t.Error("the salt does not depend on the key")
	}
	if _, err := ParseRecord(a.String()); err != nil {
		t.Errorf("not of a real record's shape: %v", err)
	}
}

// TestReplay: a recorded login is worth nothing on another connection, nor on
// the same one.
func TestReplay(t *testing.T) {
	f := newFixture(t, "secret")
	c, s := f.client("alice", "secret", channel(1)), f.server(channel(1))
	first := c.First()
	challenge, _ := s.First(first)
	proof, err := c.Final(challenge)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Final(proof); err != nil {
		t.Fatal(err)
	}
	for _, b := range []Binding{channel(1), channel(2)} {
		s := f.server(b)
		if _, err := s.First(first); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Final(proof); err != ErrAuth {
			t.Errorf("channel %x: replay gives %v", b.Data[0], err)
		}
	}
	// The server's nonce fixed as well: only the channel differs.
	same := newServer(strings.TrimPrefix(s.nonce, c.nonce), channel(2), s.lookup, testFake(), f.mechanism)
	if again, err := same.First(first); err != nil || again != challenge {
		t.Fatalf("%q, %v", again, err)
	}
	if _, err := same.Final(proof); err != ErrAuth {
		t.Errorf("replay with the same nonces gives %v", err)
	}
}

func TestUnboundRefused(t *testing.T) {
	f := newFixture(t, "secret")
	for _, b := range []Binding{{}, {GS2: "n,,", Data: []byte("x")}, {GS2: "y,,", Data: []byte("x")}, {GS2: "p=tls-exporter,,"}} {
		c, s := f.client("alice", "secret", b), f.server(b)
		if _, err := s.First(c.First()); err == nil {
			t.Errorf("server takes binding %q", b.GS2)
		}
		if _, err := c.Final("r=" + c.nonce + newNonce() + ",s=" + encode(f.record.Salt) + "," + formatCosts(cheap())); err == nil {
			t.Errorf("client takes binding %q", b.GS2)
		}
	}
	if f.runs != 0 {
		t.Errorf("hashed %d times", f.runs)
	}
}

// TestClientRefusesChallenge: a challenge that no honest server sends is
// refused before the password is hashed.
func TestClientRefusesChallenge(t *testing.T) {
	const salt, costs = "MDEyMzQ1Njc4OWFiY2RlZg==", "i=2,k=argon2id:v=19:m=19456:p=1"
	nonce, added := "clientnonce-0123456789", "servernonce-0123456789"
	good := "r=" + nonce + added + ",s=" + salt + "," + costs
	any := errors.New("any")
	tests := []struct {
		challenge string
		want      error
	}{
		{good, nil},
		{"", any},
		{"r=" + nonce + added, any},
		{"r=" + nonce + ",s=" + salt + "," + costs, any},
		{"r=" + nonce + "short,s=" + salt + "," + costs, any},
		{"r=" + nonce + strings.Repeat("x", 200) + ",s=" + salt + "," + costs, any},
		{"r=x" + nonce[1:] + added + ",s=" + salt + "," + costs, any},
		{"r=" + nonce + "server nonce 0123456789,s=" + salt + "," + costs, any},
		{"m=x," + good, any},
		{good + ",x=1", any},
		{good + "\n", any},
		{" " + good, any},
		{strings.Replace(good, ",s=", ",S=", 1), any},
		{strings.Replace(good, salt, "", 1), any},
		{strings.Replace(good, salt, strings.TrimRight(salt, "="), 1), any},
		{strings.Replace(good, salt, "MDEy\nMzQ1Njc4OWFiY2RlZg==", 1), any},
		{strings.Replace(good, salt, "MDEyMzQ1Njc4OWFiY2RlZh==", 1), any}, // stray bits
		{strings.Replace(good, salt, "MDEyMzQ1Njc=", 1), any},
		{strings.Replace(good, costs, "i=4096", 1), any},
		{strings.Replace(good, "argon2id", "argon2i", 1), any},
		{strings.Replace(good, "v=19", "v=16", 1), any},
		{strings.Replace(good, "i=2", "i=02", 1), any},
		{strings.Replace(good, "i=2", "i=+2", 1), any},
		{strings.Replace(good, "i=2", "i=0x2", 1), any},
		{strings.Replace(good, "i=2", "i=-2", 1), any},
		{strings.Replace(good, "i=2", "i=4294967298", 1), any},
		{strings.Replace(good, "p=1", "p=257", 1), any},
		{strings.Replace(good, "i=2", "i=1", 1), ErrWeakServer},
		{strings.Replace(good, "i=2", "i=0", 1), ErrWeakServer},
		{strings.Replace(good, "m=19456", "m=19455", 1), ErrWeakServer},
		{strings.Replace(good, "m=19456", "m=0", 1), ErrWeakServer},
		{strings.Replace(good, "p=1", "p=0", 1), ErrWeakServer},
		{strings.Replace(good, "i=2", "i=16", 1), nil},
		{strings.Replace(good, "i=2", "i=17", 1), any},
		{strings.Replace(good, "m=19456", "m=1048576", 1), nil},
		{strings.Replace(good, "m=19456", "m=1048577", 1), any},
	}
	for _, tt := range tests {
		runs := 0
		c := newClient("alice", nonce, channel(1), fast(&runs))
		c.derive = c.fromPassword("secret")
		proof, err := c.Final(tt.challenge)
		switch {
		case tt.want == nil && (err != nil || runs != 1):
			t.Errorf("%q: %v after %d runs", tt.challenge, err, runs)
		case tt.want != nil && (err == nil || proof != "" || runs != 0):
			t.Errorf("%q: accepted, %d runs", tt.challenge, runs)
		case tt.want == ErrWeakServer && !errors.Is(err, ErrWeakServer):
			t.Errorf("%q: %v", tt.challenge, err)
		}
		if _, err := c.Final(good); err == nil {
			t.Errorf("%q: a second challenge was answered", tt.challenge)
		}
	}
}

// TestTampered: whatever a man in the middle alters in a challenge that stays
// well formed, the login fails.
func TestTampered(t *testing.T) {
	f := newFixture(t, "secret")
	tests := map[string]func(challenge string) string{
		"nothing": func(s string) string { return s },
		"salt":    func(s string) string { return strings.Replace(s, encode(f.record.Salt), encode(make([]byte, 16)), 1) },
		"time":    func(s string) string { return strings.Replace(s, "i=2", "i=3", 1) },
		"memory":  func(s string) string { return strings.Replace(s, "m=19456", "m=19457", 1) },
		"threads": func(s string) string { return strings.Replace(s, "p=1", "p=2", 1) },
		"nonce": func(s string) string {
			i := strings.Index(s, ",s=") - 1
			return s[:i] + string('A'+('B'-s[i])&1) + "zz" + s[i+1:]
		},
	}
	for name, tamper := range tests {
		c, s := f.client("alice", "secret", channel(1)), f.server(channel(1))
		challenge, err := s.First(c.First())
		if err != nil {
			t.Fatal(err)
		}
		altered := tamper(challenge)
		proof, err := c.Final(altered)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_, err = s.Final(proof)
		if want := name != "nothing"; (err == ErrAuth) != want || (altered != challenge) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestServerFirstMalformed: refused before the name is looked up.
func TestServerFirstMalformed(t *testing.T) {
	const gs2, nonce = "p=tls-exporter,,", "0123456789abcdef"
	tests := []struct {
		message, user string // user is empty where the message is to be refused
	}{
		{gs2 + "n=alice,r=" + nonce, "alice"},
		{gs2 + "n=a=2Cb=3Dc,r=" + nonce, "a,b=c"},
		{gs2 + "n==3D2C,r=" + nonce, "=2C"},
		{gs2 + "n=" + strings.Repeat("a", 255) + ",r=" + nonce, strings.Repeat("a", 255)},
		{gs2 + "n=" + strings.Repeat("a", 256) + ",r=" + nonce, ""},
		{"", ""},
		{"n,,n=alice,r=" + nonce, ""},
		{"y,,n=alice,r=" + nonce, ""},
		{"p=tls-unique,,n=alice,r=" + nonce, ""},
		{"p=ferry-plain,,n=alice,r=" + nonce, ""},
		{"P=tls-exporter,,n=alice,r=" + nonce, ""},
		{"p=tls-exporter,a=bob,n=alice,r=" + nonce, ""},
		{gs2, ""},
		{gs2 + "n=alice", ""},
		{gs2 + "r=" + nonce, ""},
		{gs2 + "n=,r=" + nonce, ""},
		{gs2 + "N=alice,r=" + nonce, ""},
		{gs2 + "m=x,n=alice,r=" + nonce, ""},
		{gs2 + "n=alice,r=" + nonce + ",x=1", ""},
		{gs2 + "n=alice,r=" + nonce + ",r=" + nonce, ""},
		{gs2 + "n=alice,x=1,r=" + nonce, ""},
		{gs2 + "n=alice,r=" + nonce[1:], ""},
		{gs2 + "n=alice,r=" + strings.Repeat("x", 129), ""},
		{gs2 + "n=alice,r=0123456789abcdé!!", ""},
		{gs2 + "n=alice,r=" + nonce + "\n", ""},
		{gs2 + "n=al=ice,r=" + nonce, ""},
		{gs2 + "n=alice=,r=" + nonce, ""},
		{gs2 + "n=alice=2c,r=" + nonce, ""},
		{gs2 + "n=alice=41,r=" + nonce, ""},
		{gs2 + "n=al\x00ice,r=" + nonce, ""},
		{gs2 + "n=al\xffice,r=" + nonce, ""},
	}
	for _, tt := range tests {
		looked := false
		s := NewServer(channel(1), func(string) (Record, bool) { looked = true; return Record{}, false }, testFake())
		challenge, err := s.First(tt.message)
		if (err == nil) != (tt.user != "") || looked != (tt.user != "") || s.User() != tt.user {
			t.Errorf("%q: user %q, looked up %v, %v", tt.message, s.User(), looked, err)
		}
		if tt.user != "" {
			continue
		}
		if challenge != "" {
			t.Errorf("%q: answered %q", tt.message, challenge)
		}
		if _, err := s.Final("c=,r=,p=" + encode(make([]byte, 32))); err == nil || errors.Is(err, ErrAuth) {
			t.Errorf("%q: proof after it: %v", tt.message, err)
		}
	}
}

func TestServerFinalMalformed(t *testing.T) {
	f := newFixture(t, "secret")
	malformed := errors.New("any but ErrAuth")
	replace := func(old, new string) func(string) string {
		return func(s string) string { return strings.Replace(s, old, new, 1) }
	}
	tests := []struct {
		name  string
		alter func(proof string) string
		want  error
	}{
		{"untouched", replace("", ""), nil},
		{"empty", func(string) string { return "" }, malformed},
		{"no proof", func(s string) string { return s[:strings.Index(s, ",p=")] }, malformed},
		{"extension", replace(",p=", ",x=1,p="), malformed},
		{"trailing", func(s string) string { return s + "," }, malformed},
		{"upper case", replace("c=", "C="), malformed},
		{"nonce missing", replace(",r=", ",n="), malformed},
		{"proof unpadded", func(s string) string { return strings.TrimSuffix(s, "=") }, malformed},
		{"proof with a line break", replace(",p=", ",p=\n"), malformed},
		{"proof short", func(s string) string { return s[:strings.Index(s, ",p=")+3] + encode(make([]byte, 31)) }, malformed},
		{"proof empty", func(s string) string { return s[:strings.Index(s, ",p=")+3] }, malformed},
		{"proof zero", func(s string) string { return s[:strings.Index(s, ",p=")+3] + encode(make([]byte, 32)) }, ErrAuth},
		{"nonce empty", func(s string) string {
			i, j := strings.Index(s, ",r="), strings.Index(s, ",p=")
			return s[:i+3] + s[j:]
		}, ErrAuth},
		{"nonce longer", replace(",p=", "x,p="), ErrAuth},
		{"binding empty", func(s string) string { return "c=" + s[strings.Index(s, ",r="):] }, ErrAuth},
		{"binding n", func(s string) string { return "c=biws" + s[strings.Index(s, ",r="):] }, ErrAuth},
		{"binding not base64", replace("c=", "c=*"), ErrAuth},
	}
	for _, tt := range tests {
		c, s := f.client("alice", "secret", channel(1)), f.server(channel(1))
		challenge, _ := s.First(c.First())
		proof, err := c.Final(challenge)
		if err != nil {
			t.Fatal(err)
		}
		final, err := s.Final(tt.alter(proof))
		if errors.Is(err, ErrAuth) != (tt.want == ErrAuth) || (err == nil) != (tt.want == nil) || (final == "") != (tt.want != nil) {
			t.Errorf("%s: %q, %v, want %v", tt.name, final, err, tt.want)
		}
	}
}

// TestProofBitFlips: no single wrong bit of a proof gets in.
func TestProofBitFlips(t *testing.T) {
	f := newFixture(t, "secret")
	for bit := range 256 {
		c, s := f.client("alice", "secret", channel(1)), f.server(channel(1))
		challenge, _ := s.First(c.First())
		proof, err := c.Final(challenge)
		if err != nil {
			t.Fatal(err)
		}
		i := strings.Index(proof, ",p=") + 3
		raw, err := base64.StdEncoding.DecodeString(proof[i:])
		if err != nil {
			t.Fatal(err)
		}
		raw[bit/8] ^= 1 << (bit % 8)
		if _, err := s.Final(proof[:i] + encode(raw)); err != ErrAuth {
			t.Fatalf("bit %d: %v", bit, err)
		}
	}
}

func FuzzServerFirst(f *testing.F) {
	for _, s := range []string{"alice", "a=2Cb=3Dc", "al=ice", ""} {
		f.Add("p=tls-exporter,,n=" + s + ",r=0123456789abcdef")
	}
	f.Fuzz(func(t *testing.T, message string) {
		fx := newFixture(t, "secret")
		s := fx.server(channel(1))
		challenge, err := s.First(message)
		if err != nil {
			if challenge != "" || s.User() != "" {
				t.Fatalf("refused, but answers %q to %q", challenge, s.User())
			}
			return
		}
		_, nonce, _ := strings.Cut(message, ",r=")
		c := newClient(s.User(), nonce, channel(1), fx.mechanism)
		if c.First() != message {
			t.Fatalf("%q is read as %q", message, c.First())
		}
		c.derive = c.fromPassword("secret")
		if _, err := c.Final(challenge); err != nil {
			t.Fatalf("our client refuses %q: %v", challenge, err)
		}
	})
}

func FuzzClientFinal(f *testing.F) {
	const nonce = "clientnonce-0123456789"
	f.Add("r=" + nonce + "servernonce-0123456789,s=MDEyMzQ1Njc4OWFiY2RlZg==,i=2,k=argon2id:v=19:m=19456:p=1")
	f.Add("r=" + nonce + ",s=,i=4096")
	f.Fuzz(func(t *testing.T, challenge string) {
		runs := 0
		c := newClient("alice", nonce, channel(1), fast(&runs))
		var costs Params
		derive := c.fromPassword("secret")
		c.derive = func(salt []byte, p Params) (*Secret, error) { costs = p; return derive(salt, p) }
		proof, err := c.Final(challenge)
		if err != nil {
			if proof != "" || runs != 0 {
				t.Fatalf("refused after %d runs, with %q", runs, proof)
			}
			return
		}
		if err := costs.Check(); err != nil {
			t.Fatal(err)
		}
		if f := strings.Split(challenge, ","); !strings.Contains(proof, ","+f[0]+",p=") || f[2]+","+f[3] != formatCosts(costs) {
			t.Fatalf("%q answered with %q", challenge, proof)
		}
	})
}
