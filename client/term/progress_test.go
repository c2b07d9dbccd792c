package term

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/creack/pty"
	"github.com/hinshun/vt10x"
)

func TestPlain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := NewProgress(&out, "auto")
		m := p.Start("short", 100)
		m.Add(100)
		time.Sleep(3 * time.Second)
		m.Done()
		if out.Len() > 0 {
			t.Fatalf("a short transfer wrote %q", out.String())
		}

		m = p.Start("re\x1bport.pdf", 3435973837)
		m.Reuse(32 << 20)
		time.Sleep(500 * time.Millisecond) // never at the same moment as a line
		for range 20 {
			m.Add(48 << 20)
			time.Sleep(time.Second)
		}
		synctest.Wait()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		m.Why(func(idle time.Duration) string { return fmt.Sprintf("no answer for %.0f s", idle.Seconds()) })
		time.Sleep(4 * time.Second)
		synctest.Wait()
		m.Done()
		m.Done()
		time.Sleep(time.Minute)
		u := p.Start("stdin", -1)
		u.Add(10 << 20)
		time.Sleep(3500 * time.Millisecond)
		u.Add(10 << 20)
		time.Sleep(6 * time.Second)
		synctest.Wait()
		u.Done()
		want := `re\x1bport.pdf: 512 MiB of 3.2 GiB (15%), 32 MiB reused, 48 MiB/s, 0:58 left
re\x1bport.pdf: 992 MiB of 3.2 GiB (30%), 32 MiB reused, 48 MiB/s, 0:48 left
re\x1bport.pdf: 992 MiB of 3.2 GiB (30%), 32 MiB reused, stalled 4 s
re\x1bport.pdf: 992 MiB of 3.2 GiB (30%), 32 MiB reused, no answer for 14 s
stdin: 20 MiB, stalled 4 s
`
		if out.String() != want {
			t.Errorf("got:\n%swant:\n%s", out.String(), want)
		}
	})
}

func TestJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		m := NewProgress(&out, "json").Start("a\u0085\"", 1000)
		m.Reuse(100)
		m.Add(500)
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		m.Add(400)
		m.Done()
		want := `{"progress":"a\u0085\"","total":1000,"reused":100,"moved":500,"rate":500,"left":1}
{"progress":"a\u0085\"","total":1000,"reused":100,"moved":900,"rate":600,"done":true}
`
		if out.String() != want {
			t.Errorf("got:\n%swant:\n%s", out.String(), want)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		m := NewProgress(&out, "json").StartTree("site", 1000, 3)
		m.Add(400)
		m.File()
		m.Grow(-100)
		time.Sleep(time.Second / 2)
		m.Done()
		want := `{"progress":"site","total":900,"reused":0,"moved":400,"rate":800,"files":1,"all_files":3,"done":true}` + "\n"
		if out.String() != want {
			t.Errorf("got:\n%swant:\n%s", out.String(), want)
		}
	})
	in := "日\u0301\u202e\U000e0041\u2028<&>\u007f\U0001f600"
	line, err := JSON(in)
	if err != nil {
		t.Fatal(err)
	}
	var back string
	if err := json.Unmarshal(line, &back); err != nil || back != in {
		t.Errorf("JSON(%q) = %q, which reads as %q, %v", in, line, back, err)
	}
	if want := `"日\u0301\u202e\udb40\udc41\u2028<&>\u007f😀"` + "\n"; string(line) != want {
		t.Errorf("JSON = %s, want %s", line, want)
	}
}

// Names that are not UTF-8 stay apart in objects, wherever in them they stand.
func TestJSONNames(t *testing.T) {
	line, err := JSON(map[string]any{"error": map[string]any{"path": "ü\xc3/a"}, "name": "bad\xff.txt", "names": []string{"\xfe"}, "size": 1})
	const want = `{"error":{"path":"ü\u0000c3/a"},"name":"bad\u0000ff.txt","names":["\u0000fe"],"size":1}` + "\n"
	if err != nil || string(line) != want {
		t.Errorf("JSON = %s, %v, want %s", line, err, want)
	}
	var out bytes.Buffer
	NewProgress(&out, "json").Start("bad\xff.txt", 1).Done()
	if !strings.Contains(out.String(), `"progress":"bad\u0000ff.txt"`) {
		t.Errorf("progress: %s", out.String())
	}
}

func TestNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		m := NewProgress(&out, "none").Start("x", 10)
		m.Add(10)
		time.Sleep(time.Hour)
		m.Done()
		if out.Len() > 0 {
			t.Errorf("wrote %q", out.String())
		}
	})
}

func TestLine(t *testing.T) {
	s := state{name: "report.pdf", total: 4 << 30, reused: 1 << 30, moved: 1 << 30, rate: 98 << 20}
	tree := s
	tree.name, tree.files, tree.allFiles = "site", 120, 10000
	held := s
	held.held = "reconnecting: try 3, next in 4 s (gives up after 5m)"
	planned := state{name: "site", total: -1, held: "comparing 12345+ names"}
	for _, c := range []struct {
		state
		columns int
		want    string
	}{
		{s, 99, "report.pdf                50% [----=====         ] 2 GiB of 4 GiB, 1 GiB reused    98 MiB/s    0:21"},
		{s, 79, "report.pdf           50% 2 GiB of 4 GiB, 1 GiB reused    98 MiB/s    0:21"},
		{s, 59, "report.pdf      50% [----====         ]    98 MiB/s    0:21"},
		{s, 39, "report.pdf    50%    98 MiB/s    0:21"},
		{s, 29, "report.pdf    50% 98 MiB/s"},
		{s, 19, "report.pdf 50%"},
		{s, 13, "repo….pdf 50%"},
		{s, 9, "repo… 50%"},
		{s, 3, "50%"},
		{tree, 119, "site                           50% [----====         ] 120 of 10000 files, 2 GiB of 4 GiB, 1 GiB reused, 98 MiB/s, 0:21"},
		{tree, 79, "site                 50% 120 of 10000 files, 2 GiB of 4 GiB, 98 MiB/s, 0:21"},
		{tree, 39, "site          50% 120 of 10000 files"},
		{held, 79, "report.pdf           50% reconnecting: try 3, next in 4 s (gives up after 5m)"},
		{held, 39, "50% reconnecting: try 3, next in 4 s (…"},
		{held, 9, "50% reco…"},
		{planned, 79, "site                comparing 12345+ names"},
		{planned, 39, "site         comparing 12345+ names"},
		{planned, 19, "comparing 12345+ n…"},
	} {
		if got := strings.TrimRight(c.line(c.columns), " "); got != c.want {
			t.Errorf("%d columns:\n%q, want\n%q", c.columns, got, c.want)
		}
	}
	names := []string{"report.pdf", strings.Repeat("日本", 50) + ".jpg", strings.Repeat("e\u0301", 90), "x", "", strings.Repeat("☀\ufe0f", 30), `\u{202e}` + strings.Repeat("a", 99)}
	for _, s := range []state{s, tree, held, planned, {total: 1 << 62, moved: 1 << 62, reused: 1 << 62}, {held: strings.Repeat("界", 300)}, {total: 9, files: 1 << 40, allFiles: 1 << 50}} {
		for _, s.name = range names {
			for columns := 1; columns < 200; columns++ {
				if got := s.line(columns); Width(got) > columns {
					t.Fatalf("%d columns: %q takes %d", columns, got, Width(got))
				}
				if got := s.indented(columns); Width(got) > columns {
					t.Fatalf("%d columns: %q takes %d", columns, got, Width(got))
				}
			}
		}
	}
	if got, want := tree.plain(), "site: 120 of 10000 files, 2 GiB of 4 GiB (50%), 1 GiB reused, 98 MiB/s, 0:21 left"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := planned.plain(), "site: comparing 12345+ names"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// Time to go is that of the bytes which are neither here nor likely to be here already; it is never negative, and nothing is
// 100 % as long as it is shown.
func TestTimeToGo(t *testing.T) {
	for _, c := range []struct {
		state
		wantETA, wantPercent string
	}{
		{state{total: 10 << 30, rate: 1 << 20}, "2:50:40", "0%"},
		{state{total: 10 << 30, rate: 1 << 20, left: 9 << 30}, "17:04", "0%"},
		{state{total: 100, rate: 10, reused: 50, moved: 20}, "0:03", "70%"},
		{state{total: 100, rate: 10, reused: 50, moved: 50}, "0:00", "99%"},
		{state{total: 100, rate: 10, reused: 60, moved: 60, left: 60}, "0:00", "99%"},
		{state{total: 100, rate: 0.5}, "", "0%"},
		{state{total: -1, rate: 10}, "", ""},
		{state{total: 1 << 50, rate: 1 << 20}, "", "0%"},
		{state{total: 0, rate: 10}, "0:00", "0%"},
	} {
		if got := c.eta(); got != c.wantETA || c.percent() != c.wantPercent {
			t.Errorf("%+v: %q %q", c.state, got, c.percent())
		}
	}
}

func TestShorten(t *testing.T) {
	for _, c := range []struct {
		in    string
		cells int
		want  string
	}{
		{"report.pdf", 10, "report.pdf"},
		{"a long name of a report.pdf", 16, "a long na…rt.pdf"},
		{"日本語の長い名前.txt", 12, "日本…前.txt"},
		{"no extension at all", 10, "no exte…ll"},
		{"e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301", 4, "e\u0301…e\u0301e\u0301"},
		{"name.with a very long extension", 10, "name.with…"},
		{"report.pdf", 2, "r…"},
		{"report.pdf", 1, "…"},
		{"report.pdf", 0, ""},
	} {
		if got := Shorten(c.in, c.cells); got != c.want || Width(got) > max(c.cells, 0) {
			t.Errorf("Shorten(%q, %d) = %q, want %q", c.in, c.cells, got, c.want)
		}
	}
}

// screen shows what a person would see of what is written to tty.
type screen struct {
	vt   vt10x.Terminal
	tty  *os.File
	mu   sync.Mutex
	cond *sync.Cond
	raw  strings.Builder // all that was written
}

func newScreen(t *testing.T, columns, rows int) *screen {
	t.Helper()
	t.Setenv("TERM", "xterm")
	ptm, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := pty.Setsize(ptm, &pty.Winsize{Cols: uint16(columns), Rows: uint16(rows)}); err != nil {
		t.Fatal(err)
	}
	s := &screen{vt: vt10x.New(vt10x.WithSize(columns, rows)), tty: tty}
	s.cond = sync.NewCond(&s.mu)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		buf := make([]byte, 4096)
		for {
			n, err := ptm.Read(buf)
			s.mu.Lock()
			s.vt.Write(buf[:n])
			s.raw.Write(buf[:n])
			s.cond.Broadcast()
			s.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		tty.Close()
		<-ended
		ptm.Close()
	})
	return s
}

