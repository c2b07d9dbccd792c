package session_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ferry/server/servertest"
	"ferry/server/session"
	"ferry/shared/block"
	"ferry/shared/wire"
)

// TestBarred: what keeps an account out is told to those who know the password, ends the sessions that are there, and keeps
// others from joining them.
func TestBarred(t *testing.T) {
	for _, tt := range []struct{ key, option, says string }{
		{"locked", "on leave", "the account is locked: on leave"},
		{"expires", "2020-01-31", "the account expired on 2020-01-31"},
		{"allow_from", "192.0.2.0/24", "not from this address"},
	} {
		t.Run(tt.key, func(t *testing.T) {
			t.Parallel()
			s := servertest.New(t)
			s.AddUser("alice", "correct horse")
			j := loggedIn(t, s)
			waiting := greeted(t, s)
			s.Set("alice", tt.key, tt.option)
			if a := j.answer(); a.code() != wire.LoginRequired {
				t.Errorf("a session hears %v", a.Error)
			}
			j.closed()
			if a := waiting.ask(j.attach(waiting)); a.code() != wire.AuthFailed {
				t.Errorf("attach: %v", a.Error)
			}
			if a := greeted(t, s).login("alice", "wrong"); a.code() != wire.AuthFailed || a.Error.Message != "authentication failed" {
				t.Errorf("with a wrong password: %v", a.Error)
			}
			p := greeted(t, s)
			if a := p.login("alice", "correct horse"); a.code() != wire.Denied || a.Error.Message != tt.says {
				t.Errorf("with the right one: %v, want %s", a.Error, tt.says)
			}
			p.closed()
			s.Set("alice", tt.key, "")
			loggedIn(t, s)
		})
	}
}

// TestAllowFrom takes who comes from a network of the list; the socket counts as loopback.
func TestAllowFrom(t *testing.T) {
	s := servertest.New(t)
	s.AddUser("alice", "correct horse")
	s.Set("alice", "allow_from", "192.0.2.0/24,127.0.0.0/8")
	loggedIn(t, s)
	if a := plainGreeted(t, s).login("alice", "correct horse"); a.Error != nil {
		t.Errorf("through the socket or in plain text: %v", a.Error)
	}
}

// TestExpiry: the first day the account is closed ends its session, and its requests even before that is noticed.
func TestExpiry(t *testing.T) {
	var now atomic.Pointer[time.Time]
	day := func(d int) {
		at := time.Date(2031, 1, d, 23, 59, 59, 0, time.UTC)
		now.Store(&at)
	}
	day(30)
	s := servertest.New(t, func(c *session.Config) { c.Now = func() time.Time { return *now.Load() } })
	s.AddUser("alice", "correct horse")
	s.Set("alice", "expires", "2031-01-31")
	p := in(t, s)
	s.Session().Enforce()
	if a := p.ask(`{"cmd":"ping"}`); a.Error != nil {
		t.Fatalf("the day before: %v", a.Error)
	}
	day(31)
	if a := p.ask(`{"cmd":"stat","path":"/"}`); a.code() != wire.LoginRequired {
		t.Errorf("a request on the day: %v", a.Error)
	}
	s.Session().Enforce()
	if a := p.answer(); a.code() != wire.LoginRequired || a.Error.Message != "the account expired on 2031-01-31" {
		t.Errorf("on the day: %v", a.Error)
	}
	p.closed()
}

