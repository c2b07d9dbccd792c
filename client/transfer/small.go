package transfer

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"sync"
	"time"

	"ferry/client/remote"
	"ferry/shared/block"
	"ferry/shared/partial"
	"ferry/shared/wire"
)

func count(f func(int64), n int64) {
	if f != nil && n > 0 {
		f(n)
	}
}

// sendSmall sends small files one behind the other without waiting for each.
func (r *run) sendSmall(ctx context.Context, c *remote.Client) error {
	return pipe(ctx, c, func(send func(*remote.Op) bool) {
		for t := range r.small {
			if op := r.putOp(ctx, t); op != nil && !send(op) {
				r.later(t)
				return
			}
		}
	})
}

// putOp reads a small file, just before it is sent.
func (r *run) putOp(ctx context.Context, t *Task) *remote.Op {
	f, src, sent, err := openSource(t.Local(), r.opts.Mode, r.noFollow(t))
	if err != nil {
		r.failed(t, err)
		return nil
	}
	defer f.Close()
	if src.Length > block.Size { // it has grown
		r.later(t)
		return nil
	}
	data, err := readAll(src)
	if err != nil {
		r.failed(t, err)
		return nil
	}
	r.grow(t, src.Length)
	o := remote.PutOptions{Expect: r.expect(t), Force: r.opts.Force, Parents: t.root.Names == nil, NoSync: r.opts.NoSync}
	return remote.PutOp(t.Remote(), data, src.Mtime, src.Mode, o, func(res remote.Result, err error) {
		switch {
		case err == nil:
			count(r.opts.Moved, res.Moved)
			count(r.opts.Reused, res.Reused)
			r.moved(t, res, sent, 0)
		case ctx.Err() != nil:
		case wire.CodeOf(err) == "", wire.CodeOf(err) == wire.Exists, wire.CodeOf(err) == wire.Uncertain:
			r.later(t) // this connection is not for it, or it must be looked at
		default:
			r.failed(t, err)
		}
	})
}

// readAll returns the bytes of a small source, all of one moment.
func readAll(src remote.Source) ([]byte, error) {
	data := make([]byte, src.Length)
	if n, err := src.ReadAt(data, 0); n < len(data) {
		if errors.Is(err, io.EOF) {
			err = remote.ErrSourceChanged
		}
		return nil, err
	}
	return data, src.Check()
}

// fetchSmall fetches small files one behind the other without waiting for each.
func (r *run) fetchSmall(ctx context.Context, c *remote.Client) error {
	g := newGatherer(r)
	defer g.end()
	return pipe(ctx, c, func(send func(*remote.Op) bool) {
		for t := range r.small {
			if err := r.nest.place(t); err != nil {
				r.failed(t, err)
				continue
			}
			op := remote.GetOp(t.Remote(), t.file.entry(t.name), func(data []byte, err error) {
				switch {
				case err == nil:
					g.add(t, data)
				case ctx.Err() != nil:
				case wire.CodeOf(err) == wire.Changed, wire.CodeOf(err) == "":
					r.later(t)
				default:
					r.failed(t, err)
				}
			})
			if !send(op) {
				r.later(t)
				return
			}
		}
	})
}

// gatherer puts small files that arrive into groups, and publishes one while the next is arriving.
type gatherer struct {
	r       *run
	group   *partial.Group
	tasks   []*Task
	most    int            // files in a group
	publish sync.WaitGroup // at most one
}

// Limits of a group of small files.
const (
	groupFiles = 256
	groupBytes = 4 << 20
)

func newGatherer(r *run) *gatherer {
	return &gatherer{r: r, group: partial.NewGroup(r.m.Ops), most: max(groupFiles/r.workers, 32)}
}

func (g *gatherer) add(t *Task, data []byte) {
	mode := fs.FileMode(0)
	if g.r.opts.Mode {
		mode = fs.FileMode(t.file.Mode)
	}
	err := g.group.Add(t.Local(), data, time.Unix(0, t.file.Mtime), mode, t.Deed == Overwrite || g.r.opts.Force)
	if err != nil {
		g.r.failed(t, err)
		return
	}
	g.tasks = append(g.tasks, t)
	if g.group.Len() >= g.most || g.group.Bytes() >= groupBytes {
		g.flush()
	}
}

// flush publishes what was gathered, once what was gathered before is published.
func (g *gatherer) flush() {
	g.publish.Wait()
	group, tasks := g.group, g.tasks
	g.group, g.tasks = partial.NewGroup(g.r.m.Ops), nil
	g.publish.Go(func() {
		for i, err := range group.Commit() {
			g.r.published(tasks[i], err)
		}
	})
}

// end publishes the rest, also when the job was stopped: it was fetched already.
func (g *gatherer) end() {
	g.flush()
	g.publish.Wait()
}

func (r *run) published(t *Task, err error) {
	if errors.Is(err, fs.ErrExist) {
		err = ErrDiffers // it came while we fetched
	}
	if err != nil {
		r.failed(t, err)
		return
	}
	count(r.opts.Moved, t.Length())
	r.moved(t, remote.Result{Entry: t.file.entry(t.Remote()), Moved: t.Length()}, mark{}, 0)
}
