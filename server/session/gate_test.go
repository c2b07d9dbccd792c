package session_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"ferry/server/servertest"
	"ferry/server/session"
	"ferry/shared/login"
	"ferry/shared/wire"
)

// peer is a client that can say anything.
type peer struct {
	t    *testing.T
	nc   net.Conn
	bind login.Binding
}

// answer is what any answer may hold.
type answer struct {
	Message string      `json:"message"`
	Nonce   string      `json:"nonce"`
	Session string      `json:"session"`
	Secret  string      `json:"secret"`
	Error   *wire.Error `json:"error"`

	MustChange bool `json:"must_change"`
}

func (a answer) code() wire.Code {
	if a.Error == nil {
		return ""
	}
	return a.Error.Code
}

// connect returns a connection with TLS up and nothing said.
func connect(t *testing.T, s *servertest.Server) *peer {
	t.Helper()
	nc, err := tls.Dial("tcp", s.Addr(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{wire.ALPN}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(30 * time.Second)) // only a failing test takes so long
	bind, err := login.TLSBinding(nc.ConnectionState())
	if err != nil {
		t.Fatal(err)
	}
	return &peer{t, nc, bind}
}

// greeted returns a connection on which hello was said.
func greeted(t *testing.T, s *servertest.Server) *peer {
	t.Helper()
	p := connect(t, s)
	if a := p.ask(`{"cmd":"hello","version":1}`); a.Error != nil {
		t.Fatal(a.Error)
	}
	return p
}

// plainGreeted is greeted without TLS.
func plainGreeted(t *testing.T, s *servertest.Server) *peer {
	t.Helper()
	nc, err := net.Dial("tcp", s.PlainAddr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(30 * time.Second))
	p := &peer{t: t, nc: nc}
	ours := bytes.Repeat([]byte{7}, 32)
	a := p.ask(`{"cmd":"hello","version":1,"nonce":"` + hex.EncodeToString(ours) + `"}`)
	theirs, err := hex.DecodeString(a.Nonce)
	if err != nil || len(theirs) != 32 {
		t.Fatalf("hello was answered with nonce %q, error %v", a.Nonce, a.Error)
	}
	p.bind = login.PlainBinding(ours, theirs)
	return p
}

func frame(header string) []byte {
	return append(binary.LittleEndian.AppendUint32(nil, uint32(len(header))), header...)
}

func (p *peer) raw(b []byte) {
	p.t.Helper()
	if _, err := p.nc.Write(b); err != nil {
		p.t.Fatal(err)
	}
}

// hear returns the bytes of the next answer's header; a sign of life, which comes whenever the machine is slow, is none.
func (p *peer) hear() []byte {
	p.t.Helper()
	for {
		if b := p.header(); string(b) != `{"more":true}` {
			return b
		}
	}
}

// header returns the bytes of the next header.
func (p *peer) header() []byte {
	p.t.Helper()
	n := make([]byte, 4)
	_, err := io.ReadFull(p.nc, n)
	if err != nil {
		p.t.Fatalf("no answer: %v", err)
	}
	b := make([]byte, binary.LittleEndian.Uint32(n))
	if _, err := io.ReadFull(p.nc, b); err != nil {
		p.t.Fatal(err)
	}
	return b
}

func (p *peer) answer() answer {
	p.t.Helper()
	var a answer
	b := p.hear()
	if err := json.Unmarshal(b, &a); err != nil {
		p.t.Fatalf("answer %q: %v", b, err)
	}
	return a
}

func (p *peer) ask(header string) answer {
	p.t.Helper()
	p.raw(frame(header))
	return p.answer()
}

// closed checks that the server says nothing more and ends the connection.
func (p *peer) closed() {
	p.t.Helper()
	b, err := io.ReadAll(p.nc)
	if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
		p.t.Error("the server did not close the connection")
	}
	if len(b) > 0 {
		p.t.Errorf("the server went on with %q", b)
	}
}

func message(cmd, text string) string {
	b, err := json.Marshal(map[string]string{"cmd": cmd, "message": text})
	if err != nil {
		panic(err)
	}
	return string(b)
}

// login runs one try and returns the last answer.
func (p *peer) login(user, password string) answer {
	p.t.Helper()
	c := login.NewClient(user, password, p.bind)
	a := p.ask(message(wire.CmdLogin, c.First()))
	if a.Error != nil {
		return a
	}
	final, err := c.Final(a.Message)
	if err != nil {
		p.t.Fatal(err)
	}
	a = p.ask(message(wire.CmdProof, final))
	if a.Error == nil {
		if err := c.Verify(a.Message); err != nil {
			p.t.Fatal(err)
		}
	}
	return a
}