// resize changes the size of the window.
func (s *screen) resize(t *testing.T, columns, rows int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := pty.Setsize(s.tty, &pty.Winsize{Cols: uint16(columns), Rows: uint16(rows)}); err != nil {
		t.Fatal(err)
	}
	s.vt.Resize(columns, rows)
}

// wait returns the screen once ok holds for it.
func (s *screen) wait(t *testing.T, what string, ok func(text string) bool) string {
	t.Helper()
	late := time.AfterFunc(10*time.Second, s.cond.Broadcast)
	defer late.Stop()
	deadline := time.Now().Add(10 * time.Second)
	s.mu.Lock()
	defer s.mu.Unlock()
	for !ok(s.vt.String()) {
		if !time.Now().Before(deadline) {
			t.Fatalf("no %s on the screen:\n%s", what, s.vt.String())
		}
		s.cond.Wait()
	}
	return s.vt.String()
}

func TestBar(t *testing.T) {
	s := newScreen(t, 100, 10)
	fmt.Fprintln(s.tty, "before")
	p := NewProgress(s.tty, "auto")
	a, b := p.Start("日本.pdf", 4<<30), p.Start("b\rb", 10)
	a.Reuse(1 << 30)
	a.Add(1 << 30)
	s.wait(t, "bars", func(text string) bool {
		return strings.Contains(text, "50% [----=====") && strings.Contains(text, "2 GiB of 4 GiB, 1 GiB reused") && strings.Contains(text, `b\x0db`)
	})
	b.Why(func(time.Duration) string { return "no answer" })
	s.wait(t, "reason", func(text string) bool { return strings.Contains(text, "no answer") })
	if _, err := fmt.Fprintln(p, "warning: above"); err != nil {
		t.Fatal(err)
	}
	text := s.wait(t, "line above", func(text string) bool { // the bars are gone for a moment while it is printed
		return strings.Contains(text, "warning: above") && strings.Contains(text, "50%")
	})
	if strings.Index(text, "warning") > strings.Index(text, "50%") {
		t.Errorf("the line is not above the bars:\n%s", text)
	}
	b.Done()
	s.wait(t, "screen without b", func(text string) bool { return !strings.Contains(text, `b\x0db`) })
	fmt.Fprintln(p, "last words")
	a.Done()
	fmt.Fprintln(p, "stored x")
	text = s.wait(t, "result", func(text string) bool { return strings.Contains(text, "stored x") })
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	if got := strings.Join(lines, "|"); got != "before|warning: above|last words|stored x" {
		t.Errorf("left on the screen: %s\n%s", got, text)
	}

	// The same Progress serves the next command.
	c := p.Start("again", -1)
	c.Add(5 << 20)
	s.wait(t, "bar", func(text string) bool { return strings.Contains(text, "again") && strings.Contains(text, "5 MiB") })
	c.Done()
}

