package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// TestNames: what is kept is there in the next run, what is of this run is not, and what stands in the file is the person's.
func TestNames(t *testing.T) {
	state := t.TempDir()
	path := write(t, "[alias]\nmine = \"ls -l\"\n")
	s := New(state)
	if err := s.Load(path, false); err != nil {
		t.Fatal(err)
	}
	err := errors.Join(s.Aliases.Keep("kept", "put -r  x"), s.Aliases.Define("now", "pwd"), s.Aliases.Keep("kept", "put 'a  b'"))
	if err != nil {
		t.Fatal(err)
	}
	list := func(n *Names) string {
		all, err := n.All()
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for _, e := range all {
			fmt.Fprintf(&b, "%s=%s (%s)\n", e.Name, e.Text, e.From)
		}
		return strings.NewReplacer(path, "F", state, "S").Replace(b.String())
	}
	if got := list(s.Aliases); got != "kept=put 'a  b' (S/aliases)\nmine=ls -l (F:2)\nnow=pwd (session)\n" {
		t.Error(got)
	}
	if got := list(New(state).Aliases); got != "kept=put 'a  b' (S/aliases)\n" {
		t.Error(got)
	}
	var e *Error
	if err := s.Aliases.Remove("mine"); !errors.As(err, &e) || e.Advice != "remove it there: "+path+":2" {
		t.Errorf("%v", err)
	}
	if err := s.Aliases.Keep("mine", "x"); err == nil {
		t.Error("a kept name hides one of the file")
	}
	if err := s.Aliases.Remove("keptt"); !errors.As(err, &e) || e.Advice != "did you mean kept?" {
		t.Errorf("%v", err)
	}
	if err := errors.Join(s.Aliases.Remove("kept"), s.Aliases.Remove("now")); err != nil {
		t.Error(err)
	}
	if got := list(s.Aliases); got != "mine=ls -l (F:2)\n" {
		t.Error(got)
	}
	for _, bad := range []string{"", "-a", "a b", "a/b", "a@b", strings.Repeat("a", 65)} {
		if err := s.Aliases.Keep(bad, "x"); err == nil {
			t.Errorf("%q is taken as a name", bad)
		}
	}
	for _, bad := range []string{"", " ", "a\nb", "a\x1bb", "\xff"} {
		if err := s.Aliases.Keep("a", bad); err == nil {
			t.Errorf("%q is taken as a text", bad)
		}
	}
	info, err := os.Stat(filepath.Join(state, "aliases"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// TestNamesAtOnce: of names that are kept at the same time none is lost.
func TestNamesAtOnce(t *testing.T) {
	state := t.TempDir()
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			if err := New(state).Bookmarks.Keep(fmt.Sprint("n", i), "host"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if list, err := New(state).Bookmarks.All(); len(list) != 8 || err != nil {
		t.Errorf("%v, %v", list, err)
	}
}