// alive checks that the server serves others.
func alive(t *testing.T, s *servertest.Server) {
	t.Helper()
	if a := greeted(t, s).ask(`{"cmd":"ls","path":"/"}`); a.code() != wire.LoginRequired {
		t.Errorf("another connection hears %v", a.Error)
	}
}

// ended waits until the log holds n connections that ended before login, and checks that there are no more.
func ended(t *testing.T, s *servertest.Server, n int) {
	t.Helper()
	const text = "connection ended before login"
	s.Log.Await(t, n, text)
	if got := strings.Count(s.Log.String(), text); got != n {
		t.Errorf("%d lines in the log, want %d", got, n)
	}
}

func TestSilentBeforeTLS(t *testing.T) {
	s := servertest.New(t, servertest.WithTiming(session.Timing{Handshake: 100 * time.Millisecond}))
	nc, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(30 * time.Second))
	(&peer{t: t, nc: nc}).closed()
	ended(t, s, 1)
	alive(t, s)
}

// The time for the login is one time for all of it, however busy the client looks.
func TestLoginDeadline(t *testing.T) {
	s := servertest.New(t, servertest.WithTiming(session.Timing{Login: time.Second}))
	begin := time.Now()
	silent, busy := connect(t, s), connect(t, s)
	silent.closed()
	for {
		if _, err := busy.nc.Write(frame(`{"cmd":"x"}`)); err != nil {
			break
		}
		if _, err := io.ReadFull(busy.nc, make([]byte, 4)); err != nil {
			break
		}
		if time.Since(begin) > 20*time.Second {
			t.Fatal("a busy client is not cut off")
		}
	}
	ended(t, s, 2)
	s.Log.Await(t, 1, "login took too long")
	alive(t, s)
}

// padded returns a header of exactly n bytes with an unknown command.
func padded(n int) string {
	return `{"cmd":"` + strings.Repeat("x", n-len(`{"cmd":""}`)) + `"}`
}

func TestHeaderLimit(t *testing.T) {
	s := servertest.New(t)
	s.AddUser("alice", "secret")
	inside := func(t *testing.T) *peer {
		p := greeted(t, s)
		if a := p.login("alice", "secret"); a.Error != nil {
			t.Fatal(a.Error)
		}
		return p
	}
	for _, tt := range []struct {
		name  string
		start func(*testing.T) *peer
		limit int
	}{
		{"before login", func(t *testing.T) *peer { return greeted(t, s) }, wire.MaxHeaderBeforeLogin},
		{"after login", inside, wire.MaxHeader},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := tt.start(t)
			for range 2 { // and the connection goes on
				if a := p.ask(padded(tt.limit)); a.code() != wire.UnknownCommand {
					t.Errorf("%d bytes: %v", tt.limit, a.Error)
				}
			}
			// Only the length is sent: it is refused before the rest is waited for.
			for _, n := range []uint32{0, uint32(tt.limit) + 1, 1 << 31, 1<<32 - 1} {
				p := tt.start(t)
				p.raw(binary.LittleEndian.AppendUint32(nil, n))
				if a := p.answer(); a.code() != wire.BadRequest {
					t.Errorf("length %d: %v", n, a.Error)
				}
				p.closed()
			}
		})
	}
	alive(t, s)
}

