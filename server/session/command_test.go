package session_test

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"ferry/server/servertest"
	"ferry/server/storage/local"
	"ferry/shared/block"
	"ferry/shared/wire"
)

const anID = "00112233445566778899aabbccddeeff"

// in returns a connection on which alice is logged in.
func in(t *testing.T, s *servertest.Server) *peer {
	t.Helper()
	p := greeted(t, s)
	if a := p.login("alice", "correct horse"); a.Error != nil {
		t.Fatal(a.Error)
	}
	return p
}

// samples is a request of every command that is served after login, with all of its fields, and whether a body follows.
func samples() map[string]string {
	path := `"path":"/f"`
	id := `"id":"` + anID + `","boot":"` + anID + `"`
	up := `"upload":"` + anID + `","epoch":1`
	key := `"key":"` + anID + `"`
	return map[string]string{
		"logout": ``, "ping": ``, "resume": ``, "keys": ``, "df": ``,
		"login": `"message":"x"`, "proof": `"message":"x"`, "key": `"user":"alice","key":"x","signature":"x"`,
		"passwd": `"record":"x"`, "putkey": `"key":"x"`, "dropkey": `"fingerprint":"x"`,
		"stat": path, "sum": path, "ls": path + `,"deep":true`,
		"mkdir": id + `,` + path + `,"parents":true`, "rm": id + `,` + path, "rmdir": id + `,` + path,
		"rmtree": id + `,` + path, "cp": id + `,` + path + `,"to":"/g","replace":true`, "set": id + `,` + path + `,"mtime":1,"mode":1`,
		"mv":   id + `,` + path + `,"to":"/g","replace":true,"version":"v"`,
		"put":  id + `,` + path + `,"length":1,"mtime":1,"mode":1,"job":"` + anID + `","expect":"v","force":true,"parents":true,"writer":"` + anID + `","reopen":true,"try":1,"nosync":true`,
		"data": up + `,"offset":0,"tag":"` + anID + `","size":0`, "check": up + `,"first":0,"size":0`,
		"commit": id + `,` + up + `,"nosync":true`,
		"get":    path + `,"version":"v","offset":0,"length":1,` + key, "verify": path + `,"version":"v","first":0,` + key + `,"size":0`,
		"drop": id + `,"upload":"` + anID + `"`, "admin": id + `,"args":["user","list"],"record":"$","json":true`,
	}
}

func request(cmd, fields string) string {
	if fields != "" {
		fields = "," + fields
	}
	return `{"cmd":"` + cmd + `"` + fields + `}`
}

// TestWrongFields gives every field of every command a value of another type, and every command a field it does not have.
// Each is refused by name, nothing is done, and the connection goes on.
func TestWrongFields(t *testing.T) {
	s := servertest.New(t)
	s.AddUser("alice", "correct horse")
	s.Set("alice", "rights", "list,read,write,overwrite,delete,admin")
	p := in(t, s)
	all := samples()
	for _, cmd := range servertest.Commands() {
		fields, ok := all[cmd]
		if !ok {
			if !slices.Contains([]string{"hello", "attach", "register"}, cmd) {
				t.Errorf("%s has no sample", cmd)
			} else if a := p.ask(request(cmd, "")); a.code() != wire.UnknownCommand {
				t.Errorf("%s when logged in: %v", cmd, a.Error)
			}
			continue
		}
		refused := func(text, field string) {
			t.Helper()
			a := p.ask(text)
			if a.code() != wire.BadRequest || !strings.Contains(a.Error.Message, field) {
				t.Errorf("%s: %v, want %s naming %s", text, a.Error, wire.BadRequest, field)
			}
		}
		more := fields
		if more != "" {
			more += ","
		}
		refused(request(cmd, more+`"unheard":1`), "unheard")
		var parsed map[string]json.RawMessage
		if err := json.Unmarshal([]byte("{"+fields+"}"), &parsed); err != nil {
			t.Fatal(err)
		}
		for name := range parsed {
			if name == "size" {
				continue // what size announces is read before the rest is looked at
			}
			for _, wrong := range []string{`[]`, `{}`, `1.5`, `"\ud800"`, `true`, `"x"`, `7`} {
				if same(parsed[name], wrong) {
					continue
				}
				changed := map[string]json.RawMessage{"cmd": json.RawMessage(`"` + cmd + `"`)}
				for k, v := range parsed {
					changed[k] = v
				}
				changed[name] = json.RawMessage(wrong)
				var text strings.Builder
				sep := "{"
				for k, v := range changed {
					fmt.Fprintf(&text, "%s%q:%s", sep, k, v)
					sep = ","
				}
				if wrong == `"\ud800"` { // not even JSON in the strict sense: that connection is over
					q := in(t, s)
					if a := q.ask(text.String() + "}"); a.code() != wire.BadRequest {
						t.Errorf("%s}: %v", &text, a.Error)
					}
					q.closed()
					continue
				}
				refused(text.String()+"}", name)
			}
		}
	}
	if names, _ := os.ReadDir(s.Home("alice")); len(names) > 0 {
		t.Errorf("something was done: %v", names)
	}
}

