package daemon

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ferry/server/session"
	"ferry/shared/login"
	"ferry/shared/wire"
)

// byHand is an account file as a person writes it. What a verb must leave alone is in it before, after and between.
const byHand = `# ours, since 2020
[defaults]
max_sessions = 20   # enough

   [users.alice]   # the boss
rights = [ "list", "read", "write", "overwrite", "delete", "admin" ]
keys = [
  "` + publicKey + ` alice@laptop", # until June
]

# Bob
[users.bob]
# his password
auth = '$scram-sha256-argon2id$v=19$m=19456,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw'
locked = "left"     # in May
expires = 2099-01-01
keys = ["` + publicKey + ` bob@desk"]

# and Carol
[users."carol.c"]
home='c'
# the end`

// verbsOfUser are command lines with every verb, and how many lines of byHand they may take away and put in.
func verbsOfUser() []struct {
	line       string
	gone, came int
} {
	return []struct {
		line       string
		gone, came int
	}{
		{"list", 0, 0}, {"show bob", 0, 0}, {"check", 0, 0}, {"explain bob /x", 0, 0}, {"recount bob", 0, 0},
		{"add dave --generate", 1, 5}, // the last line gets its end
		{"add dave --keys KEY --rights list,read", 1, 6},
		{"mod bob --max-file-size 1GiB", 0, 1},
		{"mod bob --home other", 0, 1},
		{"mod bob --locked gone --expires 2031-01-31", 2, 2},
		{"mod bob --expires=", 1, 0},
		{"mod bob --password-stdin", 1, 1},
		{"passwd bob --generate", 1, 1},
		{"lock bob --reason gone", 1, 1},
		{"unlock bob", 1, 1}, // its comment stays
		{"expire bob 2031-01-31", 1, 1},
		{"expire bob never", 1, 0},
		{"key add bob KEY", 1, 1},
		{"key del bob bob@desk", 1, 1},
		{"del bob", 7, 0},
	}
}

// between returns the lines of old that are not in now, and those of now that are not in old, but for what is equal before and behind.
func between(old, now string) (gone, came []string) {
	a, b := strings.SplitAfter(old, "\n"), strings.SplitAfter(now, "\n")
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	return a, b
}

// site is where a command line is carried out, in a data directory of its own.
type site func(t *testing.T, dir string, args ...string) (stdout, stderr string, err error)

// onHost runs `ferryd user`.
func onHost(t *testing.T, dir string, args ...string) (stdout, stderr string, err error) {
	return ferryd("correct horse battery\n", append(args, "--data", dir)...)
}

// inShell is what alice's shell does: it sends the words, and makes the password that it is asked for.
func inShell(t *testing.T, dir string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	out, notes, a := give(t, running(t, dir), session.Order{Admin: "alice", From: netip.MustParseAddr("192.0.2.7"), Args: append([]string{"user"}, args...)})
	if a.Exit != 0 {
		err = &answered{a}
	}
	return out, notes, err
}

// give gives an order, and if a password is asked for makes one.
func give(t *testing.T, a *Admin, o session.Order) (out, notes string, answer *wire.AdminAnswer) {
	t.Helper()
	var output, beside bytes.Buffer
	answer = a.Run(t.Context(), o, &output, &beside)
	if w := answer.Password; w != nil {
		r, err := login.NewRecord("correct horse battery", login.Params{Memory: w.Memory, Time: w.Time, Threads: w.Threads})
		if err != nil {
			t.Fatal(err)
		}
		o.Record = r.String()
		output.Reset()
		beside.Reset()
		if answer = a.Run(t.Context(), o, &output, &beside); answer.Password != nil {
			t.Fatal("the password is asked for again")
		}
	}
	return output.String(), beside.String(), answer
}

// running returns the administration of a server on a data directory.
func running(t *testing.T, dir string) *Admin {
	t.Helper()
	u := inServer(t, dir)
	u.inside.Costs = login.Params{Memory: 19 << 10, Time: 2, Threads: 1}
	return u.inside
}

