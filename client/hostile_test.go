package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode"
	"unicode/utf8"

	"ferry/client/config"
	"ferry/client/remote"
	"ferry/client/shell"
	"ferry/client/term"
	"ferry/client/transfer"
	"ferry/internal/termtest"
	"ferry/server/servertest"
	"ferry/shared/partial"
)

// evil is what a hostile server puts behind whatever it says: a window title, an erased screen, a colour by a single C1
// character, text that runs the other way, invisible characters and a line of its own.
const evil = "\x1b]2;title\a\x1b[2J\u009b31m\u202e\u200b\u2028\r\nFORGED"

// object is the header of a message.
type object = map[string]any

// hostile stands between a client and a server that speak without TLS, and puts words into both their mouths.
type hostile struct {
	net.Listener
	t      *testing.T
	server string
	asked  func(request object)                 // changes what the client asks for
	says   func(request object, answer *object) // changes what the server answers to that
}

// newHostile returns one that listens.
func newHostile(t *testing.T, server string, asked func(object), says func(object, *object)) *hostile {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &hostile{ln, t, server, asked, says}
	var conns sync.WaitGroup
	t.Cleanup(func() { ln.Close(); conns.Wait() })
	conns.Go(func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { h.serve(client) })
		}
	})
	return h
}

func (h *hostile) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", h.server)
	if err != nil {
		return
	}
	defer server.Close()
	requests := make(chan object, 2000) // of the requests that were not answered yet
	go func() {
		defer server.Close()
		for {
			m, body, err := readMessage(client)
			if err != nil {
				return
			}
			h.asked(m)
			requests <- m
			if writeMessage(server, m, body) != nil {
				return
			}
		}
	}()
	var request object
	for {
		m, body, err := readMessage(server)
		if err != nil {
			return
		}
		if request == nil {
			request = <-requests
		}
		h.says(request, &m)
		if more, _ := m["more"].(bool); !more {
			request = nil
		}
		if writeMessage(client, m, body) != nil {
			return
		}
	}
}

func readMessage(r io.Reader) (m object, body []byte, err error) {
	var length uint32
	if err := binary.Read(r, binary.LittleEndian, &length); err != nil {
		return nil, nil, err
	}
	header := make([]byte, length)
	if _, err := io.ReadFull(r, header); err != nil {
		return nil, nil, err
	}
	d := json.NewDecoder(bytes.NewReader(header))
	d.UseNumber()
	if err := d.Decode(&m); err != nil {
		return nil, nil, err
	}
	if size, ok := m["size"].(json.Number); ok {
		n, _ := size.Int64()
		body = make([]byte, n)
		_, err = io.ReadFull(r, body)
	}
	return m, body, err
}

func writeMessage(w io.Writer, m object, body []byte) error {
	header, err := json.Marshal(m)
	if err != nil {
		return err
	}
	_, err = w.Write(slices.Concat(binary.LittleEndian.AppendUint32(nil, uint32(len(header))), header, body))
	return err
}

// texts changes every text in a message, but those under keys that are left alone.
func texts(v any, change func(string) string, alone ...string) any {
	switch v := v.(type) {
	case string:
		return change(v)
	case []any:
		for i := range v {
			v[i] = texts(v[i], change, alone...)
		}
	case object:
		for key := range v {
			if !slices.Contains(alone, key) {
				v[key] = texts(v[key], change, alone...)
			}
		}
	}
	return v
}