func TestBarOnlyWhereItCanBeShown(t *testing.T) {
	narrow := newScreen(t, 39, 10)
	wide := newScreen(t, 80, 10)
	for _, test := range []struct {
		tty        *os.File
		term, mode string
		want       string
	}{
		{wide.tty, "xterm", "auto", "bar"},
		{wide.tty, "xterm", "bar", "bar"},
		{wide.tty, "xterm", "plain", "plain"},
		{wide.tty, "dumb", "bar", "plain"},
		{narrow.tty, "xterm", "bar", "bar"},
		{wide.tty, "xterm", "none", "none"},
	} {
		t.Setenv("TERM", test.term)
		if got := NewProgress(test.tty, test.mode).mode; got != test.want {
			t.Errorf("%+v: %s", test, got)
		}
	}
}

func TestShortTransferDrawsNothing(t *testing.T) {
	s := newScreen(t, 80, 10)
	p := NewProgress(s.tty, "bar")
	for range 1000 {
		m := p.Start("small", 1)
		m.Add(1)
		m.Done()
	}
	fmt.Fprint(s.tty, "end")
	s.wait(t, "end", func(text string) bool { return strings.Contains(text, "end") })
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.raw.String() != "end" {
		t.Errorf("wrote %q", s.raw.String())
	}
}

// TestTree: one true line for the tree, and below it one for each of the longest files that have taken a while.
func TestTree(t *testing.T) {
	s := newScreen(t, 100, 20)
	p := NewProgress(s.tty, "auto")
	m := p.StartTree("site", 100<<20, 50)
	defer m.Done()
	old := time.Now().Add(-time.Minute)
	part := func(name string, total int64, at time.Time) *Meter {
		f := m.Part(name, total)
		f.started = at
		return f
	}
	young := part("young", 90<<20, time.Now().Add(time.Hour))
	a, b, c, d := part("a", 10<<20, old), part("b", 40<<20, old), part("c", 20<<20, old), part("d", 30<<20, old)
	b.Add(20 << 20)
	b.Reuse(5 << 20)
	young.Add(5 << 20)
	order := func(names ...string) func(string) bool {
		return func(text string) bool {
			var got []string
			for line := range strings.Lines(text) {
				if f := strings.Fields(line); len(f) > 1 {
					got = append(got, f[0])
				}
			}
			return slices.Equal(got, names)
		}
	}
	text := s.wait(t, "tree with three files", order("site", "b", "d", "c"))
	if !strings.Contains(text, " 30% ") || !strings.Contains(text, "0 of 50 files, 30 MiB of 100 MiB, 5 MiB reused") {
		t.Errorf("the total is wrong:\n%s", text)
	}
	if line := m.Line(); !strings.HasPrefix(line, "site: 0 of 50 files, 30 MiB of 100 MiB (30%), 5 MiB reused, ") {
		t.Errorf("Line: %s", line)
	}
	b.Done()
	m.File()
	s.wait(t, "tree without b", order("site", "d", "c", "a"))
	fmt.Fprintln(p, "note x")
	s.wait(t, "note above", order("note", "site", "d", "c", "a"))
	a.Done()
	c.Done()
	d.Done()
	m.Done()
	fmt.Fprintln(s.tty, "end x")
	s.wait(t, "clean end", order("note", "end"))
}

