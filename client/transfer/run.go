package transfer

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"ferry/client/remote"
	"ferry/shared/block"
	"ferry/shared/partial"
	"ferry/shared/wire"
)

// MaxParallel is how many connections a job may take.
const MaxParallel = 16

// run is a plan being carried out.
type run struct {
	*Plan
	m       *Mover
	workers int
	stop    context.CancelCauseFunc // ends everything
	small   chan *Task
	large   chan *Task
	nest    *nest

	mu      sync.Mutex // guards reporting, and:
	again   []*Task    // to be tried once more, each for itself
	fetched []*fetched // whose sources are to be removed
}

// Run carries a plan out and returns what was done. An error means that it did not get to the end: there is no room, the
// connection is lost for good, or ctx ended. What failed for single names was reported and is in the summary. The same job
// planned again goes on where this one ended.
func (m *Mover) Run(ctx context.Context, p *Plan) (Summary, error) {
	rctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	r := &run{Plan: p, m: m, stop: stop, small: make(chan *Task), large: make(chan *Task), nest: newNest(m.Ops)}
	err := r.steps(rctx)
	if cause := context.Cause(rctx); cause != nil && err != nil {
		err = cause
	}
	return p.sum, err
}

func (r *run) steps(ctx context.Context) error {
	if err := r.room(); err != nil {
		return err
	}
	if err := r.remove(ctx, r.Clear, true); err != nil {
		return err
	}
	if err := r.moveAll(ctx); err != nil {
		return err
	}
	if err := r.others(ctx); err != nil {
		return err
	}
	if err := r.nest.sync(); err != nil {
		return err
	}
	if err := r.removeFetched(ctx); err != nil {
		return err
	}
	if r.sum.Failed > 0 { // something may be missing at the target because of that: nothing of it is given up
		return nil
	}
	return r.remove(ctx, r.Deletes, false)
}

// tell reports an event; several goroutines do.
func (r *run) tell(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report(e)
}

// failed reports that a task failed, or ends the job if no other could do better.
func (r *run) failed(t *Task, err error) {
	if stops(err) {
		r.stop(err)
		return
	}
	r.tell(Event{Outcome: Failed, Local: t.Local(), Remote: t.Remote(), Length: t.Length(), Err: err})
}

func (r *run) later(t *Task) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.again = append(r.again, t)
}

// moved reports a file that is at its target now. Up, sent is the source.
func (r *run) moved(t *Task, res remote.Result, sent mark, took time.Duration) {
	e := Event{Outcome: Moved, Local: t.Local(), Remote: t.Remote(), Length: res.Entry.Length, Result: res, Took: took}
	if res.Same {
		e.Outcome = Unchanged
	}
	r.tell(e)
	if r.opts.Up {
		r.sourceSent(t, sent, res.Same)
	} else {
		r.sourceFetched(t, res.Entry.Version, res.Same)
	}
}