// TestMaxSessions: connections of one session are one, a session that ended makes room, others' do not count, and one whose line
// was lost neither keeps its user out nor comes back as one too many.
func TestMaxSessions(t *testing.T) {
	s := servertest.New(t)
	s.AddUser("alice", "correct horse")
	s.AddUser("bob", "correct horse")
	s.Set("alice", "max_sessions", "2")
	if a := greeted(t, s).login("bob", "correct horse"); a.Error != nil {
		t.Fatal(a.Error)
	}
	first := loggedIn(t, s)
	first.join(t, s)
	second := loggedIn(t, s)
	p := greeted(t, s)
	if a := p.login("alice", "correct horse"); a.code() != wire.TooMany || !strings.Contains(a.Error.Message, "as many sessions as it may have") {
		t.Fatalf("a third: %v", a.Error)
	}
	p.closed()
	if a := greeted(t, s).login("alice", "wrong"); a.code() != wire.AuthFailed {
		t.Errorf("with a wrong password: %v", a.Error)
	}
	second.nc.Close()
	s.Log.Await(t, 1, "session ended")
	third := loggedIn(t, s)
	q := greeted(t, s)
	if a := q.ask(second.attach(q)); a.code() != wire.TooMany {
		t.Errorf("the second comes back: %v", a.Error)
	}
	third.ask(`{"cmd":"logout"}`)
	third.closed()
	s.Log.Await(t, 2, "session ended")
	second.join(t, s)
	s.Set("alice", "max_sessions", "none")
	loggedIn(t, s)
}

// TestMaxFileSize refuses before any byte is taken, and a commit of what was opened when more was allowed.
func TestMaxFileSize(t *testing.T) {
	s := servertest.New(t)
	s.AddUser("alice", "correct horse")
	s.Set("alice", "max_file_size", "2MiB")
	n := 0
	p := &sender{in(t, s), &n}
	tooLong := func(what string, err *wire.Error, limit string) {
		t.Helper()
		if err == nil || err.Code != wire.TooLarge || err.Message != "the account takes files of at most "+limit {
			t.Errorf("%s: %v", what, err)
		}
	}
	tooLong("large", p.large("/f", make([]byte, 2<<20+1)), "2MiB")
	if err := p.large("/f", make([]byte, 2<<20)); err != nil {
		t.Errorf("as long as it may be: %v", err)
	}
	s.Set("alice", "max_file_size", "3B")
	errs := p.small("/s", "1234", "123")
	tooLong("small", errs[0], "3B")
	if errs[1] != nil {
		t.Errorf("as long as it may be: %v", errs[1])
	}
	s.Set("alice", "max_file_size", "")
	open := p.open(t, "/g", 1)
	s.Set("alice", "max_file_size", "3B")
	tooLong("a commit", p.commit(open), "3B")
	if names := namesIn(t, s.Home("alice")); !slices.Equal(names, []string{"f", "s1"}) {
		t.Errorf("there are %v", names)
	}
}

func namesIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if e.Name() != ".ferry" {
			names = append(names, e.Name())
		}
	}
	return names
}

// open begins an upload of so many whole blocks of zeros, sends them, and returns it ready for its commit.
func (p *sender) open(t *testing.T, path string, blocks int64) wire.PutAnswer {
	t.Helper()
	open := p.begin(path, blocks*block.Size)
	if open.Error != nil {
		t.Fatal(open.Error)
	}
	for n := range blocks {
		if e := p.data(open, n*block.Size, make([]byte, block.Size)); e != nil {
			t.Fatal(e)
		}
	}
	return open
}