// TestAside: what is written to the terminal by another way stands above the bars too.
func TestAside(t *testing.T) {
	s := newScreen(t, 60, 10)
	p := NewProgress(s.tty, "auto")
	result := func(text string) {
		t.Helper()
		err := p.Aside(func() error {
			_, err := fmt.Fprintln(s.tty, text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	result("one")
	m := p.Start("a long name of a report.pdf", 100)
	s.wait(t, "bar", func(text string) bool { return strings.Contains(text, "0%") })
	result("two")
	text := s.wait(t, "bar", func(text string) bool { return strings.Contains(text, "two") && strings.Contains(text, "0%") })
	if lines := strings.Fields(strings.ReplaceAll(text, "%", " ")); lines[0] != "one" || lines[1] != "two" || lines[2] != "a" {
		t.Errorf("not in order:\n%s", text)
	}
	m.Done()
	result("three")
	s.wait(t, "clean end", func(text string) bool { return strings.Join(strings.Fields(text), " ") == "one two three" })
	if err := p.Aside(func() error { return os.ErrClosed }); err != os.ErrClosed {
		t.Errorf("Aside returned %v", err)
	}
}

// TestFollow: what counts in a Progress that shows nothing can be shown by another, from anywhere in between.
func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var silent, out bytes.Buffer
		m := NewProgress(&silent, "none").Start("f", 1000)
		m.Add(100)
		time.Sleep(time.Minute)
		p := NewProgress(&out, "json")
		stop := p.Follow(m)
		m.Add(200)
		time.Sleep(1500 * time.Millisecond)
		stop()
		stop()
		time.Sleep(time.Minute)
		defer p.Follow(m)()
		m.Done()
		p.Follow(m)() // it is over
		time.Sleep(time.Minute)
		want := `{"progress":"f","total":1000,"reused":0,"moved":300,"rate":5,"left":143}
{"progress":"f","total":1000,"reused":0,"moved":300,"rate":0,"done":true}
`
		if out.String() != want || silent.Len() > 0 {
			t.Errorf("got:\n%s\n%s", out.String(), silent.String())
		}
	})
}

// TestResize: however the window changes, what is drawn fits it, and nothing of it stays.
func TestResize(t *testing.T) {
	s := newScreen(t, 100, 10)
	fmt.Fprintln(s.tty, "here")
	p := NewProgress(s.tty, "auto")
	m := p.Start("日本語の長い名前を持つ報告書の最終版.pdf", 100<<20)
	f := p.Start("second", 100<<20)
	m.Add(50 << 20)
	for _, columns := range []int{60, 25, 10, 33, 120, 5, 80} {
		s.resize(t, columns, 10)
		m.Add(1 << 20)
		s.wait(t, fmt.Sprintf("frame of %d columns", columns), func(text string) bool {
			lines := strings.Split(strings.TrimRight(text, " \n"), "\n")
			return len(lines) == 3 && strings.HasPrefix(lines[0], "here") &&
				(columns < 5 || strings.Contains(lines[1], "%")) && (columns < 40 || strings.Contains(lines[1], "MiB"))
		})
	}
	m.Done()
	f.Done()
	s.wait(t, "clean screen", func(text string) bool { return strings.TrimSpace(text) == "here" })
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.vt.Cursor(); c.X != 0 || c.Y != 1 {
		t.Errorf("the cursor is at %d, %d", c.X, c.Y)
	}
	if s.vt.Mode()&vt10x.ModeWrap == 0 {
		t.Error("the terminal does not wrap any more")
	}
}

// TestAtTheBottom: bars that make the screen scroll are as easily erased.
func TestAtTheBottom(t *testing.T) {
	s := newScreen(t, 60, 5)
	for i := range 9 {
		fmt.Fprintln(s.tty, "line", i)
	}
	p := NewProgress(s.tty, "auto")
	var all []*Meter
	for i := range 7 {
		all = append(all, p.Start(fmt.Sprint("file", i), 100))
	}
	s.wait(t, "as many bars as there is room", func(text string) bool { return strings.Contains(text, "file0") && strings.Contains(text, "file3") })
	for _, m := range all[:6] {
		m.Done()
	}
	s.wait(t, "one bar", func(text string) bool { return !strings.Contains(text, "file0") && strings.Contains(text, "file6") })
	p.Abandon()
	text := s.wait(t, "no bar", func(text string) bool { return !strings.Contains(text, "file") })
	if !strings.HasPrefix(text, "line 8") {
		t.Errorf("lost:\n%s", text)
	}
	all[6].Done()
}

func BenchmarkAdd(b *testing.B) {
	m := NewProgress(&bytes.Buffer{}, "plain").Start("x", -1)
	defer m.Done()
	for b.Loop() {
		m.Add(1 << 20)
	}
}
