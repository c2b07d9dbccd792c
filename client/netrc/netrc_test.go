package netrc

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const sample = `# passwords
machine files.example.org login alice password one # with a comment
machine files.example.org login bob account none password "two \"words\" # here"
machine FILES.example.org:9000
	login alice
	password nine
machine ::1 password \#six
macdef init
machine macro.example.org password never

machine nothing.example.org login alice
machine any.example.org password any
`

func TestPassword(t *testing.T) {
	path := filepath.Join(t.TempDir(), "netrc")
	write := func(text string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	write(sample, 0o600)
	for _, c := range []struct {
		address, user, want string
		ok                  bool
	}{
		{"files.example.org:8083", "alice", "one", true},
		{"Files.Example.org:8083", "bob", `two "words" # here`, true},
		{"files.example.org:8083", "carol", "", false},
		{"files.example.org:9000", "alice", "one", true}, // the first that fits
		{"[::1]:8083", "alice", "#six", true},
		{"macro.example.org:8083", "alice", "", false},
		{"nothing.example.org:8083", "alice", "", false},
		{"any.example.org:8083", "zoe", "any", true},
		{"example.org:8083", "alice", "", false},
		{"unix:/run/ferry", "alice", "", false},
	} {
		got, ok, err := Password(path, c.address, c.user)
		if got != c.want || ok != c.ok || err != nil {
			t.Errorf("%s on %s: %q, %v, %v, want %q, %v", c.user, c.address, got, ok, err, c.want, c.ok)
		}
	}
	write(sample+"default login anonymous password guest\n", 0o600)
	if got, ok, err := Password(path, "elsewhere:1", "anonymous"); got != "guest" || !ok || err != nil {
		t.Errorf("default: %q, %v, %v", got, ok, err)
	}

	write(sample, 0o640)
	if _, ok, err := Password(path, "elsewhere:1", "alice"); ok || err != nil {
		t.Errorf("a file that says nothing of the host is refused: %v", err)
	}
	_, _, err := Password(path, "files.example.org:8083", "alice")
	var e *Error
	if !errors.As(err, &e) || !strings.Contains(e.Msg, "can be read by others") || e.Hint() != "chmod 600 "+path {
		t.Errorf("readable by others: %v", err)
	}
	if _, ok, err := Password(filepath.Join(t.TempDir(), "none"), "a:1", "b"); ok || err != nil {
		t.Errorf("no file: %v, %v", ok, err)
	}
}

func TestWrong(t *testing.T) {
	for text, want := range map[string]string{
		"machine a\nlogin b\nport 21\n":                    `:3: there is no keyword "port"`,
		"login b\n":                                        ":1: login comes before the first machine",
		"machine a\npassword":                              ":2: nothing follows password",
		"machine a password \"b\nmachine c\n":              ":1: the closing quote is missing",
		"machine a passwort averylongsecretthatisnotshown": `:1: there is no keyword "passwort"`,
	} {
		_, err := parse("F", text)
		if err == nil || !strings.HasSuffix(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v, want ...%s", text, err, want)
		}
	}
}
