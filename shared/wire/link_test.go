package wire

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

const bodies = 64 // of 1 MiB

func sendBodies(t *testing.T, c *Conn) {
	body := make([]byte, MaxBody)
	for i := range bodies {
		body[0] = byte(i)
		if err := c.Write([]byte(`{"cmd":"data","size":1048576}`), body); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
}

func TestWritesAreGathered(t *testing.T) {
	nc := &scripted{w: io.Discard}
	c := over(nc, time.Minute)
	sendBodies(t, c)
	if nc.writes > 9*bodies || nc.largest > linkBuffer {
		t.Errorf("%d writes of up to %d bytes for %d bodies of 1 MiB", nc.writes, nc.largest, bodies)
	}
	if _, out := c.Link().Traffic(); out != bodies*(MaxBody+4+29) {
		t.Errorf("%d bytes counted", out)
	}

	nc.writes = 0
	for range 1000 {
		if err := c.Write(make([]byte, 100), nil); err != nil {
			t.Fatal(err)
		}
	}
	if nc.writes != 0 {
		t.Errorf("%d writes before Flush", nc.writes)
	}
	if err := c.Flush(); err != nil || nc.writes != 1 {
		t.Errorf("1000 small messages left in %d writes, %v", nc.writes, err)
	}
	if c.w != nil || c.link.w != nil {
		t.Error("a buffer is held after Flush")
	}
}

// counted counts the calls of a connection that works.
type counted struct {
	net.Conn
	writes, largest int
}

func (c *counted) Write(p []byte) (int, error) {
	c.writes++
	c.largest = max(c.largest, len(p))
	return c.Conn.Write(p)
}

func TestWritesAreGatheredWithTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	near, far := net.Pipe()
	received := make(chan error, 1)
	go func() {
		s := tls.Server(far, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS13})
		n, err := io.Copy(io.Discard, s)
		if want := int64(bodies * (MaxBody + 4 + 29)); err == nil && n != want {
			err = fmt.Errorf("%d bytes came, want %d", n, want)
		}
		received <- err
	}()
	nc := &counted{Conn: near}
	link := NewLink(nc, time.Minute, &Buffers{})
	client := tls.Client(link, &tls.Config{InsecureSkipVerify: true, DynamicRecordSizingDisabled: true, MinVersion: tls.VersionTLS13})
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	c := NewConn(client, link)
	nc.writes = 0
	sendBodies(t, c)
	_, out := link.Traffic()
	if most := int(out/linkBuffer) + 2; nc.writes > most || nc.largest > linkBuffer {
		t.Errorf("%d writes of up to %d bytes, want at most %d", nc.writes, nc.largest, most)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := <-received; err != nil {
		t.Error(err)
	}
}

// Many messages that are there at once are read in large pieces.
func TestReadsAhead(t *testing.T) {
	message := append(header(100), make([]byte, 4096)...)
	const count = 4096
	nc := &scripted{r: bytes.NewReader(bytes.Repeat(message, count))}
	c := over(nc, 0)
	body := make([]byte, 4096)
	for i := range count {
		if _, err := c.ReadHeader(nil, MaxHeader); err != nil {
			t.Fatal(i, err)
		}
		if err := c.ReadBody(body); err != nil {
			t.Fatal(i, err)
		}
	}
	if most := len(message)*count/linkBuffer + 10; nc.reads > most {
		t.Errorf("%d reads for %d messages, want at most %d", nc.reads, count, most)
	}
}

// pair is a Conn and the other end of its line, in a bubble of time.
func pair(t *testing.T, stall time.Duration, test func(c *Conn, peer net.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		c := over(near, stall)
		test(c, far)
		far.Close()
		near.Close()
		time.Sleep(48 * time.Hour) // takes no time in the bubble: goroutines that a test leaves behind end
	})
}

// A connection between two messages holds no buffers, whatever the last one was.
func TestIdleHoldsNoBuffers(t *testing.T) {
	for _, size := range []int{0, 513, 4096, recordSize, recordSize + 5, 100 << 10, linkBuffer, MaxBody} {
		pair(t, time.Minute, func(c *Conn, peer net.Conn) {
			message := append(header(100), make([]byte, size)...)
			got := make(chan error)
			go func() {
				for range 2 {
					_, err := c.ReadHeader(nil, MaxHeader)
					if err == nil {
						err = c.ReadBody(make([]byte, size))
					}
					got <- err
				}
				_, err := c.ReadHeader(nil, MaxHeader)
				got <- err
			}()
			for i := range 3 {
				time.Sleep(time.Hour)
				synctest.Wait()
				if c.link.r != nil {
					t.Errorf("after %d messages with %d bytes the link holds a buffer for an hour", i, size)
				}
				if i < 2 {
					peer.Write(message)
					if err := <-got; err != nil {
						t.Errorf("message %d with %d bytes: %v", i, size, err)
					}
				}
			}
			peer.Close()
			if err := <-got; err != io.EOF {
				t.Errorf("at the end: %v", err)
			}
		})
	}
}

