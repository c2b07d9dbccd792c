package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"ferry/client/config"
	"ferry/client/remote"
	"ferry/client/shell"
	"ferry/client/term"
	"ferry/client/transfer"
	"ferry/server/servertest"
	"ferry/shared/partial"
)

// answers is a person who has thought about all answers beforehand.
type answers struct {
	lines []string
	asked []string
}

func (a *answers) Read(prompt string) (string, error) {
	a.asked = append(a.asked, prompt)
	if len(a.lines) == 0 {
		return "", io.EOF
	}
	line := a.lines[0]
	a.lines = a.lines[1:]
	return line, nil
}
func (a *answers) Password(string) (string, error) { return "", io.EOF }
func (a *answers) SaveHistory(string)              {}
func (a *answers) History() []string               { return nil }
func (a *answers) Stdout() io.Writer               { return io.Discard }
func (a *answers) Close() error                    { return nil }

// spoken is what a shell and its jobs said.
type spoken struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *spoken) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

// take returns what was said since the last time.
func (s *spoken) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.text.Reset()
	return s.text.String()
}

// person is a shell with a person at it, logged in as alice, in a directory of its own.
type person struct {
	*shell.Shell
	*answers
	t    *testing.T
	errs spoken
	home string

	server *servertest.Server
}

func newPerson(t *testing.T) *person {
	s := servertest.New(t)
	s.AddUser("alice", password)
	t.Chdir(t.TempDir())
	p := &person{answers: &answers{}, t: t, home: s.Home("alice"), server: s}
	settings := config.New(t.TempDir())
	if err := settings.Set(config.Session, "set", config.Fingerprint, s.Fingerprint()); err != nil {
		t.Fatal(err)
	}
	p.Shell = shell.New(shell.Config{In: p.answers, Out: io.Discard, Err: term.NewProgress(&p.errs, "none"), Person: true,
		Mover:  transfer.Mover{Jobs: transfer.Jobs{Dir: t.TempDir()}, Ops: partial.Real()},
		Remote: remote.Options{Address: s.Addr()}, Settings: settings,
		Password: func(context.Context, string, string) (string, error) { return password, nil }})
	t.Cleanup(p.Shell.Close)
	if err := p.Login(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	return p
}

// types runs a line; lines are the answers to what it asks. It returns what was said.
func (p *person) types(line string, lines ...string) string {
	p.t.Helper()
	p.errs.take()
	p.lines, p.asked = lines, nil
	p.Line(p.t.Context(), line)
	if len(p.lines) > 0 {
		p.t.Errorf("%s: was not asked for %q", line, p.lines)
	}
	return p.errs.take()
}

func (p *person) write(dir string, files map[string]string) {
	p.t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(path), 0o700)
		if err == nil {
			err = os.WriteFile(path, []byte(text), 0o600)
		}
		if err != nil {
			p.t.Fatal(err)
		}
	}
}

// holds fails if a directory does not hold exactly these files, given as "name=text".
func (p *person) holds(dir string, want ...string) {
	p.t.Helper()
	var got []string
	filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			text, _ := os.ReadFile(path)
			name, _ := filepath.Rel(dir, path)
			got = append(got, name+"="+string(text))
		}
		return err
	})
	if strings.Join(got, " ") != strings.Join(want, " ") {
		p.t.Errorf("%s holds %q, want %q", filepath.Base(dir), got, want)
	}
}

// TestAsked: a person is asked about each file that is there and different, before anything is moved, and what is answered
// is done; a cancelled job does nothing.
func TestAsked(t *testing.T) {
	ours := map[string]string{"d/a": "new a", "d/b": "new b", "d/c": "new c", "d/d": "new d", "d/e": "new e"}
	theirs := map[string]string{"d/a": "old", "d/b": "old", "d/c": "old", "d/d": "old"}
	for _, up := range []bool{true, false} {
		p := newPerson(t)
		line, from, to := "get -r d", p.home, "."
		if up {
			line, from, to = "put -r d", to, from
		}
		p.write(from, ours)
		p.write(to, theirs)
		to = filepath.Join(to, "d")
		p.types(line, "r", "what?", "c")
		if len(p.asked) != 3 {
			t.Errorf("asked %q", p.asked)
		}
		p.holds(to, "a=old", "b=old", "c=old", "d=old")
		p.types(line, "r", "s", "k", "all")
		p.holds(to, "a=new a", "b=old", "c=old", "c (2)=new c", "d=new d", "e=new e")
		p.types(line + " -f")
		p.holds(to, "a=new a", "b=new b", "c=new c", "c (2)=new c", "d=new d", "e=new e")
	}
}

// TestConfirmOff: who does not want to be asked is not, and gets what he asked for.
func TestConfirmOff(t *testing.T) {
	p := newPerson(t)
	p.write(".", map[string]string{"a": "new", "d/b": "b"})
	p.write(p.home, map[string]string{"a": "old", "d/old": "old"})
	p.types("set confirm off")
	p.types("put a; sync up d --delete")
	p.holds(p.home, "a=new", "d/b=b")
	p.write(".", map[string]string{"a": "newer"})
	p.types("get a")
	p.holds(".", "a=new", "d/b=b")
	p.types("set -d confirm")
	p.write(".", map[string]string{"a": "newest"})
	p.types("put a", "s")
	p.holds(p.home, "a=new", "d/b=b")
}

// TestAskedToDelete: a person is shown what is to be deleted and asked; no keeps it and moves the rest all the same.
func TestAskedToDelete(t *testing.T) {
	p := newPerson(t)
	p.write(".", map[string]string{"d/a": "a"})
	p.write(p.home, map[string]string{"d/old": "old"})
	p.types("sync up d --delete") // the end of the input is no yes
	p.holds(filepath.Join(p.home, "d"), "old=old")
	if said := p.types("sync up d --delete", "perhaps", "no"); !strings.Contains(said, "  /d/old\n") {
		t.Errorf("said %q", said)
	}
	p.holds(filepath.Join(p.home, "d"), "a=a", "old=old")
	p.types("sync up d --delete", "yes")
	p.holds(filepath.Join(p.home, "d"), "a=a")
	p.write("d", map[string]string{"more": "x"})
	p.types("sync down d --delete -f")
	p.holds("d", "a=a")
}

// TestAskedToRemove: a person is told what a directory holds before it is removed, and asked.
func TestAskedToRemove(t *testing.T) {
	p := newPerson(t)
	p.write(p.home, map[string]string{"d/a": "a", "d/sub/b": "bb", "f": "f"})
	p.types("rm -r d") // the end of the input is no yes
	p.types("rm -r d", "perhaps", "no")
	p.holds(p.home, "d/a=a", "d/sub/b=bb", "f=f")
	if want := "Remove d with all that is in it (2 files, 1 directory, 3 B)? [yes/no] "; len(p.asked) != 2 || p.asked[1] != want {
		t.Errorf("asked %q, want %q twice", p.asked, want)
	}
	if said := p.types("rm -r d", "yes"); said != "removed d: 4 names\n" {
		t.Errorf("said %q", said)
	}
	p.types("rm -r f") // a file is nothing to ask about
	p.holds(p.home)
	p.write(p.home, map[string]string{"d/a": "a"})
	p.types("rm -rf d")
	p.holds(p.home)
}
