package remote_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"ferry/client/remote"
	"ferry/server/servertest"
)

// TestStalledDisk: the server's disk stands still for longer than the client's patience, several times over. The client
// takes the line for lost, tries again, and ends well when the disk goes on.
func TestStalledDisk(t *testing.T) {
	t.Parallel()
	for range 2 {
		var stalls atomic.Int64
		gate := make(chan struct{})
		r := newRig(t, servertest.WithWrites(func() {
			if stalls.Add(1) == 2 {
				<-gate
			}
		}))
		o := r.options()
		o.Silence = time.Second
		c := r.login(o)
		data := noise(5<<20, 9)
		time.AfterFunc(3*time.Second, func() { close(gate) })
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if _, err := c.Put(ctx, "/f", source(data), remote.PutOptions{Job: remote.NewID()}); err != nil {
			t.Fatal(err)
		}
		if got := mustRead(t, r.home("f")); string(got) != string(data) {
			t.Error("other bytes")
		}
	}
}
