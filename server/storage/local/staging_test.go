package local

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ferry/server/storage"
	"ferry/shared/block"
)

// below returns what is in the staging directory, an upload as "upload".
func below(t *testing.T, home string) []string {
	t.Helper()
	list, err := os.ReadDir(filepath.Join(home, reserved))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		name := e.Name()
		if stagingID.MatchString(name) {
			name = "upload"
		}
		names = append(names, name)
	}
	return names
}

// What the engine does not understand is put aside with a word in the log; what it left itself is cleaned up; the rest goes on.
func TestForeignStaging(t *testing.T) {
	home := t.TempDir()
	h := open(t, home, Options{Owner: "alice"})
	var ids []string
	for range 9 {
		u, err := h.Upload(bg, storage.Spec{Path: "/f", Length: 10})
		must(t, err)
		ids = append(ids, u.Spec().ID)
	}
	h.Close()
	stage := filepath.Join(home, reserved)
	journalOf := func(i int) string { return filepath.Join(stage, ids[i], journalName) }
	edit := func(i int, from, to string) {
		b, err := os.ReadFile(journalOf(i))
		must(t, err)
		if !bytes.Contains(b, []byte(from)) {
			t.Fatalf("no %s in %s", from, b)
		}
		must(t, os.WriteFile(journalOf(i), bytes.Replace(b, []byte(from), []byte(to), 1), 0o600))
	}
	must(t, os.Truncate(journalOf(1), 20))
	edit(2, `"format":1`, `"format":2`)
	edit(3, `"owner":"alice"`, `"owner":"bob"`)
	edit(4, `"length":10`, `"length":-10`)
	must(t, os.Truncate(journalOf(5), 0))
	must(t, os.Remove(journalOf(6)))
	must(t, os.Remove(filepath.Join(stage, ids[7], dataName)))
	must(t, os.Remove(filepath.Join(stage, ids[8], dataName)))
	must(t, unix.Mkfifo(filepath.Join(stage, ids[8], dataName), 0o600))
	must(t, os.Mkdir(filepath.Join(stage, "stranger"), 0o700))
	must(t, os.WriteFile(filepath.Join(stage, "stranger", "x"), []byte("precious"), 0o600))
	must(t, os.WriteFile(filepath.Join(stage, strings.Repeat("z", 255)), nil, 0o600))
	must(t, os.Symlink("/etc", filepath.Join(stage, strings.Repeat("0", 32))))
	must(t, os.WriteFile(filepath.Join(stage, lightPrefix+strings.Repeat("1", 32)), nil, 0o600))
	must(t, os.WriteFile(filepath.Join(stage, lightPrefix+"other"), nil, 0o600))

	aside := []string{
		ids[1], ids[2], ids[3], ids[4], ids[5], ids[8], "stranger", strings.Repeat("z", 200), strings.Repeat("0", 32), lightPrefix + "other",
	}
	for round := range 3 { // and again: nothing more happens
		var log bytes.Buffer
		h = open(t, home, Options{Owner: "alice", Log: slog.New(slog.NewTextHandler(&log, nil))})
		eph, err := h.Upload(bg, storage.Spec{Path: "/e", Length: 1, Ephemeral: true})
		must(t, err) // before the load: it must survive that
		n := 0
		for s, err := range h.Uploads(bg) {
			must(t, err)
			if s.ID != ids[0] {
				t.Errorf("upload %s", s.ID)
			}
			n++
		}
		if n != 1 {
			t.Errorf("%d uploads", n)
		}
		want := []string{"upload", lightPrefix + eph.Spec().ID}
		for _, name := range aside {
			want = append(want, quarantined+name)
		}
		got := below(t, home)
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("staging has\n%q, want\n%q", got, want)
		}
		if lines := strings.Count(log.String(), "\n"); round == 0 && lines != len(aside) || round > 0 && lines != 0 {
			t.Errorf("%d lines in the log, want %d:\n%s", lines, len(aside), log.String())
		}
		must(t, h.Commit(bg, true, eph)[0].Err)
		h.Close()
	}
	if b, err := os.ReadFile(filepath.Join(stage, quarantined+"stranger", "x")); err != nil || string(b) != "precious" {
		t.Errorf("%q, %v", b, err)
	}
}

