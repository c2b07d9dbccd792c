package shell

import (
	"sync"

	"ferry/client/transfer"
)

// maxHelpers is how many connections beside their first ones transfers may take while there are jobs. A session has 16: what is in
// front, what Tab asks for and every job that may run find one.
const maxHelpers = transfer.MaxParallel - maxRunning - 2

// helpers are the connections of a session that transfers take beside their first ones. The zero value is ready.
type helpers struct {
	mu    sync.Mutex
	taken int
}

// take takes n of them, or as many as there are.
func (h *helpers) take(n int) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n = max(0, min(n, maxHelpers-h.taken))
	h.taken += n
	return n
}

func (h *helpers) give(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.taken -= n
}

// share returns how many of the wanted connections, 0: as many as seem right, a transfer of this command may take.
func (s *Shell) share(wanted int) int { return s.allot(wanted, s.client.Streams(wanted)) }

// allot is share for n connections. The jobs of a person shut neither each other out nor the person.
func (s *Shell) allot(wanted, n int) int {
	if s.job == nil && len(s.jobs.unfinished()) == 0 {
		return wanted
	}
	s.helping += s.helpers.take(n - 1 - s.helping)
	if s.helping >= n-1 {
		return wanted
	}
	return s.helping + 1
}

// unshare gives back what share has taken for the command.
func (s *Shell) unshare() {
	s.helpers.give(s.helping)
	s.helping = 0
}
