package register

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ferry/internal/powercut"
	"ferry/server/account"
)

func noon() time.Time { return time.Date(2027, 1, 31, 12, 0, 0, 0, time.UTC) }

// people is who has an account.
type people struct {
	mu   sync.Mutex
	made []string
}

func (p *people) known(name string) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, n := range p.made {
		if n == name {
			return true, nil
		}
	}
	return false, nil
}

func (p *people) add(name string) func() error {
	return func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.made = append(p.made, name)
		return nil
	}
}

func made(t *testing.T, i Invites, n int) []string {
	t.Helper()
	codes, err := i.Make(n, time.Hour, noon())
	if err != nil || len(codes) != n {
		t.Fatalf("%q, %v", codes, err)
	}
	return codes
}

// TestInvite: good once, for a time, unless taken back; the file tells nobody what the codes are.
func TestInvite(t *testing.T) {
	i := Invites{Path: filepath.Join(t.TempDir(), "invites.json")}
	p := &people{}
	use := func(code, name string, now time.Time) error { return i.use(code, name, now, p.known, p.add(name)) }
	if err := i.Check("", noon()); err != ErrInvite {
		t.Errorf("without a file: %v", err)
	}
	codes := made(t, i, 4)
	text, err := os.ReadFile(i.Path)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range codes {
		if strings.Contains(string(text), c) || len(c) < 20 {
			t.Errorf("the file holds the code %s", c)
		}
	}
	if info, _ := os.Stat(i.Path); info.Mode() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	for _, wrong := range []string{"", "x", strings.ToLower(codes[0]), codes[0] + " ", hash(codes[0])} {
		if err := use(wrong, "mallory", noon()); err != ErrInvite {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	if err := use(codes[0], "alice", noon()); err != nil {
		t.Error(err)
	}
	if err := use(codes[0], "bob", noon()); err != ErrInvite {
		t.Errorf("a second time: %v", err)
	}
	if err := use(codes[1], "alice", noon()); err != ErrTaken {
		t.Errorf("a name in use: %v", err)
	}
	if err := use(codes[1], "carol", noon().Add(time.Hour)); err != ErrInvite {
		t.Errorf("too late: %v", err)
	}
	if list, err := i.List(noon()); err != nil || len(list) != 3 {
		t.Errorf("%v, %v", list, err)
	}
	if list, err := i.List(noon().Add(time.Hour)); err != nil || len(list) != 0 {
		t.Errorf("an hour later: %v, %v", list, err)
	}
	if err := i.Revoke(noon(), hash(codes[2])[:8], "00000000"); !errors.Is(err, ErrNoInvite) {
		t.Errorf("one of two is not there: %v", err)
	}
	if err := i.Check(codes[2], noon()); err != nil {
		t.Errorf("it was taken back all the same: %v", err)
	}
	if err := i.Revoke(noon(), hash(codes[2])[:8]); err != nil {
		t.Error(err)
	}
	if err := use(codes[2], "carol", noon()); err != ErrInvite {
		t.Errorf("taken back: %v", err)
	}
	if len(p.made) != 1 {
		t.Errorf("accounts of %q", p.made)
	}
}

// TestInviteRace: many at once with one code, and whoever makes others meanwhile, lose nothing.
func TestInviteRace(t *testing.T) {
	i := Invites{Path: filepath.Join(t.TempDir(), "invites.json")}
	code := made(t, i, 1)[0]
	p := &people{}
	var wg sync.WaitGroup
	errs := make(chan error, 8)
	for n := range cap(errs) {
		name := fmt.Sprintf("user%d", n)
		wg.Go(func() { errs <- i.use(code, name, noon(), p.known, p.add(name)) })
	}
	wg.Go(func() { made(t, i, 3) })
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil && err != ErrInvite {
			t.Error(err)
		}
	}
	if len(p.made) != 1 {
		t.Errorf("accounts of %q by one invite", p.made)
	}
	if list, err := i.List(noon()); err != nil || len(list) != 3 {
		t.Errorf("%v, %v", list, err)
	}
}

// killed is what a step panics with that is not to return.
type killed struct{}

// TestInviteKilled: whichever step a kill comes before or behind, afterwards the invite is spent exactly if there is an account.
func TestInviteKilled(t *testing.T) {
	for step := 0; ; step++ {
		i := Invites{Path: filepath.Join(t.TempDir(), "invites.json")}
		code := made(t, i, 1)[0]
		p := &people{}
		n := 0
		at := func() {
			if n++; n-1 == step {
				panic(killed{})
			}
		}
		i.Write = func(path string, text []byte) error {
			at()
			err := account.WriteFile(path, text)
			at()
			return err
		}
		died := func() (died bool) {
			defer func() { died = recover() != nil }()
			err := i.use(code, "alice", noon(), p.known, func() error {
				at()
				err := p.add("alice")()
				at()
				return err
			})
			if err != nil {
				t.Error(err)
			}
			return false
		}()
		i.Write = nil
		there := len(p.made) == 1
		if step%2 == 0 { // a server that is started again finds out, as does the next user
			if err := i.settle(noon(), p.known); err != nil {
				t.Error(err)
			}
			if list, _ := i.List(noon()); (len(list) == 1) == there {
				t.Errorf("step %d: account %v, open %v", step, there, list)
			}
		}
		err := i.use(code, "bob", noon(), p.known, p.add("bob"))
		if there && err != ErrInvite || !there && err != nil || len(p.made) != 1 {
			t.Errorf("step %d: account of alice %v, then bob: %v, accounts of %q", step, there, err, p.made)
		}
		if !died {
			if step < 6 {
				t.Errorf("only %d steps", step)
			}
			return
		}
	}
}

// TestInviteFails: a disk that fails spends no invite for nothing, and makes no account without one.
func TestInviteFails(t *testing.T) {
	for fail := range 2 {
		i := Invites{Path: filepath.Join(t.TempDir(), "invites.json")}
		code := made(t, i, 1)[0]
		p := &people{}
		n := 0
		i.Write = func(path string, text []byte) error {
			if n++; n-1 == fail {
				return syscall.ENOSPC
			}
			return account.WriteFile(path, text)
		}
		err := i.use(code, "alice", noon(), p.known, p.add("alice"))
		if (err == nil) != (len(p.made) == 1) {
			t.Errorf("write %d: %v, accounts of %q", fail, err, p.made)
		}
		i.Write = nil
		i.use(code, "bob", noon(), p.known, p.add("bob"))
		if len(p.made) != 1 {
			t.Errorf("write %d: accounts of %q", fail, p.made)
		}
	}
	i := Invites{Path: filepath.Join(t.TempDir(), "invites.json")}
	code := made(t, i, 1)[0]
	p := &people{}
	if err := i.use(code, "alice", noon(), p.known, func() error { return syscall.EIO }); !errors.Is(err, syscall.EIO) {
		t.Error(err)
	}
	if err := i.use(code, "alice", noon(), p.known, p.add("alice")); err != nil {
		t.Errorf("once more after a failure: %v", err)
	}
}

// TestInvitePower: invites that were printed are there after a power cut.
func TestInvitePower(t *testing.T) {
	d := powercut.New(t)
	i := Invites{Path: filepath.Join(d.Dir(), "invites.json")}
	codes := made(t, i, 2)
	after := Invites{Path: filepath.Join(d.Cut(), "invites.json")}
	for _, c := range codes {
		if err := after.Check(c, noon()); err != nil {
			t.Error(err)
		}
	}
}

// TestInviteFileDamaged: nobody registers by a file that cannot be read.
func TestInviteFileDamaged(t *testing.T) {
	i := Invites{Path: filepath.Join(t.TempDir(), "invites.json")}
	for _, text := range []string{"", "{", `[{"hash":"ab"}]`, `[{"code":"x"}]`} {
		if err := os.WriteFile(i.Path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := i.Make(1, time.Hour, noon()); err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("%q: %v", text, err)
		}
		if err := i.Check("x", noon()); err == nil || err == ErrInvite {
			t.Errorf("%q: %v", text, err)
		}
	}
}
