package term

import (
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"ferry/shared/wire"
)

const (
	redraw     = 100 * time.Millisecond // between two frames of the bars
	barDelay   = 200 * time.Millisecond // a shorter transfer shows no bar
	partDelay  = time.Second            // a shorter file of a tree no line
	maxParts   = 3                      // lines of files below that of a tree
	plainEvery = 10 * time.Second
	glance     = time.Second // between two looks whether a line is due; objects are written as often
)

// Progress shows how transfers go on. Its methods may be called concurrently.
type Progress struct {
	w    io.Writer
	file *os.File // w, if that is a terminal

	mu    sync.Mutex // guards what follows, and writes to w
	lines io.Writer  // takes whole lines while there are no bars
	mode  string     // bar, plain, json or none
	views []*view
	next  *time.Timer // the next look at them
	drawn bool        // bars are on the screen
}

// view is a meter that is shown.
type view struct {
	*Meter
	since time.Time
	said  time.Time // when its last line was written
	held  bool      // and whether that told what holds it up
}

// NewProgress makes a Progress that writes to w. The modes bar and auto draw bars, but only on a terminal that can show them,
// else they are plain; plain writes a line every 10 s, and one when a transfer stalls; json writes an object a second and one
// at the end of each transfer; none writes nothing.
func NewProgress(w io.Writer, mode string) *Progress {
	p := &Progress{w: w, lines: w}
	if f, ok := w.(*os.File); ok && IsTerminal(f) {
		p.file = f
	}
	p.SetMode(mode)
	return p
}

// OnTerminal reports whether it writes to a terminal.
func (p *Progress) OnTerminal() bool { return p.file != nil }

// Through lets whole lines pass through w while there are no bars: something that knows where on the terminal a line is being
// typed. Without a terminal it does nothing.
func (p *Progress) Through(w io.Writer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.OnTerminal() {
		p.lines = w
	}
}

// SetMode changes the mode.
func (p *Progress) SetMode(mode string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
	switch {
	case mode == "json", mode == "none":
		p.mode = mode
	case mode != "plain" && p.OnTerminal() && !dumb():
		p.mode = "bar"
	default:
		p.mode = "plain"
	}
}

// Write prints whole lines to the underlying writer, above the bars if there are any.
func (p *Progress) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.drawn {
		return p.lines.Write(b)
	}
	p.erase()
	defer p.draw(time.Now())
	return p.w.Write(b)
}

// Aside lets do write to the same terminal by another way, with the bars off the screen meanwhile.
func (p *Progress) Aside(do func() error) error {
	p.mu.Lock()
	if !p.drawn {
		p.mu.Unlock()
		return do()
	}
	defer p.mu.Unlock()
	p.erase()
	defer p.draw(time.Now())
	return do()
}

// Start begins a transfer of total bytes, or -1 if that is not known. The name may come from anywhere, it is escaped here.
// Done must be called in the end.
func (p *Progress) Start(name string, total int64) *Meter { return p.StartTree(name, total, 0) }

// StartTree begins a transfer of so many files, which have total bytes together.
func (p *Progress) StartTree(name string, total int64, files int) *Meter {
	m := NewMeter(name, total, files)
	p.Follow(m)
	return m
}

// Follow shows a meter, whoever began it, until stop or its Done.
func (p *Progress) Follow(m *Meter) (stop func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	if p.mode == "none" || m.done {
		return func() {}
	}
	m.shown = append(m.shown, p)
	now := time.Now()
	p.views = append(p.views, &view{Meter: m, since: now, said: now})
	if len(p.views) == 1 {
		p.next = time.AfterFunc(p.every(), p.look)
	}
	return func() { p.leave(m, false) }
}

// leave shows a meter no longer.
func (p *Progress) leave(m *Meter, done bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.views, func(v *view) bool { return v.Meter == m })
	if i < 0 {
		return
	}
	if done && p.mode == "json" {
		p.object(m, true)
	}
	if p.views = slices.Delete(p.views, i, i+1); len(p.views) == 0 {
		p.next.Stop()
	}
	if p.drawn {
		p.draw(time.Now())
	}
}

func (p *Progress) every() time.Duration {
	if p.mode == "bar" {
		return redraw
	}
	return glance
}

