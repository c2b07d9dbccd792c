// Package picture draws what stood on a terminal as an SVG image that shows one screen after the other, again and again. It
// brings its own background, so that it can be read on a light page and on a dark one. Who wants no motion, and a program that
// cannot move pictures, sees the last screen.
package picture

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/hinshun/vt10x"
)

// Frame is what stood on a terminal at one moment.
type Frame struct {
	Stay time.Duration // how long the picture shows it

	columns, rows int
	lines         [][]run // no blanks at the end
	cursor        *place  // nil if it was hidden
}

// String returns the lines that are not empty, without blanks at their ends.
func (f Frame) String() string {
	var lines []string
	for _, line := range f.lines {
		if len(line) == 0 {
			continue
		}
		text := ""
		for _, r := range line {
			text += r.text
		}
		lines = append(lines, text)
	}
	return strings.Join(lines, "\n")
}

// run is text on one line that looks the same.
type run struct {
	at     int // column
	text   string
	fg, bg vt10x.Color
	bold   bool
}

type place struct{ x, y int }

// Take copies what stands on a terminal. Every character takes one cell there: the emulator knows no wide ones.
func Take(vt vt10x.View) Frame {
	vt.Lock()
	defer vt.Unlock()
	var f Frame
	f.columns, f.rows = vt.Size()
	for y := range f.rows {
		f.lines = append(f.lines, takeLine(vt, y, f.columns))
	}
	if c := vt.Cursor(); vt.CursorVisible() {
		f.cursor = &place{c.X, c.Y}
	}
	return f
}

const bold = 1 << 2 // of vt10x.Glyph.Mode

func takeLine(vt vt10x.View, y, columns int) []run {
	var line []run
	for x := range columns {
		c := vt.Cell(x, y)
		if c.Char == 0 {
			c.Char = ' '
		}
		r := run{x, string(c.Char), c.FG, c.BG, c.Mode&bold != 0}
		if n := len(line); n > 0 && line[n-1].looks(r) {
			line[n-1].text += r.text
		} else {
			line = append(line, r)
		}
	}
	if n := len(line) - 1; line[n].bg == vt10x.DefaultBG {
		line[n].text = strings.TrimRight(line[n].text, " ")
		if line[n].text == "" {
			line = line[:n]
		}
	}
	return line
}

// looks reports whether the two differ only in their text.
func (r run) looks(as run) bool { return r.fg == as.fg && r.bg == as.bg && r.bold == as.bold }

// The grid, in pixels.
const (
	cellWidth  = 8.4 // of most fonts with characters of one width, at fontSize
	cellHeight = 18
	fontSize   = 14
	margin     = 16
)

// The colours of the page and of the sixteen that a terminal has names for.
const (
	foreground = "#d8dee9"
	background = "#1f2430"
	cursor     = "#76819a"
)

func named() [16]string {
	return [16]string{
		"#3b4252", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#c8ccd4",
		"#7f8796", "#ef7f88", "#a9d48a", "#f0cf8c", "#7cc0f8", "#d592e8", "#6ccbd6", "#ffffff",
	}
}

// paint returns a colour as SVG writes it.
func paint(c vt10x.Color) string {
	switch {
	case c == vt10x.DefaultFG:
		return foreground
	case c == vt10x.DefaultBG:
		return background
	case c < 16:
		return named()[c]
	case c < 232: // a cube of six steps each
		step := func(n vt10x.Color) vt10x.Color { return min(n, 1)*55 + n*40 }
		c -= 16
		return fmt.Sprintf("#%02x%02x%02x", step(c/36), step(c/6%6), step(c%6))
	case c < 256:
		grey := 8 + (c-232)*10
		return fmt.Sprintf("#%02x%02x%02x", grey, grey, grey)
	}
	return fmt.Sprintf("#%06x", uint32(c)&0xffffff)
}