// room looks whether what is to be fetched fits on the disk.
func (r *run) room() error {
	if r.opts.Up || r.Files == 0 {
		return nil
	}
	need := r.Bytes
	for i := range r.Tasks {
		t := &r.Tasks[i]
		if t.Length() > block.Size { // smaller ones leave no partials worth counting
			if info, err := os.Lstat(partial.Name(t.Local())); err == nil {
				need -= min(info.Size(), t.Length())
			}
		}
	}
	dir := r.roots[0].Local
	for dir != "." && dir != "/" {
		if _, err := os.Stat(dir); err == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	if free, ok := freeSpace(dir); ok && need > free {
		return &fs.PathError{Op: "write", Path: dir, Err: syscall.ENOSPC}
	}
	return nil
}

// moveAll moves the files over one or several connections.
func (r *run) moveAll(ctx context.Context) error {
	if r.Files == 0 {
		return nil
	}
	r.workers = max(1, min(r.opts.Parallel, MaxParallel, r.Files))
	var feeding, siblings sync.WaitGroup
	feeding.Go(func() { r.feed(ctx) })
	joining, late := context.WithCancel(ctx)
	defer late()
	for range r.workers - 1 {
		siblings.Go(func() {
			c := r.m.Client.Sibling()
			defer c.Close()
			pctx, cancel := context.WithTimeout(joining, 15*time.Second)
			defer cancel()
			if c.Ping(pctx) == nil { // else the others do without it
				r.work(ctx, c)
			}
		})
	}
	err := r.work(ctx, r.m.Client)
	if err != nil {
		r.stop(err)
	}
	late()
	siblings.Wait()
	feeding.Wait()
	if err == nil {
		err = ctx.Err()
	}
	for _, t := range r.again {
		if err != nil {
			return err
		}
		r.single(ctx, r.m.Client, t)
		err = ctx.Err()
	}
	return err
}

// feed hands out the small files and then the large ones.
func (r *run) feed(ctx context.Context) {
	for _, c := range []chan *Task{r.small, r.large} {
		for i := range r.Tasks {
			t := &r.Tasks[i]
			if t.Deed != Create && t.Deed != Overwrite || (c == r.small) != (t.Length() <= block.Size) {
				continue
			}
			select {
			case c <- t:
			case <-ctx.Done():
			}
		}
		close(c)
	}
}

// work is what one connection does.
func (r *run) work(ctx context.Context, c *remote.Client) error {
	smalls := r.sendSmall
	if !r.opts.Up {
		smalls = r.fetchSmall
	}
	if err := smalls(ctx, c); err != nil {
		return err
	}
	for t := range r.large {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r.single(ctx, c, t)
	}
	return ctx.Err()
}

// single moves one file by itself, with all that this offers: it goes on where an earlier try ended.
func (r *run) single(ctx context.Context, c *remote.Client, t *Task) {
	m := *r.m
	m.Client = c
	o := r.opts.Options
	if r.workers > 1 {
		o.Parallel = max(1, o.Parallel/r.workers)
	}
	if r.opts.File != nil && t.Length() > block.Size {
		defer r.opts.File(t, &o)()
	}
	o.Begin = func(length int64) { r.grow(t, length) }
	var res remote.Result
	var sent mark
	var err error
	begin := time.Now()
	if r.opts.Up {
		o.Parents, o.Expect, o.noFollow = t.root.Names == nil, r.expect(t), r.noFollow(t)
		res, sent, err = m.put(ctx, t.Local(), t.Remote(), o)
	} else {
		res, err = r.fetch(ctx, &m, t, o)
	}
	switch {
	case err == nil:
		r.moved(t, res, sent, time.Since(begin))
	case ctx.Err() != nil:
	case r.opts.Up && (wire.CodeOf(err) == wire.Exists || wire.CodeOf(err) == wire.Conflict):
		r.exists(ctx, c, t, err)
	default:
		r.failed(t, err)
	}
}

// exists is what to do about a name that came to be on the server since the plan was made: perhaps by what is left of an
// earlier run of this job.
func (r *run) exists(ctx context.Context, c *remote.Client, t *Task, err error) {
	e := Event{Outcome: Skipped, Local: t.Local(), Remote: t.Remote(), Length: t.Length()}
	there, serr := c.Stat(ctx, t.Remote())
	switch f := fileIn(there); {
	case serr == nil && f.Kind == Regular && f.Length == t.Length() && f.Mtime == t.file.Mtime:
		if r.opts.RemoveSource {
			r.putSame(ctx, c, t, there)
			return
		}
		e.Outcome = Unchanged
	case r.opts.Existing != Skip:
		r.failed(t, err)
		return
	}
	r.tell(e)
}

// fetch gets one file, as it is now.
func (r *run) fetch(ctx context.Context, m *Mover, t *Task, o Options) (remote.Result, error) {
	if err := r.nest.place(t); err != nil {
		return remote.Result{}, err
	}
	e, err := m.Client.Stat(ctx, t.Remote())
	if err != nil {
		return remote.Result{}, err
	}
	o.Force, o.differs = o.Force || t.Deed == Overwrite, t.Deed == Overwrite
	return m.get(ctx, t.Remote(), e, t.Local(), o)
}

func (r *run) grow(t *Task, length int64) {
	if n := length - t.Length(); n != 0 && r.opts.Grow != nil {
		r.opts.Grow(n)
	}
}

func (r *run) noFollow(t *Task) bool { return !r.opts.Follow && t.root.Names == nil }

// expect says what may be replaced on the server.
func (r *run) expect(t *Task) *string {
	switch {
	case r.opts.Force:
		return nil
	case t.Deed == Overwrite && t.file.Version != "":
		return &t.file.Version
	case t.Deed == Create && r.opts.Existing != Replace:
		none := ""
		return &none
	}
	return nil
}

// others does what moves no bytes: empty directories, and times of files that were right.
func (r *run) others(ctx context.Context) error {
	var dirs []*Task
	for i := range r.Tasks {
		t := &r.Tasks[i]
		switch t.Deed {
		case MakeDir:
			dirs = append(dirs, t)
		case SetTime:
			err := os.Chtimes(t.Local(), time.Time{}, time.Unix(0, t.file.Mtime))
			if err == nil && r.opts.Mode {
				err = os.Chmod(t.Local(), fs.FileMode(t.file.Mode)&^partial.Umask())
			}
			if err == nil && r.opts.RemoveSource {
				err = r.m.settle(t.Local())
			}
			if err != nil {
				r.failed(t, err)
				continue
			}
			r.tell(Event{Outcome: Unchanged, Local: t.Local(), Remote: t.Remote(), Length: t.Length()})
			r.sourceFetched(t, t.file.Version, true)
		}
	}
	made := func(t *Task, err error) {
		if err == nil {
			r.tell(Event{Outcome: Made, Local: t.Local(), Remote: t.Remote()})
		} else if ctx.Err() == nil {
			r.failed(t, err)
		}
	}
	if !r.opts.Up {
		for _, t := range dirs {
			made(t, r.nest.make(t.root, t.name))
		}
		return ctx.Err()
	}
	return r.pipe(ctx, dirs, func(t *Task) *remote.Op {
		return remote.MkdirOp(t.Remote(), true, func(err error) { made(t, err) })
	})
}

// pipe sends one request for each task.
func (r *run) pipe(ctx context.Context, tasks []*Task, op func(*Task) *remote.Op) error {
	return pipeEach(ctx, r.m.Client, tasks, op)
}

func pipeEach[T any](ctx context.Context, c *remote.Client, list []T, op func(T) *remote.Op) error {
	if len(list) == 0 {
		return ctx.Err()
	}
	err := pipe(ctx, c, func(send func(*remote.Op) bool) {
		for _, t := range list {
			if !send(op(t)) {
				return
			}
		}
	})
	if err == nil {
		err = ctx.Err()
	}
	return err
}

// pipe runs requests through a pipeline. feed is called in a goroutine of its own; it hands them over one by one until that
// returns false. feed and the answers are over when pipe returns.
func pipe(ctx context.Context, c *remote.Client, feed func(send func(*remote.Op) bool)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ops, ended := make(chan *remote.Op), make(chan struct{})
	go func() {
		defer close(ended)
		defer close(ops)
		feed(func(op *remote.Op) bool {
			select {
			case ops <- op:
				return true
			case <-ctx.Done():
				return false
			}
		})
	}()
	err := c.Pipeline(ctx, ops)
	cancel()
	<-ended
	return err
}

// stops tells whether an error makes going on with further files pointless.
func stops(err error) bool {
	switch wire.CodeOf(err) {
	case wire.NoSpace, wire.Quota, wire.AuthFailed, wire.LoginRequired, wire.ShuttingDown, wire.Kicked:
		return true
	case "":
	default:
		return false
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, remote.ErrAuth) || full(err) || remote.IsLost(err) {
		return true
	}
	return errors.As(err, new(*remote.UnreachableError)) || errors.As(err, new(*remote.TrustError))
}
