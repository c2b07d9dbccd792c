package remote

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestExpandProxy(t *testing.T) {
	for _, c := range []struct{ command, address, want string }{
		{"ssh -W %h:%p jump", "files.example.org:8083", "ssh -W files.example.org:8083 jump"},
		{"nc %h %p; echo 100%%", "[fe80::1%eth0]:9000", "nc fe80::1%eth0 9000; echo 100%"},
		{"nc", "a:1", "nc"},
		{"nc %", "a:1", ""},
		{"nc %x", "a:1", ""},
		{"nc %h", "a;b:1", ""},
		{"nc %h", "$(b):1", ""},
		{"nc %h", "-oProxyCommand=b:1", ""},
		{"nc %h", "a", ""},
	} {
		if got, err := ExpandProxy(c.command, c.address); got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s to %s: %q, %v", c.command, c.address, got, err)
		}
	}
}

// TestProxyEnds: the command ends with its connection, also one that does not look at its input and ignores SIGTERM.
func TestProxyEnds(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pid")
	for _, command := range []string{"echo $$ >" + pids + "; echo hello; exec cat", "trap '' TERM; echo $$ >" + pids + "; echo hello; while :; do sleep 0.1; done"} {
		nc, err := Proxy(command)(t.Context(), "tcp", "a:1")
		if err != nil {
			t.Fatal(err)
		}
		if b := make([]byte, 6); true {
			if _, err := io.ReadFull(nc, b); err != nil || string(b) != "hello\n" {
				t.Fatalf("%q, %v", b, err)
			}
		}
		nc.Close()
		nc.Close()
		text, err := os.ReadFile(pids)
		if err != nil {
			t.Fatal(err)
		}
		pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
		for end := time.Now().Add(10 * time.Second); !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s still runs", command)
			}
		}
	}
}

// TestProxyDeadline: a connection through a command has deadlines like any other.
func TestProxyDeadline(t *testing.T) {
	nc, err := Proxy("exec cat")(t.Context(), "tcp", "a:1")
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetReadDeadline(time.Now().Add(time.Millisecond))
	if _, err := nc.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v", err)
	}
}
