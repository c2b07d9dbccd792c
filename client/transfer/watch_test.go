package transfer_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ferry/client/transfer"
	"ferry/internal/faultproxy"
)

// TestPlanningIsTold: how many names were found and how much content is still to be compared, both ways, also where the
// listing breaks off and begins again.
func TestPlanningIsTold(t *testing.T) {
	t.Parallel()
	for _, up := range []bool{true, false} {
		r := newRig(t)
		files := map[string][]byte{"large": make([]byte, 20<<20), "gone": make([]byte, 3<<20)}
		for i := range 500 {
			files[fmt.Sprintf("d/f%d", i)] = []byte("same")
		}
		write(t, r.here, files)
		maps.DeleteFunc(files, func(name string, _ []byte) bool { return name == "gone" && up })
		write(t, r.site(), files)
		for name := range files {
			for _, dir := range []string{r.here, r.site()} {
				if err := os.Chtimes(filepath.Join(dir, name), time.Time{}, time.Unix(1e9, 0)); err != nil {
					t.Fatal(err)
				}
			}
		}
		var mu sync.Mutex
		var names, left, all int64
		o := transfer.TreeOptions{Up: up, Existing: transfer.Replace, Checksum: true}
		o.Planning = func(n, l, a int64) {
			mu.Lock()
			defer mu.Unlock()
			names, left, all = max(names, n), l, a
		}
		if !up {
			r.proxy.Cut(faultproxy.Down, 20_000, faultproxy.RST)
			r.proxy.CutNow(faultproxy.RST)
		}
		p, err := r.Plan(t.Context(), []transfer.Root{{Local: r.here, Remote: "/site", Chosen: true}}, o)
		if err != nil {
			t.Fatal(err)
		}
		want := int64(20<<20 + 500*4)
		if !up {
			want += 3 << 20
		}
		if names != 503 || left != 0 || all != want || p.Summary().Unchanged < 501 {
			t.Errorf("up %v: %d names, %d of %d bytes left, want 503, 0 of %d; %+v", up, names, left, all, want, p.Summary())
		}
	}
}

// TestFileIsTold: a file of several blocks is counted by a watch of its own, from its beginning to its end; small ones and
// the total are not mixed with it.
func TestFileIsTold(t *testing.T) {
	t.Parallel()
	for _, up := range []bool{true, false} {
		r := newRig(t)
		from := r.here
		if !up {
			from = r.site()
		}
		write(t, from, random(20, 3)) // two of them are large
		var small, large, begun, ended atomic.Int64
		o := transfer.TreeOptions{Up: up, Existing: transfer.Replace}
		o.Parallel = 2
		o.Moved = func(n int64) { small.Add(n) }
		o.File = func(task *transfer.Task, o *transfer.Options) func() {
			begun.Add(task.Length())
			o.Moved = func(n int64) { large.Add(n) }
			return func() { ended.Add(1) }
		}
		sum, err := r.job(o)
		if err != nil || sum.Files != 23 {
			t.Fatalf("%+v, %v", sum, err)
		}
		const big = 3<<20 + 5 + 5<<20
		if begun.Load() != big || large.Load() != big || ended.Load() != 2 || small.Load() != sum.Moved-big {
			t.Errorf("up %v: %d begun, %d counted, %d ended, %d of small ones; %+v", up, begun.Load(), large.Load(), ended.Load(), small.Load(), sum)
		}
	}
}
