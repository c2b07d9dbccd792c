package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ferry/client/remote"
	"ferry/client/transfer"
	"ferry/shared/wire"
)

// told collects what a job reports: outcome, name and error.
func told(t *testing.T, o *transfer.TreeOptions, also func(transfer.Event)) *[]string {
	t.Helper()
	var all []string
	o.Report = func(e transfer.Event) {
		if e.Outcome == transfer.Removed || e.Outcome == transfer.Kept || e.Outcome == transfer.Failed {
			word := map[transfer.Outcome]string{transfer.Removed: "removed", transfer.Kept: "kept", transfer.Failed: "failed"}[e.Outcome]
			line := word + " " + filepath.Base(e.Remote)
			if e.Err != nil {
				line += ": " + e.Err.Error()
			}
			all = append(all, line)
		}
		if also != nil {
			also(e)
		}
	}
	return &all
}

// wasTold fails if a job did not report exactly these lines, in whatever order.
func wasTold(t *testing.T, got *[]string, want ...string) {
	t.Helper()
	slices.Sort(*got)
	slices.Sort(want)
	if !slices.Equal(*got, want) {
		t.Errorf("told:\n%s\nwant:\n%s", strings.Join(*got, "\n"), strings.Join(want, "\n"))
	}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// TestSourceChangedHere: what is no longer the file that was sent stays, however it changed in the moment after it was stored.
func TestSourceChangedHere(t *testing.T) {
	r := newRig(t)
	large := bytes.Repeat([]byte("x"), 2<<20)
	text := []byte("text")
	files := map[string][]byte{"written": text, "large": large, "touched": text, "replaced": text, "link": text, "gone": text, "d/linked": text, "d/e/same": text}
	write(t, r.here, files)
	at := func(name string) string { return filepath.Join(r.here, name) }
	change := map[string]func(){
		"written": func() { must(t, os.WriteFile(at("written"), []byte("more text"), 0o600)) },
		"large":   func() { must(t, os.WriteFile(at("large"), large[1:], 0o600)) },
		"touched": func() { must(t, os.Chtimes(at("touched"), time.Time{}, time.Unix(1, 0))) },
		"replaced": func() { // by another file of the same length and time
			info, err := os.Stat(at("replaced"))
			must(t, err, os.WriteFile(at("new"), []byte("TEXT"), 0o600), os.Chtimes(at("new"), time.Time{}, info.ModTime()),
				os.Rename(at("new"), at("replaced")))
		},
		"link":   func() { must(t, os.Rename(at("link"), at("moved")), os.Symlink("moved", at("link"))) },
		"gone":   func() { must(t, os.Remove(at("gone"))) },
		"linked": func() { must(t, os.Rename(at("d"), at("D")), os.Symlink("D", at("d"))) }, // the last of the small ones
	}
	o := transfer.TreeOptions{Up: true, Existing: transfer.Replace}
	o.RemoveSource = true
	got := told(t, &o, func(e transfer.Event) {
		if f := change[filepath.Base(e.Remote)]; f != nil && e.Outcome == transfer.Moved {
			f()
		}
	})
	sum, err := r.job(o)
	if err != nil || sum.Files != len(files) || sum.Removed != 2 || sum.Kept != 6 {
		t.Errorf("%+v, %v", sum, err)
	}
	changed := "stored, but not removed: " + remote.ErrSourceChanged.Error()
	linked := "stored, but not removed: a symbolic link leads to it"
	wasTold(t, got, "kept written: "+changed, "kept large: "+changed, "kept touched: "+changed, "kept replaced: "+changed, "kept link: "+linked,
		"removed gone", "kept linked: "+linked, "removed same")
	sameFiles(t, r.site(), files)
	for _, name := range []string{"written", "large", "touched", "replaced", "link", "moved", "D/linked"} {
		if _, err := os.Stat(at(name)); err != nil {
			t.Error(err)
		}
	}
}

// TestSourceChangedThere: what is no longer the version that was fetched stays on the server.
func TestSourceChangedThere(t *testing.T) {
	r := newRig(t)
	files := map[string][]byte{"written": []byte("1"), "large": bytes.Repeat([]byte("x"), 2<<20), "gone": []byte("2"), "d/same": []byte("3"), "mode": []byte("4")}
	write(t, r.site(), files)
	at := func(name string) string { return filepath.Join(r.site(), name) }
	change := map[string]func(){
		"written": func() { must(t, os.WriteFile(at("written"), []byte("more"), 0o600)) },
		"large":   func() { must(t, os.Remove(at("large")), os.WriteFile(at("large"), []byte("less"), 0o600)) },
		"gone":    func() { must(t, os.Remove(at("gone"))) },
		"mode":    func() { must(t, os.Chmod(at("mode"), 0o640)) },
	}
	var o transfer.TreeOptions
	o.RemoveSource = true
	got := told(t, &o, func(e transfer.Event) {
		if f := change[filepath.Base(e.Remote)]; f != nil && e.Outcome == transfer.Moved {
			f()
		}
	})
	if sum, err := r.job(o); err != nil || sum.Files != len(files) || sum.Removed != 2 || sum.Kept != 3 {
		t.Errorf("%+v, %v", sum, err)
	}
	const changed = ": fetched, but not removed: the file on the server changed meanwhile"
	wasTold(t, got, "kept written"+changed, "kept large"+changed, "kept mode"+changed, "removed gone", "removed same")
	sameFiles(t, r.here, files)
	sameFiles(t, r.site(), map[string][]byte{"written": []byte("more"), "large": []byte("less"), "mode": files["mode"]})
}

// TestSourceNotMoved: what failed, was skipped, excluded or only looked the same stays; what goes to the same name as another
// file of the job does too.
func TestSourceNotMoved(t *testing.T) {
	for _, up := range []bool{true, false} {
		t.Run(fmt.Sprintf("up %v", up), func(t *testing.T) {
			r := newRig(t)
			from, to := r.site(), r.here
			if up {
				from, to = to, from
			}
			files := map[string][]byte{"blocked": []byte("1"), "differs": []byte("2"), "out.tmp": []byte("3"), "alike": []byte("4"), "equal": []byte("5"), "new": []byte("6")}
			write(t, from, files)
			write(t, to, map[string][]byte{"blocked/x": nil, "differs": []byte("other"), "alike": []byte("A"), "equal": []byte("5")})
			for _, name := range []string{"alike", "equal"} {
				must(t, os.Chtimes(filepath.Join(from, name), time.Time{}, time.Unix(7, 0)), os.Chtimes(filepath.Join(to, name), time.Time{}, time.Unix(7, 0)))
			}
			o := transfer.TreeOptions{Up: up, Existing: transfer.Skip}
			o.RemoveSource = true
			var err error
			o.Filter, err = transfer.NewFilter(nil, []string{"*.tmp"})
			must(t, err)
			got := told(t, &o, nil)
			sum, err := r.job(o)
			if err != nil || sum.Skipped != 2 || sum.Failed != 1 || sum.Unchanged != 1 || sum.Files != 1 || sum.Removed != 2 {
				t.Errorf("%+v, %v", sum, err)
			}
			wasTold(t, got, "failed blocked: is a directory", "removed equal", "removed new")
			delete(files, "equal")
			delete(files, "new")
			sameFiles(t, from, files)
			sameFiles(t, to, map[string][]byte{"blocked/x": nil, "differs": []byte("other"), "alike": []byte("A"), "equal": []byte("5"), "new": []byte("6")})
		})
	}
	t.Run("twice", func(t *testing.T) {
		r := newRig(t)
		write(t, r.here, map[string][]byte{"a/f": []byte("1"), "b/f": []byte("2")})
		must(t, os.Mkdir(r.site(), 0o700))
		var roots []transfer.Root
		for _, dir := range []string{"a", "b"} {
			roots = append(roots, transfer.Root{Local: filepath.Join(r.here, dir), Remote: "/site", Names: []string{"f"}, Chosen: true})
		}
		o := transfer.TreeOptions{Up: true, Existing: transfer.Replace}
		o.RemoveSource = true
		got := told(t, &o, nil)
		p, err := r.Plan(t.Context(), roots, o)
		must(t, err)
		_, err = r.Run(t.Context(), p)
		must(t, err)
		wasTold(t, got, "removed f", "failed f: another file of this job goes to the same name")
		here, there := content(t, r.here), content(t, r.site())
		if len(here) != 1 || len(there) != 1 {
			t.Errorf("left here: %q, there: %q", here, there)
		}
		for _, kept := range here {
			if bytes.Equal(kept, there["f"]) {
				t.Error("the other one was lost")
			}
		}
	})
}

// TestSourceRestarted: however often a job is stopped, each file is whole on at least one side, and in the end all are at
// their target and nowhere else.
func TestSourceRestarted(t *testing.T) {
	t.Parallel()
	for _, up := range []bool{true, false} {
		t.Run(fmt.Sprintf("up %v", up), func(t *testing.T) {
			r := newRig(t)
			files := random(100, 6)
			from, to := r.site(), r.here
			if up {
				from, to = to, from
			}
			write(t, from, files)
			for after := int64(1); ; after *= 3 {
				ctx, cancel := context.WithCancel(t.Context())
				o := transfer.TreeOptions{Up: up}
				o.RemoveSource, o.Parallel = true, 2
				var moved, removed atomic.Int64
				o.Moved = func(n int64) {
					if moved.Add(n) >= after*100_000 {
						cancel()
					}
				}
				o.Report = func(e transfer.Event) {
					if e.Err != nil {
						t.Errorf("%s: %v", e.Remote, e.Err)
					}
					if e.Outcome == transfer.Removed && removed.Add(1) == after {
						cancel()
					}
				}
				p, err := r.Plan(ctx, []transfer.Root{{Local: r.here, Remote: "/site", Chosen: true}}, o)
				must(t, err)
				sum, err := r.Run(ctx, p)
				cancel()
				if sum.Failed+sum.Kept > 0 || err != nil && !errors.Is(err, context.Canceled) {
					t.Fatalf("%+v, %v", sum, err)
				}
				if err == nil {
					break
				}
				for name, text := range files {
					// The source first: the server may still be carrying out what it was asked for before the stop.
					source, serr := os.ReadFile(filepath.Join(from, name))
					target, terr := os.ReadFile(filepath.Join(to, name))
					if (serr != nil || !bytes.Equal(source, text)) && (terr != nil || !bytes.Equal(target, text)) {
						t.Fatalf("%s is nowhere: %v, %v", name, serr, terr)
					}
				}
			}
			sameFiles(t, from, nil)
			sameFiles(t, to, files)
		})
	}
}

// TestSourceDurable: nothing on the server is removed before it is on the disk here, be it just fetched or there before.
func TestSourceDurable(t *testing.T) {
	files := map[string][]byte{"a": []byte("1"), "d/b": []byte("2")}
	for name, c := range map[string]struct {
		here  map[string][]byte
		spoil func(*rig)
		stops bool
	}{
		"directory": {nil, func(r *rig) {
			real := r.Ops.SyncDir
			r.Ops.SyncDir = func(dir string) error {
				if dir == filepath.Dir(r.here) { // a tree's own name
					return syscall.EIO
				}
				return real(dir)
			}
		}, true},
		"new":       {nil, func(r *rig) { r.Ops.Sync = func(*os.File) error { return syscall.EIO } }, false},
		"unchanged": {files, func(r *rig) { r.Ops.Sync = func(*os.File) error { return syscall.EIO } }, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			write(t, r.site(), files)
			write(t, r.here, c.here)
			real := r.Ops
			c.spoil(r)
			var o transfer.TreeOptions
			o.RemoveSource = true
			sum, err := r.job(o)
			if sum.Removed != 0 || c.stops != errors.Is(err, syscall.EIO) || !c.stops && sum.Failed != len(files) {
				t.Errorf("%+v, %v", sum, err)
			}
			sameFiles(t, r.site(), files)
			r.Ops = real
			if sum, err := r.job(o); err != nil || sum.Removed != len(files) {
				t.Errorf("again: %+v, %v", sum, err)
			}
			sameFiles(t, r.site(), nil)
			sameFiles(t, r.here, files)
		})
	}
}

