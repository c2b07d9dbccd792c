package local

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ferry/server/storage"
	"ferry/shared/partial"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// world makes a home next to a directory that nothing may touch, and returns both with a description of the latter.
func world(t *testing.T) (home, outside string, describe func() string) {
	t.Helper()
	base := t.TempDir()
	home, outside = filepath.Join(base, "home"), filepath.Join(base, "outside")
	must(t, os.Mkdir(home, 0o700))
	must(t, os.MkdirAll(filepath.Join(outside, "sub"), 0o755))
	must(t, os.WriteFile(filepath.Join(outside, "f"), []byte("outside"), 0o644))
	must(t, os.WriteFile(filepath.Join(outside, "sub", "f"), []byte("outside"), 0o644))
	describe = func() string {
		var b strings.Builder
		must(t, filepath.WalkDir(outside, func(name string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			i, err := d.Info()
			if err != nil {
				return err
			}
			text := ""
			if i.Mode().IsRegular() {
				c, err := os.ReadFile(name)
				if err != nil {
					return err
				}
				text = string(c)
			}
			fmt.Fprintln(&b, name, i.Mode(), i.ModTime(), text)
			return nil
		}))
		return b.String()
	}
	return home, outside, describe
}

// assault does everything there is to the names at and below name and returns the errors.
func assault(h *Home, name string, expectText func(string)) map[string]error {
	errs := map[string]error{}
	mode, now := fs.FileMode(0o777), time.Now()
	for _, in := range []string{name + "/f", name + "/sub/f", name + "/new"} {
		r, err := h.Open(bg, in, "")
		if err == nil {
			b := make([]byte, 7)
			n, _ := r.ReadAt(b, 0)
			expectText(string(b[:n]))
			r.Close()
		}
		errs["open "+in] = err
		_, errs["stat "+in] = h.Stat(bg, in)
		errs["put "+in] = put(h, storage.Spec{Path: in, Ephemeral: true}, []byte("inside!"))
		errs["long put "+in] = put(h, storage.Spec{Path: in, Parents: true}, []byte("inside!"))
		errs["meta "+in] = h.SetMeta(bg, in, storage.Meta{Mode: &mode, ModTime: &now})
		errs["mkdir "+in] = h.Mkdir(bg, in+".d", true)
		errs["rename "+in] = h.Rename(bg, in, "/taken", true)
		errs["rename to "+in] = h.Rename(bg, "/mine", in, true)
		errs["rm "+in] = h.Remove(bg, in)
	}
	for e, err := range h.List(bg, name, true) {
		if err != nil {
			errs["list"] = err
		}
		if e.Name == name+"/only-outside" {
			expectText("outside")
		}
	}
	return errs
}

func TestLinksOutside(t *testing.T) {
	home, outside, describe := world(t)
	must(t, os.WriteFile(filepath.Join(outside, "only-outside"), nil, 0o644))
	before := describe()
	must(t, os.Mkdir(filepath.Join(home, "in"), 0o755))
	for link, target := range map[string]string{
		"abs": outside, "rel": "../outside", "up": "..", "deep": "in/../../outside", "absin": filepath.Join(home, "in"), "proc": "/proc/self/cwd",
	} {
		must(t, os.Symlink(target, filepath.Join(home, link)))
		h := open(t, home, Options{})
		for what, err := range assault(h, "/"+link, func(s string) { t.Errorf("%s: read %q", link, s) }) {
			missing := strings.HasPrefix(what, "rename to") // nothing to rename
			if !errors.Is(err, fs.ErrPermission) && !missing {
				t.Errorf("%s: %s: %v, want permission denied", link, what, err)
			}
			if err != nil && strings.Contains(err.Error(), filepath.Dir(home)) {
				t.Errorf("%s: %s: tells %v", link, what, err)
			}
		}
		e, err := h.Stat(bg, "/"+link)
		if err != nil || e.Kind != storage.Link || e.Length != 0 || e.Version != "" {
			t.Errorf("%s: %+v, %v", link, e, err)
		}
		must(t, h.Rename(bg, "/"+link, "/moved", false))
		must(t, h.Remove(bg, "/moved"))
	}
	if after := describe(); after != before {
		t.Errorf("outside was\n%s\nand is\n%s", before, after)
	}
}

