package main

import (
	"strings"
	"testing"
)

// TestJobAsksNothing: where a command of a person would ask, a job fails, says what answers beforehand, and replaces nothing.
func TestJobAsksNothing(t *testing.T) {
	p := newPerson(t)
	p.write(".", map[string]string{"a": "new", "d/a": "new", "same": "same"})
	// Other lengths, since files that are as long and were written in the same tick of the clock are unchanged to a tree.
	p.write(p.home, map[string]string{"a": "older", "b": "here", "d/a": "older", "d/more": "more", "same": "same"})
	for _, c := range []struct{ line, says string }{
		{"put a & wait", "[1] put: a: a different file is there already\n[1] hint: nobody is asked in the background: -f replaces it"},
		{"put -r d & wait", "a: a different file is there already\n[1] hint: nobody is asked"},
		{"get a & wait", "[1] get: a: a different file is there already\n[1] hint: "},
		{"rm -r d & wait", "[1] rm: d: nobody can be asked in the background\n[1] hint: -f does it"},
		{"sync up d --delete & wait", "nobody can be asked in the background\n[1] hint: -f does it"},
	} {
		if said := p.types(c.line); !strings.Contains(said, c.says) {
			t.Errorf("%s: said %q, want %q", c.line, said, c.says)
		}
	}
	p.holds(p.home, "a=older", "b=here", "d/a=older", "d/more=more", "same=same")
	p.holds(".", "a=new", "d/a=new", "same=same")
	if said := p.types("put same & put a --keep-both & wait"); !strings.Contains(said, "[1] up to date same") {
		t.Errorf("said %q", said)
	}
	p.types("put -f a & rm -rf d & wait")
	p.holds(p.home, "a=new", "a (2)=new", "b=here", "same=same")
}

// TestLeave: a person who leaves while jobs run is asked what is to become of them.
func TestLeave(t *testing.T) {
	p := newPerson(t)
	big := strings.Repeat("0123456789abcdef", 1<<18)
	p.write(".", map[string]string{"big": big})
	const question = "2 jobs are not done: [w]ait, [s]top (what was moved is kept), or stay? [w/s/N] "
	begin := "put --limit 64K big & queue put --limit 64K big -o big2"
	p.types(begin)
	for _, line := range []string{"quit", "logout", "login alice", "open alice@" + p.server.Addr()} {
		if said := p.types(line, ""); !strings.Contains(said, ": some jobs are not done\n") || len(p.asked) != 1 || p.asked[0] != question {
			t.Errorf("%s: asked %q, said %q", line, p.asked, said)
		}
	}
	if said := p.types("jobs"); said != "" {
		t.Errorf("jobs said %q", said)
	}
	said := p.types("logout", "perhaps", "s")
	if !strings.Contains(said, "[1] put: stopped\n") || len(p.asked) != 2 {
		t.Errorf("asked %q, said %q", p.asked, said)
	}
	p.holds(p.home)
	p.types("login alice; limit 64K; put big & queue put big -o big2; limit 0")
	if said := p.types("logout", "w"); !strings.Contains(said, "[2] stored big2") {
		t.Errorf("said %q", said)
	}
	p.holds(p.home, "big="+big, "big2="+big)

	// At the end of the input nobody is there to answer.
	p.types("login alice; put --limit 64K big -o big3 &")
	p.lines, p.asked = nil, nil
	if code := p.Run(t.Context(), ""); code != 0 || len(p.asked) != 2 {
		t.Errorf("exit code %d, asked %q", code, p.asked)
	}
	p.holds(p.home, "big="+big, "big2="+big)
}

// TestJobBesides: jobs and what is in front use the session at the same time, and a job that is stopped can be gone on with.
func TestJobBesides(t *testing.T) {
	p := newPerson(t)
	big := strings.Repeat("0123456789abcdef", 1<<19)
	files := map[string]string{"big": big, "note": "note"}
	p.write(".", files)
	p.write(p.home, map[string]string{"there/x": "x"})
	p.types("put big & get -r there & put --limit 2M big -o slow &")
	for range 10 {
		p.types("ls; put -f note; set limit 100M; cd there; set -d limit; cd /; lls; jobs")
	}
	p.types("kill 3; wait")
	p.types("put big -o slow")
	p.holds(p.home, "big="+big, "note=note", "slow="+big, "there/x=x")
	p.holds("there", "x=x")
}
