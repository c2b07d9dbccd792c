package remote_test

import (
	"bytes"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"ferry/client/remote"
	"ferry/server/servertest"
	"ferry/server/storage/local"
)

// TestSharesRuns: where the file system shares blocks between files, the equal ones of a changed file are shared in runs: each
// call takes the file system as long for one block as for many. Here blocks are shared by copying them.
func TestSharesRuns(t *testing.T) {
	var calls atomic.Int64
	ops := local.RealOps()
	ops.Clone = func(fd int, c *unix.FileCloneRange) error {
		calls.Add(1)
		b := make([]byte, c.Src_length)
		if _, err := unix.Pread(int(c.Src_fd), b, int64(c.Src_offset)); err != nil {
			return err
		}
		_, err := unix.Pwrite(fd, b, int64(c.Dest_offset))
		return err
	}
	r := newRig(t, servertest.WithOps(ops))
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
