package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"ferry/shared/block"
)

var update = flag.Bool("update", false, "rewrite testdata/golden.txt and the exchange in doc.go")

// sample is a message with every field set, or a shape of one that differs on the wire.
type sample struct {
	name string // command and what is special
	v    any    // Requester or Answerer
	body []byte // nil: none
}

func (s sample) cmd() string { return strings.Fields(s.name)[0] }

func samples() []sample {
	id := Ident{ID: "000102030405060708090a0b0c0d0e0f"}
	again := Ident{ID: id.ID, Boot: "f0e0d0c0b0a090807060504030201000"}
	upload := "101112131415161718191a1b1c1d1e1f"
	key := block.Key{0xa0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	tag := block.NewTagger(key).Tag(3, []byte("hello"))
	tags := append(bytes.Clone(tag[:]), bytes.Repeat([]byte{7}, 16)...)
	file := Entry{Name: "/a/\xe9 \u00e9.txt", Kind: "file", Length: 1 << 40, Mtime: -1, Mode: 0o644, Version: "5f0c"}
	dir := Entry{Name: "a", Kind: "dir", Mtime: 1700000000123456789, Mode: 0o755}
	version, nothing := "5f0c", ""
	zero, mode := int64(0), uint32(0)
	req := func(cmd string) Request { return Request{Cmd: cmd} }
	return []sample{
		{"hello request", &HelloRequest{req(CmdHello), 1, "ferry 1.0", strings.Repeat("0f", 32)}, nil},
		{"hello request with TLS", &HelloRequest{Request: req(CmdHello), Version: 1}, nil},
		{"hello answer", &HelloAnswer{Answer{}, 1, "ferryd 1.0", strings.Repeat("f0", 32), 1700000000000000000}, nil},
		{"login request", &MessageRequest{req(CmdLogin), "p=tls-exporter,,n=alice,r=fyko+d2lbbFgONRv9qkxdawL"}, nil},
		{"login answer", &LoginAnswer{Answer{}, "r=x,s=y,i=3,k=argon2id:v=19:m=65536:p=4"}, nil},
		{"proof request", &MessageRequest{req(CmdProof), "c=x,r=y,p=z"}, nil},
		{"proof answer", &ProofAnswer{Answer{}, "v=x", upload, strings.Repeat("5e", 32), again.Boot, 90_000, "alice", []string{"list", "read"}, []string{"nosync"}, true}, nil},
		{"proof answer of an account without rights", &ProofAnswer{}, nil},
		{"key request", &KeyRequest{req(CmdKey), "alice", "AAAA", "AAAB"}, nil},
		{"attach request", &AttachRequest{req(CmdAttach), upload, strings.Repeat("a1", 32)}, nil},
		{"attach answer", &EmptyAnswer{}, nil},
		{"register request", &RegisterRequest{req(CmdRegister), "carol", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "$scram-sha256-argon2id$..."}, nil},
		{"register request for the costs", &RegisterRequest{Request: req(CmdRegister), User: "carol"}, nil},
		{"register answer for the costs", &CostsAnswer{Answer{}, &Costs{65536, 3, 4}}, nil},
		{"logout request", &EmptyRequest{req(CmdLogout)}, nil},
		{"logout answer", &EmptyAnswer{}, nil},
		{"passwd request", &PasswdRequest{req(CmdPasswd), "$scram-sha256-argon2id$..."}, nil},
		{"passwd request for the costs", &PasswdRequest{Request: req(CmdPasswd)}, nil},
		{"passwd answer", &CostsAnswer{}, nil},
		{"keys request", &EmptyRequest{req(CmdKeys)}, nil},
		{"keys answer", &KeysAnswer{Answer{}, []PublicKey{{"ssh-ed25519", "SHA256:abc", "alice@laptop"}}, true}, nil},
		{"putkey request", &PutKeyRequest{req(CmdPutKey), "ssh-ed25519 AAAA alice@laptop"}, nil},
		{"dropkey request", &DropKeyRequest{req(CmdDropKey), "SHA256:abc"}, nil},
		{"ping request", &EmptyRequest{req(CmdPing)}, nil},
		{"ping answer, a sign of life", &EmptyAnswer{Answer{More: true}}, nil},
		{"put answer, a sign of life while the account's rate is what is waited for", &EmptyAnswer{Answer{More: true, Pace: 64 << 10}}, nil},
		{"ping answer, an error", &EmptyAnswer{Answer{Error: &Error{Code: ShuttingDown, Message: "the server is shutting down"}}}, nil},
		{"login answer, come back later", &LoginAnswer{Answer: Answer{Error: &Error{RateLimited, "too many failed logins", 34}}}, nil},
		{"stat request", &PathRequest{req(CmdStat), "/a <b> & \"c\"\\\u2028\t"}, nil},
		{"stat answer", &EntryAnswer{Answer{}, file}, nil},
		{"ls request", &LsRequest{req(CmdLs), "/", true}, nil},
		{"ls answer", &LsAnswer{Answer{More: true}, []Entry{dir, {Name: "l", Kind: "link", Mode: 0o777}}}, nil},
		{"ls answer of an empty directory", &LsAnswer{}, nil},
		{"mkdir request", &MkdirRequest{req(CmdMkdir), again, "/a/b", true}, nil},
		{"mkdir answer, repeated", &EmptyAnswer{Answer{Again: true}}, nil},
		{"rmdir request", &ChangeRequest{req(CmdRmdir), id, "/a"}, nil},
		{"rm request", &ChangeRequest{req(CmdRm), again, "/a"}, nil},
		{"mv request", &MvRequest{req(CmdMv), again, "/a", "/b", true, version}, nil},
		{"rmtree request", &ChangeRequest{req(CmdRmtree), again, "/a"}, nil},
		{"rmtree answer", &RmtreeAnswer{Answer{}, 1 << 40, 2, []Kept{{"/a/\xe9", Error{Code: Denied, Message: "permission denied"}}}}, nil},
		{"rmtree answer, all gone", &RmtreeAnswer{Removed: 3}, nil},
		{"cp request", &CpRequest{req(CmdCp), again, "/a", "/b", true}, nil},
		{"set request", &SetRequest{req(CmdSet), again, "/a", &zero, &mode}, nil},
		{"set request of the mode alone", &SetRequest{Request: req(CmdSet), Ident: id, Path: "/a", Mode: &mode}, nil},
		{"sum request", &PathRequest{req(CmdSum), "/a"}, nil},
		{"sum answer", &SumAnswer{Answer{}, strings.Repeat("ab", 32), file}, nil},
		{"put request", &PutRequest{req(CmdPut), again, "/a", 1 << 40, 1700000000123456789, 0o640, upload, &version, true, true, upload, true, 2, true}, nil},
		{"put request of an empty file where nothing is", &PutRequest{Request: req(CmdPut), Ident: id, Path: "/a", Expect: &nothing}, []byte{}},
		{"put request with a body", &PutRequest{Request: req(CmdPut), Ident: id, Path: "/a", Length: 5}, []byte("hello")},
		{"put answer, an upload", &PutAnswer{Upload: upload, Epoch: 3, Key: &key, Have: block.Ranges{{Off: 0, End: 1 << 20}, {Off: 3 << 20, End: 1 << 40}},
			Staged: 1 << 20, Base: &version}, nil},
		{"put answer, an upload of something new", &PutAnswer{Upload: upload, Epoch: 1, Key: &key, Base: &nothing}, nil},
		{"put answer, published", &PutAnswer{Answer: Answer{Again: true}, Entry: &file, Same: true}, nil},
		{"data request", &DataRequest{req(CmdData), upload, 3, 3 << 20, tag}, []byte("hello")},
		{"check request", &CheckRequest{req(CmdCheck), upload, 3, 3}, tags},
		{"check answer", &EmptyAnswer{}, []byte{2}},
		{"commit request", &CommitRequest{req(CmdCommit), again, upload, 3, true}, nil},
		{"commit answer", &CommitAnswer{Answer{}, file, true, 1 << 40}, nil},
		{"get request", &GetRequest{req(CmdGet), "/a", version, 1 << 20, MaxGet, key}, nil},
		{"get answer", &GetAnswer{Answer{More: true}, &file, &tag}, []byte("hello")},
		{"get answer, nothing there", &GetAnswer{Answer: Answer{}, Entry: &file}, nil},
		{"verify request", &VerifyRequest{req(CmdVerify), "/a", version, 3, key}, tags},
		{"resume request", &EmptyRequest{req(CmdResume)}, nil},
		{"resume answer", &ResumeAnswer{Answer{}, []Upload{{upload, "/a", 1 << 40, 5, id.ID, 1, 2, 3, true}}}, nil},
		{"drop request", &DropRequest{req(CmdDrop), id, upload}, nil},
		{"admin request", &AdminRequest{req(CmdAdmin), again.ID, again.Boot, []string{"user", "passwd", "bob"}, "$scram", true}, nil},
		{"admin answer, a piece", &AdminAnswer{Answer: Answer{More: true}, Output: "alice\n", Notes: "warning: old\n"}, nil},
		{"admin answer, it failed", &AdminAnswer{Exit: 6, Message: "user show: bob: no such user", Hint: "user list shows the names"}, nil},
		{"admin answer, a password is wanted", &AdminAnswer{Password: &PasswordWanted{"bob", "ask", 64 << 10, 3, 4}}, nil},
		{"df request", &EmptyRequest{req(CmdDf)}, nil},
		{"df answer", &DfAnswer{Answer{}, 5, 1 << 40, 3, 100000, 1 << 50}, nil},
		{"df answer without limits", &DfAnswer{Free: -1}, nil},
	}
}

// frame is the whole message.
func (s sample) frame(t testing.TB) []byte {
	t.Helper()
	v := s.v
	if s.body != nil {
		n := int64(len(s.body))
		switch m := v.(type) {
		case Requester:
			m.Head().Size = &n
		case Answerer:
			m.Top().Size = &n
		}
	}
	header, err := Encode(v)
	if err != nil {
		t.Fatalf("%s: %v", s.name, err)
	}
	out := binary.LittleEndian.AppendUint32(nil, uint32(len(header)))
	return append(append(out, header...), s.body...)
}

func TestGolden(t *testing.T) {
	var got strings.Builder
	for _, s := range samples() {
		f := s.frame(t)
		n := len(f) - len(s.body)
		fmt.Fprintf(&got, "%s\n%x %s\n%x\n", s.name, f[:4], f[4:n], f[n:])

		back := reflect.New(reflect.TypeOf(s.v).Elem()).Interface()
		var err error
		switch m := back.(type) {
		case Requester:
			var cmd string
			var size int64
			cmd, size, err = Peek(f[4:n])
			if err != nil || cmd != s.cmd() || s.body == nil && size != -1 || s.body != nil && size != int64(len(s.body)) {
				t.Errorf("%s: Peek = %q, %d, %v", s.name, cmd, size, err)
			}
			err = DecodeRequest(f[4:n], m)
		case Answerer:
			err = DecodeAnswer(f[4:n], m)
		}
		again, _ := Encode(back)
		if err != nil || !bytes.Equal(again, f[4:n]) {
			t.Errorf("%s decodes to %s, %v", s.name, again, err)
		}
	}
	const file = "testdata/golden.txt"
	if *update {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	gl, wl := strings.Split(got.String(), "\n"), strings.Split(string(want), "\n")
	for i := range max(len(gl), len(wl)) {
		if i >= len(gl) || i >= len(wl) || gl[i] != wl[i] {
			t.Fatalf("%s:%d differs (-update rewrites it; a change breaks programs that are out there)\ngot  %s\nwant %s", file, i+1, at(gl, i), at(wl, i))
		}
	}
}

func at(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "(nothing)"
}

// declarations returns the string constants of the package by name, and the names of its structs that embed Request or
// Answer.
func declarations(t *testing.T) (consts map[string]string, messages []string) {
	consts = map[string]string{}
	for _, file := range []string{"messages.go", "errors.go"} {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ValueSpec:
				for i, name := range n.Names {
					if i < len(n.Values) {
						if lit, ok := n.Values[i].(*ast.BasicLit); ok && lit.Kind == token.STRING {
							consts[name.Name], _ = strconv.Unquote(lit.Value)
						}
					}
				}
			case *ast.TypeSpec:
				st, ok := n.Type.(*ast.StructType)
				if !ok {
					break
				}
				for _, field := range st.Fields.List {
					if id, ok := field.Type.(*ast.Ident); ok && len(field.Names) == 0 && (id.Name == "Request" || id.Name == "Answer") {
						messages = append(messages, n.Name.Name)
					}
				}
			}
			return true
		})
	}
	return consts, messages
}

