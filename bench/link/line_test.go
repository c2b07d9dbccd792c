package link

import (
	"math"
	"testing"
	"time"
)

func TestRateAndDelay(t *testing.T) {
	l := newLine(Quality{Rate: 1_000_000, Delay: 25 * time.Millisecond})
	for i, want := range []time.Duration{26, 27, 28} { // packets of 1 ms each, all offered at once
		if due, ok := l.offer(0, 1000); !ok || due != want*time.Millisecond {
			t.Errorf("packet %d: due %v, %v; want %v ms", i, due, ok, int64(want))
		}
	}
	if due, ok := l.offer(100*time.Millisecond, 500); !ok || due != 125500*time.Microsecond {
		t.Errorf("after a pause: due %v, %v", due, ok)
	}
	fast := newLine(Quality{Delay: time.Millisecond})
	for range 10000 {
		if due, ok := fast.offer(5*time.Millisecond, 1500); !ok || due != 6*time.Millisecond {
			t.Fatalf("without a rate: due %v, %v", due, ok)
		}
	}
}

func TestQueue(t *testing.T) {
	if got := (Quality{Rate: 125_000_000, Delay: 25 * time.Millisecond}).Queue(); got != 6_250_000 {
		t.Errorf("1 Gbit/s at 50 ms queues %d", got)
	}
	if got := (Quality{Rate: 1_000_000, Delay: 25 * time.Millisecond}).Queue(); got != 1<<20 {
		t.Errorf("1 MB/s at 50 ms queues %d", got)
	}
	l := newLine(Quality{Rate: 1 << 20, Delay: time.Millisecond})
	taken := 0
	for range 3000 {
		if _, ok := l.offer(0, 1024); ok {
			taken++
		}
	}
	if taken < 1023 || taken > 1025 { // 1 MiB, give or take what rounding does
		t.Errorf("%d packets of 1 KiB were taken at once", taken)
	}
	if _, ok := l.offer(500*time.Millisecond, 1024); !ok {
		t.Error("the queue is still full after it had time to drain")
	}
}

func TestLoss(t *testing.T) {
	const n = 200_000
	run := func(seed uint64) (lost int, pattern uint64) {
		l := newLine(Quality{Loss: 0.001, Seed: seed})
		for i := range n {
			if _, ok := l.offer(0, 1500); !ok {
				lost++
				pattern = pattern*31 + uint64(i)
			}
		}
		return lost, pattern
	}
	lost, first := run(1)
	if math.Abs(float64(lost)-200) > 60 { // more than four standard deviations
		t.Errorf("%d of %d lost", lost, n)
	}
	if _, again := run(1); again != first {
		t.Error("the same seed loses other packets")
	}
	if _, other := run(2); other == first {
		t.Error("another seed loses the same packets")
	}
}

func TestTurns(t *testing.T) {
	ms := time.Millisecond
	c := turns{pause: 45 * ms}
	for _, p := range []struct {
		up   bool
		n    int
		when time.Duration
	}{
		{true, 0, 0},          // opening
		{true, 500, 1 * ms},   // request
		{true, 500, 2 * ms},   // the same burst
		{false, 700, 27 * ms}, // answer
		{true, 100, 52 * ms},  // the next request: one turn
		{true, 100, 60 * ms},
		{true, 1400, 110 * ms}, // after a pause, but nothing was said meanwhile: the window was full
		{false, 0, 135 * ms},
		{false, 10, 136 * ms},
		{true, 100, 150 * ms}, // no pause: it did not wait
		{true, 100, 210 * ms}, // nothing new was said before
	} {
		c.packet(p.up, p.n, p.when)
	}
	if c.count != 1 {
		t.Errorf("%d turns, want 1", c.count)
	}
}

func TestPayload(t *testing.T) {
	tcp := make([]byte, 60)
	tcp[0], tcp[9] = 0x45, 6
	tcp[2], tcp[3] = 0, 60
	tcp[20+12] = 8 << 4
	for _, c := range []struct {
		name string
		p    []byte
		want int
	}{
		{"8 bytes behind 20 of IP and 32 of TCP", tcp, 8},
		{"not TCP", append([]byte{0x45, 0, 0, 60, 0, 0, 0, 0, 64, 17}, make([]byte, 50)...), 0},
		{"cut short", tcp[:30], 0},
		{"IPv6", append([]byte{0x60}, make([]byte, 59)...), 0},
		{"nothing", nil, 0},
	} {
		if got := payload(c.p); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}
