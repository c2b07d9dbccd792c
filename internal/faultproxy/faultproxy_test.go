package faultproxy

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

const patience = 10 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a proxy in front of a listener whose connections the test plays the server of.
type rig struct {
	*Proxy
	t  *testing.T
	ln net.Listener
}

func newRig(t *testing.T) *rig {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p, err := Start(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Close()
		ln.Close()
		if s := p.Stats(); s.Open != 0 {
			t.Errorf("%d connections open after Close", s.Open)
		}
	})
	return &rig{p, t, ln}
}

// connect returns both ends of a connection through the proxy.
func (r *rig) connect() (client, server *net.TCPConn) {
	r.t.Helper()
	client = r.dial()
	s, err := r.ln.Accept()
	if err != nil {
		r.t.Fatal(err)
	}
	return client, r.own(s)
}

func (r *rig) dial() *net.TCPConn {
	r.t.Helper()
	c, err := net.Dial("tcp", r.Addr())
	if err != nil {
		r.t.Fatal(err)
	}
	return r.own(c)
}

func (r *rig) own(c net.Conn) *net.TCPConn {
	r.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c.(*net.TCPConn)
}

func (r *rig) await(what string, ok func(Stats) bool) {
	r.t.Helper()
	for end := time.Now().Add(patience); !ok(r.Stats()); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("%s: never, %+v", what, r.Stats())
		}
	}
}

func fired(t *testing.T, ch <-chan struct{}) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(patience):
		t.Fatal("the cut was not made")
	}
}

func send(t *testing.T, c net.Conn, b []byte) {
	t.Helper()
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
}

func receive(t *testing.T, c net.Conn, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c, got); err != nil {
		t.Fatalf("after %d of %d bytes: %v", n, len(want), err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("received %d bytes that differ from those sent", len(got))
	}
}

// nothing asserts that c has no byte to read although its sender had every chance.
func nothing(t *testing.T, c net.Conn) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
	defer c.SetReadDeadline(time.Now().Add(patience))
	n, err := c.Read(make([]byte, 1))
	if n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %d bytes, %v, want silence", n, err)
	}
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

func TestForward(t *testing.T) {
	r := newRig(t)
	client, server := r.connect()
	up, down := random(3_000_000), random(1_234_567)
	go func() { client.Write(up); client.CloseWrite() }()
	go func() { server.Write(down) }()
	receive(t, server, up)
	receive(t, client, down)
	if _, err := server.Read(make([]byte, 1)); err != io.EOF {
		t.Fatalf("server: got %v, want EOF", err)
	}
	send(t, server, []byte("half closed")) // the other direction stays open
	receive(t, client, []byte("half closed"))
	server.Close()
	if _, err := client.Read(make([]byte, 1)); err != io.EOF {
		t.Fatalf("client: got %v, want EOF", err)
	}
	r.await("end", func(s Stats) bool { return s.Open == 0 })
	want := Stats{Accepted: 1, Up: 3_000_000, Down: 1_234_578, ConnUp: 3_000_000, ConnDown: 1_234_578}
	if got := r.Stats(); got != want {
		t.Errorf("stats: got %+v, want %+v", got, want)
	}
}

func TestCut(t *testing.T) {
	ends := map[How]func(error) bool{
		FIN:     func(err error) bool { return err == nil }, // io.ReadAll's end of file
		RST:     func(err error) bool { return errors.Is(err, syscall.ECONNRESET) },
		Silence: func(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) },
	}
	names := map[How]string{FIN: "FIN", RST: "RST", Silence: "Silence"}
	directions := map[Direction]string{Up: "Up", Down: "Down"}
	content := random(200_000)
	for how, isEnd := range ends {
		for dir, dirName := range directions {
			for _, n := range []int{0, 1, 2, chunkSize - 1, chunkSize, chunkSize + 1, 100_000, len(content)} {
				if how == RST && n == 0 {
					continue // TestResetAtOnce
				}
				t.Run(names[how]+dirName, func(t *testing.T) {
					r := newRig(t)
					done := r.Cut(dir, int64(n), how)
					client, server := r.connect()
					from, to := client, server
					if dir == Down {
						from, to = server, client
					}
					go from.Write(content) // fails when the cut is a reset
					if how == Silence {
						fired(t, done)
						client.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
						server.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
					}
					got, err := io.ReadAll(to)
					if !isEnd(err) {
						t.Errorf("receiver: unexpected end: %v", err)
					}
					fired(t, done)
					if !bytes.Equal(got, content[:n]) {
						t.Errorf("received %d bytes, want exactly %d", len(got), n)
					}
					got, err = io.ReadAll(from)
					if len(got) > 0 || !isEnd(err) {
						t.Errorf("sender: got %d bytes, unexpected end: %v", len(got), err)
					}
					s := r.Stats()
					if s.Up+s.Down != int64(n) || s.ConnUp != s.Up || s.ConnDown != s.Down {
						t.Errorf("stats %+v after a cut at %d", s, n)
					}
				})
			}
		}
	}
}

