package remote

import (
	"context"
	"net"
	"testing"
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
	c := makeConn(&channel{w: wire.NewConn(link, link)}, "", 0, bufs)
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
