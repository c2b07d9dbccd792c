package remote_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ferry/client/remote"
	"ferry/client/transfer"
	"ferry/internal/faultproxy"
	"ferry/server/servertest"
	"ferry/shared/block"
	"ferry/shared/login"
	"ferry/shared/partial"
	"ferry/shared/wire"
)

// TestReconnect holds what happens when a session comes back: nobody is asked for the password again, and what changed on
// the server meanwhile counts.
func TestReconnect(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(r *rig)
		want   func(err error) bool
	}{
		{"nothing changed", func(*rig) {}, func(err error) bool { return err == nil }},
		{"restarted", func(r *rig) { r.Restart() }, func(err error) bool { return err == nil }},
		{"password changed", func(r *rig) {
			record, err := login.NewRecord("another", login.Params{Memory: 19 << 10, Time: 2, Threads: 1})
			if err != nil {
				t.Fatal(err)
			}
			r.Set("alice", "auth", record.String())
		}, func(err error) bool { return errors.Is(err, login.ErrNeedPassword) }},
		{"account locked", func(r *rig) { r.Set("alice", "locked", "on leave") },
			func(err error) bool { return wire.CodeOf(err) == wire.Denied }},
		{"some failed logins", func(r *rig) { r.Restart(); r.Fail("alice", 5) }, func(err error) bool { return err == nil }}, // 2 s
		{"many failed logins", func(r *rig) { r.Restart(); r.Fail("alice", 15) }, func(err error) bool { // more than the client's patience
			var refused *remote.RefusedError
			return errors.As(err, &refused) && refused.Why.Code == wire.RateLimited && refused.Hint() == "try again in 15 min"
		}},
		{"account deleted", func(r *rig) { r.DelUser("alice") }, func(err error) bool { // a name that does not exist looks like one with another password
			return errors.Is(err, login.ErrNeedPassword) || errors.Is(err, remote.ErrAuth)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			asked := 0
			o := r.options()
			o.Password = func(context.Context) (string, error) { asked++; return password, nil }
			cl := r.login(o)
			r.proxy.CutNow(faultproxy.RST)
			c.change(r)
			if err := cl.Ping(t.Context()); !c.want(err) {
				t.Errorf("ended with %v", err)
			}
			if asked != 1 {
				t.Errorf("the password was asked for %d times", asked)
			}
			if n := strings.Count(r.Log.String(), "reason=rate_limited"); n > 1 {
				t.Errorf("tried %d times though told to wait", n)
			}
		})
	}
}

// TestKeyChanged holds that a client says nothing to a server that shows another key: the handshake does not even end.
func TestKeyChanged(t *testing.T) {
	r := newRig(t)
	other := servertest.New(t)
	cl := r.login(r.options())
	r.proxy.SetTarget(other.Addr())
	r.proxy.CutNow(faultproxy.FIN)
	var te *remote.TrustError
	if err := cl.Ping(t.Context()); !errors.As(err, &te) || te.Got != other.Fingerprint() || te.Want != r.Fingerprint() {
		t.Fatalf("got %v", err)
	}
	other.Log.Await(t, 1, "TLS handshake failed")
}

func TestReconnectGivesUp(t *testing.T) {
	r := newRig(t)
	o := r.options()
	o.ReconnectFor = 300 * time.Millisecond
	cl := r.login(o)
	r.Stop()
	var u *remote.UnreachableError
	if err := cl.Ping(t.Context()); !errors.As(err, &u) || !u.Lost {
		t.Fatalf("got %v", err)
	}
}

// damages is what may happen to bytes that wait for the rest of a transfer, and how many of them must then travel again.
func damages(length int64) []struct {
	name string
	do   func(path string) error
	cost int64
} {
	return []struct {
		name string
		do   func(path string) error
		cost int64
	}{
		{"none", func(string) error { return nil }, 0},
		{"flipped byte", func(path string) error {
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			var b [1]byte
			if _, err := f.ReadAt(b[:], block.Size+77); err != nil {
				return err
			}
			b[0] ^= 1
			_, err = f.WriteAt(b[:], block.Size+77)
			return err
		}, block.Size},
		{"cut tail", func(path string) error { return os.Truncate(path, 5*block.Size/2) }, length - 2*block.Size},
		{"zeros appended", func(path string) error { return os.Truncate(path, length+3*block.Size) }, 0},
		{"emptied", func(path string) error { return os.Truncate(path, 0) }, length},
	}
}