// A staging directory that is something else stops uploads, and nothing else.
func TestStagingInTheWay(t *testing.T) {
	for what, put := range map[string]func(name string) error{
		"file": func(name string) error { return os.WriteFile(name, nil, 0o600) },
		"link": func(name string) error { return os.Symlink(t.TempDir(), name) },
	} {
		home := t.TempDir()
		must(t, put(filepath.Join(home, reserved)))
		must(t, os.WriteFile(filepath.Join(home, "f"), []byte("x"), 0o600))
		h := open(t, home, Options{})
		for _, eph := range []bool{true, false} {
			if _, err := h.Upload(bg, storage.Spec{Path: "/g", Length: 1, Ephemeral: eph}); err == nil {
				t.Errorf("%s: upload", what)
			}
		}
		if content(t, h, "/f") != "x" {
			t.Errorf("%s: read", what)
		}
		for e, err := range h.List(bg, "/", true) {
			if err != nil || e.Name != "/f" {
				t.Errorf("%s: listed %v, %v", what, e, err)
			}
		}
	}
}

func TestExpire(t *testing.T) {
	home := t.TempDir()
	h := open(t, home, Options{})
	var ids []string
	for i := range 3 {
		u, err := h.Upload(bg, storage.Spec{Path: "/f", Length: 10})
		must(t, err)
		must(t, u.Put(bg, 0, []byte("x")))
		ids = append(ids, u.Spec().ID)
		if i < 2 {
			must(t, u.Close())
		}
	}
	if n := h.Expire(bg, time.Hour); n.Files != 0 {
		t.Errorf("%+v expired at once", n)
	}
	if n := h.Expire(bg, 0); n != (storage.Amount{Bytes: 20, Files: 2}) {
		t.Errorf("%+v expired of two without a handle", n)
	}
	h.Close()
	// The clock was years ahead when it was last touched: it counts from now.
	name := filepath.Join(home, reserved, ids[2], journalName)
	b, err := os.ReadFile(name)
	must(t, err)
	var j journal
	must(t, json.Unmarshal(b, &j))
	j.Touched = time.Now().Add(10 * 365 * 24 * time.Hour)
	b, err = json.Marshal(j)
	must(t, err)
	must(t, os.WriteFile(name, b, 0o600))
	h = open(t, home, Options{})
	if n := h.Expire(bg, time.Minute); n.Files != 0 {
		t.Errorf("%+v expired that was touched in the future", n)
	}
	for s, err := range h.Uploads(bg) {
		if must(t, err); s.Touched.After(time.Now()) {
			t.Errorf("touched %v", s.Touched)
		}
	}
	if n := h.Expire(bg, 0); n != (storage.Amount{Bytes: 10, Files: 1}) {
		t.Errorf("%+v expired that is old enough", n)
	}
	if got := below(t, home); len(got) != 0 {
		t.Errorf("left: %q", got)
	}
}

