package shell

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ferry/client/config"
	"ferry/client/term"
)

// TestQuietProgress: who wants only results and errors sees no progress, but for what was asked for.
func TestQuietProgress(t *testing.T) {
	for _, c := range []struct {
		quiet, progress string
		shown           bool
	}{{"off", "auto", true}, {"on", "auto", false}, {"on", "plain", true}, {"off", "none", false}} {
		synctest.Test(t, func(t *testing.T) {
			settings := config.New("")
			for name, value := range map[string]string{config.Quiet: c.quiet, config.Progress: c.progress} {
				if err := settings.Set(config.Session, "set", name, value); err != nil {
					t.Fatal(err)
				}
			}
			var out bytes.Buffer
			s := New(Config{In: NewScript(strings.NewReader(""), io.Discard), Out: io.Discard, Err: term.NewProgress(&out, "auto"), Settings: settings})
			m := s.Err.Start("report.pdf", 100)
			time.Sleep(11 * time.Second)
			synctest.Wait()
			m.Done()
			if shown := out.Len() > 0; shown != c.shown {
				t.Errorf("%+v: %q", c, out.String())
			}
		})
	}
}