// TestSourceSingle: the same for files moved by themselves.
func TestSourceSingle(t *testing.T) {
	r := newRig(t)
	write(t, r.here, map[string][]byte{"a": []byte("1"), "b": []byte("2")})
	write(t, r.Home("alice"), map[string][]byte{"c": []byte("3")})
	at := func(name string) string { return filepath.Join(r.here, name) }
	must(t, os.Symlink("a", at("link")))
	o := transfer.Options{RemoveSource: true}
	var kept *transfer.KeptError
	if _, err := r.Put(t.Context(), at("link"), "/link", o); !errors.As(err, &kept) || kept.Done != "stored" {
		t.Errorf("a link: %v", err)
	}
	if _, err := r.Put(t.Context(), at("a"), "/a", o); err != nil {
		t.Error(err)
	}
	none := ""
	o.Expect = &none
	if _, err := r.Put(t.Context(), at("b"), "/a", o); wire.CodeOf(err) != wire.Exists {
		t.Errorf("where something is: %v", err)
	}
	r.Set("alice", "rights", "list,read")
	e, err := r.Client.Stat(t.Context(), "/c")
	must(t, err)
	kept = nil
	if _, err := r.Get(t.Context(), "/c", e, at("c"), o); !errors.As(err, &kept) || kept.Done != "fetched" || wire.CodeOf(err) != wire.Denied {
		t.Errorf("without the right to delete: %v", err)
	}
	if err := os.Remove(at("link")); err != nil {
		t.Error(err)
	}
	sameFiles(t, r.here, map[string][]byte{"b": []byte("2"), "c": []byte("3")})
	sameFiles(t, r.Home("alice"), map[string][]byte{"link": []byte("1"), "a": []byte("1"), "c": []byte("3")})
}
