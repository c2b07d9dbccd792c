package transfer

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// A limited connection carries what its limit allows, each way, and all of it when the limit is lifted.
func TestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l Limit
		here, there := net.Pipe()
		nc, err := l.Dial(func(context.Context, string, string) (net.Conn, error) { return here, nil })(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		l.Set(100 << 10)
		data := bytes.Repeat([]byte("0123456789abcdef"), 64<<10) // 1 MiB
		go func() {
			got := make([]byte, len(data))
			if _, err := io.ReadFull(there, got); err != nil || !bytes.Equal(got, data) {
				t.Errorf("sent: %v", err)
			}
			if _, err := there.Write(data); err != nil {
				t.Error(err)
			}
			io.Copy(io.Discard, there)
		}()
		near := func(what string, begin time.Time) {
			if took := time.Since(begin); took < 9*time.Second || took > 11*time.Second { // of the test's own time
				t.Errorf("%s took %v", what, took)
			}
		}
		begin := time.Now()
		if n, err := nc.Write(data); n != len(data) || err != nil {
			t.Fatal(n, err)
		}
		near("writing", begin)
		begin = time.Now()
		got := make([]byte, len(data))
		if _, err := io.ReadFull(nc, got); err != nil || !bytes.Equal(got, data) {
			t.Fatal(err)
		}
		near("reading", begin)
		l.Set(0)
		begin = time.Now()
		if _, err := nc.Write(data); err != nil || time.Since(begin) > time.Second {
			t.Errorf("without a limit it took %v, %v", time.Since(begin), err)
		}
		l.Set(MinRate)
		time.AfterFunc(3*time.Second, func() { nc.Close() })
		if _, err := nc.Write(data); err == nil || time.Since(begin) > 4*time.Second {
			t.Errorf("closed while it waited: %v after %v", err, time.Since(begin))
		}
	})
}
