package term

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
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
		time.Sleep(9 * time.Second)
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
		m.Note("reconnecting in 2 s")
		time.Sleep(10 * time.Second)
		synctest.Wait()
		m.Done()
		m.Done()
		time.Sleep(time.Minute)
		u := p.Start("stdin", -1)
		u.Add(10 << 20)
		time.Sleep(4 * time.Second)
		u.Add(10 << 20)
		time.Sleep(6 * time.Second)
		synctest.Wait()
		u.Done()
		want := `re\x1bport.pdf: 512 MiB of 3.2 GiB (15%), 48 MiB/s
re\x1bport.pdf: 992 MiB of 3.2 GiB (30%), 48 MiB/s
re\x1bport.pdf: 992 MiB of 3.2 GiB (30%), stalled 10 s
re\x1bport.pdf: 992 MiB of 3.2 GiB (30%), reconnecting in 2 s
stdin: 20 MiB, stalled 6 s
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
		want := `{"progress":"a\u0085\"","total":1000,"reused":100,"moved":500,"rate":500}
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
	for columns, want := range map[int]string{
		99: "report.pdf                50% [------======            ]         2 GiB of 4 GiB    98 MiB/s    0:21",
		79: "report.pdf           50% [--==     ]         2 GiB of 4 GiB    98 MiB/s    0:21",
		59: "report.pdf      50% [----====         ]    98 MiB/s    0:21",
		39: "report.pdf    50%    98 MiB/s    0:21",
	} {
		if got := s.line(columns); got != want {
			t.Errorf("%d columns:\n%q, want\n%q", columns, got, want)
		}
	}
	for _, s := range []state{s, {name: strings.Repeat("日本", 50), total: -1}, {name: "x", total: 0},
		{name: "é", total: 1 << 62, moved: 1 << 62, reused: 1 << 62, note: strings.Repeat("n", 300)}, {name: "s", total: 9, stalled: time.Hour}} {
		for columns := 1; columns < 200; columns++ {
			if got := s.line(columns); Width(got) > columns {
				t.Fatalf("%d columns: %q takes %d", columns, got, Width(got))
			}
		}
	}
	s.files, s.allFiles = 120, 10000
	for columns, want := range map[int]string{
		119: "report.pdf                     50% [------=======              ] 120 of 10000 files, 2 GiB of 4 GiB    98 MiB/s    0:21",
		79:  "report.pdf           50%",
	} {
		if got := s.line(columns); !strings.HasPrefix(got, want) || Width(got) > columns {
			t.Errorf("%d columns:\n%q, want\n%q", columns, got, want)
		}
	}
	if got, want := s.plain(), "report.pdf: 120 of 10000 files, 2 GiB of 4 GiB (50%), 98 MiB/s"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := (state{total: 10 << 30, rate: 1 << 20}).left(); got != "2:50:40" {
		t.Errorf("left: %s", got)
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
		return strings.Contains(text, "50% [------======") && strings.Contains(text, "2 GiB of 4 GiB") && strings.Contains(text, `b\x0db`)
	})
	b.Note("reconnecting in 2 s")
	s.wait(t, "note", func(text string) bool { return strings.Contains(text, "reconnecting in 2 s") })
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
		{narrow.tty, "xterm", "bar", "plain"},
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

func BenchmarkAdd(b *testing.B) {
	m := NewProgress(&bytes.Buffer{}, "plain").Start("x", -1)
	defer m.Done()
	for b.Loop() {
		m.Add(1 << 20)
	}
}
