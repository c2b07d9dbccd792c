package shell

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ferry/client/term"
	"ferry/internal/termtest"
)

// TestLineChild is the program the tests below run on a terminal of its own.
func TestLineChild(t *testing.T) {
	if os.Getenv("LINE_TEST") == "" {
		t.Skip("runs only as a child of the tests on a terminal")
	}
	unix.Umask(0)
	words := strings.Fields(os.Getenv("LINE_TEST"))
	var r LineReader
	var err error
	r, err = NewTerminal(LineOptions{
		HistoryFile: os.Getenv("LINE_TEST_HISTORY"),
		Complete: func(ctx context.Context, line string, pos int) ([]Candidate, int) {
			typed := line[strings.LastIndexByte(line[:pos], ' ')+1 : pos]
			var found []Candidate
			for _, w := range words {
				if strings.HasPrefix(w, typed) {
					found = append(found, Candidate{Text: strings.ReplaceAll(w, "_", " ")})
				}
			}
			switch typed {
			case "panic":
				panic("as asked")
			case "endless":
				fmt.Fprintln(r.Stdout(), "waiting")
				<-ctx.Done()
			}
			return found, len(typed)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer fmt.Println("child ends")
	defer r.Close()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGUSR1)
	go func() {
		<-signals
		r.Close()
	}()
	for n := 1; ; n++ {
		line, err := r.Read(fmt.Sprintf("first\n%d>> ", n))
		fmt.Fprintf(r.Stdout(), "read %q %v.\n", line, err)
		switch {
		case err == io.EOF:
			return
		case line == "password":
			p, err := r.Password("Password: ")
			if len(p) > minPaste {
				p = summed(p)
			}
			fmt.Fprintf(r.Stdout(), "secret %x %v.\n", p, err)
		case line == "crash":
			panic("as asked")
		case line == "history":
			fmt.Fprintf(r.Stdout(), "%q.\n", r.History())
		case line == "background":
			go fmt.Fprintln(r.Stdout(), "from elsewhere")
		case line == "noisy":
			printed := make(chan bool)
			go func() {
				for i := range 200 {
					fmt.Fprintf(r.Stdout(), "noise %d\n", i)
				}
				close(printed)
			}()
			p, err := r.Password("Password: ")
			<-printed
			fmt.Fprintf(r.Stdout(), "secret %x %v.\n", p, err)
		case line == "length":
			text, err := r.Read("paste: ")
			fmt.Fprintf(r.Stdout(), "text %x %v.\n", summed(text), err)
		}
		if err == nil {
			r.SaveHistory(line)
		}
	}
}

// summed returns what stands for a text that is too long to be looked at.
func summed(text string) string {
	sum := sha256.Sum256([]byte(text))
	return string(sum[:8])
}

// sit starts the child on a terminal.
func sit(t *testing.T, columns int, words, history string) *termtest.Terminal {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestLineChild$")
	cmd.Env = append(os.Environ(), "LINE_TEST="+words+" ", "LINE_TEST_HISTORY="+history)
	p := termtest.Start(t, columns, 30, cmd)
	p.See("1>>\n")
	return p
}

// leaves waits for the end of the child, which must have been orderly.
func leaves(t *testing.T, p *termtest.Terminal) {
	t.Helper()
	p.See("child ends")
	if code := p.Wait(); code != 0 {
		t.Errorf("exit code %d\n%s", code, p.Raw()[max(0, len(p.Raw())-6000):])
	}
	if p.State() != p.Before {
		t.Errorf("the terminal is %+v, not %+v", p.State(), p.Before)
	}
}

func TestTerminal(t *testing.T) {
	p := sit(t, 80, "", "")
	p.Type("hällo 日本\x01X\r")
	p.See(`read "Xhällo 日本" <nil>.`)
	p.See("2>>\n")
	p.Type("half\x03")
	p.See(`read "half" interrupted.`)
	p.See("3>>\n")
	p.Type("a\x13b\x03") // Ctrl-S, then Ctrl-C
	p.See(`read "ab" interrupted.`)
	p.See("4>>\n")
	p.Type("c\x00d\r") // Ctrl-Space
	p.See(`read "cd" <nil>.`)
	p.See("5>>\n")
	p.Type("background\r")
	p.See("from elsewhere")
	p.See("6>>\n")
	p.Type("\x1b[A\x1b[A!\r") // up, up
	p.See(`read "cd!" <nil>.`)
	screen := p.See("7>>\n")
	if n := strings.Count(screen, "first\n"); n != 7 {
		t.Errorf("first line of the prompt printed %d times:\n%s", n, screen)
	}
	p.Type("e\x1af\r") // Ctrl-Z; this process group has no one to wake it, so it is not stopped
	p.See(`read "ef" <nil>.`)
	p.See("8>>\n")
	p.Type("\x04")
	p.See(`read "" EOF.`)
	leaves(t, p)
}

func TestTerminalComplete(t *testing.T) {
	p := sit(t, 40, "report.pdf report.txt 日本語.txt 日本画.pdf only_one", "")
	p.Type("put o\t")
	p.See("put only one")
	p.Type("\r")
	p.See(`read "put only one" <nil>.`)
	p.See("2>>\n")
	p.Type("put r\t")
	p.See("put report.\n")
	p.Type("\t")
	p.See("2>> put report.\nreport.pdf  report.txt\n2>> put report.\n")
	p.Type("p\t\r")
	p.See(`read "put report.pdf" <nil>.`)
	p.See("3>>\n")
	p.Type("put 日\t")
	p.See("put 日本\n")
	p.Type("\t")
	p.See("日本語.txt  日本画.pdf\n3>> put 日本\n")
	p.Type("画\t\r")
	p.See(`read "put 日本画.pdf" <nil>.`)
	p.See("4>>\n")
	p.Type("endless\t")
	p.See("waiting\n")
	p.Type("\x03") // which does not wait for what Tab waits for
	p.See(`read "endless" interrupted.`)
	p.See("5>>\n")
	p.Type("zz\t\t.\r")
	p.See(`read "zz." <nil>.`)
	p.See("6>>\n")
	p.Type("\x04")
	leaves(t, p)
}

// TestTerminalWide: candidates wider than the terminal are cut off, and no key after them does harm.
func TestTerminalWide(t *testing.T) {
	long := strings.Repeat("語", 30)
	p := sit(t, 40, "x"+long+"1 x"+long+"2", "")
	p.Type("x" + strings.Repeat("語", 5) + "\t\t")
	p.See("…")
	p.Type("\t\t\x01\x05.\r") // Ctrl-A, Ctrl-E
	p.See("語.\"\n<nil>.")
	p.See("2>>\n")
	p.Type("\x04")
	leaves(t, p)
}

// TestTerminalPaste: 10 000 pasted characters arrive as they are, and are not drawn anew for each of them.
func TestTerminalPaste(t *testing.T) {
	p := sit(t, 80, "", "")
	var text strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&text, "%04d語", i) // 5 characters
	}
	for _, where := range []struct{ command, prompt, kind string }{{"length", "paste:", "text"}, {"password", "Password:", "secret"}} {
		p.Type(where.command + "\r")
		p.See(where.prompt + "\n")
		before := len(p.Raw())
		p.Type(text.String() + "\r")
		p.See(fmt.Sprintf("%s %x <nil>.", where.kind, summed(text.String())))
		if drawn := len(p.Raw()) - before; drawn > 40*text.Len() {
			t.Errorf("%d bytes are drawn for %d", drawn, text.Len())
		}
	}
	p.See("3>>\n")
	p.Type("\x12" + strings.Repeat("z", 2*minPaste) + "\x03") // Ctrl-R, which knows no pasting, and Ctrl-C
	p.Type("\x03")
	p.See("4>>\n")
	p.Type("\x04")
	leaves(t, p)
}

