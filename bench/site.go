package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"ferry/bench/link"
	"ferry/bench/proc"
)

// site is a place where both ends work: a directory on some medium, and a network between them. Its servers start when they
// are first needed.
type site struct {
	b      *bench
	medium string // for people
	disk   bool
	dir    string
	host   string // where servers listen
	client []string
	server []string // words before a command that put it on that side
	link   *link.Link

	servers map[string]*server
	failed  map[string]error // those that did not start

	discarded int // results put aside
}

// server is a running server.
type server struct {
	*running
	addr  string // host:port
	port  string
	root  string // where what clients name lies
	plain string // another address, without encryption
	key   string // what clients need to know of it
	data  string
}

// here returns a path on the client's side.
func (s *site) here(names ...string) string {
	return filepath.Join(append([]string{s.dir, "here"}, names...)...)
}

// wire returns how many bytes crossed the site's network so far.
func (s *site) wire() (int64, error) {
	if s.link != nil {
		n, _, err := s.link.Carried()
		return n, err
	}
	return proc.Received("lo")
}

// up returns the server of a kind, which it starts if need be.
func (s *site) up(ctx context.Context, kind string) (*server, error) {
	if v := s.servers[kind]; v != nil {
		return v, nil
	}
	if err := s.failed[kind]; err != nil {
		return nil, err
	}
	start, ok := starters()[kind]
	if !ok {
		return nil, fmt.Errorf("there is no server %q", kind)
	}
	dir := filepath.Join(s.dir, kind)
	v := &server{root: filepath.Join(dir, "root")}
	err := os.MkdirAll(v.root, 0o755)
	if err == nil {
		err = start(ctx, s, dir, v)
	}
	if err != nil {
		s.failed[kind] = err
		if v.running != nil && v.Process != nil {
			v.stop()
		}
		return nil, err
	}
	s.servers[kind] = v
	return v, nil
}

// launch starts a server's process. It lives until it is stopped, not until ctx ends, so that it can be stopped in order.
func (s *site) launch(v *server, dir string, env []string, argv ...string) error {
	path, err := program(argv[0])
	if err != nil {
		return err
	}
	words := append(s.server[:len(s.server):len(s.server)], path)
	v.running = s.b.prepare(context.Background(), command{argv: append(words, argv[1:]...), dir: dir, env: env})
	return v.start()
}

// listens waits until the server listens at its port.
func (v *server) listens(ctx context.Context) error {
	_, number, err := net.SplitHostPort(v.addr)
	if err != nil {
		return err
	}
	v.port = number
	return v.await(ctx, func() bool {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", v.Process.Pid))
		return err == nil && listening(string(text), number)
	})
}

// listening tells whether /proc/net/tcp shows a listener at a port.
func listening(text, port string) bool {
	var n int
	fmt.Sscan(port, &n)
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) > 3 && f[3] == "0A" && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", n)) {
			return true
		}
	}
	return false
}

// await waits until a server is ready, has ended, or takes too long.
func (v *server) await(ctx context.Context, ready func() bool) error {
	for range 1500 {
		if ready() {
			return nil
		}
		if s, err := statOf(v.Process.Pid); err == nil && s.State == 'Z' {
			err := v.wait()
			v.running = nil
			return fmt.Errorf("it ended: %w", errors.Join(err, errors.New("before it was ready")))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
	return errors.New("it is not ready after 15 s")
}

// close stops the servers.
func (s *site) close() {
	for _, v := range s.servers {
		v.stop() // how it ends changes nothing
	}
	clear(s.servers)
	if s.link != nil {
		if err := s.link.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
	}
}

// freePort returns an address of the host nobody listens at. In another network namespace the number is as good as any.
func (s *site) freePort() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	return net.JoinHostPort(s.host, port), err
}

// program finds a program, also where only root looks.
func program(name string) (string, error) {
	if filepath.IsAbs(name) {
		return name, nil
	}
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("not installed: %s", name)
}
