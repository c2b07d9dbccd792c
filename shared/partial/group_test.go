package partial

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ferry/internal/powercut"
)

// groupSize is how many files a group has in these tests, in two directories.
const groupSize = 5

func groupPath(dir string, i int) string {
	return filepath.Join(dir, fmt.Sprintf("d%d", i%2), fmt.Sprintf("f%d", i))
}

func groupText(i int) string { return strings.Repeat(fmt.Sprint("new", i), 1000*i) } // the first is empty

// prepareGroup makes the directories, and with old a file in every place.
func prepareGroup(t *testing.T, old bool) string {
	t.Helper()
	dir := t.TempDir()
	for i := range groupSize {
		path := groupPath(dir, i)
		err := os.MkdirAll(filepath.Dir(path), 0o700)
		if err == nil && old {
			err = os.WriteFile(path, []byte(oldText), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// fetchGroup does with a group what a get of a tree does, and returns each file's error.
func fetchGroup(dir string, ops Ops, replace bool) []error {
	g := NewGroup(ops)
	errs, at := make([]error, groupSize), []int{}
	for i := range groupSize {
		if errs[i] = g.Add(groupPath(dir, i), []byte(groupText(i)), time.Unix(1e9, int64(i)), 0, replace); errs[i] == nil {
			at = append(at, i)
		}
	}
	for n, err := range g.Commit() {
		errs[at[n]] = err
	}
	return errs
}

// A group makes its files whole, with their times, syncs each once and each directory once, and leaves nothing beside them.
func TestGroup(t *testing.T) {
	for _, replace := range []bool{true, false} {
		dir := prepareGroup(t, replace)
		p := &tap{}
		for i, err := range fetchGroup(dir, p.ops(), replace) {
			if err != nil || read(groupPath(dir, i)) != groupText(i) {
				t.Errorf("file %d: %v, %.20q", i, err, read(groupPath(dir, i)))
			}
			if info, err := os.Stat(groupPath(dir, i)); err != nil || info.ModTime().UnixNano() != 1e18+int64(i) || info.Mode().Perm() != 0o666&^Umask() {
				t.Errorf("file %d is %v of %v, %v", i, info.Mode(), info.ModTime(), err)
			}
		}
		count := map[string]int{}
		for _, op := range p.log {
			count[op]++
		}
		if count["sync"] != groupSize || count["syncdir"] != 2 {
			t.Errorf("%v", count)
		}
		leftovers(t, dir, groupSize)
	}
}

func leftovers(t *testing.T, dir string, want int) {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(dir, "*", "*"))
	if len(files) != want {
		t.Errorf("%d files are there: %q", len(files), files)
	}
}

// Whichever operation of a group fails, and when the process ends there: each file is the whole old one or the whole new
// one, none is called done that is not, the others do not suffer from one that fails, and the next try ends well.
func TestGroupFaults(t *testing.T) {
	for name, mode := range map[string]struct {
		err     error
		forever bool
	}{"EIO": {syscall.EIO, false}, "ENOSPC": {syscall.ENOSPC, false}, "crash": {syscall.EIO, true}} {
		for _, replace := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, replace %v", name, replace), func(t *testing.T) {
				for at := 1; ; at++ {
					dir := prepareGroup(t, replace)
					p := &tap{fault: func(k int, op string) error {
						if k == at || mode.forever && k > at {
							return mode.err
						}
						return nil
					}}
					errs := fetchGroup(dir, p.ops(), replace)
					if len(p.log) < at {
						if at <= 7*groupSize {
							t.Fatalf("only %d operations", at)
						}
						return
					}
					failed := 0
					for i, err := range errs {
						got := read(groupPath(dir, i))
						isNew, isOld := got == groupText(i), replace && got == oldText || !replace && strings.HasPrefix(got, "?")
						if !isNew && !isOld || err == nil && !isNew || err != nil && !errors.Is(err, mode.err) {
							t.Fatalf("at %d, %s: %v, and file %d is %.40q", at, p.log[at-1], err, i, got)
						}
						if err != nil {
							failed++
						}
					}
					most := 1
					if p.log[at-1] == "syncdir" {
						most = 3 // all files of a directory
					}
					if !mode.forever && (failed > most || failed == 0 && p.log[at-1] != "remove" && p.log[at-1] != "link") {
						t.Errorf("at %d, %s: %d files failed", at, p.log[at-1], failed)
					}
					for _, f := range p.files {
						f.Close() // when the process ends, its locks do
					}
					for i, err := range fetchGroup(dir, Real(), replace) {
						if err != nil && (replace || !errors.Is(err, fs.ErrExist)) || read(groupPath(dir, i)) != groupText(i) {
							t.Fatalf("at %d, %s: the next try ends with %v", at, p.log[at-1], err)
						}
					}
					leftovers(t, dir, groupSize)
				}
			})
		}
	}
}

// What is in the way of a group's file is not touched, a partial that is in use neither, and an abandoned one is taken over.
func TestGroupInTheWay(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	p := open(t, path, Real())
	write(t, p, strings.Repeat("x", 5000), 0)
	g := NewGroup(Real())
	if err := g.Add(path, []byte("new"), time.Now(), 0, true); !errors.Is(err, ErrBusy) {
		t.Errorf("in use: %v", err)
	}
	p.Close()
	if err := g.Add(path, []byte("new"), time.Now(), 0o600, true); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, Real()); !errors.Is(err, ErrBusy) {
		t.Errorf("the group's file can be taken: %v", err)
	}
	if g.Len() != 1 || g.Bytes() != 3 {
		t.Errorf("%d files, %d bytes", g.Len(), g.Bytes())
	}
	if errs := g.Commit(); errs[0] != nil || read(path) != "new" || g.Len() != 0 {
		t.Errorf("%v, %q", errs, read(path))
	}
	if err := os.Symlink("f", Name(path)); err != nil {
		t.Fatal(err)
	}
	if err := g.Add(path, []byte("newer"), time.Now(), 0, true); err == nil || read(path) != "new" {
		t.Errorf("over a link: %v, %q", err, read(path))
	}
}

// The files of a group are there, whole, after a power cut.
func TestGroupPower(t *testing.T) {
	d := powercut.New(t)
	for i := range groupSize {
		dir := filepath.Dir(groupPath(d.Dir(), i))
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := syncDir(d.Dir()); err != nil {
		t.Fatal(err)
	}
	for _, err := range fetchGroup(d.Dir(), Real(), false) {
		if err != nil {
			t.Fatal(err)
		}
	}
	cut := d.Cut()
	for i := range groupSize {
		if got := read(groupPath(cut, i)); got != groupText(i) {
			t.Errorf("file %d: %.40q after the cut", i, got)
		}
	}
}
