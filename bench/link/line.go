// Package link is a slow line between two network namespaces, made in user space: packets are taken from one TUN device and
// given to another after a delay, at a rate, some of them lost. Many kernels have nothing of the kind built in.
package link

import (
	"math/rand/v2"
	"time"
)

// Quality says what a line is like, the same in both directions.
type Quality struct {
	Rate  int64         // bytes a second, 0: as fast as it goes
	Delay time.Duration // one way
	Loss  float64       // share of packets, independent of each other
	Seed  uint64        // of the loss
}

// Queue returns how many bytes may wait for the line: what it carries in one round trip, or 1 MiB if that is more.
func (q Quality) Queue() int64 {
	return max(1<<20, int64(float64(q.Rate)*(2*q.Delay).Seconds()))
}

// line is the arithmetic of one direction: it says when a packet comes out. Times are since any fixed moment.
type line struct {
	Quality
	random *rand.Rand
	free   time.Duration // when everything taken so far has been sent
}

func newLine(q Quality) *line {
	return &line{Quality: q, random: rand.New(rand.NewPCG(q.Seed, 0x6c696e6b))}
}

// offer gives the line a packet of n bytes. It comes out at due, or is dropped: because the queue is full, or by chance
// after it took its time on the line.
func (l *line) offer(now time.Duration, n int) (due time.Duration, ok bool) {
	l.free = max(l.free, now)
	if l.Rate > 0 {
		if l.waiting(now)+int64(n) > l.Queue() {
			return 0, false
		}
		l.free += time.Duration(float64(n) / float64(l.Rate) * float64(time.Second))
	}
	if l.Loss > 0 && l.random.Float64() < l.Loss {
		return 0, false
	}
	return l.free + l.Delay, true
}

// waiting returns how many bytes have not been sent yet.
func (l *line) waiting(now time.Duration) int64 {
	return int64((l.free - now).Seconds() * float64(l.Rate))
}
