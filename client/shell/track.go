package shell

import (
	"io"
	"os"
	"sync/atomic"
	"time"

	"ferry/client/config"
	"ferry/client/term"
	"ferry/client/transfer"
)

// follow shows a meter, in which here is what this side does when the server owes nothing, until stop.
func (s *Shell) follow(m *term.Meter, here string) (stop func()) {
	m.Why(s.waiting(here))
	if s.Person && s.programs.Load() > 0 { // which has the terminal now
		return func() {}
	}
	s.meter.Store(m)
	hide := s.Err.Follow(m)
	return func() {
		s.meter.CompareAndSwap(m, nil)
		hide()
	}
}

// countBy lets a meter count a transfer.
func countBy(m *term.Meter, o *transfer.Options) {
	o.Moved, o.Reused, o.Checking = m.Add, m.Reuse, m.Checking
}

// track shows a transfer as it runs. done ends that and returns how long it took.
func (s *Shell) track(name string, o *transfer.Options) (done func() time.Duration) {
	begin := time.Now()
	m := term.NewMeter(name, -1, 0)
	countBy(m, o)
	stop := func() {}
	o.Begin = func(length int64) {
		m.Grow(length + 1)
		stop = s.follow(m, thisDisk)
		begin = time.Now()
	}
	return func() time.Duration {
		m.Done()
		stop()
		return time.Since(begin)
	}
}

// comparing shows how content is compared before anything is moved.
func (s *Shell) comparing(name string, length int64) (checking func(left, there int64), stop func()) {
	m := term.NewMeter(name, length, 0)
	return m.Checking, s.follow(m, thisDisk)
}

// incoming counts what comes in on stdin, and shows that until it is asked to stop.
type incoming struct {
	io.Reader
	n atomic.Int64
}

func (i *incoming) Read(b []byte) (int, error) {
	n, err := i.Reader.Read(b)
	i.n.Add(int64(n))
	return n, err
}

// reading shows how stdin is read before it is sent.
func (s *Shell) reading(in *incoming) (stop func()) {
	m := term.NewMeter("-", -1, 0)
	var before, since atomic.Int64 // how much there was, and when it came
	since.Store(time.Now().UnixNano())
	m.Why(func(time.Duration) string {
		n, now := in.n.Load(), time.Now()
		if before.Swap(n) != n {
			since.Store(now.UnixNano())
		}
		text := "reading stdin: "
		if now.Sub(time.Unix(0, since.Load())) >= stillAfter {
			text = "waiting for stdin: "
		}
		return text + term.Bytes(n) + " so far"
	})
	return s.Err.Follow(m)
}

// mayShow tells whether a transfer to stdout may be shown: not where that is a terminal, nor, unless it was asked for, where it
// may lead to a program that has the terminal.
func (s *Shell) mayShow() bool {
	if s.programs.Load() > 0 || s.columns() > 0 {
		return false
	}
	if f, ok := s.Out.(*os.File); ok && s.setting(config.Progress).Text() == "auto" {
		info, err := f.Stat()
		return err == nil && info.Mode().IsRegular()
	}
	return true
}
