package transfer

import (
	"context"
	"errors"
	"io"
	"os"

	"ferry/client/remote"
	"ferry/shared/block"
	"ferry/shared/wire"
)

// compare finds out which of the doubtful files have equal content on both sides.
func (p *planner) compare(ctx context.Context) error {
	var large []*doubt
	err := pipe(ctx, p.client, func(send func(*remote.Op) bool) {
		var buf []byte
		for i := range p.doubt {
			d := &p.doubt[i]
			switch {
			case !d.task.same || d.there.Kind != Regular || d.there.Length != d.task.file.Length:
			case d.there.Length == 0:
				d.equal = true
			case d.there.Length > wire.MaxTags*block.Size:
				large = append(large, d)
			default:
				if buf == nil {
					buf = make([]byte, block.Size)
				}
				if op := p.question(d, buf); op != nil && !send(op) {
					return
				}
			}
		}
	})
	for _, d := range large {
		if err == nil {
			d.equal, err = p.same(ctx, d)
		}
	}
	return err
}

// remote is the file of a doubt that lies on the server.
func (d *doubt) remote() File {
	if d.task.up {
		return d.there
	}
	return d.task.file
}

// question asks the server about one file. What cannot be read here is not equal: it is met again when it is moved.
func (p *planner) question(d *doubt, buf []byte) *remote.Op {
	f, err := os.Open(d.task.Local())
	if err != nil {
		return nil
	}
	defer f.Close()
	there := d.remote()
	key := block.NewKey()
	tagger := block.NewTagger(key)
	tags := make([]block.Tag, block.Count(there.Length))
	for n := range tags {
		b := buf[:block.Len(int64(n), there.Length)]
		if _, err := io.ReadFull(f, b); err != nil {
			return nil
		}
		tags[n] = tagger.Tag(int64(n), b)
	}
	return remote.SameOp(d.task.Remote(), there.entry(d.task.name), key, 0, tags, func(need block.Bitmap, err error) {
		d.equal = err == nil
		for n := range tags {
			d.equal = d.equal && !need.Has(int64(n))
		}
	})
}

// same compares a file of any length.
func (p *planner) same(ctx context.Context, d *doubt) (bool, error) {
	f, err := os.Open(d.task.Local())
	if err != nil {
		return false, nil
	}
	defer f.Close()
	equal, err := p.client.Same(ctx, d.task.Remote(), d.remote().entry(d.task.name), f)
	if err != nil && stops(err) {
		return false, err
	}
	return equal && err == nil, nil
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
	case wire.NoSpace, wire.Quota, wire.AuthFailed, wire.LoginRequired, wire.ShuttingDown:
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