// Write writes the picture of at least one frame; the title is for those who cannot see it.
func Write(w io.Writer, title string, frames []Frame) error {
	var b strings.Builder
	var whole time.Duration
	columns, rows := 0, 0
	for _, f := range frames {
		whole += f.Stay
		columns, rows = max(columns, f.columns), max(rows, f.rows)
	}
	width, height := px(columns)+2*margin, rows*cellHeight+2*margin
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" xml:space="preserve" role="img" width="%g" height="%d" viewBox="0 0 %g %d">`+"\n", width, height, width, height)
	fmt.Fprintf(&b, "<title>%s</title>\n<style>\n", escape(title))
	fmt.Fprintf(&b, "text{font:%dpx ui-monospace,SFMono-Regular,Menlo,Consolas,\"DejaVu Sans Mono\",monospace;fill:%s;white-space:pre}\n.b{font-weight:bold}\n", fontSize, foreground)
	b.WriteString("g{opacity:0}g:last-of-type{opacity:1}\n")
	begin := time.Duration(0)
	for i, f := range frames {
		end := begin + f.Stay
		part := func(d time.Duration) float64 { return float64(d) * 100 / float64(whole) }
		// A frame that begins at 0 % or ends at 100 % has that value twice: the later one counts, and the other is never reached.
		fmt.Fprintf(&b, "@keyframes k%d{0%%{opacity:0}%.4g%%{opacity:1}%.4g%%{opacity:0}}#s%d{animation:k%d %gs step-end infinite}\n", i, part(begin), part(end), i, i, whole.Seconds())
		begin = end
	}
	b.WriteString("@media(prefers-reduced-motion:reduce){g{animation:none!important}}\n</style>\n")
	fmt.Fprintf(&b, `<rect width="%g" height="%d" rx="8" fill="%s" stroke="#4c566a"/>`+"\n", width, height, background)
	for i, f := range frames {
		fmt.Fprintf(&b, "<g id=\"s%d\">\n", i)
		f.draw(&b)
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// px is where a column begins, or how wide so many are.
func px(columns int) float64 { return math.Round(float64(columns)*cellWidth*10) / 10 }

func escape(s string) string {
	var b strings.Builder
	xml.EscapeText(&b, []byte(s)) // a Builder takes everything
	return b.String()
}

func (f Frame) draw(b *strings.Builder) {
	box := func(x, y, columns int, fill string) {
		fmt.Fprintf(b, "<rect x=\"%g\" y=\"%d\" width=\"%g\" height=\"%d\" fill=\"%s\"/>\n", margin+px(x), margin+y*cellHeight, px(columns), cellHeight, fill)
	}
	if f.cursor != nil { // under the text
		box(f.cursor.x, f.cursor.y, 1, cursor)
	}
	for y, line := range f.lines {
		if len(line) == 0 {
			continue
		}
		columns := 0
		var text strings.Builder
		for _, r := range line {
			n := len([]rune(r.text))
			if r.bg != vt10x.DefaultBG {
				box(r.at, y, n, paint(r.bg))
			}
			columns += n
			text.WriteString(r.markup())
		}
		// The length of the text keeps the columns where they are, whatever the font.
		fmt.Fprintf(b, `<text x="%d" y="%d" textLength="%g">%s</text>`+"\n", margin, margin+y*cellHeight+fontSize, px(columns), text.String())
	}
}

// markup returns the text as SVG.
func (r run) markup() string {
	attributes := ""
	if r.fg != vt10x.DefaultFG {
		attributes += ` fill="` + paint(r.fg) + `"`
	}
	if r.bold {
		attributes += ` class="b"`
	}
	if attributes == "" {
		return escape(r.text)
	}
	return "<tspan" + attributes + ">" + escape(r.text) + "</tspan>"
}

// Read returns the texts of the frames of a picture that Write wrote, as their String.
func Read(r io.Reader) ([]string, error) {
	var doc struct {
		Frames []struct {
			Lines []struct {
				Text string `xml:",innerxml"`
			} `xml:"text"`
		} `xml:"g"`
	}
	if err := xml.NewDecoder(r).Decode(&doc); err != nil {
		return nil, err
	}
	if len(doc.Frames) == 0 {
		return nil, errors.New("a picture without a screen")
	}
	var screens []string
	for _, f := range doc.Frames {
		var lines []string
		for _, l := range f.Lines {
			text, err := plain(l.Text)
			if err != nil {
				return nil, err
			}
			lines = append(lines, text)
		}
		screens = append(screens, strings.Join(lines, "\n"))
	}
	return screens, nil
}

// plain returns the characters between the marks.
func plain(markup string) (string, error) {
	d, text := xml.NewDecoder(strings.NewReader(markup)), ""
	for {
		token, err := d.Token()
		if err == io.EOF {
			return text, nil
		}
		if err != nil {
			return "", err
		}
		if c, ok := token.(xml.CharData); ok {
			text += string(c)
		}
	}
}
