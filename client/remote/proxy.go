package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// proxyWait is how long a proxy command may take to end by itself, after its output ended or it was told to.
const proxyWait = time.Second

// ExpandProxy replaces %h, %p and %% in a proxy command by the host and the port of an address and a percent sign.
func ExpandProxy(command, address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", err
	}
	// What is put into a command line for sh must not say anything else there.
	for _, r := range host {
		if r != '.' && r != '-' && r != '_' && r != ':' && r != '%' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
			return "", fmt.Errorf("%q is not a host name for a proxy command", host)
		}
	}
	if strings.HasPrefix(host, "-") {
		return "", fmt.Errorf("%q is not a host name for a proxy command", host)
	}
	var b strings.Builder
	for i := 0; i < len(command); i++ {
		if command[i] != '%' {
			b.WriteByte(command[i])
			continue
		}
		i++
		text, ok := "", i < len(command)
		if ok {
			text, ok = map[byte]string{'h': host, 'p': port, '%': "%"}[command[i]]
		}
		if !ok {
			return "", errors.New("% must be followed by h, p or % in a proxy command")
		}
		b.WriteString(text)
	}
	return b.String(), nil
}

// Proxy returns a dial function whose connections are the stdin and stdout of a command, run by sh. It is ended when its
// connection is closed; its stderr is this program's.
func Proxy(command string) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		line, err := ExpandProxy(command, addr)
		if err != nil {
			return nil, err
		}
		pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("proxy command: %w", err)
		}
		ours, theirs := os.NewFile(uintptr(pair[0]), "proxy"), os.NewFile(uintptr(pair[1]), "proxy")
		defer theirs.Close()
		defer ours.Close() // FileConn has one of its own
		nc, err := net.FileConn(ours)
		if err != nil {
			return nil, fmt.Errorf("proxy command: %w", err)
		}
		cmd := exec.Command("/bin/sh", "-c", line)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, os.Stderr
		if err := cmd.Start(); err != nil {
			nc.Close()
			return nil, fmt.Errorf("proxy command: %w", err)
		}
		p := &proxied{Conn: nc, cmd: cmd, ended: make(chan struct{})}
		go p.wait()
		return p, nil
	}
}

// proxied is a connection through a command.
type proxied struct {
	net.Conn
	cmd   *exec.Cmd
	ended chan struct{}
	err   error // how the command ended, once ended is closed
	once  sync.Once
}

func (p *proxied) wait() {
	p.err = p.cmd.Wait()
	close(p.ended)
}

// Read is net.Conn's.
func (p *proxied) Read(b []byte) (int, error) {
	n, err := p.Conn.Read(b)
	return n, p.reason(err)
}

// Write is net.Conn's.
func (p *proxied) Write(b []byte) (int, error) {
	n, err := p.Conn.Write(b)
	return n, p.reason(err)
}

// reason tells, instead of a plain end of the connection, when the command failed.
func (p *proxied) reason(err error) error {
	if !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		return err
	}
	select {
	case <-p.ended:
		if p.err != nil {
			return fmt.Errorf("proxy command: %w", p.err)
		}
	case <-time.After(proxyWait):
	}
	return err
}

// Close ends the command: by the end of its input, then by SIGTERM, then for good.
func (p *proxied) Close() error {
	err := p.Conn.Close()
	p.once.Do(func() {
		p.cmd.Process.Signal(syscall.SIGTERM)
		go func() {
			select {
			case <-p.ended:
			case <-time.After(proxyWait):
				p.cmd.Process.Kill()
			}
		}()
	})
	return err
}
