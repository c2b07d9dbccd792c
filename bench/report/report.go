// Package report is what a benchmark run leaves behind: every sample, the bars they are held against, the verdicts, and how
// both are shown, as a table and as a chart.
package report

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
)

// Report is one run.
type Report struct {
	Time     string            `json:"time"`
	Commit   string            `json:"commit"`
	Quick    bool              `json:"quick,omitempty"` // small sizes: the figures mean nothing
	Runs     int               `json:"runs"`
	Machine  Machine           `json:"machine"`
	Versions map[string]string `json:"versions"`
	Rows     []Row             `json:"rows"`
}

// Machine is where it ran.
type Machine struct {
	Kernel     string `json:"kernel"`
	CPU        string `json:"cpu"`
	CPUs       int    `json:"cpus"`
	Memory     int64  `json:"memory"`     // bytes
	Congestion string `json:"congestion"` // net.ipv4.tcp_congestion_control
	Tmpfs      string `json:"tmpfs"`      // directory and kind of file system
	Disk       string `json:"disk"`
	Own        bool   `json:"own_network"` // in a network namespace of its own
}

// Row is one piece of work, done by several tools in turn.
type Row struct {
	ID     string      `json:"id"`
	Title  string      `json:"title"`
	Medium string      `json:"medium"`
	Note   string      `json:"note,omitempty"`
	Unit   string      `json:"unit,omitempty"`  // of Value; empty when time is what counts
	Bytes  int64       `json:"bytes,omitempty"` // of content, for rates and shares
	Series []Series    `json:"series"`
	Bars   []Criterion `json:"bars,omitempty"`
	Time   string      `json:"time,omitempty"`   // of a row that was measured again, after the others
	Commit string      `json:"commit,omitempty"` // the same
}

// Series is what one tool did.
type Series struct {
	Tool    string   `json:"tool"`
	Samples []Sample `json:"samples,omitempty"`
	Error   string   `json:"error,omitempty"` // why there are no samples, or no more
}

// Sample is one run of one tool.
type Sample struct {
	Wall  float64 `json:"wall,omitempty"`  // seconds
	CPU   float64 `json:"cpu,omitempty"`   // seconds, user and system, of both ends
	Wire  int64   `json:"wire,omitempty"`  // bytes of IP packets, both directions
	Value float64 `json:"value,omitempty"` // in the unit of the row
}

// Metric is what a criterion looks at.
type Metric string

// The metrics.
const (
	Wall  Metric = "wall"
	Value Metric = "value"
	Wire  Metric = "wire" // share of the content's bytes
)

// Criterion is a bar: the metric of tool Of, divided by that of the best of Against if there are any, is at most (or with
// AtLeast at least) Limit.
type Criterion struct {
	Level   string   `json:"level"` // must or aim
	Metric  Metric   `json:"metric"`
	Of      string   `json:"of"`
	Against []string `json:"against,omitempty"`
	AtLeast bool     `json:"at_least,omitempty"`
	Limit   float64  `json:"limit"`
	Text    string   `json:"text"`
}

// Verdict is a criterion beside what was measured.
type Verdict struct {
	Known bool    // it could be measured
	Got   float64 // the figure that is held against the limit
	Met   bool
	Why   string // when it is not known
}

// Median returns the middle of the values, 0 if there are none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	v := slices.Clone(values)
	slices.Sort(v)
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

// Percentile returns the smallest of the values that at least p percent of them do not exceed, 0 if there are none.
func Percentile(values []float64, p float64) float64 {
	if len(values) == 0 {
		return 0
	}
	v := slices.Clone(values)
	slices.Sort(v)
	rank := int(p/100*float64(len(v)) + 0.999999)
	return v[min(max(rank, 1), len(v))-1]
}

// Median returns the median of a metric of all samples; false when there are none.
func (s *Series) Median(m Metric, bytes int64) (float64, bool) {
	var v []float64
	for _, x := range s.Samples {
		switch m {
		case Wall:
			v = append(v, x.Wall)
		case Value:
			v = append(v, x.Value)
		case Wire:
			if bytes > 0 {
				v = append(v, float64(x.Wire)/float64(bytes))
			}
		}
	}
	return Median(v), len(v) > 0
}

// CPU returns the median of the CPU seconds.
func (s *Series) CPU() float64 {
	var v []float64
	for _, x := range s.Samples {
		v = append(v, x.CPU)
	}
	return Median(v)
}

// Find returns the series of a tool, nil if there is none.
func (r *Row) Find(tool string) *Series {
	for i := range r.Series {
		if r.Series[i].Tool == tool {
			return &r.Series[i]
		}
	}
	return nil
}

// Judge holds what was measured against a bar of the row. For wall and wire the best is the least, and so it is for values
// that are to stay below the limit.
func (r *Row) Judge(c Criterion) Verdict {
	median := func(tool string) (float64, string) {
		s := r.Find(tool)
		if s == nil {
			return 0, "no " + tool
		}
		if v, ok := s.Median(c.Metric, r.Bytes); ok {
			return v, ""
		}
		if s.Error != "" {
			return 0, tool + ": " + s.Error
		}
		return 0, tool + ": not measured"
	}
	got, why := median(c.Of)
	if why != "" {
		return Verdict{Why: why}
	}
	if len(c.Against) > 0 {
		best, found := 0.0, false
		for _, tool := range c.Against {
			v, w := median(tool)
			if w != "" {
				why = w
				continue
			}
			if !found || (v < best) != (c.AtLeast && c.Metric == Value) {
				best, found = v, true
			}
		}
		if !found || best == 0 {
			return Verdict{Why: why}
		}
		got /= best
	}
	v := Verdict{Known: true, Got: got, Met: got <= c.Limit}
	if c.AtLeast {
		v.Met = got >= c.Limit
	}
	return v
}

// Load reads a report.
func Load(path string) (*Report, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var r Report
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &r, nil
}

// Update puts the rows of a later run in the place of those of the same id, each with its own time and commit; new ones come at the end. An
// error tells that the other run was made in another way or elsewhere.
func (r *Report) Update(later *Report) error {
	if r.Machine != later.Machine || r.Runs != later.Runs || r.Quick != later.Quick {
		return fmt.Errorf("the runs do not belong together: %d runs of each on %+v, and %d on %+v", r.Runs, r.Machine, later.Runs, later.Machine)
	}
	for _, row := range later.Rows {
		row.Time, row.Commit = later.Time, later.Commit
		i := slices.IndexFunc(r.Rows, func(old Row) bool { return old.ID == row.ID })
		if i < 0 {
			r.Rows = append(r.Rows, row)
		} else {
			r.Rows[i] = row
		}
	}
	return nil
}

// Save writes a report.
func (r *Report) Save(path string) error {
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}