// wantRefused connects and expects a reset, which may be so early that the connect itself fails.
func (r *rig) wantRefused() {
	r.t.Helper()
	c, err := net.Dial("tcp", r.Addr())
	if err == nil {
		_, err = r.own(c).Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		r.t.Errorf("got %v, want a reset", err)
	}
}

func TestResetAtOnce(t *testing.T) {
	r := newRig(t)
	for _, dir := range []Direction{Up, Down} {
		done := r.Cut(dir, 0, RST)
		r.wantRefused()
		fired(t, done)
	}
	if s := r.Stats(); s.Accepted != 2 || s.Up+s.Down != 0 {
		t.Errorf("stats %+v", s)
	}
}

// A receiver that does not read does not keep Close waiting, although a planned reset waits for it.
func TestCloseWhileFlushing(t *testing.T) {
	r := newRig(t)
	const n = 1 << 20 // more than a receiver's buffer takes before it is read, less than a sender's
	done := r.Cut(Up, n, RST)
	client, _ := r.connect()
	go client.Write(random(2 * n))
	r.await("all written", func(s Stats) bool { return s.Up == n })
	select {
	case <-done:
		t.Error("the reset destroyed what the receiver's kernel did not have yet")
	default:
	}
	start := time.Now()
	r.Close()
	if d := time.Since(start); d > flushTime/2 {
		t.Errorf("Close took %v", d)
	}
}

// Plans are used up in the order of connections, and a connection without one is not touched.
func TestCutOrder(t *testing.T) {
	r := newRig(t)
	first, second := r.Cut(Up, 3, RST), r.Cut(Up, 5, FIN)
	for _, tt := range []struct {
		n    int
		done <-chan struct{}
	}{{3, first}, {5, second}} {
		client, server := r.connect()
		go client.Write(random(10))
		fired(t, tt.done)
		if got, _ := io.ReadAll(server); len(got) != tt.n {
			t.Errorf("received %d bytes, want %d", len(got), tt.n)
		}
		client.Close()
	}
	client, server := r.connect()
	send(t, client, random(10))
	receive(t, server, random(10))
	// Bytes are counted when they have been written, which the receiver can be ahead of.
	r.await("all counted", func(s Stats) bool { return s.Accepted == 3 && s.Up == 18 && s.ConnUp == 10 })
}

// A cut in one direction leaves what the other had carried.
func TestCutOtherDirection(t *testing.T) {
	r := newRig(t)
	r.Cut(Up, 4, RST)
	client, server := r.connect()
	send(t, server, []byte("hello"))
	receive(t, client, []byte("hello"))
	send(t, client, []byte("12345"))
	if got, err := io.ReadAll(server); string(got) != "1234" || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("server: got %q, %v", got, err)
	}
	if s := r.Stats(); s.Down != 5 {
		t.Errorf("stats %+v", s)
	}
}

// After FIN an end that goes on sending sees no error, and a later reset of the connection is not needed to end it.
func TestFINDrains(t *testing.T) {
	r := newRig(t)
	client, server := r.connect()
	send(t, client, []byte("x"))
	receive(t, server, []byte("x"))
	r.CutNow(FIN)
	for range 100 {
		send(t, client, random(chunkSize))
	}
	for _, c := range []*net.TCPConn{client, server} {
		if _, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("got %v, want EOF", err)
		}
		c.Close()
	}
	r.await("end", func(s Stats) bool { return s.Open == 0 })
	if s := r.Stats(); s.Up != 1 {
		t.Errorf("stats %+v", s)
	}
}

func TestCutNow(t *testing.T) {
	r := newRig(t)
	type pair struct{ client, server *net.TCPConn }
	var pairs []pair
	for range 5 {
		client, server := r.connect()
		send(t, client, []byte("x"))
		receive(t, server, []byte("x"))
		pairs = append(pairs, pair{client, server})
	}
	go func() { // a writer in full flight
		for {
			if _, err := pairs[0].client.Write(random(chunkSize)); err != nil {
				return
			}
		}
	}()
	go io.Copy(io.Discard, pairs[0].server)
	r.await("flow", func(s Stats) bool { return s.Up > 1<<20 })
	r.CutNow(RST)
	before := r.Stats()
	for _, p := range pairs[1:] {
		for _, c := range []*net.TCPConn{p.client, p.server} {
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("got %v, want a reset", err)
			}
		}
	}
	r.await("end", func(s Stats) bool { return s.Open == 0 })
	// A write under way at the cut may be counted just after it; it is one write.
	if after := r.Stats(); after.Up-before.Up > chunkSize {
		t.Errorf("%d bytes were forwarded after CutNow", after.Up-before.Up)
	}
	client, server := r.connect() // later connections are whole
	send(t, client, []byte("y"))
	receive(t, server, []byte("y"))
}

