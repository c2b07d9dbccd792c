package shell

import (
	"cmp"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	shellquote "github.com/kballard/go-shellquote"
)

func texts(words []Word) []string {
	var s []string
	for _, w := range words {
		s = append(s, w.Text)
	}
	return s
}

// show writes commands as one string: marks, words between bars, where the results go, operator.
func show(cmds []Cmd) string {
	var b strings.Builder
	for _, c := range cmds {
		if c.Tolerate {
			b.WriteString("-")
		}
		if c.Quiet {
			b.WriteString("@")
		}
		b.WriteString("[" + strings.Join(texts(c.Words), "|"))
		if c.Output != nil {
			b.WriteString(" " + c.Output.Op + " " + c.Output.To.Text)
		}
		b.WriteString("]" + c.Op)
	}
	return b.String()
}

func TestSplit(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		{"", ""},
		{"  \t\r", ""},
		{"ls", "[ls]"},
		{"  put  -r\ta ", "[put|-r|a]"},
		{"put a;b", "[put|a];[b]"},
		{"put a ; b;", "[put|a];[b];"},
		{"a && b||c & d", "[a]&&[b]||[c]&[d]"},
		{"get a &", "[get|a]&"},
		{`put "a b" 'c d' e\ f`, "[put|a b|c d|e f]"},
		{`put 'it'\''s' "say \"x\\\" \n"`, `[put|it's|say "x\" \n]`},
		{`put '\' "'" '"'`, `[put|\|'|"]`},
		{`put "" ''`, "[put||]"},
		{`put a";"b '&&' \;`, "[put|a;b|&&|;]"},
		{"put \"\u00a0\"\u00a0x", "[put|\u00a0\u00a0x]"},
		{"# all of it; ls", ""},
		{"ls # x", "[ls|#|x]"},
		{"ls a#b; # rest", "[ls|a#b];"},
		{"-rm foo", "-[rm|foo]"},
		{"@ls", "@[ls]"},
		{"-@ls; @-rm a", "-@[ls];-@[rm|a]"},
		{"- rm", "[-|rm]"},
		{"'-rm' a", "[-rm|a]"},
		{"-1 a", "[-1|a]"},
		{"@ a", "[@|a]"},
		{"!ls -l; echo 'x", "[!|ls -l; echo 'x]"},
		{"  ! make && x ", "[!|make && x ]"},
		{"!", "[!|]"},
		{"-!false", "-[!|false]"},
		{"pwd; !date > x", "[pwd];[!|date > x]"},
		{"ls a!b", "[ls|a!b]"},
		{"ls\npwd\n\n# x\n!date\nquit\n", "[ls];[pwd];[!|date];[quit];"},
		{"put $x `y` (z) {a,b} ~", "[put|$x|`y`|(z)|{a,b}|~]"},
		{"ls > x", "[ls > x]"},
		{"ls>x", "[ls > x]"},
		{`ls -l >> "a b"; pwd`, "[ls|-l >> a b];[pwd]"},
		{"cat > x -r f && pwd", "[cat|-r|f > x]&&[pwd]"},
		{`put 'a>b' a\|b "<"`, "[put|a>b|a|b|<]"},
		{"ls | grep 'a;b' | wc -l", "[ls | grep 'a;b' | wc -l]"},
		{"ls|more ; pwd", "[ls | more];[pwd]"},
		{"ls | a && ls | b || ls | c\nls", "[ls | a]&&[ls | b]||[ls | c];[ls]"},
		{"ls | (sort; date) > x; pwd", "[ls | (sort; date) > x];[pwd]"},
		{`ls | sed s/\;/x/ 2>&1 &>y <&3 ` + "`a;b`", `[ls | sed s/\;/x/ 2>&1 &>y <&3 ` + "`a;b`]"},
		{"ls | sort & pwd", "[ls | sort]&[pwd]"},
		{`ls | a\`, `[ls | a\]`},
		{"put Größe.pdf 日本", "[put|Größe.pdf|日本]"},
	} {
		cmds, err := Split(test.line)
		if err != nil || show(cmds) != test.want {
			t.Errorf("Split(%q) = %s, %v; want %s", test.line, show(cmds), err, test.want)
		}
	}
}

func TestSplitErrors(t *testing.T) {
	for _, test := range []struct {
		line, msg string
		col       int
	}{
		{`put "a b`, `missing closing "`, 4},
		{`put a'b "c"`, `missing closing '`, 5},
		{`put a\`, `missing character after \`, 5},
		{"ls 2>x", "only results go elsewhere: 2> must be quoted", 3},
		{"ls <x", "'<' must be quoted", 3},
		{"> x", "missing command before >", 0},
		{"; | x", "missing command before ;", 0},
		{"ls; | x", "missing command before |", 4},
		{"ls >", "missing file name after >", 4},
		{"ls >> ; pwd", "missing file name after >>", 6},
		{"ls > > x", "missing file name after >", 5},
		{"ls >& x", "missing file name after >", 4},
		{"ls > a > b", "results go to one place only", 7},
		{"ls > a | b", "results go to one place only", 7},
		{"ls |", "missing program after |", 4},
		{"ls | ; pwd", "missing program after |", 5},
		{"ls |& more", "missing program after |", 4},
		{"ls | grep 'a; pwd", "missing closing '", 10},
		{"a ;; b", "missing command before ;", 3},
		{"; b", "missing command before ;", 0},
		{"a && || b", "missing command before ||", 5},
		{"a &&", "missing command after &&", 4},
		{"a || # x", "missing command after ||", 8},
		{"a &&\nb", "missing command after &&", 4},
	} {
		_, err := Split(test.line)
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || syntax.Msg != test.msg || syntax.Col != test.col {
			t.Errorf("Split(%q): %#v; want col %d, %s", test.line, err, test.col, test.msg)
		}
	}
}

func TestWord(t *testing.T) {
	cmds, err := Split(`-get "a*"b* 'c?'\[ [d]`)
	if err != nil {
		t.Fatal(err)
	}
	words := cmds[0].Words
	var globs []bool
	for _, w := range words {
		globs = append(globs, w.HasGlob())
	}
	if want := []bool{false, true, false, true}; !slices.Equal(globs, want) {
		t.Errorf("HasGlob: %v, want %v", globs, want)
	}
	want := Word{Text: "a*b*", Quoted: []bool{true, true, false, false}, Start: 5, End: 11}
	if !reflect.DeepEqual(words[1], want) {
		t.Errorf("got %+v, want %+v", words[1], want)
	}
	if words[0].Start != 1 || words[0].End != 4 {
		t.Errorf("get at %d-%d, want 1-4", words[0].Start, words[0].End)
	}
}

// typed is the word of a partial command that ends at the cursor.
func typed(cmd Cmd, cursor int) Word {
	if cmd.Output != nil && cmd.Output.To.End == cursor {
		return cmd.Output.To
	}
	return cmd.Words[len(cmd.Words)-1]
}

func TestSplitPartial(t *testing.T) {
	for _, test := range []struct {
		line  string
		want  []string
		open  rune
		start int
	}{
		{"", []string{""}, 0, 0},
		{"pu", []string{"pu"}, 0, 0},
		{"put ", []string{"put", ""}, 0, 4},
		{"ls; put re", []string{"put", "re"}, 0, 8},
		{"ls;", []string{""}, 0, 3},
		{"a && ", []string{""}, 0, 5},
		{";; x", []string{"x"}, 0, 3},
		{`put "a b`, []string{"put", "a b"}, '"', 4},
		{`put 'a b`, []string{"put", "a b"}, '\'', 4},
		{`put '`, []string{"put", ""}, '\'', 4},
		{`put a\ b`, []string{"put", "a b"}, 0, 4},
		{`put a\`, []string{"put", "a"}, 0, 4},
		{"ls > a", []string{"ls"}, 0, 5},
		{"ls >", []string{"ls"}, 0, 4},
		{"ls > ", []string{"ls"}, 0, 5},
		{"ls > a ", []string{"ls", ""}, 0, 7},
		{"ls >> 'a", []string{"ls"}, '\'', 6},
		{"ls | grep ' x", []string{"ls"}, 0, 5},
		{"-pu", []string{"pu"}, 0, 1},
		{"!ls fo", []string{"!", "ls fo"}, 0, 1},
	} {
		cmd := SplitPartial(test.line)
		last := typed(cmd, len(test.line))
		if !slices.Equal(texts(cmd.Words), test.want) || last.Open != test.open || last.Start != test.start || last.End != len(test.line) {
			t.Errorf("SplitPartial(%q) = %+v", test.line, cmd)
		}
	}
}

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{
		"report.pdf": "report.pdf", "a/b_c-1.2": "a/b_c-1.2", "Größe": "Größe", "日本": "日本",
		"": "''", "a b": "'a b'", "it's": `'it'\''s'`, "a*": "'a*'", "-r": "'-r'", "~": "'~'", "#x": "'#x'", "a\\b": `'a\b'`,
		"\xff": "'\xff'", "a\u00a0b": "'a\u00a0b'",
	} {
		if got := Quote(in); got != want {
			t.Errorf("Quote(%q) = %s, want %s", in, got, want)
		}
	}
}

// common is the alphabet in which Split and go-shellquote mean the same.
const common = "ab \t'\"\\*?[]{}()~-.äß"

func agree(t *testing.T, line string) {
	t.Helper()
	want, wantErr := shellquote.Split(line)
	cmds, err := Split(line)
	if (err != nil) != (wantErr != nil) {
		t.Fatalf("Split(%q): %v; go-shellquote: %v", line, err, wantErr)
	}
	var got []string
	if len(cmds) > 0 {
		got = texts(cmds[0].Words)
	}
	if err == nil && !slices.Equal(got, want) {
		t.Fatalf("Split(%q) = %q; go-shellquote: %q", line, got, want)
	}
}

func TestSplitAgreesWithSh(t *testing.T) {
	for _, line := range []string{`a 'b c' d\ e "f\"g"`, `a"b"'c'\d`, `"a\b"`, `''`, `a ''`, `'a`, `"a\`, `a\`, `\'`, `'\'`} {
		agree(t, line)
	}
}

func FuzzSplit(f *testing.F) {
	for _, s := range []string{"", "a b", "put 'x' \"y\\\"\" z\\ ", "-rm *", "!x", "a;b&&c||d&", "a > b | (c;d", "a>>b", "#", "\n", "it's", "\xff\\"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		cmds, err := Split(Quote(s))
		if err != nil || len(cmds) != 1 || len(cmds[0].Words) != 1 || cmds[0].Words[0].Text != s ||
			cmds[0].Tolerate || cmds[0].Quiet || cmds[0].Words[0].HasGlob() {
			t.Fatalf("Split(Quote(%q)) = %+v, %v", s, cmds, err)
		}
		if words, err := shellquote.Split(Quote(s)); err != nil || len(words) != 1 || words[0] != s {
			t.Fatalf("sh reads Quote(%q) as %q, %v", s, words, err)
		}
		inside := func(cmds ...Cmd) {
			for _, c := range cmds {
				words := c.Words
				if c.Output != nil {
					words = append(slices.Clone(words), c.Output.To)
					slices.SortFunc(words, func(a, b Word) int { return cmp.Or(a.Start-b.Start, a.End-b.End) })
				}
				end := 0
				for _, w := range words {
					if w.Start < end || w.End < w.Start || w.End > len(s) || len(w.Quoted) != len(w.Text) {
						t.Fatalf("%q: bad word %+v", s, w)
					}
					end = w.End
				}
			}
		}
		cmd := SplitPartial(s)
		inside(cmd)
		if typed(cmd, len(s)).End != len(s) {
			t.Fatalf("SplitPartial(%q) = %+v does not end at the cursor", s, cmd)
		}
		if cmds, err = Split(s); err == nil {
			inside(cmds...)
			for _, c := range cmds { // a command is the same by itself
				again, err := Split(c.Text)
				if err != nil || len(again) != 1 || !slices.Equal(texts(again[0].Words), texts(c.Words)) || (again[0].Output == nil) != (c.Output == nil) {
					t.Fatalf("%q alone is %+v, %v; in %q it is %+v", c.Text, again, err, s, c)
				}
			}
		} else if e := new(SyntaxError); !errors.As(err, &e) || e.Col < 0 || e.Col > len(s) {
			t.Fatalf("Split(%q): %#v", s, err)
		}
		line := strings.Map(func(r rune) rune { // a leading a: no -, @ or ! mark
			runes := []rune(common)
			return runes[int(uint32(r))%len(runes)]
		}, s)
		agree(t, "a"+line)
	})
}
