package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"ferry/bench/report"
)

// row is one line of the plan; make prepares its work when its turn comes, so that a row that is left out costs nothing.
type row struct {
	id, title string
	make      func(ctx context.Context) (*work, error)
}

// work is what a row consists of.
type work struct {
	medium, note, unit string
	bytes              int64
	runs               int // 0: as many as asked for
	entries            []entry
	bars               []report.Criterion
	after              func() // once, at the end
	// more makes further rows of the same samples.
	more func(done report.Row) []report.Row
}

// entry is one tool's part. before and after are not timed, and either may be nil; check compares the content after the first run.
type entry struct {
	tool          string
	missing       string // why it cannot run at all
	before, check func(ctx context.Context) error
	run           func(ctx context.Context) (report.Sample, error)
	after         func()
}

// carryOut does a row's work, the tools in turn. What fails is said in the row, and the others go on.
func (b *bench) carryOut(ctx context.Context, r row) []report.Row {
	done := report.Row{ID: r.id, Title: r.title}
	w, err := r.make(ctx)
	if err != nil {
		done.Series = []report.Series{{Tool: "ferry", Error: oneLine(err)}}
		return []report.Row{done}
	}
	done.Medium, done.Note, done.Unit, done.Bytes, done.Bars = w.medium, w.note, w.unit, w.bytes, w.bars
	for _, e := range w.entries {
		done.Series = append(done.Series, report.Series{Tool: e.tool, Error: e.missing})
	}
	runs := w.runs
	if runs == 0 {
		runs = b.runs
	}
	for i := range runs {
		for k, e := range w.entries {
			s := &done.Series[k]
			if s.Error != "" || ctx.Err() != nil {
				continue
			}
			sample, err := e.once(ctx, i == 0)
			if err != nil {
				s.Error = oneLine(err)
				fmt.Fprintf(os.Stderr, "         %s: %v\n", e.tool, err)
				continue
			}
			s.Samples = append(s.Samples, sample)
		}
	}
	if w.after != nil {
		w.after()
	}
	rows := []report.Row{done}
	if w.more != nil {
		rows = append(rows, w.more(done)...)
	}
	return rows
}

// oneLine is an error without line breaks.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

func (e *entry) once(ctx context.Context, check bool) (sample report.Sample, err error) {
	if e.after != nil {
		defer e.after()
	}
	if e.before != nil {
		if err := e.before(ctx); err != nil {
			return sample, err
		}
	}
	if sample, err = e.run(ctx); err != nil {
		return sample, err
	}
	if check && e.check != nil {
		err = e.check(ctx)
	}
	return sample, err
}

// must and aim are bars on wall time: that of ferry is at most limit times that of the best of the others.
func must(limit float64, against ...string) report.Criterion {
	return wallBar("must", limit, against)
}

func aim(limit float64, against ...string) report.Criterion {
	return wallBar("aim", limit, against)
}

func wallBar(level string, limit float64, against []string) report.Criterion {
	c := report.Criterion{Level: level, Metric: report.Wall, Of: "ferry", Against: against, Limit: limit}
	c.Text = fmt.Sprintf("wall <= %.2f x %s", limit, against[0])
	if len(against) > 1 {
		c.Text = fmt.Sprintf("wall <= %.2f x the best peer", limit)
	}
	return c
}

// speed is a bar on the pace: at least share of that of the best of the others.
func speed(level string, share float64, against ...string) report.Criterion {
	c := wallBar(level, 1/share, against)
	c.Text = fmt.Sprintf("pace >= %.2f x %s (wall <= %.2f x)", share, against[0], 1/share)
	if len(against) > 1 {
		c.Text = fmt.Sprintf("pace >= %.2f x the best peer (wall <= %.2f x)", share, 1/share)
	}
	return c
}

// most and least are bars on a value as it is.
func most(level, of string, limit float64, unit string) report.Criterion {
	return report.Criterion{Level: level, Metric: report.Value, Of: of, Limit: limit, Text: fmt.Sprintf("%s <= %g %s", of, limit, unit)}
}

func least(level, of string, limit float64, unit string) report.Criterion {
	return report.Criterion{Level: level, Metric: report.Value, Of: of, AtLeast: true, Limit: limit, Text: fmt.Sprintf("%s >= %g %s", of, limit, unit)}
}
