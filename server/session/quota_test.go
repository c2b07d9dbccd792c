package session_test

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ferry/server/servertest"
	"ferry/server/session"
	"ferry/shared/wire"
)

// df asks how much room there is.
func (p *peer) df() (a wire.DfAnswer) {
	p.t.Helper()
	p.raw(frame(request("df", "")))
	if err := json.Unmarshal(p.hear(), &a); err != nil || a.Error != nil {
		p.t.Fatal(err, a.Error)
	}
	return a
}

// TestQuota: what does not fit is refused with what is used and what may be; a new limit holds at once, in both directions, for
// sessions that are there; and df tells.
func TestQuota(t *testing.T) {
	s := servertest.New(t)
	s.AddUser("alice", "correct horse")
	if err := os.WriteFile(filepath.Join(s.Home("alice"), "old"), make([]byte, 3000), 0o600); err != nil {
		t.Fatal(err)
	}
	n := 0
	p := &sender{in(t, s), &n}
	refused := func(err *wire.Error, says string) {
		t.Helper()
		if err == nil || err.Code != wire.Quota || err.Message != says {
			t.Errorf("got %+v, want quota, %s", err, says)
		}
	}
	if a := p.df(); a.Used != 3000 || a.Files != 1 || a.Quota != 0 || a.QuotaFiles != 0 || a.Free <= 0 {
		t.Errorf("without limits: %+v", a)
	}
	s.Set("alice", "quota", "4KiB")
	refused(p.small("/f", strings.Repeat("x", 2048))[0], "the quota is reached: 2.9 KiB of 4 KiB used, 2 KiB more needed")
	refused(p.large("/g", make([]byte, 2<<20)), "the quota is reached: 2.9 KiB of 4 KiB used, 2 MiB more needed")
	if errs := p.small("/f", "fits"); errs[0] != nil {
		t.Error(errs[0])
	}
	s.Set("alice", "quota_files", "2")
	refused(p.ask(request("mkdir", p.id()+`,"path":"/d"`)).Error, "the quota is reached: 2 of 2 files and directories")
	if a := p.df(); a.Used != 3004 || a.Files != 2 || a.Quota != 4096 || a.QuotaFiles != 2 {
		t.Errorf("with limits: %+v", a)
	}
	s.Set("alice", "quota", "5MiB")
	s.Set("alice", "quota_files", "")
	if err := p.large("/g", make([]byte, 2<<20)); err != nil {
		t.Error(err)
	}
}

// TestQuotaBatch: small files that are sent in one go and each find room are all stored, although together with those that they
// replace they would not.
func TestQuotaBatch(t *testing.T) {
	s := servertest.New(t)
	s.AddUser("alice", "correct horse")
	s.Set("alice", "quota", "3100B")
	s.Set("alice", "quota_files", "4")
	n := 0
	p := &sender{in(t, s), &n}
	one, two := strings.Repeat("1", 1000), strings.Repeat("2", 1000)
	for _, text := range []string{one, two} {
		for i, err := range p.small("/f", text, text) {
			if err != nil {
				t.Errorf("file %d of %c: %v", i, text[0], err)
			}
		}
	}
	if a := p.df(); a.Used != 2000 || a.Files != 2 {
		t.Errorf("%+v", a)
	}
}

// TestRates: bodies travel at the account's rates, whichever of its connections they take, and a new rate holds at once.
func TestRates(t *testing.T) {
	s := servertest.New(t)
	s.AddUser("alice", "correct horse")
	s.Set("alice", "rate_up", "2MiB/s")
	s.Set("alice", "rate_down", "1MiB/s")
	n := 0
	p := &sender{in(t, s), &n}
	begin := time.Now()
	if err := p.large("/f", make([]byte, 3<<20)); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took < 1370*time.Millisecond { // of 3 MiB a quarter of one passes at once
		t.Errorf("3 MiB went up in %v", took)
	}
	other := in(t, s)
	begin = time.Now()
	for _, q := range []*peer{p.peer, other} {
		q.raw(frame(request("get", `"path":"/f","offset":0,"length":1048576,"key":"`+anID+`"`)))
	}
	for _, q := range []*peer{p.peer, other} {
		q.body(1 << 20)
		q.skip(1 << 20)
	}
	if took := time.Since(begin); took < 1870*time.Millisecond { // of 2 MiB an eighth of one
		t.Errorf("2 MiB came down in %v", took)
	}
	s.Set("alice", "rate_down", "64KiB/s")
	p.raw(frame(request("get", `"path":"/f","offset":0,"length":3145728,"key":"`+anID+`"`)))
	p.body(1 << 20)
	p.skip(10 << 10)
	s.Set("alice", "rate_down", "none")
	p.skip(1<<20 - 10<<10) // this would take longer than anybody waits here
	for range 2 {
		p.body(1 << 20)
		p.skip(1 << 20)
	}
}

// skip reads n bytes.
func (p *peer) skip(n int64) {
	p.t.Helper()
	if _, err := io.CopyN(io.Discard, p.nc, n); err != nil {
		p.t.Fatal(err)
	}
}

// body takes in the header of an answer with so long a body.
func (p *peer) body(size int64) {
	p.t.Helper()
	for {
		var a wire.GetAnswer
		if err := json.Unmarshal(p.hear(), &a); err != nil || a.Error != nil {
			p.t.Fatal(err, a.Error)
		}
		if a.Size == nil {
			continue // a sign of life
		}
		if *a.Size != size {
			p.t.Fatalf("a body of %d bytes", *a.Size)
		}
		return
	}
}

// TestSlowBody: while a body is taken in slowly the server shows that it lives.
func TestSlowBody(t *testing.T) {
	s := servertest.New(t, servertest.WithTiming(session.Timing{Beat: 50 * time.Millisecond}))
	s.AddUser("alice", "correct horse")
	s.Set("alice", "rate_up", "64KiB/s")
	p := in(t, s)
	body := make([]byte, 1<<20)
	p.raw(append(frame(request("put", fmt.Sprintf(`"id":"%s","path":"/f","length":%d,"mtime":1,"size":%d`, anID, len(body), len(body)))), body...))
	// The limit is what is waited for, except in the moments when bytes pass.
	said := map[string]bool{}
	for range 10 {
		said[string(p.header())] = true
	}
	delete(said, `{"more":true}`)
	if !said[`{"more":true,"pace":65536}`] || len(said) != 1 {
		t.Errorf("got %v, want signs of life that tell why", said)
	}
	s.Set("alice", "rate_up", "")
	for {
		var a wire.PutAnswer
		if err := json.Unmarshal(p.hear(), &a); err != nil || a.Error != nil {
			t.Fatal(err, a.Error)
		}
		if !a.More {
			return
		}
	}
}