// sections returns the text of doc.go by heading.
func sections(t *testing.T) map[string]string {
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, s := range strings.Split(string(text), "\n# ")[1:] {
		head, rest, _ := strings.Cut(s, "\n")
		out[head] = rest
	}
	return out
}

// Every command has its samples and its section, every code its line, every struct its sample, every field its row.
func TestNothingForgotten(t *testing.T) {
	consts, messages := declarations(t)
	doc := sections(t)
	kinds, cmds := map[string]bool{}, map[string]bool{}
	for _, s := range samples() {
		typ := reflect.TypeOf(s.v).Elem()
		kinds[typ.Name()] = true
		if _, ok := s.v.(Requester); ok {
			cmds[s.cmd()] = true
		}
		for _, f := range reflect.VisibleFields(typ) {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if f.Anonymous || name == "" || len(f.Index) > 1 && typ.Field(f.Index[0]).Name != "Ident" {
				continue // the common part has a section of its own
			}
			if !row(doc[s.cmd()], name) {
				t.Errorf("doc.go: section %q has no row for field %s of %s", s.cmd(), name, typ.Name())
			}
		}
	}
	for _, v := range []any{Request{}, Answer{}, Entry{}, Upload{}} {
		section := map[string]string{"Entry": "Values", "Upload": "resume"}[reflect.TypeOf(v).Name()]
		if section == "" {
			section = "Requests and answers"
		}
		for _, f := range reflect.VisibleFields(reflect.TypeOf(v)) {
			if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); !row(doc[section], name) {
				t.Errorf("doc.go: section %q has no row for field %s", section, name)
			}
		}
	}
	for _, m := range messages {
		if !kinds[m] {
			t.Errorf("%s has no sample", m)
		}
	}
	var codes []Code
	for name, value := range consts {
		switch {
		case strings.HasPrefix(name, "Cmd"):
			if !cmds[value] {
				t.Errorf("command %s has no sample", value)
			}
			if doc[value] == "" {
				t.Errorf("command %s has no section in doc.go", value)
			}
		case name == "ALPN":
			if !strings.Contains(doc["Transport"], strconv.Quote(value)) {
				t.Errorf("doc.go does not name the application protocol %s", value)
			}
		default:
			codes = append(codes, Code(value))
			if !row(doc["Errors"], value) {
				t.Errorf("code %s is not in doc.go", value)
			}
		}
	}
	listed := Codes()
	slices.Sort(listed)
	slices.Sort(codes)
	if len(messages) < 20 || len(codes) < 20 || len(cmds) < 20 {
		t.Fatalf("found only %d structs, %d codes, %d commands", len(messages), len(codes), len(cmds))
	}
	if !slices.Equal(listed, codes) {
		t.Errorf("Codes() = %v, declared are %v", listed, codes)
	}
}

