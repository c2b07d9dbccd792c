package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestAskedForOne: about a single file that is there and different a person is asked, for put and get alike; the same
// content is no question, and an option answers beforehand.
func TestAskedForOne(t *testing.T) {
	for _, up := range []bool{true, false} {
		p := newPerson(t)
		line, from, to := "get a", p.home, "."
		if up {
			line, from, to = "put a", to, from
		}
		restart := func() {
			t.Helper()
			p.types("!rm -f * " + filepath.Join(p.home, "a*"))
			p.write(from, map[string]string{"a": "new"})
			p.write(to, map[string]string{"a": "older"})
		}
		for _, test := range []struct {
			options string
			answers []string
			want    []string
		}{
			{"", []string{"r"}, []string{"a=new"}},
			{"", []string{"overwrite"}, []string{"a=new"}},
			{"", []string{"s"}, []string{"a=older"}},
			{"", []string{"k"}, []string{"a=older", "a (2)=new"}},
			{"", []string{"a"}, []string{"a=new"}},
			{"", []string{"perhaps", "c"}, []string{"a=older"}},
			{"", []string{}, []string{"a=older"}}, // the end of the input is no yes
			{" -f", nil, []string{"a=new"}},
			{" --no-clobber", nil, []string{"a=older"}},
			{" --keep-both", nil, []string{"a=older", "a (2)=new"}},
		} {
			restart()
			said := p.types(line+test.options, test.answers...)
			if asked := strings.Contains(said, "is there already ("); asked != (test.answers != nil) {
				t.Errorf("%s%s %q: said %q", line, test.options, test.answers, said)
			}
			p.holds(to, test.want...)
		}
		restart()
		p.write(to, map[string]string{"a": "new"})
		if said := p.types(line); !strings.HasPrefix(said, "up to date a") {
			t.Errorf("%s of the same: %q", line, said)
		}
	}
}