// TestRules asks for each command at places where the account may do everything but what the command needs, nothing but that, and
// where a name only looks alike.
func TestRules(t *testing.T) {
	s := servertest.New(t)
	s.AddUser("alice", "correct horse")
	n := 0
	p := &sender{in(t, s), &n}
	key := `"key":"` + anID + `"`
	tagged := func(cmd string) func(*sender, string) *wire.Error {
		return func(p *sender, path string) *wire.Error {
			p.raw(append(frame(request(cmd, `"path":"`+path+`/f","version":"","first":0,`+key+`,"size":16`)), make([]byte, 16)...))
			err := p.answer().Error
			if err == nil {
				io.ReadFull(p.nc, make([]byte, 1)) // the bitmap
			}
			return err
		}
	}
	plain := func(format string) func(*sender, string) *wire.Error {
		return func(p *sender, path string) *wire.Error {
			text := strings.ReplaceAll(strings.ReplaceAll(format, "ID", p.id()), "PATH", path)
			cmd, fields, _ := strings.Cut(text, " ")
			return p.ask(request(cmd, fields)).Error
		}
	}
	for what, tt := range map[string]struct {
		needs string
		do    func(*sender, string) *wire.Error
	}{
		"stat":      {"list", plain(`stat "path":"PATH/f"`)},
		"ls":        {"list", plain(`ls "path":"PATH"`)},
		"deep ls":   {"list", plain(`ls "path":"PATH","deep":true`)},
		"sum":       {"read", plain(`sum "path":"PATH/f"`)},
		"get":       {"read", plain(`get "path":"PATH/f","version":"","offset":0,"length":0,` + key)},
		"verify":    {"read", tagged("verify")},
		"mkdir":     {"write", plain(`mkdir ID,"path":"PATH/new"`)},
		"mkdir -p":  {"write", plain(`mkdir ID,"path":"PATH/a/b","parents":true`)},
		"rm":        {"delete", plain(`rm ID,"path":"PATH/f"`)},
		"rmdir":     {"delete", plain(`rmdir ID,"path":"PATH/d"`)},
		"rmtree":    {"delete", plain(`rmtree ID,"path":"PATH/d"`)},
		"cp from":   {"read", plain(`cp ID,"path":"PATH/f","to":"/free/f","replace":true`)},
		"cp to":     {"write", plain(`cp ID,"path":"/free/g","to":"PATH/g"`)},
		"cp over":   {"write,overwrite", plain(`cp ID,"path":"/free/g","to":"PATH/f","replace":true`)},
		"set":       {"overwrite", plain(`set ID,"path":"PATH/f","mtime":1,"mode":384`)},
		"mv from":   {"delete,read", plain(`mv ID,"path":"PATH/f","to":"/free/f","replace":true`)},
		"mv to":     {"write", plain(`mv ID,"path":"/free/g","to":"PATH/g"`)},
		"mv over":   {"write,overwrite", plain(`mv ID,"path":"/free/g","to":"PATH/f","replace":true`)},
		"put":       {"write", func(p *sender, path string) *wire.Error { return p.small(path+"/n", "x")[0] }},
		"put over":  {"write,overwrite", func(p *sender, path string) *wire.Error { return p.small(path+"/o", "x")[0] }},
		"put -p":    {"write", func(p *sender, path string) *wire.Error { return p.small(path+"/a/b/n", "x")[0] }},
		"put large": {"write", func(p *sender, path string) *wire.Error { return p.large(path+"/n", make([]byte, 2<<20)) }},
		"put over, large": {"write,overwrite", func(p *sender, path string) *wire.Error {
			return p.large(path+"/f", make([]byte, 2<<20))
		}},
	} {
		t.Run(what, func(t *testing.T) {
			all := []string{"list", "read", "write", "overwrite", "delete"}
			needs := strings.Split(tt.needs, ",")
			for _, place := range []string{"/in", "/in/deep"} {
				try := func(own, rights string) *wire.Error {
					home := s.Home("alice")
					for _, name := range namesIn(t, home) {
						if err := os.RemoveAll(filepath.Join(home, name)); err != nil {
							t.Fatal(err)
						}
					}
					if err := errors.Join(os.MkdirAll(filepath.Join(home, place, "d"), 0o700), os.Mkdir(filepath.Join(home, "free"), 0o700),
						os.WriteFile(filepath.Join(home, place, "f"), []byte("f"), 0o600), os.WriteFile(filepath.Join(home, place, "o0"), []byte("o"), 0o600),
						os.WriteFile(filepath.Join(home, "free", "g"), []byte("g"), 0o600)); err != nil {
						t.Fatal(err)
					}
					s.Set("alice", "rights", own)
					s.Set("alice", "rules", "/in="+rights+";/free=*;/inn=none;/i=none")
					return tt.do(p, place)
				}
				if err := try("none", tt.needs); err != nil {
					t.Errorf("%s with nothing but %s: %v", place, tt.needs, err)
				}
				for _, right := range needs {
					rest := slices.DeleteFunc(slices.Clone(all), func(r string) bool { return r == right })
					if err := try("*", strings.Join(rest, ",")); err == nil || err.Code != wire.Denied {
						t.Errorf("%s without %s: %v", place, right, err)
					}
				}
				if err := try("*", "none"); err == nil || err.Code != wire.Denied {
					t.Errorf("%s without any: %v", place, err)
				}
			}
		})
	}
}

