package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"ferry/client/remote"
	"ferry/server/servertest"
	"ferry/shared/wire"
)

const (
	quotaBytes   = 8 << 20
	quotaFiles   = 18
	quotaClients = 5
	quotaOps     = 50 // of each client
)

// quotaRun is a server whose account alice has a quota, and five clients that want more than there is.
type quotaRun struct {
	*servertest.Process
	t        *testing.T
	seed     uint64
	most     wire.DfAnswer // seen at once
	stored   atomic.Int64
	refused  atomic.Int64
	finished chan bool // something for each operation that ended
}

// TestQuota: five clients put small and large files, over one another too, give up in the middle, remove and make directories,
// while the server is killed: whenever the server is held up, or dead, its disk does not hold more of the account, unfinished
// uploads included, than the quota allows; and in the end the server knows exactly what is there.
func TestQuota(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			q := &quotaRun{Process: servertest.Exec(t), t: t, seed: seed, finished: make(chan bool, quotaClients*quotaOps)}
			q.AddUser("alice", password)
			q.Set("alice", "quota", fmt.Sprintf("%dB", quotaBytes))
			q.Set("alice", "quota_files", fmt.Sprint(quotaFiles))
			q.run()
		})
	}
}

func (q *quotaRun) run() {
	ctx, cancel := context.WithTimeout(q.t.Context(), 2*time.Minute)
	defer cancel()
	o := remote.Options{
		Address: q.Addr(), User: "alice", Fingerprint: q.Fingerprint(), Program: "test",
		Password:     func(context.Context) (string, error) { return password, nil },
		ReconnectFor: time.Minute, Silence: 10 * time.Second, DialTimeout: 5 * time.Second,
	}
	var clients errgroup.Group
	for i := range quotaClients {
		clients.Go(func() error {
			c, err := remote.Login(ctx, o)
			if err != nil {
				return err
			}
			defer c.Close()
			return q.play(ctx, c, rand.New(rand.NewPCG(q.seed, uint64(i))))
		})
	}
	ended := make(chan error, 1)
	go func() { ended <- clients.Wait() }()
	if err := q.watch(ended); err != nil {
		q.t.Fatal(err)
	}
	q.settled(ctx, o)
	q.t.Logf("%d stored, %d refused; at most %d bytes and %d names at once", q.stored.Load(), q.refused.Load(), q.most.Used, q.most.Files)
	if q.stored.Load() < 10 || q.refused.Load() < 10 {
		q.t.Error("not what this test is for")
	}
}

// play is one client's part.
func (q *quotaRun) play(ctx context.Context, c *remote.Client, r *rand.Rand) error {
	for range quotaOps {
		dir := fmt.Sprintf("/d%d", r.IntN(4))
		name := fmt.Sprintf("%s/f%d", dir, r.IntN(4))
		var err error
		switch r.IntN(10) {
		case 0, 1:
			err = c.Remove(ctx, name)
		case 2:
			err = c.Rename(ctx, name, fmt.Sprintf("/d%d/f%d", r.IntN(4), r.IntN(4)), "", true)
		case 3:
			if r.IntN(3) == 0 {
				_, err = c.RemoveAll(ctx, dir)
			} else if err = c.Rmdir(ctx, dir); err != nil {
				err = c.Mkdir(ctx, dir+"/x/y", true)
			}
		case 4:
			err = q.clean(ctx, c)
		case 5:
			err = q.cp(ctx, c, name, fmt.Sprintf("/d%d/f%d", r.IntN(4), r.IntN(4)))
		default:
			sizes := []int{0, 100, 70 << 10, 900 << 10, 1<<20 + 1, 3 << 20}
			b := pattern(sizes[r.IntN(len(sizes))], r.Uint64())
			if err = q.put(ctx, c, name, b, r.IntN(4) == 0); err == nil {
				q.stored.Add(1)
			}
		}
		if wire.CodeOf(err) == wire.Quota {
			q.refused.Add(1)
		} else if err != nil && !slices.Contains([]wire.Code{wire.NotFound, wire.Exists, wire.NotDir, wire.IsDir, wire.NotEmpty, wire.Conflict, wire.Uncertain, wire.BadPath, wire.Superseded}, wire.CodeOf(err)) {
			return err
		}
		q.finished <- true
	}
	return nil
}

// put sends b, or only the first half of it.
func (q *quotaRun) put(ctx context.Context, c *remote.Client, name string, b []byte, half bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	o := remote.PutOptions{Job: remote.NewID(), Force: true, Parents: true, Streams: 1}
	moved := int64(0)
	o.Moved = func(n int64) {
		if moved += n; half && moved > int64(len(b))/2 {
			cancel()
		}
	}
	_, err := c.Put(ctx, name, remote.Source{ReaderAt: bytes.NewReader(b), Length: int64(len(b)), Mtime: 1e18, Check: func() error { return nil }}, o)
	if half && err == context.Canceled {
		return nil
	}
	return err
}

