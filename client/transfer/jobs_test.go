package transfer

import (
	"path/filepath"
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
