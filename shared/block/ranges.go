package block

import (
	"encoding/json"
	"errors"
	"slices"
	"sort"
)

// Range is a stretch of a file: the bytes from Off up to, not including, End.
type Range struct{ Off, End int64 }

// Len returns the number of bytes in the range.
func (r Range) Len() int64 { return r.End - r.Off }

// MarshalJSON writes the range as [offset, length].
func (r Range) MarshalJSON() ([]byte, error) { return json.Marshal([2]int64{r.Off, r.Len()}) }

// UnmarshalJSON reads what MarshalJSON writes.
func (r *Range) UnmarshalJSON(b []byte) error {
	var v []int64
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	if len(v) != 2 || v[0] < 0 || v[1] < 0 || v[0] > 1<<62 || v[1] > 1<<62 {
		return errors.New("a range is [offset, length]")
	}
	*r = Range{v[0], v[0] + v[1]}
	return nil
}

// Ranges is a set of bytes of a file as sorted, disjoint, non-empty ranges that do not touch. The zero value is empty.
type Ranges []Range

// Add puts the bytes of r into the set.
func (s *Ranges) Add(r Range) {
	if r.End <= r.Off {
		return
	}
	v := *s
	i := sort.Search(len(v), func(i int) bool { return v[i].End >= r.Off })
	j := i
	for ; j < len(v) && v[j].Off <= r.End; j++ {
		r.Off, r.End = min(r.Off, v[j].Off), max(r.End, v[j].End)
	}
	*s = slices.Replace(v, i, j, r)
}

// Has tells whether every byte of r is in the set.
func (s Ranges) Has(r Range) bool {
	if r.End <= r.Off {
		return true
	}
	i := sort.Search(len(s), func(i int) bool { return s[i].End > r.Off })
	return i < len(s) && s[i].Off <= r.Off && r.End <= s[i].End
}

// Len returns the number of bytes in the set.
func (s Ranges) Len() int64 {
	var n int64
	for _, r := range s {
		n += r.Len()
	}
	return n
}

// Coarsen returns the set with its smallest ranges left out until at most n remain.
func (s Ranges) Coarsen(n int) Ranges {
	if len(s) <= n {
		return s
	}
	by := slices.Clone(s)
	slices.SortFunc(by, func(a, b Range) int { return int(min(max(b.Len()-a.Len(), -1), 1)) })
	by = by[:n]
	slices.SortFunc(by, func(a, b Range) int { return int(min(max(a.Off-b.Off, -1), 1)) })
	return by
}

// Clip returns the part of the set below length.
func (s Ranges) Clip(length int64) Ranges {
	var out Ranges
	for _, r := range s {
		out.Add(Range{min(r.Off, length), min(r.End, length)})
	}
	return out
}
