package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ferry/shared/wire"
)

// TestEndedWithAnswer: a connection ends while the last message of an answer is there and nobody has taken the first ones
// yet. Whoever waits for the answer is told, instead of waiting on.
func TestEndedWithAnswer(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	bufs := &wire.Buffers{}
	link := wire.NewLink(ours, 0, bufs)
	c := makeConn(&channel{w: wire.NewConn(link, link)}, run{}, 0, bufs)
	c.start()
	server := wire.NewLink(theirs, 0, bufs)
	w := wire.NewConn(server, server)
	sent := make(chan error, 1)
	go func() {
		if _, err := w.ReadHeader(nil, wire.MaxHeader); err != nil {
			sent <- err
			return
		}
		for _, text := range []string{`{"more":true,"entries":[]}`, `{"entries":[]}`} {
			if err := w.Write([]byte(text), nil); err != nil {
				sent <- err
				return
			}
		}
		sent <- w.Flush()
	}()
	k, err := c.send(&wire.LsRequest{Request: wire.Request{Cmd: wire.CmdLs}, Path: "/"}, nil)
	if err == nil {
		err = c.flush()
	}
	if err == nil {
		err = <-sent
	}
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; { // until the last message is at the door: the first one fills the room
		c.mu.Lock()
		taken := len(c.pending) == 0
		c.mu.Unlock()
		if taken {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the answer did not arrive")
		}
	}
	c.end(&lostError{errSilent})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		var a wire.LsAnswer
		_, more, err := k.next(ctx, &a)
		if err != nil {
			if !IsLost(err) {
				t.Errorf("it ended with %v", err)
			}
			return
		}
		if !more {
			return // it came through after all
		}
	}
}

// TestBodiesHeld: however many answers are under way and however slowly they are taken, a connection holds no more than two bodies.
func TestBodiesHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		bufs := &wire.Buffers{}
		link := wire.NewLink(ours, 0, bufs)
		c := makeConn(&channel{w: wire.NewConn(link, link)}, run{}, time.Hour, bufs)
		c.start()
		server := wire.NewLink(theirs, 0, bufs)
		w := wire.NewConn(server, server)
		var passed atomic.Int32 // messages that the client has read to their end
		go func() {
			for range 2 {
				if _, err := w.ReadHeader(nil, wire.MaxHeader); err != nil {
					t.Error(err)
					return
				}
			}
			body := make([]byte, wire.MaxBody)
			for i := range 8 { // two answers of four messages
				header := fmt.Sprintf(`{"size":%d,"more":%v}`, len(body), i%4 != 3)
				if w.Write([]byte(header), body) != nil || w.Flush() != nil {
					return // the test is over
				}
				passed.Add(1)
			}
		}()
		var calls [2]*call
		for i := range calls {
			var err error
			if calls[i], err = c.send(&wire.GetRequest{Request: wire.Request{Cmd: wire.CmdGet}, Path: "/f"}, nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.flush(); err != nil {
			t.Fatal(err)
		}
		for i := range int32(8) {
			got, _, err := calls[i/4].next(t.Context(), &wire.GetAnswer{})
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if n := passed.Load() - i; n > 2 { // those before i are given back
				t.Errorf("%d bodies are held while body %d is written", n, i)
			}
			c.release(got)
		}
		c.end(errSilent)
		theirs.Close()
		synctest.Wait()
	})
}

// TestBootOf: of a connection that was lost before the server told its boot, a later one tells, if the server is surely the same.
func TestBootOf(t *testing.T) {
	made := time.Now()
	known := func(boot string, began time.Duration) run { return run{boot, made.Add(began)} }
	for _, c := range []struct {
		name       string
		first, now run
		want       string
	}{
		{"told", known("a", -time.Hour), known("b", -time.Minute), "a"},
		{"the same", run{}, known("b", -time.Millisecond), "b"},
		{"another", run{}, known("b", time.Millisecond), unknownBoot},
		{"nobody tells", run{}, run{}, unknownBoot},
	} {
		first, now := &conn{run: c.first, made: made}, &conn{run: c.now, made: made.Add(time.Hour)}
		if got := now.bootOf(first); got != c.want {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

// TestReconnectEnds: the tries to connect go on for as long as they may, and end at once when they are not wanted any more.
func TestReconnectEnds(t *testing.T) {
	for what, c := range map[string]struct {
		limit, cancel, want time.Duration
	}{
		"given up":              {5 * time.Minute, time.Hour, 5 * time.Minute},
		"given up in the pause": {100 * time.Millisecond, time.Hour, 100 * time.Millisecond},
		"cancelled":             {5 * time.Minute, 83 * time.Second, 83 * time.Second},
		"cancelled after a try": {5 * time.Minute, time.Millisecond, time.Millisecond},
		"not allowed to go on":  {0, time.Hour, 0},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tries := 0
				cl := newClient(Options{ReconnectFor: c.limit, Dial: func(context.Context, string, string) (net.Conn, error) {
					tries++
					return nil, net.ErrClosed
				}})
				ctx, cancel := context.WithTimeout(t.Context(), c.cancel)
				defer cancel()
				begin := time.Now()
				err := cl.Ping(ctx)
				if took := time.Since(begin); took != c.want { // of the test's own time
					t.Errorf("it ended after %v, want %v", took, c.want)
				}
				var u *UnreachableError
				if c.cancel <= c.limit && !errors.Is(err, context.DeadlineExceeded) || c.cancel > c.limit && (!errors.As(err, &u) || !u.Lost) {
					t.Errorf("after %d tries: %v", tries, err)
				}
			})
		})
	}
}
