package term

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	rateWindow = 5 * time.Second // the shown rate is the mean over this time
	stallAfter = 4 * time.Second // without a byte, it is told what is waited for
)

// A Meter counts one transfer, or what is looked at before one. Its methods may be called concurrently; counting costs a few
// nanoseconds and never waits for what is drawn.
type Meter struct {
	name    string
	escaped string
	started time.Time
	whole   *Meter // that this is a part of, or nil

	allFiles      int          // 0 for a single one
	total         atomic.Int64 // bytes, or -1
	files         atomic.Int64 // that are done
	names         atomic.Int64 // that were looked at
	reused, moved atomic.Int64
	left, there   atomic.Int64 // bytes that are still to be compared, of those that seem to be there
	last          atomic.Int64 // when anything was counted last, Unix nanoseconds
	why           atomic.Pointer[func(time.Duration) string]

	mu      sync.Mutex  // guards what follows; taken after that of a Progress
	samples []sample    // oldest first, at least one
	parts   []*Meter    // of files that are under way
	shown   []*Progress // where it is shown
	done    bool
}

type sample struct {
	at    time.Time
	moved int64
}

// NewMeter returns a meter of total bytes, -1 if that is not known, in so many files, 0 for a single one. Nobody sees it
// before some Progress follows it. The name may come from anywhere, it is escaped here.
func NewMeter(name string, total int64, files int) *Meter {
	m := &Meter{name: name, escaped: Escape(name), allFiles: files, started: time.Now()}
	m.total.Store(total)
	m.last.Store(m.started.UnixNano())
	m.samples = []sample{{m.started, 0}}
	return m
}

// Part begins a file of the transfer that is worth a line of its own. What it counts, the whole counts too. Done must be
// called in the end.
func (m *Meter) Part(name string, total int64) *Meter {
	p := NewMeter(name, total, 0)
	p.whole = m
	m.mu.Lock()
	defer m.mu.Unlock()
	m.parts = append(m.parts, p)
	return p
}

// Reuse counts n bytes that were there already.
func (m *Meter) Reuse(n int64) { m.count(&m.reused, n); m.up(func(w *Meter) { w.Reuse(n) }) }

// Add counts n bytes moved now.
func (m *Meter) Add(n int64) { m.count(&m.moved, n); m.up(func(w *Meter) { w.Add(n) }) }

// Names tells that n names were looked at so far; how many there are is not known.
func (m *Meter) Names(n int64) {
	if m.names.Swap(n) != n {
		m.last.Store(time.Now().UnixNano())
	}
}

// Checking tells that of there bytes that seem to be at the target already left are still to be compared with the source.
func (m *Meter) Checking(left, there int64) {
	m.there.Store(there)
	if m.left.Swap(left) != left {
		m.count(&m.reused, 0)
		m.up(func(w *Meter) { w.count(&w.reused, 0) })
	}
}

func (m *Meter) count(what *atomic.Int64, n int64) {
	what.Add(n)
	m.last.Store(time.Now().UnixNano())
}

func (m *Meter) up(count func(*Meter)) {
	if m.whole != nil {
		count(m.whole)
	}
}

// File counts a file that is done.
func (m *Meter) File() { m.count(&m.files, 1) }

// Grow corrects the number of bytes that there are in all.
func (m *Meter) Grow(n int64) { m.total.Add(n) }

// Why has f asked, whenever the meter is shown, what holds the transfer up, after so long without anything counted; "" if
// nothing does. The answer is shown in place of the rate. f must not use the meter.
func (m *Meter) Why(f func(idle time.Duration) string) { m.why.Store(&f) }

// Line returns what is to be said now, without a line end: name, files, bytes, rate and time to go, or what holds it up.
func (m *Meter) Line() string { return m.state(time.Now()).plain() }

// Done ends the meter. When it is the last one of a Progress, its bar is gone from the screen on return and the cursor stands
// where that was. A second Done does nothing.
func (m *Meter) Done() {
	m.mu.Lock()
	shown := m.shown
	if m.done {
		shown = nil
	}
	m.done, m.shown = true, nil
	m.mu.Unlock()
	m.up(func(w *Meter) { w.ended(m) })
	for _, p := range shown {
		p.leave(m, true)
	}
}

// ended takes away a part that is over.
func (m *Meter) ended(part *Meter) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.parts = slices.DeleteFunc(m.parts, func(p *Meter) bool { return p == part })
}

func (m *Meter) underWay() []*Meter {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.parts)
}

// running returns the parts that are worth a line: the longest of those that have lived for a while.
func (m *Meter) running(now time.Time) []*Meter {
	if m.allFiles == 1 {
		return nil // it would say the same
	}
	list := slices.DeleteFunc(m.underWay(), func(p *Meter) bool { return now.Sub(p.started) < partDelay })
	slices.SortStableFunc(list, func(a, b *Meter) int { return int(min(max(b.total.Load()-a.total.Load(), -1), 1)) })
	return list[:min(len(list), maxParts)]
}

// state is what is shown of a meter at one moment.
type state struct {
	name                 string
	total, reused, moved int64
	left, there          int64
	names                int64
	files                int64 // done
	allFiles             int   // 0 for a single one
	rate                 float64
	idle                 time.Duration // since anything was counted
	held                 string        // what holds it up, or what it does besides moving bytes; "" if it moves bytes
}

func (m *Meter) state(now time.Time) state {
	s := state{name: m.escaped, total: m.total.Load(), reused: m.reused.Load(), moved: m.moved.Load(), left: m.left.Load(), there: m.there.Load(),
		names: m.names.Load(), files: m.files.Load(), allFiles: m.allFiles}
	s.idle = now.Sub(time.Unix(0, m.last.Load()))
	s.rate = m.rate(now, s.moved)
	for _, part := range m.underWay() {
		s.left, s.there = s.left+part.left.Load(), s.there+part.there.Load()
	}
	if why := m.why.Load(); why != nil {
		s.held = Escape((*why)(s.idle))
	}
	switch {
	case s.held != "":
	case s.left > 0 && s.rate < 1:
		s.held = fmt.Sprintf("checking what is there (%s of %s)", Bytes(s.there-s.left), Bytes(s.there))
	case s.names > 0 && s.total < 0:
		s.held = fmt.Sprintf("comparing %d+ names", s.names)
	case s.total > 0 && s.have() >= s.total:
		s.held = "finishing"
	case s.idle >= stallAfter:
		s.held = fmt.Sprintf("stalled %d s", int(s.idle.Seconds()))
	}
	return s
}

// rate is bytes a second of those that were moved lately.
func (m *Meter) rate(now time.Time, moved int64) (rate float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.samples) > 1 && now.Sub(m.samples[1].at) >= rateWindow {
		m.samples = m.samples[1:]
	}
	if d := now.Sub(m.samples[0].at).Seconds(); d > 0 {
		rate = float64(moved-m.samples[0].moved) / d
	}
	if now.Sub(m.samples[len(m.samples)-1].at) >= rateWindow/10 {
		m.samples = append(m.samples, sample{now, moved})
	}
	return max(rate, 0)
}
