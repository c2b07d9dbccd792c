package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
)

// endpoint is one place to listen at.
type endpoint struct {
	name      string // as the administrator wrote it
	network   string // tcp or unix
	addr      string
	encrypted bool
}

// endpoints reads the addresses of the three options, in their order.
func endpoints(listen, plain, insecure []string) ([]endpoint, error) {
	var all []endpoint
	for _, name := range listen {
		e := endpoint{name: name, network: "tcp", addr: name, encrypted: true}
		if path, ok := strings.CutPrefix(name, "unix:"); ok {
			if path == "" {
				return nil, usage(fmt.Errorf("listen %s: no path", name))
			}
			e = endpoint{name: name, network: "unix", addr: path}
		}
		all = append(all, e)
	}
	for _, name := range append(plain, insecure...) {
		all = append(all, endpoint{name: name, network: "tcp", addr: name})
	}
	for i, e := range all {
		if e.network != "tcp" {
			continue
		}
		tcp, err := net.ResolveTCPAddr("tcp", e.addr)
		var bad *net.AddrError
		switch {
		case errors.As(err, &bad):
			return nil, usage(&advised{fmt.Errorf("listen %s: %s", e.name, bad.Err), "an address looks like 127.0.0.1:8083, [::1]:8083 or :8083"})
		case err != nil:
			return nil, fmt.Errorf("listen %s: %w", e.name, err)
		case i >= len(listen) && i < len(listen)+len(plain) && !tcp.IP.IsLoopback():
			return nil, usage(&advised{
				fmt.Errorf("listen-plain %s: is not a loopback address, and nothing would be encrypted", e.name),
				"--listen encrypts; where the network itself is private, --listen-plain-insecure " + e.name + " does without",
			})
		}
		all[i].addr = tcp.String() // what was checked is what is bound
	}
	return all, nil
}

// listen opens an endpoint.
func (e endpoint) listen() (net.Listener, error) {
	if e.network == "unix" {
		return listenUnix(e.addr)
	}
	ln, err := net.Listen("tcp", e.addr)
	if err != nil {
		return nil, taken(e.name, err)
	}
	return ln, nil
}

// bound returns the address under which a client reaches ln.
func (e endpoint) bound(ln net.Listener) string {
	if e.network == "unix" {
		return e.name
	}
	return ln.Addr().String()
}

func taken(name string, err error) error {
	var no syscall.Errno
	if !errors.As(err, &no) {
		return fmt.Errorf("listen %s: %w", name, err)
	}
	cause := fmt.Errorf("listen %s: %s", name, no.Error())
	if no == syscall.EADDRINUSE {
		return &advised{cause, "another program listens there: stop it, or give another address with --listen"}
	}
	return cause
}

// listenUnix opens a socket for this user only. What a dead server left in its place is removed, nothing else.
func listenUnix(path string) (net.Listener, error) {
	ln, err := bindUnix(path)
	if errors.Is(err, syscall.EADDRINUSE) && abandoned(path) {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, plain(err)
		}
		ln, err = bindUnix(path)
	}
	if err != nil {
		return nil, taken("unix:"+path, err)
	}
	return ln, nil
}

// bindUnix makes the socket with mode 0600 from the start: the kernel gives the name the mode of the socket it stands for. The
// umask would do that, too, but it belongs to the whole process, and to every file that is made meanwhile.
func bindUnix(path string) (net.Listener, error) {
	private := func(_, _ string, c syscall.RawConn) error {
		var err error
		if cerr := c.Control(func(fd uintptr) { err = syscall.Fchmod(int(fd), 0o600) }); cerr != nil {
			return cerr
		}
		return err
	}
	return (&net.ListenConfig{Control: private}).Listen(context.Background(), "unix", path)
}

// abandoned reports whether path is a socket that nothing listens on.
func abandoned(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != fs.ModeSocket {
		return false
	}
	c, err := net.Dial("unix", path)
	if err == nil {
		c.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}
