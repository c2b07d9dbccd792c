package remote_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"ferry/client/remote"
	"ferry/internal/faultproxy"
	"ferry/server/servertest"
)

// putGet moves data up and down over so many connections and wants it whole.
func putGet(t *testing.T, r *rig, c *remote.Client, name string, data []byte, streams int) (up, down remote.Result) {
	t.Helper()
	up, err := c.Put(t.Context(), "/"+name, source(data), remote.PutOptions{Job: remote.NewID(), Streams: streams})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(r.home(name)); err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%d bytes of %d are there, %v", len(got), len(data), err)
	}
	var got target
	down, err = c.Get(t.Context(), "/"+name, up.Entry, &got, remote.GetOptions{Streams: streams})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.b, data) {
		t.Fatal("what came back differs")
	}
	return up, down
}

// TestStreams: a file travels over as many connections as asked for, each byte once.
func TestStreams(t *testing.T) {
	r := newRig(t)
	c := r.login(r.options())
	data := noise(41<<20+11, 1)
	up, down := putGet(t, r, c, "f", data, 4)
	if up.Moved != int64(len(data)) || down.Moved != int64(len(data)) {
		t.Errorf("%d bytes up and %d down, of %d", up.Moved, down.Moved, len(data))
	}
	if n := r.proxy.Stats().Accepted; n != 4 {
		t.Errorf("%d connections, want 4, made once", n)
	}
	// The file over its old version: blocks that are equal are found by any of them.
	data[20<<20] ^= 1
	data[37<<20] ^= 1
	up, err := c.Put(t.Context(), "/f", source(data), remote.PutOptions{Job: remote.NewID(), Streams: 4})
	if err != nil || up.Moved != 2<<20 || up.Reused != int64(len(data))-2<<20 {
		t.Errorf("%d bytes moved and %d reused, %v", up.Moved, up.Reused, err)
	}
}

// TestStreamsByDistance: on a long line several connections are taken without being asked for.
func TestStreamsByDistance(t *testing.T) {
	r := newRig(t)
	r.proxy.SetLatency(10 * time.Millisecond)
	c := r.login(r.options())
	if trip := c.RoundTrip(); trip < 15*time.Millisecond {
		t.Errorf("the round trip is said to be %v", trip)
	}
	putGet(t, r, c, "f", noise(20<<20, 2), 0)
	if n := r.proxy.Stats().Accepted; n != 4 {
		t.Errorf("%d connections, want 4", n)
	}
}

// TestStreamsCut cuts connections of a transfer at many places: the others go on, the lost one comes back, all is whole.
func TestStreamsCut(t *testing.T) {
	t.Parallel()
	data := noise(16<<20+5, 3) // 4 MiB for each connection
	for _, how := range []faultproxy.How{faultproxy.RST, faultproxy.FIN, faultproxy.Silence} {
		t.Run(fmt.Sprint(how), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, servertest.WithBeat(time.Second/5)) // a server that is only slow is not taken for a dead line
			o := r.options()
			o.Silence = time.Second
			c := r.login(o)
			for i := 0; i < 5; i += thin {
				for _, dir := range []faultproxy.Direction{faultproxy.Up, faultproxy.Down} {
					for j := range 3 { // of the connections that are made in this round
						r.proxy.Cut(dir, int64(2000+i*500_001+j*900_001), how)
					}
				}
				putGet(t, r, c, fmt.Sprint("f", i), data, 4)
				r.proxy.CutNow(faultproxy.FIN)
			}
		})
	}
}

// TestStreamsAlone: when no further connection can be made, the first one does it all.
func TestStreamsAlone(t *testing.T) {
	r := newRig(t)
	o := r.options()
	var dials atomic.Int32
	o.Dial = refuseAfter(&dials, 1)
	c := r.login(o)
	putGet(t, r, c, "f", noise(20<<20, 4), 8)
}

// TestStreamsRestart: the server restarts under a transfer of several connections.
func TestStreamsRestart(t *testing.T) {
	var r *rig
	var writes atomic.Int32
	restart := make(chan struct{})
	r = newRig(t, servertest.WithWrites(func() {
		if writes.Add(1) == 12 {
			close(restart)
		}
	}))
	c := r.login(r.options())
	done := make(chan struct{})
	go func() {
		defer close(done)
		<-restart
		r.Restart()
	}()
	data := noise(48<<20, 5)
	up, _ := putGet(t, r, c, "f", data, 4)
	<-done
	if up.Moved+up.Reused < int64(len(data)) {
		t.Errorf("%d bytes moved and %d reused, of %d", up.Moved, up.Reused, len(data))
	}
}

// TestCancelStreams: a cancelled transfer ends, and its connections serve the next one.
func TestCancelStreams(t *testing.T) {
	r := newRig(t)
	c := r.login(r.options())
	ctx, cancel := context.WithCancel(t.Context())
	data := noise(32<<20, 6)
	_, err := c.Put(ctx, "/f", source(data), remote.PutOptions{Job: remote.NewID(), Streams: 4, Moved: func(int64) { cancel() }})
	if err != context.Canceled {
		t.Fatalf("it ended with %v", err)
	}
	putGet(t, r, c, "f", data, 4)
}

// TestSiblings: clients of one session work side by side, and end with it.
func TestSiblings(t *testing.T) {
	r := newRig(t)
	c := r.login(r.options())
	s := c.Sibling()
	defer s.Close()
	if err := s.Mkdir(t.Context(), "/d", false); err != nil {
		t.Fatal(err)
	}
	if n := r.Session().Sessions(); n != 1 {
		t.Errorf("%d sessions, want 1", n)
	}
	if err := c.Logout(); err != nil {
		t.Fatal(err)
	}
	// The session is over: the sibling finds another way in, without a question.
	if err := s.Mkdir(t.Context(), "/e", false); err != nil {
		t.Fatal(err)
	}
	if e, err := s.Stat(t.Context(), "/e"); err != nil || e.Kind != "dir" {
		t.Errorf("%+v, %v", e, err)
	}
}

// refuseAfter is a network on which only the first n connections come about.
func refuseAfter(dials *atomic.Int32, n int32) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if dials.Add(1) > n {
			return nil, errors.New("no way")
		}
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
}
