package remote_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ferry/client/remote"
	"ferry/client/transfer"
	"ferry/internal/faultproxy"
	"ferry/server/servertest"
	"ferry/shared/block"
	"ferry/shared/partial"
	"ferry/shared/wire"
)

func TestMain(m *testing.M) {
	flag.Set("test.parallel", "6") // those that may run side by side mostly wait; the command line overrides it
	goleak.VerifyTestMain(m)
}

const (
	password = "correct horse battery"
	patience = 30 * time.Second // longest time for one transfer, however often it is cut
)

// rig is a server with the user alice, and a proxy in front of it.
type rig struct {
	*servertest.Server
	proxy *faultproxy.Proxy
	t     testing.TB
}

func newRig(t testing.TB, options ...servertest.Option) *rig {
	t.Helper()
	s := servertest.New(t, options...)
	s.AddUser("alice", password)
	return &rig{s, newProxy(t, s.Addr()), t}
}

func newProxy(t testing.TB, target string) *faultproxy.Proxy {
	t.Helper()
	p, err := faultproxy.Start(target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// options is how alice comes in through the proxy, with little patience for silence.
func (r *rig) options() remote.Options {
	return remote.Options{
		Address: r.proxy.Addr(), User: "alice", Fingerprint: r.Fingerprint(), Program: "test",
		Password:     func(context.Context) (string, error) { return password, nil },
		ReconnectFor: patience, Silence: 10 * time.Second, DialTimeout: 5 * time.Second,
	}
}

// login logs in, which a client that is soon tired of waiting has to try again on a busy machine.
func (r *rig) login(o remote.Options) *remote.Client {
	r.t.Helper()
	c, err := remote.Login(r.t.Context(), o)
	var away *remote.UnreachableError
	for end := time.Now().Add(patience); o.Silence < patience/3 && errors.As(err, &away) && time.Now().Before(end); {
		c, err = remote.Login(r.t.Context(), o)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	return c
}

// home returns the path of one of alice's files on the server's side.
func (r *rig) home(name string) string { return filepath.Join(r.Home("alice"), name) }

// noise returns n bytes that repeat nowhere near.
func noise(n int, seed uint64) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24), 1}).Read(b)
	return b
}

// source offers b for sending.
func source(b []byte) remote.Source {
	return remote.Source{ReaderAt: bytes.NewReader(b), Length: int64(len(b)), Mtime: 1e18, Check: func() error { return nil }}
}

// target is a download in memory.
type target struct {
	mu sync.Mutex
	b  []byte
}

func (m *target) ReadAt(p []byte, off int64) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return bytes.NewReader(m.b).ReadAt(p, off)
}

func (m *target) WriteAt(p []byte, off int64) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if need := int(off) + len(p); need > len(m.b) {
		m.b = append(m.b, make([]byte, need-len(m.b))...)
	}
	return copy(m.b[off:], p), nil
}

// all is the ranges of a target of n bytes that seems to be complete.
func all(n int) block.Ranges { return block.Ranges{{Off: 0, End: int64(n)}} }

// fetch gets a file through the same steps as the get command.
func fetch(ctx context.Context, c *remote.Client, state, name, local string) (remote.Result, error) {
	e, err := c.Stat(ctx, name)
	if err != nil {
		return remote.Result{}, err
	}
	m := transfer.Mover{Client: c, Jobs: transfer.Jobs{Dir: state}, Ops: partial.Real()}
	return m.Get(ctx, name, e, local, transfer.Options{Force: true})
}

// watch reads a file over and over until the returned function is called, which tells what was there that should not
// have been: allowed are the contents of those digests, and no file at all if absent is true.
func watch(path string, absent bool, allowed ...[32]byte) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	found := make(chan error, 1)
	var seen fs.FileInfo // of which the content was right
	look := func() error {
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) && absent {
			return nil
		}
		if err == nil && seen != nil && os.SameFile(info, seen) && info.Size() == seen.Size() && info.ModTime().Equal(seen.ModTime()) {
			return nil
		}
		b, rerr := os.ReadFile(path)
		if err := errors.Join(err, rerr); err != nil {
			return err
		}
		if sum := sha256.Sum256(b); !slices.Contains(allowed, sum) {
			return errors.New("the file is neither the old nor the new one")
		}
		seen = info
		return nil
	}
	go func() {
		for {
			if err := look(); err != nil || ctx.Err() != nil {
				found <- err
				return
			}
			select { // often enough to see a state that lasts, without taking the processor from the transfer
			case <-ctx.Done():
			case <-time.After(2 * time.Millisecond):
			}
		}
	}()
	return func() error { cancel(); return <-found }
}

// deaf is a network on which answers can get lost: the next bytes that come in after lose was called end the connection
// unread. The request that they answer has then been carried out.
type deaf struct {
	dials atomic.Int32
	next  atomic.Pointer[func()]
}

func (d *deaf) lose(then func()) { d.next.Store(&then) }

func (d *deaf) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	d.dials.Add(1)
	nc, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &deafConn{nc, d}, nil
}

type deafConn struct {
	net.Conn
	d *deaf
}

func (c *deafConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n == 0 {
		return n, err
	}
	if then := c.d.next.Swap(nil); then != nil {
		c.Conn.Close()
		(*then)()
		return 0, net.ErrClosed
	}
	return n, err
}

func mustRead(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustWrite(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func wantCode(t testing.TB, err error, code wire.Code) {
	t.Helper()
	if wire.CodeOf(err) != code {
		t.Fatalf("got %v, want code %s", err, code)
	}
}
