package report

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
)

// Measures of the chart, in its own units.
const (
	chartWidth = 900
	labelEnd   = 250 // names of tools end here
	barsBegin  = 260
	barsEnd    = 760
	barHeight  = 13
	lineHeight = 17
	rowGap     = 30
	chartTop   = 82
	mostTimes  = 6.0 // longer bars are cut off
)

// Chart draws the wall time of each tool relative to ferry's, for every row that has both and is not about growth, as SVG that
// needs nothing and reads on light and dark.
func (r *Report) Chart() []byte {
	var body bytes.Buffer
	y := chartTop
	full := float64(barsEnd - barsBegin)
	one := barsBegin + int(full/mostTimes) // where ferry's bars end
	for i := range r.Rows {
		row := &r.Rows[i]
		bars := row.chartBars()
		if len(bars) < 2 || strings.HasPrefix(row.ID, "grow-") {
			continue
		}
		fmt.Fprintf(&body, `<text class="title" x="14" y="%d">%s <tspan class="dim">(%s)</tspan></text>`+"\n", y, escape(row.Title), escape(row.Medium))
		y += 8
		fmt.Fprintf(&body, `<path class="one" d="M%d %dv%d"/>`+"\n", one, y-3, len(bars)*lineHeight+3)
		for _, b := range bars {
			b.draw(&body, y)
			y += lineHeight
		}
		y += rowGap
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="wall time relative to ferry">
<style>
text { font: 12px system-ui, sans-serif; fill: #24292f }
.head { font-size: 16px; font-weight: 600 } .title { font-weight: 600 } .dim { fill: #57606a; font-weight: 400 }
.peer { fill: #a8b3bf } .bare { fill: #d5b876 } .ferry { fill: #1f78c8 } .one { stroke: #57606a; stroke-dasharray: 3 3 } .back { fill: #ffffff }
.dim { stroke: #ffffff; stroke-width: 4px; paint-order: stroke }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .dim { fill: #9aa4af } .peer { fill: #58626e } .bare { fill: #8a7440 } .ferry { fill: #4aa3f0 } .one { stroke: #9aa4af } .back { fill: #0d1117 } .dim { stroke: #0d1117 }
}
</style>
<rect class="back" width="%d" height="%d" rx="6"/>
<text class="head" x="14" y="24">Wall time relative to ferry: shorter is faster</text>
<text class="dim" x="14" y="42">%s</text>
<text class="dim" x="14" y="58">%s</text>
`, chartWidth, y, chartWidth, y, chartWidth, y, escape(r.chartHow()), escape(r.chartWhere()))
	out.Write(body.Bytes())
	out.WriteString("</svg>\n")
	return out.Bytes()
}

func (r *Report) chartHow() string {
	text := fmt.Sprintf("medians of %d, both ends on %d cores, congestion control %s", r.Runs, r.Machine.CPUs, r.Machine.Congestion)
	if r.Quick {
		text = "QUICK RUN, NOT FOR COMPARISON: " + text
	}
	return text
}

func (r *Report) chartWhere() string {
	day, _, _ := strings.Cut(r.Time, "T")
	return fmt.Sprintf("%s, Linux %s, %s, commit %s", r.Machine.CPU, r.Machine.Kernel, day, r.Commit)
}

// bar is one tool in one row.
type bar struct {
	tool  string
	times float64 // of ferry's wall time
	wall  float64
}

// chartBars returns the tools of a row from the quickest to the slowest; none if ferry is not among them.
func (r *Row) chartBars() []bar {
	f := r.Find("ferry")
	if f == nil || r.Unit != "" {
		return nil
	}
	own, ok := f.Median(Wall, 0)
	if !ok || own == 0 {
		return nil
	}
	var bars []bar
	for i := range r.Series {
		if wall, ok := r.Series[i].Median(Wall, 0); ok {
			bars = append(bars, bar{r.Series[i].Tool, wall / own, wall})
		}
	}
	slices.SortStableFunc(bars, func(a, b bar) int {
		if a.times < b.times {
			return -1
		}
		return 1
	})
	return bars
}

func (b bar) draw(w *bytes.Buffer, y int) {
	class := "peer"
	switch {
	case strings.HasPrefix(b.tool, "ferry"):
		class = "ferry"
	case strings.Contains(b.tool, "bare"):
		class = "bare"
	}
	shown := min(b.times, mostTimes)
	width := max(1, int(shown/mostTimes*(barsEnd-barsBegin)))
	fmt.Fprintf(w, `<text x="%d" y="%d" text-anchor="end">%s</text>`, labelEnd, y+barHeight-2, escape(b.tool))
	fmt.Fprintf(w, `<rect class="%s" x="%d" y="%d" width="%d" height="%d" rx="2"/>`, class, barsBegin, y, width, barHeight)
	if b.times > mostTimes { // a cut through a bar that goes on
		fmt.Fprintf(w, `<path class="back" d="M%d %dl6 0 -5 %d -6 0z"/>`, barsBegin+width-24, y, barHeight)
	}
	fmt.Fprintf(w, `<text class="dim" x="%d" y="%d">%.2f x, %s s</text>`+"\n", barsBegin+width+6, y+barHeight-2, b.times, number(b.wall))
}

func escape(s string) string {
	var b strings.Builder
	xml.EscapeText(&b, []byte(s))
	return b.String()
}
