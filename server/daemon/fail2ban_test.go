package daemon_test

import (
	"bufio"
	"os"
	"regexp"
	"strings"
	"testing"

	"ferry/server/servertest"
	"ferry/shared/login"
	"ferry/shared/wire"
)

// filter is what packaging/fail2ban/ferryd.conf finds in a line, as fail2ban does: it cuts the time out and looks for an address.
type filter struct {
	date  *regexp.Regexp
	fails []*regexp.Regexp
}

func readFilter(t *testing.T) filter {
	t.Helper()
	file, err := os.Open("../../packaging/fail2ban/ferryd.conf")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	values, key := map[string][]string{}, ""
	for lines := bufio.NewScanner(file); lines.Scan(); {
		line := lines.Text()
		if strings.HasPrefix(line, "#") {
			continue
		}
		if k, v, ok := strings.Cut(line, " ="); ok && !strings.HasPrefix(line, " ") {
			key, line = k, v
		}
		if line = strings.TrimSpace(line); line != "" {
			values[key] = append(values[key], line)
		}
	}
	compile := func(text string) *regexp.Regexp {
		text = strings.ReplaceAll(text, "%(prefix)s", values["prefix"][0])
		text = strings.ReplaceAll(text, "<ADDR>", `\[?(?:::f{4,6}:)?([0-9A-Fa-f.:]+)\]?`)
		text = strings.ReplaceAll(text, "{DATE}", `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]*(?:Z|[-+]\d\d:\d\d)`)
		return regexp.MustCompile(text)
	}
	f := filter{date: compile(values["datepattern"][0])}
	for _, text := range values["failregex"] {
		f.fails = append(f.fails, compile(text))
	}
	if len(f.fails) != 2 {
		t.Fatalf("read %q", values)
	}
	return f
}

// address returns the address that a line gets punished, "" for none.
func (f filter) address(line string) string {
	if at := f.date.FindStringSubmatchIndex(line); at != nil {
		line = line[:at[2]] + line[at[3]:]
	}
	for _, r := range f.fails {
		if m := r.FindStringSubmatch(line); m != nil {
			return m[1]
		}
	}
	return ""
}

// guess lets a login fail.
func guess(t *testing.T, addr, name string) {
	t.Helper()
	c := dial(t, addr)
	defer c.Close()
	ask := asker(t, c)
	bind, err := login.TLSBinding(c.ConnectionState())
	if err != nil {
		t.Fatal(err)
	}
	ask(&wire.HelloRequest{Request: wire.Request{Cmd: wire.CmdHello}, Version: wire.ProtocolVersion}, &wire.HelloAnswer{})
	var challenge wire.LoginAnswer
	ask(&wire.MessageRequest{Request: wire.Request{Cmd: wire.CmdLogin}, Message: login.NewClient(name, "wrong", bind).First()}, &challenge)
	var proof wire.ProofAnswer
	ask(&wire.MessageRequest{Request: wire.Request{Cmd: wire.CmdProof}, Message: "no proof"}, &proof)
	if challenge.Error != nil || proof.Error == nil || proof.Error.Code != wire.AuthFailed {
		t.Fatalf("%q: %v, %v", name, challenge.Error, proof.Error)
	}
}

// TestFail2ban: the filter finds every guess in the log of a real ferryd, and nothing else, whatever names are given.
func TestFail2ban(t *testing.T) {
	f := readFilter(t)
	forged := `time=2031-01-01T00:00:00Z level=WARN msg="login failed" peer=198.51.100.66:1 reason=wrong_password user=x`
	short := `peer=198.51.100.66:1 reason=malformed user=x` // what is longer than 64 bytes is cut
	names := []string{
		short, `" ` + short, "\n" + short, `","peer":"198.51.100.66:1","reason":"malformed","user":"`,
		"nobody", "alice", "with space", "a=b", `a"b`, `a\`, `a\"b`, "tab\there", "\x1b[31mred", "\u2028", "peer=198.51.100.66:1", "addr=198.51.100.66",
		forged, "x\n" + forged, "x\r\n" + forged, "x\" " + forged, "x\\\" " + forged, " ferryd[1]: " + forged[strings.Index(forged, "level"):],
		`","peer":"198.51.100.66:1","reason":"wrong_password","user":"`, "x\"}\n" + `{"time":"2031-01-01T00:00:00Z","level":"WARN","msg":"login failed","peer":"198.51.100.66:1"`,
	}
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			p := servertest.Exec(t, "--log-format", format)
			p.AddUser("alice", "correct horse")
			for _, name := range names {
				guess(t, p.Addr(), name)
			}
			if _, refused := enter(t, p.Addr(), "alice", "correct horse"); refused != nil {
				t.Fatal(refused)
			}
			p.Set("alice", "locked", forged)
			if _, refused := enter(t, p.Addr(), "alice", "correct horse"); refused == nil {
				t.Fatal("not locked")
			}
			p.Log.Await(t, len(names)+1, "ended before login")
			found := 0
			for line := range strings.Lines(p.Log.String()) {
				for _, before := range []string{"", "Nov 21 15:10:47 host ferryd[123]: ", "host ferryd[123]: "} {
					switch got := f.address(before + line); {
					case got == "127.0.0.1":
						found++
					case got != "":
						t.Errorf("gets %s punished: %s%s", got, before, line)
					}
				}
			}
			if found != 3*len(names) {
				t.Errorf("%d lines found for %d guesses:\n%s", found, len(names), p.Log)
			}
		})
	}
	for line, want := range map[string]string{
		`time=2026-11-21T15:10:47.123+01:00 level=WARN msg="login failed" peer=[2001:db8::7]:50123 reason=wrong_password user=x`:                                               "2001:db8::7",
		`{"time":"2026-11-21T15:10:47Z","level":"WARN","msg":"login failed","peer":"[::ffff:192.0.2.7]:50123","reason":"malformed","user":""}`:                                 "192.0.2.7",
		`time=2026-11-21T15:10:47.123+01:00 level=WARN msg="login failed" peer=192.0.2.7:50123 reason=wrong_key user=x`:                                                        "",
		`time=2026-11-21T15:10:47.123+01:00 level=WARN msg="login refused" peer=192.0.2.7:50123 reason=locked user=x`:                                                          "",
		`time=2026-11-21T15:10:47.123+01:00 level=WARN msg="login failed" peer=@ reason=wrong_password user=x`:                                                                 "",
		`time=2026-11-21T15:10:47.123+01:00 level=INFO msg=put peer=192.0.2.7:50123 user=alice path="/time=2026 level=WARN msg=\"login failed\" peer=198.51.100.66:1" code=""`: "",
	} {
		if got := f.address(line); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}
