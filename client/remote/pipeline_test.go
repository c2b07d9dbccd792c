package remote_test

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"ferry/client/remote"
	"ferry/internal/faultproxy"
	"ferry/server/servertest"
	"ferry/shared/wire"
)

// TestPipeline sends files, fetches them and removes them, with every connection cut at another place; each request is
// answered once, and in order.
func TestPipeline(t *testing.T) {
	for _, cut := range []int64{0, 3000, 20_000, 50_000, 200_000} {
		t.Run(fmt.Sprint(cut), func(t *testing.T) {
			r := newRig(t)
			c := r.login(r.options())
			if err := c.Mkdir(t.Context(), "/d", false); err != nil {
				t.Fatal(err)
			}
			const n = 500
			text := func(i int) []byte { return noise(i*17%3000, uint64(i)) }
			run := func(dir faultproxy.Direction, ops func(i int, done func(error)) *remote.Op) {
				t.Helper()
				if cut > 0 {
					r.proxy.Cut(dir, cut, faultproxy.RST)
					r.proxy.CutNow(faultproxy.RST) // the cut is for the connection to come
				}
				feed := make(chan *remote.Op)
				answered := 0
				go func() {
					defer close(feed)
					for i := range n {
						feed <- ops(i, func(err error) {
							if err != nil {
								t.Errorf("request %d: %v", i, err)
							}
							if answered != i {
								t.Errorf("request %d was answered as number %d", i, answered)
							}
							answered++
						})
					}
				}()
				if err := c.Pipeline(t.Context(), feed); err != nil {
					t.Fatal(err)
				}
				if answered != n {
					t.Fatalf("%d requests of %d were answered", answered, n)
				}
			}
			name := func(i int) string { return fmt.Sprintf("/d/%d", i) }
			entries := make([]wire.Entry, n)
			run(faultproxy.Up, func(i int, done func(error)) *remote.Op {
				return remote.PutOp(name(i), text(i), 1e18, 0, remote.PutOptions{}, func(res remote.Result, err error) {
					entries[i] = res.Entry
					done(err)
				})
			})
			for i := range n {
				if got, err := os.ReadFile(r.home(name(i)[1:])); err != nil || !bytes.Equal(got, text(i)) {
					t.Fatalf("file %d: %d bytes, %v", i, len(got), err)
				}
			}
			run(faultproxy.Down, func(i int, done func(error)) *remote.Op {
				return remote.GetOp(name(i), entries[i], func(data []byte, err error) {
					if err == nil && !bytes.Equal(data, text(i)) {
						err = fmt.Errorf("%d other bytes", len(data))
					}
					done(err)
				})
			})
			run(faultproxy.Down, func(i int, done func(error)) *remote.Op { return remote.RemoveOp(name(i), done) })
			if err := c.Rmdir(t.Context(), "/d"); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestPipelineGivesUp: when there is no way back, every request that was taken is told so.
func TestPipelineGivesUp(t *testing.T) {
	var r *rig
	var writes atomic.Int32
	r = newRig(t, servertest.WithWrites(func() {
		if writes.Add(1) == 3 { // of ten: some may be answered, and not all
			r.proxy.Close()
		}
	}))
	o := r.options()
	o.ReconnectFor = 0
	c := r.login(o)
	const n = 10
	feed := make(chan *remote.Op, n)
	told, refused := 0, 0
	for i := range n {
		feed <- remote.PutOp(fmt.Sprintf("/%d", i), noise(100_000, 1), 1e18, 0, remote.PutOptions{}, func(_ remote.Result, err error) {
			told++
			if err != nil {
				refused++
			}
		})
	}
	if err := c.Pipeline(t.Context(), feed); err == nil {
		t.Fatal("no error")
	}
	if told+len(feed) != n || refused == 0 {
		t.Fatalf("%d were told, %d refused, %d not taken", told, refused, len(feed))
	}
}

// TestNoRequest: what goes into no request, too long or not text, is refused where it is asked for; what stands before it is answered, and the connection stays.
func TestNoRequest(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	o := r.options()
	o.Notice = func(text string) { t.Errorf("notice: %s", text) }
	c := r.login(o)
	long := "/" + strings.Repeat("x", wire.MaxHeader)
	ops, codes := make(chan *remote.Op, 2), make([]wire.Code, 0, 2)
	for _, name := range []string{"/", long} {
		ops <- remote.StatOp(name, func(_ wire.Entry, err error) { codes = append(codes, wire.CodeOf(err)) })
	}
	close(ops)
	if err := c.Pipeline(t.Context(), ops); wire.CodeOf(err) != wire.BadRequest || !slices.Equal(codes, []wire.Code{"", wire.BadRequest}) {
		t.Errorf("answered %q, then %v", codes, err)
	}
	if _, err := c.Stat(t.Context(), long); wire.CodeOf(err) != wire.BadRequest {
		t.Errorf("by itself: %v", err)
	}
	if _, err := c.Stat(t.Context(), "/a\x00b"); wire.CodeOf(err) != wire.BadPath {
		t.Errorf("a NUL byte: %v", err)
	}
	if _, err := c.Stat(t.Context(), "/"); err != nil {
		t.Errorf("then: %v", err)
	}
}
