package daemon

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ferry/server/state"
)

// TestRecount: what the homes hold is counted, kept for the next start, shown, and forgotten with the account.
func TestRecount(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"alice", "bob", "carol"} {
		must(t, "", "add", name, "--data", dir, "--generate")
	}
	write := func(name string, n int) {
		t.Helper()
		path := filepath.Join(dir, "homes", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, make([]byte, n), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("alice/d/f", 3000)
	if err := os.Remove(filepath.Join(dir, "homes", "carol")); err != nil {
		t.Fatal(err)
	}
	if got := must(t, "", "show", "alice", "--data", dir); !strings.Contains(got, "\nused: -\nfiles: -\nlast_login: -\n") {
		t.Errorf("before it was counted: %s", got)
	}
	got := must(t, "", "recount", "--data", dir)
	if want := "alice: 2.9 KiB in 2 files and directories\nbob: 0 B in 0 files and directories\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := must(t, "", "show", "alice", "--data", dir); !strings.Contains(got, "\nused: 2.9 KiB\nfiles: 2\nlast_login: -\n") {
		t.Errorf("show: %s", got)
	}
	var object map[string]any
	if err := json.Unmarshal([]byte(must(t, "", "show", "alice", "--json", "--data", dir)), &object); err != nil || object["used"] != 3000.0 || object["files"] != 2.0 {
		t.Errorf("show --json: %v, %v", object, err)
	}
	if got := must(t, "", "explain", "alice", "--data", dir); strings.Count(got, "2.9 KiB") != 1 || !strings.Contains(got, "\nalice takes up 2.9 KiB in 2 files and directories\n") {
		t.Errorf("explain: %s", got)
	}
	write("alice/g", 72)
	got = must(t, "", "recount", "alice", "--data", dir)
	if want := "alice: 3 KiB in 3 files and directories, believed was 2.9 KiB in 2 files and directories\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if _, _, err := ferryd("", "recount", "nobody", "--data", dir); exitCode(err) != 6 {
		t.Errorf("of nobody: %v", err)
	}
	if _, _, err := ferryd("", "recount", "alice", "--users", filepath.Join(dir, "users.toml")); exitCode(err) != 2 {
		t.Errorf("without a data directory: %v", err)
	}
	lock, held, err := tryLock(dir)
	if err != nil || !held {
		t.Fatal(held, err)
	}
	if _, _, err := ferryd("", "recount", "alice", "--data", dir); exitCode(err) != 1 || hint(err) == "" {
		t.Errorf("while a server runs: %v", err)
	}
	must(t, "", "del", "bob", "--data", dir)
	lock.Close()
	must(t, "", "del", "alice", "--purge", "--data", dir)
	counts, err := state.Open(dir)
	if err != nil || counts.Lookup("alice") != (state.Account{}) {
		t.Errorf("of a deleted account is kept: %+v, %v", counts.Lookup("alice"), err)
	}
}
