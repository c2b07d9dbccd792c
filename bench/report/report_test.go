package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 2, 100}, 3}} {
		if got := Median(c.in); got != c.want {
			t.Errorf("Median(%v) = %v, want %v", c.in, got, c.want)
		}
	}
	in := []float64{3, 1, 2}
	Median(in)
	if !reflect.DeepEqual(in, []float64{3, 1, 2}) {
		t.Errorf("Median sorted its argument: %v", in)
	}
}

func TestPercentile(t *testing.T) {
	var v []float64
	for i := 100; i >= 1; i-- {
		v = append(v, float64(i))
	}
	for _, c := range []struct{ p, want float64 }{{0, 1}, {1, 1}, {50, 50}, {99, 99}, {99.5, 100}, {100, 100}} {
		if got := Percentile(v, c.p); got != c.want {
			t.Errorf("Percentile(1..100, %v) = %v, want %v", c.p, got, c.want)
		}
	}
	if Percentile(nil, 99) != 0 {
		t.Error("Percentile of nothing is not 0")
	}
}

// sample is a row in which ferry takes 2 s, sftp 5 s and curl 1.6 s, and that has one tool that failed.
func sample() Row {
	walls := func(tool string, wire int64, seconds ...float64) Series {
		s := Series{Tool: tool}
		for _, x := range seconds {
			s.Samples = append(s.Samples, Sample{Wall: x, CPU: x, Wire: wire, Value: x * 10})
		}
		return s
	}
	return Row{ID: "x", Title: "4 <GiB> & more", Medium: "tmpfs", Bytes: 1 << 30, Series: []Series{
		walls("ferry", 1<<29, 1.9, 7, 2), walls("sftp", 1<<30, 5, 5, 4), walls("curl", 1<<30, 1.6), {Tool: "vsftpd", Error: "not installed"},
	}}
}

func TestJudge(t *testing.T) {
	row := sample()
	for _, c := range []struct {
		name string
		bar  Criterion
		want Verdict
	}{
		{"met", Criterion{Metric: Wall, Of: "ferry", Against: []string{"sftp"}, Limit: 0.5}, Verdict{Known: true, Got: 0.4, Met: true}},
		{"missed", Criterion{Metric: Wall, Of: "ferry", Against: []string{"curl"}, Limit: 1}, Verdict{Known: true, Got: 1.25}},
		{"best of", Criterion{Metric: Wall, Of: "ferry", Against: []string{"sftp", "curl"}, Limit: 1.25}, Verdict{Known: true, Got: 1.25, Met: true}},
		{"best of those there are", Criterion{Metric: Wall, Of: "ferry", Against: []string{"vsftpd", "sftp"}, Limit: 1}, Verdict{Known: true, Got: 0.4, Met: true}},
		{"peer missing", Criterion{Metric: Wall, Of: "ferry", Against: []string{"vsftpd"}, Limit: 1}, Verdict{Why: "vsftpd: not installed"}},
		{"no such tool", Criterion{Metric: Wall, Of: "scp", Limit: 1}, Verdict{Why: "no scp"}},
		{"share", Criterion{Metric: Wire, Of: "ferry", Limit: 0.5}, Verdict{Known: true, Got: 0.5, Met: true}},
		{"absolute", Criterion{Metric: Value, Of: "ferry", Limit: 19}, Verdict{Known: true, Got: 20}},
		{"at least", Criterion{Metric: Value, Of: "ferry", AtLeast: true, Limit: 20}, Verdict{Known: true, Got: 20, Met: true}},
		{"at least the most", Criterion{Metric: Value, Of: "ferry", Against: []string{"curl", "sftp"}, AtLeast: true, Limit: 0.5}, Verdict{Known: true, Got: 0.4}},
	} {
		if got := row.Judge(c.bar); got != c.want {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestSaveLoadShow(t *testing.T) {
	row := sample()
	row.Bars = []Criterion{{Level: "must", Metric: Wall, Of: "ferry", Against: []string{"sftp"}, Limit: 0.5, Text: "<= 0.50 x sftp"},
		{Level: "aim", Metric: Wall, Of: "ferry", Against: []string{"curl"}, Limit: 1, Text: "<= 1.0 x curl"}}
	r := &Report{Time: "2026-01-02T03:04:05Z", Commit: "abc", Runs: 3, Rows: []Row{row}, Versions: map[string]string{"sftp": "9"}}
	path := filepath.Join(t.TempDir(), "latest.json")
	if err := r.Save(path); err != nil {
		t.Fatal(err)
	}
	again, err := Load(path)
	if err != nil || !reflect.DeepEqual(r, again) {
		t.Fatalf("loaded %+v, %v; want %+v", again, err, r)
	}
	var table bytes.Buffer
	again.Table(&table)
	for _, want := range []string{"512 MiB/s", "vsftpd                       not installed", "must: 1 met, 0 missed, 0 not known", "aim: 0 met, 1 missed",
		"x: <= 1.0 x curl, got 1.25", "50.0 % on the wire"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, table.String())
		}
	}
}

// TestChart: well-formed, one bar for each tool with samples, the quickest first, and long bars cut.
func TestChart(t *testing.T) {
	row := sample()
	row.Series = append(row.Series, Series{Tool: "slow", Samples: []Sample{{Wall: 100}}})
	silent := Row{ID: "y", Title: "no ferry", Series: []Series{{Tool: "ferry", Error: "cannot"}, row.Series[1]}}
	grown := sample()
	grown.ID, grown.Title = "grow-file-1", "grown"
	svg := (&Report{Rows: []Row{row, silent, grown}}).Chart()
	var bars, widest int
	for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
		e, ok := token.(xml.StartElement)
		if !ok || e.Name.Local != "rect" {
			continue
		}
		for _, a := range e.Attr {
			if a.Name.Local == "class" && a.Value != "back" {
				bars++
			}
		}
	}
	if bars != 4 {
		t.Errorf("%d bars, want 4", bars)
	}
	text := string(svg)
	for _, s := range []string{"curl", "ferry", "sftp", "slow"} {
		at := strings.Index(text, `text-anchor="end">`+s)
		if at < widest {
			t.Errorf("%s is not where it belongs", s)
		}
		widest = at
	}
	if !strings.Contains(text, `width="500"`) || strings.Contains(text, "no ferry") || strings.Contains(text, "grown") {
		t.Errorf("the long bar is not cut, or a row is drawn that should not:\n%s", text)
	}
}

// TestUpdate: rows of a later run take the place of their own kind, say when they were measured, and come from the same machine.
func TestUpdate(t *testing.T) {
	other := sample()
	other.ID = "y"
	whole := &Report{Time: "monday", Commit: "one", Runs: 3, Rows: []Row{sample(), other}}
	again, added := sample(), sample()
	again.Series, added.ID = again.Series[:1], "z"
	later := &Report{Time: "tuesday", Commit: "two", Runs: 3, Rows: []Row{again, added}}
	if err := whole.Update(later); err != nil {
		t.Fatal(err)
	}
	again.Time, again.Commit, added.Time, added.Commit = "tuesday", "two", "tuesday", "two"
	if want := []Row{again, other, added}; whole.Time != "monday" || !reflect.DeepEqual(whole.Rows, want) {
		t.Errorf("%+v", whole.Rows)
	}
	var out bytes.Buffer
	whole.Table(&out)
	if n := strings.Count(out.String(), "measured again: tuesday, commit two"); n != 2 {
		t.Errorf("%d rows tell when they were measured:\n%s", n, out.String())
	}
	later.Machine.CPUs++
	if whole.Update(later) == nil {
		t.Error("rows of another machine were taken")
	}
}
