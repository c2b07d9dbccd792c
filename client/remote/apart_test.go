package remote_test

import (
	"context"
	"net"
	"slices"
	"sync"
	"testing"
)

// TestApart: a client apart is of the same session, but makes its connections, and its siblings', in its own way, and nobody
// else hears what happens to them.
func TestApart(t *testing.T) {
	r := newRig(t)
	var mu sync.Mutex
	var said, apart []string
	note := func(list *[]string) func(string) {
		return func(text string) {
			mu.Lock()
			defer mu.Unlock()
			*list = append(*list, text)
		}
	}
	o := r.options()
	o.Notice = note(&said)
	c := r.login(o)
	var conns []net.Conn
	s := c.Apart(func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, network, addr)
		conns = append(conns, nc)
		return nc, err
	}, note(&apart), note(&apart))
	defer s.Close()
	sibling := s.Sibling()
	defer sibling.Close()
	for range 2 {
		if err := sibling.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	conns[0].Close()
	if err := sibling.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := r.Session().Sessions(); n != 1 || len(conns) != 3 {
		t.Errorf("%d sessions, %d connections", n, len(conns))
	}
	mu.Lock()
	defer mu.Unlock()
	if !slices.Contains(apart, "connected again") || len(said) > 0 {
		t.Errorf("the one apart was told %q, the other %q", apart, said)
	}
}
