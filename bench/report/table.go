package report

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// Table writes the report for people: each row with its tools, and each bar with what was measured.
func (r *Report) Table(w io.Writer) {
	m := r.Machine
	fmt.Fprintf(w, "%s, commit %s, %d runs of each, medians\n", r.Time, r.Commit, r.Runs)
	if r.Quick {
		fmt.Fprintln(w, "QUICK: small sizes, the figures mean nothing")
	}
	fmt.Fprintf(w, "Linux %s, %s x %d, %.0f GiB\n", m.Kernel, m.CPU, m.CPUs, float64(m.Memory)/(1<<30))
	network := "the machine's own network"
	if m.Own {
		network = "a network namespace of its own"
	}
	fmt.Fprintf(w, "congestion control %s, %s; tmpfs rows %s, disk rows %s\n", m.Congestion, network, m.Tmpfs, m.Disk)
	var versions []string
	for _, name := range slices.Sorted(maps.Keys(r.Versions)) {
		versions = append(versions, name+" "+r.Versions[name])
	}
	fmt.Fprintln(w, strings.Join(versions, ", "))
	for i := range r.Rows {
		r.Rows[i].write(w)
	}
	r.summary(w)
}

func (r *Row) write(w io.Writer) {
	fmt.Fprintf(w, "\n%s: %s", r.ID, r.Title)
	if r.Medium != "" {
		fmt.Fprintf(w, " (%s)", r.Medium)
	}
	fmt.Fprintln(w)
	if r.Note != "" {
		fmt.Fprintf(w, "    %s\n", r.Note)
	}
	if r.Commit != "" {
		fmt.Fprintf(w, "    measured again: %s, commit %s\n", r.Time, r.Commit)
	}
	for _, s := range r.Series {
		fmt.Fprintf(w, "    %-28s %s\n", s.Tool, r.figures(&s))
	}
	for _, c := range r.Bars {
		v := r.Judge(c)
		fmt.Fprintf(w, "    %-4s %-52s %s\n", c.Level, c.Text, v)
	}
}

// figures is what is said of one tool.
func (r *Row) figures(s *Series) string {
	if len(s.Samples) == 0 {
		return s.Error
	}
	var b strings.Builder
	if r.Unit != "" {
		v, _ := s.Median(Value, 0)
		fmt.Fprintf(&b, "%10s %s", number(v), r.Unit)
	} else {
		v, _ := s.Median(Wall, 0)
		fmt.Fprintf(&b, "%9.3f s", v)
		if r.Bytes >= 1<<20 && v > 0 {
			fmt.Fprintf(&b, "%9.0f MiB/s", float64(r.Bytes)/v/(1<<20))
		}
	}
	if cpu := s.CPU(); cpu > 0 {
		if r.Bytes >= 1<<27 { // of many small files, bytes are not what costs
			fmt.Fprintf(&b, "%8.2f CPU s/GiB", cpu/(float64(r.Bytes)/(1<<30)))
		} else {
			fmt.Fprintf(&b, "%8.3f CPU s", cpu)
		}
	}
	if wire, ok := s.Median(Wire, r.Bytes); ok && wire > 0 {
		fmt.Fprintf(&b, "%8.1f %% on the wire", wire*100)
	}
	if s.Error != "" {
		fmt.Fprintf(&b, "   (then: %s)", s.Error)
	}
	return b.String()
}

// number writes a figure with three digits that mean something.
func number(v float64) string {
	switch {
	case v >= 100 || v == 0:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

// String says it in a few words.
func (v Verdict) String() string {
	switch {
	case !v.Known:
		return "?       not known (" + v.Why + ")"
	case v.Met:
		return fmt.Sprintf("%-7s met", number(v.Got))
	}
	return fmt.Sprintf("%-7s MISSED", number(v.Got))
}

func (r *Report) summary(w io.Writer) {
	fmt.Fprintln(w)
	for _, level := range []string{"must", "aim"} {
		var met, missed, open int
		var list []string
		for i := range r.Rows {
			row := &r.Rows[i]
			for _, c := range row.Bars {
				if c.Level != level {
					continue
				}
				switch v := row.Judge(c); {
				case !v.Known:
					open++
				case v.Met:
					met++
				default:
					missed++
					list = append(list, fmt.Sprintf("%s: %s, got %s", row.ID, c.Text, number(v.Got)))
				}
			}
		}
		fmt.Fprintf(w, "%s: %d met, %d missed, %d not known\n", level, met, missed, open)
		for _, line := range list {
			fmt.Fprintf(w, "    %s\n", line)
		}
	}
}