func TestStall(t *testing.T) {
	whole := append(header(10), "body!"...)
	for _, c := range []struct {
		name  string
		sent  int // bytes before the pause
		pause time.Duration
		want  error
	}{
		{"between messages", 0, 24 * time.Hour, nil},
		{"inside the length, short", 1, 59 * time.Second, nil},
		{"inside the length", 1, time.Hour, os.ErrDeadlineExceeded},
		{"behind the length", 4, time.Hour, os.ErrDeadlineExceeded},
		{"inside the header", 9, time.Hour, os.ErrDeadlineExceeded},
		{"before the body", 14, time.Hour, os.ErrDeadlineExceeded},
		{"inside the body", 16, time.Hour, os.ErrDeadlineExceeded},
		{"inside the body, short", 16, 59 * time.Second, nil},
		{"behind the message", len(whole), time.Hour, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			pair(t, time.Minute, func(conn *Conn, peer net.Conn) {
				go func() {
					peer.Write(whole[:c.sent])
					time.Sleep(c.pause)
					peer.Write(whole[c.sent:]) // fails once the other end is closed
				}()
				begin := time.Now()
				_, err := conn.ReadHeader(nil, MaxHeader)
				if err == nil {
					err = conn.ReadBody(make([]byte, 5))
				}
				if !errors.Is(err, c.want) {
					t.Errorf("%v, want %v", err, c.want)
				}
				if took := time.Since(begin); c.want != nil && took != time.Minute {
					t.Errorf("noticed after %v", took)
				}
			})
		})
	}
}

// A peer that is slow but goes on is not stalled, however long it takes.
func TestSlowIsNoStall(t *testing.T) {
	pair(t, time.Minute, func(c *Conn, peer net.Conn) {
		go func() {
			for _, b := range header(100) {
				time.Sleep(59 * time.Second)
				peer.Write([]byte{b})
			}
		}()
		if _, err := c.ReadHeader(nil, MaxHeader); err != nil {
			t.Error(err)
		}
	})
}

