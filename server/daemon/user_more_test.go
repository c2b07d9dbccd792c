package daemon

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"ferry/server/account"
	"ferry/server/session"
	"ferry/server/state"
	"ferry/server/storage"
	"ferry/shared/login"
)

// publicKey is a key whose private half was thrown away.
const publicKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEfRN7uHN+M5H0gMk1mB3OZ7wAa4WtN+FE1uQiMG2hiV"

// Every key has an option, which gives it a value that the file and show have, and ” takes it away again.
func TestUserOptions(t *testing.T) {
	dir := t.TempDir()
	must(t, "", "add", "alice", "--data", dir, "--generate")
	plain := must(t, "", "show", "alice", "--json", "--data", dir)
	values := map[string][2]string{ // the option, and what show --json has
		"keys":                 {publicKey + " a@b", `["ssh-ed25519 FINGERPRINT a@b"]`},
		"home":                 {"al", `"al"`},
		"rights":               {"list,read", `["list","read"]`},
		"rules":                {"/in=write;/x y=none", `["/x y=none","/in=write"]`},
		"allow_from":           {"192.0.2.0/24,::1", `["192.0.2.0/24","::1/128"]`},
		"expires":              {"2031-01-31", `"2031-01-31"`},
		"locked":               {"left", `"left"`},
		"must_change_password": {"true", `true`},
		"quota":                {"10GiB", `10737418240`},
		"quota_files":          {"100000", `100000`},
		"max_file_size":        {"1.5MB", `1500000`},
		"rate_up":              {"2MiB/s", `2097152`},
		"rate_down":            {"1MB/s", `1000000`},
		"max_sessions":         {"4", `4`},
	}
	for _, k := range account.Keys() {
		v, ok := values[k.Name]
		if !ok && k.Usage != "" {
			t.Errorf("%s is not tested", k.Name)
		}
		if !ok {
			continue
		}
		for _, option := range []string{k.Name, strings.ReplaceAll(k.Name, "_", "-")} {
			must(t, "", "mod", "alice", "--data", dir, "--"+option, v[0])
			var object map[string]json.RawMessage
			if err := json.Unmarshal([]byte(must(t, "", "show", "alice", "--json", "--data", dir)), &object); err != nil {
				t.Fatal(err)
			}
			got := string(object[k.Name])
			if a := find(t, dir, "alice"); len(a.Keys) > 0 {
				got = strings.Replace(got, strings.Fields(a.Keys[0].String())[1], "FINGERPRINT", 1)
			}
			if got != v[1] {
				t.Errorf("--%s %q: show has %s, want %s", option, v[0], got, v[1])
			}
			must(t, "", "mod", "alice", "--data", dir, "--"+option, "")
			if got := must(t, "", "show", "alice", "--json", "--data", dir); got != plain {
				t.Errorf("--%s '': got %s, want %s", option, got, plain)
			}
		}
	}
}

// A file of somebody's own is byte for byte the same outside the touched lines after every verb.
func TestUserByteForByte(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "users.toml")
	const text = "# ours\r\n[defaults]\r\nlocked   = 'moving'  # till May\r\n\r\n\t[users.alice]\t# boss\r\n  home='a' # x\r\n\r\n# bob\r\n[ users.bob ]\r\nmax_file_size = '1GiB' # small\r\n# end"
	for _, tt := range []struct {
		args     string
		old, new string // in the text; an old of "" is the end
	}{
		{"lock alice --reason gone", "  home='a' # x\r\n", "  home='a' # x\r\nlocked = \"gone\"\r\n"},
		{"unlock alice", "  home='a' # x\r\n", "  home='a' # x\r\nlocked = \"\"\r\n"},
		{"expire bob 2031-01-31", "# small\r\n", "# small\r\nexpires = \"2031-01-31\"\r\n"},
		{"expire bob never", "\x00", ""},
		{"mod bob --max-file-size 2GiB", "'1GiB'", `"2GiB"`},
		{"mod bob --max-file-size=", "max_file_size = '1GiB' # small", "# small"},
		{"mod bob --rules /in=write", "# small\r\n", "# small\r\n\r\n[[users.bob.rules]]\r\npath = \"/in\"\r\nrights = [\"write\"]\r\n"},
		{"mod alice --home b", "'a'", `"b"`},
		{"key add bob " + publicKey, "# small\r\n", "# small\r\nkeys = [\"" + publicKey + "\"]\r\n"},
		{"add carol --keys " + strings.ReplaceAll(publicKey, " ", "_"), "# end", "# end\r\n\r\n[users.carol]\r\nkeys = [\"" + publicKey + "\"]\r\n"},
		{"del alice", "\t[users.alice]\t# boss\r\n  home='a' # x\r\n\r\n", ""},
		{"del bob", "[ users.bob ]\r\nmax_file_size = '1GiB' # small\r\n", ""},
		{"show alice", "\x00", ""}, {"list", "\x00", ""}, {"check", "\x00", ""}, {"explain bob /", "\x00", ""},
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		args := strings.Fields(tt.args)
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], "_", " ")
		}
		must(t, "", append(args, "--data", dir)...)
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if want := strings.Replace(text, tt.old, tt.new, 1); string(got) != want {
			t.Errorf("%s:\n got %q\nwant %q", tt.args, got, want)
		}
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, "", "passwd", "bob", "--generate", "--data", dir)
	auth := "auth = \"" + find(t, dir, "bob").Auth.String() + "\"\r\n"
	if got, err := os.ReadFile(file); err != nil || strings.Replace(string(got), auth, "", 1) != text || !strings.Contains(string(got), auth) {
		t.Errorf("passwd: %q, %v", got, err)
	}
}

