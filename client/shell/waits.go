package shell

import (
	"fmt"
	"sync"
	"time"

	"ferry/client/remote"
	"ferry/client/term"
	"ferry/client/transfer"
	"ferry/shared/wire"
)

const (
	stillAfter = 4 * time.Second // with nothing to count, it is told what is waited for
	// A server that is at work gives a sign of life at least every 4 s.
	deafAfter = 4500 * time.Millisecond
	lineRate  = 256 // bytes a second; less may be mere signs of life
)

// atWork says what a server does that gives signs of life but does not answer, by the command.
var atWork = map[string]string{
	wire.CmdLs:     "the server is listing names",
	wire.CmdCheck:  "the server is comparing what it has",
	wire.CmdVerify: "the server is comparing what it has",
	wire.CmdStat:   "the server is busy",
}

// waits tells what a transfer waits for when nothing is counted, from what is known of its connections.
type waits struct {
	client   *remote.Client
	limit    *transfer.Limit
	here     string        // what is waited for when the server owes nothing
	patience time.Duration // how long it is tried to connect again

	mu    sync.Mutex
	looks []look // at the line since nothing was counted, oldest first
}

type look struct {
	at      time.Time
	carried uint64
}

// waiting is what holds up a transfer of the session; here says what this side does when the server owes nothing.
func (s *Shell) waiting(here string) func(idle time.Duration) string {
	w := &waits{client: s.client, limit: &s.limit, here: here, patience: s.client.Options().ReconnectFor}
	return w.why
}

const thisDisk = "waiting for this machine's disk"

// why implements what a meter asks.
func (w *waits) why(idle time.Duration) string {
	now, st := time.Now(), w.client.State()
	return w.words(now, idle, st, w.rate(now, idle, st.Carried), w.limit.Holding())
}

// words puts into words what is waited for; rate is that of the line, limit the one that a connection waits for, 0 if none does.
func (w *waits) words(now time.Time, idle time.Duration, st remote.State, rate float64, limit int64) string {
	quiet := now.Sub(st.Heard)
	switch {
	case st.Lost:
		return w.reconnecting(now, st)
	case idle < stillAfter:
		return ""
	case limit > 0:
		return "limited to " + term.Rate(float64(limit))
	case st.Pace > 0:
		return "limited to " + term.Rate(float64(st.Pace)) + " by the server"
	case rate >= lineRate:
		return term.Rate(rate) + " on the line"
	case st.Due == "" || st.Full:
		return w.here
	case quiet >= deafAfter:
		return fmt.Sprintf("no answer from the server for %d s", int(quiet.Seconds()))
	case quiet >= idle: // a sign of life may be on its way
		return ""
	case atWork[st.Due] != "":
		return atWork[st.Due]
	}
	return "waiting for the server's disk"
}

// watchSilence tells a person once when a command waits for a server that is silent, until stop. A transfer that is shown tells by itself.
func (s *Shell) watchSilence() (stop func()) {
	if !s.Person || s.job != nil || s.client == nil {
		return func() {}
	}
	client, done := s.client, make(chan struct{})
	go func() {
		look := time.NewTicker(time.Second / 2)
		defer look.Stop()
		for {
			select {
			case <-done:
				return
			case now := <-look.C:
				st := client.State()
				if quiet := now.Sub(st.Heard); st.Due != "" && !st.Full && quiet >= deafAfter && s.meter.Load() == nil && s.programs.Load() == 0 {
					s.notice(fmt.Sprintf("no answer from the server for %d s; Ctrl-C stops the command", int(quiet.Seconds())))
					return
				}
			}
		}
	}()
	return func() { close(done) }
}

func (w *waits) reconnecting(now time.Time, st remote.State) string {
	text := "reconnecting"
	if st.Try > 0 {
		text += fmt.Sprintf(": try %d", st.Try)
		if wait := st.Next.Sub(now); wait > 0 {
			text += fmt.Sprintf(", next in %d s", int(wait.Seconds()+1))
		}
	}
	return text + " (gives up after " + short(w.patience) + ")"
}

// rate is that of the line since nothing was counted, over the last seconds.
func (w *waits) rate(now time.Time, idle time.Duration, carried uint64) float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if idle < time.Second || len(w.looks) > 0 && carried < w.looks[0].carried { // or a connection was replaced
		w.looks = nil
		return 0
	}
	if n := len(w.looks); n == 0 || now.Sub(w.looks[n-1].at) >= time.Second/2 {
		w.looks = append(w.looks, look{now, carried})
	}
	for len(w.looks) > 2 && now.Sub(w.looks[1].at) >= 2*time.Second {
		w.looks = w.looks[1:]
	}
	first := w.looks[0]
	if d := now.Sub(first.at).Seconds(); d > 0 {
		return float64(carried-first.carried) / d
	}
	return 0
}

// short says a duration in few letters: 5m, 1m30s.
func short(d time.Duration) string {
	s := d.Round(time.Second).String()
	for _, zero := range []string{"m0s", "h0m"} {
		if n := len(s) - len(zero); n > 0 && s[n:] == zero {
			s = s[:n+1]
		}
	}
	return s
}
