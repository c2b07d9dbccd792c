package link

import (
	"encoding/binary"
	"time"
)

// turns counts how often the client waited for an answer before it went on: it sends after a pause of about a round trip, and
// the server has said something in that pause. A client that is merely held up by a full window is counted too when an answer
// happens to come meanwhile, so this is an upper bound. It looks at one side's view of the line, before the delay.
type turns struct {
	pause time.Duration
	count int64
	sent  time.Duration // when the client last sent payload
	begun bool
	heard bool // the server said something since then
}

// packet tells of n bytes of TCP payload that are put on the line.
func (t *turns) packet(up bool, n int, now time.Duration) {
	switch {
	case n == 0:
	case !up:
		t.heard = true
	default:
		if t.begun && t.heard && now-t.sent >= t.pause {
			t.count++
		}
		t.begun, t.heard, t.sent = true, false, now
	}
}

// payload returns how many bytes of TCP payload an IPv4 packet carries.
func payload(p []byte) int {
	if len(p) < 40 || p[0]>>4 != 4 || p[9] != 6 {
		return 0
	}
	ip := int(p[0]&15) * 4
	if len(p) < ip+20 {
		return 0
	}
	return max(0, int(binary.BigEndian.Uint16(p[2:]))-ip-int(p[ip+12]>>4)*4)
}
