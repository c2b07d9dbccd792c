package remote_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"runtime"
	"sync/atomic"
	"testing"

	"ferry/client/remote"
	"ferry/server/servertest"
	"ferry/shared/block"
)

// toll is a network that counts the calls and bytes of the client's end.
type toll struct{ writes, reads, in, out atomic.Int64 }

func (c *toll) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	nc, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &tollConn{nc, c}, nil
}

type tollConn struct {
	net.Conn
	*toll
}

func (c *tollConn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	n, err := c.Conn.Write(p)
	c.out.Add(int64(n))
	return n, err
}

func (c *tollConn) Read(p []byte) (int, error) {
	c.reads.Add(1)
	n, err := c.Conn.Read(p)
	c.in.Add(int64(n))
	return n, err
}

// TestCosts bounds what a MiB costs in system calls and writes of files, and a byte in bytes on the wire. A bound is what it
// takes and a fifth to a third more; how many reads a get takes depends on when the bytes arrive.
func TestCosts(t *testing.T) {
	const size = 64
	var pwrites atomic.Int64
	r := newRig(t, servertest.WithWrites(func() { pwrites.Add(1) }))
	var n toll
	o := r.options()
	o.Address, o.Dial = r.Addr(), n.dial
	cl := r.login(o)
	data := noise(size<<20, 31)
	costs := func(what string, job func() error, calls, in, out, files int64) {
		t.Helper()
		for _, c := range []*atomic.Int64{&n.writes, &n.reads, &n.in, &n.out, &pwrites} {
			c.Store(0)
		}
		if err := job(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		gotCalls, gotFiles := n.writes.Load()+n.reads.Load(), pwrites.Load()
		if gotCalls > calls || n.in.Load() > in || n.out.Load() > out || gotFiles > files {
			t.Errorf("%s: %d calls, %d bytes in, %d out, %d writes of files, want at most %d, %d, %d, %d", what,
				gotCalls, n.in.Load(), n.out.Load(), gotFiles, calls, in, out, files)
		}
	}
	put := func() error { // over one connection, however long the line seems to a busy machine
		_, err := cl.Put(t.Context(), "/f", source(data), remote.PutOptions{Job: remote.NewID(), Streams: 1})
		return err
	}
	costs("put", put, 700, 64*size, size<<20+128<<10, 80)
	var got target
	got.b = make([]byte, 0, len(data))
	costs("get", func() error {
		e, err := cl.Stat(t.Context(), "/f")
		if err == nil {
			_, err = cl.Get(t.Context(), "/f", e, &got, remote.GetOptions{Streams: 1})
		}
		return err
	}, 700, size<<20+128<<10, 1000, 0)
	if !bytes.Equal(got.b, data) {
		t.Error("other bytes than the source's")
	}
	costs("put of the same", put, 16, 600, 2500, 1)
	data[10*block.Size] ^= 1
	costs("put with one block changed", put, 22, 600, 1<<20+8<<10, 80)
}

// TestPipelineGathers: on one processor the requests of a pipeline leave together, although each is made only when the one before it was
// taken.
func TestPipelineGathers(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	r := newRig(t)
	var n toll
	o := r.options()
	o.Address, o.Dial = r.Addr(), n.dial
	cl := r.login(o)
	const files = 300
	feed := make(chan *remote.Op)
	go func() {
		defer close(feed)
		for i := range files {
			feed <- remote.PutOp(fmt.Sprintf("/%d", i), noise(3000, uint64(i)), 1e18, 0, remote.PutOptions{}, func(_ remote.Result, err error) {
				if err != nil {
					t.Errorf("request %d: %v", i, err)
				}
			})
		}
	}()
	n.writes.Store(0)
	if err := cl.Pipeline(t.Context(), feed); err != nil {
		t.Fatal(err)
	}
	if got := n.writes.Load(); got > files/3 {
		t.Errorf("%d requests left in %d pieces", files, got)
	}
}
