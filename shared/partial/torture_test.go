package partial

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ferry/internal/powercut"
	"ferry/shared/block"
)

// tap counts the operations of a partial and lets fault say what becomes of each.
type tap struct {
	mu    sync.Mutex // a group syncs side by side
	log   []string
	files []*os.File // that were opened
	fault func(k int, op string) error
}

func (p *tap) do(op string, f func() error) error {
	p.mu.Lock()
	p.log = append(p.log, op)
	var err error
	if p.fault != nil {
		err = p.fault(len(p.log), op)
	}
	p.mu.Unlock()
	if err != nil {
		return err
	}
	return f()
}

func (p *tap) ops() Ops {
	real := Real()
	return Ops{
		Open: func(name string, flag int, perm fs.FileMode) (f *os.File, err error) {
			err = p.do("open", func() error { f, err = real.Open(name, flag, perm); return err })
			if err == nil {
				p.files = append(p.files, f)
			}
			return f, err
		},
		WriteAt: func(f *os.File, b []byte, off int64) (n int, err error) {
			err = p.do("write", func() error { n, err = real.WriteAt(f, b, off); return err })
			if err != nil { // as when the disk is full: a part of it is written
				n, _ = real.WriteAt(f, b[:len(b)/2], off)
			}
			return n, err
		},
		Truncate: func(f *os.File, n int64) error { return p.do("truncate", func() error { return real.Truncate(f, n) }) },
		Chmod:    func(f *os.File, m fs.FileMode) error { return p.do("chmod", func() error { return real.Chmod(f, m) }) },
		Chtimes:  func(n string, m time.Time) error { return p.do("chtimes", func() error { return real.Chtimes(n, m) }) },
		Sync:     func(f *os.File) error { return p.do("sync", func() error { return real.Sync(f) }) },
		Rename:   func(a, b string) error { return p.do("rename", func() error { return real.Rename(a, b) }) },
		Link:     func(a, b string) error { return p.do("link", func() error { return real.Link(a, b) }) },
		Remove:   func(a string) error { return p.do("remove", func() error { return real.Remove(a) }) },
		SyncDir:  func(a string) error { return p.do("syncdir", func() error { return real.SyncDir(a) }) },
	}
}

const oldText = "the old text"

var newText = bytes.Repeat([]byte("the new text "), block.Size/13*2+100)

// download gathers newText at path as a get does: what is there is compared, the rest is written.
func download(path string, ops Ops, replace bool) error {
	p, err := Open(path, ops)
	if err != nil {
		return err
	}
	defer p.Close()
	have := p.Have()
	for n := range block.Count(int64(len(newText))) {
		r := block.Range{Off: n * block.Size, End: n*block.Size + block.Len(n, int64(len(newText)))}
		if have.Has(r) {
			b := make([]byte, r.Len())
			if _, err := p.ReadAt(b, r.Off); err == nil && bytes.Equal(b, newText[r.Off:r.End]) {
				continue
			}
		}
		if _, err := p.WriteAt(newText[r.Off:r.End], r.Off); err != nil {
			return err
		}
	}
	return p.Commit(int64(len(newText)), time.Unix(1e9, 0), 0, replace)
}

// situations are what a download can find: nothing, an old file, and the partial of an earlier try with a block in it and
// more than there will be.
func situations() map[string]func(path string) error {
	return map[string]func(path string) error{
		"new":       func(string) error { return nil },
		"overwrite": func(path string) error { return os.WriteFile(path, []byte(oldText), 0o600) },
		"resume": func(path string) error {
			p, err := Open(path, Real())
			if err != nil {
				return err
			}
			defer p.Close()
			if _, err := p.WriteAt(newText[:block.Size], 0); err != nil {
				return err
			}
			_, err = p.WriteAt([]byte("more"), int64(len(newText))+100)
			return err
		},
	}
}

