package remote_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ferry/client/remote"
	"ferry/server/servertest"
	"ferry/shared/wire"
)

// until returns the state for which ok holds.
func until(t *testing.T, c *remote.Client, what string, ok func(remote.State) bool) remote.State {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		s := c.State()
		if ok(s) {
			return s
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: the state stays %+v", what, s)
		}
	}
}

// TestStateOfASlowDisk: a server that is at work gives signs of life, and the client knows what it owes.
func TestStateOfASlowDisk(t *testing.T) {
	gate := make(chan struct{})
	open := sync.OnceFunc(func() { close(gate) })
	defer open()
	var stalled atomic.Bool
	r := newRig(t, servertest.WithBeat(20*time.Millisecond), servertest.WithWrites(func() {
		stalled.Store(true)
		<-gate
	}))
	c := r.login(r.options())
	if s := c.State(); s.Lost || s.Due != "" || s.Full || s.Carried == 0 {
		t.Errorf("idle: %+v", s)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := c.Put(context.Background(), "/f", source(noise(5<<20, 1)), remote.PutOptions{Job: remote.NewID()})
		ended <- err
	}()
	until(t, c, "stalled", func(s remote.State) bool { return stalled.Load() && s.Due == wire.CmdPut })
	before := c.State().Heard
	until(t, c, "signs of life", func(s remote.State) bool { return s.Due == wire.CmdPut && s.Heard.After(before) && !s.Full && !s.Lost })
	open()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	until(t, c, "done", func(s remote.State) bool { return s.Due == "" })
}

// TestStateOfADeadLine: while nothing passes, the last sign of life grows old and the server owes an answer; without a
// server, the tries to connect are counted.
func TestStateOfADeadLine(t *testing.T) {
	r := newRig(t)
	o := r.options()
	var tries atomic.Int64
	o.Trying = func(string) { tries.Add(1) }
	c := r.login(o)
	r.proxy.Pause()
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		_, err := c.Stat(ctx, "/none")
		ended <- err
	}()
	s := until(t, c, "asked", func(s remote.State) bool { return s.Due == wire.CmdStat })
	if later := until(t, c, "silence", func(s remote.State) bool { return time.Since(s.Heard) > 200*time.Millisecond }); later.Heard != s.Heard || later.Lost || later.Carried > s.Carried+4096 {
		t.Errorf("%+v, then %+v", s, later)
	}
	r.proxy.Resume()
	if err := <-ended; wire.CodeOf(err) != wire.NotFound {
		t.Fatal(err)
	}

	r.proxy.Close()
	go func() {
		_, err := c.Stat(ctx, "/none")
		ended <- err
	}()
	s = until(t, c, "tries", func(s remote.State) bool { return s.Lost && s.Try >= 3 && s.Next.After(time.Now()) })
	if tries.Load() < 2 || s.Due != "" {
		t.Errorf("%d tries were told: %+v", tries.Load(), s)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

// slowTarget takes nothing before its gate opens.
type slowTarget struct {
	target
	gate chan struct{}
}

func (s *slowTarget) WriteAt(p []byte, off int64) (int, error) {
	<-s.gate
	return s.target.WriteAt(p, off)
}

// TestStateOfABusyClient: answers that nobody takes are not the server's fault.
func TestStateOfABusyClient(t *testing.T) {
	r := newRig(t)
	c := r.login(r.options())
	data := noise(9<<20, 2)
	mustWrite(t, r.home("f"), data)
	e, err := c.Stat(t.Context(), "/f")
	if err != nil {
		t.Fatal(err)
	}
	to := &slowTarget{gate: make(chan struct{})}
	ended := make(chan error, 1)
	go func() {
		_, err := c.Get(context.Background(), "/f", e, to, remote.GetOptions{Streams: 1})
		ended <- err
	}()
	until(t, c, "full", func(s remote.State) bool { return s.Full })
	time.AfterFunc(50*time.Millisecond, func() { close(to.gate) })
	if err := <-ended; err != nil || !bytes.Equal(to.b, data) {
		t.Fatal(err)
	}
}

// TestChecking: of what seems to be there it is told how much is still to be compared, down to nothing; a resumed transfer
// begins with less.
func TestChecking(t *testing.T) {
	r := newRig(t)
	c := r.login(r.options())
	data := noise(40<<20+5, 3)
	mustWrite(t, r.home("f"), data)
	e, err := c.Stat(t.Context(), "/f")
	if err != nil {
		t.Fatal(err)
	}
	type step struct{ left, there int64 }
	check := func(what string, steps []step, want int64) {
		t.Helper()
		if len(steps) < 3 || steps[0] != (step{want, want}) || steps[len(steps)-1] != (step{0, want}) {
			t.Fatalf("%s: %v", what, steps)
		}
		for i := range steps[1:] {
			if steps[i+1].left > steps[i].left {
				t.Fatalf("%s: %v", what, steps)
			}
		}
	}
	var steps []step
	told := func(left, there int64) { steps = append(steps, step{left, there}) }
	to := &target{b: bytes.Clone(data)}
	to.b[20<<20]++
	res, err := c.Get(t.Context(), "/f", e, to, remote.GetOptions{Have: all(len(data)), Checking: told})
	if err != nil || res.Moved != 1<<20 {
		t.Fatal(res, err)
	}
	check("get", steps, int64(len(data)))
	steps = nil
	changed := bytes.Clone(data)
	changed[3]++
	if res, err = c.Put(t.Context(), "/f", source(changed), remote.PutOptions{Job: remote.NewID(), Checking: told}); err != nil || res.Moved != 1<<20 {
		t.Fatal(res, err)
	}
	check("put", steps, int64(len(data)))
}

// TestStateOfALimitedAccount: the server says that the rate of the account is what the bytes wait for, and answers end that.
func TestStateOfALimitedAccount(t *testing.T) {
	r := newRig(t, servertest.WithBeat(20*time.Millisecond))
	r.Set("alice", "rate_up", "256KiB/s")
	c := r.login(r.options())
	ended := make(chan error, 1)
	go func() {
		_, err := c.Put(context.Background(), "/f", source(noise(3<<20, 1)), remote.PutOptions{Job: remote.NewID()})
		ended <- err
	}()
	until(t, c, "limited", func(s remote.State) bool { return s.Pace == 256<<10 && s.Due == wire.CmdData })
	r.Set("alice", "rate_up", "")
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if s := c.State(); s.Pace != 0 || s.Due != "" {
		t.Errorf("afterwards %+v", s)
	}
}