// same tells whether two JSON values are of one type, as far as a field takes any value of its type.
func same(a json.RawMessage, b string) bool {
	kind := func(s string) byte {
		if s[0] >= '0' && s[0] <= '9' {
			return '0'
		}
		return s[0]
	}
	return kind(string(a)) == kind(b) && b != "1.5"
}

// TestReservedNames asks for the staging directory, and for names that are none, with every command that takes a path.
func TestReservedNames(t *testing.T) {
	s := servertest.New(t)
	s.AddUser("alice", "correct horse")
	p := in(t, s)
	long := strings.Repeat("n", 256)
	for cmd, fields := range samples() {
		if !strings.Contains(fields, `"/f"`) || cmd == "verify" {
			continue
		}
		fields = strings.ReplaceAll(fields, `,"boot":"`+anID+`"`, "")
		for i, bad := range []string{"/.ferry", "/.ferry/x", "f", "", "/a/../b", "/a//b", "/a/", "/./a", "..", "/..", "/" + long, strings.Repeat("/d", 65)} {
			own := strings.Replace(fields, anID, fmt.Sprintf("%032x", int(cmd[0])<<16+int(cmd[1])<<8+i+len(cmd)), 1)
			text, _ := json.Marshal(bad)
			a := p.ask(request(cmd, strings.Replace(own, `"/f"`, string(text), 1)))
			if a.code() != wire.BadPath {
				t.Errorf("%s of %.20q: %v, want %s", cmd, bad, a.Error, wire.BadPath)
			}
		}
	}
	if names, _ := os.ReadDir(s.Home("alice")); len(names) > 0 {
		t.Errorf("something was done: %v", names)
	}
}