func TestSilence(t *testing.T) {
	r := newRig(t)
	done := r.Cut(Up, 2, Silence)
	client, server := r.connect()
	send(t, client, []byte("abc"))
	receive(t, server, []byte("ab"))
	fired(t, done)
	send(t, server, []byte("unheard"))
	nothing(t, client)
	nothing(t, server)
	r.Pause() // must not wake it up
	r.Resume()
	r.CutNow(FIN)
	nothing(t, client)
	nothing(t, server)
	if s := r.Stats(); s.Open != 1 || s.Up != 2 || s.Down != 0 {
		t.Errorf("stats %+v", s)
	}
	other, otherServer := r.connect() // not silent, so not released
	r.Release()
	for _, c := range []*net.TCPConn{client, server} {
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("after Release: got %v, want a reset", err)
		}
	}
	send(t, other, []byte("z"))
	receive(t, otherServer, []byte("z"))
	r.Release() // nothing left to do
}

// A silent connection whose ends are gone is still held, and Close ends it.
func TestCloseWhileSilent(t *testing.T) {
	r := newRig(t)
	fin := r.Cut(Down, 0, Silence)
	client, server := r.connect()
	fired(t, fin)
	server.Close()
	nothing(t, client)
	r.Close()
	if _, err := client.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after Close: got %v", err)
	}
}

func TestPause(t *testing.T) {
	r := newRig(t)
	client, server := r.connect()
	content := random(8 << 20)
	go client.Write(content)
	receive(t, server, content[:1000])
	r.Pause()
	r.Pause() // once is enough
	late := r.dial()
	send(t, late, []byte("late"))
	r.await("accept", func(s Stats) bool { return s.Accepted == 2 })

	held := []byte{} // what had been forwarded before the pause
	r.await("everything forwarded", func(s Stats) bool {
		server.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		b, _ := io.ReadAll(server)
		held = append(held, b...)
		return s.Up == int64(1000+len(held))
	})
	server.SetReadDeadline(time.Now().Add(patience))
	at := int64(1000 + len(held))
	if at == int64(len(content)) {
		t.Fatal("everything had passed before the pause")
	}
	nothing(t, server)
	if s := r.Stats(); s.Up != at || s.Open != 2 {
		t.Errorf("received %d bytes, stats %+v", at, s)
	}
	r.Resume()
	if !bytes.Equal(held, content[1000:at]) {
		t.Error("bytes before the pause differ")
	}
	receive(t, server, content[at:])
	s, err := r.ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	receive(t, r.own(s), []byte("late"))
}

// A connection that Pause keeps from the target is cut like the others.
func TestCutBeforeTarget(t *testing.T) {
	r := newRig(t)
	r.Pause()
	silent := r.dial()
	r.await("accept", func(s Stats) bool { return s.Accepted == 1 })
	r.CutNow(Silence)
	reset := r.dial()
	r.await("accept", func(s Stats) bool { return s.Accepted == 2 })
	r.CutNow(RST)
	r.Resume()
	if _, err := reset.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want a reset", err)
	}
	nothing(t, silent)
	r.Release()
	if _, err := silent.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("after Release: got %v, want a reset", err)
	}
}

func TestCutWhilePaused(t *testing.T) {
	r := newRig(t)
	client, server := r.connect()
	r.Pause()
	send(t, client, []byte("lost"))
	r.CutNow(FIN)
	if got, err := io.ReadAll(server); len(got) > 0 || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	r.Resume()
}

func TestCloseWhilePaused(t *testing.T) {
	r := newRig(t)
	client, _ := r.connect()
	r.Pause()
	send(t, client, random(chunkSize))
	r.dial()
	r.await("accept", func(s Stats) bool { return s.Accepted == 2 })
	r.Close()
	r.Close()
	if _, err := net.Dial("tcp", r.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial after Close: %v", err)
	}
}

func TestCloseInFullFlight(t *testing.T) {
	r := newRig(t)
	for range 4 {
		client, server := r.connect()
		for _, c := range []*net.TCPConn{client, server} { // nobody reads, so the proxy blocks in Write
			go func() {
				for {
					if _, err := c.Write(random(chunkSize)); err != nil {
						return
					}
				}
			}()
		}
	}
	r.await("flow", func(s Stats) bool { return s.Up > 1<<20 && s.Down > 1<<20 })
	r.Close()
}