// TestTerminalNoise: what is printed while a password is typed waits until it is.
func TestTerminalNoise(t *testing.T) {
	p := sit(t, 80, "", "")
	p.Type("noisy\r")
	p.See("Password:")
	p.Type("geheim\r")
	p.See("secret 67656865696d <nil>.")
	p.See("2>>\n")
	p.Type("\x04")
	leaves(t, p)
}

// TestTerminalPanic: a panic leaves the terminal as it was, be it in a command or while a key is handled.
func TestTerminalPanic(t *testing.T) {
	for _, keys := range []string{"panic\t", "crash\r"} {
		p := sit(t, 80, "", "")
		if p.State() == p.Before {
			t.Fatal("the line editor is not at work")
		}
		p.Type(keys)
		if code := p.Wait(); code != 2 || p.State() != p.Before {
			t.Errorf("%q: exit code %d, %+v", keys, code, p.State())
		}
	}
}

// TestKeyboard: what is pasted is one key, what is typed is not, and what readline cannot have is gone.
func TestKeyboard(t *testing.T) {
	long := strings.Repeat("語", minPaste/3+1)
	for _, test := range []struct {
		pieces []string
		want   string // ¶ for pasted text
	}{
		{[]string{"ls\r"}, "ls\r"},
		{[]string{"a\x13\x00\x1a\x1c\x0fb"}, "ab"},
		{[]string{"\u009b2J\u0085"}, "2J"},
		{[]string{"\xe8\xaa", "\x9e"}, "語"},
		{[]string{"\xff\xe8x"}, "\xff\xe8x"},
		{[]string{long + "\r" + long}, "¶\r¶"},
		{[]string{long + "\x1b[A"}, long + "\x1b[A"},
		{[]string{"\x1b", "[A" + long}, "\x1b[A" + long},
		{[]string{"\t"}, "\t"},
		{[]string{long + "\tx"}, "¶"},
		{[]string{"a" + string(pasteMark)}, "¶"},
	} {
		k := keyboard{suspend: func() {}}
		for _, p := range test.pieces {
			k.take([]byte(p))
		}
		if got := strings.ReplaceAll(string(k.out), string(pasteMark), "¶"); got != test.want {
			t.Errorf("%q: %q, want %q", test.pieces, got, test.want)
		}
	}
	k := keyboard{}
	k.take([]byte(long + "\t"))
	line, pos, ok := k.OnChange([]rune("a"+string(pasteMark)+"b"), 2, pasteMark)
	if !ok || string(line) != "a"+long+" b" || pos != 2+len([]rune(long)) {
		t.Errorf("%q, %d, %v", string(line), pos, ok)
	}
	if _, _, ok := k.OnChange([]rune("a"), 1, 'a'); ok {
		t.Error("a key that was typed changes the line")
	}
}

