package transfer

import "sync/atomic"

// survey tells how a plan comes about. Both sides are looked at by goroutines of their own.
type survey struct {
	told  func(names, left, all int64) // may be nil
	found [2]atomic.Int64              // names, by side
	left  atomic.Int64                 // bytes whose content is not compared yet
	all   atomic.Int64                 // of those that must be
}

// The sides.
const (
	thisSide = iota
	serverSide
)

// name counts a name that was found.
func (s *survey) name(side int) {
	s.found[side].Add(1)
	s.tell()
}

// again tells that a side must be looked at once more, where n names had been found.
func (s *survey) again(side, n int) { s.found[side].Add(int64(-n)) }

// expect tells that n more bytes must be compared.
func (s *survey) expect(n int64) {
	s.all.Add(n)
	s.left.Add(n)
}

// compared takes n bytes off those.
func (s *survey) compared(n int64) {
	s.left.Add(-n)
	s.tell()
}

func (s *survey) tell() {
	if s.told != nil {
		s.told(max(s.found[thisSide].Load(), s.found[serverSide].Load()), s.left.Load(), s.all.Load())
	}
}
