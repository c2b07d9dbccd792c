package remote_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"ferry/client/remote"
	"ferry/shared/wire"
)

// change is a command whose answer gets lost after it was carried out.
type change struct {
	name    string
	prepare func(r *rig, c *remote.Client) // before
	do      func(ctx context.Context, c *remote.Client) error
	spoil   func(r *rig) // what somebody else does between the loss and the repetition: doing it twice would undo it
	check   func(r *rig) // after all

	// restarted is the code that the command ends with when the server was started anew in between, and spoiled when
	// besides somebody else interfered. "" is success.
	restarted, spoiled wire.Code
}

func changes(t *testing.T) []change {
	small := noise(1000, 1)
	large := noise(2<<20+5, 2)
	is := func(name string, want []byte) func(r *rig) {
		return func(r *rig) {
			t.Helper()
			if got, err := os.ReadFile(r.home(name)); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s holds %d bytes (%v), not the %d that it should", name, len(got), err, len(want))
			}
		}
	}
	gone := func(name string) func(r *rig) {
		return func(r *rig) {
			if _, err := os.Lstat(r.home(name)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s is there: %v", name, err)
			}
		}
	}
	there := func(name string) func(r *rig) {
		return func(r *rig) {
			if _, err := os.Lstat(r.home(name)); err != nil {
				t.Error(err)
			}
		}
	}
	write := func(name string, b []byte) func(r *rig) { return func(r *rig) { mustWrite(t, r.home(name), b) } }
	prepare := func(f func(r *rig)) func(*rig, *remote.Client) { return func(r *rig, _ *remote.Client) { f(r) } }
	mkdir := func(name string) func(r *rig) {
		return func(r *rig) {
			if err := os.Mkdir(r.home(name), 0o700); err != nil {
				t.Error(err)
			}
		}
	}
	remove := func(name string) func(r *rig) {
		return func(r *rig) {
			if err := os.Remove(r.home(name)); err != nil {
				t.Error(err)
			}
		}
	}
	other, version := []byte("somebody else's"), ""
	return []change{
		{name: "mkdir", do: func(ctx context.Context, c *remote.Client) error { return c.Mkdir(ctx, "/d", false) },
			prepare: prepare(func(*rig) {}), spoil: remove("d"), check: there("d"), spoiled: wire.Uncertain},
		{name: "rm", do: func(ctx context.Context, c *remote.Client) error { return c.Remove(ctx, "/f") },
			prepare: prepare(write("f", small)), spoil: write("f", other), check: gone("f"), spoiled: wire.Uncertain},
		{name: "rmdir", do: func(ctx context.Context, c *remote.Client) error { return c.Rmdir(ctx, "/d") },
			prepare: prepare(mkdir("d")), spoil: mkdir("d"), check: gone("d"), spoiled: wire.Uncertain},
		{name: "rmtree", do: func(ctx context.Context, c *remote.Client) error {
			_, err := c.RemoveAll(ctx, "/d")
			return err
		}, prepare: prepare(func(r *rig) { mkdir("d")(r); mkdir("d/e")(r); write("d/e/f", small)(r) }), spoil: mkdir("d"), check: gone("d"), spoiled: wire.Uncertain},
		{name: "cp", do: func(ctx context.Context, c *remote.Client) (got error) {
			ops := make(chan *remote.Op, 1)
			ops <- remote.CopyOp("/f", "/g", false, func(err error) { got = err })
			close(ops)
			if err := c.Pipeline(ctx, ops); err != nil {
				return err
			}
			return got
		}, prepare: prepare(write("f", small)), spoil: remove("g"), check: is("g", small), spoiled: wire.Uncertain},
		{name: "set", do: func(ctx context.Context, c *remote.Client) error {
			mtime, mode := int64(1e18), uint32(0o600)
			return c.Set(ctx, "/f", &mtime, &mode)
		}, prepare: prepare(write("f", small)), spoil: write("f", other), check: func(r *rig) {
			if info, err := os.Stat(r.home("f")); err != nil || info.ModTime().UnixNano() != 1e18 || info.Mode() != 0o600 {
				t.Errorf("%+v, %v", info, err)
			}
		}, spoiled: wire.Uncertain},
		{name: "mv", do: func(ctx context.Context, c *remote.Client) error { return c.Rename(ctx, "/f", "/g", version, true) },
			prepare: func(r *rig, c *remote.Client) {
				write("f", small)(r)
				e, err := c.Stat(t.Context(), "/f")
				if err != nil {
					t.Error(err)
				}
				version = e.Version
			}, spoil: write("f", other), check: is("g", small), spoiled: wire.Uncertain},
		{name: "mv of what is not known", do: func(ctx context.Context, c *remote.Client) error { return c.Rename(ctx, "/f", "/g", "", true) },
			prepare: prepare(write("f", small)), check: is("g", small), restarted: wire.Uncertain},
		{name: "put", do: func(ctx context.Context, c *remote.Client) error {
			_, err := c.Put(ctx, "/f", source(small), remote.PutOptions{})
			return err
		}, prepare: prepare(func(*rig) {}), check: is("f", small)},
		{name: "drop", prepare: func(r *rig, c *remote.Client) {
			src := source(large)
			src.Check = func() error { return remote.ErrSourceChanged }
			if _, err := c.Put(t.Context(), "/f", src, remote.PutOptions{Job: remote.NewID()}); !errors.Is(err, remote.ErrSourceChanged) {
				t.Error(err)
			}
		}, check: func(r *rig) {
			gone("f")(r)
			if left, _ := filepath.Glob(r.home(".ferry/????????????????????????????????")); len(left) != 0 {
				t.Errorf("still staged: %v", left)
			}
		}},
	}
}