// row tells whether an indented line of text begins with name, alone or in a list.
func row(text, name string) bool {
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "\t") {
			continue
		}
		for _, word := range strings.Fields(line) {
			if strings.TrimSuffix(word, ",") == name {
				return true
			}
			if !strings.HasSuffix(word, ",") {
				break
			}
		}
	}
	return false
}

// The numbers that doc.go gives are those of the program.
func TestLimitsInDoc(t *testing.T) {
	doc := sections(t)
	for _, c := range []struct {
		section, format string
		n               int
	}{
		{"Messages", "headers before login     1 to %d bytes", MaxHeaderBeforeLogin},
		{"Messages", "headers after login      1 to %d bytes", MaxHeader},
		{"Messages", "body                     0 to %d bytes", MaxBody},
		{"Messages", "nesting of a header      %d objects", MaxDepth},
		{"JSON", "integer from 0 to %d,", MaxBody},
		{"Blocks and tags", "n * %d on", block.Size},
		{"hello", "version   integer   %d", ProtocolVersion},
		{"get", "length    integer   0 to %d ", MaxGet},
		{"check", "1 to %d, 16 bytes each", MaxTags},
		{"verify", "1 to %d, 16 bytes each", MaxTags},
	} {
		flat := strings.ReplaceAll(doc[c.section], "\n", " ")
		if want := fmt.Sprintf(c.format, c.n); !strings.Contains(flat, want) {
			t.Errorf("doc.go, section %q: no %q", c.section, want)
		}
	}
}

// dump writes a message as doc.go shows it.
func dump(who, note string, frame []byte) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\t%s  %s\n", who, note)
	for line := range strings.Lines(hex.Dump(frame)) {
		fmt.Fprintf(&b, "\t   %s", line)
	}
	return b.String()
}

// undump reads the messages back from doc.go.
func undump(t *testing.T, text string) (frames [][]byte) {
	for line := range strings.Lines(text) {
		if who, ok := strings.CutPrefix(line, "\t"); ok && (strings.HasPrefix(who, "C  ") || strings.HasPrefix(who, "S  ")) {
			frames = append(frames, nil)
		}
		line, ok := strings.CutPrefix(line, "\t   ")
		if !ok || len(line) < 60 {
			continue
		}
		b, err := hex.DecodeString(strings.Join(strings.Fields(line[8:60]), ""))
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		frames[len(frames)-1] = append(frames[len(frames)-1], b...)
	}
	return frames
}
