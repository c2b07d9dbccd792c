package local

import (
	"fmt"
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
		if sc.name == "drop" {
			continue // what comes back is a staging, and expires
		}
		t.Run(sc.name, func(t *testing.T) {
			must(t, sc.setup(h))
			must(t, sc.act(h))
			cut := open(t, d.Cut(), Options{})
			if _, after := sc.did(t, cut); !after {
				t.Error("not there after a power cut")
			}
			cut.Close()
			wipe(t, h)
		})
	}
}

// A power cut at any operation leaves the old or the new state, and stagings that load.
func TestPowerAnywhere(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds for each operation")
	}
	for _, sc := range scenarios() {
		t.Run(sc.name, func(t *testing.T) {
			d, p := powercut.New(t), &tap{}
			h := open(t, d.Dir(), Options{Ops: p.ops()})
			must(t, sc.setup(h))
			var cuts, ops []string
			p.watch(func(k int, op string) fault {
				cuts, ops = append(cuts, d.Cut()), append(ops, fmt.Sprintf("before operation %d, %s", k, op))
				return fault{}
			})
			must(t, sc.act(h))
			p.watch(nil)
			for i, dir := range cuts {
				cut := open(t, dir, Options{})
				if before, after := sc.did(t, cut); !before && !after {
					t.Errorf("%s: neither the old nor the new state", ops[i])
				}
				for up, err := range cut.Uploads(bg) {
					must(t, err)
					u, err := cut.Upload(bg, up)
					must(t, err)
					must(t, u.Close())
				}
				cut.Expire(bg, 0)
				if left := below(t, dir); len(left) != 0 {
					t.Errorf("%s: left in the staging: %q", ops[i], left)
				}
				must(t, put(cut, storage.Spec{Path: "/next"}, newText))
				cut.Close()
			}
		})
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
