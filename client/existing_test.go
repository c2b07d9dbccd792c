package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
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
		at := time.Unix(1_700_000_000, 0)
		dated := func(dir string, at time.Time) {
			t.Helper()
			if err := os.Chtimes(filepath.Join(dir, "a"), at, at); err != nil {
				t.Fatal(err)
			}
		}
		restart()
		p.write(to, map[string]string{"a": "new"})
		dated(from, at)
		dated(to, at.Add(time.Hour))
		if said := p.types(line); !strings.HasPrefix(said, "up to date a") {
			t.Errorf("%s of the same at another time: %q", line, said)
		}
		p.write(to, map[string]string{"a": "wen"})
		dated(from, at)
		dated(to, at)
		if said := p.types(line, "s"); !strings.Contains(said, "is there already (") {
			t.Errorf("%s of the same length and time: %q", line, said)
		}
		p.holds(to, "a=wen")
	}
}

// TestAnswersKept: the script of a session answers as the person did.
func TestAnswersKept(t *testing.T) {
	p := newPerson(t)
	p.write(p.home, map[string]string{"a": "new", "b": "new"})
	p.write(".", map[string]string{"a": "older", "b": "older"})
	p.types("get a", "s")
	p.types("get a b -r", "k", "k")
	p.types("get -r a b", "r", "s")
	p.types("get b", "c")
	p.types("get a b", "a")
	p.types("get a; rm none")
	p.types("history --script out -f")
	text, err := os.ReadFile("out")
	if err != nil {
		t.Fatal(err)
	}
	_, got, _ := strings.Cut(string(text), "\nopen ")
	_, got, _ = strings.Cut(got, "\n")
	if want := "get --no-clobber a\nget --keep-both a b -r\nget -r a b\nget -f a b\nget a\n"; got != want {
		t.Errorf("the script has %q, want %q", got, want)
	}
}

// TestDropBox: who may put files where he may not look can name them in every way. A person is not asked there, so what is
// there stays, unless an option says otherwise.
func TestDropBox(t *testing.T) {
	p := newPerson(t)
	box := filepath.Join(p.home, "in")
	if err := os.Mkdir(box, 0o700); err != nil {
		t.Fatal(err)
	}
	p.server.Set("alice", "rights", "list,read")
	p.server.Set("alice", "rules", "/in=write,overwrite")
	p.write(".", map[string]string{"a": "first"})
	for _, line := range []string{"put a -O /in", "put a in/b", "put a -o in/c"} {
		p.types(line)
	}
	p.holds(box, "a=first", "b=first", "c=first")
	p.write(".", map[string]string{"a": "another"})
	if said := p.types("put a in/"); !strings.Contains(said, "exists already") || !strings.Contains(said, "-f replaces it") {
		t.Errorf("put of another: %q", said)
	}
	p.holds(box, "a=first", "b=first", "c=first")
	p.types("put -f a in/")
	p.holds(box, "a=another", "b=first", "c=first")
}
