package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"ferry/client/shell"
	"ferry/internal/faultproxy"
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
	for _, where := range []struct {
		name string
		args []string
		sees string // on stdout, when it is there
	}{
		{"waiting for stdin", []string{"-b", "-"}, "waiting"},
		{"in a transfer", []string{"-c", "!echo waiting\nget big -o -"}, "waiting"},
		{"in a pipeline", []string{"-c", "pwd | exec sh -c 'cat; exec sleep 100'"}, "/"},
		{"in a program", []string{"-c", "!echo waiting; exec sleep 100"}, "waiting"},
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
				var errs bytes.Buffer
				c.Stderr = &errs
				out, err := c.StdoutPipe()
				if err == nil {
					err = c.Start()
				}
				if err != nil {
					t.Fatal(err)
				}
				late := time.AfterFunc(time.Minute, func() { c.Process.Kill() })
				defer late.Stop()
				seen := ""
				for buf := make([]byte, 100); !strings.Contains(seen, where.sees); {
					n, err := out.Read(buf)
					if seen += string(buf[:n]); err != nil {
						t.Fatalf("%v after %q\n%s", err, seen, &errs)
					}
				}
				if err := c.Process.Signal(sig); err != nil {
					t.Fatal(err)
				}
				_, _ = bytes.NewBuffer(nil).ReadFrom(out)
				c.Wait()
				if got := c.ProcessState.ExitCode(); got != code {
					t.Errorf("exit code %d (%s)\n%s", got, c.ProcessState, &errs)
				}
			})
		}
	}
}

// TestExits: each exit code that help lists is had in exit.txtar or TestSignals, and help exit lists them all.
func TestExits(t *testing.T) {
	script, err := os.ReadFile("testdata/script/exit.txtar")
	if err != nil {
		t.Fatal(err)
	}
	tried := map[string]bool{"130": true, "143": true}
	for _, m := range regexp.MustCompile(`(?m)^code (\d+) ferry`).FindAllSubmatch(script, -1) {
		tried[string(m[1])] = true
	}
	for _, e := range shell.Exits() {
		if !tried[fmt.Sprint(e.Code)] {
			t.Errorf("exit.txtar does not try %d", e.Code)
		}
		delete(tried, fmt.Sprint(e.Code))
	}
	for code := range tried {
		t.Errorf("help exit does not know %s", code)
	}
}