// A link to a file is not followed: not read, replaced by a put, removed by a rm.
func TestFileLinks(t *testing.T) {
	home, outside, describe := world(t)
	before := describe()
	h := open(t, home, Options{})
	must(t, put(h, storage.Spec{Path: "/real"}, oldText))
	for _, target := range []string{filepath.Join(outside, "f"), "../outside/f", "real", "nowhere"} {
		link := func() { must(t, os.Symlink(target, filepath.Join(home, "l"))) }
		link()
		if _, err := h.Open(bg, "/l", ""); !errors.Is(err, storage.ErrNotRegular) {
			t.Errorf("open of a link to %s: %v", target, err)
		}
		mode := fs.FileMode(0o600)
		if err := h.SetMeta(bg, "/l", storage.Meta{Mode: &mode}); !errors.Is(err, storage.ErrNotRegular) {
			t.Errorf("chmod of a link to %s: %v", target, err)
		}
		none := ""
		if err := put(h, storage.Spec{Path: "/l", Expect: &none}, newText); !errors.Is(err, fs.ErrExist) {
			t.Errorf("put where only nothing may be, onto a link to %s: %v", target, err)
		}
		must(t, put(h, storage.Spec{Path: "/l"}, newText))
		if e, err := h.Stat(bg, "/l"); err != nil || e.Kind != storage.File {
			t.Errorf("after a put onto a link to %s: %+v, %v", target, e, err)
		}
		must(t, h.Remove(bg, "/l"))
		link()
		must(t, h.Remove(bg, "/l"))
		if _, err := os.Lstat(filepath.Join(home, "l")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("rm of a link to %s: %v", target, err)
		}
	}
	if content(t, h, "/real") != string(oldText) {
		t.Error("the target of a link was altered")
	}
	if after := describe(); after != before {
		t.Errorf("outside was\n%s\nand is\n%s", before, after)
	}
}

// Links that stay inside lead to directories, but never to the staging, by whatever way.
func TestLinksInside(t *testing.T) {
	home := t.TempDir()
	h := open(t, home, Options{})
	u, err := h.Upload(bg, storage.Spec{Path: "/f", Length: 5})
	must(t, err)
	must(t, h.Mkdir(bg, "/d/e", true))
	must(t, put(h, storage.Spec{Path: "/d/f"}, newText))
	id := u.Spec().ID
	for link, target := range map[string]string{"good": "d", "stage": ".ferry", "own": ".ferry/" + id, "self": ".", "d/up": "../.ferry"} {
		must(t, os.Symlink(target, filepath.Join(home, link)))
	}
	if content(t, h, "/good/f") != string(newText) {
		t.Error("a link to a directory inside is not followed")
	}
	must(t, put(h, storage.Spec{Path: "/good/e/g"}, newText))
	if content(t, h, "/d/e/g") != string(newText) {
		t.Error("put through a link went elsewhere")
	}
	for _, name := range []string{"/stage/" + id, "/own/data", "/own/upload.json", "/self/.ferry", "/self/.ferry/" + id, "/d/up/" + id, "/stage/" + id + "/data"} {
		_, err := h.Stat(bg, name)
		if !errors.Is(err, storage.ErrBadPath) {
			t.Errorf("stat %s: %v", name, err)
		}
		if err := h.Remove(bg, name); !errors.Is(err, storage.ErrBadPath) {
			t.Errorf("rm %s: %v", name, err)
		}
		if err := put(h, storage.Spec{Path: name, Ephemeral: true}, newText); !errors.Is(err, storage.ErrBadPath) {
			t.Errorf("put %s: %v", name, err)
		}
	}
	for _, dir := range []string{"/", "/self"} {
		for e, err := range h.List(bg, dir, false) {
			if err != nil || strings.HasSuffix(e.Name, "/.ferry") {
				t.Errorf("list %s: %v, %v", dir, e, err)
			}
		}
	}
	for _, dir := range []string{"/stage", "/own", "/self/.ferry", "/d/up"} {
		for _, err := range h.List(bg, dir, false) {
			if !errors.Is(err, storage.ErrBadPath) {
				t.Errorf("list %s: %v", dir, err)
			}
		}
	}
	must(t, u.Put(bg, 0, []byte("still")))
	must(t, h.Commit(bg, true, u)[0].Err)
}