func TestWriteStall(t *testing.T) {
	pair(t, time.Minute, func(c *Conn, peer net.Conn) {
		go func() { // takes a little every 59 s, then nothing
			for range 5 {
				time.Sleep(59 * time.Second)
				io.ReadFull(peer, make([]byte, linkBuffer))
			}
		}()
		begin := time.Now()
		err := c.Write([]byte("{}"), make([]byte, MaxBody))
		if err == nil {
			err = c.Flush()
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begin) != 5*59*time.Second+time.Minute {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
}

func TestSetLimit(t *testing.T) {
	pair(t, time.Minute, func(c *Conn, peer net.Conn) {
		begin := time.Now()
		c.Link().SetLimit(begin.Add(30 * time.Second))
		go func() {
			for _, b := range header(100) { // lively, but not done in time
				if _, err := peer.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}()
		_, err := c.ReadHeader(nil, MaxHeader)
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begin) != 30*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
	// Between two messages too, also while a buffer is lent.
	for _, size := range []int{0, linkBuffer} {
		pair(t, time.Minute, func(c *Conn, peer net.Conn) {
			begin := time.Now()
			c.Link().SetLimit(begin.Add(50 * time.Millisecond)) // less than a lull
			go peer.Write(append(header(100), make([]byte, size)...))
			_, err := c.ReadHeader(nil, MaxHeader)
			if err == nil {
				err = c.ReadBody(make([]byte, size))
			}
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.ReadHeader(nil, MaxHeader)
			if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begin) != 50*time.Millisecond {
				t.Errorf("%v after %v", err, time.Since(begin))
			}
		})
	}
	// Lifted, it is as if it had never been.
	pair(t, time.Minute, func(c *Conn, peer net.Conn) {
		c.Link().SetLimit(time.Now().Add(30 * time.Second))
		go func() {
			peer.Write(header(100))
			time.Sleep(time.Hour)
			peer.Write(header(100))
		}()
		if _, err := c.ReadHeader(nil, MaxHeader); err != nil {
			t.Fatal(err)
		}
		c.Link().SetLimit(time.Time{})
		if _, err := c.ReadHeader(nil, MaxHeader); err != nil {
			t.Error(err)
		}
	})
}

func TestInterrupt(t *testing.T) {
	for _, c := range []struct {
		name string
		sent int           // bytes of a message that come first
		when time.Duration // of the interruption, counted from when they were sent
	}{
		{"before a read", 0, 0}, {"between two messages", 0, time.Hour}, {"inside the length", 2, time.Second}, {"inside the header", 50, time.Second},
		{"inside the body", 200, time.Second}, {"behind a message, in the lull", 104 + linkBuffer, lull / 2},
		{"behind a message, after the lull", 104 + linkBuffer, time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			pair(t, time.Minute, func(conn *Conn, peer net.Conn) {
				begin := time.Now()
				if c.when == 0 {
					conn.Link().Interrupt()
				} else {
					go func() {
						time.Sleep(c.when)
						conn.Link().Interrupt()
					}()
				}
				go peer.Write(append(header(100), make([]byte, linkBuffer)...)[:c.sent])
				var err error
				for err == nil { // whole messages first
					if _, err = conn.ReadHeader(nil, MaxHeader); err == nil {
						err = conn.ReadBody(make([]byte, linkBuffer))
					}
				}
				if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begin) != c.when {
					t.Errorf("%v after %v", err, time.Since(begin))
				}
				if _, err := conn.ReadHeader(nil, MaxHeader); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("a later read: %v", err)
				}
				sent := make(chan error)
				go func() {
					conn.Write([]byte("{}"), nil)
					sent <- conn.Flush()
				}()
				got := make([]byte, 6)
				if _, err := io.ReadFull(peer, got); err != nil || string(got[4:]) != "{}" {
					t.Errorf("writing afterwards: %q, %v", got, err)
				}
				if err := <-sent; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// Close ends a read and a write that are under way, and sends what a link holds back if the peer takes it.
func TestClose(t *testing.T) {
	pair(t, time.Minute, func(c *Conn, peer net.Conn) {
		read, written := make(chan error), make(chan error)
		go func() {
			for {
				if _, err := c.ReadHeader(nil, MaxHeader); err != nil {
					read <- err
					return
				}
			}
		}()
		peer.Write(header(100))
		go func() { written <- c.Write([]byte("{}"), make([]byte, MaxBody)) }()
		synctest.Wait()
		begin := time.Now()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := <-read; err == nil {
			t.Error("the read did not end")
		}
		if err := <-written; err == nil {
			t.Error("the write did not end")
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("it took %v", took)
		}
	})
	pair(t, time.Minute, func(c *Conn, peer net.Conn) {
		got := make(chan []byte)
		go func() {
			b, _ := io.ReadAll(peer)
			got <- b
		}()
		c.Link().Write([]byte("bye"))
		c.Close()
		if b := <-got; string(b) != "bye" {
			t.Errorf("the peer got %q", b)
		}
	})
	pair(t, time.Minute, func(c *Conn, peer net.Conn) { // nobody takes it
		go c.ReadHeader(nil, MaxHeader)
		synctest.Wait()
		c.Link().Write([]byte("bye"))
		begin := time.Now()
		c.Close()
		if took := time.Since(begin); took != time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// One goroutine may close what others are using.
func TestCloseWhileInUse(t *testing.T) {
	near, far := net.Pipe()
	c := over(near, time.Minute)
	go func() {
		for {
			if _, err := far.Write(header(100)); err != nil {
				return
			}
		}
	}()
	go io.Copy(io.Discard, far)
	read, written := make(chan error), make(chan error)
	first := make(chan bool)
	go func() {
		for i := 0; ; i++ {
			if _, err := c.ReadHeader(nil, MaxHeader); err != nil {
				read <- err
				return
			}
			if i == 0 {
				close(first)
			}
		}
	}()
	go func() {
		for {
			c.Write([]byte("{}"), nil)
			if err := c.Flush(); err != nil {
				written <- err
				return
			}
		}
	}()
	<-first
	c.Close()
	<-read
	<-written
	far.Close()
}

func TestTraffic(t *testing.T) {
	pair(t, time.Minute, func(c *Conn, peer net.Conn) {
		go peer.Write(header(100))
		time.Sleep(time.Hour)
		if _, err := c.ReadHeader(nil, MaxHeader); err != nil {
			t.Fatal(err)
		}
		if in, out := c.Link().Traffic(); in != 104 || out != 0 {
			t.Errorf("%d in, %d out", in, out)
		}
		if !c.Link().LastRead().Equal(time.Now()) {
			t.Errorf("last read at %v, now is %v", c.Link().LastRead(), time.Now())
		}
	})
}

func TestBuffers(t *testing.T) {
	var p Buffers
	b := p.Body()
	if len(*b) != MaxBody {
		t.Errorf("a body buffer of %d bytes", len(*b))
	}
	p.PutBody(b)
	p.PutBody(nil)
	if b := p.Body(); b == nil || len(*b) != MaxBody {
		t.Error("nil was kept")
	}
}
