package local

import (
	"fmt"
	"strings"
	"testing"

	"ferry/internal/powercut"
	"ferry/server/storage"
	"ferry/shared/block"
)

// What was answered is there after a power cut.
func TestPowerAcknowledged(t *testing.T) {
	d := powercut.New(t)
	h := open(t, d.Dir(), Options{})
	for _, sc := range scenarios() {
		if sc.name == "chmod" || sc.name == "reopen" {
			continue // below
		}
		t.Run(sc.name, func(t *testing.T) {
			must(t, sc.setup(h))
			must(t, sc.act(h))
			cut := open(t, d.Cut(), Options{})
			if _, after := sc.did(t, cut); !after {
				t.Error("not there after a power cut")
			}
			cut.Close()
			for e, err := range h.List(bg, "/", false) {
				must(t, err)
				if e.Kind == storage.Dir {
					h.Remove(bg, e.Name+"/b/c")
					h.Remove(bg, e.Name+"/b")
					h.Remove(bg, e.Name+"/g")
				}
				must(t, h.Remove(bg, e.Name))
			}
		})
	}
}

// A power cut at any operation leaves the old or the new state, and stagings that load.
func TestPowerAnywhere(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds for each operation")
	}
	d := powercut.New(t)
	p := &tap{}
	h := open(t, d.Dir(), Options{Ops: p.ops()})
	for _, sc := range scenarios() {
		if !strings.Contains(sc.name, "overwrite") && sc.name != "rename over" {
			continue
		}
		must(t, sc.setup(h))
		var cuts, ops []string
		p.watch(func(k int, op string) fault {
			cuts, ops = append(cuts, d.Cut()), append(ops, fmt.Sprintf("%s before operation %d, %s", sc.name, k, op))
			return fault{}
		})
		must(t, sc.act(h))
		p.watch(nil)
		for i, dir := range cuts {
			cut := open(t, dir, Options{})
			if before, after := sc.did(t, cut); !before && !after {
				t.Errorf("%s: neither the old nor the new content", ops[i])
			}
			for _, err := range cut.Uploads(bg) {
				must(t, err)
			}
			for _, name := range below(t, dir) {
				if name != "upload" {
					t.Errorf("%s: %s in the staging", ops[i], name)
				}
			}
			must(t, put(cut, storage.Spec{Path: "/f"}, newText))
			cut.Close()
		}
	}
}

// An upload that was begun can go on after a power cut, with what was synced.
func TestPowerResume(t *testing.T) {
	d := powercut.New(t)
	p := &tap{}
	h := open(t, d.Dir(), Options{Ops: p.ops(), SyncEvery: block.Size})
	u, err := h.Upload(bg, storage.Spec{Path: "/f", Length: 4 * block.Size, Job: "job"})
	must(t, err)
	synced := make(chan bool)
	p.watch(func(k int, op string) fault {
		if op == "datasync" {
			close(synced)
		}
		return fault{}
	})
	must(t, u.Put(bg, 0, make([]byte, block.Size)))
	<-synced
	h.Close() // waits for the sync; nothing else is synced
	cut := open(t, d.Cut(), Options{})
	again, err := cut.Upload(bg, storage.Spec{ID: u.Spec().ID, Path: "/f", Length: 4 * block.Size})
	must(t, err)
	if s := again.Spec(); s.Key != u.Spec().Key || s.Epoch != 2 {
		t.Errorf("spec %+v", s)
	}
	if have := again.Have(4); !have.Has(block.Range{Off: 0, End: block.Size}) {
		t.Errorf("have %v", have)
	}
}