// A tree is removed without following the links in it, not even when somebody swaps directories and links meanwhile.
func TestRemoveLinks(t *testing.T) {
	home, _, describe := world(t)
	before := describe()
	h := open(t, home, Options{})
	must(t, os.MkdirAll(filepath.Join(home, "t", "d", "sub"), 0o755))
	must(t, os.Mkdir(filepath.Join(home, "other"), 0o755))
	must(t, os.WriteFile(filepath.Join(home, "other", "f"), nil, 0o644))
	for name, to := range map[string]string{"t/out": "../../outside", "t/in": "../other", "t/d/file": "../../other/f", "t/d/dangling": "none", "l": "t"} {
		must(t, os.Symlink(to, filepath.Join(home, name)))
	}
	remove := func(name string) int64 {
		n, err := h.RemoveAll(bg, name, func(string) error { return nil }, func(name string, why error) {
			if !errors.Is(why, storage.ErrNotDir) && !errors.Is(why, storage.ErrIsDir) && !errors.Is(why, storage.ErrNotEmpty) && !errors.Is(why, fs.ErrPermission) {
				t.Errorf("%s stays: %v", name, why)
			}
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("remove %s: %v", name, err)
		}
		return n
	}
	if n := remove("/l"); n != 1 {
		t.Errorf("removed %d names by way of a link", n)
	}
	if n := remove("/t"); n != 7 {
		t.Errorf("removed %d names of 7", n)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			dir, link := filepath.Join(home, "t", fmt.Sprint(n%9)), filepath.Join(home, "t", fmt.Sprint("l", n%9))
			os.MkdirAll(filepath.Join(dir, "sub"), 0o755)
			os.Symlink([]string{"../../outside", "../other"}[n%2], link)
			unix.Renameat2(unix.AT_FDCWD, dir, unix.AT_FDCWD, link, unix.RENAME_EXCHANGE)
		}
	})
	removed := int64(0)
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		removed += remove("/t")
	}
	close(stop)
	wg.Wait()
	if after := describe(); after != before {
		t.Errorf("outside was\n%s\nand is\n%s", before, after)
	}
	if _, err := os.Stat(filepath.Join(home, "other", "f")); err != nil {
		t.Errorf("another directory lost its file: %v", err)
	}
	t.Logf("%d names removed meanwhile", removed)
}

// Somebody swaps a directory and a link leading out while everything is done to the name.
func TestFlip(t *testing.T) {
	home, outside, describe := world(t)
	before := describe()
	h := open(t, home, Options{})
	must(t, os.Symlink("../outside", filepath.Join(home, "l")))
	must(t, os.MkdirAll(filepath.Join(home, "d", "sub"), 0o755))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	flips := 0
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				unix.Renameat2(unix.AT_FDCWD, filepath.Join(home, "d"), unix.AT_FDCWD, filepath.Join(home, "l"), unix.RENAME_EXCHANGE)
				flips++
			}
		}
	})
	rounds, denied, passed := 0, 0, 0
	enough := func() bool { return rounds >= 10 && denied > 0 && passed > 0 }
	for begin := time.Now(); time.Since(begin) < 2*time.Second || !enough() && time.Since(begin) < time.Minute; rounds++ {
		put(h, storage.Spec{Path: "/mine", Ephemeral: true}, []byte("inside!"))
		for _, err := range assault(h, "/d", func(s string) {
			if strings.HasPrefix(s, "outside") {
				t.Errorf("read %q", s)
			}
		}) {
			switch {
			case err == nil:
				passed++
			case errors.Is(err, fs.ErrPermission):
				denied++
			}
		}
	}
	close(stop)
	wg.Wait()
	if after := describe(); after != before {
		t.Errorf("outside was\n%s\nand is\n%s", before, after)
	}
	if flips < 100 || !enough() {
		t.Errorf("%d flips, %d rounds, %d denied, %d passed: no race", flips, rounds, denied, passed)
	}
	t.Logf("%d flips, %d rounds, %d denied, %d passed, outside %s", flips, rounds, denied, passed, outside)
}

