package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// write makes a configuration file of a text and returns its name.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestPrecedence: a stronger place hides the weaker ones, and taking its value back shows them again.
func TestPrecedence(t *testing.T) {
	path := write(t, `[defaults]
limit = "1M"
[host."*.example.org"]
limit = "2M"
[host."b.example.org:9000"]
limit = "3M"
parallel = 3
`)
	s := New(t.TempDir())
	steps := []struct {
		do                  func() error
		elsewhere, a, b     string // the limits for three hosts
		from                string // the place of the last one
		place, placeOfFirst Place
	}{
		{func() error { return nil }, "none", "none", "none", "default", BuiltIn, BuiltIn},
		{func() error { return s.Load(path, false) }, "1M", "2M", "2M", path + ":4", Host, Defaults},
		{func() error {
			return s.Environment(func(name string) string { return map[string]string{"FERRY_LIMIT": "4M"}[name] })
		}, "4M", "4M", "4M", "FERRY_LIMIT", Environment, Environment},
		{func() error { return s.Set(Option, "--limit", Limit, "5M") }, "5M", "5M", "5M", "--limit", Option, Option},
		{func() error { return s.Set(Session, "set", Limit, "6M") }, "6M", "6M", "6M", "set", Session, Session},
		{func() error { return s.Unset(Limit) }, "5M", "5M", "5M", "--limit", Option, Option},
	}
	for i, c := range steps {
		if err := c.do(); err != nil {
			t.Fatal(err)
		}
		elsewhere, a, b := s.Value(Limit, "c.example.com:8083"), s.Value(Limit, "a.example.org:8083"), s.Value(Limit, "b.example.org:9000")
		if elsewhere.Text() != c.elsewhere || a.Text() != c.a || b.Text() != c.b || b.From != c.from || b.Place != c.place || elsewhere.Place != c.placeOfFirst {
			t.Errorf("step %d: %v, %v, %v, want %+v", i, elsewhere, a, b, c)
		}
	}
	if v := s.Value(Parallel, "b.example.org:9000"); v.Int() != 3 || v.From != path+":7" {
		t.Errorf("what the first section does not say is in the second: %v", v)
	}
	if v := s.Value(Parallel, "b.example.org:9001"); v.Int() != 0 || v.Text() != "auto" {
		t.Errorf("another port: %v", v)
	}
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		pattern, address string
		want             bool
	}{
		{"example.com:8083", "example.com:8083", true},
		{"example.com:8083", "example.com:8084", false},
		{"example.com", "Example.COM:8084", true},
		{"*.example.com", "example.com:8083", false},
		{"*", "example.com:8083", true},
		{"*:9000", "example.com:8083", false},
		{"10.0.0.?", "10.0.0.7:8083", true},
		{"::1", "[::1]:8083", true},
		{"[::1]:8083", "[::1]:8083", true},
		{"[::1]:8084", "[::1]:8083", false},
		{"unix:/run/*", "unix:/run/ferry/socket", true},
		{"example.com", "unix:example.com", false},
	} {
		if got := matches(c.pattern, c.address); got != c.want {
			t.Errorf("%s for %s: %v", c.pattern, c.address, got)
		}
	}
}

