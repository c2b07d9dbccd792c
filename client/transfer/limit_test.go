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
		if l.Holding() != 0 {
			t.Error("it holds before anything moves")
		}
		time.AfterFunc(5*time.Second, func() {
			if got := l.Holding(); got != 100<<10 {
				t.Errorf("while bytes wait: %d", got)
			}
		})
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
		time.Sleep(2 * time.Second)
		if l.Holding() != 0 {
			t.Error("it holds while nothing moves")
		}
		l.Set(0)
		begin = time.Now()
		if _, err := nc.Write(data); err != nil || l.Holding() != 0 || time.Since(begin) > time.Second {
			t.Errorf("without a limit it took %v, %v", time.Since(begin), err)
		}
		l.Set(MinRate)
		time.AfterFunc(3*time.Second, func() { nc.Close() })
		if _, err := nc.Write(data); err == nil || time.Since(begin) > 4*time.Second {
			t.Errorf("closed while it waited: %v after %v", err, time.Since(begin))
		}
	})
}

// A limit of its own takes the place of the one that it is of; without one that holds, and changes under what waits.
func TestLimitOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all Limit
		one := Limit{Of: &all}
		here, there := net.Pipe()
		defer there.Close()
		go io.Copy(io.Discard, there)
		nc, err := one.Dial(func(context.Context, string, string) (net.Conn, error) { return here, nil })(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		data := make([]byte, 1<<20)
		for _, c := range []struct {
			all, one int64
			seconds  int
		}{{0, 0, 0}, {100 << 10, 0, 10}, {100 << 10, 200 << 10, 5}, {200 << 10, 100 << 10, 10}, {0, 100 << 10, 10}, {0, 0, 0}} {
			all.Set(c.all)
			one.Set(c.one)
			begin := time.Now()
			if _, err := nc.Write(data); err != nil {
				t.Fatal(err)
			}
			if off := time.Since(begin) - time.Duration(c.seconds)*time.Second; off.Abs() > time.Second { // of the test's own time
				t.Errorf("%+v: took %v", c, time.Since(begin))
			}
		}
		all.Set(MinRate)
		time.AfterFunc(3*time.Second, func() { all.Set(0) })
		begin := time.Now()
		if _, err := nc.Write(data); err != nil || time.Since(begin) > 4*time.Second {
			t.Errorf("lifted after 3 s, but took %v, %v", time.Since(begin), err)
		}
	})
}

// However long nothing moved, no second then carries more than a quarter above the limit, and none much less.
func TestLimitPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, limit := range []int64{100 << 10, 3<<20 + 1, 32 << 20} {
			var l Limit
			l.Set(limit)
			here, there := net.Pipe()
			nc, err := l.Dial(func(context.Context, string, string) (net.Conn, error) { return here, nil })(t.Context(), "", "")
			if err != nil {
				t.Fatal(err)
			}
			for what, ends := range map[string][2]net.Conn{"up": {nc, there}, "down": {there, nc}} {
				go func() {
					for err := error(nil); err == nil; {
						_, err = ends[0].Write(make([]byte, 1<<20))
					}
				}()
				buf := make([]byte, 1<<20)
				for _, pause := range []time.Duration{0, time.Second, time.Hour} {
					time.Sleep(pause)
					moved, begin := int64(0), time.Now()
					for {
						n, err := ends[1].Read(buf)
						if err != nil {
							t.Fatal(err)
						}
						if time.Since(begin) > time.Second {
							break
						}
						moved += int64(n)
					}
					if moved > limit/4*5 || moved < limit/10*9 {
						t.Errorf("%s, after a pause of %v a second carries %d bytes, the limit is %d", what, pause, moved, limit)
					}
				}
			}
			nc.Close()
			there.Close()
		}
	})
}
