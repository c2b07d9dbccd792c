package main

import (
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"ferry/internal/termtest"
)

// tabber is a person who types only to press Tab.
type tabber struct {
	answers
	press func()
}

func (p *tabber) Read(string) (string, error) {
	p.press()
	return "", io.EOF
}

// tab returns what is offered behind each line.
func (p *person) tab(lines ...string) (all [][]string) {
	before := p.In
	defer func() { p.In = before }()
	p.In = &tabber{press: func() {
		for _, line := range lines {
			candidates, _ := p.Complete(p.t.Context(), line, len(line))
			var texts []string
			for _, c := range candidates {
				texts = append(texts, c.Text)
			}
			all = append(all, texts)
		}
	}}
	p.Run(p.t.Context(), "")
	return all
}

// offers fails unless exactly these are offered behind a line.
func (p *person) offers(line string, want ...string) {
	p.t.Helper()
	ask := p.something
	if len(want) == 0 {
		ask = func(line string) []string { return p.tab(line)[0] }
	}
	got := ask(line)
	if !slices.Equal(got, want) {
		p.t.Errorf("%q offers %q, want %q", line, got, want)
	}
}

// something is what is offered behind a line where there is something to offer, though Tab may give up on a busy machine.
func (p *person) something(line string) []string {
	for begin := time.Now(); time.Since(begin) < termtest.Patience; {
		if got := p.tab(line)[0]; len(got) > 0 {
			return got
		}
	}
	return nil
}

// TestTabRemote: names on the server, in the directory where one is, and what has changed is seen with the next line.
func TestTabRemote(t *testing.T) {
	p := newPerson(t)
	p.write(p.home, map[string]string{"a b": "", "日本/語": "", "sub/deep/x": "", "-dash": "", ".dot": ""})
	p.offers("cat ", "./-dash ", `a\ b `, "sub/", "日本/")
	p.offers("cat 日本/", "日本/語 ")
	p.offers("get -O x 'a", "'a b' ")
	p.offers("put x -o sub/de", "sub/deep/")
	p.offers("put x su", "sub/") // nothing here begins so
	p.offers("cat .", ".dot ")
	p.offers("cat none/")
	p.types("cd sub")
	p.offers("cat ", "deep/")
	p.offers("cat ../日", "../日本/")
	p.offers("cat /su", "/sub/")
	p.offers("cat ~/su", "~/sub/")
	p.types("mkdir dark")
	p.offers("cd d", "dark/", "deep/")
	p.types("logout")
	p.offers("cat /su")
}

// TestTabJobs: behind the commands that are about jobs come their numbers, behind queue another command.
func TestTabJobs(t *testing.T) {
	p := newPerson(t)
	p.write(p.home, map[string]string{"some": ""})
	p.offers("kill ")
	p.types("get some & queue pwd; wait 1; put none & queue pwd")
	want := [][]string{{"2 ", "3 ", "4 "}, {"2 "}, {"2 ", "3 ", "4 "}}
	if got := p.tab("fg ", "kill 1 2", "queue -d ")[:3]; !slices.EqualFunc(got, want, slices.Equal) { // then the end of the input stops them
		t.Errorf("%q, want %q", got, want)
	}
	p.offers("queue --", "--delete ")
	p.offers("queue pu", "put ")
	p.offers("queue get so", "some ")
	p.offers("queue put --excl", "--exclude ")
	p.offers("queue queue put --excl", "--exclude ")
}

// TestTabOrders: the server says what can stand in the command lines of an administrator, and only to one.
func TestTabOrders(t *testing.T) {
	p := newPerson(t)
	p.server.AddUser("bob", password)
	p.offers("user mod ")
	p.server.Set("alice", "rights", "*,admin")
	p.types("login alice")
	p.write(".", map[string]string{"id.pub": "", "secret": ""})
	p.offers("user mod ", "alice ", "bob ")
	p.offers("user mod b", "bob ")
	p.offers("user add ")
	p.offers("user passwd b", "bob ")
	p.offers("user lock bob --re", "--reason ")
	p.offers("user mod bob --max-f", "--max-file-size ")
	p.offers("user mod --quota ")
	p.offers("user k", "key ")
	p.offers("user key ", "add ", "del ")
	p.offers("user key add b", "bob ")
	p.offers("user key add bob i", "id.pub ")
	p.offers("user add carol --new-", "--new-password-command ", "--new-password-file ")
	p.offers("user add carol --new-password-file se", "secret ")
	p.offers("user add carol --new-password-file secret --gen", "--generate ")
	p.offers("kick al", "alice ")
	p.offers("invite re", "revoke ")
	p.offers("uploads ", "drop ", "list ")
	p.offers("bans li", "lift ", "list ")
	p.server.Fail("nobody", 1)
	p.offers("bans lift ", "127.0.0.1 ")
	invite := p.server.Invite()
	if got := p.something("invite revoke "); len(got) != 1 || strings.Contains(invite, got[0]) {
		t.Errorf("invite revoke offers %q", got)
	}
}