func TestTerminalPassword(t *testing.T) {
	file := filepath.Join(t.TempDir(), "history")
	p := sit(t, 80, "", file)
	p.Type("password\r")
	p.See("Password:\n")
	p.Type("geheim\x7f\x00\x13M\r")
	p.See("secret 67656865694d <nil>.") // geheiM
	p.See("Password: ******")
	p.See("2>>\n")
	p.Type("password\r")
	p.See("Password:\n")
	p.Type("x\x03")
	p.See("secret  interrupted.")
	p.See("3>>\n")
	p.Type("\x1b[A\r") // up: the command, not the password, and once only
	p.See(`3>> password`)
	p.See("Password:\n")
	p.Type("\r")
	p.See("secret  <nil>.")
	p.See("4>>\n")
	p.Type("history\r")
	p.See(`["password"].`)
	p.See("5>>\n")
	p.Type("\x04")
	leaves(t, p)
	if strings.Contains(p.Raw(), "gehei") {
		t.Errorf("the password is on the screen: %q", p.Raw())
	}
	if data, err := os.ReadFile(file); err != nil || string(data) != "password\nhistory\n" {
		t.Errorf("history file: %q, %v", data, err)
	}
}

func TestTerminalHistory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "history")
	p := sit(t, 80, "", file)
	p.Type("one\r")
	p.See("2>>\n")
	p.Type(" secret\r")
	p.See("3>>\n")
	p.Type("two\r")
	p.See("4>>\n")
	p.Type("two\r")
	p.See("5>>\n")
	p.Type("\x04")
	leaves(t, p)
	info, err := os.Lstat(file)
	if err != nil || info.Mode() != 0o600 {
		t.Fatalf("history file: %v, %v", info, err)
	}
	if data, _ := os.ReadFile(file); string(data) != "one\ntwo\n" {
		t.Errorf("history file: %q", data)
	}

	p = sit(t, 80, "", file)
	p.Type("\x1b[A\x1b[A!\r")
	p.See(`read "one!" <nil>.`)
	p.See("2>>\n")
	p.Type("history\r")
	p.See(`["one" "two" "one!"].`)
	p.See("3>>\n")
	p.Type("\x04")
	leaves(t, p)
}

