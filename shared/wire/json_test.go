package wire

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"reflect"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

func nested(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

// Each header is read as the server reads it: Peek, then DecodeRequest.
func TestStrict(t *testing.T) {
	for _, c := range []struct{ name, header, peek, decode string }{
		{"good", `{"cmd":"check","size":16,"upload":"x","epoch":1,"first":2}`, "", ""},
		{"order does not matter", `{"first":2,"size":16,"cmd":"check"}`, "", ""},
		{"white space", "{\t\"cmd\" : \"check\"\r\n}\n ", "", ""},
		{"escaped key", `{"c\u006dd":"check"}`, "", ""},
		{"white space first", ` {"cmd":"check"}`, "the header is not a JSON object", ""},
		{"byte order mark", "\xef\xbb\xbf{\"cmd\":\"check\"}", "the header is not a JSON object", ""},
		{"top-level null", `null`, "the header is not a JSON object", ""},
		{"top-level array", `["cmd"]`, "the header is not a JSON object", ""},
		{"top-level string", `"cmd"`, "the header is not a JSON object", ""},
		{"empty", ``, "the header is not a JSON object", ""},
		{"trailing text", `{"cmd":"check"}x`, "invalid JSON", ""},
		{"second object", `{"cmd":"check"}{}`, "invalid JSON", ""},
		{"NUL at the end", "{\"cmd\":\"check\"}\x00", "invalid JSON", ""},
		{"unfinished", `{"cmd":"check"`, "invalid JSON", ""},
		{"trailing comma", `{"cmd":"check",}`, "invalid JSON", ""},
		{"comment", `{"cmd":"check"/**/}`, "invalid JSON", ""},
		{"single quotes", `{'cmd':'check'}`, "invalid JSON", ""},
		{"NaN", `{"cmd":"check","epoch":NaN}`, "invalid JSON", ""},
		{"leading zero", `{"cmd":"check","epoch":01}`, "invalid JSON", ""},
		{"plus sign", `{"cmd":"check","epoch":+1}`, "invalid JSON", ""},
		{"raw control character", "{\"cmd\":\"a\nb\"}", "invalid JSON", ""},
		{"invalid UTF-8 in a value", "{\"cmd\":\"a\xff\"}", "invalid JSON", ""},
		{"invalid UTF-8 in a key", "{\"cmd\":\"check\",\"\xff\":1}", "invalid JSON", ""},
		{"overlong UTF-8", "{\"cmd\":\"\xc0\xaf\"}", "invalid JSON", ""},
		{"encoded surrogate", "{\"cmd\":\"\xed\xa0\x80\"}", "invalid JSON", ""},
		{"lone surrogate", `{"cmd":"\ud800"}`, "invalid JSON", ""},
		{"lone low surrogate", `{"cmd":"\udc00x"}`, "invalid JSON", ""},
		{"duplicate", `{"cmd":"check","cmd":"check"}`, "duplicate field cmd", ""},
		{"duplicate by escape", `{"cmd":"check","\u0063md":"rm"}`, "duplicate field cmd", ""},
		{"duplicate size", `{"cmd":"check","size":1,"size":2}`, "duplicate field size", ""},
		{"duplicate of a field Peek does not read", `{"cmd":"check","first":1,"first":1}`, "duplicate field first", ""},
		{"nested duplicate", `{"cmd":"check","x":[{"a":1,"a":2}]}`, "duplicate field x/0/a", ""},
		{"wrong case", `{"CMD":"check"}`, "", "unknown field CMD"},
		{"wrong case beside the right one", `{"cmd":"check","Cmd":"rm"}`, "", "unknown field Cmd"},
		{"wrong case of size", `{"cmd":"check","Size":16}`, "", "unknown field Size"},
		{"wrong case of another field", `{"cmd":"check","Epoch":1}`, "", "unknown field Epoch"},
		{"unknown key", `{"cmd":"check","x":1}`, "", "unknown field x"},
		{"unknown key with slashes", `{"cmd":"check","x/y~z":1}`, "", "unknown field x/y~z"},
		{"unknown key with control characters", `{"cmd":"check","\u001b[31m\"":1}`, "", `unknown field \x1b[31m\"`},
		{"unknown key of 60 KiB", `{"cmd":"check","` + strings.Repeat(`\n`, 30<<10) + `":1}`, "", "unknown field " + strings.Repeat(`\n`, 40) + "..."},
		{"Go field name", `{"cmd":"check","Request":{}}`, "", "unknown field Request"},
		{"cmd a number", `{"cmd":1}`, "field cmd has the wrong type", ""},
		{"cmd null", `{"cmd":null}`, "null is not a value of any field", ""},
		{"size null", `{"cmd":"check","size":null}`, "null is not a value of any field", ""},
		{"null elsewhere", `{"cmd":"check","epoch":null}`, "null is not a value of any field", ""},
		{"null in an unknown field", `{"cmd":"check","x":[null]}`, "null is not a value of any field", ""},
		{"null as text", `{"cmd":"check","upload":"null\\"}`, "", ""},
		{"size a string", `{"cmd":"check","size":"1"}`, "field size has the wrong type", ""},
		{"size 1e3", `{"cmd":"check","size":1e3}`, "field size has the wrong type", ""},
		{"size with a fraction", `{"cmd":"check","size":16.0}`, "field size has the wrong type", ""},
		{"size negative", `{"cmd":"check","size":-1}`, "a body of -1 bytes, 0 to 1048576 are allowed", ""},
		{"size at the limit", `{"cmd":"check","size":1048576}`, "", ""},
		{"size over the limit", `{"cmd":"check","size":1048577}`, "a body of 1048577 bytes, 0 to 1048576 are allowed", ""},
		{"size 2^63", `{"cmd":"check","size":9223372036854775808}`, "field size has the wrong type", ""},
		{"integer as string", `{"cmd":"check","epoch":"1"}`, "", "field epoch has the wrong type"},
		{"integer as float", `{"cmd":"check","epoch":1.0}`, "", "field epoch has the wrong type"},
		{"integer 1e3", `{"cmd":"check","epoch":1e3}`, "", "field epoch has the wrong type"},
		{"2^63-1", `{"cmd":"check","epoch":9223372036854775807}`, "", ""},
		{"2^63", `{"cmd":"check","epoch":9223372036854775808}`, "", "field epoch has the wrong type"},
		{"-2^63", `{"cmd":"check","epoch":-9223372036854775808}`, "", ""},
		{"-2^63-1", `{"cmd":"check","epoch":-9223372036854775809}`, "", "field epoch has the wrong type"},
		{"string as integer", `{"cmd":"check","upload":5}`, "", "field upload has the wrong type"},
		{"object as integer", `{"cmd":"check","epoch":{}}`, "", "field epoch has the wrong type"},
		{"boolean as integer", `{"cmd":"check","epoch":true}`, "", "field epoch has the wrong type"},
		{"depth 8", `{"cmd":"check","x":` + nested(7) + `}`, "", "unknown field x"},
		{"depth 9", `{"cmd":"check","x":` + nested(8) + `}`, "the header is nested deeper than 8", ""},
		{"depth of 60 000", `{"cmd":"check","x":` + nested(30000) + `}`, "the header is nested deeper than 8", ""},
		{"brackets in text", `{"cmd":"check","upload":"` + nested(20) + `"}`, "", ""},
		{"brackets behind an escaped quote", `{"cmd":"check","upload":"\"` + nested(20) + `"}`, "", ""},
		{"depth 9 behind an escaped backslash", `{"cmd":"check","upload":"\\","x":` + nested(8) + `}`, "the header is nested deeper than 8", ""},
		{"brackets behind three backslashes and a quote", `{"cmd":"check","upload":"\\\"` + nested(20) + `"}`, "", ""},
		{"depth 9 behind an escaped quote as unicode", `{"cmd":"check","upload":"\u0022","x":` + nested(8) + `}`, "the header is nested deeper than 8", ""},
		{"closed before opened", `]]]]]]]]` + `{"cmd":"check"}`, "the header is not a JSON object", ""},
		{"closed too often", `{"cmd":"check"}]]]]]]]]` + nested(12), "invalid JSON", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := Peek([]byte(c.header))
			var proto *ProtocolError
			if err != nil && !errors.As(err, &proto) {
				t.Fatalf("Peek: %T %v", err, err)
			}
			if got := text(err); got != prefixed("protocol error: ", c.peek) {
				t.Fatalf("Peek: %q, want %q", got, c.peek)
			}
			if err != nil {
				return
			}
			err = DecodeRequest([]byte(c.header), &CheckRequest{})
			if got := text(err); got != c.decode {
				t.Errorf("DecodeRequest: %q, want %q", got, c.decode)
			}
			if err != nil && CodeOf(err) != BadRequest {
				t.Errorf("code %q", CodeOf(err))
			}
		})
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func prefixed(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}

// Fields with a form of their own say what it is.
func TestStrictFields(t *testing.T) {
	for _, c := range []struct {
		header string
		v      Requester
		want   string
	}{
		{`{"cmd":"get","key":"zz"}`, &GetRequest{}, "field key: key must be 32 hexadecimal digits"},
		{`{"cmd":"get","key":"ABCDEFABCDEFABCDEFABCDEFABCDEFAB"}`, &GetRequest{}, "field key: key must be lower-case hexadecimal"},
		{`{"cmd":"get","key":5}`, &GetRequest{}, "field key has the wrong type"},
		{`{"cmd":"data","tag":"0"}`, &DataRequest{}, "field tag: tag must be 32 hexadecimal digits"},
		{`{"cmd":"stat","path":"a\u0000"}`, &PathRequest{}, "field path: a name holds a NUL byte"},
		{`{"cmd":"stat","path":"a\u000041"}`, &PathRequest{}, "field path: a name escapes bytes that need no escape"},
		{`{"cmd":"stat","path":["a"]}`, &PathRequest{}, "field path has the wrong type"},
		{`{"cmd":"put","mode":-1}`, &PutRequest{}, "field mode has the wrong type"},
		{`{"cmd":"put","mode":4294967296}`, &PutRequest{}, "field mode has the wrong type"},
		{`{"cmd":"put","force":1}`, &PutRequest{}, "field force has the wrong type"},
		{`{"cmd":"put","force":"true"}`, &PutRequest{}, "field force has the wrong type"},
		{`{"cmd":"put","expect":5}`, &PutRequest{}, "field expect has the wrong type"},
		{`{"cmd":"hello","version":9223372036854775808}`, &HelloRequest{}, "field version has the wrong type"},
	} {
		if _, _, err := Peek([]byte(c.header)); err != nil {
			t.Errorf("%s: Peek: %v", c.header, err)
		}
		if err := DecodeRequest([]byte(c.header), c.v); text(err) != c.want {
			t.Errorf("%s: %q, want %q", c.header, text(err), c.want)
		}
	}
}

func TestDecodeAnswer(t *testing.T) {
	for _, c := range []struct{ header, want string }{
		{`{}`, ""},
		{`{"more":true,"later":{"a":[1]},"error":{"code":"x","message":"y","z":1}}`, ""},
		{`{"size":1048576}`, ""},
		{`{"size":1048577}`, "a body of 1048577 bytes, 0 to 1048576 are allowed"},
		{`{"size":-1}`, "a body of -1 bytes, 0 to 1048576 are allowed"},
		{`null`, "the header is not a JSON object"},
		{` {}`, "the header is not a JSON object"},
		{`[]`, "the header is not a JSON object"},
		{`{"more":1}`, "field more has the wrong type"},
		{`{"more":true,"more":true}`, "duplicate field more"},
		{`{"have":[[1]]}`, "field have/0 has the wrong type"},
		{`{"have":[[1,-2]]}`, "field have/0 has the wrong type"},
		{`{"x":` + nested(8) + `}`, "the header is nested deeper than 8"},
		{`{} {}`, "invalid JSON"},
	} {
		err := DecodeAnswer([]byte(c.header), &PutAnswer{})
		var proto *ProtocolError
		if text(err) != prefixed("protocol error: ", c.want) || err != nil && !errors.As(err, &proto) {
			t.Errorf("%s: %q, want %q", c.header, text(err), c.want)
		}
	}
}

func TestError(t *testing.T) {
	for _, c := range []struct {
		code   Code
		target error
	}{{NotFound, fs.ErrNotExist}, {Exists, fs.ErrExist}, {Denied, fs.ErrPermission}} {
		for _, code := range Codes() {
			if got := errors.Is(&Error{Code: code}, c.target); got != (code == c.code) {
				t.Errorf("%s is %v: %v", code, c.target, got)
			}
		}
	}
	if CodeOf(errors.Join(io.EOF, &Error{Code: Busy})) != Busy || CodeOf(io.EOF) != "" || CodeOf(nil) != "" {
		t.Error("CodeOf")
	}
}

func TestName(t *testing.T) {
	for raw, travels := range map[string]string{
		"":                             "",
		"/a b":                         "/a b",
		"/\u00e9/e\u0301":              "/\u00e9/e\u0301", // two spellings of one letter stay two names
		"/\ufffd":                      "/\ufffd",
		"a\xff":                        "a\x00ff",
		"a\xfe\n":                      "a\x00fe\n",
		"\xc3":                         "\x00c3",
		"\xc3\xc3\xa9":                 "\x00c3\u00e9",
		"\xed\xa0\x80":                 "\x00ed\x00a0\x0080",
		"\xf4\x90\x80\x80":             "\x00f4\x0090\x0080\x0080",
		"\xc0\xaf":                     "\x00c0\x00af",
		"\U0001f600\xf0\x9f\x98\u00e9": "\U0001f600\x00f0\x009f\x0098\u00e9",
	} {
		b, err := Name(raw).MarshalText()
		var back Name
		if err != nil || string(b) != travels || back.UnmarshalText(b) != nil || string(back) != raw {
			t.Errorf("%q travels as %q, %v and comes back as %q", raw, b, err, back)
		}
	}
	if _, err := Name("a\x00b").MarshalText(); text(err) != "a name cannot hold a NUL byte" {
		t.Errorf("NUL: %v", err)
	}
	const nul, needless = "a name holds a NUL byte", "a name escapes bytes that need no escape"
	for travels, want := range map[string]string{
		"\x00": nul, "a\x00": nul, "a\x00f": nul, "\x00FF": nul, "\x00g0": nul, "\x000g": nul, "\x00\x00ff": nul, "x\x00 ff": nul,
		"\x0041": needless, "\x0000": needless, "\x007f": needless, "a\xff": "a name is not UTF-8",
		"\x00c3\x00a9":             needless, // together they are a letter
		"\x00f0\x009f\x0098\x0080": needless,
	} {
		n := Name("before")
		if err := n.UnmarshalText([]byte(travels)); text(err) != want || n != "before" {
			t.Errorf("%q: %v, %q", travels, err, n)
		}
	}
}

// nesting is the depth of JSON by its own decoder, -1 if it is not JSON.
func nesting(text []byte) int {
	if !jsontext.Value(text).IsValid() {
		return -1
	}
	most := 0
	d := jsontext.NewDecoder(bytes.NewReader(text))
	for {
		if _, err := d.ReadToken(); err != nil {
			return most
		}
		most = max(most, d.StackDepth())
	}
}

func FuzzPeek(f *testing.F) {
	for _, s := range samples() {
		f.Add(s.frame(f)[4:])
	}
	f.Add([]byte(`{"cmd":"\\\"[[[[[[[[[","x":[[[[[[[]]]]]]]}`))
	f.Add([]byte(`{"cmd":"a","x":{"n":[true,false,null,1e9]}}`))
	f.Fuzz(func(t *testing.T, header []byte) {
		if n := nesting(header); n >= 0 && len(header) > 0 && header[0] == '{' {
			null, err := shape(header)
			if (err != nil) != (n > MaxDepth) {
				t.Fatalf("nested %d: %v", n, err)
			}
			if want := hasNull(header); err == nil && null != want {
				t.Fatalf("null found: %v, want %v", null, want)
			}
		}
		cmd, size, err := Peek(header)
		if err != nil {
			if len(err.Error()) > 300 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		var r EmptyRequest
		if err := DecodeRequest(header, &r); err != nil {
			if len(err.Error()) > 300 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		if r.Cmd != cmd || (r.Size == nil) != (size == -1) || r.Size != nil && *r.Size != size {
			t.Errorf("Peek says %q and %d, DecodeRequest %q and %v", cmd, size, r.Cmd, r.Size)
		}
	})
}

func hasNull(text []byte) bool {
	d := jsontext.NewDecoder(bytes.NewReader(text))
	for {
		tok, err := d.ReadToken()
		if err != nil {
			return false
		}
		if tok.Kind() == 'n' {
			return true
		}
	}
}

// What is accepted means one thing: it comes out again as it would have been written.
func FuzzDecode(f *testing.F) {
	types := map[string]reflect.Type{}
	for _, s := range samples() {
		f.Add(s.frame(f)[4:])
		if _, ok := s.v.(Requester); ok {
			types[s.cmd()] = reflect.TypeOf(s.v).Elem()
		}
	}
	f.Fuzz(func(t *testing.T, header []byte) {
		cmd, _, err := Peek(header)
		if err != nil || types[cmd] == nil {
			return
		}
		v := reflect.New(types[cmd])
		if DecodeRequest(header, v.Interface().(Requester)) != nil {
			return
		}
		once, err := Encode(v.Interface())
		if err != nil {
			t.Fatalf("accepted, and not to be written: %v", err)
		}
		w := reflect.New(types[cmd])
		if _, _, err := Peek(once); err != nil {
			t.Fatalf("%s: %v", once, err)
		}
		if err := DecodeRequest(once, w.Interface().(Requester)); err != nil || !reflect.DeepEqual(v.Interface(), w.Interface()) {
			t.Fatalf("%s: %v", once, err)
		}
	})
}

func FuzzName(f *testing.F) {
	f.Add([]byte("/a\xff\xc3"))
	f.Add([]byte("/a\x00ff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var n Name
		if n.UnmarshalText(b) == nil {
			if back, err := n.MarshalText(); err != nil || !bytes.Equal(back, b) {
				t.Fatalf("%q is read as %q and written as %q, %v", b, n, back, err)
			}
		}
		travels, err := Name(b).MarshalText()
		if (err != nil) != (bytes.IndexByte(b, 0) >= 0) {
			t.Fatalf("%q: %v", b, err)
		}
		if err == nil {
			if err := n.UnmarshalText(travels); err != nil || string(n) != string(b) {
				t.Fatalf("%q travels as %q and comes back as %q, %v", b, travels, n, err)
			}
			// And so it does through the whole of JSON.
			header, err := Encode(&PathRequest{Request{Cmd: CmdStat}, Name(b)})
			var r PathRequest
			if err != nil || DecodeRequest(header, &r) != nil || string(r.Path) != string(b) {
				t.Fatalf("%q in JSON: %s, %v, %q", b, header, err, r.Path)
			}
		}
	})
}

func BenchmarkPeekDecode(b *testing.B) {
	header := sample{v: &DataRequest{Request{Cmd: CmdData}, strings.Repeat("a", 32), 3, 3 << 20, [16]byte{1}}, body: []byte{}}.frame(b)[4:]
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Peek(header); err != nil {
			b.Fatal(err)
		}
		if err := DecodeRequest(header, &DataRequest{}); err != nil {
			b.Fatal(err)
		}
	}
}