// What is no JSON object in the strict sense ends the connection; a request that is merely wrong does not.
func TestBadHeader(t *testing.T) {
	s := servertest.New(t)
	nested := func(n int) string {
		return `{"cmd":"hello","version":1,"a":` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + `}`
	}
	for _, tt := range []struct {
		header string
		code   wire.Code
		closes bool
	}{
		{`null`, wire.BadRequest, true},
		{`[]`, wire.BadRequest, true},
		{`1`, wire.BadRequest, true},
		{`{`, wire.BadRequest, true},
		{`{"cmd":"hello","version":1,}`, wire.BadRequest, true},
		{`{"cmd":"hello","version":1} {}`, wire.BadRequest, true},
		{`{"cmd":"hello","version":1}x`, wire.BadRequest, true},
		{"\ufeff" + `{"cmd":"hello","version":1}`, wire.BadRequest, true},
		{`{"cmd":"hello","cmd":"hello","version":1}`, wire.BadRequest, true},
		{`{"cmd":"hello","version":1,"version":1}`, wire.BadRequest, true},
		{"{\"cmd\":\"hello\",\"version\":1,\"client\":\"\xff\"}", wire.BadRequest, true},
		{`{"cmd":"hello","version":1,"client":"\ud800"}`, wire.BadRequest, true},
		{`{"cmd":1}`, wire.BadRequest, true},
		{`{"cmd":"ls","size":-1}`, wire.BadRequest, true},
		{`{"cmd":"ls","size":1048577}`, wire.BadRequest, true},
		{nested(wire.MaxDepth + 1), wire.BadRequest, true},
		{strings.Repeat("[", wire.MaxHeaderBeforeLogin), wire.BadRequest, true},
		{`{"a":` + strings.Repeat("[", wire.MaxHeaderBeforeLogin-5), wire.BadRequest, true},
		{nested(wire.MaxDepth), wire.BadRequest, false}, // an unknown key
		{`{}`, wire.UnknownCommand, false},
		{`{"cmd":"Hello","version":1}`, wire.UnknownCommand, false},
		{`{"Cmd":"hello","version":1}`, wire.UnknownCommand, false},
		{`{"cmd":"hello","version":1,"x":1}`, wire.BadRequest, false},
		{`{"cmd":"hello","Version":1}`, wire.BadRequest, false},
		{`{"cmd":"hello","version":"1"}`, wire.BadRequest, false},
		{`{"cmd":"hello","version":1.5}`, wire.BadRequest, false},
		{`{"cmd":"hello","version":1e30}`, wire.BadRequest, false},
		{`{"cmd":"login","message":["a"]}`, wire.BadRequest, false},
	} {
		p := connect(t, s)
		a := p.ask(tt.header)
		if a.code() != tt.code {
			t.Errorf("%.60q: %v, want %s", tt.header, a.Error, tt.code)
		}
		if tt.closes {
			p.closed()
			continue
		}
		// It was not carried out in part: nobody has said hello yet.
		if a := p.ask(message(wire.CmdLogin, "x")); a.code() != wire.Version {
			t.Errorf("%.60q, then login: %v, want %s", tt.header, a.Error, wire.Version)
		}
	}
	alive(t, s)
}

// Nothing but the login works before the login.
func TestLoginRequired(t *testing.T) {
	s := servertest.New(t)
	s.AddUser("alice", "secret")
	p := greeted(t, s)
	for _, cmd := range []string{
		wire.CmdLogout, wire.CmdPing, wire.CmdStat, wire.CmdLs, wire.CmdMkdir, wire.CmdRmdir, wire.CmdRm, wire.CmdMv, wire.CmdSum,
		wire.CmdPut, wire.CmdData, wire.CmdCheck, wire.CmdCommit, wire.CmdGet, wire.CmdVerify, wire.CmdResume, wire.CmdDrop,
		wire.CmdPasswd, wire.CmdKeys, wire.CmdPutKey, wire.CmdDropKey,
	} {
		if a := p.ask(`{"cmd":"` + cmd + `","path":"/x"}`); a.code() != wire.LoginRequired {
			t.Errorf("%s: %v", cmd, a.Error)
		}
	}
	if a := p.ask(`{"cmd":"nonsense"}`); a.code() != wire.UnknownCommand {
		t.Error(a.Error)
	}
	if a := p.ask(`{"cmd":"hello","version":1}`); a.code() != wire.BadRequest {
		t.Errorf("a second hello: %v", a.Error)
	}
	if a := p.ask(message(wire.CmdProof, "x")); a.code() != wire.BadRequest {
		t.Errorf("a proof without login: %v", a.Error)
	}
	if a := p.login("alice", "secret"); a.Error != nil || a.Session == "" {
		t.Fatalf("login after all that: %v", a.Error)
	}
	for _, header := range []string{`{"cmd":"hello","version":1}`, `{"cmd":"attach"}`, `{"cmd":"register"}`} {
		if a := p.ask(header); a.code() != wire.UnknownCommand {
			t.Errorf("%s after the login: %v", header, a.Error)
		}
	}

	p = greeted(t, s)
	p.raw(append(frame(`{"cmd":"put","path":"/x","length":3,"size":3}`), "abc"...))
	if a := p.answer(); a.code() != wire.BadRequest {
		t.Errorf("a body before login: %v", a.Error)
	}
	p.closed()
}