// Whichever operation fails, and when the process ends there, the file is the whole old one or the whole new one, nothing
// is called done that is not, and the next try ends well and leaves nothing behind.
func TestFaults(t *testing.T) {
	always := func(err error) func(k, at int) error {
		return func(k, at int) error {
			if k >= at {
				return err
			}
			return nil
		}
	}
	once := func(err error) func(k, at int) error {
		return func(k, at int) error {
			if k == at {
				return err
			}
			return nil
		}
	}
	for what, prepare := range situations() {
		for name, mode := range map[string]struct {
			of    func(k, at int) error
			crash bool
		}{
			"EIO": {of: once(syscall.EIO)}, "ENOSPC": {of: once(syscall.ENOSPC)}, "EDQUOT": {of: once(syscall.EDQUOT)},
			"EIO from then on": {of: always(syscall.EIO)}, "crash": {of: always(syscall.EIO), crash: true},
		} {
			for _, replace := range []bool{true, false} {
				if what == "overwrite" && !replace {
					continue // refused, and tested elsewhere
				}
				t.Run(fmt.Sprintf("%s, %s, replace %v", what, name, replace), func(t *testing.T) {
					for at := 1; ; at++ {
						if at == 100 {
							t.Fatal("never ended")
						}
						path := filepath.Join(t.TempDir(), "f")
						if err := prepare(path); err != nil {
							t.Fatal(err)
						}
						p := &tap{fault: func(k int, op string) error { return mode.of(k, at) }}
						err := download(path, p.ops(), replace)
						if len(p.log) < at {
							if err != nil || at < 7 {
								t.Fatalf("%d operations and %v", at, err)
							}
							return
						}
						for _, f := range p.files {
							f.Close() // when the process ends, its lock does
						}
						checkFault(t, fmt.Sprintf("at %d, %s", at, p.log[at-1]), path, what == "overwrite", replace, err)
						if !mode.crash && err != nil && !errors.Is(err, mode.of(at, at)) {
							t.Errorf("at %d, %s: %v", at, p.log[at-1], err)
						}
					}
				})
			}
		}
	}
}

// checkFault looks at what a download left behind that ended with err, and tries again.
func checkFault(t *testing.T, at, path string, old, replace bool, err error) {
	t.Helper()
	got := read(path)
	isNew, isOld := got == string(newText), old && got == oldText || !old && strings.HasPrefix(got, "?")
	if !isNew && !isOld || err == nil && !isNew {
		t.Fatalf("%s: %v, and the file is %.40q", at, err, got)
	}
	if err := download(path, Real(), replace); err != nil && !(isNew && !replace && errors.Is(err, fs.ErrExist)) {
		t.Fatalf("%s: the next try ends with %v", at, err)
	}
	if read(path) != string(newText) {
		t.Fatalf("%s: the next try leaves %.40q", at, read(path))
	}
	list, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(list) != 1 && !isNew {
		t.Errorf("%s: left behind: %v, %v", at, list, err)
	}
}

// A partial whose sync failed is not taken over by the next try: what the kernel shows of it may not be on the disk.
func TestSyncFailed(t *testing.T) {
	for _, stuck := range []bool{false, true} { // it cannot even be removed
		path := filepath.Join(t.TempDir(), "f")
		p := &tap{fault: func(k int, op string) error {
			if op == "sync" || stuck && op == "remove" {
				return syscall.EIO
			}
			return nil
		}}
		if err := download(path, p.ops(), true); !errors.Is(err, syscall.EIO) {
			t.Fatal(err)
		}
		f, err := Open(path, Real())
		if err != nil {
			t.Fatal(err)
		}
		if have := f.Have(); len(have) != 0 {
			t.Errorf("not removable %v: the next try finds %v", stuck, have)
		}
		f.Close()
	}
}

// A file that was fetched is there, whole, after a power cut: new, in the place of another, resumed and empty.
func TestPower(t *testing.T) {
	d := powercut.New(t)
	for what, prepare := range situations() {
		path := filepath.Join(d.Dir(), what)
		if err := prepare(path); err != nil {
			t.Fatal(err)
		}
		if err := download(path, Real(), what == "overwrite"); err != nil {
			t.Fatal(err)
		}
	}
	p, err := Open(filepath.Join(d.Dir(), "empty"), Real())
	if err == nil {
		err = p.Commit(0, time.Unix(1e9, 0), 0, false)
	}
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
	cut := d.Cut()
	for what := range situations() {
		if got := read(filepath.Join(cut, what)); got != string(newText) {
			t.Errorf("%s: %.40q after the cut", what, got)
		}
	}
	if got := read(filepath.Join(cut, "empty")); got != "" {
		t.Errorf("empty: %.40q after the cut", got)
	}
}
