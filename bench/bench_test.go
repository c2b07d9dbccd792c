package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"ferry/bench/report"
)

func TestListening(t *testing.T) {
	text := `  sl  local_address rem_address   st
   0: 0100007F:1F93 00000000:0000 0A 00000000:00000000
   1: 0100007F:1F94 0100007F:0050 01 00000000:00000000
`
	for port, want := range map[string]bool{"8083": true, "8084": false, "80": false} {
		if listening(text, port) != want {
			t.Errorf("listening at %s is not %v", port, want)
		}
	}
}

func TestMountKind(t *testing.T) {
	text := `22 1 254:0 / / rw - ext4 /dev/vda rw
23 22 0:20 / /dev rw shared:1 - devtmpfs devtmpfs rw
24 23 0:21 / /dev/shm rw - tmpfs tmpfs rw
25 22 0:22 / /var/tmpfs rw - btrfs x rw
`
	for path, want := range map[string]string{"/": "ext4", "/var/tmp": "ext4", "/dev/shm": "tmpfs", "/dev/shm/x": "tmpfs", "/dev/x": "devtmpfs", "/var/tmpfs/y": "btrfs"} {
		if got := mountKind(text, path); got != want {
			t.Errorf("%s is on %s, want %s", path, got, want)
		}
	}
}