// loseLast makes the answer of one command get lost, and not those of what it asks before.
func loseLast(d *deaf, c change, then func()) func(ctx context.Context, cl *remote.Client) error {
	if c.name != "drop" {
		d.lose(then)
		return c.do
	}
	return func(ctx context.Context, cl *remote.Client) error {
		ups, err := cl.Uploads(ctx)
		if err != nil {
			return err
		}
		d.lose(then)
		return cl.Drop(ctx, ups[0].ID)
	}
}

// TestAnswerLost holds that a command whose answer was lost is repeated and not carried out twice.
func TestAnswerLost(t *testing.T) {
	for _, c := range changes(t) {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			var d deaf
			o := r.options()
			o.Dial = d.dial
			cl := r.login(o)
			c.prepare(r, cl)
			lost := false
			err := loseLast(&d, c, func() { lost = true })(t.Context(), cl)
			if err != nil || !lost || d.dials.Load() != 2 {
				t.Fatalf("%v; answer lost: %v; %d connections", err, lost, d.dials.Load())
			}
			c.check(r)
		})
		if c.spoil == nil {
			continue
		}
		t.Run(c.name+" and somebody else", func(t *testing.T) {
			r := newRig(t)
			var d deaf
			o := r.options()
			o.Dial = d.dial
			cl := r.login(o)
			c.prepare(r, cl)
			var before []fs.FileInfo
			err := loseLast(&d, c, func() {
				c.spoil(r)
				before = list(t, r)
			})(t.Context(), cl)
			if err != nil {
				t.Fatal(err)
			}
			wantSame(t, before, list(t, r))
		})
	}
}

// TestAnswerLostRestart is the same with a server that has forgotten: it judges by what is there, and where that cannot
// tell it says so and does nothing.
func TestAnswerLostRestart(t *testing.T) {
	for _, c := range changes(t) {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			var d deaf
			o := r.options()
			o.Dial = d.dial
			cl := r.login(o)
			c.prepare(r, cl)
			err := loseLast(&d, c, r.Restart)(t.Context(), cl)
			wantCode(t, err, c.restarted)
			c.check(r)
		})
		if c.spoil == nil {
			continue
		}
		t.Run(c.name+" and somebody else", func(t *testing.T) {
			r := newRig(t)
			var d deaf
			o := r.options()
			o.Dial = d.dial
			cl := r.login(o)
			c.prepare(r, cl)
			var before []fs.FileInfo
			err := loseLast(&d, c, func() {
				r.Restart()
				c.spoil(r)
				before = list(t, r)
			})(t.Context(), cl)
			wantCode(t, err, c.spoiled)
			wantSame(t, before, list(t, r))
		})
	}
}