// Every verb, from the host and from the shell, leaves what a person wrote byte for byte as it was, but for the lines it is about.
func TestVerbsKeepText(t *testing.T) {
	var tried []string
	for _, tt := range verbsOfUser() {
		tried = append(tried, strings.Fields(tt.line)[0])
		for name, run := range map[string]site{"host": onHost, "shell": inShell} {
			dir := t.TempDir()
			file := filepath.Join(dir, "users.toml")
			if err := os.WriteFile(file, []byte(byHand), 0o600); err != nil {
				t.Fatal(err)
			}
			args := strings.Fields(tt.line)
			for i := range args {
				if args[i] == "KEY" {
					args[i] = another
				}
			}
			if _, errs, err := run(t, dir, args...); err != nil {
				t.Errorf("%s: %s: %v\n%s", name, tt.line, err, errs)
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			gone, came := between(byHand, string(text))
			if len(gone) > tt.gone || len(came) > tt.came {
				t.Errorf("%s: %s took away %q and put in %q", name, tt.line, gone, came)
			}
			if tt.gone+tt.came > 0 && string(text) == byHand {
				t.Errorf("%s: %s changed nothing", name, tt.line)
			}
			for line := range strings.Lines(byHand) {
				if _, comment, ok := strings.Cut(line, "#"); ok && args[0] != "del" && !strings.Contains(string(text), strings.TrimSpace(comment)) {
					t.Errorf("%s: %s lost the comment %q", name, tt.line, comment)
				}
			}
		}
	}
	for _, c := range userCommand().Commands() {
		if !slices.Contains(append(tried, "import", "export"), c.Name()) {
			t.Errorf("%s is not tried", c.Name())
		}
	}
}

// another is a key that nobody in byHand has.
const another = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUTyz1HwHReFVvD5obVsALAgJRNarH4TRpNePnAS"

// Far from the server's machine no file of it can be named, and nothing is told of where its files are.
func TestFarAway(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	for file, text := range map[string]string{"users.toml": byHand, "secret": "ssh-ed25519 no key\n"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a := running(t, dir)
	for _, tt := range []struct {
		line string
		exit int
		want string
	}{
		{"user list --data /etc", 2, "user list: unknown flag: --data"},
		{"user list --users /etc/passwd", 2, "user list: unknown flag: --users"},
		{"reload --data /etc", 2, "reload: unknown flag: --data"},
		{"user import SECRET", 1, "user import: only on the server's machine"},
		{"user export SECRET", 1, "user export: only on the server's machine"},
		{"user key add bob SECRET", 2, `user key add: bob: "`},
		{"user show dave", 6, "user show: dave: no such user"},
		{"user add bob --generate", 9, "user add: bob: name in use"},
		{"user mod bob", 2, "user mod: bob: nothing to change"},
		{"user", 2, "user: no command given"},
		{"serve", 2, `unknown command "serve"`},
		{"", 2, `unknown command ""`},
		{"--help --version", 2, "unknown flag: --version"},
		{"user lock alice", 1, "user lock: alice: this would shut you out"},
		{"user del alice", 1, "user del: alice: this would shut you out"},
		{"user expire alice 2020-01-01", 1, "user expire: alice: this would shut you out"},
		{"user mod alice --rights *", 1, "user mod: alice: this would shut you out"},
		{"user mod alice --allow-from 198.51.100.0/24", 1, "user mod: alice: this would shut you out"},
		{"uploads drop 00112233445566778899aabbccddeeff", 1, `uploads drop: "00112233445566778899aabbccddeeff": no such upload`},
		{"sessions kick bob", 1, "sessions kick: bob: no such session"},
	} {
		args := strings.Fields(strings.ReplaceAll(tt.line, "SECRET", secret))
		out, notes, answer := give(t, a, session.Order{Admin: "alice", From: netip.MustParseAddr("192.0.2.7"), Args: args})
		if answer.Exit != tt.exit || !strings.HasPrefix(answer.Message, tt.want) {
			t.Errorf("%q: exit %d, %s, want %d, %s", tt.line, answer.Exit, answer.Message, tt.exit, tt.want)
		}
		if all := fmt.Sprint(out, notes, answer.Message, answer.Hint); strings.Contains(all, dir) || strings.Contains(all, "no key") || strings.Contains(answer.Hint, "ferryd user") && !strings.Contains(answer.Hint, "there: ") {
			t.Errorf("%q tells where the server is: %s", tt.line, all)
		}
	}
	if text, err := os.ReadFile(a.Users); err != nil || string(text) != byHand {
		t.Errorf("the file was changed: %v\n%s", err, text)
	}
	if _, _, answer := give(t, a, session.Order{Admin: "alice", From: netip.MustParseAddr("192.0.2.7"), Args: []string{"user", "lock", "alice", "--force"}}); answer.Exit != 0 {
		t.Errorf("--force: %s", answer.Message)
	}
	if alice, _ := a.Accounts.Current().Lookup("alice"); alice.Locked == "" {
		t.Error("the server has not taken the edit in")
	}
}

// A broken file keeps the accounts, and whoever asked is told the line.
func TestReloadTells(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "users.toml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("[users.alice]\n")
	a := running(t, dir)
	order := func(admin string, args ...string) (string, *wire.AdminAnswer) {
		t.Helper()
		out, _, answer := give(t, a, session.Order{Admin: admin, Args: args})
		return out, answer
	}
	if out, answer := order("alice", "reload"); answer.Exit != 0 || out != "nothing has changed\n" {
		t.Errorf("exit %d, %q", answer.Exit, out)
	}
	write("[users.alice]\nlocked = \"x\"\n[users.bob]\n")
	if out, answer := order("alice", "user", "check"); answer.Exit != 0 || out != "users.toml: ok, accounts: 2\nalice: locked: - -> x\nbob: added\n" {
		t.Errorf("exit %d, %q", answer.Exit, out)
	}
	if out, answer := order("alice", "reload"); answer.Exit != 0 || out != "alice: locked: - -> x\nbob: added\n" {
		t.Errorf("exit %d, %q", answer.Exit, out)
	}
	write("[users.alice]\nlockd = 1\n")
	if _, answer := order("alice", "reload"); answer.Exit != 7 || answer.Message != `reload: keeping the old accounts: users.toml:2: alice: unknown key "lockd"` {
		t.Errorf("exit %d, %q", answer.Exit, answer.Message)
	}
	if _, answer := order("", "reload"); !strings.Contains(answer.Message, file+":2:") {
		t.Errorf("on the host: %q", answer.Message)
	}
	if _, there := a.Accounts.Current().Lookup("bob"); !there {
		t.Error("the old accounts are gone")
	}
}

// The log says who did what, and a name cannot forge a line of it.
func TestAdminLog(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "users.toml"), []byte(byHand), 0o600); err != nil {
		t.Fatal(err)
	}
	a := running(t, dir)
	var log bytes.Buffer
	a.Log = slog.New(slog.NewTextHandler(&log, nil))
	give(t, a, session.Order{Admin: "alice", From: netip.MustParseAddr("192.0.2.7"), Args: []string{"user", "lock", "bob"}})
	give(t, a, session.Order{Args: []string{"user", "show", "x\nlevel=INFO msg=admin admin=eve"}})
	for _, want := range []string{
		"level=INFO msg=admin admin=alice from=shell verb=user.lock name=bob exit=0\n",
		`level=INFO msg=admin admin=host from=control.sock verb=user.show name="x\nlevel=INFO msg=admin admin=eve" exit=6` + "\n",
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%q is not in\n%s", want, &log)
		}
	}
	if strings.Count(log.String(), "\n") != 2 {
		t.Errorf("the log is\n%s", &log)
	}
}