func TestTerminalCloseWhileReading(t *testing.T) {
	p := sit(t, 80, "", "")
	p.Type("half")
	p.See("1>> half\n")
	p.Signal(unix.SIGUSR1)
	p.See(`read "" EOF.`)
	leaves(t, p)
}

func TestHistoryFile(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "target")
	if err := os.WriteFile(target, []byte("keep\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink("target", link); err != nil {
		t.Fatal(err)
	}
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{link, fifo, dir, filepath.Join(dir, "missing/history")} {
		h := history{path: path}
		h.load()
		if !h.add("secret") || len(h.lines) != 1 {
			t.Errorf("%s: %q", path, h.lines)
		}
	}
	if data, _ := os.ReadFile(target); string(data) != "keep\n" {
		t.Errorf("the target of the link now holds %q", data)
	}

	h := history{path: target} // a regular file others can read becomes private
	h.load()
	if info, _ := os.Stat(target); info.Mode() != 0o600 || !slices.Equal(h.lines, []string{"keep"}) {
		t.Errorf("mode %v, lines %q", info.Mode(), h.lines)
	}

	// A long file is cut down to the last lines, and is then not touched again.
	var long strings.Builder
	for n := range 2*maxHistory + 1 {
		fmt.Fprintf(&long, "line %d\n", n)
	}
	if err := os.WriteFile(target, []byte(long.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	h = history{path: target}
	h.load()
	h.add("last")
	data, _ := os.ReadFile(target)
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	if len(lines) != maxHistory+1 || lines[0] != fmt.Sprintf("line %d", maxHistory+1) || lines[maxHistory] != "last" || len(h.lines) != maxHistory {
		t.Errorf("%d lines in the file from %q to %q, %d in memory", len(lines), lines[0], lines[len(lines)-1], len(h.lines))
	}
	if info, _ := os.Stat(target); info.Mode() != 0o600 {
		t.Errorf("mode %v after the cut", info.Mode())
	}
}

// candidates returns candidates that are shown as they are typed.
func candidates(texts ...string) (all []Candidate) {
	for _, text := range texts {
		all = append(all, Candidate{Text: text})
	}
	return all
}

func TestCommonPrefix(t *testing.T) {
	for _, test := range []struct {
		candidates []string
		want       string
	}{
		{[]string{"abc"}, "abc"},
		{[]string{"abc", "abd"}, "ab"},
		{[]string{"ä", "ö"}, ""},
		{[]string{"日本", "日語"}, "日"},
		{[]string{`a\ b`, `a\(b`}, "a"},
		{[]string{`a\\b`, `a\\c`}, `a\\`},
		{[]string{"a", ""}, ""},
		{[]string{"cafe\u0301.txt", "cafe\u0300.txt"}, "caf"}, // a letter goes with its mark
		{[]string{"cafe\u0301a", "cafe\u0301b"}, "cafe\u0301"},
		{[]string{"e\u0301", "e"}, ""},
		{[]string{"\u0301", "\u0301a"}, "\u0301"},
	} {
		if got := commonPrefix(candidates(test.candidates...)); got != test.want {
			t.Errorf("commonPrefix(%q) = %q, want %q", test.candidates, got, test.want)
		}
	}
}

func TestListCandidates(t *testing.T) {
	got := listCandidates(append(candidates("a ", "\x1b[2J", strings.Repeat("日", 30)), Candidate{"x/b", "b"}), 20)
	if want := "\na\n\\x1b[2J\n日日日日日日日日日…\nb\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := listCandidates(candidates("1", "2", "3", "4", "5"), 9), "\n1  3  5\n2  4\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := listCandidates(slices.Repeat(candidates("x"), maxCandidates+7), 80); !strings.HasSuffix(got, "\n... and 7 more\n") {
		t.Errorf("got %q", got)
	}
}

func TestScript(t *testing.T) {
	long := strings.Repeat("x", maxLine)
	var out strings.Builder
	r := NewScript(strings.NewReader("one\r\n\n"+long+"\n two"), &out)
	for _, want := range []string{"one", "", long, " two"} {
		if got, err := r.Read("prompt"); got != want || err != nil {
			t.Fatalf("got %.20q (%d bytes), %v; want %.20q", got, len(got), err, want)
		}
	}
	if _, err := r.Read("prompt"); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	if _, err := r.Password("Password: "); err == nil || !strings.Contains(err.Error(), "--password-stdin") {
		t.Errorf("Password: %v", err)
	}
	fmt.Fprint(r.Stdout(), "x")
	if out.String() != "x" {
		t.Errorf("wrote %q", out.String())
	}
	r = NewScript(strings.NewReader("ok\n"+long+"yyyy\n"), io.Discard)
	r.Read("")
	if _, err := r.Read(""); err == nil || err.Error() != "line 2 is longer than 1 MiB" {
		t.Errorf("a long line: %v", err)
	}
}

// TestSplitPrompt: the line editor gets a prompt of one row, with room behind it where that can be had.
func TestSplitPrompt(t *testing.T) {
	for _, tt := range []struct {
		prompt      string
		columns     int
		above, last string
	}{
		{">> ", 80, "", ">> "},
		{"one\ntwo\n>> ", 80, "one\ntwo\n", ">> "},
		{"Is that the right key? [yes/no] ", 80, "", "Is that the right key? [yes/no] "},
		{"Is that the right key? [yes/no] ", 39, "Is that the right key?\n", "[yes/no] "},
		{"look:\n日本語 is there: [w/s/N] ", 30, "look:\n日本語 is there:\n", "[w/s/N] "},
		{"Password: ", 12, "", "Password: "},
	} {
		if above, last := splitPrompt(tt.prompt, tt.columns); above != tt.above || last != tt.last {
			t.Errorf("%q in %d columns: %q and %q", tt.prompt, tt.columns, above, last)
		}
	}
}

// TestPromptFor: a prompt fits the row and leaves room to type.
func TestPromptFor(t *testing.T) {
	deep := "/a/very/long/way/down/to/a/directory/that/has/a/name"
	for columns := 4; columns < 120; columns++ {
		for _, dir := range []string{"/", "/日本語/日本語", deep} {
			p := promptFor("alice@files.example.org:8083", dir, columns)
			if !strings.HasSuffix(p, ">> ") || term.Width(p) > max(columns*2/3, 4) {
				t.Errorf("%d columns: %q", columns, p)
			}
		}
	}
	for columns, want := range map[int]string{0: "alice@x:" + deep + ">> ", 200: "alice@x:" + deep + ">> ", 40: "alice@x:/a/very"} {
		if p := promptFor("alice@x", deep, columns); !strings.HasPrefix(p, want) && p != want {
			t.Errorf("%d columns: %q", columns, p)
		}
	}
	if p := promptFor("alice@files.example.org:8083", "/", 30); p != "/>> " {
		t.Errorf("%q", p)
	}
}