// poisoned answers with something evil behind every text that means nothing to the client. The server hears none of it.
func poisoned(t *testing.T, server string) *hostile {
	poison := func(s string) string { return s + evil }
	return newHostile(t, server,
		func(request object) {
			texts(request, func(s string) string { return strings.ReplaceAll(s, evil, "") })
		},
		func(request object, answer *object) {
			cmd, poison := request["cmd"].(string), poison
			if args, ok := request["args"].([]any); ok && len(args) > 1 {
				cmd += " " + args[0].(string) + " " + args[1].(string)
			}
			made := map[string]string{ // what this server would refuse to a client without TLS
				"admin user passwd":       `{"password": {"name": "bob", "from": "ask", "memory": 8, "time": 1, "threads": 1}}`,
				"admin user show":         `{"exit": 6, "message": "no such user", "hint": "look again"}`,
				"admin user list":         `{"output": "said", "notes": "noted"}`,
				"admin sessions list":     `{"output": "said", "notes": "noted"}`,
				"admin complete user":     `{"output": "said", "notes": "noted"}`,
				"admin complete sessions": `{"output": "said", "notes": "noted"}`,
				"keys":                    `{"keys": [{"kind": "ssh-ed25519", "fingerprint": "SHA256:x", "comment": "me"}], "password": true}`,
				"resume":                  `{"uploads": [{"upload": "5f0c9a215f0c9a215f0c9a215f0c9a21", "path": "/up", "length": 10, "done": 5, "job": "x", "created": 1, "touched": 1, "mtime": 1}]}`,
			}[cmd]
			if _, order := request["args"]; order { // whose output is lines of the server's in any case
				poison = func(s string) string { return s + strings.ReplaceAll(evil, "\r\nFORGED", "") }
			}
			if made != "" {
				*answer = nil
				if err := json.Unmarshal([]byte(made), answer); err != nil {
					panic(err)
				}
			}
			texts(*answer, poison, "kind", "code", "upload", "key", "boot", "session", "secret", "nonce", "features", "message", "sha256", "id", "tag", "tags")
			if failed, ok := (*answer)["error"].(object); ok {
				failed["message"] = poison(failed["message"].(string))
			}
			if server, ok := (*answer)["server"].(string); ok && !strings.HasSuffix(server, evil) {
				(*answer)["server"] = poison(server)
			}
		})
}

// harmful returns the first thing in a text that a terminal must not get, "" if there is none.
func harmful(text string) string {
	for i, r := range text {
		if r == utf8.RuneError || r != '\n' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
			return text[max(0, i-20):min(len(text), i+20)]
		}
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "FORGED") {
			return line
		}
	}
	return ""
}

// printed is what was printed lately, also by jobs.
type printed struct {
	mu   sync.Mutex
	text strings.Builder
}

func (p *printed) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func (p *printed) take() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.text.Reset()
	return p.text.String()
}

// victim is a shell at a hostile server.
type victim struct {
	*shell.Shell
	out, errs printed
	asked     []string // all prompts
	reads     func(prompt string) (string, error)
}

func (v *victim) Read(prompt string) (string, error) {
	v.asked = append(v.asked, prompt)
	return v.reads(prompt)
}
func (v *victim) Password(prompt string) (string, error) {
	v.asked = append(v.asked, prompt)
	return password, nil
}
func (v *victim) SaveHistory(string) {}
func (v *victim) History() []string  { return []string{"ls " + evil} }
func (v *victim) Stdout() io.Writer  { return io.Discard }
func (v *victim) Close() error       { return nil }

