package shell

import (
	"testing"
	"time"

	"ferry/client/remote"
	"ferry/shared/wire"
)

// TestWaitsWords: what is said when nothing is counted follows from the state of the connections, and from nothing else.
func TestWaitsWords(t *testing.T) {
	now := time.Unix(1e9, 0)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	due := func(cmd string, heard time.Duration) remote.State { return remote.State{Due: cmd, Heard: ago(heard)} }
	full := due(wire.CmdGet, 9*time.Second)
	full.Full = true
	w := &waits{here: "waiting for the reader", patience: 5 * time.Minute}
	for _, c := range []struct {
		what  string
		idle  time.Duration
		state remote.State
		rate  float64
		limit int64
		want  string
	}{
		{"no pause", 3 * time.Second, due(wire.CmdData, 3*time.Second), 0, 4096, ""},
		{"no connection", 0, remote.State{Lost: true, Try: 3, Next: now.Add(3500 * time.Millisecond)}, 0, 0, "reconnecting: try 3, next in 4 s (gives up after 5m)"},
		{"connecting", time.Minute, remote.State{Lost: true, Try: 3, Next: ago(time.Second)}, 0, 0, "reconnecting: try 3 (gives up after 5m)"},
		{"between two tries", time.Minute, remote.State{Lost: true}, 0, 0, "reconnecting (gives up after 5m)"},
		{"a limit", 7 * time.Second, due(wire.CmdData, 7*time.Second), 9000, 1 << 20, "limited to 1 MiB/s"},
		{"a limit of the account", 7 * time.Second, remote.State{Due: wire.CmdData, Heard: ago(time.Second), Pace: 64 << 10}, 9000, 0,
			"limited to 64 KiB/s by the server"},
		{"a slow line", 7 * time.Second, due(wire.CmdData, 7*time.Second), 9 << 10, 0, "9 KiB/s on the line"},
		{"signs of life are no bytes", 7 * time.Second, due(wire.CmdCommit, time.Second), 30, 0, "waiting for the server's disk"},
		{"nothing is owed", 7 * time.Second, remote.State{}, 0, 0, "waiting for the reader"},
		{"nobody takes the answer", 7 * time.Second, full, 0, 0, "waiting for the reader"},
		{"a silent server", 7 * time.Second, due(wire.CmdData, 7*time.Second), 0, 0, "no answer from the server for 7 s"},
		{"one that was silent and is not", time.Minute, due(wire.CmdData, time.Second), 0, 0, "waiting for the server's disk"},
		{"one that may still give a sign", 4100 * time.Millisecond, due(wire.CmdData, 4100*time.Millisecond), 0, 0, ""},
		{"one that has given none in 5 s", 4900 * time.Millisecond, due(wire.CmdData, 4900*time.Millisecond), 0, 0, "no answer from the server for 4 s"},
		{"a comparison", 7 * time.Second, due(wire.CmdCheck, time.Second), 0, 0, "the server is comparing what it has"},
		{"a listing", 7 * time.Second, due(wire.CmdLs, time.Second), 0, 0, "the server is listing names"},
	} {
		if got := w.words(now, c.idle, c.state, c.rate, c.limit); got != c.want {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
}

// TestWaitsRate: the line's own rate is that since nothing was counted, over the last seconds.
func TestWaitsRate(t *testing.T) {
	w := &waits{}
	at, carried := time.Unix(1e9, 0), uint64(1<<30)
	look := func(step time.Duration, bytes uint64, idle time.Duration) float64 {
		at, carried = at.Add(step), carried+bytes
		return w.rate(at, idle, carried)
	}
	look(0, 0, 0)
	look(time.Second, 1<<20, 900*time.Millisecond) // before the pause
	var got float64
	for i := range 60 {
		got = look(100*time.Millisecond, 100, time.Second+time.Duration(i)*100*time.Millisecond)
	}
	if got < 900 || got > 1100 {
		t.Errorf("%.0f bytes a second, want about 1000", got)
	}
	for i := range 60 {
		got = look(100*time.Millisecond, 0, 7*time.Second+time.Duration(i)*100*time.Millisecond)
	}
	if got != 0 {
		t.Errorf("%.0f bytes a second after 6 s without any", got)
	}
	carried = 0 // another connection
	if got = look(time.Second, 10, time.Minute); got != 0 {
		t.Errorf("%.0f bytes a second on a new connection", got)
	}
}

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{5 * time.Minute: "5m", 90 * time.Second: "1m30s", 30 * time.Second: "30s", time.Hour: "1h", 10 * time.Hour: "10h",
		0: "0s", 61 * time.Minute: "1h1m"} {
		if got := short(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}