// TestDamagedStaging holds that what was staged is repaired, and that only what is damaged is sent again.
func TestDamagedStaging(t *testing.T) {
	data := noise(4<<20+5, 5)
	for _, c := range damages(int64(len(data))) {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			cl := r.login(r.options())
			job := remote.NewID()
			src := source(data)
			src.Check = func() error { return remote.ErrSourceChanged } // everything is staged, nothing published
			if _, err := cl.Put(t.Context(), "/f", src, remote.PutOptions{Job: job}); !errors.Is(err, remote.ErrSourceChanged) {
				t.Fatal(err)
			}
			staged, err := filepath.Glob(r.home(".ferry/*/data"))
			if err != nil || len(staged) != 1 {
				t.Fatalf("staged: %v, %v", staged, err)
			}
			if err := c.do(staged[0]); err != nil {
				t.Fatal(err)
			}
			res, err := cl.Put(t.Context(), "/f", source(data), remote.PutOptions{Job: job})
			if err != nil {
				t.Fatal(err)
			}
			if res.Moved != c.cost || res.Reused != int64(len(data))-c.cost {
				t.Errorf("%d bytes moved and %d reused, want %d moved", res.Moved, res.Reused, c.cost)
			}
			if !bytes.Equal(mustRead(t, r.home("f")), data) {
				t.Error("other bytes than the source's")
			}
		})
	}
}

// TestDamagedPartial is the same for downloads.
func TestDamagedPartial(t *testing.T) {
	data := noise(4<<20+5, 6)
	for _, c := range damages(int64(len(data))) {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			cl := r.login(r.options())
			mustWrite(t, r.home("f"), data)
			local := filepath.Join(t.TempDir(), "f")
			mustWrite(t, partial.Name(local), data)
			if err := c.do(partial.Name(local)); err != nil {
				t.Fatal(err)
			}
			res, err := fetch(t.Context(), cl, t.TempDir(), "/f", local)
			if err != nil {
				t.Fatal(err)
			}
			if res.Moved != c.cost || res.Reused != int64(len(data))-c.cost {
				t.Errorf("%d bytes moved and %d reused, want %d moved", res.Moved, res.Reused, c.cost)
			}
			if !bytes.Equal(mustRead(t, local), data) {
				t.Error("other bytes than the source's")
			}
		})
	}
}

// TestSourceChanges alters a local file while it is being sent: the file on the server stays what it was.
func TestSourceChanges(t *testing.T) {
	for name, alter := range map[string]func(path string) error{
		"grows": func(path string) error {
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.Write([]byte("more"))
			return err
		},
		"shrinks": func(path string) error { return os.Truncate(path, 3<<20) },
		"replaced": func(path string) error {
			os.WriteFile(path+"2", noise(8<<20, 9), 0o600)
			return os.Rename(path+"2", path)
		},
		"touched": func(path string) error { return os.Chtimes(path, time.Time{}, time.Unix(1, 0)) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			cl := r.login(r.options())
			old := noise(1<<20, 7)
			mustWrite(t, r.home("f"), old)
			local := filepath.Join(t.TempDir(), "f")
			mustWrite(t, local, noise(8<<20, 8))
			m := transfer.Mover{Client: cl, Jobs: transfer.Jobs{Dir: t.TempDir()}, Ops: partial.Real()}
			altered := false
			_, err := m.Put(t.Context(), local, "/f", transfer.Options{Moved: func(int64) {
				if !altered {
					altered = true
					if err := alter(local); err != nil {
						t.Error(err)
					}
				}
			}})
			if !errors.Is(err, remote.ErrSourceChanged) {
				t.Errorf("got %v", err)
			}
			if !bytes.Equal(mustRead(t, r.home("f")), old) {
				t.Error("the old file is not there any more")
			}
		})
	}
}