// TestRulesOfUpload: what an upload may do is looked up at its path with every request, and a path that may not be listed hides
// it.
func TestRulesOfUpload(t *testing.T) {
	s := servertest.New(t)
	s.AddUser("alice", "correct horse")
	n := 0
	p := &sender{in(t, s), &n}
	if err := os.Mkdir(filepath.Join(s.Home("alice"), "in"), 0o700); err != nil {
		t.Fatal(err)
	}
	rules := func(text string) { s.Set("alice", "rules", text) }
	rules("/in=write")
	open := p.open(t, "/in/f", 2)
	listed := func() bool {
		p.raw(frame(request("resume", "")))
		return strings.Contains(string(p.hear()), "/in/f")
	}
	if listed() {
		t.Error("resume shows an upload to a place that may not be listed")
	}
	rules("/in=list")
	if !listed() {
		t.Error("resume does not show the upload")
	}
	body := make([]byte, 16)
	for what, do := range map[string]func() *wire.Error{
		"data": func() *wire.Error { return p.data(open, 0, make([]byte, block.Size)) },
		"check": func() *wire.Error {
			p.raw(append(frame(request("check", fmt.Sprintf(`"upload":"%s","epoch":%d,"first":0,"size":16`, open.Upload, open.Epoch))), body...))
			return p.answer().Error
		},
		"commit": func() *wire.Error { return p.commit(open) },
		"drop":   func() *wire.Error { return p.ask(request("drop", p.id()+`,"upload":"`+open.Upload+`"`)).Error },
	} {
		if err := do(); err == nil || err.Code != wire.Denied {
			t.Errorf("%s without write: %v", what, err)
		}
	}
	rules("/in=write")
	if err := os.WriteFile(filepath.Join(s.Home("alice"), "in", "f"), []byte("came meanwhile"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.commit(open); err == nil || err.Code != wire.Denied {
		t.Errorf("commit over a file without overwrite: %v", err)
	}
	rules("/in=write,overwrite")
	if err := p.commit(open); err != nil {
		t.Errorf("commit: %v", err)
	}
}

// TestRulesOfListing leaves out what may not be listed, and all below it.
func TestRulesOfListing(t *testing.T) {
	s := servertest.New(t)
	s.AddUser("alice", "correct horse")
	for _, dir := range []string{"in/open", "in/closed/open", "in/closed/shut", "inn"} {
		if err := os.MkdirAll(filepath.Join(s.Home("alice"), dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s.Set("alice", "rules", "/in/closed=read;/in/closed/open=list")
	p := in(t, s)
	for request, want := range map[string]string{
		`{"cmd":"ls","path":"/"}`:                           "in inn",
		`{"cmd":"ls","path":"/","deep":true}`:               "in in/open inn",
		`{"cmd":"ls","path":"/in","deep":true}`:             "open",
		`{"cmd":"ls","path":"/in/closed/open","deep":true}`: "",
	} {
		p.raw(frame(request))
		var a wire.LsAnswer
		if err := json.Unmarshal(p.hear(), &a); err != nil || a.Error != nil {
			t.Fatal(request, err, a.Error)
		}
		var names []string
		for _, e := range a.Entries {
			names = append(names, string(e.Name))
		}
		slices.Sort(names)
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s lists %q, want %q", request, got, want)
		}
	}
}

// TestRulesOfMove: a directory takes everything in it along, so it is moved only where all of it may be; and what cannot be read is
// not moved to where it could.
func TestRulesOfMove(t *testing.T) {
	s := servertest.New(t)
	s.AddUser("alice", "correct horse")
	for _, dir := range []string{"keep/safe", "secret", "free", "box"} {
		if err := os.MkdirAll(filepath.Join(s.Home("alice"), dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(s.Home("alice"), "secret", "f"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.Set("alice", "rules", "/keep/safe=list,read;/secret=list,write,delete;/box=write,delete;/box/x/y=list,read,write;/new/ro=list,read")
	n := 0
	p := &sender{in(t, s), &n}
	for _, tt := range []struct {
		from, to string
		code     wire.Code
	}{
		{"/keep", "/kept", wire.Denied},
		{"/free", "/new", wire.Denied},
		{"/secret/f", "/f", wire.Denied},
		{"/secret", "/box/x", wire.Denied},
		{"/secret/f", "/box/f", ""},
		{"/free", "/freed", ""},
	} {
		a := p.ask(request("mv", fmt.Sprintf(`%s,"path":"%s","to":"%s"`, p.id(), tt.from, tt.to)))
		if a.code() != tt.code {
			t.Errorf("mv %s %s: %v", tt.from, tt.to, a.Error)
		}
	}
}

// TestRulesOfRmtree: where the account may not delete, names stay and are told of, unless it may not list them either; the rest
// goes.
func TestRulesOfRmtree(t *testing.T) {
	s := servertest.New(t)
	s.AddUser("alice", "correct horse")
	home := s.Home("alice")
	for _, name := range []string{"t/a/f", "t/keep/f", "t/keep/deep/f", "t/hidden/f", "t/g"} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(home, name)), 0o700), os.WriteFile(filepath.Join(home, name), nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	s.Set("alice", "rules", "/t/keep=list,read;/t/hidden=none")
	n := 0
	p := &sender{in(t, s), &n}
	p.raw(frame(request("rmtree", p.id()+`,"path":"/t"`)))
	var a wire.RmtreeAnswer
	if err := wire.DecodeAnswer(p.hear(), &a); err != nil || a.Error != nil {
		t.Fatal(err, a.Error)
	}
	var told []string
	for _, k := range a.Why {
		told = append(told, string(k.Path)+" "+string(k.Error.Code))
	}
	slices.Sort(told)
	if want := []string{"/t not_empty", "/t/keep/deep/f denied", "/t/keep/f denied"}; !slices.Equal(told, want) || a.Kept != 3 || a.Removed != 3 {
		t.Errorf("removed %d, kept %d: %q, want %q", a.Removed, a.Kept, told, want)
	}
	if names := namesIn(t, filepath.Join(home, "t")); !slices.Equal(names, []string{"hidden", "keep"}) {
		t.Errorf("left %q", names)
	}
}

// TestRulesOfParents makes no directory on the way where the account may not write.
func TestRulesOfParents(t *testing.T) {
	s := servertest.New(t)
	s.AddUser("alice", "correct horse")
	s.Set("alice", "rights", "list")
	s.Set("alice", "rules", "/a/b=write")
	n := 0
	p := &sender{in(t, s), &n}
	mkdir := func() *wire.Error { return p.ask(request("mkdir", p.id()+`,"path":"/a/b/c","parents":true`)).Error }
	if err := mkdir(); err == nil || err.Code != wire.Denied {
		t.Errorf("mkdir -p makes /a: %v", err)
	}
	if err := p.small("/a/b/c/n", "x")[0]; err == nil || err.Code != wire.Denied {
		t.Errorf("put makes /a: %v", err)
	}
	if names := namesIn(t, s.Home("alice")); len(names) > 0 {
		t.Errorf("there are %v", names)
	}
	if err := os.Mkdir(filepath.Join(s.Home("alice"), "a"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := mkdir(); err != nil {
		t.Errorf("below what is there: %v", err)
	}
}
