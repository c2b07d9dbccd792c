package remote_test

import (
	"bytes"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"ferry/client/remote"
	"ferry/internal/faultproxy"
	"ferry/shared/wire"
)

// TestKicked: once an administrator has ended the session, no connection of it comes back, neither one that was there nor one that
// was not yet made; a login begins another one.
func TestKicked(t *testing.T) {
	r := newRig(t)
	c := r.login(r.options())
	second, third := c.Sibling(), c.Sibling()
	for _, s := range []*remote.Client{second, third} {
		t.Cleanup(func() { s.Close() })
	}
	if err := second.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	if ids := r.Session().Kick("alice"); len(ids) != 1 {
		t.Fatalf("ended %q", ids)
	}
	r.Log.Await(t, 2, "session ended")
	for name, s := range map[string]*remote.Client{"the first": c, "the second": second} {
		for range 2 {
			if err := s.Ping(t.Context()); wire.CodeOf(err) != wire.Kicked || remote.IsLost(err) {
				t.Errorf("%s connection: %v", name, err)
			}
		}
	}
	if err := third.Ping(t.Context()); wire.CodeOf(err) != wire.Kicked {
		t.Errorf("a new connection: %v", err)
	}
	if list := r.Session().List(); len(list) != 0 {
		t.Errorf("there are sessions again: %+v", list)
	}
	if err := r.login(r.options()).Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestKickedUnheard: a client whose line was gone when an administrator ended its session is told when it comes back.
func TestKickedUnheard(t *testing.T) {
	r := newRig(t)
	c := r.login(r.options())
	r.proxy.CutNow(faultproxy.RST)
	r.Log.Await(t, 1, "session ended")
	if ids := r.Session().Kick("alice"); len(ids) != 1 {
		t.Fatalf("ended %q", ids)
	}
	for range 2 {
		if err := c.Ping(t.Context()); wire.CodeOf(err) != wire.Kicked || remote.IsLost(err) {
			t.Errorf("it hears %v", err)
		}
	}
	if list := r.Session().List(); len(list) != 0 {
		t.Errorf("there are sessions again: %+v", list)
	}
}

// TestKickedPut: of a put over several connections nothing goes on, and its bytes are there for the next one.
func TestKickedPut(t *testing.T) {
	r := newRig(t)
	r.proxy.SetRate(16 << 20)
	c := r.login(r.options())
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	var sent atomic.Int64
	kick := sync.OnceFunc(func() { r.Session().Kick("alice") })
	o := remote.PutOptions{Job: remote.NewID(), Streams: 4, Moved: func(n int64) {
		if sent.Add(n) > 4<<20 {
			kick()
		}
	}}
	_, err := c.Put(t.Context(), "/f", source(data), o)
	var e *wire.Error
	if !errors.As(err, &e) || e.Code != wire.Kicked {
		t.Errorf("the put ended with %v", err)
	}
	if list := r.Session().List(); len(list) != 0 {
		t.Errorf("there are sessions again: %+v", list)
	}
}