// TestRemoteChanges alters a file on the server while it is being fetched: what appears is wholly one version, or nothing.
func TestRemoteChanges(t *testing.T) {
	const length = 48 << 20 // more than is under way at any time
	data, other := noise(length, 10), noise(length+99, 11)
	for _, c := range []struct {
		name  string
		alter func(path string) error
		now   []byte // nil: none
		fails bool   // an error is right, too
	}{
		{"replaced", func(path string) error {
			if err := os.WriteFile(path+"2", other, 0o600); err != nil {
				return err
			}
			return os.Rename(path+"2", path)
		}, other, false},
		{"overwritten", func(path string) error { return os.WriteFile(path, other, 0o600) }, other, true},
		{"truncated", func(path string) error { return os.Truncate(path, 5<<20) }, data[:5<<20], true},
		{"removed", os.Remove, nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			cl := r.login(r.options())
			mustWrite(t, r.home("f"), data)
			e, err := cl.Stat(t.Context(), "/f")
			if err != nil {
				t.Fatal(err)
			}
			local := filepath.Join(t.TempDir(), "f")
			m := transfer.Mover{Client: cl, Jobs: transfer.Jobs{Dir: t.TempDir()}, Ops: partial.Real()}
			altered := false
			_, err = m.Get(t.Context(), "/f", e, local, transfer.Options{Moved: func(int64) {
				if !altered {
					altered = true
					if err := c.alter(r.home("f")); err != nil {
						t.Error(err)
					}
				}
			}})
			if err != nil {
				if _, serr := os.Lstat(local); !c.fails || !errors.Is(serr, fs.ErrNotExist) {
					t.Fatalf("%v; of the file: %v", err, serr)
				}
				return
			}
			if got := mustRead(t, local); !bytes.Equal(got, data) && (c.now == nil || !bytes.Equal(got, c.now)) {
				t.Errorf("%d bytes that are neither version", len(got))
			}
		})
	}
}