// TestUploadClaims makes claims about an upload that are not true: none is believed, and the true ones still go through.
func TestUploadClaims(t *testing.T) {
	s := servertest.New(t)
	s.AddUser("alice", "correct horse")
	p := in(t, s)
	for _, c := range []struct {
		length string
		code   wire.Code
	}{{"-1", wire.BadRequest}, {"4611686018427387904", wire.NoSpace}, {"9223372036854775807", wire.NoSpace}} {
		if a := p.ask(request("put", `"id":"`+fmt.Sprintf("%032x", len(c.length))+`","path":"/f","length":`+c.length+`,"mtime":1,"job":"`+anID+`"`)); a.code() != c.code {
			t.Errorf("a length of %s: %v, want %s", c.length, a.Error, c.code)
		}
	}
	const length = 2*block.Size + 5
	p.raw(frame(request("put", fmt.Sprintf(`"id":"%032x","path":"/f","length":%d,"mtime":1,"job":"%s"`, 77, length, anID))))
	var open wire.PutAnswer
	if err := json.Unmarshal(p.hear(), &open); err != nil || open.Key == nil {
		t.Fatalf("%v %+v", err, open)
	}
	tagger := block.NewTagger(*open.Key)
	body := make([]byte, block.Size)
	data := func(off int64, b []byte, tag block.Tag, epoch int64, id string) wire.Code {
		text, _ := tag.MarshalText()
		header := request("data", fmt.Sprintf(`"upload":"%s","epoch":%d,"offset":%d,"tag":"%s","size":%d`, id, epoch, off, text, len(b)))
		p.raw(append(frame(header), b...))
		return p.answer().code()
	}
	tag := func(n int64, b []byte) block.Tag { return tagger.Tag(n, b) }
	id, epoch := open.Upload, open.Epoch
	for _, c := range []struct {
		what string
		got  wire.Code
		want wire.Code
	}{
		{"a negative offset", data(-1, body[:5], tag(0, body[:5]), epoch, id), wire.BadRequest},
		{"bytes beyond the end", data(2*block.Size, body[:6], tag(2, body[:6]), epoch, id), wire.BadRequest},
		{"an offset beyond the end", data(1<<40, body[:5], tag(1<<20, body[:5]), epoch, id), wire.BadRequest},
		{"bytes across two blocks", data(block.Size-1, body[:2], tag(0, body[:2]), epoch, id), wire.BadRequest},
		{"another block's tag", data(0, body, tag(1, body), epoch, id), wire.VerifyFailed},
		{"another epoch", data(0, body, tag(0, body), epoch+1, id), wire.Superseded},
		{"another upload", data(0, body, tag(0, body), epoch, anID), wire.NotFound},
		{"the first block", data(0, body, tag(0, body), epoch, id), ""},
		{"a part of the second", data(block.Size, body[:100], tag(1, body[:100]), epoch, id), ""},
		{"the last block", data(2*block.Size, body[:5], tag(2, body[:5]), epoch, id), ""},
		{"a commit with a block half there", p.ask(request("commit", fmt.Sprintf(`"id":"%032x","upload":"%s","epoch":%d`, 78, id, epoch))).code(), wire.VerifyFailed},
		{"the second block", data(block.Size, body, tag(1, body), epoch, id), ""},
		{"the second block again", data(block.Size, body, tag(1, body), epoch, id), ""},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q, want %q", c.what, c.got, c.want)
		}
	}
	if _, err := os.Stat(filepath.Join(s.Home("alice"), "f")); !os.IsNotExist(err) {
		t.Errorf("it is visible before commit: %v", err)
	}
	commit := request("commit", fmt.Sprintf(`"id":"%032x","upload":"%s","epoch":%d`, 79, id, epoch))
	if a := p.ask(commit); a.Error != nil {
		t.Fatal(a.Error)
	}
	p.raw(frame(commit)) // its answer was lost, say
	if again := string(p.hear()); !strings.Contains(again, `"again":true`) {
		t.Errorf("the repeated commit: %s", again)
	}
	if b, err := os.ReadFile(filepath.Join(s.Home("alice"), "f")); err != nil || len(b) != length {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

// TestOldChanged: blocks of the old version were found equal, and then somebody wrote to that file in place. Its bytes are
// not published as if they were the sender's, and the upload has to begin anew.
func TestOldChanged(t *testing.T) {
	s := servertest.New(t)
	s.AddUser("alice", "correct horse")
	p := in(t, s)
	name := filepath.Join(s.Home("alice"), "f")
	old := make([]byte, 2*block.Size)
	if err := os.WriteFile(name, old, 0o600); err != nil {
		t.Fatal(err)
	}
	p.raw(frame(request("put", fmt.Sprintf(`"id":"%032x","path":"/f","length":%d,"mtime":1,"job":"%s"`, 1, len(old), anID))))
	var open wire.PutAnswer
	if err := json.Unmarshal(p.hear(), &open); err != nil || open.Key == nil {
		t.Fatalf("%v %+v", err, open)
	}
	tagger := block.NewTagger(*open.Key)
	a, b := tagger.Tag(0, old[:block.Size]), tagger.Tag(1, old[block.Size:])
	p.raw(append(frame(request("check", fmt.Sprintf(`"upload":"%s","epoch":%d,"first":0,"size":32`, open.Upload, open.Epoch))), append(a[:], b[:]...)...))
	if err := p.answer().Error; err != nil {
		t.Fatal(err)
	}
	if need := make([]byte, 1); func() byte { io.ReadFull(p.nc, need); return need[0] }() != 0 {
		t.Fatalf("equal blocks are needed: %b", need)
	}
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("local"), 0); err != nil {
		t.Fatal(err)
	}
	f.Close()
	for i, want := range []wire.Code{wire.VerifyFailed, wire.NotFound} {
		if a := p.ask(request("commit", fmt.Sprintf(`"id":"%032x","upload":"%s","epoch":%d`, 9+i, open.Upload, open.Epoch))); a.code() != want {
			t.Errorf("commit %d: %v, want %s", i+1, a.Error, want)
		}
	}
	if got, err := os.ReadFile(name); err != nil || string(got[:5]) != "local" {
		t.Errorf("the file was replaced: %q, %v", got[:5], err)
	}
}

