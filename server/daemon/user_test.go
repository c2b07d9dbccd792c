package daemon

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/creack/pty"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"ferry/server/account"
	"ferry/shared/login"
)

// ferryd runs `ferryd user ...` with the given standard input. Its passwords are as cheap as they may be.
func ferryd(stdin string, args ...string) (stdout, stderr string, err error) {
	return userRun(newUserCommand(&userAdmin{params: login.Params{Memory: 19 << 10, Time: 2, Threads: 1}}), stdin, args...)
}

// userWith is ferryd with options that the command line does not have.
func userWith(u *userAdmin, stdin string, args ...string) (stdout string, err error) {
	stdout, _, err = userRun(newUserCommand(u), stdin, args...)
	return stdout, err
}

// userCommand is `ferryd user` as it is.
func userCommand() *cobra.Command { return newUserCommand(&userAdmin{params: login.DefaultParams()}) }

func userRun(c *cobra.Command, stdin string, args ...string) (stdout, stderr string, err error) {
	root := &cobra.Command{Use: "ferryd", SilenceUsage: true, SilenceErrors: true}
	root.AddCommand(c)
	var out, errs bytes.Buffer
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(&out)
	root.SetErr(&errs)
	root.SetArgs(append([]string{"user"}, args...))
	err = root.Execute()
	return out.String(), errs.String(), err
}

// must is ferryd that has to succeed; it returns standard output.
func must(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, errs, err := ferryd(stdin, args...)
	if err != nil {
		t.Fatalf("user %q: %v\n%s", args, err, errs)
	}
	return out
}

