package shell

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"ferry/client/term"
)

// voice is where the shell of a job says what is no result: to this one, each line with the job's number. On a terminal
// there are no bars but those of what is in front.
func (s *Shell) voice(b *background) *term.Progress {
	mode := s.progress()
	out := hushed{&s.hush, s.Err}
	if s.JSON || mode == "json" { // programs find the number in the objects
		return term.NewProgress(out, mode)
	}
	if s.Err.OnTerminal() {
		mode = "none"
	}
	b.voice = &marked{w: out, mark: fmt.Sprintf("[%d] ", b.number)}
	return term.NewProgress(b.voice, mode)
}

// above is where the results of jobs go: to stdout, but on a terminal so that they spoil neither a bar nor a line that is
// being typed.
func (s *Shell) above() *whole {
	f, ok := s.stdout.(*os.File)
	switch {
	case !ok || !term.IsTerminal(f):
		return &whole{w: s.stdout}
	case s.Err.OnTerminal():
		return &whole{w: hushed{&s.hush, s.Err}, screen: f}
	}
	return &whole{w: hushed{&s.hush, s.In.Stdout()}, screen: f}
}

// maxHushed is how many bytes are kept; then jobs wait.
const maxHushed = 1 << 20

// hush keeps what jobs say while a program has the terminal, so that nothing is written over an editor. The zero value is
// ready.
type hush struct {
	mu       sync.Mutex
	programs int
	over     chan struct{} // closed when the last of them has ended
	kept     []func()      // writes
	size     int           // of all of them
}

// begin is told of a program that has the terminal.
func (h *hush) begin() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.programs++; h.programs == 1 {
		h.over = make(chan struct{})
	}
}

// end is told that it has ended.
func (h *hush) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.programs--; h.programs > 0 {
		return
	}
	for _, write := range h.kept {
		write()
	}
	h.kept, h.size = nil, 0
	close(h.over)
}

// hushed is a writer for jobs.
type hushed struct {
	*hush
	w io.Writer
}

// Write implements io.Writer.
func (h hushed) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for h.programs > 0 && h.size >= maxHushed {
		over := h.over
		h.mu.Unlock()
		<-over
		h.mu.Lock()
	}
	if h.programs == 0 {
		return h.w.Write(b)
	}
	text := bytes.Clone(b)
	h.kept = append(h.kept, func() { h.w.Write(text) })
	h.size += len(text)
	return len(b), nil
}

// marked writes whole lines with a mark in front of each.
type marked struct {
	w    io.Writer
	mark string
	said atomic.Bool // something was written
}

// Write implements io.Writer.
func (m *marked) Write(b []byte) (int, error) {
	m.said.Store(true)
	text := strings.TrimSuffix(string(b), "\n")
	if _, err := io.WriteString(m.w, m.mark+strings.ReplaceAll(text, "\n", "\n"+m.mark)+"\n"); err != nil {
		return 0, err
	}
	return len(b), nil
}

// maxHeld is how many bytes of a line wait for its end.
const maxHeld = 64 << 10

// whole passes on whole lines, so that what several jobs print at the same time is mixed by lines.
type whole struct {
	w      io.Writer
	screen *os.File // the terminal that this leads to; nil: none
	rest   []byte
}

// Write implements io.Writer.
func (o *whole) Write(b []byte) (int, error) {
	o.rest = append(o.rest, b...)
	end := bytes.LastIndexByte(o.rest, '\n') + 1
	if end == 0 && len(o.rest) > maxHeld {
		end = len(o.rest)
	}
	if end == 0 {
		return len(b), nil
	}
	_, err := o.w.Write(o.rest[:end])
	o.rest = append(o.rest[:0], o.rest[end:]...)
	if err != nil {
		return 0, err
	}
	return len(b), nil
}

// flush passes on the last line if it lacks its end, which a terminal gets all the same.
func (o *whole) flush() {
	if len(o.rest) == 0 {
		return
	}
	if o.screen != nil {
		o.rest = append(o.rest, '\n')
	}
	o.w.Write(o.rest)
	o.rest = nil
}
