package local

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ferry/server/storage"
)

// count returns how often each operation was done.
func (p *tap) count() map[string]int {
	n := map[string]int{}
	for _, op := range p.seen() {
		n[op]++
	}
	return n
}

// Every directory that got a name is synced, those above a new directory too; what was left unsynced, on request or by a
// failure, is made good before anything is called durable again.
func TestDirectorySyncs(t *testing.T) {
	p := &tap{}
	h := open(t, t.TempDir(), Options{Ops: p.ops()})
	must(t, put(h, storage.Spec{Path: "/f", Ephemeral: true}, nil)) // makes the staging
	check := func(what string, dirs, systems int) {
		t.Helper()
		if n := p.count(); n["syncdir"] != dirs || n["syncfs"] != systems {
			t.Errorf("%s: %d directories and %d file systems synced, want %d and %d", what, n["syncdir"], n["syncfs"], dirs, systems)
		}
		p.watch(nil)
	}
	p.watch(nil)
	must(t, put(h, storage.Spec{Path: "/a/b/c/f", Ephemeral: true, Parents: true}, nil))
	check("put with three parents", 4, 0)
	must(t, h.Mkdir(bg, "/p/q", true))
	check("mkdir -p of two", 2, 0)
	must(t, h.Rename(bg, "/a/b/c", "/p/c", false))
	check("mv", 2, 0)
	must(t, h.Remove(bg, "/p/q"))
	check("rmdir", 1, 0)

	u, err := h.Upload(bg, storage.Spec{Path: "/loose/f", Ephemeral: true, Parents: true})
	must(t, err)
	must(t, h.Commit(bg, false, u)[0].Err)
	if n := p.count(); n["sync"]+n["syncdir"]+n["syncfs"] != 0 {
		t.Errorf("a commit without sync did %v", n)
	}
	p.watch(nil)
	must(t, put(h, storage.Spec{Path: "/loose/g", Ephemeral: true}, nil))
	check("put into a directory made without sync", 1, 1)
	must(t, put(h, storage.Spec{Path: "/loose/h", Ephemeral: true}, nil))
	check("once is enough", 1, 0)

	p.watch(func(k int, op string) fault { return fault{err: when(op == "syncdir", unix.EIO)} })
	if err := h.Mkdir(bg, "/bad", false); err == nil {
		t.Error("mkdir without sync")
	}
	p.watch(nil)
	must(t, put(h, storage.Spec{Path: "/bad/f", Ephemeral: true}, nil))
	check("put into a directory whose sync failed", 1, 1)

	must(t, h.SetMeta(bg, "/bad/f", storage.Meta{})) // some file systems sync a file without its name
	check("making sure of a name", 1, 0)
	u, err = h.Upload(bg, storage.Spec{Path: "/loose/late", Ephemeral: true})
	must(t, err)
	must(t, h.Commit(bg, false, u)[0].Err)
	p.watch(nil)
	must(t, h.SetMeta(bg, "/loose/late", storage.Meta{}))
	check("making sure of what was not synced", 1, 0)
}

// Publishing many uploads in one commit is one pass, and each result is its own.
func TestLargeGroup(t *testing.T) {
	h := open(t, t.TempDir(), Options{})
	var ups []storage.Upload
	for i := range 256 {
		u, err := h.Upload(bg, storage.Spec{Path: fmt.Sprintf("/d%d/f%d", i%7, i), Length: 4, Ephemeral: i%16 != 0, Parents: true})
		must(t, err)
		must(t, u.Put(bg, 0, fmt.Appendf(nil, "%04d", i)))
		ups = append(ups, u)
	}
	for i, r := range h.Commit(bg, true, ups...) {
		must(t, r.Err)
		if got := content(t, h, fmt.Sprintf("/d%d/f%d", i%7, i)); got != fmt.Sprintf("%04d", i) || r.Entry.Name != fmt.Sprintf("/d%d/f%d", i%7, i) {
			t.Errorf("member %d: %q, %+v", i, got, r.Entry)
		}
		ups[i].Close()
	}
}

// Listing takes the same memory whatever the number of names.
func TestListMemory(t *testing.T) {
	const n = 50_000 // a file has at most 65 000 names on ext4
	home := t.TempDir()
	name := filepath.Join(home, "f")
	must(t, os.WriteFile(name, nil, 0o600))
	for i := range n {
		must(t, os.Link(name, fmt.Sprintf("%s-%s-%d", name, strings.Repeat("x", 100), i)))
	}
	h := open(t, home, Options{})
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, most, seen := heap(), uint64(0), 0
	for _, err := range h.List(bg, "/", true) {
		must(t, err)
		if seen++; seen%10_000 == 0 {
			most = max(most, heap())
		}
	}
	if seen != n+1 || most > before+2<<20 {
		t.Errorf("%d names, %d bytes of memory, %d before", seen, most, before)
	}
}

func BenchmarkEphemeral(b *testing.B) {
	dir := b.TempDir()
	if shm, err := os.MkdirTemp("/dev/shm", "ferry"); err == nil {
		dir = shm
		defer os.RemoveAll(shm)
	}
	h, err := Open(dir, Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	data, ups := make([]byte, 4096), []storage.Upload{}
	flush := func() {
		for _, r := range h.Commit(bg, true, ups...) {
			if r.Err != nil {
				b.Fatal(r.Err)
			}
		}
		for _, u := range ups {
			u.Close()
		}
		ups = ups[:0]
	}
	for i := 0; b.Loop(); i++ {
		u, err := h.Upload(bg, storage.Spec{Path: fmt.Sprintf("/f%d", i%10_000), Length: 4096, Ephemeral: true})
		if err == nil {
			err = u.Put(bg, 0, data)
		}
		if err != nil {
			b.Fatal(err)
		}
		if ups = append(ups, u); len(ups) == 256 {
			flush()
		}
	}
	flush()
}
