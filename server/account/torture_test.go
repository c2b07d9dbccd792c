package account

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"ferry/internal/powercut"
	"ferry/shared/login"
)

// tap returns operations of which fault says what becomes, by their number from 1, and the names of those that were asked for.
func tap(fault func(k int) error) (o ops, log *[]string) {
	real, log := realOps(), new([]string)
	fails := func(op string) error {
		*log = append(*log, op)
		return fault(len(*log))
	}
	return ops{
		open: func(name string, flag int, perm fs.FileMode) (*os.File, error) {
			if err := fails("open"); err != nil {
				return nil, err
			}
			return real.open(name, flag, perm)
		},
		read: func(f *os.File) ([]byte, error) {
			if err := fails("read"); err != nil {
				return nil, err
			}
			return real.read(f)
		},
		write: func(f *os.File, p []byte) (int, error) {
			if err := fails("write"); err != nil {
				n, _ := real.write(f, p[:len(p)/2])
				return n, err
			}
			return real.write(f, p)
		},
		chmod: func(f *os.File, mode fs.FileMode) error {
			return errors.Join(fails("chmod"), real.chmod(f, mode))
		},
		chown: func(f *os.File, uid, gid int) error {
			return errors.Join(fails("chown"), real.chown(f, uid, gid))
		},
		sync: func(f *os.File) error {
			if err := fails("sync"); err != nil {
				return err
			}
			return real.sync(f)
		},
		close: func(f *os.File) error {
			return errors.Join(fails("close"), real.close(f))
		},
		rename: func(from, to string) error {
			if err := fails("rename"); err != nil {
				return err
			}
			return real.rename(from, to)
		},
		link: func(from, to string) error {
			if err := fails("link"); err != nil {
				return err
			}
			return real.link(from, to)
		},
		remove: func(name string) error {
			if err := fails("remove"); err != nil {
				return err
			}
			return real.remove(name)
		},
	}, log
}

// Whichever operation of an edit fails, and if it is killed there, the file is the whole old or the whole new one, a
// success is never untrue, the server can load it, and the next edit works and leaves nothing behind.
func TestEditMatrix(t *testing.T) {
	old := handmadeValid()
	for what, tt := range map[string]struct {
		old, new string // "" is no file
		do       verb
	}{
		"first": {"", "[users.new]\n", add("new")},
		"add":   {old, old + "\n\n[users.new]\n", add("new")},
	} {
		for name, of := range map[string]func(k, at int) error{
			"EIO":              func(k, at int) error { return when(k == at, syscall.EIO) },
			"ENOSPC":           func(k, at int) error { return when(k == at, syscall.ENOSPC) },
			"EDQUOT":           func(k, at int) error { return when(k == at, syscall.EDQUOT) },
			"EIO from then on": func(k, at int) error { return when(k >= at, syscall.EIO) }, // also what a kill leaves
		} {
			t.Run(what+", "+name, func(t *testing.T) {
				for at := 1; ; at++ {
					if at == 100 {
						t.Fatal("never ended")
					}
					path := filepath.Join(t.TempDir(), "users.toml")
					if tt.old != "" {
						path = write(t, tt.old)
					}
					o, log := tap(func(k int) error { return of(k, at) })
					err := edit(o, path, tt.do)
					if len(*log) < at {
						if err != nil || at < 10 {
							t.Fatalf("%d operations and %v", at, err)
						}
						return
					}
					checkEdit(t, fmt.Sprintf("at %d, %s, answer %v", at, (*log)[at-1], err), path, tt.old, tt.new, err)
				}
			})
		}
	}
}

// Whichever operation fails while a password is changed, the account has the old or the new one, never none, and must change it exactly
// if it is the old one.
func TestPasswordMatrix(t *testing.T) {
	const before, after = "[users.a]\nauth = %q # made in May\nmust_change_password = true\n[users.b]\n", "[users.a]\nauth = %q # made in May\n[users.b]\n"
	var records [2]string
	for i := range records {
		r, err := login.NewRecord("correct horse", login.Params{Memory: 19 << 10, Time: 2, Threads: 1})
		if err != nil {
			t.Fatal(err)
		}
		records[i] = r.String()
	}
	was, is := records[0], records[1]
	for at := 1; ; at++ {
		path := write(t, fmt.Sprintf(before, was))
		o, log := tap(func(k int) error { return when(k >= at, syscall.EIO) })
		err := edit(o, path, func(x *Text) error { return errors.Join(x.Set("a", "auth", is), x.Off("a", "must_change_password")) })
		got := content(t, path)
		if got != fmt.Sprintf(before, was) && got != fmt.Sprintf(after, is) || err == nil && got != fmt.Sprintf(after, is) {
			t.Errorf("%d, answer %v: the file holds %q", at, err, got)
		}
		if len(*log) < at {
			if err != nil || at < 10 {
				t.Errorf("%d operations and %v", at, err)
			}
			return
		}
	}
}

func when(yes bool, err error) error {
	if yes {
		return err
	}
	return nil
}

// checkEdit looks at what an edit left that ended with err, and edits again.
func checkEdit(t *testing.T, at, path, old, want string, err error) {
	t.Helper()
	b, rerr := os.ReadFile(path)
	if rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
		t.Fatal(rerr)
	}
	got := string(b)
	if got != old && got != want || err == nil && got != want {
		t.Errorf("%s: the file holds %q", at, got)
	}
	if _, err := Open(path); err != nil {
		t.Errorf("%s: %v", at, err)
	}
	if backup, err := os.ReadFile(path + ".bak"); err == nil && string(backup) != old {
		t.Errorf("%s: the backup holds %q", at, backup)
	}
	if got == old {
		err = Edit(path, add("new"))
	} else {
		err = Edit(path, set("new", "locked", "x"))
	}
	if err != nil {
		t.Errorf("%s: the next edit: %v", at, err)
	}
	if set, err := Load(path); err != nil || set.byName["new"] == nil {
		t.Errorf("%s: after the next edit: %v", at, err)
	}
	for _, name := range []string{path + ".new", path + ".bak.new"} {
		if _, err := os.Lstat(name); err == nil {
			t.Errorf("%s: %s is left", at, filepath.Base(name))
		}
	}
}

// An edit that was answered is there after a power cut: the first, an addition, a change and a deletion.
func TestEditPower(t *testing.T) {
	d := powercut.New(t)
	name := "users.toml"
	path := filepath.Join(d.Dir(), name)
	for i, do := range []verb{add("a"), add("b"), set("a", "locked", "left"), del("b")} {
		if err := Edit(path, do); err != nil {
			t.Fatal(err)
		}
		want := content(t, path)
		cut := filepath.Join(d.Cut(), name)
		if got := content(t, cut); got != want {
			t.Errorf("edit %d: %q after the cut, want %q", i+1, got, want)
		}
		if _, err := Load(cut); err != nil {
			t.Errorf("edit %d: %v", i+1, err)
		}
	}
}