func TestUser(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	must(t, "pass word \r\nnot this\n", "add", "alice", "--data", dir, "--password-stdin", "--rights", "list, read")
	home := filepath.Join(dir, "homes", "alice")
	for name, mode := range map[string]os.FileMode{dir: 0o700, home: 0o700, filepath.Join(dir, "users.toml"): 0o600} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v, want mode %04o", name, info, err, mode)
		}
	}
	password := must(t, "", "add", "bob", "--data", dir, "--generate", "--home", "team/bob")
	if len(password) < 21 || strings.Count(password, "\n") != 1 {
		t.Errorf("generated %d bytes", len(password))
	}
	if _, err := os.Stat(filepath.Join(dir, "homes", "team", "bob")); err != nil {
		t.Error(err)
	}

	must(t, "", "lock", "alice", "--reason", "left", "--data", dir)
	const alice = `{"allow_from":[],"auth":"password","expires":"","home":"alice","keys":[],"locked":"left","max_file_size":0,"max_sessions":0,` +
		`"must_change_password":false,"name":"alice","quota":0,"quota_files":0,"rate_down":0,"rate_up":0,"rights":["list","read"],"rules":[]}` + "\n"
	if got := must(t, "", "show", "alice", "--json", "--data", dir); got != alice {
		t.Errorf("show --json: got %s", got)
	}
	if got, want := must(t, "", "show", "alice", "--data", dir), "name: alice\nauth: password\nkeys: -\nhome: alice\nrights: list,read\nrules: -\nallow_from: -\n"+
		"expires: -\nlocked: left\nmust_change_password: false\nquota: none\nquota_files: none\nmax_file_size: none\nrate_up: none\nrate_down: none\n"+
		"max_sessions: none\nused: -\nfiles: -\nlast_login: -\n"; got != want {
		t.Errorf("show: got %q, want %q", got, want)
	}
	if got, want := must(t, "", "list", "--data", dir), "NAME   AUTH      HOME      RIGHTS                            EXPIRES  LOCKED  QUOTA\n"+
		"alice  password  alice     list,read                         -        left    none\n"+
		"bob    password  team/bob  list,read,write,overwrite,delete  -        -       none\n"; got != want {
		t.Errorf("list: got\n%swant\n%s", got, want)
	}
	for line := range strings.Lines(must(t, "", "list", "--json", "--users", filepath.Join(dir, "users.toml"))) {
		var object map[string]any
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			t.Errorf("%q: %v", line, err)
		}
	}
	if got, want := must(t, "", "check", "--data", dir), filepath.Join(dir, "users.toml")+": ok, accounts: 2\n"; got != want {
		t.Errorf("check: got %q, want %q", got, want)
	}

	before := find(t, dir, "alice")
	if _, _, err := userRun(userCommand(), "", "add", "real", "--generate", "--data", dir); err != nil || find(t, dir, "real").Auth.Params != login.DefaultParams() {
		t.Errorf("a real account: %v, costs %+v", err, find(t, dir, "real").Auth.Params)
	}
	must(t, "", "del", "real", "--data", dir)
	must(t, "another pass word\n", "passwd", "alice", "--data", dir, "--password-stdin")
	must(t, "", "unlock", "alice", "--data", dir)
	must(t, "", "unlock", "alice", "--data", dir) // again is no error
	must(t, "", "mod", "alice", "--data", dir, "--rights", "", "--home", "al")
	after := find(t, dir, "alice")
	if after.Auth.String() == before.Auth.String() || after.Locked != "" || after.Rights != account.All || after.Home != "al" {
		t.Errorf("alice is %v %q %s", after.Rights, after.Locked, after.Home)
	}
	if _, err := os.Stat(filepath.Join(dir, "homes", "al")); err != nil {
		t.Error(err)
	}

	if err := os.WriteFile(filepath.Join(dir, "homes", "team", "bob", "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, "", "del", "alice", "--data", dir)
	must(t, "", "del", "bob", "--purge", "--data", dir)
	for name, there := range map[string]bool{"al": true, "team": true, "team/bob": false} {
		if _, err := os.Stat(filepath.Join(dir, "homes", name)); (err == nil) != there {
			t.Errorf("home %s: %v, want there: %v", name, err, there)
		}
	}
	if got := must(t, "", "list", "--data", dir); strings.Count(got, "\n") != 1 {
		t.Errorf("left over: %s", got)
	}
}

// find reads one account of DIR/users.toml.
func find(t *testing.T, dir, name string) *account.Account {
	t.Helper()
	s, err := account.Load(filepath.Join(dir, "users.toml"))
	if err != nil {
		t.Fatal(err)
	}
	a, ok := s.Lookup(name)
	if !ok {
		t.Fatalf("no account %s", name)
	}
	return a
}

// Nothing that is printed, and no error, holds a part of a credential.
func TestUserSecrets(t *testing.T) {
	dir := t.TempDir()
	must(t, "swordfish and chips\n", "add", "alice", "--data", dir, "--password-stdin")
	file := filepath.Join(dir, "users.toml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	secrets := append(strings.Split(find(t, dir, "alice").Auth.String(), "$")[4:], "swordfish")
	commands := [][]string{{"show", "alice"}, {"show", "alice", "--json"}, {"list"}, {"list", "--json"}, {"check"}, {"mod", "alice", "--home", "../x"}}
	// The file as it is, and broken at the credential in several ways.
	for _, broken := range []string{string(text), strings.Replace(string(text), `auth = "`, "auth = ", 1), strings.Replace(string(text), "$scram", "$scram\n", 1),
		strings.Replace(string(text), `auth = "`, `"`, 1), strings.Replace(string(text), "m=", "m", 1), strings.Replace(string(text), `auth = `, "home = ", 1)} {
		if err := os.WriteFile(file, []byte(broken), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, args := range commands {
			out, errs, err := ferryd("", append(args, "--data", dir)...)
			all := fmt.Sprint(out, errs, err, hint(err))
			for _, secret := range secrets {
				if strings.Contains(all, secret) {
					t.Errorf("%q prints a secret: %s", args, all)
				}
			}
		}
	}
}

func TestUserErrors(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "users.toml")
	const text = "# mine\n[users.alice]\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(dir, "bad.toml")
	if err := os.WriteFile(bad, []byte("[users.a]\nlockd = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	open := filepath.Join(dir, "open.toml")
	if err := os.WriteFile(open, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o666); err != nil {
		t.Fatal(err)
	}
	const known = "known keys: auth, keys, home, rights, rules, allow_from, expires, locked, must_change_password, quota, quota_files, max_file_size, rate_up, rate_down, max_sessions"
	for _, tt := range []struct {
		args       string
		code       int
		want, hint string
	}{
		{"", 2, "user: no command given", "ferryd user --help lists the commands"},
		{"destroy alice", 2, `user: unknown command "destroy"`, "ferryd user --help lists the commands"},
		{"add", 2, "user add: 0 arguments instead of 1", "ferryd user add NAME --data DIR"},
		{"list alice --data DIR", 2, "user list: 1 arguments instead of 0", "ferryd user list --data DIR"},
		{"show alice", 2, "user show: no account file", "give --data DIR or --users FILE"},
		{"show alice --verbose", 2, "user show: unknown flag: --verbose", ""},
		{"add bob --data DIR --password hunter2", 2, "user add: unknown flag: --password", ""},
		{"add Bob --data DIR --generate", 2, `user add: "Bob": bad account name "Bob"`, "a name is 1 to 32 of a-z 0-9 . _ - and begins with a letter or digit"},
		{"add bob --data DIR --generate --password-stdin", 2, "user add: bob: --password-stdin and --generate exclude each other", ""},
		{"add bob --data DIR --generate --home /", 2, "user add: bob: home: must be relative to the homes directory", `in the file it looks like: home = "alice"`},
		{"add bob --data DIR --generate --rights fly", 2, `user add: bob: rights: "fly" is not one of list, read, write, overwrite, delete, exec, admin, *`, `in the file it looks like: rights = ["list", "read"]`},
		{"add bob --data DIR --password-stdin", 1, "user add: bob: password is empty", ""},
		{"add bob --data DIR --generate --home alice/b", 1, `user add: bob: bob: home "alice/b" lies inside the home of alice (line 2)`, "give each account a home of its own"},
		{"add bob --data DIR --generate --max-file-size 10", 2, `user add: bob: max_file_size: "10" has no unit that is known: B, KiB, MiB, GiB, TiB, PiB (powers of 1024) or kB, MB, GB, TB, PB`, `in the file it looks like: max_file_size = "4GiB"`},
		{"add bob --data DIR --generate --quota ten", 2, `user add: bob: quota: "ten" is not a number with a unit, such as 10GiB`, `in the file it looks like: quota = "10GiB"`},
		{"recount bob --data DIR", 6, "user recount: bob: no such user", "ferryd user list --users DIR/users.toml shows the names"},
		{"add bob --data DIR --generate --max_sessions few", 2, `user add: bob: max_sessions: "few" is not a number`, "in the file it looks like: max_sessions = 4"},
		{"add bob --data DIR --generate --must-change-password yes", 2, `user add: bob: must_change_password: "yes" is neither true nor false`, "in the file it looks like: must_change_password = true"},
		{"expire alice tomorrow --data DIR", 2, `user expire: alice: expires: "tomorrow" is not a date such as 2027-01-31`, `in the file it looks like: expires = "2027-01-31"`},
		{"expire alice --data DIR", 2, "user expire: 1 arguments instead of 2", "ferryd user expire NAME DATE --data DIR"},
		{"expire bob never --data DIR", 6, "user expire: bob: no such user", "ferryd user list --users DIR/users.toml shows the names"},
		{"key", 2, "user key: no command given", "ferryd user key --help lists the commands"},
		{"key add alice --data DIR", 2, "user key add: 1 arguments instead of at least 2", "ferryd user key add NAME KEY... --data DIR"},
		{"key add alice ssh-ed25519 --data DIR", 2, `user key add: alice: "ssh-ed25519" is not a public key such as ssh-ed25519 AAAA... name`, "give the text of a .pub file, or its path"},
		{"key del alice x --data DIR", 1, "user key del: alice: the account has no such key", "ferryd user show alice lists them"},
		{"explain alice in --data DIR", 2, `user explain: alice: "in" is not a path of the home`, "such as / or /in/box"},
		{"explain bob --data DIR", 6, "user explain: bob: no such user", "ferryd user list --users DIR/users.toml shows the names"},
		{"list --data DIR/none", 1, "user list: DIR/none: no such directory", "--data names the directory that the server has: ferryd serve --data DIR"},
		{"mod alice --home x --data DIR/none", 1, "user mod: DIR/none: no such directory", "--data names the directory that the server has: ferryd serve --data DIR"},
		{"import DIR/none --data DIR", 1, "user import: DIR/none: no such file or directory", ""},
		{"export DIR/users.toml --data DIR", 1, "user export: DIR/users.toml: file exists", ""},
		{"add alice --data DIR --generate", 9, "user add: alice: name in use", "choose another name, or change the account with ferryd user mod"},
		{"mod alice --data DIR", 2, "user mod: alice: nothing to change", "ferryd user mod --help lists the options"},
		{"mod bob --data DIR --home x", 6, "user mod: bob: no such user", "ferryd user list --users DIR/users.toml shows the names"},
		{"passwd bob --data DIR --generate", 6, "user passwd: bob: no such user", "ferryd user list --users DIR/users.toml shows the names"},
		{"lock bob --data DIR", 6, "user lock: bob: no such user", "ferryd user list --users DIR/users.toml shows the names"},
		{"lock alice --reason= --data DIR", 2, "user lock: alice: the reason is empty", ""},
		{"unlock bob --data DIR", 6, "user unlock: bob: no such user", "ferryd user list --users DIR/users.toml shows the names"},
		{"del bob --data DIR", 6, "user del: bob: no such user", "ferryd user list --users DIR/users.toml shows the names"},
		{"del alice --purge --users DIR/users.toml", 2, "user del: alice: --purge needs the data directory", "give --data DIR"},
		{"show \x1b[2J --data DIR", 6, `user show: "\x1b[2J": no such user`, "ferryd user list --users DIR/users.toml shows the names"},
		{"check --users DIR/none.toml", 1, "user check: DIR/none.toml: no such file or directory", ""},
		{"check --users DIR/bad.toml", 7, `user check: DIR/bad.toml:2: a: unknown key "lockd"`, known},
		{"add c --users DIR/bad.toml --generate", 7, `user add: c: DIR/bad.toml:2: a: unknown key "lockd"`, known},
		{"list --users DIR/open.toml", 7, "user list: DIR/open.toml: is open to others (mode 0666)", "type: chmod 600 DIR/open.toml"},
	} {
		out, _, err := ferryd("", strings.Fields(strings.ReplaceAll(tt.args, "DIR", dir))...)
		if err == nil {
			t.Errorf("%s: succeeded", tt.args)
			continue
		}
		// The advice of wrong arguments names DIR as it is.
		got, advice := strings.ReplaceAll(err.Error(), dir, "DIR"), strings.ReplaceAll(hint(err), dir, "DIR")
		if got != tt.want || advice != tt.hint || exitCode(err) != tt.code {
			t.Errorf("%q:\n got %d %s\n     %s\nwant %d %s\n     %s", tt.args, exitCode(err), got, advice, tt.code, tt.want, tt.hint)
		}
		if out != "" {
			t.Errorf("%q printed %q", tt.args, out)
		}
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != text {
		t.Errorf("the file was changed: %q, %v", got, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "homes")); err == nil {
		t.Error("a refused command made a home")
	}
}

// A change that is refused makes nothing in the homes of others, and does not say that it did.
func TestRefusedHome(t *testing.T) {
	dir := t.TempDir()
	exported := filepath.Join(dir, "exported.toml")
	if err := os.WriteFile(exported, []byte("[users.bob]\nhome = 'alice/x/y'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, "", "add", "alice", "--keys", publicKey, "--data", dir)
	must(t, "", "add", "carol", "--keys", publicKey, "--data", dir)
	for _, args := range [][]string{
		{"mod", "carol", "--home", "alice/x/y"},
		{"add", "bob", "--home", "alice/x/y", "--keys", publicKey},
		{"import", exported},
	} {
		_, errs, err := ferryd("", append(args, "--data", dir)...)
		if err == nil || !strings.Contains(err.Error(), "lies inside the home of alice") || errs != "" {
			t.Errorf("%s: %v, and it printed %q", args[0], err, errs)
		}
		if names, err := os.ReadDir(filepath.Join(dir, "homes", "alice")); err != nil || len(names) > 0 {
			t.Errorf("%s: in the home of alice: %v, %v", args[0], names, err)
		}
	}
}

// echoes reports whether a terminal shows what is typed.
func echoes(t *testing.T, tty *os.File) bool {
	state, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

// TestUserTerminalChild is the process on the other side of TestUserTerminal.
func TestUserTerminalChild(t *testing.T) {
	dir := os.Getenv("USER_TEST_TERMINAL")
	if dir == "" {
		t.Skip("runs inside TestUserTerminal")
	}
	out, errs, err := ferryd("", "add", "alice", "--data", dir)
	fmt.Printf("<%s%s%v>\n", out, errs, err)
}

// At a terminal the password is asked for twice and never echoed, and an
// interrupt gives the echo back.
func TestUserTerminal(t *testing.T) {
	for _, tt := range []struct{ name, first, second, want string }{
		{"same", "correct horse\n", "correct horse\n", "<added alice\n<nil>>"},
		{"different", "correct horse\n", "correct mule\n", "<user add: alice: the passwords differ>"},
		{"interrupt", "correct horse\n", "correct\x03", "<user add: alice: read the password: interrupted>"},
	} {
		c := exec.Command(os.Args[0], "-test.run=^TestUserTerminalChild$")
		c.Env = append(os.Environ(), "USER_TEST_TERMINAL="+t.TempDir())
		tty, err := pty.Start(c)
		if err != nil {
			t.Fatal(err)
		}
		answers := []string{"New password: ", tt.first, "Again: ", tt.second}
		var seen []byte
		b := make([]byte, 1)
		for {
			if _, err := tty.Read(b); err != nil {
				break // the other side is gone
			}
			seen = append(seen, b...)
			if len(answers) > 0 && strings.HasSuffix(string(seen), answers[0]) {
				for echoes(t, tty) {
					runtime.Gosched() // until the other side is ready to read
				}
				if _, err := tty.WriteString(answers[1]); err != nil {
					t.Fatal(err)
				}
				answers = answers[2:]
			}
		}
		c.Wait()
		tty.Close()
		screen := strings.ReplaceAll(string(seen), "\r\n", "\n")
		if !strings.Contains(screen, tt.want) || strings.Contains(screen, "correct") {
			t.Errorf("%s: the terminal shows %q, want %q", tt.name, screen, tt.want)
		}
	}
}

// A name that leads out of the homes by a symbolic link is not followed by
// --purge.
func TestUserPurgeLink(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	keep := filepath.Join(other, "x", "keep")
	must(t, "", "add", "eve", "--data", dir, "--generate", "--home", "out/x")
	if err := os.MkdirAll(keep, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "homes", "out")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(other, filepath.Join(dir, "homes", "out")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ferryd("", "del", "eve", "--purge", "--data", dir); err == nil {
		t.Error("the purge followed a link")
	}
	if _, err := os.Stat(keep); err != nil {
		t.Error(err)
	}
}