func TestForeignProtocols(t *testing.T) {
	s := servertest.New(t)
	noise := make([]byte, 1024)
	r := rand.NewChaCha8([32]byte{1})
	r.Read(noise)
	n := 0
	for _, first := range []string{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "SSH-2.0-OpenSSH_9.9\r\n", string(noise), string(frame(`{"cmd":"hello","version":1}`))} {
		nc, err := net.Dial("tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		nc.SetDeadline(time.Now().Add(30 * time.Second))
		if _, err := io.WriteString(nc, first); err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(nc); len(b) > 100 || err != nil && err.(net.Error).Timeout() {
			t.Errorf("%.20q is answered with %q, %v", first, b, err)
		}
		nc.Close()
		n++
		ended(t, s, n)
	}
	for _, c := range []*tls.Config{
		{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12},
		{InsecureSkipVerify: true, NextProtos: []string{"h2"}},
	} {
		if nc, err := tls.Dial("tcp", s.Addr(), c); err == nil {
			nc.Close()
			t.Errorf("a handshake for %v, at most %#x, succeeds", c.NextProtos, c.MaxVersion)
		}
		n++
		ended(t, s, n)
	}
	alive(t, s)
}

// A client that asks and asks and never reads is cut off instead of being remembered.
func TestDeafStranger(t *testing.T) {
	s := servertest.New(t, servertest.WithTiming(session.Timing{Login: 3 * time.Second, Stall: 300 * time.Millisecond}))
	nc, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	c := tls.Client(nc, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{wire.ALPN}})
	defer c.Close()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	many := bytes.Repeat(frame(`{"cmd":"nonsense"}`), 100)
	for err == nil {
		_, err = c.Write(many)
	}
	if no, ok := err.(net.Error); ok && no.Timeout() {
		t.Errorf("the server did not cut the connection off: %v", err)
	}
	ended(t, s, 1)
	alive(t, s)
}

// A hundred requests in one piece, and one in as many pieces as it has bytes, are answered alike and in order.
func TestSegments(t *testing.T) {
	s := servertest.New(t)
	p := greeted(t, s)
	var all []byte
	for i := range 100 {
		all = append(all, frame(fmt.Sprintf(`{"cmd":"c%d"}`, i))...)
	}
	check := func() {
		for i := range 100 {
			if a := p.answer(); a.code() != wire.UnknownCommand || !strings.Contains(a.Error.Message, fmt.Sprintf(`"c%d"`, i)) {
				t.Fatalf("answer %d is %v", i, a.Error)
			}
		}
	}
	p.raw(all)
	check()
	for i := range all {
		p.raw(all[i : i+1])
	}
	check()
}

func TestVersion(t *testing.T) {
	s := servertest.New(t)
	for _, header := range []string{`{"cmd":"hello"}`, `{"cmd":"hello","version":0}`, `{"cmd":"hello","version":2}`, `{"cmd":"hello","version":-1}`} {
		p := connect(t, s)
		if a := p.ask(header); a.code() != wire.Version || !strings.Contains(a.Error.Message, "version 1") {
			t.Errorf("%s: %v", header, a.Error)
		}
		p.closed()
	}
	p := connect(t, s)
	if a := p.ask(message(wire.CmdLogin, "n")); a.code() != wire.Version {
		t.Errorf("login without hello: %v", a.Error)
	}
}

// Many keys, or one long string, cost no more than the bytes that may be sent.
func TestWideHeader(t *testing.T) {
	s := servertest.New(t)
	p := connect(t, s)
	keys := `{"cmd":"hello","version":1`
	for i := 0; len(keys) < wire.MaxHeaderBeforeLogin-20; i++ {
		keys += fmt.Sprintf(`,"k%d":1`, i)
	}
	if a := p.ask(keys + "}"); a.code() != wire.BadRequest {
		t.Errorf("%d bytes of keys: %v", len(keys), a.Error)
	}
	if a := p.ask(`{"cmd":"hello","version":1,"client":"` + strings.Repeat("x", 4000) + `"}`); a.Error != nil && a.code() != wire.BadRequest {
		t.Errorf("a long name: %v", a.Error)
	}
	alive(t, s)
}

// A malformed login is answered alike whether the name exists or not.
func TestMalformedLogin(t *testing.T) {
	s := servertest.New(t)
	s.AddUser("alice", "secret")
	texts := []string{"", "NAME", "n,,n=NAME,r=abc", "p=ferry-plain,,n=NAME,r=abcdefghijklmnopqrstuvwx", "p=tls-exporter,,n=NAME", "p=tls-exporter,,n=NAME,r=",
		"p=tls-exporter,,n=NAME,r=" + strings.Repeat("a", 3000), "p=tls-exporter,,n=NAME" + strings.Repeat("x", 3000) + ",r=abcdefghijklmnopqrstuvwx"}
	for _, text := range texts {
		s.Session().Guard().Lift("127.0.0.1") // else so many of them have to wait
		var heard [2][]byte
		for i, name := range []string{"alice", "nobdy"} {
			p := greeted(t, s)
			p.raw(frame(message(wire.CmdLogin, strings.ReplaceAll(text, "NAME", name))))
			heard[i] = p.hear()
		}
		if !bytes.Equal(heard[0], heard[1]) || !bytes.Contains(heard[0], []byte(wire.AuthFailed)) {
			t.Errorf("%.60q: %q for a name that exists, %q for one that does not", text, heard[0], heard[1])
		}
	}
}