func TestLastLine(t *testing.T) {
	for text, want := range map[string]string{"": "it said nothing", "a\n b \n\n": "b", "put: no\nhint: try\n": "put: no"} {
		if got := lastLine(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// TestDigest: equal trees are equal whatever they are called; a name, a byte or a length is a difference.
func TestDigest(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	if err := errors.Join(makeTree(a, 150, 100), linkTree(a, b)); err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(b, "*", "*"))
	if len(files) != 150 {
		t.Fatalf("%d files", len(files))
	}
	r := &bench{sums: map[string]string{}}
	if err := r.same(a, b); err != nil {
		t.Error(err)
	}
	for what, change := range map[string]func() error{
		"a name": func() error { return os.Rename(files[3], files[3]+"x") },
		"a byte": func() error { os.Remove(files[4]); return os.WriteFile(files[4], make([]byte, 100), 0o644) },
		"a file": func() error { return os.Remove(files[5]) },
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if r.same(a, b) == nil {
			t.Errorf("%s changed and it is still the same", what)
		}
		if err := errors.Join(os.RemoveAll(b), linkTree(a, b)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAlterBlocks(t *testing.T) {
	dir := t.TempDir()
	old, changed := filepath.Join(dir, "old"), filepath.Join(dir, "changed")
	const blocks = 140
	if err := errors.Join(makeFile(old, blocks*blockSize+5, 1), copyPart(old, changed, blocks*blockSize+5), alterBlocks(changed)); err != nil {
		t.Fatal(err)
	}
	a, err := os.ReadFile(old)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(changed)
	if err != nil || len(a) != len(b) {
		t.Fatalf("%d and %d bytes, %v", len(a), len(b), err)
	}
	var differ []int
	for i := 0; i*blockSize < len(a); i++ {
		from, to := i*blockSize, min((i+1)*blockSize, len(a))
		if !slices.Equal(a[from:to], b[from:to]) {
			differ = append(differ, i)
		}
	}
	if !reflect.DeepEqual(differ, []int{37, 137}) {
		t.Errorf("blocks %v differ", differ)
	}
}

// TestCarryOut: the tools take turns, what fails is left out from then on and said, and the content is checked once.
func TestCarryOut(t *testing.T) {
	var log []string
	step := func(what string) func(context.Context) error {
		return func(context.Context) error { log = append(log, what); return nil }
	}
	fails := 0
	w := &work{entries: []entry{
		{tool: "a", before: step("+a"), check: step("=a"), after: func() { log = append(log, "-a") },
			run: func(context.Context) (report.Sample, error) {
				log = append(log, "a")
				return report.Sample{Wall: 1}, nil
			}},
		{tool: "gone", missing: "not installed"},
		{tool: "b", run: func(context.Context) (report.Sample, error) {
			log = append(log, "b")
			if fails++; fails > 1 {
				return report.Sample{}, errors.New("broke\nbadly")
			}
			return report.Sample{Wall: 2}, nil
		}},
	}}
	b := &bench{options: options{runs: 3}}
	done := b.carryOut(t.Context(), row{id: "x", make: func(context.Context) (*work, error) { return w, nil }})[0]
	if got, want := strings.Join(log, " "), "+a a =a -a b +a a -a b +a a -a"; got != want {
		t.Errorf("it went %s, want %s", got, want)
	}
	var got []string
	for _, s := range done.Series {
		got = append(got, fmt.Sprintf("%s %d %s", s.Tool, len(s.Samples), s.Error))
	}
	if want := []string{"a 3 ", "gone 0 not installed", "b 1 broke; badly"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	done = b.carryOut(t.Context(), row{make: func(context.Context) (*work, error) { return nil, errors.New("needs root") }})[0]
	if done.Series[0].Error != "needs root" {
		t.Errorf("a row that cannot be: %+v", done)
	}
}

// TestRows: every row has a name of its own.
func TestRows(t *testing.T) {
	for _, quick := range []bool{false, true} {
		seen := map[string]bool{}
		for _, r := range (&bench{sizes: sizesFor(quick)}).rows() {
			if r.id == "" || r.title == "" || seen[r.id] {
				t.Errorf("row %q (%s) is nameless or there twice", r.id, r.title)
			}
			seen[r.id] = true
		}
	}
}

func TestBars(t *testing.T) {
	row := report.Row{Series: []report.Series{{Tool: "ferry", Samples: []report.Sample{{Wall: 1.15}}}, {Tool: "bare", Samples: []report.Sample{{Wall: 1}}}}}
	for _, c := range []struct {
		bar  report.Criterion
		want bool
		text string
	}{
		{must(1.2, "bare"), true, "wall <= 1.20 x bare"},
		{aim(1.1, "bare"), false, "wall <= 1.10 x bare"},
		{speed("must", 0.85, "bare"), true, "pace >= 0.85 x bare (wall <= 1.18 x)"},
		{speed("must", 0.9, "bare"), false, "pace >= 0.90 x bare (wall <= 1.11 x)"},
		{must(1.2, "bare", "other"), true, "wall <= 1.20 x the best peer"},
	} {
		if v := row.Judge(c.bar); v.Met != c.want || !v.Known || c.bar.Text != c.text {
			t.Errorf("%s: %+v", c.bar.Text, v)
		}
	}
}

// TestMeasureOrphan: the time of a process that its parent did not wait for counts, like that of a server's session.
func TestMeasureOrphan(t *testing.T) {
	dir := t.TempDir()
	p, err := newProcesses(dir)
	if err != nil {
		t.Skip(err)
	}
	burn := `i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; cut -d" " -f14,15 /proc/$$/stat >` + dir + `/ticks`
	sample, err := p.measure(t.Context(), nil, func() error {
		return p.run(t.Context(), command{argv: []string{"sh", "-c", "setsid sh -c '" + burn + "' >/dev/null 2>&1 & exit 0"}})
	})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "ticks"))
	if err != nil {
		t.Fatal("the orphan was not waited for:", err)
	}
	var ticks float64
	for _, f := range strings.Fields(string(text)) {
		n, err := strconv.ParseFloat(f, 64)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	if own := ticks / 100; own < 0.05 || sample.CPU < own-0.02 || sample.CPU > 2*own {
		t.Errorf("measured %.3f CPU s, the orphan says it used %.2f", sample.CPU, own)
	}
}

// TestDialog: lines go both ways, and a process that ends early is noticed, with what it said.
func TestDialog(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	p, err := newProcesses(t.TempDir())
	if err != nil {
		t.Skip(err)
	}
	d, err := p.talk(ctx, command{argv: []string{"sh", "-c", "echo ready; read x; echo got $x; read x; echo no more >&2; exit 3"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ hear, say string }{{"ready", "this"}, {"got this", "that"}} {
		if line, err := d.hear(ctx); line != c.hear || err != nil {
			t.Fatalf("heard %q, %v; want %q", line, err, c.hear)
		}
		if err := d.say(c.say); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.hear(ctx); err == nil || !strings.Contains(err.Error(), "no more") {
		t.Errorf("after its end: %v", err)
	}
}
