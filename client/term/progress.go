package term

import (
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

const (
	redraw     = 100 * time.Millisecond // between two frames of the bars
	barDelay   = 200 * time.Millisecond // a shorter transfer shows no bar
	plainEvery = 10 * time.Second
	jsonEvery  = time.Second
	rateWindow = 5 * time.Second // the shown rate is the mean over this time
	stallAfter = 5 * time.Second // without a byte
	minColumns = 40              // a narrower terminal gets plain lines
)

// Progress shows how transfers go on. Its methods may be called concurrently.
type Progress struct {
	w     io.Writer
	lines io.Writer // takes whole lines while there are no bars
	mode  string    // bar, plain, json or none

	mu    sync.Mutex // guards what follows, and writes to w
	bars  *mpb.Progress
	shown int // meters that have a bar in bars
}

// NewProgress makes a Progress that writes to w. The mode bar draws bars, but only on a terminal
// that can show them, else it is plain, as are auto and any other word; plain writes a line
// every 10 s; json writes an object a second and one at the end of each transfer; none writes
// nothing.
func NewProgress(w io.Writer, mode string) *Progress {
	p := &Progress{w: w, lines: w}
	p.SetMode(mode)
	return p
}

// OnTerminal reports whether it writes to a terminal.
func (p *Progress) OnTerminal() bool {
	f, ok := p.w.(*os.File)
	return ok && IsTerminal(f)
}

// Through lets whole lines pass through w while there are no bars: something that knows where on the terminal a line is being
// typed. Without a terminal it does nothing.
func (p *Progress) Through(w io.Writer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.OnTerminal() {
		p.lines = w
	}
}

// SetMode changes the mode, for the transfers that begin after it.
func (p *Progress) SetMode(mode string) {
	p.mode = mode
	if mode == "json" || mode == "none" {
		return
	}
	p.mode = "plain"
	if f, ok := p.w.(*os.File); ok && mode != "plain" && IsTerminal(f) && !dumb() {
		if columns, _ := Size(f); columns >= minColumns {
			p.mode = "bar"
		}
	}
}

// Write prints whole lines to the underlying writer, above the bars if there are any.
func (p *Progress) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bars != nil {
		return p.bars.Write(b)
	}
	return p.lines.Write(b)
}

// Start begins a transfer of total bytes, or -1 if that is not known. The name may come from
// anywhere, it is escaped here. Done must be called in the end.
func (p *Progress) Start(name string, total int64) *Meter { return p.StartTree(name, total, 0) }

// StartTree begins a transfer of so many files, which have total bytes together.
func (p *Progress) StartTree(name string, total int64, files int) *Meter {
	m := &Meter{p: p, name: name, escaped: Escape(name), allFiles: files, started: time.Now()}
	m.total.Store(total)
	m.last.Store(m.started.UnixNano())
	m.samples = []sample{{m.started, 0}}
	switch p.mode {
	case "bar":
		m.timer = time.AfterFunc(barDelay, m.show)
	case "plain":
		m.timer = time.AfterFunc(plainEvery, func() { m.tick(plainEvery) })
	case "json":
		m.timer = time.AfterFunc(jsonEvery, func() { m.tick(jsonEvery) })
	}
	return m
}

// A Meter counts one transfer. Its methods may be called concurrently; all but Done cost a few
// nanoseconds.
type Meter struct {
	p       *Progress
	name    string
	escaped string
	started time.Time

	allFiles      int          // 0 for a single one
	total         atomic.Int64 // bytes, or -1
	files         atomic.Int64 // that are done
	reused, moved atomic.Int64
	last          atomic.Int64 // when bytes were counted last, Unix nanoseconds
	note          atomic.Pointer[string]

	timer *time.Timer // nil with none

	// The rest is guarded by p.mu.
	bar  *mpb.Bar
	done bool

	mu      sync.Mutex // guards samples; not p.mu, which Done holds while bars are drawn
	samples []sample   // oldest first, at least one
}

type sample struct {
	at    time.Time
	moved int64
}

// Reuse counts n bytes that were there already.
func (m *Meter) Reuse(n int64) {
	m.reused.Add(n)
	m.last.Store(time.Now().UnixNano())
}

// Add counts n bytes moved now.
func (m *Meter) Add(n int64) {
	m.moved.Add(n)
	m.last.Store(time.Now().UnixNano())
}

// File counts a file that is done.
func (m *Meter) File() { m.files.Add(1) }

// Grow corrects the number of bytes that there are in all.
func (m *Meter) Grow(n int64) { m.total.Add(n) }

// Note shows text in place of the rate until Note("").
func (m *Meter) Note(text string) {
	text = Escape(text)
	m.note.Store(&text)
}

// Done ends the meter. When the last one is done its bar is gone from the screen on return, and
// the cursor stands where the first bar was. A second Done does nothing.
func (m *Meter) Done() {
	p := m.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if m.done {
		return
	}
	m.done = true
	if m.timer != nil {
		m.timer.Stop()
	}
	if p.mode == "json" {
		m.writeJSON()
	}
	if m.bar == nil {
		return
	}
	m.bar.Abort(true)
	if p.shown--; p.shown == 0 {
		p.bars.Wait()
		p.bars = nil
	}
}

// show gives the meter a bar. The bars only draw: the figures stay in the meter, so that
// counting never waits for a frame.
func (m *Meter) show() {
	p := m.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if m.done {
		return
	}
	if p.bars == nil {
		p.bars = mpb.New(mpb.WithOutput(p.w), mpb.WithRefreshRate(redraw))
	}
	m.bar = p.bars.MustAdd(0, mpb.BarFillerFunc(func(w io.Writer, s decor.Statistics) error {
		// One column stays free: a full line would wrap on some terminals.
		_, err := io.WriteString(w, m.state(time.Now()).line(s.AvailableWidth-1))
		return err
	}), mpb.BarFillerTrim())
	p.shown++
}

