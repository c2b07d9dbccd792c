package daemon_test

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ferry/server/servertest"
	"ferry/server/storage"
	"ferry/server/storage/local"
	"ferry/shared/block"
	"ferry/shared/login"
	"ferry/shared/wire"
)

func TestMain(m *testing.M) { servertest.Main(m) }

// dial returns a connection with TLS up.
func dial(t *testing.T, addr string) *tls.Conn {
	t.Helper()
	c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{wire.ALPN}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(30 * time.Second)) // only a failing test takes so long
	return c
}

// asker returns what sends a request on a connection and waits for its answer.
func asker(t *testing.T, nc net.Conn) func(request any, a wire.Answerer) {
	link := wire.NewLink(nc, time.Minute, &wire.Buffers{})
	w := wire.NewConn(link, link)
	return func(request any, a wire.Answerer) {
		t.Helper()
		header, err := wire.Encode(request)
		if err == nil {
			err = w.Write(header, nil)
		}
		if err == nil {
			err = w.Flush()
		}
		if err == nil {
			header, err = w.ReadHeader(nil, wire.MaxHeader)
		}
		if err == nil {
			err = wire.DecodeAnswer(header, a)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// enter logs in and returns the connection.
func enter(t *testing.T, addr, user, password string) (c *tls.Conn, refused *wire.Error) {
	t.Helper()
	c = dial(t, addr)
	ask := asker(t, c)
	bind, err := login.TLSBinding(c.ConnectionState())
	if err != nil {
		t.Fatal(err)
	}
	var hello wire.HelloAnswer
	ask(&wire.HelloRequest{Request: wire.Request{Cmd: wire.CmdHello}, Version: wire.ProtocolVersion}, &hello)
	exchange := login.NewClient(user, password, bind)
	var challenge wire.LoginAnswer
	ask(&wire.MessageRequest{Request: wire.Request{Cmd: wire.CmdLogin}, Message: exchange.First()}, &challenge)
	final, err := exchange.Final(challenge.Message)
	if err != nil {
		t.Fatal(err)
	}
	var proof wire.ProofAnswer
	ask(&wire.MessageRequest{Request: wire.Request{Cmd: wire.CmdProof}, Message: final}, &proof)
	return c, proof.Error
}

func mode(t *testing.T, path string) os.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}

func TestFirstStart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	p := servertest.Prepare(t, "--data", dir)
	p.Start()
	p.Log.Await(t, 1, "there is no account yet")
	out, errs, code := servertest.Ferryd(t, "", "fingerprint", "--data", dir)
	if code != 0 {
		t.Fatal(errs)
	}
	print := strings.TrimSpace(out)
	for _, text := range []string{
		"made the server's key", print, `make_one="ferryd user add alice --data ` + dir, "then_connect=\"ferry --fingerprint " + print + " alice@" + p.Addr(),
	} {
		if !strings.Contains(p.Log.String(), text) {
			t.Errorf("the log does not say %q:\n%s", text, p.Log)
		}
	}
	for name, want := range map[string]os.FileMode{"": 0o700, "homes": 0o700, "tls.key": 0o600, "tls.crt": 0o600, "lock": 0o600} {
		if got := mode(t, filepath.Join(dir, name)); got != want {
			t.Errorf("%q has mode %04o, want %04o", name, got, want)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "tls.key"))
	if err != nil {
		t.Fatal(err)
	}
	b, _ := pem.Decode(text)
	key, err := x509.ParsePKCS8PrivateKey(b.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(key.(*ecdsa.PrivateKey).Public())
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(spki)
	if want := "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:]); print != want {
		t.Errorf("the fingerprint is %s, want %s", print, want)
	}
	shown := dial(t, p.Addr()).ConnectionState()
	if shown.Version != tls.VersionTLS13 || shown.NegotiatedProtocol != wire.ALPN || time.Until(shown.PeerCertificates[0].NotAfter) < 19*365*24*time.Hour {
		t.Errorf("TLS %#x, %q, certificate until %v", shown.Version, shown.NegotiatedProtocol, shown.PeerCertificates[0].NotAfter)
	}

	// The next start keeps the key, also when only the certificate is gone.
	p.Kill()
	if err := os.Remove(filepath.Join(dir, "tls.crt")); err != nil {
		t.Fatal(err)
	}
	p.Start()
	if out, _, _ := servertest.Ferryd(t, "", "fingerprint", "--data", dir); strings.TrimSpace(out) != print {
		t.Errorf("the fingerprint changed to %s", out)
	}
	if strings.Count(p.Log.String(), "made the server's key") != 1 {
		t.Error("a second key was announced")
	}
}

func TestAddrFile(t *testing.T) {
	p := servertest.Prepare(t)
	socket := filepath.Join(p.Data(), "s")
	q := servertest.Exec(t, "--data", p.Data(), "--listen", "unix:"+socket, "--listen", "127.0.0.1:0", "--listen-plain", "localhost:0", "--listen-plain-insecure", "0.0.0.0:0")
	a := q.Addrs()
	if len(a) != 4 || a[0] != "unix:"+socket || !strings.HasPrefix(a[1], "127.0.0.1:") || strings.HasSuffix(a[1], ":0") ||
		!strings.HasPrefix(a[2], "127.0.0.1:") && !strings.HasPrefix(a[2], "[::1]:") {
		t.Fatalf("addresses %q", a)
	}
	dial(t, a[1])
	_, port, err := net.SplitHostPort(a[3])
	if err != nil {
		t.Fatal(err)
	}
	for network, addr := range map[string]string{a[2]: "tcp", "127.0.0.1:" + port: "tcp", socket: "unix"} {
		nc, err := net.Dial(addr, network)
		if err != nil {
			t.Fatal(err)
		}
		link := wire.NewLink(nc, time.Minute, &wire.Buffers{})
		w := wire.NewConn(link, link)
		if err := w.Write([]byte(`{"cmd":"ls"}`), nil); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		header, err := w.ReadHeader(nil, wire.MaxHeader)
		if err != nil || !strings.Contains(string(header), string(wire.LoginRequired)) {
			t.Errorf("%s answers %q, %v", network, header, err)
		}
		nc.Close()
	}
	if got := strings.Count(q.Log.String(), "not encrypted"); got != 2 {
		t.Errorf("%d warnings of what is not encrypted, want 2", got)
	}
	if got := mode(t, socket); got != 0o600 {
		t.Errorf("the socket has mode %04o", got)
	}
	if left, _ := filepath.Glob(filepath.Join(q.Data(), "addresses.*")); len(left) != 0 {
		t.Errorf("left over: %q", left)
	}
}

func TestStaleSocket(t *testing.T) {
	p := servertest.Prepare(t)
	socket := filepath.Join(p.Data(), "s")
	first := servertest.Exec(t, "--listen", "unix:"+socket)
	first.Log.Await(t, 1, `then_connect="ferry -e 'login alice' unix:`+socket)
	_, errs, code := servertest.Ferryd(t, "", "serve", "--data", p.Data(), "--listen", "unix:"+socket)
	if code != 1 || !strings.Contains(errs, "serve: listen unix:"+socket+": address already in use\nhint: ") {
		t.Errorf("a socket in use: exit %d, %s", code, errs)
	}
	first.Kill()
	if _, err := os.Lstat(socket); err != nil {
		t.Fatalf("this test needs a socket that was left behind: %v", err)
	}
	first.Start()
	if code := first.Term(); code != 0 {
		t.Errorf("exit %d", code)
	}
	if _, err := os.Lstat(socket); err == nil {
		t.Error("a server that stopped left its socket")
	}
	// Nothing else is taken for a socket.
	if err := os.WriteFile(socket, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, errs, code := servertest.Ferryd(t, "", "serve", "--data", p.Data(), "--listen", "unix:"+socket); code != 1 {
		t.Errorf("a file in the place of the socket: exit %d, %s", code, errs)
	}
	if text, err := os.ReadFile(socket); err != nil || string(text) != "precious" {
		t.Errorf("the file holds %q, %v", text, err)
	}
}

func TestLock(t *testing.T) {
	p := servertest.Exec(t)
	_, errs, code := servertest.Ferryd(t, "", "serve", "--data", p.Data(), "--listen", "127.0.0.1:0")
	if want := "serve: " + p.Data() + " is in use by another ferryd\n"; code != 1 || errs != want {
		t.Errorf("a second server: exit %d, %q, want %q", code, errs, want)
	}
	dial(t, p.Addr()) // the first goes on
	addr := p.Addr()
	p.Restart() // after SIGKILL the lock is free
	if p.Addr() != addr {
		t.Errorf("restarted at %s instead of %s", p.Addr(), addr)
	}
}

func TestPortTaken(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	addr := ln.Addr().String()
	file := filepath.Join(t.TempDir(), "addresses")
	_, errs, code := servertest.Ferryd(t, "", "serve", "--data", t.TempDir(), "--listen", addr, "--addr-file", file)
	if want := "serve: listen " + addr + ": address already in use\nhint: "; code != 1 || !strings.HasPrefix(errs, want) {
		t.Errorf("exit %d, %q, want %q", code, errs, want)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("the addresses were written all the same")
	}
}

func TestStop(t *testing.T) {
	for name, sig := range map[string]os.Signal{"SIGTERM": syscall.SIGTERM, "SIGINT": syscall.SIGINT} {
		t.Run(name, func(t *testing.T) {
			p := servertest.Exec(t)
			p.AddUser("alice", "secret")
			c, refused := enter(t, p.Addr(), "alice", "secret")
			if refused != nil {
				t.Fatal(refused)
			}
			dial(t, p.Addr()) // a stranger
			begin := time.Now()
			p.Signal(sig)
			if code := p.Wait(); code != 0 {
				t.Errorf("exit %d", code)
			}
			if took := time.Since(begin); took > 10*time.Second {
				t.Errorf("it took %v", took)
			}
			if _, err := io.Copy(io.Discard, c); err != nil {
				t.Errorf("the session ends with %v", err)
			}
		})
	}
	p := servertest.Exec(t)
	if code := p.Term(); code != 0 {
		t.Errorf("with nobody there: exit %d", code)
	}
}

// Neither somebody who is silent in the middle of the handshake nor anything else delays the end by more than promised,
// and a second signal ends it at once.
func TestStopStalled(t *testing.T) {
	p := servertest.Exec(t)
	nc, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	dial(t, p.Addr()) // accepted after the one above
	begin := time.Now()
	p.Signal(syscall.SIGTERM)
	p.Log.Await(t, 1, "stopping")
	p.Signal(syscall.SIGTERM)
	if code := p.Wait(); code != 0 || time.Since(begin) > 10*time.Second {
		t.Errorf("exit %d after %v", code, time.Since(begin))
	}
}

func TestReload(t *testing.T) {
	p := servertest.Exec(t)
	p.AddUser("alice", "secret")
	good, err := os.ReadFile(p.Users())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.Users(), append(good, "\n[users.bob]\nhoem = \"b\"\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	p.Signal(syscall.SIGHUP)
	p.Log.Await(t, 1, "accounts not read")
	line := strings.Count(string(good), "\n") + 3
	if want := "users.toml:" + string(rune('0'+line)); line > 9 || !strings.Contains(p.Log.String(), want) {
		t.Errorf("the log does not name %s:\n%s", want, p.Log)
	}
	c, refused := enter(t, p.Addr(), "alice", "secret")
	if refused != nil {
		t.Fatalf("the old accounts are gone: %v", refused)
	}
	if err := os.WriteFile(p.Users(), good, 0o600); err != nil {
		t.Fatal(err)
	}
	p.Set("alice", "locked", "on leave")
	if _, err := io.Copy(io.Discard, c); err != nil {
		t.Errorf("the session of a locked account ends with %v", err)
	}
	if _, refused := enter(t, p.Addr(), "alice", "secret"); refused == nil || refused.Code != wire.Denied {
		t.Errorf("a locked account hears %v", refused)
	}
	p.DelUser("alice")
	if _, refused := enter(t, p.Addr(), "alice", "secret"); refused == nil || refused.Code != wire.AuthFailed {
		t.Errorf("a deleted account hears %v", refused)
	}
}

// A file that changes is noticed without a signal.
func TestPoll(t *testing.T) {
	p := servertest.Exec(t)
	q := servertest.Prepare(t)
	q.AddUser("alice", "secret")
	text, err := os.ReadFile(q.Users())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.Users(), text, 0o600); err != nil {
		t.Fatal(err)
	}
	p.Log.Await(t, 1, "accounts changed")
	if err := os.Mkdir(p.Home("alice"), 0o700); err != nil {
		t.Fatal(err)
	}
	c, refused := enter(t, p.Addr(), "alice", "secret")
	if refused != nil {
		t.Fatal(refused)
	}
	if err := os.WriteFile(p.Users(), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, c); err != nil {
		t.Errorf("the session of a deleted account ends with %v", err)
	}
}

func write(t *testing.T, path, text string, mode os.FileMode) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestServeErrors(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "file"), "", 0o600)
	write(t, filepath.Join(dir, "bad.toml"), "[users.a]\nlockd = \"x\"\n", 0o600)
	write(t, filepath.Join(dir, "open.toml"), "", 0o644)
	write(t, filepath.Join(dir, "unknown.conf"), "log-format = \"json\"\n\nlisten-plane = \"x\"\n", 0o600)
	write(t, filepath.Join(dir, "type.conf"), "listen = [\n1]\n", 0o600)
	write(t, filepath.Join(dir, "value.conf"), "# soon\nkeep-uploads = \"soon\"\n", 0o600)
	write(t, filepath.Join(dir, "table.conf"), "[listen]\na = \"b\"\n", 0o600)
	write(t, filepath.Join(dir, "syntax.conf"), "listen = \n", 0o600)
	for name, mode := range map[string]os.FileMode{"open": 0o640, "nokey": 0o600} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name, "tls.key"), "not a key", mode)
	}
	if err := os.Mkdir(filepath.Join(dir, "lost"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "lost", "tls.crt"), "", 0o600)
	for _, tt := range []struct {
		args, want string
		code       int
	}{
		{"serve", "serve: no data directory\nhint: give --data DIR", 2},
		{"serve --data DIR/d now", "serve: 1 arguments instead of 0\nhint: ferryd serve", 2},
		{"serve --data DIR/d --nonsense", "serve: unknown flag: --nonsense\nhint: ferryd serve --help lists the options", 2},
		{"serve --data DIR/d --log-format xml", `serve: invalid argument "xml" for "--log-format" flag: "xml" is neither text nor json`, 2},
		{"serve --data DIR/d --keep-uploads 0d", `serve: invalid argument "0d" for "--keep-uploads" flag: "0d" is not a time such as 7d or 36h`, 2},
		{"serve --data DIR/d --listen 8083", "serve: listen 8083: missing port in address\nhint: an address looks like", 2},
		{"serve --data DIR/d --listen unix:", "serve: listen unix:: no path", 2},
		{"serve --data DIR/d --listen-plain 0.0.0.0:0", "serve: listen-plain 0.0.0.0:0: is not a loopback address, and nothing would be encrypted\nhint: --listen encrypts; where the network itself is private, --listen-plain-insecure 0.0.0.0:0 does without", 2},
		{"serve --data DIR/d --listen-plain :0", "serve: listen-plain :0: is not a loopback address", 2},
		{"serve --data DIR/d --listen-plain [::]:0", "serve: listen-plain [::]:0: is not a loopback address", 2},
		{"serve --data DIR/d --never-ban localhost", "serve: never-ban: \"localhost\" is neither an address nor a network such as 192.0.2.0/24", 2},
		{"serve --data DIR/d --config DIR/none.conf", "serve: DIR/none.conf: no such file or directory", 2},
		{"serve --data DIR/d --config DIR/unknown.conf", "serve: DIR/unknown.conf:3: unknown key \"listen-plane\"\nhint: known keys: addr-file, data, keep-uploads, listen, listen-plain, listen-plain-insecure, log-format, never-ban, users", 2},
		{"serve --data DIR/d --config DIR/type.conf", "serve: DIR/type.conf:1: listen: is not a string or an array of strings", 2},
		{"serve --data DIR/d --config DIR/value.conf", `serve: DIR/value.conf:2: keep-uploads: "soon" is not a time such as 7d or 36h`, 2},
		{"serve --data DIR/d --config DIR/table.conf", "serve: DIR/table.conf:1: listen: is not a string or an array of strings", 2},
		{"serve --data DIR/d --config DIR/syntax.conf", "serve: DIR/syntax.conf:1: ", 2},
		{"serve --data DIR/file", "serve: DIR/file is not a directory", 1},
		{"serve --data DIR/no/parent", "serve: DIR/no/parent: no such file or directory", 1},
		{"serve --data DIR/open", "serve: DIR/open/tls.key is open to others (mode 0640)\nhint: type: chmod 600 DIR/open/tls.key", 1},
		{"serve --data DIR/nokey", "serve: DIR/nokey/tls.key holds no PRIVATE KEY in PEM form", 1},
		{"serve --data DIR/lost", "serve: DIR/lost/tls.crt is there, DIR/lost/tls.key is not\nhint: restore the key", 1},
		{"serve --data DIR/d --users DIR/bad.toml", "serve: DIR/bad.toml:2: a: unknown key \"lockd\"\nhint: known keys: auth", 7},
		{"serve --data DIR/d --users DIR/open.toml", "serve: DIR/open.toml: is open to others (mode 0644)\nhint: type: chmod 600 DIR/open.toml", 7},
		{"", "ferryd: no command given\nhint: ferryd --help lists the commands", 2},
		{"sing", `ferryd: unknown command "sing"`, 2},
		{"version now", "version: 1 arguments instead of 0", 2},
		{"fingerprint", "fingerprint: no data directory\nhint: give --data DIR", 2},
		{"fingerprint --data DIR/none", "fingerprint: DIR/none/tls.crt: no such file or directory", 1},
		{"uploads", "uploads: no command given", 2},
		{"uploads sing", `uploads: unknown command "sing"`, 2},
		{"uploads list", "uploads list: no data directory", 2},
		{"uploads drop --data DIR", "uploads drop: 0 arguments instead of 1\nhint: ferryd uploads drop ID --data DIR", 2},
		{"uploads list --data DIR --users DIR/bad.toml", "uploads list: DIR/bad.toml:2: a: unknown key", 7},
	} {
		out, errs, code := servertest.Ferryd(t, "", strings.Fields(strings.ReplaceAll(tt.args, "DIR", dir))...)
		got := strings.ReplaceAll(errs, dir, "DIR")
		if code != tt.code || !strings.HasPrefix(got, tt.want) || out != "" {
			t.Errorf("%q: exit %d\n%swant %d\n%s", tt.args, code, got, tt.code, tt.want)
		}
	}
}