// What is not a file is never opened, waited for or replaced.
func TestSpecialFiles(t *testing.T) {
	home, err := os.MkdirTemp("", "f") // short: a socket's name has a limit
	must(t, err)
	defer os.RemoveAll(home)
	h := open(t, home, Options{})
	must(t, unix.Mkfifo(filepath.Join(home, "fifo"), 0o666))
	l, err := net.Listen("unix", filepath.Join(home, "socket"))
	must(t, err)
	defer l.Close()
	names := []string{"/fifo", "/socket"}
	if err := unix.Mknod(filepath.Join(home, "null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))); err == nil {
		names = append(names, "/null")
	}
	must(t, put(h, storage.Spec{Path: "/file"}, newText))
	for _, name := range names {
		done := make(chan bool)
		go func() {
			defer close(done)
			if _, err := h.Open(bg, name, ""); !errors.Is(err, storage.ErrNotRegular) {
				t.Errorf("open %s: %v", name, err)
			}
			for _, eph := range []bool{true, false} {
				if err := put(h, storage.Spec{Path: name, Ephemeral: eph}, newText); !errors.Is(err, storage.ErrNotRegular) {
					t.Errorf("put %s: %v", name, err)
				}
			}
			if err := h.Rename(bg, "/file", name, true); !errors.Is(err, storage.ErrNotRegular) {
				t.Errorf("rename to %s: %v", name, err)
			}
			mode := fs.FileMode(0o600)
			if err := h.SetMeta(bg, name, storage.Meta{Mode: &mode}); !errors.Is(err, storage.ErrNotRegular) {
				t.Errorf("chmod %s: %v", name, err)
			}
			if e, err := h.Stat(bg, name); err != nil || e.Kind != storage.Other || e.Length != 0 {
				t.Errorf("stat %s: %+v, %v", name, e, err)
			}
			if err := h.Mkdir(bg, name+"/x", true); !errors.Is(err, storage.ErrNotDir) {
				t.Errorf("mkdir below %s: %v", name, err)
			}
		}()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Fatalf("%s blocks", name)
		}
	}
	must(t, os.Symlink("fifo", filepath.Join(home, ".ferry2")))
	n := 0
	for e, err := range h.List(bg, "/", true) {
		if must(t, err); e.Kind != storage.File {
			n++
		}
	}
	if n != len(names)+1 {
		t.Errorf("%d of %d special files are listed", n, len(names)+1)
	}
	must(t, h.Remove(bg, "/file"))
	for _, name := range names {
		must(t, h.Remove(bg, name))
	}
}

func TestHardLinks(t *testing.T) {
	home, outside, describe := world(t)
	before := describe()
	h := open(t, home, Options{})
	must(t, os.Link(filepath.Join(outside, "f"), filepath.Join(home, "f")))
	must(t, put(h, storage.Spec{Path: "/f"}, newText))
	if after := describe(); after != before {
		t.Errorf("outside was\n%s\nand is\n%s", before, after)
	}
	// Two names of one file: a rename of one over the other leaves one; of one onto itself by another way, it.
	must(t, os.Link(filepath.Join(home, "f"), filepath.Join(home, "g")))
	must(t, h.Rename(bg, "/f", "/g", true))
	if content(t, h, "/f") != "" || content(t, h, "/g") != string(newText) {
		t.Error("rename over another name of the same file")
	}
	must(t, os.Symlink(".", filepath.Join(home, "self")))
	must(t, h.Rename(bg, "/g", "/self/g", true))
	if content(t, h, "/g") != string(newText) {
		t.Error("rename onto itself through a link lost the file")
	}
	must(t, h.Mkdir(bg, "/dir/sub", true))
	if err := h.Rename(bg, "/dir", "/self/dir/sub/x", false); !errors.Is(err, storage.ErrBadPath) {
		t.Errorf("directory into itself through a link: %v", err)
	}
}