// cp copies a file on the server.
func (q *quotaRun) cp(ctx context.Context, c *remote.Client, from, to string) error {
	var err error
	ops := make(chan *remote.Op, 1)
	ops <- remote.CopyOp(from, to, true, func(e error) { err = e })
	close(ops)
	if perr := c.Pipeline(ctx, ops); perr != nil {
		return perr
	}
	return err
}

// clean drops the unfinished uploads.
func (q *quotaRun) clean(ctx context.Context, c *remote.Client) error {
	ups, err := c.Uploads(ctx)
	for _, u := range ups {
		if derr := c.Drop(ctx, u.ID); derr != nil {
			err = derr
		}
	}
	return err
}

// watch holds the server up and looks at its disk, and kills it now and then, until the clients have ended.
func (q *quotaRun) watch(ended <-chan error) error {
	rnd := rand.New(rand.NewPCG(q.seed, 99))
	next := 20 + rnd.IntN(40) // operations until the next kill
	pause := time.NewTicker(5 * time.Millisecond)
	defer pause.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case <-q.finished:
			next--
		case <-pause.C:
			q.hold()
		}
		if next <= 0 {
			next = 20 + rnd.IntN(40)
			q.Kill()
			q.look("dead")
			q.Start()
		}
	}
}

// hold stops every thread of the server, looks, and lets it go on.
func (q *quotaRun) hold() {
	q.Signal(syscall.SIGSTOP)
	defer q.Signal(syscall.SIGCONT)
	for tasks := fmt.Sprintf("/proc/%d/task/*/stat", q.Pid()); ; time.Sleep(100 * time.Microsecond) {
		files, _ := filepath.Glob(tasks)
		if !slices.ContainsFunc(files, func(f string) bool {
			b, err := os.ReadFile(f)
			_, state, _ := strings.Cut(string(b), ") ")
			return err == nil && !strings.HasPrefix(state, "T")
		}) {
			break
		}
	}
	q.look("held up")
}

// look complains if the account has more than it may.
func (q *quotaRun) look(state string) {
	q.t.Helper()
	used := q.disk()
	if used.Used > quotaBytes || used.Files > quotaFiles {
		q.t.Errorf("%s: %d bytes and %d names of %d and %d", state, used.Used, used.Files, quotaBytes, quotaFiles)
	}
	q.most.Used, q.most.Files = max(q.most.Used, used.Used), max(q.most.Files, used.Files)
}

// disk returns what the home takes up, as somebody sees who knows only that uploads wait in .ferry.
func (q *quotaRun) disk() (used wire.DfAnswer) {
	home := q.Home("alice")
	err := filepath.WalkDir(home, func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == home || filepath.Base(name) == ".ferry" {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if staged := strings.Contains(name, "/.ferry/"); !staged || info.Mode().IsRegular() && !strings.HasPrefix(filepath.Base(name), "upload.") {
			used.Files++
		}
		if info.Mode().IsRegular() && !strings.HasPrefix(filepath.Base(name), "upload.") {
			used.Used += info.Size()
		}
		return nil
	})
	if err != nil {
		q.t.Error(err)
	}
	return used
}

// settled compares what the server counts with what is there: as it is, after a clean stop, and after it has counted anew.
func (q *quotaRun) settled(ctx context.Context, o remote.Options) {
	same := func(when string) {
		c, err := remote.Login(ctx, o)
		if err != nil {
			q.t.Fatal(err)
		}
		defer c.Close()
		df, err := c.Df(ctx)
		if err != nil {
			q.t.Fatal(err)
		}
		if there := q.disk(); df.Used != there.Used || df.Files != there.Files || df.Quota != quotaBytes || df.QuotaFiles != quotaFiles {
			q.t.Errorf("%s the server counts %+v, there are %d bytes and %d names", when, df, there.Used, there.Files)
		}
	}
	same("in the end")
	counts := strings.Count(q.Log.String(), "home counted")
	q.Term()
	q.Start()
	same("after a clean stop")
	if n := strings.Count(q.Log.String(), "home counted"); n != counts {
		q.t.Error("after a clean stop the home was counted anew")
	}
	q.Restart()
	same("after a kill")
	if n := strings.Count(q.Log.String(), "home counted"); n == counts {
		q.t.Error("after a kill what was counted before was believed")
	}
}