// TestSpellings: what the file, the environment and options may write, and what comes of it.
func TestSpellings(t *testing.T) {
	path := write(t, `[defaults]
parallel = 4
plain = true
trust_first = "yes"
reconnect-for = "90s"
identity = ["~/id", "keys/id", "/id"]
password_command = "pass show ferry"
known-hosts = "known"
sync = "none"
`)
	t.Setenv("HOME", "/home/alice")
	s := New("/state")
	if v := s.Value(KnownHosts, ""); v.Text() != "/state/known_hosts" {
		t.Errorf("known-hosts: %v", v)
	}
	if err := s.Load(path, false); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(path)
	for name, want := range map[string]string{Parallel: "4", Plain: "on", TrustFirst: "on", ReconnectFor: "90s",
		Identity: "/home/alice/id," + dir + "/keys/id,/id", PasswordCommand: "pass show ferry", KnownHosts: dir + "/known", Sync: "none"} {
		if got := s.Value(name, "").Text(); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if v := s.Value(ReconnectFor, ""); v.Duration().Seconds() != 90 {
		t.Errorf("%v", v.Duration())
	}
	if err := s.Set(Session, "set", Limit, "2MiB/s"); err != nil || s.Value(Limit, "").Rate() != 2<<20 {
		t.Errorf("%v, %v", err, s.Value(Limit, "").Rate())
	}
	if err := s.Set(Session, "set", "PARALLEL", "4"); err == nil {
		t.Error("names are in lower case")
	}
}

// TestTable: the defaults are right values, so are the choices; no name or letter stands for two.
func TestTable(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range Table() {
		if s.Help == "" || s.Want == "" || s.check == nil || seen[s.Name] || s.Letter != "" && seen[s.Letter] {
			t.Errorf("%s: incomplete, or there twice", s.Name)
		}
		seen[s.Name], seen[s.Letter] = true, true
		for _, text := range append(s.Choices, s.Default) {
			if text == "" {
				continue
			}
			if right, err := s.check(text); right != text || err != nil {
				t.Errorf("%s: %q is %q, %v", s.Name, text, right, err)
			}
		}
	}
}

// TestLoadErrors: every mistake is told with its line, and with what to do.
func TestLoadErrors(t *testing.T) {
	for _, c := range []struct{ text, want, hint string }{
		{"[defaults]\nparalel = 2\n", `F:2: there is no setting "paralel"`, "did you mean parallel?"},
		{"[defaults]\nnonsense = 2\n", `F:2: there is no setting "nonsense"`, "known: user, identity, "},
		{"\n[defalts]\nparallel = 2\n", "F:2: there is no section [defalts]", "did you mean defaults?"},
		{"parallel = 2\n", `F:1: "parallel" stands in no section`, "[defaults]"},
		{"defaults = 2\n", `F:1: "defaults" stands in no section`, ""},
		{"[defaults]\nparallel = 99\n", "F:2: parallel is 1 to 16, or auto", ""},
		{"[defaults]\nparallel = 1.5\n", "F:2: parallel is 1 to 16, or auto", ""},
		{"[defaults]\nparallel = [1, 2]\n", "F:2: parallel is 1 to 16, or auto", ""},
		{"[defaults]\nplain = \"maybe\"\n", "F:2: plain is on or off", ""},
		{"[defaults]\nproxy-command = \"nc %H %p\"\n", "F:2: proxy-command is a command in which %", ""},
		{"[defaults]\nfingerprint = \"MD5:00\"\n", "F:2: fingerprint is not of the form SHA256:...", "ferryd fingerprint"},
		{"[defaults]\nlimit = \"1\"\n", "F:2: limit is a rate such as 500K", ""},
		{"[defaults]\nlimit = \"1M\"\nlimit = \"1M\"\n", "F:3: ", ""},
		{"[defaults]\ntrust-first = true\ntrust_first = true\n", "F:3: trust-first is set twice", ""},
		{"[host.a]\n[host.b]\nquiet = true\n", "F:3: quiet is the same for all hosts", "below [defaults]"},
		{"[host.a]\npassword = \"x\"\n", "F:2: a password is not kept here", "password-command"},
		{"password = \"x\"\n", "F:1: a password is not kept here", "password-command"},
		{"[host.\"a[\"]\nuser = \"x\"\n", `F:1: "a[" is not a pattern`, ""},
		{"[host]\nuser = \"x\"\n", "F:2: [host.user] is not a section", ""},
		{"[bookmarks]\nwork = 1\n", "F:2: work is not a string", ""},
		{"[bookmarks]\n\"a b\" = \"host\"\n", `F:2: "a b" is not a name`, "1 to 64 letters"},
		{"\n[hosts.\"a*\"]\nuser = \"x\"\n", "F:2: there is no section [hosts]", "did you mean host?"},
		{"[host.127.0.0.1]\nuser = \"x\"\n", "F:1: a pattern with dots must be quoted", `[host."`},
		{"[alias]\nll = \"\"\n", "F:2: ll stands for nothing", ""},
		{"[defaults\n", "F:2: expected", ""},
	} {
		path := write(t, c.text)
		err := New(t.TempDir()).Load(path, false)
		var e *Error
		if !errors.As(err, &e) || !strings.HasPrefix(strings.ReplaceAll(e.Msg, path, "F"), c.want) || !strings.Contains(e.Advice, c.hint) {
			t.Errorf("%q:\n%v\nwant %s (%s)", c.text, err, c.want, c.hint)
		}
		if e != nil && strings.Count(e.Msg, path) > 1 {
			t.Errorf("%v names the file twice", err)
		}
	}
}

// TestWhoseFile: nobody else may have written the file; a missing one is an error only if it was named.
func TestWhoseFile(t *testing.T) {
	path := write(t, "[defaults]\n")
	if err := os.Chmod(path, 0o620); err != nil {
		t.Fatal(err)
	}
	var e *Error
	if err := New(t.TempDir()).Load(path, true); !errors.As(err, &e) || !strings.Contains(e.Msg, "others can write to it") || e.Advice != "chmod go-w "+path {
		t.Errorf("%v", err)
	}
	if os.Geteuid() == 0 {
		if err := errors.Join(os.Chmod(path, 0o600), os.Chown(path, 12345, 12345)); err != nil {
			t.Fatal(err)
		}
		if err := New(t.TempDir()).Load(path, true); !errors.As(err, &e) || !strings.Contains(e.Msg, "belongs to somebody else") {
			t.Errorf("%v", err)
		}
	}
	none := filepath.Join(t.TempDir(), "none")
	if err := New(t.TempDir()).Load(none, true); err != nil {
		t.Error(err)
	}
	if err := New(t.TempDir()).Load(none, false); err == nil {
		t.Error("a named file that does not exist")
	}
	if err := New(t.TempDir()).Load(t.TempDir(), true); !errors.As(err, &e) {
		t.Errorf("a directory: %v", err)
	}
}

// TestClone: what is set or named after a copy was made is seen on its own side only.
func TestClone(t *testing.T) {
	s := New("")
	set := func(s *Settings, limit string) {
		t.Helper()
		if err := errors.Join(s.Set(Session, "set", Limit, limit), s.Aliases.Define("up", "put --limit "+limit)); err != nil {
			t.Fatal(err)
		}
	}
	set(s, "1M")
	c := s.Clone()
	set(s, "2M")
	set(c, "3M")
	for _, want := range []struct {
		s     *Settings
		limit string
	}{{s, "2M"}, {c, "3M"}} {
		alias, _, _ := want.s.Aliases.Find("up")
		if got := want.s.Value(Limit, "").Text(); got != want.limit || alias.Text != "put --limit "+want.limit {
			t.Errorf("%s and %q, want %s", got, alias.Text, want.limit)
		}
	}
}
