package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ferry/server/servertest"
)

// TestShutOut ends the session of a running transfer from the host: a kick at once, a changed account file as soon as the server
// has found it by itself. ferry does not come back by itself, says why, and when it may again the same command goes on.
func TestShutOut(t *testing.T) {
	for _, tt := range []struct {
		name       string
		shut, open string // command lines of ferryd
		exit       int
		says       string
	}{
		{"kick", "sessions kick alice", "", 4, "an administrator ended the session"},
		{"lock", "user lock alice --reason gone", "user unlock alice", 3, "locked: gone"},
		{"expire", "user expire alice 2020-01-31", "user expire alice never", 3, "expired on 2020-01-31"},
		{"del", "user del alice", "user import kept", 3, ""},
	} {
		for _, put := range []bool{true, false} {
			t.Run(tt.name+map[bool]string{true: "_put", false: "_get"}[put], func(t *testing.T) {
				k := newKilling(t)
				if !put {
					if err := os.WriteFile(filepath.Join(k.Home("alice"), "f"), k.data, 0o600); err != nil {
						t.Fatal(err)
					}
				}
				ferryd := func(line string) {
					t.Helper()
					if _, errs, code := servertest.Ferryd(t, "", append(strings.Fields(line), "--data", k.Data())...); code != 0 {
						t.Fatalf("%s: exit %d\n%s", line, code, errs)
					}
				}
				kept := filepath.Join(k.Data(), "kept")
				ferryd("user export " + kept)
				c := k.ferry(k.Addr(), lineOf(put))
				c.Args = append(c.Args, "--limit", "2MiB/s") // 20 s: it is still at it when the server has found out
				var out bytes.Buffer
				c.Stdout = &out
				if err := c.Start(); err != nil {
					t.Fatal(err)
				}
				ended := make(chan error, 1)
				go func() { ended <- c.Wait() }()
				k.until(ended, "enough was moved", func() bool { return k.staged(put) >= 2<<20 })
				ferryd(tt.shut)
				begin := time.Now()
				k.Log.Await(t, 1, "session ended")
				t.Logf("the session ended after %v", time.Since(begin))
				err := <-ended
				var exit *exec.ExitError
				if errors.As(err, &exit); exit == nil || exit.ExitCode() != tt.exit || !strings.Contains(out.String(), tt.says) {
					t.Errorf("ferry ended with %v, want exit code %d and %q\n%s", err, tt.exit, tt.says, &out)
				}
				k.whole(put, false)
				if k.staged(put) == 0 {
					t.Error("nothing is left to go on with")
				}
				if tt.open != "" {
					ferryd(strings.ReplaceAll(tt.open, "kept", kept))
					ferryd("reload")
				}
				if got := k.finish(k.Addr(), lineOf(put)); got.Reused == 0 {
					t.Errorf("it began anew: %+v", got)
				}
				k.whole(put, true)
			})
		}
	}
}