// tick writes a line or an object and comes again.
func (m *Meter) tick(every time.Duration) {
	m.p.mu.Lock()
	defer m.p.mu.Unlock()
	if m.done {
		return
	}
	if m.p.mode == "json" {
		m.writeJSON()
	} else {
		fmt.Fprintln(m.p.lines, m.state(time.Now()).plain())
	}
	m.timer.Reset(every)
}

// report is one line of the mode json.
type report struct {
	Progress string  `json:"progress"`            // the name
	Total    int64   `json:"total"`               // bytes, -1 if not known
	Reused   int64   `json:"reused"`              // bytes
	Moved    int64   `json:"moved"`               // bytes
	Rate     float64 `json:"rate"`                // bytes a second
	Files    int64   `json:"files,omitempty"`     // done, of all_files
	AllFiles int     `json:"all_files,omitempty"` // 0 for a single file
	Note     string  `json:"note,omitempty"`
	Done     bool    `json:"done,omitempty"` // the transfer is over, whatever came of it
}

// Line says in one line how far the transfer is now.
func (m *Meter) Line() string { return m.state(time.Now()).plain() }

// writeJSON is called with p.mu held. Progress that cannot be written is not worth an error.
func (m *Meter) writeJSON() {
	s := m.state(time.Now())
	line, err := JSON(report{m.name, s.total, s.reused, s.moved, math.Round(s.rate), s.files, s.allFiles, s.note, m.done})
	if err == nil {
		m.p.w.Write(line)
	}
}

// state is what is shown of a meter at one moment.
type state struct {
	name                 string
	total, reused, moved int64
	files                int64         // done
	allFiles             int           // 0 for a single one
	rate                 float64       // bytes a second
	stalled              time.Duration // since the last byte
	note                 string
}

func (m *Meter) state(now time.Time) state {
	s := state{name: m.escaped, total: m.total.Load(), reused: m.reused.Load(), moved: m.moved.Load(), files: m.files.Load(), allFiles: m.allFiles}
	s.stalled = now.Sub(time.Unix(0, m.last.Load()))
	if note := m.note.Load(); note != nil {
		s.note = *note
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.samples) > 1 && now.Sub(m.samples[1].at) >= rateWindow {
		m.samples = m.samples[1:]
	}
	if d := now.Sub(m.samples[0].at).Seconds(); d > 0 {
		s.rate = float64(s.moved-m.samples[0].moved) / d
	}
	if now.Sub(m.samples[len(m.samples)-1].at) >= rateWindow/10 {
		m.samples = append(m.samples, sample{now, s.moved})
	}
	return s
}

// part returns how much of the total n is, 0 to 1.
func (s state) part(n int64) float64 {
	if s.total <= 0 {
		return 1
	}
	return min(float64(n)/float64(s.total), 1)
}

func (s state) amount() string {
	have := s.reused + s.moved
	if s.total < 0 {
		return Bytes(have)
	}
	return fmt.Sprintf("%s of %s", Bytes(min(have, s.total)), Bytes(s.total))
}

// count tells how many files are done, "" for a single one.
func (s state) count() string {
	if s.allFiles == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d files, ", min(s.files, int64(s.allFiles)), s.allFiles)
}

func (s state) percent() string {
	return fmt.Sprintf("%d%%", int(s.part(s.reused+s.moved)*100))
}

// pace is the rate, or what holds it up.
func (s state) pace() string {
	switch {
	case s.note != "":
		return s.note
	case s.stalled >= stallAfter:
		return fmt.Sprintf("stalled %d s", int(s.stalled.Seconds()))
	}
	return Rate(s.rate)
}

// left is the time to go as 0:19 or 1:02:03, or "" if that cannot be said.
func (s state) left() string {
	if s.total < 0 || s.rate < 1 || s.note != "" || s.stalled >= stallAfter {
		return ""
	}
	seconds := math.Ceil(float64(max(s.total-s.reused-s.moved, 0)) / s.rate)
	if seconds >= 100*3600 {
		return ""
	}
	n := int(seconds)
	if n >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", n/3600, n/60%60, n%60)
	}
	return fmt.Sprintf("%d:%02d", n/60, n%60)
}

// plain is the line of the mode plain.
func (s state) plain() string {
	line := s.name + ": " + s.count() + s.amount()
	if s.total >= 0 {
		line += " (" + s.percent() + ")"
	}
	return line + ", " + s.pace()
}

// line is the line of the mode bar, at most columns wide: the name, the percentage, a bar
// (- for reused, = for moved), amounts, pace and time left; on a narrow terminal without the
// bar, then without the amounts.
func (s state) line(columns int) string {
	room := max(columns/4, 12)
	name := Truncate(s.name, room)
	name += strings.Repeat(" ", room-Width(name))
	if s.total >= 0 {
		name += fmt.Sprintf(" %4s", s.percent())
	}
	end := fmt.Sprintf("%11s %7s", s.pace(), s.left())
	for _, amount := range []string{s.count() + s.amount(), s.amount()} {
		if long := fmt.Sprintf("%22s %s", amount, end); Width(name)+Width(long) < columns {
			end = long
			break
		}
	}
	free := columns - Width(name) - Width(end) - 4 // brackets and the blanks around them
	if s.total < 0 || free < 8 {
		return Truncate(name+" "+end, columns)
	}
	reused := int(s.part(s.reused) * float64(free))
	have := int(s.part(s.reused+s.moved) * float64(free))
	bar := strings.Repeat("-", reused) + strings.Repeat("=", max(have-reused, 0))
	return fmt.Sprintf("%s [%-*s] %s", name, free, bar, end)
}
