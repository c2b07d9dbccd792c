package main

import (
	"crypto/ed25519"
	"encoding/pem"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/crypto/ssh"

	"ferry/internal/faultproxy"
	"ferry/server/servertest"
)

func TestMain(m *testing.M) {
	servertest.Child()
	flag.Set("test.parallel", "4") // those that may run side by side wait a lot; the command line overrides it
	testscript.Main(m, map[string]func(){"ferry": main, "ferryd": servertest.Program})
}

const password = "correct horse battery"

// world is what a script finds: a server of its own with the users alice and bob, behind a proxy that can cut.
type world struct {
	server *servertest.Server
	proxy  *faultproxy.Proxy
}

// TestScript runs what a user types: testdata/script/*.txtar. In them ADDR is the server, PROXY the same behind a proxy,
// FP its fingerprint, DATA its data directory, USERS its account file, PLAIN and SOCKET where it listens without TLS,
// HOME_ALICE alice's files on it. They log in with FERRY_IDENTITY, a key of alice and bob; those that are about logging in or about
// lost connections set it to nothing, and the password in FERRY_PASSWORD is used, which costs ferry ten times as much.
func TestScript(t *testing.T) {
	o := newObjects(t)
	private, public, err := newKey("")
	identity := filepath.Join(t.TempDir(), "identity")
	if err == nil {
		err = os.WriteFile(identity, private, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		UpdateScripts:       os.Getenv("UPDATE") != "",
		Setup: func(e *testscript.Env) error {
			s := servertest.New(t, servertest.WithBans())
			s.AddUser("alice", password)
			s.AddUser("bob", password)
			for _, name := range []string{"alice", "bob"} {
				s.Set(name, "keys", public)
			}
			p, err := faultproxy.Start(s.Addr())
			if err != nil {
				return err
			}
			e.Defer(p.Close)
			e.Defer(s.Stop)
			e.Values["world"], e.Values["objects"] = &world{s, p}, o
			for k, v := range map[string]string{"ADDR": s.Addr(), "PROXYPORT": p.Addr()[strings.LastIndex(p.Addr(), ":")+1:], "PROXY": p.Addr(), "FP": s.Fingerprint(), "HOME_ALICE": s.Home("alice"),
				"DATA": s.Data(), "USERS": s.Users(), "PLAIN": s.PlainAddr(), "SOCKET": s.UnixAddr(),
				"HOME_BOB": s.Home("bob"), "FERRY_PASSWORD": password, "FERRY_IDENTITY": identity, "HOME": e.WorkDir, "XDG_STATE_HOME": filepath.Join(e.WorkDir, ".state"), "TERM": "dumb"} {
				e.Setenv(k, v)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"makefile": makeFile, "server": serverCommand, "cut": cutCommand, "poke": poke, "code": code, "same": same, "keypair": keyPair, "readme": readme,
		},
	})
}

// makefile NAME SIZE [SEED]: a file of so many bytes that repeat nowhere near.
func makeFile(ts *testscript.TestScript, neg bool, args []string) {
	size, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	seed := uint64(len(args[0]))
	if len(args) > 2 {
		seed, err = strconv.ParseUint(args[2], 10, 64)
		ts.Check(err)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), pattern(int(size), seed), 0o644))
}

// server stop|restart|set NAME KEY VALUE|fail NAME N|register MODE|invite
func serverCommand(ts *testscript.TestScript, neg bool, args []string) {
	w := ts.Value("world").(*world)
	switch args[0] {
	case "stop":
		w.server.Stop()
	case "restart":
		w.server.Restart()
	case "fail": // NAME N: so many logins
		n, err := strconv.Atoi(args[2])
		ts.Check(err)
		w.server.Fail(args[1], n)
	case "set": // NAME KEY VALUE: a key of an account
		w.server.Set(args[1], args[2], args[3])
	case "register": // MODE
		w.server.Register(args[1])
	case "invite": // sets INVITE
		ts.Setenv("INVITE", w.server.Invite()+"@"+w.server.Fingerprint())
	default:
		ts.Fatalf("server %s?", args[0])
	}
}

// cut up|down N fin|rst|silence: ends the next connection through the proxy after N bytes.
func cutCommand(ts *testscript.TestScript, neg bool, args []string) {
	n, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	dir := map[string]faultproxy.Direction{"up": faultproxy.Up, "down": faultproxy.Down}[args[0]]
	how := map[string]faultproxy.How{"fin": faultproxy.FIN, "rst": faultproxy.RST, "silence": faultproxy.Silence}[args[2]]
	ts.Value("world").(*world).proxy.Cut(dir, n, how)
}

// keypair FILE [PASSPHRASE]: a private key, and the public one in FILE.pub and as $KEY.
func keyPair(ts *testscript.TestScript, neg bool, args []string) {
	private, public, err := newKey(strings.Join(args[1:], ""))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), private, 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".pub"), []byte(public), 0o644))
	ts.Setenv("KEY", strings.TrimSpace(public))
}

// newKey makes a key: the private one as a file, protected by a passphrase unless that is "", and the line of the public one.
func newKey(passphrase string) (private []byte, public string, err error) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, "", err
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if passphrase != "" {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key, "", []byte(passphrase))
	}
	if err != nil {
		return nil, "", err
	}
	p, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		return nil, "", err
	}
	return pem.EncodeToMemory(block), string(ssh.MarshalAuthorizedKey(p)), nil
}

// poke FILE OFFSET TEXT: overwrites bytes.
func poke(ts *testscript.TestScript, neg bool, args []string) {
	off, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_WRONLY, 0)
	ts.Check(err)
	_, err = f.WriteAt([]byte(args[2]), off)
	ts.Check(err)
	ts.Check(f.Close())
}

// code N COMMAND...: runs a command and wants that exit code. Its output is there for stdout and stderr as after exec.
func code(ts *testscript.TestScript, neg bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	if err != nil {
		var ok bool
		if _, rest, found := strings.Cut(err.Error(), "exit status "); found {
			if n, aerr := strconv.Atoi(strings.Fields(rest)[0]); aerr == nil {
				got, ok = n, true
			}
		}
		if !ok {
			ts.Fatalf("%v", err)
		}
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
	if args[1] == "ferry" && slices.Contains(args, "--json") {
		ts.Check(ts.Value("objects").(*objects).look(ts.ReadFile("stdout") + ts.ReadFile("stderr")))
	}
}

// readme FILE: README.md shows what is in the file, but for what differs each time.
func readme(ts *testscript.TestScript, neg bool, args []string) {
	text := ts.ReadFile(args[0])
	for _, r := range []struct{ pattern, with string }{
		{regexp.QuoteMeta(ts.Getenv("PROXY")), "files.example.org:8083"}, {`\(ferryd .*\)`, "(ferryd v1.0.0)"},
		{`at [0-9.]+ .iB/s`, "at 98 MiB/s"}, {`\d{4}-\d\d-\d\d \d\d:\d\d`, "2026-11-21 09:14"},
	} {
		text = regexp.MustCompile(r.pattern).ReplaceAllString(text, r.with)
	}
	generated(ts, "../README.md", "session", "```\n$ ferry alice@files.example.org -b session\n"+text+"```\n")
}

// same A B: the two files are byte for byte the same.
func same(ts *testscript.TestScript, neg bool, args []string) {
	a, b := ts.ReadFile(args[0]), ts.ReadFile(args[1])
	if (a == b) == neg {
		ts.Fatalf("%s and %s: same is %v", args[0], args[1], a == b)
	}
}
