package probe

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ferry/server/servertest"
)

// TestProbes: each works against a real server and measures something; transfers leave what they sent.
func TestProbes(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s := servertest.New(t)
	s.AddUser("probe", "secret words")
	home := s.Home("probe")
	data := bytes.Repeat([]byte("0123456789abcde\n"), 3<<16) // 3 MiB
	file := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	o := options{addr: s.Addr(), user: "probe", password: "secret words", fingerprint: s.Fingerprint(), n: 3, busy: 2,
		period: 100 * time.Millisecond, file: file, path: "/"}
	for _, c := range []struct {
		name    string
		prepare func(context.Context, options) (func(context.Context) (result, error), error)
		figure  string
		path    string
	}{
		{"idle", idle, "sessions", "/"}, {"logins", logins, "rate", "/"}, {"ls", list, "p99", "/"},
		{"transfers", transfers, "seconds", "/parts"}, {"resume", resume, "first", "/resumed"},
	} {
		o.path = c.path
		work, err := c.prepare(ctx, o)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		got, err := work(ctx)
		if err != nil || got[c.figure] <= 0 {
			t.Errorf("%s: %v, %v", c.name, got, err)
		}
	}
	var sent []byte
	for _, name := range []string{"part-0", "part-1", "part-2"} {
		part, err := os.ReadFile(filepath.Join(home, "parts", name))
		if err != nil {
			t.Fatal(err)
		}
		sent = append(sent, part...)
	}
	if !bytes.Equal(sent, data) {
		t.Errorf("%d bytes arrived that are not those of the file", len(sent))
	}
	o.fingerprint = "SHA256:" + "A"
	if _, err := logins(ctx, o); err == nil {
		t.Error("a login with another server's key")
	}
}
