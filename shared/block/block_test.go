package block

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

func TestTag(t *testing.T) {
	k := Key{1, 2, 3}
	a, b := NewTagger(k), NewTagger(k)
	data := bytes.Repeat([]byte{7}, Size)
	if a.Tag(5, data) != b.Tag(5, data) {
		t.Error("two taggers of one key differ")
	}
	seen := map[Tag]string{}
	other := bytes.Clone(data)
	other[Size-1] ^= 1
	for name, tag := range map[string]Tag{
		"block 5": a.Tag(5, data), "block 6": a.Tag(6, data), "one bit": a.Tag(5, other), "short": a.Tag(5, data[:Size-1]),
		"empty": a.Tag(5, nil), "other key": NewTagger(Key{9}).Tag(5, data),
	} {
		if seen[tag] != "" {
			t.Errorf("%s and %s have the same tag", name, seen[tag])
		}
		seen[tag] = name
	}
	if n := testing.AllocsPerRun(20, func() { a.Tag(5, data) }); n > 1 {
		t.Errorf("a tag takes %v allocations", n)
	}
}

func TestTagText(t *testing.T) {
	tag := NewTagger(Key{}).Tag(0, []byte("x"))
	text, _ := tag.MarshalText()
	var back Tag
	if err := back.UnmarshalText(text); err != nil || back != tag {
		t.Fatalf("%s: %v, %v", text, back, err)
	}
	for _, bad := range []string{"", "00", string(bytes.ToUpper(text)), string(text) + "0", string(text[:31]) + "g"} {
		if back.UnmarshalText([]byte(bad)) == nil && bad != string(text) {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestLen(t *testing.T) {
	for _, c := range []struct{ n, length, want, count int64 }{
		{0, 0, 0, 0}, {0, 1, 1, 1}, {0, Size, Size, 1}, {1, Size, 0, 1}, {1, Size + 3, 3, 2}, {-1, Size, 0, 1}, {4096, 4096*Size + 9, 9, 4097},
	} {
		if got := Len(c.n, c.length); got != c.want || Count(c.length) != c.count {
			t.Errorf("Len(%d, %d) = %d, want %d; Count = %d, want %d", c.n, c.length, got, c.want, Count(c.length), c.count)
		}
	}
}

// Ranges behaves as a set of numbers does.
func TestRanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s Ranges
		var model [64]bool
		for range rapid.IntRange(0, 12).Draw(t, "adds") {
			off := rapid.Int64Range(0, 63).Draw(t, "off")
			end := rapid.Int64Range(0, 64).Draw(t, "end")
			s.Add(Range{off, end})
			for i := off; i < end; i++ {
				model[i] = true
			}
		}
		var n int64
		for i := range model {
			if model[i] {
				n++
			}
			if s.Has(Range{int64(i), int64(i) + 1}) != model[i] {
				t.Fatalf("%v: byte %d", s, i)
			}
		}
		if s.Len() != n {
			t.Fatalf("%v has length %d, want %d", s, s.Len(), n)
		}
		for i := 1; i < len(s); i++ {
			if s[i].Off <= s[i-1].End {
				t.Fatalf("%v is not sorted and disjoint", s)
			}
		}
		cut := rapid.Int64Range(0, 64).Draw(t, "cut")
		for _, r := range s.Clip(cut) {
			if r.End > cut || !s.Has(r) {
				t.Fatalf("%v clipped to %d: %v", s, cut, s.Clip(cut))
			}
		}
		if c := s.Coarsen(2); len(c) > 2 || c.Len() > s.Len() {
			t.Fatalf("%v coarsened to %v", s, c)
		}
	})
}

func TestRangesJSON(t *testing.T) {
	s := Ranges{{0, 10}, {1 << 40, 1<<40 + 5}}
	b, err := json.Marshal(s)
	if err != nil || string(b) != "[[0,10],[1099511627776,5]]" {
		t.Fatalf("%s, %v", b, err)
	}
	var back Ranges
	if err := json.Unmarshal(b, &back); err != nil || !reflect.DeepEqual(back, s) {
		t.Fatalf("%v, %v", back, err)
	}
	for _, bad := range []string{"[[1]]", "[[1,2,3]]", "[[-1,2]]", "[[0,-2]]", "[[9223372036854775807,9223372036854775807]]"} {
		if json.Unmarshal([]byte(bad), &back) == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
}

func BenchmarkTag(b *testing.B) {
	tagger, data := NewTagger(NewKey()), make([]byte, Size)
	b.SetBytes(Size)
	for n := int64(0); b.Loop(); n++ {
		tagger.Tag(n, data)
	}
}