// What a staging seems to have follows its holes; corrupted bytes show in the tags.
func TestHave(t *testing.T) {
	home := t.TempDir()
	h := open(t, home, Options{})
	u, err := h.Upload(bg, storage.Spec{Path: "/f", Length: 64 * block.Size})
	must(t, err)
	if have := u.Have(8); len(have) != 0 {
		t.Errorf("a new staging has %v", have)
	}
	data := bytes.Repeat([]byte{7}, block.Size)
	for n := int64(1); n < 64; n += 2 {
		must(t, u.Put(bg, n*block.Size, data))
	}
	have := u.Have(64)
	if len(have) != 32 || have.Len() != 32*block.Size || !have.Has(block.Range{Off: 63 * block.Size, End: 64 * block.Size}) {
		t.Errorf("have %v", have)
	}
	if have := u.Have(5); len(have) != 5 {
		t.Errorf("five ranges: %v", have)
	}
	before, err := u.Tag(bg, 1)
	must(t, err)
	name := filepath.Join(home, reserved, u.Spec().ID, dataName)
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	must(t, err)
	_, err = f.WriteAt([]byte{6}, block.Size+5)
	must(t, errors.Join(err, f.Close()))
	if after, err := u.Tag(bg, 1); err != nil || after == before {
		t.Errorf("a flipped bit does not show: %v", err)
	}
	must(t, os.Truncate(name, block.Size+7))
	if _, err := u.Tag(bg, 1); err == nil {
		t.Error("a tag of a block that was cut")
	}
	must(t, u.Close())
	u, err = h.Upload(bg, storage.Spec{ID: u.Spec().ID, Path: "/f", Length: 64 * block.Size})
	must(t, err)
	if _, err := u.Tag(bg, 63); err != nil {
		t.Errorf("reopened after it was cut: %v", err)
	}
}

// mount puts a file system in memory at a new directory.
func mount(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount a small file system")
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skip("cannot mount a small file system: ", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
			unix.Unmount(dir, unix.MNT_DETACH)
		}
	})
	return dir
}