func newVictim(t *testing.T, address string, person bool) *victim {
	v := &victim{reads: func(string) (string, error) { return "no", nil }}
	v.Shell = shell.New(shell.Config{In: v, Out: &v.out, Err: term.NewProgress(&v.errs, "json"), Person: person,
		Mover: transfer.Mover{Jobs: transfer.Jobs{Dir: t.TempDir()}, Ops: partial.Real()}, Remote: remote.Options{Address: address, Plain: true},
		Settings: config.New(t.TempDir()), Password: func(context.Context, string, string) (string, error) { return password, nil }})
	t.Cleanup(v.Shell.Close)
	if err := v.Login(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	return v
}

// said returns all that was printed and asked since the last time.
func (v *victim) said() (out, all string) {
	out = v.out.take()
	all = out + v.errs.take() + strings.Join(v.asked, "\n")
	v.asked = nil
	return out, all
}

// hostileLines are command lines at a server that poisons what it says, for each command that there is.
func hostileLines() map[string][]string {
	return map[string][]string{
		"open": {"open nowhere\x1b", "open ferry+plain://127.0.0.1:1"}, "login": {"login nobody"}, "logout": {"logout"}, "register": {"register carol"}, "passwd": {"passwd"},
		"keys": {"keys", "keys del me*", "keys del nothing"}, "whoami": {"whoami"}, "status": {"status"}, "help": {"help ls", "help \x1b"}, "history": {"history"},
		"quit": {}, "set": {"set -a", "set nothing\x1b x"}, "alias": {"alias x 'ls \x1b'", "alias", "x"}, "bookmark": {"bookmark add here", "bookmark list", "bookmark add x y\x1b"},
		"ls": {"ls", "ls -lR", "ls *", "ls none"}, "cd": {"cd 'd" + evil + "'", "pwd", "cd none"}, "pwd": {"pwd"}, "mkdir": {"mkdir new", "mkdir a"}, "rmdir": {"rmdir new", "rmdir d*"},
		"rm": {"rm a2*", "rm -r d2*", "rm none"}, "mv": {"mv a3* b3", "mv none x"}, "cp": {"cp a* copy", "cp -r d* copied", "cp none x"}, "ln": {"ln a b"},
		"cat": {"cat a*", "cat none"}, "more": {"more a*", "more none"}, "edit": {"edit a*", "edit d*"}, "stat": {"stat a*", "stat none"}, "touch": {"touch a*", "touch none/x"},
		"chmod": {"chmod 600 a*", "chmod 600 none"}, "du": {"du", "du none"}, "df": {"df"}, "find": {"find", "find none"}, "tree": {"tree", "tree none"}, "sum": {"sum a*", "sum none"},
		"put":    {"put mine", "put -n mine -o a4", "put mine -o d", "put -r mine* -O none/x", "put mine -o none/x/y"},
		"get":    {"get a*", "get -n a*", "get -r d*", "get a* -o b", "get -f big*", "get none"},
		"sync":   {"sync down d* here", "sync up here there", "sync down -n --delete d* here", "sync down none x"},
		"resume": {"resume", "resume --drop 1", "resume 1"}, "lcd": {"lcd -", "lcd none\x1b"}, "lpwd": {"lpwd"}, "lls": {"lls", "lls none\x1b"}, "lmkdir": {"lmkdir x\x1b", "lmkdir x\x1b"},
		"jobs": {"get none\x1b & get -f a* & jobs", "wait", "jobs"}, "fg": {"get -f a* & fg", "fg 9\x1b"}, "wait": {"get none & wait", "wait 9\x1b"}, "kill": {"kill 9\x1b", "kill -a"},
		"queue": {"queue get -f a*", "queue", "wait", "queue -d 9\x1b"}, "limit": {"limit", "limit x\x1b", "limit 0"},
		"echo": {"echo a"}, "!": {"!true"},
		"user": {"user list", "user show bob", "user passwd bob", "user lock bob"}, "sessions": {"sessions"}, "kick": {"kick bob"}, "uploads": {"uploads"}, "bans": {"bans"}, "invite": {"invite"}, "reload": {"reload"},
	}
}

// TestHostileWords: whatever a server says, no command prints anything that could do something to a terminal, or that looks like a
// line of ferry's own, neither for people nor for programs, nor in a question.
func TestHostileWords(t *testing.T) {
	t.Setenv("EDITOR", "true")
	t.Setenv("VISUAL", "")
	lines := hostileLines()
	for _, c := range shell.All() {
		if _, ok := lines[c.Name]; !ok {
			t.Errorf("no line tries %s", c.Name)
		}
	}
	for name, how := range map[string]struct{ person, json bool }{"script": {}, "json": {json: true}, "person": {person: true}} {
		t.Run(name, func(t *testing.T) {
			s := servertest.New(t)
			s.AddUser("alice", password)
			home := s.Home("alice")
			for _, f := range []string{"a", "a2", "a3", "a4", "d/b", "d/e/c", "d2/x", "big"} {
				os.MkdirAll(filepath.Dir(filepath.Join(home, f)), 0o700)
				if err := os.WriteFile(filepath.Join(home, f), []byte("text\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Truncate(filepath.Join(home, "big"), 3<<20); err != nil {
				t.Fatal(err)
			}
			h := poisoned(t, s.PlainAddr())
			v := newVictim(t, h.Addr().String(), how.person)
			if how.json {
				v.Line(t.Context(), "set json on")
			}
			for _, c := range shell.All() {
				t.Chdir(t.TempDir())
				os.WriteFile("mine", []byte("mine\n"), 0o600)
				os.WriteFile("mine\x1b", []byte("mine\n"), 0o600)
				for _, line := range append(lines[c.Name], "cd /") {
					v.Line(t.Context(), line)
					out, all := v.said()
					if bad := harmful(all); bad != "" {
						t.Errorf("%s prints %q", line, bad)
					}
					for l := range strings.Lines(out) {
						if text := c.Name == "cat" || c.Name == "more"; how.json && !text && !json.Valid([]byte(l)) {
							t.Errorf("%s --json prints %q", line, l)
						}
					}
				}
				if slices.Contains([]string{"open", "login", "logout", "register"}, c.Name) { // they end the session
					v.Remote.Address = h.Addr().String()
					if err := v.Login(t.Context(), "alice"); err != nil {
						t.Fatal(err)
					}
				}
			}
		})
	}
}

// TestHostilePrompt: neither the prompt nor what Tab offers can do something to a terminal.
func TestHostilePrompt(t *testing.T) {
	s := servertest.New(t)
	s.AddUser("alice", password)
	for _, f := range []string{"a", "d/b"} {
		os.MkdirAll(filepath.Dir(filepath.Join(s.Home("alice"), f)), 0o700)
		os.WriteFile(filepath.Join(s.Home("alice"), f), nil, 0o600)
	}
	v := newVictim(t, poisoned(t, s.PlainAddr()).Addr().String(), true)
	lines := []string{"cd 'd" + evil + "'", "pwd", "quit"}
	offered := 0
	v.reads = func(string) (string, error) {
		for _, typed := range []string{"get ", "cat 'a", "user ", "kick ", "put x -O ", ""} {
			candidates, _ := v.Complete(t.Context(), typed, len(typed))
			for _, c := range candidates {
				if bad := harmful(c.Text + c.Show); bad != "" {
					t.Errorf("%q offers %q", typed, bad)
				}
			}
			offered += len(candidates)
		}
		line := lines[0]
		lines = lines[1:]
		return line, nil
	}
	v.said()
	v.Run(t.Context(), "")
	if _, all := v.said(); harmful(all) != "" || !strings.Contains(all, `/d\x1b]2;title`) {
		t.Errorf("prints %q in %q", harmful(all), all)
	}
	if offered == 0 {
		t.Error("Tab offers nothing at all")
	}
}

// TestHostilePaths: the names that a server gives to files lead nowhere but below the directory that was chosen, however they
// are fetched, and through no symbolic link.
func TestHostilePaths(t *testing.T) {
	s := servertest.New(t)
	s.AddUser("alice", password)
	home := s.Home("alice")
	for _, f := range []string{"f", "d/f"} {
		os.MkdirAll(filepath.Dir(filepath.Join(home, f)), 0o700)
		if err := os.WriteFile(filepath.Join(home, f), []byte("from the server\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	top := t.TempDir()
	outside := filepath.Join(top, "outside")
	for _, name := range []string{"evil", "../outside/evil", "../../outside/evil", outside + "/evil", "..", ".", "", "/", "x/../../outside/evil", "link/evil", "evil/", "./evil", "d/../../evil", "evil.ferry-part/../../evil", "evil\x00"} {
		here := filepath.Join(top, "here")
		for _, dir := range []string{here, outside} {
			os.RemoveAll(dir)
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink(outside, filepath.Join(here, "link")); err != nil {
			t.Fatal(err)
		}
		t.Chdir(here)
		h := newHostile(t, s.PlainAddr(),
			func(request object) {
				if path, ok := request["path"].(string); ok && strings.Contains(path, "evil") {
					request["path"] = "/f"
				}
			},
			func(_ object, answer *object) {
				entries, _ := (*answer)["entries"].([]any)
				for _, e := range entries {
					if e := e.(object); e["kind"] == "file" {
						e["name"] = name
					}
				}
			})
		v := newVictim(t, h.Addr().String(), false)
		for _, line := range []string{"get *", "mget -f */*", "get .*", "get -r d", "get -r .* -O sub", "get -r * -O sub", "sync down d down", "sync down / down", "get -f d/* -O link/..", "get -r -f d/. -o link2", "get -f * -O ."} {
			v.Line(t.Context(), line)
		}
		filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if rest, inside := strings.CutPrefix(path, here); !inside && path != top && path != outside || strings.HasPrefix(rest, "/link/") {
				t.Errorf("the name %q leads to %s", name, path)
			}
			return err
		})
		if info, err := os.Lstat(filepath.Join(here, "link")); err != nil || info.Mode()&os.ModeSymlink == 0 {
			t.Errorf("the name %q replaces a symbolic link: %v", name, err)
		}
		if _, err := os.Stat("evil"); err != nil && name == "evil" {
			t.Errorf("not even a good name gets through: %v", err)
		}
		if t.Failed() {
			_, all := v.said()
			t.Fatal(all)
		}
	}
}

// TestHostileLinks: a file that is fetched takes the place of a symbolic link, and never goes through it; nor does one that
// is gone on with.
func TestHostileLinks(t *testing.T) {
	s := servertest.New(t)
	s.AddUser("alice", password)
	if err := os.WriteFile(filepath.Join(s.Home("alice"), "f"), []byte("from the server\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, link := range []string{"f", "f.ferry-part"} {
		t.Chdir(t.TempDir())
		os.Mkdir("outside", 0o700)
		if err := os.WriteFile("outside/precious", []byte("mine\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("outside/precious", link); err != nil {
			t.Fatal(err)
		}
		v := newVictim(t, s.PlainAddr(), false)
		for _, line := range []string{"get f", "get -f f", "get -r f -f -O .", "mget -f f*", "get -f f -o ./f", "reget f -f"} {
			v.Line(t.Context(), line)
			if text, err := os.ReadFile("outside/precious"); err != nil || string(text) != "mine\n" {
				t.Fatalf("%s went through the link %s: %q, %v", line, link, text, err)
			}
		}
	}
}

// TestHostileScreen: nor does a terminal get anything of it from bars, prompts and what Tab shows.
func TestHostileScreen(t *testing.T) {
	t.Parallel()
	s := newSeat(t)
	s.write(s.server.Home("alice"), "big", pattern(3<<20, 1))
	h := poisoned(t, s.server.PlainAddr())
	ferry := s.command("--plain", "alice@"+h.Addr().String())
	ferry.Env = append(ferry.Env, "FERRY_PASSWORD="+password)
	p := termtest.Start(t, 100, 30, ferry)
	p.See("logged in as alice")
	ready(p)
	p.Type("get --limit 2M big*\r")
	p.See(" of 3 MiB") // a bar
	p.See("fetched big")
	ready(p)
	p.Type("cd two\t\t\x03")
	p.See("^C\n")
	ready(p)
	p.Type("get --limit 4M big* -o other & jobs; wait\r")
	p.See("[1] fetched other")
	ready(p)
	p.Type("user \t\tx\x03")
	p.See("x^C\n")
	ready(p)
	p.Type("quit\r")
	s.leave(p, 0)
	for _, bad := range []string{"\x1b]", "\u009b", "\u202e", "\u200b", "\u2028", "\nFORGED"} {
		if i := strings.Index(p.Raw(), bad); i >= 0 {
			t.Errorf("%q is on the screen: %q", bad, p.Raw()[max(0, i-100):i+20])
		}
	}
}