// TestTakeOver runs the same job from two clients, the older one on a line that has gone silent: the newer takes over
// without waiting for it, and the older one is told and does not come back.
func TestTakeOver(t *testing.T) {
	r := newRig(t)
	var d deaf // counts
	o := r.options()
	o.Dial, o.Silence = d.dial, 2*patience
	older := r.login(o)
	second := newProxy(t, r.Addr())
	o2 := r.options()
	o2.Address = second.Addr()
	newer := r.login(o2)

	job := remote.NewID()
	one, two := noise(24<<20, 12), noise(24<<20, 13)
	paused, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		first := true
		_, err := older.Put(t.Context(), "/f", source(one), remote.PutOptions{Job: job, Streams: 1, Moved: func(int64) {
			if first {
				first = false
				r.proxy.Pause()
				close(paused)
			}
		}})
		ended <- err
	}()
	<-paused
	begin, first := time.Now(), true
	_, err := newer.Put(t.Context(), "/f", source(two), remote.PutOptions{Job: job, Moved: func(int64) {
		if !first {
			return
		}
		first = false
		if took := time.Since(begin); took > patience { // a silent line counts as gone after 60 s
			t.Errorf("taken over after %v", took)
		}
		r.proxy.Resume()
		if err := <-ended; wire.CodeOf(err) != wire.Superseded {
			t.Errorf("the older one ended with %v", err)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if n := d.dials.Load(); n != 1 {
		t.Errorf("the older one connected %d times", n)
	}
	if !bytes.Equal(mustRead(t, r.home("f")), two) {
		t.Error("the file is not the newer one's")
	}
}

// TestOvertaken: the server reads what was asked on a line that was lost only after the transfer has gone on over another
// one. That takes nothing away from it.
func TestOvertaken(t *testing.T) {
	r := newRig(t)
	var line faultproxy.Late
	t.Cleanup(line.Close)
	o := r.options()
	o.Dial = line.Dial
	cl := r.login(o)
	line.Hold()
	data, first := noise(8<<20, 14), true
	_, err := cl.Put(t.Context(), "/f", source(data), remote.PutOptions{Job: remote.NewID(), Moved: func(int64) {
		if first {
			first = false
			line.Arrive()
			r.Log.Await(t, 2, "msg=put")
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(mustRead(t, r.home("f")), data) {
		t.Error("the file is another one")
	}
}

// TestTwoWriters sends two files to one name at the same time, as different jobs: the second to commit is refused, and
// the file is the first one's.
func TestTwoWriters(t *testing.T) {
	r := newRig(t)
	mustWrite(t, r.home("f"), []byte("old"))
	slow := r.login(r.options())
	second := newProxy(t, r.Addr())
	o2 := r.options()
	o2.Address = second.Addr()
	quick := r.login(o2)
	one, two := noise(24<<20, 14), noise(24<<20, 15)
	first := true
	_, err := slow.Put(t.Context(), "/f", source(one), remote.PutOptions{Job: remote.NewID(), Moved: func(int64) {
		if first {
			first = false
			if _, err := quick.Put(t.Context(), "/f", source(two), remote.PutOptions{Job: remote.NewID()}); err != nil {
				t.Error(err)
			}
		}
	}})
	wantCode(t, err, wire.Conflict)
	if !bytes.Equal(mustRead(t, r.home("f")), two) {
		t.Error("the file is not that of the first to commit")
	}
}

// TestChangedBlocks sends a file over its old version: only the blocks that changed travel.
func TestChangedBlocks(t *testing.T) {
	r := newRig(t)
	cl := r.login(r.options())
	data := noise(64<<20, 16)
	mustWrite(t, r.home("f"), data)
	data[5<<20+1] ^= 1
	data[40<<20+7] ^= 1
	before := r.proxy.Stats()
	res, err := cl.Put(t.Context(), "/f", source(data), remote.PutOptions{Job: remote.NewID()})
	if err != nil {
		t.Fatal(err)
	}
	if res.Moved != 2<<20 || res.Reused != 62<<20 {
		t.Errorf("%d bytes moved, %d reused", res.Moved, res.Reused)
	}
	if up := r.proxy.Stats().Up - before.Up; up >= 4<<20 {
		t.Errorf("%d bytes on the wire", up)
	}
	if !bytes.Equal(mustRead(t, r.home("f")), data) {
		t.Error("other bytes than the source's")
	}
}

// TestAllocations bounds what a large put and a large get cost in memory, client and server together.
func TestAllocations(t *testing.T) {
	r := newRig(t)
	o := r.options()
	o.Address = r.Addr()
	cl := r.login(o)
	data := noise(64<<20, 17)
	got := target{b: make([]byte, 0, len(data))}
	for _, c := range []struct {
		name string
		job  func(path string) error
	}{
		{"put", func(path string) error {
			_, err := cl.Put(t.Context(), path, source(data), remote.PutOptions{Job: remote.NewID()})
			return err
		}},
		{"get", func(string) error {
			e, err := cl.Stat(t.Context(), "/f")
			if err == nil {
				_, err = cl.Get(t.Context(), "/f", e, &got, remote.GetOptions{})
			}
			return err
		}},
	} {
		var before, after runtime.MemStats
		for _, path := range []string{"/warm", "/f"} { // the second one counts
			runtime.ReadMemStats(&before)
			if err := c.job(path); err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			runtime.ReadMemStats(&after)
		}
		mallocs, size := (after.Mallocs-before.Mallocs)/64, (after.TotalAlloc-before.TotalAlloc)/64
		t.Logf("%s: %d allocations and %d bytes for each MiB", c.name, mallocs, size)
		if mallocs > maxMallocs || size > maxAlloc {
			t.Errorf("%s: %d allocations and %d bytes for each MiB, want at most %d and %d", c.name, mallocs, size, maxMallocs, maxAlloc)
		}
	}
}

// maxMallocs is for each MiB of a put of 64 MiB, which takes 68. maxAlloc, in the files race_test.go and norace_test.go, is for
// the bytes: 2 to 3 KiB, and more when a collection empties a pool on the way.
const maxMallocs = 100

// turns is a network that counts how often the client waits for an answer to what it has sent.
type turns struct{ n atomic.Int32 }

func (c *turns) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	nc, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &turnConn{Conn: nc, turns: c}, nil
}

type turnConn struct {
	net.Conn
	turns *turns
	sent  atomic.Bool
}

func (c *turnConn) Write(p []byte) (int, error) {
	c.sent.Store(true)
	return c.Conn.Write(p)
}

func (c *turnConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && c.sent.Swap(false) {
		c.turns.n.Add(1)
	}
	return n, err
}

// TestRoundTrips counts what a slow line is felt by.
func TestRoundTrips(t *testing.T) {
	r := newRig(t)
	var n turns
	o := r.options()
	o.Address, o.Dial = r.Addr(), n.dial
	cl := r.login(o)
	count := func(what string, want int32) {
		t.Helper()
		if got := n.n.Swap(0); got != want {
			t.Errorf("%s takes %d round trips, want %d", what, got, want)
		}
	}
	count("TLS and login", 1+2)
	data := noise(4711, 18)
	res, err := cl.Put(t.Context(), "/f", source(data), remote.PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	count("a small put", 1)
	var got target
	if _, err := cl.Get(t.Context(), "/f", res.Entry, &got, remote.GetOptions{}); err != nil {
		t.Fatal(err)
	}
	count("a get of a known entry", 1)
	if !bytes.Equal(got.b, data) {
		t.Error("other bytes than the source's")
	}
	if err := cl.Mkdir(t.Context(), "/d", false); err != nil {
		t.Fatal(err)
	}
	count("mkdir", 1)
	again := target{b: got.b}
	if res, err := cl.Get(t.Context(), "/f", res.Entry, &again, remote.GetOptions{Have: all(len(data))}); err != nil || !res.Same {
		t.Fatal(fmt.Sprint(res), err)
	}
	count("a get of what is there already", 1)
}

// TestNoProgress: a line that breaks after every login is given up in time, and is not tried without a pause.
func TestNoProgress(t *testing.T) {
	t.Parallel()
	for _, get := range []bool{false, true} {
		t.Run(map[bool]string{false: "put", true: "get"}[get], func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			o := r.options()
			o.ReconnectFor = time.Second
			c := r.login(o)
			data := noise(3<<20, 3)
			mustWrite(t, r.home("f"), data)
			before := r.proxy.Stats()
			r.proxy.CutNow(faultproxy.FIN)
			entry, err := c.Stat(t.Context(), "/f") // on a new connection
			if err != nil {
				t.Fatal(err)
			}
			clean := r.proxy.Stats()
			for range 200 {
				r.proxy.Cut(faultproxy.Down, clean.Down-before.Down-100, faultproxy.FIN) // it comes in, and there is no answer
			}
			r.proxy.CutNow(faultproxy.FIN)
			begin := time.Now()
			if get {
				_, err = fetchEntry(t, c, entry)
			} else {
				_, err = c.Put(t.Context(), "/g", source(data), remote.PutOptions{Job: remote.NewID()})
			}
			var gone *remote.UnreachableError
			if !errors.As(err, &gone) || !gone.Lost {
				t.Errorf("it ended with %v", err)
			}
			if took := time.Since(begin); took > 20*time.Second {
				t.Errorf("it took %v to give up", took)
			}
			if n := r.proxy.Stats().Accepted - clean.Accepted; n > 20 {
				t.Errorf("%d connections in one second", n)
			}
		})
	}
}

func fetchEntry(t *testing.T, c *remote.Client, e wire.Entry) (remote.Result, error) {
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return c.Get(t.Context(), "/f", e, f, remote.GetOptions{})
}
