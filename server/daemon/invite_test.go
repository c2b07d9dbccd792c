package daemon

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"ferry/server/register"
)

// TestInviteCommand: invites are printed once, with the server's fingerprint, listed without their codes, and taken back.
func TestInviteCommand(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	run := func(want int, args ...string) (stdout, stderr string) {
		t.Helper()
		var out, errs bytes.Buffer
		if code := Run(context.Background(), args, strings.NewReader(""), &out, &errs); code != want {
			t.Errorf("%q: exit %d, want %d: %s", args, code, want, &errs)
		}
		return out.String(), errs.String()
	}
	out, _ := run(0, "invite", "--count", "2", "--for", "12h", "--data", dir)
	printed, _ := run(0, "fingerprint", "--data", dir)
	m := regexp.MustCompile(`^([A-Z2-7]{26})@(SHA256:\S+)\n([A-Z2-7]{26})@(SHA256:\S+)\n$`).FindStringSubmatch(out)
	if m == nil || m[2] != strings.TrimSpace(printed) || m[4] != m[2] || m[1] == m[3] {
		t.Fatalf("printed %q", out)
	}
	list, _ := run(0, "invite", "list", "--data", dir)
	id, _, _ := strings.Cut(list, " ")
	if strings.Count(list, "good until") != 2 || len(id) != 8 || strings.Contains(list, m[1]) {
		t.Errorf("listed %q", list)
	}
	if list, _ := run(0, "invite", "list", "--json", "--data", dir); strings.Count(list, `"id":"`+id+`"`) != 1 || strings.Count(list, "\n") != 2 {
		t.Errorf("listed %q", list)
	}
	run(0, "invite", "revoke", id, "--data", dir)
	if _, errs := run(1, "invite", "revoke", id, "--data", dir); !strings.Contains(errs, "no such invite\nhint: ferryd invite list") {
		t.Error(errs)
	}
	if list, _ := run(0, "invite", "list", "--data", dir); strings.Count(list, "\n") != 1 {
		t.Errorf("listed %q", list)
	}
	run(2, "invite")
	run(2, "invite", "list")
	run(2, "invite", "nonsense", "--data", dir)
	run(2, "invite", "--count", "0", "--data", dir)
	run(2, "invite", "--for", "soon", "--data", dir)
	run(2, "invite", "revoke", "--data", dir)
	run(1, "invite", "--data", filepath.Join(dir, "missing"))
}

// TestRegisterTable: who may register is in the configuration file only, and a mistake there names its line.
func TestRegisterTable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "conf")
	load := func(text string) (*settings, error) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s := &settings{}
		return s, s.load(s.flags(), func(name string) string { return map[string]string{"FERRYD_CONFIG": file}[name] })
	}
	s, err := load("data = \"d\"\n[register]\nmode = \"open\"\nper_day = 5\n[register.account]\nrights = [\"list\", \"read\"]\nmax_file_size = \"1GiB\"\n")
	if err != nil || s.register.Mode != register.Open || s.register.PerDay != 5 || len(s.register.Account) != 2 || s.data != "d" {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err = load("data = \"d\"\n"); err != nil || s.register.Mode != "" {
		t.Errorf("%+v, %v", s, err)
	}
	for text, want := range map[string]string{
		"register = \"open\"\n":                                  ":1: register: is not a table",
		"data = \"d\"\n[register]\nmode = \"all\"\n":             `register.mode: must be "closed", "invite" or "open"`,
		"[register]\nmodes = \"open\"\n":                         `register: unknown key "modes"`,
		"[register.account]\nrights = [\"admin\"]\n":             "register.account: rights: nobody gets admin by registering",
		"[register]\nmode = \"open\"\n[register.account]\nx=1\n": `register.account: "x" cannot be given`,
	} {
		if _, err := load(text); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), file+":") || exitCode(err) != 2 {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}