// A name that does not exist has a salt like any other: the same on every connection and after a restart.
func TestUnknownName(t *testing.T) {
	s := servertest.New(t)
	s.AddUser("alice", "secret")
	challenge := func(name string) (nonce, rest string) {
		p := greeted(t, s)
		a := p.ask(message(wire.CmdLogin, login.NewClient(name, "x", p.bind).First()))
		if a.Error != nil {
			t.Fatal(a.Error)
		}
		nonce, rest, _ = strings.Cut(a.Message, ",")
		return nonce, rest
	}
	nonce, first := challenge("nobdy")
	real, known := challenge("alice")
	if len(nonce) != len(real) || len(first) != len(known) || first[len(first)-20:] != known[len(known)-20:] {
		t.Errorf("challenges %s,%s and %s,%s look different", nonce, first, real, known)
	}
	_, other := challenge("noone")
	if other == first {
		t.Error("two unknown names have the same salt")
	}
	if _, second := challenge("nobdy"); second != first {
		t.Errorf("the salt changed from %s to %s", first, second)
	}
	s.Restart()
	if _, second := challenge("nobdy"); second != first {
		t.Errorf("after a restart the salt changed from %s to %s", first, second)
	}
}

func TestTries(t *testing.T) {
	s := servertest.New(t)
	s.AddUser("alice", "secret")
	var heard []string
	for _, name := range []string{"alice", "nobody"} {
		p := greeted(t, s)
		for range 3 {
			a := p.login(name, "wrong")
			if a.code() != wire.AuthFailed {
				t.Fatalf("%s: %v", name, a.Error)
			}
			heard = append(heard, a.Error.Message)
		}
		p.nc.Write(frame(message(wire.CmdLogin, login.NewClient("alice", "secret", p.bind).First())))
		p.closed()
	}
	if len(slices.Compact(heard)) != 1 {
		t.Errorf("not the same for a known and an unknown name: %q", heard)
	}
	p := greeted(t, s)
	p.login("alice", "wrong")
	p.login("nobody", "secret")
	if a := p.login("alice", "secret"); a.Error != nil {
		t.Errorf("the third try: %v", a.Error)
	}
}

// A lock and its reason are for those who know the password.
func TestLocked(t *testing.T) {
	s := servertest.New(t)
	s.AddUser("alice", "secret")
	s.Set("alice", "locked", "on leave")
	if a := greeted(t, s).login("alice", "wrong"); a.code() != wire.AuthFailed || strings.Contains(a.Error.Message, "leave") {
		t.Errorf("with a wrong password: %v", a.Error)
	}
	if a := greeted(t, s).login("alice", "secret"); a.code() != wire.Denied || !strings.Contains(a.Error.Message, "on leave") {
		t.Errorf("with the right one: %v", a.Error)
	}
	if n := s.Session().Sessions(); n != 0 {
		t.Errorf("%d sessions", n)
	}
}

// What was recorded of a login is worth nothing on another connection.
func TestReplay(t *testing.T) {
	s := servertest.New(t)
	s.AddUser("alice", "secret")
	for name, start := range map[string]func(*testing.T, *servertest.Server) *peer{"TLS": greeted, "plain": plainGreeted} {
		p := start(t, s)
		c := login.NewClient("alice", "secret", p.bind)
		first := message(wire.CmdLogin, c.First())
		final, err := c.Final(p.ask(first).Message)
		if err != nil {
			t.Fatal(err)
		}
		proof := message(wire.CmdProof, final)
		if a := p.ask(proof); a.Error != nil {
			t.Fatalf("%s: %v", name, a.Error)
		}
		p = start(t, s)
		if a := p.ask(first); a.Error != nil {
			t.Fatalf("%s: %v", name, a.Error)
		}
		if a := p.ask(proof); a.code() != wire.AuthFailed {
			t.Errorf("%s: the recorded proof is answered %v", name, a.Error)
		}
	}
}