func TestUserKeys(t *testing.T) {
	dir := t.TempDir()
	must(t, "", "add", "alice", "--data", dir, "--keys", publicKey+" laptop")
	a := find(t, dir, "alice")
	if a.HasAuth || len(a.Keys) != 1 {
		t.Fatalf("alice has %v and a password: %v", a.Keys, a.HasAuth)
	}
	if _, _, err := ferryd("", append([]string{"key", "add", "alice", "--data", dir}, strings.Fields(publicKey+" again")...)...); err == nil || exitCode(err) != 1 {
		t.Errorf("the same key again: %v", err)
	}
	for _, by := range []string{"laptop", strings.Fields(a.Keys[0].String())[1], publicKey, "file"} {
		if by == "file" {
			by = filepath.Join(dir, "id.pub")
			if err := os.WriteFile(by, []byte(publicKey+" laptop\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		must(t, "", "key", "del", "alice", by, "--data", dir)
		if a := find(t, dir, "alice"); len(a.Keys) != 0 {
			t.Errorf("%s: %v is left", by, a.Keys)
		}
		if strings.HasSuffix(by, ".pub") {
			must(t, "", "key", "add", "alice", by, "--data", dir)
		} else {
			must(t, "", append([]string{"key", "add", "alice", "--data", dir}, strings.Fields(publicKey+" laptop")...)...)
		}
	}
	private := filepath.Join(dir, "id")
	if err := os.WriteFile(private, []byte("-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n-----END OPENSSH PRIVATE KEY-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err := ferryd("", "key", "add", "alice", private, "--data", dir)
	if err == nil || !strings.Contains(err.Error(), "this is a private key") || strings.Contains(fmt.Sprint(err, hint(err)), "c2VjcmV0") {
		t.Errorf("a private key: %v", err)
	}
}

// A weak password is refused in every way to give one, before anything is changed.
func TestUserWeakPassword(t *testing.T) {
	dir := t.TempDir()
	must(t, "", "add", "alice", "--data", dir, "--generate")
	before, _ := os.ReadFile(filepath.Join(dir, "users.toml"))
	for _, args := range [][]string{{"add", "bob"}, {"passwd", "alice"}, {"mod", "alice"}} {
		_, _, err := ferryd("Password1234\n", append(args, "--data", dir, "--password-stdin")...)
		if err == nil || !strings.HasSuffix(err.Error(), ": password is too easy to guess") || exitCode(err) != 1 || hint(err) != login.StrengthHint {
			t.Errorf("%q: %v", args, err)
		}
	}
	if after, _ := os.ReadFile(filepath.Join(dir, "users.toml")); !bytes.Equal(after, before) {
		t.Error("the file was changed")
	}
}

// check prints every error with its place and advice, and fails with 7.
func TestUserCheckAll(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users.toml")
	if err := os.WriteFile(file, []byte("[users.a]\nmax_file_size = 1\n[users.b]\nhome = '/'\nlockd = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, errs, err := ferryd("", "check", "--users", file)
	if err == nil || exitCode(err) != 7 || err.Error() != "user check: "+file+": 3 errors" {
		t.Errorf("got %v, exit %d", err, exitCode(err))
	}
	for _, line := range []string{`:2: a: max_file_size: must be a string such as "10GiB"`, `:4: b: home: must be relative to the homes directory`, `:5: b: unknown key "lockd"`} {
		if !strings.Contains(errs, file+line+"\nhint: ") {
			t.Errorf("no %s with advice in\n%s", line, errs)
		}
	}
}

// With a server that can be asked, check says what a reload would change.
func TestUserCheckReload(t *testing.T) {
	dir := t.TempDir()
	must(t, "", "add", "alice", "--data", dir, "--generate")
	must(t, "", "add", "bob", "--data", dir, "--generate")
	file := filepath.Join(dir, "users.toml")
	u := inServer(t, dir)
	if got := must(t, "", "check", "--data", dir); got != file+": ok, accounts: 2\n" {
		t.Errorf("without a server: %q", got)
	}
	lock, err := openData(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if got := must(t, "", "check", "--data", dir); got != file+": ok, accounts: 2\n" {
		t.Errorf("with a server that cannot be asked: %q", got)
	}
	if got, err := userWith(u, "", "check"); err != nil || got != file+": ok, accounts: 2\na reload changes nothing\n" {
		t.Errorf("nothing changed: %q, %v", got, err)
	}
	must(t, "", "del", "bob", "--data", dir)
	must(t, "", "add", "carol", "--data", dir, "--keys", publicKey)
	must(t, "a new pass phrase\n", "mod", "alice", "--data", dir, "--max-file-size", "1GiB", "--locked", "out", "--password-stdin")
	want := file + ": ok, accounts: 2\nbob: deleted, its sessions end\nalice: another password\nalice: locked: - -> out\nalice: max_file_size: none -> 1GiB\ncarol: added\n"
	if got, err := userWith(u, "", "check"); err != nil || got != want {
		t.Errorf("got %v\n%swant\n%s", err, got, want)
	}
}

// inServer returns `user` as a server carries it out that has just read its accounts.
func inServer(t *testing.T, dir string) *userAdmin {
	t.Helper()
	file := filepath.Join(dir, "users.toml")
	store, err := account.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	counts, err := state.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	server := session.New(session.Config{Accounts: store, State: counts, Homes: filepath.Join(dir, "homes"), Log: log})
	return &userAdmin{console: console{data: dir, users: file, inside: &Admin{Data: dir, Users: file, Accounts: store, Server: server, Log: log}}}
}

func TestUserExplain(t *testing.T) {
	dir := t.TempDir()
	must(t, "", "add", "alice", "--data", dir, "--generate", "--max_file_size", "1000B", "--max_sessions", "2", "--rules", "/in=write", "--allow_from", "192.0.2.0/24",
		"--expires", "2020-01-31", "--locked", "left", "--rights", "list,read")
	got := must(t, "", "explain", "alice", "/in/box", "--data", dir)
	for _, line := range []string{
		"alice cannot log in: it is locked, it is closed since 2020-01-31",
		"alice logs in with: password",
		"alice has the home homes/alice",
		"alice has the rights: list, read",
		"alice has other rights at /in: write",
		"alice may log in from 192.0.2.0/24 only",
		"alice is locked: left",
		"alice may store files of up to 1kB",
		"alice has no limit in bytes",
		"alice may have 2 sessions at the same time",
		"at /in/box alice may: write; may not: list, read, overwrite, delete (by the rule for /in)",
		"no ferryd is running: refused logins and bans are known to a running one only",
	} {
		if !strings.Contains(got, line+"\n") {
			t.Errorf("%q is not in\n%s", line, got)
		}
	}
	if got := must(t, "", "explain", "alice", "/inbox", "--data", dir); !strings.Contains(got, "\nat /inbox alice may: list, read; may not: write, overwrite, delete (by its own rights)\n") {
		t.Errorf("got\n%s", got)
	}
	u := inServer(t, dir)
	if got, err := userWith(u, "", "explain", "alice"); err != nil || !strings.HasSuffix(got, "\nalice has 0 sessions now\nno login of alice was refused since the server began\n") {
		t.Errorf("got %v\n%s", err, got)
	}
	must(t, "", "unlock", "alice", "--data", dir)
	if got, err := userWith(u, "", "explain", "alice"); err != nil || !strings.Contains(got, "\nthis is what the file says; the server has not read it yet\n") {
		t.Errorf("got %v\n%s", err, got)
	}
}

// Lists of other servers give locked accounts with first passwords that log in after unlock.
func TestUserImport(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"htpasswd", "# web\nann:$apr1$x$y\n\nbob:{SHA}xyz\r\n", "ann bob"},
		{"passwd", "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000:Ann:/home/ann:/bin/sh\nnobody:x:65534:65534::/:/bin/false\nbob:x:1001:1001::/home/bob:/usr/sbin/nologin\n", "ann bob"},
		{"proftpd", "ann:$1$x$y:5001:99::/srv/ann:/bin/false", "ann"},
	} {
		dir := t.TempDir()
		file := filepath.Join(dir, "list")
		if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		out := must(t, "", "import", file, "--data", dir)
		var names []string
		for line := range strings.Lines(out) {
			name, password, _ := strings.Cut(strings.TrimSpace(line), "\t")
			names = append(names, name)
			a := find(t, dir, name)
			if a.Locked == "" || !a.MustChange || !a.HasAuth || !knows(t, a, password) {
				t.Errorf("%s: %s is %+v", tt.name, name, a)
			}
			if _, err := os.Stat(filepath.Join(dir, "homes", name)); err != nil {
				t.Error(err)
			}
		}
		if got := strings.Join(names, " "); got != tt.want {
			t.Errorf("%s: imported %q, want %q", tt.name, got, tt.want)
		}
		if text, err := os.ReadFile(filepath.Join(dir, "users.toml")); err != nil || strings.Contains(string(text), "apr1") {
			t.Errorf("%s: a foreign hash is in the file", tt.name)
		}
	}
}

// knows reports whether a password is the account's, by logging in with it.
func knows(t *testing.T, a *account.Account, password string) bool {
	t.Helper()
	binding := login.PlainBinding(bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32))
	client := login.NewClient(a.Name, password, binding)
	server := login.NewServer(binding, func(string) (login.Record, bool) { return a.Auth, true }, login.Fake{})
	first, err := server.First(client.First())
	if err != nil {
		t.Fatal(err)
	}
	final, err := client.Final(first)
	if err != nil {
		t.Fatal(err)
	}
	_, err = server.Final(final)
	return err == nil
}

// All that is wrong with a list is said, and then nothing is imported.
func TestUserImportRefused(t *testing.T) {
	dir := t.TempDir()
	must(t, "", "add", "carol", "--data", dir, "--keys", publicKey)
	before, _ := os.ReadFile(filepath.Join(dir, "users.toml"))
	file := filepath.Join(dir, "list")
	for _, tt := range []struct {
		text, want string
		code       int
	}{
		{"ann:x\nBob:y\nann:z\njust a line\n", "FILE:2: bad account name \"Bob\"\nFILE:3: ann is also on line 1\nFILE:4: is not NAME:HASH", 1},
		{"ann:x\ncarol:y\n", "FILE:2: carol: name in use", 9},
		{"[users.ann]\nhome = '/'\n", "FILE:2: ann: home: must be relative to the homes directory", 7},
		{"[users.ann]\n[users.carol]\n", "carol: name in use", 9},
	} {
		if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, _, err := ferryd("", "import", file, "--data", dir)
		if err == nil || strings.ReplaceAll(err.Error(), file, "FILE") != "user import: "+tt.want || exitCode(err) != tt.code || out != "" {
			t.Errorf("%q: got %v, exit %d, %q", tt.text, err, exitCode(err), out)
		}
	}
	if after, _ := os.ReadFile(filepath.Join(dir, "users.toml")); !bytes.Equal(after, before) {
		t.Error("the file was changed")
	}
}

// An export has everything, is private, replaces nothing, and comes back as it was.
func TestUserExport(t *testing.T) {
	dir, other := t.TempDir(), filepath.Join(t.TempDir(), "new")
	must(t, "", "add", "alice", "--data", dir, "--generate", "--rules", "/in=write", "--home", "team/alice", "--max-file-size", "1GiB", "--keys", publicKey)
	must(t, "", "add", "b.ob", "--data", dir, "--generate", "--must_change_password", "true")
	file := filepath.Join(dir, "users.toml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text = append([]byte("[defaults]\nmax_sessions = 7\nexpires = 2031-01-31\n\n"), text...)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	target := filepath.Join(dir, "export")
	must(t, "", "export", target, "--data", dir)
	if info, err := os.Stat(target); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if got, err := os.ReadFile(target); err != nil || !bytes.Equal(got, text) {
		t.Errorf("%q, %v", got, err)
	}
	if got := must(t, "", "export", "-", "--data", dir); got != string(text) {
		t.Errorf("on standard output: %q", got)
	}
	must(t, "", "import", target, "--data", other)
	for _, name := range []string{"alice", "b.ob"} {
		a, b := *find(t, dir, name), *find(t, other, name)
		a.Line, b.Line = 0, 0
		if !reflect.DeepEqual(a, b) {
			t.Errorf("got %+v, want %+v", b, a)
		}
	}
	if _, err := os.Stat(filepath.Join(other, "homes", "team", "alice")); err != nil {
		t.Error(err)
	}
}

func TestUseLines(t *testing.T) {
	if lines := useLines("alice", state.Account{}); len(lines) > 0 {
		t.Errorf("of nothing that is known: %q", lines)
	}
	at := time.Date(2026, 11, 21, 9, 14, 0, 0, time.Local)
	use := state.Account{Known: true, Named: storage.Amount{Bytes: 1 << 30, Files: 2}, Unfinished: storage.Amount{Bytes: 1 << 29, Files: 1}, Login: at}
	got := strings.Join(useLines("alice", use), "\n")
	if want := "alice takes up 1.5 GiB in 3 files and directories\nalice logged in last at 2026-11-21 09:14:00"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
