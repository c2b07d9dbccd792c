package powercut

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var content = bytes.Repeat([]byte("ferry "), 50_000)

func write(t *testing.T, name string, sync bool) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(content); err != nil {
		t.Fatal(err)
	}
	if sync {
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func syncDir(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
}

func wantContent(t *testing.T, name string) {
	t.Helper()
	if got, err := os.ReadFile(name); err != nil {
		t.Error(err)
	} else if !bytes.Equal(got, content) {
		t.Errorf("%s: %d bytes that are not the %d written", name, len(got), len(content))
	}
}

func wantAbsent(t *testing.T, name string) {
	t.Helper()
	if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s: got %v, want it absent", name, err)
	}
}

func TestUnsyncedIsLost(t *testing.T) {
	d := New(t)
	write(t, filepath.Join(d.Dir(), "a"), false)
	cut := d.Cut()
	got, err := os.ReadFile(filepath.Join(cut, "a"))
	if err == nil && len(got) > 0 || err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %d bytes, %v, want absent or empty", len(got), err)
	}
	wantContent(t, filepath.Join(d.Dir(), "a"))
}

func TestRenameWithoutDirectorySync(t *testing.T) {
	d := New(t)
	write(t, filepath.Join(d.Dir(), "tmp"), true)
	rename(t, filepath.Join(d.Dir(), "tmp"), filepath.Join(d.Dir(), "a"))
	cut := d.Cut()
	wantContent(t, filepath.Join(cut, "tmp"))
	wantAbsent(t, filepath.Join(cut, "a"))
}

func TestFullySyncedIsExact(t *testing.T) {
	d := New(t)
	write(t, filepath.Join(d.Dir(), "tmp"), true)
	rename(t, filepath.Join(d.Dir(), "tmp"), filepath.Join(d.Dir(), "a"))
	syncDir(t, d.Dir())
	cut := d.Cut()
	wantContent(t, filepath.Join(cut, "a"))
	wantAbsent(t, filepath.Join(cut, "tmp"))
}

func TestCutTwice(t *testing.T) {
	d := New(t)
	write(t, filepath.Join(d.Dir(), "a"), true)
	first := d.Cut()
	write(t, filepath.Join(d.Dir(), "b"), true)
	second := d.Cut()
	wantContent(t, filepath.Join(first, "a"))
	wantAbsent(t, filepath.Join(first, "b"))
	wantContent(t, filepath.Join(second, "a"))
	wantContent(t, filepath.Join(second, "b"))
}

// Several disks live at the same time, and all of them are unmounted when their test ends.
func TestCleanup(t *testing.T) {
	var dirs []string
	t.Run("use", func(t *testing.T) {
		d := New(t)
		dirs = append(dirs, d.Dir(), d.Cut())
		mounts, err := os.ReadFile("/proc/self/mounts")
		if err != nil {
			t.Fatal(err)
		}
		for _, dir := range dirs {
			if !strings.Contains(string(mounts), " "+dir+" ") {
				t.Errorf("%s is not mounted", dir)
			}
		}
	})
	if len(dirs) == 0 {
		t.Skip("no disk")
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		if strings.Contains(string(mounts), " "+dir+" ") {
			t.Errorf("%s is still mounted", dir)
		}
		wantAbsent(t, dir)
	}
}