func TestDiskFull(t *testing.T) {
	home := mount(t, "size=8m")
	h := open(t, home, Options{})
	old := bytes.Repeat([]byte("o"), block.Size)
	must(t, put(h, storage.Spec{Path: "/f"}, old))
	usage, err := h.Usage(bg)
	if err != nil || usage.Total != 8<<20 || usage.Free > 7<<20 || usage.Free < 6<<20 {
		t.Errorf("usage %+v, %v", usage, err)
	}
	if _, err := h.Upload(bg, storage.Spec{Path: "/f", Length: 8 << 20}); !errors.Is(err, storage.ErrNoSpace) {
		t.Errorf("more than there is: %v", err)
	}
	one, err := h.Upload(bg, storage.Spec{Path: "/f", Length: 4 << 20})
	must(t, err)
	if _, err := h.Upload(bg, storage.Spec{Path: "/g", Length: 4 << 20}); !errors.Is(err, storage.ErrNoSpace) {
		t.Errorf("more than the other leaves: %v", err)
	}
	if got := below(t, home); len(got) != 1 {
		t.Errorf("a refused upload left something: %q", got)
	}
	part := bytes.Repeat([]byte("n"), block.Size)
	must(t, one.Put(bg, 0, part))
	// Somebody else fills the disk.
	must(t, os.WriteFile(filepath.Join(home, "filler"), nil, 0o600))
	f, err := os.OpenFile(filepath.Join(home, "filler"), os.O_WRONLY, 0)
	must(t, err)
	for _, err = f.Write(part); err == nil; _, err = f.Write(part[:4096]) {
	}
	f.Close()
	for n := int64(1); n < 4; n++ {
		if err = one.Put(bg, n*block.Size, part); err != nil {
			break
		}
	}
	if !errors.Is(err, storage.ErrNoSpace) {
		t.Errorf("put on a full disk: %v", err)
	}
	if err := put(h, storage.Spec{Path: "/f", Ephemeral: true}, part); !errors.Is(err, storage.ErrNoSpace) {
		t.Errorf("small put on a full disk: %v", err)
	}
	if content(t, h, "/f") != string(old) {
		t.Error("the old content was lost")
	}
	must(t, h.Remove(bg, "/filler"))
	for n := range int64(4) {
		must(t, one.Put(bg, n*block.Size, part))
	}
	must(t, h.Commit(bg, true, one)[0].Err)
	if content(t, h, "/f") != strings.Repeat("n", 4<<20) {
		t.Error("other bytes")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.owed != 0 {
		t.Errorf("%d bytes are still owed", h.owed)
	}
}

func TestNoInodes(t *testing.T) {
	home := mount(t, "size=8m,nr_inodes=9")
	h := open(t, home, Options{})
	var err error
	n := 0
	for ; err == nil && n < 20; n++ {
		err = put(h, storage.Spec{Path: "/" + strings.Repeat("x", n+1), Ephemeral: n%2 == 0}, []byte("x"))
	}
	if !errors.Is(err, storage.ErrNoSpace) {
		t.Errorf("put %d: %v", n, err)
	}
	must(t, h.Remove(bg, "/x"))
	must(t, h.Remove(bg, "/xx"))
	must(t, h.Remove(bg, "/xxx"))
	must(t, put(h, storage.Spec{Path: "/again"}, []byte("x")))
}

// A mount point inside the home cannot be reached in one step: an error, never half a file.
func TestMountInside(t *testing.T) {
	other := mount(t, "size=8m")
	h := open(t, filepath.Dir(other), Options{})
	name := "/" + filepath.Base(other) + "/f"
	for _, eph := range []bool{true, false} {
		if err := put(h, storage.Spec{Path: name, Ephemeral: eph}, newText); !errors.Is(err, storage.ErrUnsupported) {
			t.Errorf("put: %v", err)
		}
	}
	if list, err := os.ReadDir(other); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
}

// A read-only file system refuses to be changed and serves the rest, and can become writable again.
func TestReadOnly(t *testing.T) {
	home := mount(t, "size=8m")
	h := open(t, home, Options{})
	must(t, put(h, storage.Spec{Path: "/f"}, oldText))
	must(t, unix.Mount("tmpfs", home, "tmpfs", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	mode := fs.FileMode(0o600)
	for what, err := range map[string]error{
		"put": put(h, storage.Spec{Path: "/g"}, newText), "small put": put(h, storage.Spec{Path: "/g", Ephemeral: true}, newText),
		"rm": h.Remove(bg, "/f"), "mkdir": h.Mkdir(bg, "/d", true), "mv": h.Rename(bg, "/f", "/g", true),
		"chmod": h.SetMeta(bg, "/f", storage.Meta{Mode: &mode}),
	} {
		if !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if content(t, h, "/f") != string(oldText) {
		t.Error("no reading")
	}
	must(t, unix.Mount("tmpfs", home, "tmpfs", unix.MS_REMOUNT, ""))
	must(t, put(h, storage.Spec{Path: "/g"}, newText))
}

// Uploads, commits, drops, expiry and Close at once: nothing hangs, nothing is left.
func TestTurmoil(t *testing.T) {
	home := t.TempDir()
	h := open(t, home, Options{SyncEvery: 1 << 16, SyncAfter: time.Millisecond})
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 40 {
				u, err := h.Upload(bg, storage.Spec{Path: "/f", Length: 1 << 18})
				if err != nil {
					t.Errorf("upload: %v", err)
					return
				}
				for off := int64(0); off < 1<<18; off += 1 << 16 {
					if err := u.Put(bg, off, make([]byte, 1<<16)); err != nil && !errors.Is(err, storage.ErrSuperseded) {
						t.Errorf("put: %v", err)
					}
				}
				switch (w + i) % 4 {
				case 0:
					h.Commit(bg, true, u)
					u.Close()
				case 1:
					h.Drop(bg, u.Spec().ID)
					u.Close()
				case 2:
					u.Close()
					h.Expire(bg, 0)
				case 3:
					u.Discard(bg)
				}
				for _, err := range h.Uploads(bg) {
					if err != nil {
						t.Errorf("uploads: %v", err)
					}
				}
			}
		})
	}
	wg.Wait()
	for end := time.Now().Add(10 * time.Second); len(below(t, home)) > 0 && time.Now().Before(end); { // one in a late sync is passed over
		h.Expire(bg, 0)
	}
	h.mu.Lock()
	if h.owed != 0 || len(h.staged) != 0 || len(h.open) != 0 {
		t.Errorf("left: %d bytes owed, %d uploads, %d handles", h.owed, len(h.staged), len(h.open))
	}
	h.mu.Unlock()
	if got := below(t, home); len(got) != 0 {
		t.Errorf("left: %q", got)
	}
}
