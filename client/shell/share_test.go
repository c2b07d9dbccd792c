package shell

import (
	"io"
	"strings"
	"testing"
)

// TestShare: what is in front takes the connections it wants while it is alone; jobs leave one to each other, to what is in front and to
// Tab.
func TestShare(t *testing.T) {
	front := New(Config{In: NewScript(strings.NewReader(""), io.Discard), Out: io.Discard})
	want := func(s *Shell, wanted, got int) {
		t.Helper()
		n := wanted
		if n == 0 {
			n = 4 // a long line
		}
		if n := s.allot(wanted, n); n != got {
			t.Errorf("of %d wanted connections %d may be taken, want %d", wanted, n, got)
		}
	}
	want(front, 16, 16)
	want(front, 0, 0)
	var shells []*Shell
	for range maxRunning {
		b := &background{state: jobRunning}
		sh, err := front.fork(b)
		if err != nil {
			t.Fatal(err)
		}
		front.jobs.list = append(front.jobs.list, b)
		shells = append(shells, sh)
	}
	want(shells[0], 0, 0)
	want(shells[0], 0, 0) // a second one of the same command
	want(shells[1], 16, 4)
	want(shells[2], 0, 1)
	want(front, 16, 1)
	shells[1].unshare()
	want(front, 2, 2)
	want(shells[3], 16, 3)
	taken := 0
	for _, s := range append(shells, front) {
		taken += 1 + s.helping
	}
	if taken > 15 {
		t.Errorf("together they take %d connections, and leave none to Tab", taken)
	}
}
