package remote_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"ferry/client/remote"
	"ferry/shared/block"
)

// stuck is a target that takes nothing until it is let go.
type stuck struct {
	mu      sync.Mutex
	entered chan struct{} // closed with the first write
	once    sync.Once
	release chan struct{}
	b       []byte
}

func (s *stuck) ReadAt([]byte, int64) (int, error) { return 0, os.ErrInvalid }

func (s *stuck) WriteAt(p []byte, off int64) (int, error) {
	s.once.Do(func() { close(s.entered) })
	<-s.release
	s.mu.Lock()
	defer s.mu.Unlock()
	return copy(s.b[off:], p), nil
}

// TestManyClients: a hundred sessions at once put, list and get, beside one that takes no bytes: it delays
// nobody, and ends with the exact file when it goes on.
func TestManyClients(t *testing.T) {
	r := newRig(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	o := r.options()
	o.Address = r.Addr()
	large := make([]byte, 24<<20)
	for i := range large {
		large[i] = byte(i / 4096 * 31)
	}
	slow := r.login(o)
	src := func(b []byte) remote.Source {
		return remote.Source{ReaderAt: bytes.NewReader(b), Length: int64(len(b)), Mtime: 1, Check: func() error { return nil }}
	}
	res, err := slow.Put(ctx, "/large", src(large), remote.PutOptions{Job: remote.NewID()})
	if err != nil {
		t.Fatal(err)
	}
	target := &stuck{entered: make(chan struct{}), release: make(chan struct{}), b: make([]byte, len(large))}
	slowDone := make(chan error, 1)
	go func() {
		_, err := slow.Get(ctx, "/large", res.Entry, target, remote.GetOptions{})
		slowDone <- err
	}()
	<-target.entered

	var wg sync.WaitGroup
	hashing := make(chan struct{}, 2) // what Argon2id costs is the clients', and here they share the server's processors
	for i := range 100 {
		wg.Go(func() {
			hashing <- struct{}{}
			c, err := remote.Login(ctx, o)
			<-hashing
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			name, text := fmt.Sprintf("/f%d", i), bytes.Repeat([]byte{byte(i)}, 1000+i)
			got, err := c.Put(ctx, name, src(text), remote.PutOptions{})
			if err != nil {
				t.Error(err)
				return
			}
			there := false
			for e, err := range c.List(ctx, "/", false) {
				if err != nil {
					t.Error(err)
				}
				there = there || "/"+string(e.Name) == name
			}
			if !there {
				t.Errorf("%s is not in the listing", name)
			}
			back := &stuck{entered: make(chan struct{}), release: make(chan struct{}), b: make([]byte, len(text))}
			close(back.release)
			if _, err := c.Get(ctx, name, got.Entry, back, remote.GetOptions{}); err != nil || !bytes.Equal(back.b, text) {
				t.Errorf("%s came back wrong: %v", name, err)
			}
		})
	}
	wg.Wait()
	select {
	case err := <-slowDone:
		t.Errorf("the slow client was done before it took anything: %v", err)
	default:
	}
	close(target.release)
	if err := <-slowDone; err != nil || !bytes.Equal(target.b, large) {
		t.Errorf("the slow client: %v, equal %v", err, bytes.Equal(target.b, large))
	}
}

// TestSteadyMemory: what a transfer allocates does not grow with the file but for a few small things a block.
func TestSteadyMemory(t *testing.T) {
	r := newRig(t)
	o := r.options()
	o.Address = r.Addr()
	c := r.login(o)
	put := func(blocks int) float64 {
		b := make([]byte, blocks*block.Size)
		n := 0
		return testing.AllocsPerRun(2, func() {
			n++
			copy(b, fmt.Sprint(blocks, n)) // another file each time
			for i := range blocks {
				b[i*block.Size] = byte(n)
			}
			src := remote.Source{ReaderAt: bytes.NewReader(b), Length: int64(len(b)), Mtime: int64(n), Check: func() error { return nil }}
			if _, err := c.Put(t.Context(), "/f", src, remote.PutOptions{Job: remote.NewID(), Force: true}); err != nil {
				t.Fatal(err)
			}
		})
	}
	few, many := put(4), put(36)
	if per := (many - few) / 32; per > 150 { // client and server together; each block is checked, sent and answered
		t.Errorf("a block costs %.0f allocations", per)
	} else {
		t.Logf("a block costs %.0f allocations, client and server together", per)
	}
}

// TestIdleSession: a session that has moved files and idles costs the server one goroutine. That it holds no buffers is
// TestIdleHoldsNoBuffers in shared/wire.
func TestIdleSession(t *testing.T) {
	r := newRig(t)
	o := r.options()
	o.Address = r.Addr()
	const sessions = 3
	for i := range sessions {
		c := r.login(o)
		path, data := fmt.Sprintf("/f%d", i), noise(3*block.Size+5, uint64(i))
		if _, err := c.Put(t.Context(), path, source(data), remote.PutOptions{Job: remote.NewID()}); err != nil {
			t.Fatal(err)
		}
		e, err := c.Stat(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Get(t.Context(), path, e, &target{b: make([]byte, 0, len(data))}, remote.GetOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	stacks, deadline := make([]byte, 1<<20), time.Now().Add(20*time.Second)
	for {
		all := strings.Split(string(stacks[:runtime.Stack(stacks, true)]), "\n\n")
		n := 0
		for _, one := range all {
			if strings.Contains(one, "ferry/server/session.(*conn)") {
				n++
			}
		}
		if n == sessions {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines for %d idle sessions:\n%s", n, sessions, strings.Join(all, "\n\n"))
		}
		runtime.Gosched()
	}
}
