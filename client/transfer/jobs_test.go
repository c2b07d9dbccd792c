package transfer

import (
	"path/filepath"
	"runtime/metrics"
	"sync"
	"testing"
)

// TestFirstJobs: the first jobs of a machine may begin at the same moment; they agree on its secret.
func TestFirstJobs(t *testing.T) {
	for i := range 20 {
		d := Jobs{Dir: filepath.Join(t.TempDir(), "jobs")}
		ids := make([]string, 8)
		var all sync.WaitGroup
		for i := range ids {
			all.Go(func() {
				j, err := d.Begin(Job{Kind: "put", Server: "s", User: "u", Remote: "/r", Local: "/l"})
				if err != nil {
					t.Error(err)
				}
				ids[i] = j.ID
			})
		}
		all.Wait()
		for _, id := range ids {
			if id != ids[0] {
				t.Fatalf("round %d: %q", i, ids)
			}
		}
	}
}

// TestBusyCollects: as long as one file is under way, however many begin and end meanwhile, garbage is collected early; then as before.
func TestBusyCollects(t *testing.T) {
	t.Setenv("GOGC", "")
	before := gogc()
	if before == busyGC {
		t.Fatalf("GOGC is %d before anything began", before)
	}
	var b Busy
	var ends [2]func()
	for i := range ends {
		var err error
		if ends[i], err = b.begin(string(rune('a' + i))); err != nil {
			t.Fatal(err)
		}
	}
	for _, end := range ends {
		if now := gogc(); now != busyGC {
			t.Errorf("GOGC is %d while a file is under way", now)
		}
		end()
	}
	if now := gogc(); now != before {
		t.Errorf("GOGC is %d when all is done, %d before", now, before)
	}
	t.Setenv("GOGC", "100")
	end, err := b.begin("c")
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	if now := gogc(); now != before {
		t.Errorf("GOGC is %d although the environment says otherwise", now)
	}
}

func gogc() uint64 {
	sample := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
