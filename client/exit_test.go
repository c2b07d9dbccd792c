package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ferry/client/shell"
	"ferry/internal/faultproxy"
	"ferry/internal/termtest"
	"ferry/server/servertest"
)

// TestSignals: wherever ferry is, SIGINT ends a script with 130 and SIGTERM with 143, and so does a program that it has
// started.
func TestSignals(t *testing.T) {
	server := servertest.Exec(t)
	server.AddUser("alice", password)
	proxy, err := faultproxy.Start(server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	proxy.SetRate(1 << 20)
	if err := os.WriteFile(filepath.Join(server.Home("alice"), "big"), pattern(20<<20, 1), 0o600); err != nil {
		t.Fatal(err)
	}
	silent := filepath.Join(t.TempDir(), "silent") // which nobody writes to as long as the test runs
	if err := syscall.Mkfifo(silent, 0o600); err != nil {
		t.Fatal(err)
	}
	hold, err := os.OpenFile(silent, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { hold.Close() })
	for _, where := range []struct {
		name   string
		args   []string
		sees   string // on stdout or stderr, when it is there
		unread int    // so many bytes wait on stdout then, and stay there
	}{
		{"waiting for stdin", []string{"-b", "-"}, "\nwaiting\n", 0},
		{"in a transfer", []string{"-c", "!echo waiting\nget big -o -"}, "waiting\n", 0},
		{"in a transfer with --json", []string{"--json", "-c", "!echo waiting\nget big -o -"}, "waiting\n", 0},
		{"in a pipeline", []string{"-c", "pwd | exec sh -c 'cat; exec sleep 100'"}, "\n/\n", 0},
		{"in a program", []string{"-c", "!echo waiting; exec sleep 100"}, "waiting\n", 0},
		{"where nobody reads", []string{"-c", "!echo waiting\ncat big"}, "waiting\n", 1 << 15},
		{"in a program for the password", []string{"-c", "pwd", "--password-command", "echo waiting >&2; cat " + silent + " 2>&-"}, "waiting\n", 0},
		{"in a login", []string{"-c", "pwd", "--proxy-command", "echo waiting >&2; exec sleep 100"}, "waiting\n", 0},
	} {
		for sig, code := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143} {
			t.Run(fmt.Sprintf("%s/%d", where.name, code), func(t *testing.T) {
				t.Parallel()
				c := ferryCommand(t, server, t.TempDir(), where.args...)
				through(c, proxy.Addr())
				in, err := c.StdinPipe()
				if err != nil {
					t.Fatal(err)
				}
				defer in.Close()
				fmt.Fprintln(in, "!echo waiting")
				out, seen := started(t, c, where.sees)
				for begin := time.Now(); where.unread > 0 && time.Since(begin) < termtest.Patience; {
					if n, err := unix.IoctlGetInt(int(out.Fd()), unix.TIOCINQ); err != nil || n >= where.unread {
						break
					}
					time.Sleep(time.Millisecond)
				}
				if err := c.Process.Signal(sig); err != nil {
					t.Fatal(err)
				}
				if where.unread == 0 {
					_, _ = seen.ReadFrom(out)
				}
				c.Wait()
				if got := c.ProcessState.ExitCode(); got != code {
					t.Errorf("exit code %d (%s)\n%s", got, c.ProcessState, seen)
				}
			})
		}
	}
}

// started starts a program and returns what it writes, once that contains sees. It is killed if the test takes too long.
func started(t *testing.T, c *exec.Cmd, sees string) (out *os.File, seen *bytes.Buffer) {
	t.Helper()
	pipe, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.Stderr = c.Stdout
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(time.Minute, func() { c.Process.Kill() })
	t.Cleanup(func() { late.Stop() })
	out, seen = pipe.(*os.File), new(bytes.Buffer)
	for buf := make([]byte, 100); !strings.Contains(seen.String(), sees); {
		n, err := out.Read(buf)
		if seen.Write(buf[:n]); err != nil {
			t.Fatalf("%v after %q", err, seen)
		}
	}
	return out, seen
}

// TestNohup: a ferry that nohup has started does not hear that the terminal is gone.
func TestNohup(t *testing.T) {
	server := servertest.Exec(t)
	server.AddUser("alice", password)
	c := ferryCommand(t, server, t.TempDir(), "-b", "-")
	c.Args = append([]string{"sh", "-c", `trap "" HUP; exec "$0" "$@"`, c.Path}, c.Args[1:]...)
	c.Path = "/bin/sh"
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(in, "!echo waiting")
	out, seen := started(t, c, "\nwaiting\n")
	if err := c.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(in, "pwd")
	in.Close()
	_, _ = seen.ReadFrom(out)
	if err := c.Wait(); err != nil || !strings.HasSuffix(seen.String(), "\n/\n") {
		t.Errorf("%v\n%s", err, seen)
	}
}

// TestExits: each exit code that help lists is had in exit.txtar, as text and with --json, or in TestSignals, and help exit
// lists them all.
func TestExits(t *testing.T) {
	script, err := os.ReadFile("testdata/script/exit.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, how := range []string{"", " --json"} {
		tried := map[string]bool{"130": true, "143": true}
		for _, m := range regexp.MustCompile(`(?m)^code (\d+) ferry`+how+` `).FindAllSubmatch(script, -1) {
			tried[string(m[1])] = true
		}
		for _, e := range shell.Exits() {
			if !tried[fmt.Sprint(e.Code)] {
				t.Errorf("exit.txtar does not try %d with ferry%s", e.Code, how)
			}
			delete(tried, fmt.Sprint(e.Code))
		}
		for code := range tried {
			t.Errorf("help exit does not know %s", code)
		}
	}
}
