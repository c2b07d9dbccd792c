package shell

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

// stage is a shell with a command `hold NAME`, which tells that it began and waits until it is let go, or stopped.
type stage struct {
	*Shell
	began chan string
	let   chan struct{}

	mu        sync.Mutex
	now, most int // how many hold, and did at once
}

func newStage(t *testing.T) *stage {
	st := &stage{Shell: New(Config{Out: io.Discard}), began: make(chan string, 100), let: make(chan struct{})}
	count := func(n int) {
		st.mu.Lock()
		defer st.mu.Unlock()
		st.now += n
		st.most = max(st.most, st.now)
	}
	st.commands = append(st.commands, Command{Name: "hold", Min: 1, Max: 1, Run: func(ctx context.Context, s *Shell, c *Call) error {
		count(1)
		defer count(-1)
		st.began <- c.Args()[0]
		select {
		case <-st.let:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}})
	t.Cleanup(func() { st.jobs.endAll(errStopped) })
	return st
}

func (st *stage) types(t *testing.T, line string) {
	t.Helper()
	if code, _ := st.Line(t.Context(), line); code != exitOK {
		t.Fatalf("%s: %d", line, code)
	}
}

func (st *stage) states() string {
	var out []string
	for _, b := range st.jobs.all(func(*background) bool { return true }) {
		how, _ := st.jobs.how(b)
		out = append(out, fmt.Sprintf("%d %s", b.number, how))
	}
	return strings.Join(out, ", ")
}

// TestTurns: no more jobs run at once than may, and those of the queue one after the other, in their order; one that was
// stopped before its turn never runs.
func TestTurns(t *testing.T) {
	st := newStage(t)
	for i := range maxRunning {
		st.types(t, fmt.Sprintf("hold %d &", i))
		<-st.began
	}
	st.types(t, "hold later & hold never & queue hold first; queue hold second; queue hold third")
	st.types(t, "kill 10 13")
	want := "1 running, 2 running, 3 running, 4 running, 5 running, 6 running, 7 running, 8 running, 9 queued, 11 queued, 12 queued"
	if got := st.states(); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	st.types(t, "kill 3")
	if name := <-st.began; name != "later" {
		t.Errorf("%s began", name)
	}
	st.types(t, "kill 1")
	if name := <-st.began; name != "first" {
		t.Errorf("%s began", name)
	}
	st.types(t, "kill 2")
	if got := st.states(); !strings.HasSuffix(got, "9 running, 11 running, 12 queued") {
		t.Errorf("%s: two of the queue run at once", got)
	}
	close(st.let)
	st.types(t, "wait")
	if name := <-st.began; name != "second" || len(st.began) > 0 {
		t.Errorf("%s began, and %d more", name, len(st.began))
	}
	if st.most > maxRunning {
		t.Errorf("%d ran at once", st.most)
	}
	if got := st.states(); got != "" {
		t.Errorf("not forgotten: %s", got)
	}
}

// TestInterruptedWait: what ends a wait, or a command in front, leaves the jobs alone; what ends fg stops its job.
func TestInterruptedWait(t *testing.T) {
	st := newStage(t)
	st.types(t, "hold a & hold b &")
	<-st.began
	<-st.began
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errInterrupted)
	for _, line := range []string{"wait", "hold c"} {
		if code, _ := st.Line(ctx, line); code != exitStopped {
			t.Errorf("%s: %d", line, code)
		}
	}
	if got := st.states(); got != "1 running, 2 running" {
		t.Error(got)
	}
	if code, _ := st.Line(ctx, "fg"); code != exitStopped {
		t.Errorf("fg: %d", code)
	}
	if got := st.states(); got != "1 running" {
		t.Error(got)
	}
	// Nor does a job that does not end hold up who stops it.
	st.commands = append(st.commands, Command{Name: "stuck", Run: func(context.Context, *Shell, *Call) error { <-st.let; return nil }})
	st.types(t, "stuck &")
	if code, _ := st.Line(ctx, "kill 2"); code != exitStopped {
		t.Errorf("kill: %d", code)
	}
	close(st.let)
	if code, _ := st.Line(t.Context(), "wait"); code != exitTerminated {
		t.Errorf("wait: %d", code)
	}
}

// TestEndOfRun: a run ends with its jobs, which its end stops as well.
func TestEndOfRun(t *testing.T) {
	st := newStage(t)
	st.In = NewScript(strings.NewReader(""), io.Discard)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for <-st.began != "c" {
		}
		cancel()
	}()
	if code := st.Run(ctx, "queue hold a; queue hold b; hold c &"); code != exitTerminated {
		t.Errorf("exit code %d", code)
	}
	if got := st.states(); got != "1 stopped, 2 stopped, 3 stopped" {
		t.Error(got)
	}
}

// TestJobLines: each line of what a job says has its number in front; results are passed on by whole lines.
func TestJobLines(t *testing.T) {
	var got []string
	w := writes(func(b []byte) { got = append(got, string(b)) })
	io.WriteString(&marked{w: w, mark: "[2] "}, "put: a: denied\nhint: no\n")
	o := &whole{w: w}
	for _, text := range []string{"a", "b\nc", "d\ne\nf", strings.Repeat("x", maxHeld), "y\n", "z"} {
		if n, err := io.WriteString(o, text); n != len(text) || err != nil {
			t.Error(n, err)
		}
	}
	o.flush()
	o.flush()
	want := []string{"[2] put: a: denied\n[2] hint: no\n", "ab\n", "cd\ne\n", "f" + strings.Repeat("x", maxHeld), "y\n", "z"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// TestHush: while a program has the terminal what jobs say is kept, and when there is too much of it they wait.
func TestHush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		w := writes(func(b []byte) { got = append(got, string(b)) })
		var h hush
		one, other := hushed{&h, w}, hushed{&h, w}
		io.WriteString(one, "before\n")
		h.begin()
		h.begin()
		io.WriteString(one, "a\n")
		io.WriteString(other, "b\n")
		h.end()
		large := strings.Repeat("x", maxHushed)
		io.WriteString(one, large)
		done := make(chan struct{})
		go func() {
			defer close(done)
			io.WriteString(other, "c\n")
		}()
		synctest.Wait()
		select {
		case <-done:
			t.Error("nobody waits")
		default:
		}
		if len(got) != 1 {
			t.Errorf("%d were not kept", len(got))
		}
		h.end()
		<-done
		io.WriteString(one, "after\n")
		if want := []string{"before\n", "a\n", "b\n", large, "c\n", "after\n"}; !slices.Equal(got, want) {
			t.Errorf("%d lines: %.100q", len(got), got)
		}
	})
}

// writes is a writer that is a function.
type writes func([]byte)

func (w writes) Write(b []byte) (int, error) {
	w(b)
	return len(b), nil
}