func TestVersion(t *testing.T) {
	for _, arg := range []string{"version", "--version"} {
		if out, errs, code := servertest.Ferryd(t, "", arg); code != 0 || !strings.HasPrefix(out, "ferryd ") || strings.Count(out, "\n") != 1 || errs != "" {
			t.Errorf("%s: exit %d, %q, %q", arg, code, out, errs)
		}
	}
}

// The configuration file takes effect, and logs can be read by programs.
func TestConfigFile(t *testing.T) {
	p := servertest.Prepare(t)
	socket := "unix:" + filepath.Join(p.Data(), "a")
	config := write(t, filepath.Join(p.Data(), "conf"), "log-format = \"json\"\nlisten-plain = [\"127.0.0.1:0\", \"127.0.0.1:0\"]\nlisten = \"127.0.0.1:1\"\n", 0o600)
	q := servertest.Exec(t, "--config", config, "--listen", socket)
	if a := q.Addrs(); len(a) != 3 || a[0] != socket {
		t.Errorf("addresses %q", a)
	}
	for line := range strings.Lines(q.Log.String()) {
		var object map[string]any
		if err := json.Unmarshal([]byte(line), &object); err != nil || object["msg"] == nil {
			t.Errorf("%q: %v", line, err)
		}
	}
}

func TestUploads(t *testing.T) {
	p := servertest.Prepare(t)
	p.AddUser("alice", "secret")
	p.AddUser("bob", "secret")
	home, err := local.Open(p.Home("alice"), local.Options{Owner: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	defer home.Close()
	begin := func(s storage.Spec) string {
		u, err := home.Upload(t.Context(), s)
		if err == nil {
			err = u.Put(t.Context(), 0, make([]byte, min(s.Length, block.Size)))
		}
		if err != nil {
			t.Fatal(err)
		}
		return u.Spec().ID
	}
	id := begin(storage.Spec{Path: "/a\nb", Length: 3 * block.Size, Job: strings.Repeat("0", 32)})
	begin(storage.Spec{Path: "/small", Length: 10, Ephemeral: true})
	var before []string
	files := func() (names []string) {
		filepath.WalkDir(p.Home("alice"), func(path string, _ os.DirEntry, _ error) error {
			names = append(names, path)
			return nil
		})
		return names
	}
	before = files()
	p.Start()
	out, errs, code := servertest.Ferryd(t, "", "uploads", "list", "--data", p.Data())
	if code != 0 || !strings.HasPrefix(out, id+`  alice  "/a\nb"  1048576 of 3145728  `) || strings.Count(out, "\n") != 1 {
		t.Errorf("list: exit %d, %q, %s", code, out, errs)
	}
	out, errs, code = servertest.Ferryd(t, "", "uploads", "list", "--json", "--data", p.Data())
	var line struct {
		ID, User, Path string
		Length, Done   int64
		Created        time.Time
	}
	if err := json.Unmarshal([]byte(out), &line); err != nil || code != 0 || line.ID != id || line.User != "alice" || line.Path != "/a\nb" || line.Length != 3*block.Size || line.Done != block.Size || line.Created.IsZero() {
		t.Errorf("list --json: exit %d, %v, %q, %s", code, err, out, errs)
	}
	if after := files(); strings.Join(after, "\n") != strings.Join(before, "\n") {
		t.Errorf("listing changed %q to %q", before, after)
	}
	other := begin(storage.Spec{Path: "/b", Length: 3 * block.Size, Job: strings.Repeat("1", 32)})
	if _, errs, code := servertest.Ferryd(t, "", "uploads", "drop", other, "--data", p.Data()); code != 0 || errs != "dropped "+other+"\n" {
		t.Errorf("drop by the server: exit %d, %s", code, errs)
	}
	if _, errs, code := servertest.Ferryd(t, "", "uploads", "drop", other, "--data", p.Data()); code != 1 || !strings.Contains(errs, "no such upload\nhint: ferryd uploads list --data ") {
		t.Errorf("drop by the server again: exit %d, %s", code, errs)
	}
	p.Term()
	if _, errs, code := servertest.Ferryd(t, "", "uploads", "drop", id, "--data", p.Data()); code != 0 || errs != "dropped "+id+"\n" {
		t.Errorf("drop: exit %d, %s", code, errs)
	}
	if _, errs, code := servertest.Ferryd(t, "", "uploads", "drop", id, "--data", p.Data()); code != 1 || !strings.Contains(errs, "no such upload\nhint: ") {
		t.Errorf("drop again: exit %d, %s", code, errs)
	}
	if out, _, _ := servertest.Ferryd(t, "", "uploads", "list", "--data", p.Data()); out != "" {
		t.Errorf("dropped, but listed: %q", out)
	}
}

// The fingerprint can be handed out before the first start; the key is made then.
func TestFingerprintFirst(t *testing.T) {
	p := servertest.Prepare(t)
	first, errs, code := servertest.Ferryd(t, "", "fingerprint", "--data", p.Data())
	if code != 0 || !strings.HasPrefix(first, "SHA256:") {
		t.Fatalf("exit %d, %q, %s", code, first, errs)
	}
	p.Start()
	if now := p.Fingerprint(); now != strings.TrimSpace(first) {
		t.Errorf("after the start it is %s, before it was %s", now, first)
	}
}