func TestModes(t *testing.T) {
	home := t.TempDir()
	h := open(t, home, Options{})
	allowed := 0o777 &^ partial.Umask()
	for _, eph := range []bool{true, false} {
		for _, mode := range []fs.FileMode{0, 0o777, 0o600, 0o444, fs.ModeSetuid | 0o755, 0o7777, fs.ModeSticky | fs.ModeSetgid | 0o711} {
			must(t, os.WriteFile(filepath.Join(home, "f"), nil, 0o755))
			must(t, os.Chmod(filepath.Join(home, "f"), 0o755|fs.ModeSetuid))
			must(t, put(h, storage.Spec{Path: "/f", Mode: mode, Ephemeral: eph}, newText))
			i, err := os.Stat(filepath.Join(home, "f"))
			must(t, err)
			want := mode.Perm() & allowed
			if mode.Perm() == 0 {
				want = 0o666 & allowed
			}
			if i.Mode() != want {
				t.Errorf("mode %o, ephemeral %v: got %v, want %v", mode, eph, i.Mode(), want)
			}
			set := mode
			must(t, h.SetMeta(bg, "/f", storage.Meta{Mode: &set}))
			if i, err = os.Stat(filepath.Join(home, "f")); err != nil || i.Mode() != mode.Perm()&allowed {
				t.Errorf("set mode %o: %v, %v", mode, i.Mode(), err)
			}
		}
	}
	for name, want := range map[string]fs.FileMode{".ferry": fs.ModeDir | 0o700} {
		if i, err := os.Stat(filepath.Join(home, name)); err != nil || i.Mode() != want {
			t.Errorf("%s: %v, %v", name, i, err)
		}
	}
	u, err := h.Upload(bg, storage.Spec{Path: "/g", Length: 1, Mode: 0o777})
	must(t, err)
	for name, want := range map[string]fs.FileMode{"": fs.ModeDir | 0o700, "data": 0o600, "upload.json": 0o600} {
		if i, err := os.Stat(filepath.Join(home, ".ferry", u.Spec().ID, name)); err != nil || i.Mode() != want {
			t.Errorf("staging %q: %v, %v", name, i.Mode(), err)
		}
	}
}

// A reader of a file that somebody alters in place is told.
func TestAlteredInPlace(t *testing.T) {
	home := t.TempDir()
	h := open(t, home, Options{})
	for what, alter := range map[string]func(name string) error{
		"shorter": func(name string) error { return os.Truncate(name, 3) },
		"longer":  func(name string) error { return os.Truncate(name, 1<<20) },
		"other": func(name string) error {
			return errors.Join(os.WriteFile(name, oldText, 0o600), os.Chtimes(name, time.Time{}, time.Unix(5, 0)))
		},
	} {
		must(t, put(h, storage.Spec{Path: "/f"}, oldText))
		r, err := h.Open(bg, "/f", "")
		must(t, err)
		must(t, r.Check())
		u, err := h.Upload(bg, storage.Spec{Path: "/g", Length: int64(len(oldText))})
		must(t, err)
		must(t, alter(filepath.Join(home, "f")))
		if err := r.Check(); !errors.Is(err, storage.ErrChanged) {
			t.Errorf("%s: check: %v", what, err)
		}
		if n, err := r.ReadAt(make([]byte, 9), 0); n != 0 || !errors.Is(err, storage.ErrChanged) {
			t.Errorf("%s: read: %d, %v", what, n, err)
		}
		if _, err := u.Keep(bg, r, 0, int64(len(oldText)), nil); !errors.Is(err, storage.ErrChanged) {
			t.Errorf("%s: keep: %v", what, err)
		}
		must(t, u.Discard(bg))
		r.Close()
	}
}

// A directory without end is listed in little memory, and a hierarchy deeper than names may be is an error, not left out.
func TestTooDeep(t *testing.T) {
	home := t.TempDir()
	h := open(t, home, Options{})
	must(t, os.MkdirAll(filepath.Join(home, strings.Repeat("d/", 70)), 0o755))
	n := 0
	var last error
	for _, err := range h.List(bg, "/", true) {
		n++
		last = err
	}
	if n != 65 || !errors.Is(last, storage.ErrBadPath) {
		t.Errorf("%d entries, then %v", n, last)
	}
}
