package shell

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ferry/client/term"
	"ferry/shared/wire"
)

func TestParseMode(t *testing.T) {
	for _, c := range []struct {
		text      string
		from      uint32
		file, dir uint32
	}{
		{"640", 0o777, 0o640, 0o640},
		{"0", 0o777, 0, 0},
		{"u+x", 0o640, 0o740, 0o740},
		{"+x", 0o640, 0o751, 0o751},
		{"go-rwx", 0o777, 0o700, 0o700},
		{"u=rw,g=r,o=", 0o777, 0o640, 0o640},
		{"a=r", 0o222, 0o444, 0o444},
		{"ug+w,o-x", 0o551, 0o770, 0o770},
		{"a+rX", 0o600, 0o644, 0o755},
		{"a+X", 0o700, 0o711, 0o711},
		{"u=rwX", 0o600, 0o600, 0o700},
		{"o=r-r", 0o600, 0o600, 0o600},
		{"u=", 0o644, 0o044, 0o044},
	} {
		f, err := parseMode(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if file, dir := f(c.from, false), f(c.from, true); file != c.file || dir != c.dir {
			t.Errorf("%s makes %04o and %04o of %04o, want %04o and %04o", c.text, file, dir, c.from, c.file, c.dir)
		}
	}
	for _, text := range []string{"", "1000", "888", "-1", "u", "u+s", "+t", "z+r", "u+r,", ",", "rw", "u+r g+w", "u~r"} {
		if _, err := parseMode(text); err == nil {
			t.Errorf("%q is taken for a mode", text)
		}
	}
}

func TestParseTime(t *testing.T) {
	now := time.Unix(1e9, 0)
	for text, want := range map[string]time.Time{
		"now": now, "@5": time.Unix(5, 0), "@-5": time.Unix(-5, 0), "-90m": now.Add(-90 * time.Minute),
		"2026-01-31":           time.Date(2026, 1, 31, 0, 0, 0, 0, time.Local),
		"2026-01-31 12:00":     time.Date(2026, 1, 31, 12, 0, 0, 0, time.Local),
		"2026-01-31 12:00:30":  time.Date(2026, 1, 31, 12, 0, 30, 0, time.Local),
		"2026-01-31T12:00:30Z": time.Date(2026, 1, 31, 12, 0, 30, 0, time.UTC),
	} {
		if got, err := parseTime(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q is %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "yesterday", "2026-02-31", "90m", "@", "@x", "@99999999999999", "9999-01-01", "1000-01-01"} {
		if got, err := parseTime(text, now); err == nil {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
}

func TestPalette(t *testing.T) {
	p := newPalette("di=01;34:ln=36:*.tar=31:*.gz=0:*.tar.gz=35:ex=32:fi=:bad=\x1b[2J:or=1\x1b:*x")
	for _, c := range []struct {
		e    wire.Entry
		want string
	}{
		{wire.Entry{Name: "d", Kind: "dir", Mode: 0o755}, "\x1b[01;34md\x1b[0m/"},
		{wire.Entry{Name: "l", Kind: "link", Mode: 0o777}, "\x1b[36ml\x1b[0m@"},
		{wire.Entry{Name: "a.tar", Kind: "file"}, "\x1b[31ma.tar\x1b[0m"},
		{wire.Entry{Name: "a.tar.gz", Kind: "file"}, "\x1b[35ma.tar.gz\x1b[0m"},
		{wire.Entry{Name: "a.gz", Kind: "file"}, "a.gz"},
		{wire.Entry{Name: "run", Kind: "file", Mode: 0o700}, "\x1b[32mrun\x1b[0m"},
		{wire.Entry{Name: "plain", Kind: "file"}, "plain"},
		{wire.Entry{Name: "pipe", Kind: "other"}, "pipe?"},
		{wire.Entry{Name: "\x1b[2J.tar", Kind: "file"}, "\x1b[31m\\x1b[2J.tar\x1b[0m"},
	} {
		if got := p.paint(c.e); got != c.want {
			t.Errorf("%s %q: %q, want %q", c.e.Kind, c.e.Name, got, c.want)
		}
	}
	if got := (palette{}).paint(wire.Entry{Name: "d", Kind: "dir"}); got != "d/" {
		t.Errorf("without colours: %q", got)
	}
	if got := newPalette("").paint(wire.Entry{Name: "d", Kind: "dir"}); got != "\x1b[01;34md\x1b[0m/" {
		t.Errorf("without LS_COLORS: %q", got)
	}
}

// Names fill the width, downwards, and no line is longer than the terminal if each name is not.
func TestGrid(t *testing.T) {
	var names []wire.Entry
	for _, n := range []string{"a", "日本語.txt", "bb", "ccc", "a-long-name-of-a-file", "d", "e", "ff"} {
		names = append(names, wire.Entry{Name: wire.Name(n), Kind: "file"})
	}
	for width := 1; width < 80; width++ {
		l := &lister{columns: width}
		var seen []string
		lines := strings.Split(strings.TrimSuffix(l.grid(names), "\n"), "\n")
		for _, line := range lines {
			if w := term.Width(line); w > width && len(lines) < len(names) {
				t.Errorf("width %d: %q takes %d", width, line, w)
			}
			seen = append(seen, strings.Fields(line)...)
		}
		slices.Sort(seen)
		var want []string
		for _, e := range names {
			want = append(want, string(e.Name))
		}
		slices.Sort(want)
		if !slices.Equal(seen, want) {
			t.Errorf("width %d: %q", width, lines)
		}
	}
	l := &lister{columns: 40}
	if got, want := l.grid(names), "a           ccc                    e\n日本語.txt  a-long-name-of-a-file  ff\nbb          d\n"; got != want {
		t.Errorf("at 40:\n%swant:\n%s", got, want)
	}
	many := make([]wire.Entry, 30000)
	for i := range many {
		many[i] = wire.Entry{Name: wire.Name(fmt.Sprint("name", i)), Kind: "file"}
	}
	if got := strings.Count((&lister{columns: 200}).grid(many), "name"); got != len(many) {
		t.Errorf("%d names of %d", got, len(many))
	}
}

func TestRoomRow(t *testing.T) {
	plain := func(n int64) string { return fmt.Sprint(n) }
	for _, c := range []struct {
		used, limit, disk int64
		want              string
	}{
		{10, 0, 500, "bytes 10 none 500 -"},
		{10, 0, -1, "bytes 10 none - -"},
		{25, 100, 500, "bytes 25 100 75 25%"},
		{25, 100, 50, "bytes 25 100 50 25%"},
		{25, 100, -1, "bytes 25 100 75 25%"},
		{120, 100, 500, "bytes 120 100 0 120%"},
		{1 << 60, 1 << 62, 1 << 62, "bytes 1152921504606846976 4611686018427387904 3458764513820540928 25%"},
	} {
		if got := strings.Join(strings.Fields(roomRow("bytes", c.used, c.limit, c.disk, plain)), " "); got != c.want {
			t.Errorf("%d of %d, disk %d: %q, want %q", c.used, c.limit, c.disk, got, c.want)
		}
	}
}
