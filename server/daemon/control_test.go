package daemon_test

import (
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ferry/server/daemon"
	"ferry/server/servertest"
)

// TestControlSocket: nobody else can open it, what a dead server left is replaced, nothing else is, and none is left at the end.
func TestControlSocket(t *testing.T) {
	p := servertest.Exec(t)
	socket := filepath.Join(p.Data(), "control.sock")
	info, err := os.Lstat(socket)
	if err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	reload := func() {
		t.Helper()
		if out, errs, code := servertest.Ferryd(t, "", "reload", "--data", p.Data()); code != 0 || out != "nothing has changed\n" {
			t.Errorf("exit %d, %q, %s", code, out, errs)
		}
	}
	reload()
	p.Kill()
	if _, err := os.Lstat(socket); err != nil {
		t.Fatal(err) // else the next lines show nothing
	}
	if _, errs, code := servertest.Ferryd(t, "", "reload", "--data", p.Data()); code != 1 || !strings.HasPrefix(errs, "reload: no ferryd is running on "+p.Data()+"\nhint: ferryd serve --data ") {
		t.Errorf("exit %d, %s", code, errs)
	}
	p.Start()
	reload()
	if code := p.Term(); code != 0 {
		t.Errorf("it ended with %d", code)
	}
	if _, err := os.Lstat(socket); !os.IsNotExist(err) {
		t.Errorf("left over: %v", err)
	}
	if err := os.WriteFile(socket, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, errs, code := servertest.Ferryd(t, "", "serve", "--data", p.Data(), "--listen", "127.0.0.1:0"); code != 1 || !strings.Contains(errs, socket) {
		t.Errorf("with a file in its place: exit %d, %s", code, errs)
	}
	if text, err := os.ReadFile(socket); err != nil || string(text) != "mine" {
		t.Errorf("the file is %q, %v", text, err)
	}
}

// TestControlLongPath: a data directory may have a longer path than a socket.
func TestControlLongPath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 30))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	ln, err := daemon.ListenControl(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(filepath.Join(dir, "control.sock")); err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("%v, %v", info, err)
	}
	go func() {
		if nc, err := ln.Accept(); err == nil {
			nc.Close()
		}
	}()
	if _, errs, code := servertest.Ferryd(t, "", "reload", "--data", dir); code != 1 || errs != "reload: the server closed the connection\n" {
		t.Errorf("exit %d, %s", code, errs)
	}
	ln.Close()
	if _, err := os.Lstat(filepath.Join(dir, "control.sock")); !os.IsNotExist(err) {
		t.Errorf("left over: %v", err)
	}
}

// stranger is in the environment of the test binary when it is to knock at a control socket as another user.
const stranger = "CONTROL_TEST_STRANGER"

// TestControlStranger: whoever gets at the socket, root and the server's own user are let in and nobody else.
func TestControlStranger(t *testing.T) {
	if path := os.Getenv(stranger); path != "" {
		nc, err := net.Dial("unix", path)
		if err == nil {
			_, err = nc.Write([]byte("x"))
		}
		if err == nil {
			_, err = io.ReadAll(nc)
		}
		t.Log("knocked: ", err)
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can be somebody else")
	}
	t.Setenv("TMPDIR", "/tmp") // a stranger does not get into a private one
	p := servertest.Exec(t)
	socket := filepath.Join(p.Data(), "control.sock")
	for _, name := range []string{p.Data(), socket} {
		if err := os.Chmod(name, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	binary := filepath.Join(p.Data(), "knock")
	text, err := os.ReadFile(os.Args[0])
	if err == nil {
		err = os.WriteFile(binary, text, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(binary, "-test.run=^TestControlStranger$", "-test.v")
	c.Env = append(os.Environ(), stranger+"="+socket)
	c.Dir = p.Data()
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 54321, Gid: 54321}}
	if out, err := c.CombinedOutput(); err != nil || !strings.Contains(string(out), "knocked: ") {
		t.Fatalf("%v\n%s", err, out)
	}
	p.Log.Await(t, 1, `msg="control connection refused" uid=54321`)
	if _, errs, code := servertest.Ferryd(t, "", "reload", "--data", p.Data()); code != 0 {
		t.Errorf("root: exit %d, %s", code, errs)
	}
}