// TestPipeline: requests sent at once are answered in order, those that fail between those that do not, and small puts
// that share a commit take effect in order.
func TestPipeline(t *testing.T) {
	s := servertest.New(t)
	s.AddUser("alice", "correct horse")
	p := in(t, s)
	var all []byte
	const n = 300
	for i := range n {
		text := fmt.Sprintf("version %d", i)
		header := request("put", fmt.Sprintf(`"id":"%032x","path":"/f%d","length":%d,"mtime":1,"size":%d`, i+1, i%7, len(text), len(text)))
		all = append(append(all, frame(header)...), text...)
		if i%50 == 49 {
			all = append(all, frame(request("stat", fmt.Sprintf(`"path":"/f%d"`, i%7)))...)
			all = append(all, frame(request("stat", `"path":"/none"`))...)
		}
	}
	p.raw(all)
	for i := range n {
		if a := p.answer(); a.Error != nil {
			t.Fatalf("put %d: %v", i, a.Error)
		}
		if i%50 == 49 {
			if a := string(p.hear()); !strings.Contains(a, fmt.Sprintf(`"length":%d`, len(fmt.Sprintf("version %d", i)))) {
				t.Errorf("stat after put %d: %s", i, a)
			}
			if a := p.answer(); a.code() != wire.NotFound {
				t.Errorf("stat of nothing: %v", a.Error)
			}
		}
	}
	for i := n - 7; i < n; i++ {
		b, err := os.ReadFile(filepath.Join(s.Home("alice"), fmt.Sprintf("f%d", i%7)))
		if want := fmt.Sprintf("version %d", i); err != nil || string(b) != want {
			t.Errorf("f%d holds %q, %v, want %q", i%7, b, err, want)
		}
	}
}

// TestPanic: a request that brings its handler down ends that session and no other, and leaves a mark in the log.
func TestPanic(t *testing.T) {
	var armed atomic.Bool
	ops := local.RealOps()
	mkdir := ops.Mkdir
	ops.Mkdir = func(dir int, name string, mode uint32) error {
		if armed.Load() && name == "boom" {
			panic("a test wants this")
		}
		return mkdir(dir, name, mode)
	}
	s := servertest.New(t, servertest.WithOps(ops))
	s.AddUser("alice", "correct horse")
	other, p := in(t, s), in(t, s)
	armed.Store(true)
	if a := p.ask(request("mkdir", `"id":"`+anID+`","path":"/boom"`)); a.code() != wire.Internal || !strings.HasPrefix(a.Error.Message, "internal error ") {
		t.Errorf("%v", a.Error)
	}
	p.closed()
	if a := other.ask(request("mkdir", `"id":"`+strings.Repeat("1", 32)+`","path":"/fine"`)); a.Error != nil {
		t.Error(a.Error)
	}
	s.Log.Await(t, 1, "a test wants this")
}

// TestWriters: one transfer, opened by several runs of the client. A new run takes it over, an older one that comes back
// after its line was lost does not; nor does what a run asked before its line was lost, and the server reads after what it
// asked since.
func TestWriters(t *testing.T) {
	s := servertest.New(t)
	s.AddUser("alice", "correct horse")
	p, n := in(t, s), 0
	open := func(writer string, reopen bool, try int) (wire.PutAnswer, wire.Code) {
		n++
		p.raw(frame(request("put", fmt.Sprintf(`"id":"%032x","path":"/f","length":%d,"mtime":1,"job":"%s","writer":"%s","reopen":%v,"try":%d`, n, 5<<20, anID,
			strings.Repeat(writer, 32), reopen, try))))
		var a wire.PutAnswer
		if err := json.Unmarshal(p.hear(), &a); err != nil {
			t.Fatal(err)
		}
		if a.Error != nil {
			return a, a.Error.Code
		}
		return a, ""
	}
	check := func(when string, restart bool) {
		t.Helper()
		for i, c := range []struct {
			writer string
			reopen bool
			want   wire.Code
		}{{"1", false, ""}, {"1", true, ""}, {"2", false, ""}, {"1", true, wire.Superseded}, {"2", true, ""}, {"3", false, ""}, {"2", true, wire.Superseded}} {
			if restart {
				s.Restart()
				p = in(t, s)
			}
			if a, got := open(c.writer, c.reopen, i); got != c.want || got == "" && a.Upload == "" {
				t.Errorf("%s, opening %d: %q, want %q", when, i+1, got, c.want)
			}
		}
	}
	check("on one connection", false)
	check("with restarts", true)
	for i, c := range []struct {
		writer string
		reopen bool
		try    int
		want   wire.Code
	}{{"4", false, 1, ""}, {"4", false, 0, wire.Superseded}, {"4", true, 2, ""}, {"4", true, 1, wire.Superseded}, {"5", false, 0, ""}} {
		if _, got := open(c.writer, c.reopen, c.try); got != c.want {
			t.Errorf("overtaken, opening %d: %q, want %q", i+1, got, c.want)
		}
	}
}
