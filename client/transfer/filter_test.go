package transfer

import (
	"strings"
	"testing"
	"time"
)

func TestFilter(t *testing.T) {
	for _, c := range []struct {
		include, exclude string // separated by blanks
		takes, leaves    string // a slash at the end: a directory
	}{
		{"", "", "a a/b .x", ""},
		{"*.go", "", "a.go d/a.go", "a.c go d/ d/go"},
		{"", "*.tmp", "a d/ d/b", "a.tmp d/b.tmp d.tmp/ d.tmp/a"},
		{"", "cache/", "cache d/cache", "cache/ cache/a d/cache/ d/cache/x/y"},
		{"", "/build", "d/build d/build/", "build build/ build/x"},
		{"", "a/*", "a b/a/x a/", "a/x a/x/y"},
		{"", "a/**/z", "a/q/y/x2b z b/a/z", "a/z/ a/b/z a/b/c/z a/b/c/z/more"},
		{"", "**/t/*.x", "t/a.y a.x", "t/a.x s/t/a.x r/s/t/a.x"},
		{"docs/", "", "docs/ docs/a docs/a/b x/docs/y", "doc other/a"},
		{"docs/** *.md", "docs/draft*", "docs/a README.md x/y.md", "docs/draft docs/draft2/x x/y.txt"},
		{"", "[ab]?", "c1 a", "a1 x/b2"},
		{"", "[!ab]?", "a1 x/b2 !", "c1 !1"},
		{"", "[^ab]?", "a1 x/b2", "c1"},
		{"", "**", "", "a a/b c/"},
	} {
		f, err := NewFilter(strings.Fields(c.include), strings.Fields(c.exclude))
		if err != nil {
			t.Fatal(err)
		}
		for want, names := range map[bool]string{true: c.takes, false: c.leaves} {
			for _, name := range strings.Fields(names) {
				rel, dir := strings.CutSuffix(name, "/")
				if f.Takes(rel, dir) != want {
					t.Errorf("include %q, exclude %q: %s is taken: %v", c.include, c.exclude, name, !want)
				}
			}
		}
	}
	f, _ := NewFilter([]string{"*.go"}, []string{"vendor"})
	if !f.Enters("d") || f.Enters("vendor") || f.Enters("d/vendor/x") {
		t.Error("directories are not entered as they should be")
	}
	for _, bad := range []string{"", "/", "a//b", "[", "a/[x"} {
		if _, err := NewFilter(nil, []string{bad}); err == nil {
			t.Errorf("%q is a pattern", bad)
		}
	}
}

// A pattern made to take long takes no time that anybody would notice.
func TestFilterTime(t *testing.T) {
	f, err := NewFilter(nil, []string{strings.Repeat("**/a/", 50) + "b", strings.Repeat("*a", 100) + "b"})
	if err != nil {
		t.Fatal(err)
	}
	name := strings.Repeat("a/", 60) + strings.Repeat("a", 250)
	done := make(chan bool)
	go func() { done <- f.Takes(name, false) }()
	select {
	case took := <-done:
		if !took {
			t.Error("it fits")
		}
	case <-time.After(time.Minute):
		t.Fatal("no end")
	}
}
