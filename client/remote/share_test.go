package remote_test

import (
	"bytes"
	"sync/atomic"
	"testing"

	"ferry/client/remote"
	"ferry/server/servertest"
)

// TestSharesRuns: where the file system shares blocks between files, the equal ones of a changed file are shared in runs: each
// call takes the file system as long for one block as for many.
func TestSharesRuns(t *testing.T) {
	var calls atomic.Int64
	r := newRig(t, servertest.WithSharing(func() { calls.Add(1) }))
	o := r.options()
	o.Address = r.Addr()
	cl := r.login(o)
	data := noise(64<<20, 23)
	mustWrite(t, r.home("f"), data)
	data[1] ^= 1 // of the first block, so that it is known from the beginning that something differs
	data[40<<20+7] ^= 1
	res, err := cl.Put(t.Context(), "/f", source(data), remote.PutOptions{Job: remote.NewID()})
	if err != nil {
		t.Fatal(err)
	}
	if res.Moved != 2<<20 || res.Reused != 62<<20 {
		t.Errorf("%d bytes moved, %d reused", res.Moved, res.Reused)
	}
	if n := calls.Load(); n == 0 || n > 6 { // four checks of 16 blocks, one of them with a hole in its middle
		t.Errorf("62 blocks were shared in %d calls", n)
	}
	if !bytes.Equal(mustRead(t, r.home("f")), data) {
		t.Error("other bytes than the source's")
	}
}