// A reset of one end reaches the other, after what was sent before it.
func TestResetPassesThrough(t *testing.T) {
	r := newRig(t)
	client, server := r.connect()
	send(t, client, []byte("last words"))
	r.await("words", func(s Stats) bool { return s.Up == 10 })
	client.SetLinger(0)
	client.Close()
	got, err := io.ReadAll(server)
	if string(got) != "last words" || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %q, %v", got, err)
	}
}

// A server that answers and closes without reading everything: the client gets the answer, then an error or an end.
func TestAnswerBeforeError(t *testing.T) {
	r := newRig(t)
	client, server := r.connect()
	send(t, client, random(chunkSize))
	r.await("request", func(s Stats) bool { return s.Up == chunkSize })
	send(t, server, []byte("refused"))
	server.Close() // unread bytes: the kernel sends a reset
	got, err := io.ReadAll(client)
	if string(got) != "refused" {
		t.Errorf("got %q, %v", got, err)
	}
	for end := time.Now().Add(patience); err == nil; { // and writing to it fails in the end
		if _, err = client.Write(random(chunkSize)); time.Now().After(end) {
			t.Fatal("writes to a dead server go on")
		}
	}
}

func TestTargetGone(t *testing.T) {
	r := newRig(t)
	r.ln.Close()
	r.wantRefused()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	r.SetTarget(ln.Addr().String())
	r.ln = ln
	client, server := r.connect()
	send(t, client, []byte("back"))
	receive(t, server, []byte("back"))
	if s := r.Stats(); s.Accepted != 2 || s.Open != 1 {
		t.Errorf("stats %+v", s)
	}
}

func TestLatency(t *testing.T) {
	r := newRig(t)
	const oneWay = 40 * time.Millisecond
	r.SetLatency(oneWay)
	client, server := r.connect()
	content := random(4 << 20)
	start := time.Now()
	send(t, client, []byte("ping"))
	receive(t, server, []byte("ping"))
	send(t, server, []byte("pong"))
	receive(t, client, []byte("pong"))
	if d := time.Since(start); d < 2*oneWay {
		t.Errorf("round trip took %v, want at least %v", d, 2*oneWay)
	}
	start = time.Now()
	go client.Write(content)
	receive(t, server, content) // 128 pieces, delayed together and not one after the other
	if d := time.Since(start); d < oneWay || d > 20*oneWay {
		t.Errorf("4 MiB took %v with %v of latency", d, oneWay)
	}
}

func TestRate(t *testing.T) {
	r := newRig(t)
	r.SetRate(1 << 20)
	client, server := r.connect()
	content := random(256 << 10)
	start := time.Now()
	go client.Write(content)
	receive(t, server, content)
	if d := time.Since(start); d < 200*time.Millisecond {
		t.Errorf("256 KiB at 1 MiB/s took %v", d)
	}
	r.SetRate(50) // a byte every 20 ms
	send(t, server, []byte("abc"))
	b := make([]byte, 3)
	if n, err := client.Read(b); n != 1 || err != nil {
		t.Errorf("first read: %d bytes, %v, want one byte", n, err)
	}
	r.SetRate(0)
	receive(t, client, []byte("bc"))
}

// TestLate: what is written to a held connection arrives when it is let, after the client has lost the connection.
func TestLate(t *testing.T) {
	r := newRig(t)
	var line Late
	t.Cleanup(line.Close)
	dial := func() (client, server net.Conn) {
		t.Helper()
		client, err := line.Dial(t.Context(), "tcp", r.Addr())
		if err != nil {
			t.Fatal(err)
		}
		s, err := r.ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		return client, r.own(s)
	}
	c, server := dial()
	send(t, c, []byte("one"))
	receive(t, server, []byte("one"))
	read := make(chan error)
	go func() {
		_, err := c.Read(make([]byte, 1))
		read <- err
	}()
	line.Hold()
	send(t, c, []byte("two"))
	if err := <-read; err == nil {
		t.Error("the client still reads")
	}
	c.Close()
	other, peer := dial()
	send(t, other, []byte("three"))
	receive(t, peer, []byte("three"))
	nothing(t, server)
	send(t, server, []byte("an answer"))
	line.Arrive()
	receive(t, server, []byte("two"))
	if _, err := server.Read(make([]byte, 1)); err != io.EOF {
		t.Error(err)
	}
	send(t, peer, []byte("four"))
	receive(t, other, []byte("four"))
}
