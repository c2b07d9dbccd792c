package daemon

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"ferry/shared/wire"
)

// controlName is the socket in the data directory through which administrators of this machine reach the running server.
const controlName = "control.sock"

// needsServer ends the help of verbs that only a running server can carry out.
const needsServer = ". It is asked through control.sock in its data directory, which takes root and its own user; without one the exit code is 1."

// ListenControl opens the control socket of a data directory, for this user and root only. The caller holds the directory's
// lock: whatever socket is there belongs to nobody. Closing the listener removes it.
func ListenControl(data string, log *slog.Logger) (net.Listener, error) {
	path := filepath.Join(data, controlName)
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() == fs.ModeSocket {
		if err := os.Remove(path); err != nil {
			return nil, plain(err)
		}
	}
	dir, err := os.Open(data)
	if err != nil {
		return nil, plain(err)
	}
	ln, err := bindUnix(reachable(dir))
	if err != nil {
		dir.Close()
		return nil, taken("unix:"+path, err)
	}
	return &controlListener{Listener: ln, dir: dir, log: log}, nil
}

// reachable returns a path of the control socket that is short enough for one, whatever the directory is called.
func reachable(dir *os.File) string {
	return "/proc/self/fd/" + strconv.Itoa(int(dir.Fd())) + "/" + controlName
}

// controlListener accepts only peers that are root or the user of this process.
type controlListener struct {
	net.Listener
	dir *os.File
	log *slog.Logger
}

// Accept implements net.Listener.
func (l *controlListener) Accept() (net.Conn, error) {
	for {
		nc, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		uid, err := peerUID(nc.(*net.UnixConn))
		if err == nil && (uid == 0 || int(uid) == os.Geteuid()) {
			return nc, nil
		}
		l.log.Warn("control connection refused", "uid", uid, "err", err)
		nc.Close()
	}
}

// Close implements net.Listener.
func (l *controlListener) Close() error {
	return errors.Join(l.Listener.Close(), l.dir.Close())
}

func peerUID(c *net.UnixConn) (uid uint32, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	cerr := raw.Control(func(fd uintptr) {
		var cred *unix.Ucred
		if cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			uid = cred.Uid
		}
	})
	return uid, errors.Join(err, cerr)
}

// dialControl connects to the server that runs on a data directory; errNotRunning if there is none.
func dialControl(data string) (net.Conn, error) {
	dir, err := os.Open(data)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNotRunning
	}
	if err != nil {
		return nil, plain(err)
	}
	defer dir.Close()
	nc, err := net.Dial("unix", reachable(dir))
	switch {
	case err == nil:
		return nc, nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, errNotRunning
	case errors.Is(err, fs.ErrPermission):
		return nil, &advised{errors.New(filepath.Join(data, controlName) + ": permission denied"), "run it as the user of the server, or as root"}
	}
	return nil, fmt.Errorf("%s: %w", filepath.Join(data, controlName), err)
}

var errNotRunning = errors.New("no ferryd is running")

// answered is how a command line ended that the running server carried out.
type answered struct{ *wire.AdminAnswer }

func (a *answered) Error() string { return a.Message }

// Hint returns what the server advises.
func (a *answered) Hint() string { return a.AdminAnswer.Hint }

// forward has the running server carry out the command line. Without one the error is errNotRunning, with advice.
func (n *console) forward(c *cobra.Command, args []string) error {
	nc, err := dialControl(n.data)
	if errors.Is(err, errNotRunning) {
		return &advised{fmt.Errorf("%w on %s", err, n.data), "ferryd serve --data " + n.data + " starts one"}
	}
	if err != nil {
		return err
	}
	defer nc.Close()
	r := &wire.AdminRequest{Request: wire.Request{Cmd: wire.CmdAdmin}, Args: words(c, args), JSON: n.json}
	last, err := order(nc, r, c.OutOrStdout(), c.ErrOrStderr())
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return errors.New("the server closed the connection")
	case err != nil:
		return err
	case last.Exit != 0:
		return &answered{last}
	}
	return nil
}

// words returns the command line without what says where the server is.
func words(c *cobra.Command, args []string) []string {
	list := strings.Fields(verb(c))
	c.Flags().Visit(func(f *pflag.Flag) {
		if f.Name != "data" && f.Name != "users" && f.Name != "json" {
			list = append(list, "--"+f.Name+"="+f.Value.String())
		}
	})
	return append(append(list, "--"), args...)
}

// order has the server at the other end carry out a request and passes on what it prints.
func order(nc net.Conn, r *wire.AdminRequest, output, notes io.Writer) (*wire.AdminAnswer, error) {
	link := wire.NewLink(nc, time.Minute, &wire.Buffers{})
	w := wire.NewConn(link, link)
	var greeting wire.HelloAnswer
	hello := &wire.HelloRequest{Request: wire.Request{Cmd: wire.CmdHello}, Version: wire.ProtocolVersion, Client: "ferryd"}
	if err := exchange(w, hello, &greeting); err != nil {
		return nil, err
	}
	for req := wire.Requester(r); ; req = nil {
		var a wire.AdminAnswer
		if err := exchange(w, req, &a); err != nil {
			return nil, err
		}
		if _, err := io.WriteString(output, a.Output); err != nil {
			return nil, err
		}
		if _, err := io.WriteString(notes, a.Notes); err != nil {
			return nil, err
		}
		if !a.More {
			return &a, nil
		}
	}
}

// exchange sends a request, if there is one, and takes in the next message.
func exchange(w *wire.Conn, req wire.Requester, ans wire.Answerer) error {
	if req != nil {
		header, err := wire.Encode(req)
		if err == nil {
			err = w.Write(header, nil)
		}
		if err == nil {
			err = w.Flush()
		}
		if err != nil {
			return err
		}
	}
	header, err := w.ReadHeader(nil, wire.MaxHeader)
	if err == nil {
		err = wire.DecodeAnswer(header, ans)
	}
	if err == nil && ans.Top().Error != nil {
		err = ans.Top().Error
	}
	return err
}