// look shows what there is to be shown, and comes again.
func (p *Progress) look() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.views) == 0 {
		return
	}
	now := time.Now()
	switch p.mode {
	case "bar":
		p.draw(now)
	case "plain":
		for _, v := range p.views {
			p.line(v, now)
		}
	case "json":
		for _, v := range p.views {
			p.object(v.Meter, false)
		}
	}
	p.next.Reset(p.every())
}

// line writes a line of the mode plain, if one is due: after some time, and as soon as the transfer stalls.
func (p *Progress) line(v *view, now time.Time) {
	s := v.state(now)
	stalled := s.held != "" && s.idle >= stallAfter
	if now.Sub(v.said) < plainEvery && (!stalled || v.held) {
		return
	}
	v.said, v.held = now, stalled
	fmt.Fprintln(p.lines, s.plain())
}

// report is an object of the mode json.
type report struct {
	Progress wire.Name `json:"progress"`
	Total    int64     `json:"total"`
	Reused   int64     `json:"reused"`
	Moved    int64     `json:"moved"`
	Rate     float64   `json:"rate"`
	Left     *int64    `json:"left,omitempty"`
	Checking int64     `json:"checking,omitempty"`
	Names    int64     `json:"names,omitempty"`
	Files    int64     `json:"files,omitempty"`
	AllFiles int       `json:"all_files,omitempty"`
	Running  []running `json:"running,omitempty"`
	Note     string    `json:"note,omitempty"`
	Done     bool      `json:"done,omitempty"`
}

// running is a file of a tree in such an object.
type running struct {
	Name   wire.Name `json:"name"`
	Total  int64     `json:"total"`
	Reused int64     `json:"reused"`
	Moved  int64     `json:"moved"`
}

// object writes an object. Progress that cannot be written is not worth an error.
func (p *Progress) object(m *Meter, done bool) {
	now := time.Now()
	s := m.state(now)
	r := report{Progress: wire.Name(m.name), Total: s.total, Reused: s.reused, Moved: s.moved, Rate: math.Round(s.rate), Checking: s.left, Names: s.names,
		Files: s.files, AllFiles: s.allFiles, Done: done}
	if !done {
		r.Note = s.held
		if n, ok := s.seconds(); ok {
			r.Left = &n
		}
	}
	for _, part := range m.running(now) {
		r.Running = append(r.Running, running{wire.Name(part.name), part.total.Load(), part.reused.Load(), part.moved.Load()})
	}
	if line, err := JSON(r); err == nil {
		p.lines.Write(line)
	}
}

// draw puts the bars on the screen, or off if none is to be seen. In the background there are none: the screen is somebody
// else's. Between two drawings the cursor stands where they begin: there it stays with the text when the window changes its
// width, however the terminal then breaks its lines, so that all of them can be erased.
func (p *Progress) draw(now time.Time) {
	if !inFront(p.file) {
		p.drawn = false
		return
	}
	columns, rows := Size(p.file)
	var lines []string
	for _, v := range p.views {
		if now.Sub(v.since) < barDelay {
			continue
		}
		lines = append(lines, v.state(now).line(columns-1)) // a full line would wrap on some terminals
		for _, part := range v.running(now) {
			lines = append(lines, part.state(now).indented(columns-1))
		}
	}
	lines = lines[:min(len(lines), max(rows-1, 1))]
	if len(lines) == 0 {
		p.erase()
		return
	}
	p.drawn = true
	var b strings.Builder
	b.WriteString("\x1b[?7l") // nothing wraps, should the window have become narrower in this moment
	for i, line := range lines {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString("\r" + line + "\x1b[K")
	}
	b.WriteString("\x1b[J\r\x1b[?7h")
	if len(lines) > 1 {
		fmt.Fprintf(&b, "\x1b[%dA", len(lines)-1)
	}
	io.WriteString(p.w, b.String())
}

// erase takes the bars off the screen.
func (p *Progress) erase() {
	if p.drawn {
		p.drawn = false
		io.WriteString(p.w, "\r\x1b[J")
	}
}

// Abandon takes the bars off the screen until the next frame, for a program that may have to end at once: it waits for nothing.
func (p *Progress) Abandon() {
	if p.mu.TryLock() {
		defer p.mu.Unlock()
		p.erase()
	}
}
