package servertest

import (
	"bytes"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is how long anything may take that is awaited; only a failing test takes so long.
const patience = 30 * time.Second

// Log is what a server has logged so far.
type Log struct {
	mu   sync.Mutex // guards what follows
	text bytes.Buffer
	more chan struct{} // closed with the next write
}

func newLog() *Log { return &Log{more: make(chan struct{})} }

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.more)
	l.more = make(chan struct{})
	return l.text.Write(p)
}

// String returns everything.
func (l *Log) String() string {
	text, _ := l.now()
	return text
}

// shown is how many lines a failing test shows: more would hide what it said itself.
const shown = 40

// show shows the end of the log. All of it is kept with go test -artifacts.
func (l *Log) show(t testing.TB) {
	all := l.String()
	if f, err := os.CreateTemp(t.ArtifactDir(), "ferryd-*.log"); err == nil {
		f.WriteString(all)
		f.Close()
	}
	lines := strings.SplitAfter(all, "\n")
	t.Logf("the server's log, without %d lines before these:\n%s", max(0, len(lines)-1-shown), strings.Join(lines[max(0, len(lines)-1-shown):], ""))
}

func (l *Log) now() (text string, more <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String(), l.more
}

// Await waits until the log holds text n times, and ends the test if that does not come.
func (l *Log) Await(t testing.TB, n int, text string) {
	t.Helper()
	l.await(t, n, text, nil)
}

// await also gives up when the process that writes the log has ended.
func (l *Log) await(t testing.TB, n int, text string, ended <-chan struct{}) {
	t.Helper()
	if !l.reaches(n, text, ended) {
		t.Fatalf("the log does not hold %q %d times:\n%s", text, n, l)
	}
}

// reaches waits as await does and tells whether it came.
func (l *Log) reaches(n int, text string, ended <-chan struct{}) bool {
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		all, more := l.now()
		if strings.Count(all, text) >= n {
			return true
		}
		select {
		case <-more:
		case <-ended:
			return strings.Count(l.String(), text) >= n
		case <-late.C:
			return false
		}
	}
}