// TestPutAnswerLostNotRepeated holds that a small put whose answer was lost does not go over what somebody else has
// put there since.
func TestPutAnswerLostNotRepeated(t *testing.T) {
	r := newRig(t)
	var d deaf
	o := r.options()
	o.Dial = d.dial
	cl := r.login(o)
	other := []byte("somebody else's")
	d.lose(func() { mustWrite(t, r.home("f"), other) })
	if _, err := cl.Put(t.Context(), "/f", source(noise(1000, 1)), remote.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := mustRead(t, r.home("f")); !bytes.Equal(got, other) {
		t.Fatal("it was put twice")
	}
}

// TestCommitAnswerLost loses the answer of the commit of a large upload: what was published is found, and nothing is sent
// again. With somebody else's file in its place after a restart, that file stays.
func TestCommitAnswerLost(t *testing.T) {
	data := noise(3<<20+9, 3)
	other := []byte("somebody else's")
	for _, c := range []struct {
		name    string
		restart bool
		other   bool
		code    wire.Code
		content []byte
	}{
		{name: "remembered", content: data},
		{name: "remembered, replaced", other: true, content: other},
		{name: "restarted", restart: true, content: data},
		{name: "restarted, replaced", restart: true, other: true, code: wire.Uncertain, content: other},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			mustWrite(t, r.home("f"), []byte("old"))
			var d deaf
			o := r.options()
			o.Dial = d.dial
			cl := r.login(o)
			src := source(data)
			src.Check = func() error { // asked once every block was answered, just before the commit
				if d.dials.Load() == 1 {
					d.lose(func() {
						if c.restart {
							r.Restart()
						}
						if c.other {
							mustWrite(t, r.home("f"), other)
						}
					})
				}
				return nil
			}
			res, err := cl.Put(t.Context(), "/f", src, remote.PutOptions{Job: remote.NewID()})
			wantCode(t, err, c.code)
			if got := mustRead(t, r.home("f")); !bytes.Equal(got, c.content) {
				t.Fatalf("the file holds %d bytes, want %d", len(got), len(c.content))
			}
			if c.code == "" && res.Moved != int64(len(data)) {
				t.Errorf("%d bytes moved for %d", res.Moved, len(data))
			}
		})
	}
}

// list returns what is in alice's home.
func list(t *testing.T, r *rig) (all []fs.FileInfo) {
	t.Helper()
	entries, err := os.ReadDir(r.Home("alice"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, info)
	}
	return all
}

// wantSame holds that the same files are there.
func wantSame(t *testing.T, a, b []fs.FileInfo) {
	t.Helper()
	if !slices.EqualFunc(a, b, func(x, y fs.FileInfo) bool { return x.Name() == y.Name() && os.SameFile(x, y) }) {
		t.Fatalf("%v became %v", a, b)
	}
}

// TestQuestionRepeated holds that a question whose answer was lost is asked again.
func TestQuestionRepeated(t *testing.T) {
	r := newRig(t)
	mustWrite(t, r.home("f"), []byte("x"))
	for name, ask := range map[string]func(ctx context.Context, c *remote.Client) error{
		"ping":    func(ctx context.Context, c *remote.Client) error { return c.Ping(ctx) },
		"df":      func(ctx context.Context, c *remote.Client) error { _, err := c.Df(ctx); return err },
		"stat":    func(ctx context.Context, c *remote.Client) error { _, err := c.Stat(ctx, "/f"); return err },
		"sum":     func(ctx context.Context, c *remote.Client) error { _, err := c.Sum(ctx, "/f"); return err },
		"uploads": func(ctx context.Context, c *remote.Client) error { _, err := c.Uploads(ctx); return err },
		"ls": func(ctx context.Context, c *remote.Client) error {
			n := 0
			for _, err := range c.List(ctx, "/", false) {
				if err != nil {
					return err
				}
				n++
			}
			if n != 1 {
				return errors.New("not the one file that is there")
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			var d deaf
			o := r.options()
			o.Dial = d.dial
			c := r.login(o)
			d.lose(func() {})
			if err := ask(t.Context(), c); err != nil || d.dials.Load() != 2 {
				t.Errorf("%v after %d connections", err, d.dials.Load())
			}
		})
	}
}
