package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ferry/client/remote"
	"ferry/client/transfer"
	"ferry/internal/faultproxy"
	"ferry/server/servertest"
	"ferry/shared/partial"
	"ferry/shared/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const password = "correct horse battery"

// rig is a server with the user alice behind a proxy, and her Mover.
type rig struct {
	*servertest.Server
	transfer.Mover
	t     testing.TB
	proxy *faultproxy.Proxy
	here  string // a directory of this machine
}

func newRig(t testing.TB, options ...servertest.Option) *rig {
	t.Helper()
	s := servertest.New(t, options...)
	s.AddUser("alice", password)
	proxy, err := faultproxy.Start(s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	c, err := remote.Login(t.Context(), remote.Options{
		Address: proxy.Addr(), User: "alice", Fingerprint: s.Fingerprint(), Program: "test", ReconnectFor: 30 * time.Second,
		Password: func(context.Context) (string, error) { return password, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &rig{s, transfer.Mover{Client: c, Jobs: transfer.Jobs{Dir: t.TempDir()}, Ops: partial.Real()}, t, proxy, t.TempDir()}
}

// write makes files below a directory: name and content.
func write(t testing.TB, dir string, files map[string][]byte) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(path), 0o700)
		if err == nil {
			err = os.WriteFile(path, text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// content reads all files below a directory.
func content(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		files[name], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// sameFiles fails if a directory does not hold exactly these files.
func sameFiles(t testing.TB, dir string, want map[string][]byte) {
	t.Helper()
	if got := content(t, dir); !maps.EqualFunc(got, want, bytes.Equal) {
		t.Errorf("%s holds %q, want %q, or their content differs", filepath.Base(dir), slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
}

// random returns files of many lengths in a few directories.
func random(files int, seed uint64) map[string][]byte {
	r := rand.New(rand.NewPCG(seed, 1))
	all := map[string][]byte{"empty": {}, "d3/large": make([]byte, 3<<20+5), "larger": make([]byte, 5<<20)}
	for i := range files {
		all[fmt.Sprintf("d%d/f%d", r.IntN(7), i)] = make([]byte, r.IntN(100_000))
	}
	source := rand.NewChaCha8([32]byte{byte(seed)})
	for _, b := range all {
		source.Read(b)
	}
	return all
}

// job plans and runs between here and /site, and returns what was done.
func (r *rig) job(o transfer.TreeOptions) (transfer.Summary, error) {
	r.t.Helper()
	p, err := r.Plan(r.t.Context(), []transfer.Root{{Local: r.here, Remote: "/site", Chosen: true}}, o)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.Run(r.t.Context(), p)
}

func (r *rig) site() string { return filepath.Join(r.Home("alice"), "site") }

// TestTenThousand: 10 000 files of 4 KiB go as one tree. Each was on the disk before it got its name, and the second time
// nothing is asked for but the list.
func TestTenThousand(t *testing.T) {
	t.Parallel()
	var syncs servertest.Syncs
	r := newRig(t, servertest.WithSyncs(&syncs))
	const n = 10_000
	files := map[string][]byte{}
	data := make([]byte, n+4096)
	rand.NewChaCha8([32]byte{}).Read(data)
	for i := range n {
		files[fmt.Sprintf("d%d/f%d", i%100, i)] = data[i : i+4096]
	}
	write(t, r.here, files)
	up := transfer.TreeOptions{Up: true, Existing: transfer.Replace}
	sum, err := r.job(up)
	if err != nil || sum.Files != n || sum.Moved != n*4096 || sum.Failed > 0 {
		t.Fatalf("%+v, %v", sum, err)
	}
	sameFiles(t, r.site(), files)
	if published, early := syncs.Count(); published < n || early > 0 {
		t.Errorf("%d files were published, %d of them before they were on the disk", published, early)
	}
	var moved atomic.Int64
	up.Moved = func(n int64) { moved.Add(n) }
	before := strings.Count(r.Log.String(), "msg=put")
	published, _ := syncs.Count()
	sum, err = r.job(up)
	if err != nil || sum != (transfer.Summary{Unchanged: n}) || moved.Load() != 0 {
		t.Errorf("the second time: %+v, %d bytes, %v", sum, moved.Load(), err)
	}
	if now, _ := syncs.Count(); now != published || strings.Count(r.Log.String(), "msg=put") != before {
		t.Errorf("the second time there were puts")
	}

	// And back, here too synced before they are named.
	there := r.here
	r.here = t.TempDir()
	var dirty, named atomic.Int64
	r.Ops.WriteAt = func(f *os.File, b []byte, off int64) (int, error) { dirty.Add(1); return f.WriteAt(b, off) }
	r.Ops.Sync = func(f *os.File) error { dirty.Add(-1); return f.Sync() }
	r.Ops.Link = func(a, b string) error { named.Add(1); return os.Link(a, b) }
	sum, err = r.job(transfer.TreeOptions{})
	if err != nil || sum.Files != n || sum.Moved != n*4096 || dirty.Load() != 0 || named.Load() != n {
		t.Fatalf("%+v, %v; %d were not synced, %d named", sum, err, dirty.Load(), named.Load())
	}
	sameFiles(t, r.here, content(t, there))
	if sum, err = r.job(transfer.TreeOptions{}); err != nil || sum != (transfer.Summary{Unchanged: n}) {
		t.Errorf("the second time: %+v, %v", sum, err)
	}
}

// TestTreeCut cuts the connections of a tree job here and there: it goes on by itself and ends with everything whole.
func TestTreeCut(t *testing.T) {
	t.Parallel()
	for _, parallel := range []int{1, 3} {
		for _, up := range []bool{true, false} {
			t.Run(fmt.Sprintf("up %v over %d", up, parallel), func(t *testing.T) {
				r := newRig(t)
				files := random(100, 2)
				for i, cut := range []int64{0, 100, 5000, 300_000, 2_000_000, 6_000_000, 9_000_000} {
					r.here = t.TempDir()
					if err := os.RemoveAll(r.site()); err != nil {
						t.Fatal(err)
					}
					o, dir := transfer.TreeOptions{Up: up, Existing: transfer.Replace}, faultproxy.Down
					o.Parallel = parallel
					from, to := r.site(), r.here
					if up {
						from, to, dir = to, from, faultproxy.Up
					}
					write(t, from, files)
					how := faultproxy.RST
					if i%2 == 1 {
						how = faultproxy.FIN
					}
					p, err := r.Plan(t.Context(), []transfer.Root{{Local: r.here, Remote: "/site", Chosen: true}}, o)
					if err != nil {
						t.Fatal(err)
					}
					r.proxy.Cut(dir, cut, how)
					r.proxy.CutNow(how) // the cut is for the connection to come
					sum, err := r.Run(t.Context(), p)
					if err != nil || sum.Failed > 0 || sum.Files+sum.Unchanged != len(files) {
						t.Fatalf("cut after %d: %+v, %v", cut, sum, err)
					}
					sameFiles(t, to, files)
				}
			})
		}
	}
}

// TestStopped: whenever a job is interrupted, no file is half there, and the same job goes on with the rest.
func TestStopped(t *testing.T) {
	t.Parallel()
	for _, up := range []bool{true, false} {
		t.Run(fmt.Sprintf("up %v", up), func(t *testing.T) {
			r := newRig(t)
			files := random(300, 3)
			from, to := r.site(), r.here
			if up {
				from, to = to, from
			}
			write(t, from, files)
			for after := int64(1); ; after *= 3 {
				ctx, cancel := context.WithCancel(t.Context())
				o := transfer.TreeOptions{Up: up}
				var moved atomic.Int64
				o.Moved = func(n int64) {
					if moved.Add(n) >= after*100_000 {
						cancel()
					}
				}
				p, err := r.Plan(ctx, []transfer.Root{{Local: r.here, Remote: "/site", Chosen: true}}, o)
				if err != nil {
					t.Fatal(err)
				}
				sum, err := r.Run(ctx, p)
				cancel()
				if sum.Failed > 0 || err != nil && !errors.Is(err, context.Canceled) {
					t.Fatalf("%+v, %v", sum, err)
				}
				if err == nil {
					break
				}
				for name, text := range content(t, to) {
					if !strings.HasSuffix(name, ".ferry-part") && !strings.HasPrefix(name, ".ferry/") && !bytes.Equal(text, files[name]) {
						t.Fatalf("%s has %d bytes of %d, or others", name, len(text), len(files[name]))
					}
				}
			}
			sameFiles(t, to, files)
		})
	}
}

// TestMeanwhile: what changes on the server between the list and the fetching is fetched as it is then, or fails for itself.
func TestMeanwhile(t *testing.T) {
	r := newRig(t)
	files := map[string][]byte{"a": []byte("1"), "b": []byte("2"), "c": []byte("3"), "d/e": []byte("4")}
	write(t, r.site(), files)
	var failed []string
	o := transfer.TreeOptions{Report: func(e transfer.Event) {
		if e.Outcome == transfer.Failed {
			failed = append(failed, fmt.Sprintf("%s: %v", e.Remote, e.Err))
		}
	}}
	p, err := r.Plan(t.Context(), []transfer.Root{{Local: r.here, Remote: "/site", Chosen: true}}, o)
	if err != nil {
		t.Fatal(err)
	}
	write(t, r.site(), map[string][]byte{"a": []byte("longer than before")})
	write(t, r.here, map[string][]byte{"c": []byte("came meanwhile")})
	if err := os.Remove(filepath.Join(r.site(), "b")); err != nil {
		t.Fatal(err)
	}
	sum, err := r.Run(t.Context(), p)
	slices.Sort(failed)
	if err != nil || sum.Files != 2 || sum.Failed != 2 || len(failed) != 2 || !strings.HasPrefix(failed[0], "/site/b: ") ||
		failed[1] != "/site/c: "+transfer.ErrDiffers.Error() {
		t.Errorf("%+v, %v, %q", sum, err, failed)
	}
	sameFiles(t, r.here, map[string][]byte{"a": []byte("longer than before"), "c": []byte("came meanwhile"), "d/e": []byte("4")})
}

// TestGrown: a small file that has become a large one when it is its turn is sent as such; one that is gone fails for itself.
func TestGrown(t *testing.T) {
	r := newRig(t)
	files := map[string][]byte{"a": []byte("1"), "b": []byte("2"), "c": []byte("3")}
	write(t, r.here, files)
	var grown int64
	o := transfer.TreeOptions{Up: true, Grow: func(n int64) { grown += n }}
	p, err := r.Plan(t.Context(), []transfer.Root{{Local: r.here, Remote: "/site", Chosen: true}}, o)
	if err != nil {
		t.Fatal(err)
	}
	files["a"] = bytes.Repeat([]byte("x"), 2<<20)
	write(t, r.here, files)
	delete(files, "b")
	if err := os.Remove(filepath.Join(r.here, "b")); err != nil {
		t.Fatal(err)
	}
	sum, err := r.Run(t.Context(), p)
	if err != nil || sum.Files != 2 || sum.Failed != 1 || grown != 2<<20-1 {
		t.Errorf("%+v, %v, grown by %d", sum, err, grown)
	}
	sameFiles(t, r.site(), files)
}

// TestLocalDisk: a full disk here stops the job at once and nothing is half there; one bad file does not stop it.
func TestLocalDisk(t *testing.T) {
	for _, c := range []struct {
		err  error
		stop bool
	}{{syscall.ENOSPC, true}, {syscall.EIO, false}} {
		r := newRig(t)
		files := random(200, 4)
		write(t, r.site(), files)
		var writes atomic.Int32
		r.Ops.WriteAt = func(f *os.File, b []byte, off int64) (int, error) {
			if n := writes.Add(1); n == 50 || c.stop && n > 50 {
				return 0, c.err
			}
			return f.WriteAt(b, off)
		}
		sum, err := r.job(transfer.TreeOptions{})
		if c.stop && (!errors.Is(err, c.err) || sum.Files > 49) || !c.stop && (err != nil || sum.Failed != 1 || sum.Files != len(files)-1) {
			t.Errorf("%v: %+v, %v", c.err, sum, err)
		}
		r.Ops = partial.Real()
		if sum, err := r.job(transfer.TreeOptions{}); err != nil || sum.Failed > 0 {
			t.Errorf("again: %+v, %v", sum, err)
		}
		sameFiles(t, r.here, files)
	}
}

// TestWriteOnly: an account that may not list can still put trees.
func TestWriteOnly(t *testing.T) {
	r := newRig(t)
	r.Set("alice", "rights", "write")
	files := random(20, 5)
	write(t, r.here, files)
	sum, err := r.job(transfer.TreeOptions{Up: true, Existing: transfer.Replace})
	if err != nil || sum.Files != len(files) {
		t.Errorf("%+v, %v", sum, err)
	}
	sameFiles(t, r.site(), files)
	_, err = r.Plan(t.Context(), []transfer.Root{{Local: r.here, Remote: "/site"}}, transfer.TreeOptions{Up: true, Delete: true, Mirror: true})
	if wire.CodeOf(err) != wire.Denied {
		t.Errorf("with --delete: %v", err)
	}
}
