package remote

import (
	"context"
	"errors"
	"runtime"
	"sync"

	"ferry/shared/block"
	"ferry/shared/wire"
)

// How much of a pipeline is unanswered at most.
const (
	pipeRequests = 1024
	pipeBytes    = 4 << 20 // of bodies, sent or awaited
)

// Op is one request of a pipeline. The functions that end in Op make them; what each is told of is called by Pipeline, once.
type Op struct {
	req    wire.Requester
	ident  *wire.Ident // of requests that change something
	body   []byte
	cost   int64 // bytes of the body, sent or awaited
	ans    func() wire.Answerer
	done   func(ans wire.Answerer, body []byte, err error)
	origin origin
	call   *call
}

// PutOp sends a file of at most 1 MiB in one piece. data must stay as it is until done was called. Of o, Job, Moved and
// Reused mean nothing here.
func PutOp(path string, data []byte, mtime int64, mode uint32, o PutOptions, done func(Result, error)) *Op {
	r := &wire.PutRequest{Request: wire.Request{Cmd: wire.CmdPut}, Ident: wire.Ident{ID: NewID()}, Path: wire.Name(path), Length: int64(len(data)),
		Mtime: mtime, Mode: mode, Expect: o.Expect, Force: o.Force, Parents: o.Parents, NoSync: o.NoSync}
	if data == nil {
		data = []byte{} // an empty body is not none
	}
	return &Op{req: r, ident: &r.Ident, body: data, cost: int64(len(data)),
		ans: func() wire.Answerer { return &wire.PutAnswer{} },
		done: func(ans wire.Answerer, _ []byte, err error) {
			a := ans.(*wire.PutAnswer)
			if err == nil && a.Entry == nil {
				err = &wire.ProtocolError{Msg: "put was answered without an entry"}
			}
			if err != nil {
				done(Result{}, err)
				return
			}
			res := Result{Entry: *a.Entry, Same: a.Same, Moved: int64(len(data))}
			if a.Same {
				res.Moved, res.Reused = 0, int64(len(data))
			}
			done(res, nil)
		}}
}

// GetOp fetches the version of a file of at most 1 MiB that entry describes. The data, which was verified, is only lent
// until done returns. A file that changed meanwhile is wire.Changed.
func GetOp(path string, entry wire.Entry, done func(data []byte, err error)) *Op {
	key := block.NewKey()
	r := &wire.GetRequest{Request: wire.Request{Cmd: wire.CmdGet}, Path: wire.Name(path), Version: entry.Version, Length: block.Size, Key: key}
	return &Op{req: r, cost: entry.Length, ans: func() wire.Answerer { return &wire.GetAnswer{} },
		done: func(ans wire.Answerer, body []byte, err error) {
			a := ans.(*wire.GetAnswer)
			switch {
			case err != nil:
			case a.Entry == nil || int64(len(body)) != entry.Length || (a.Tag == nil) != (len(body) == 0):
				err = &wire.ProtocolError{Msg: "get was answered with other bytes than those asked for"}
			case a.Tag != nil && block.NewTagger(key).Tag(0, body) != *a.Tag:
				err = errDamaged
			}
			if err != nil {
				body = nil
			}
			done(body, err)
		}}
}

// SameOp asks whether the blocks first, first+1, ... of the version of a file that entry describes have these tags, at most
// 256, made with key. need says which have not; it is only lent.
func SameOp(path string, entry wire.Entry, key block.Key, first int64, tags []block.Tag, done func(need block.Bitmap, err error)) *Op {
	r := &wire.VerifyRequest{Request: wire.Request{Cmd: wire.CmdVerify}, Path: wire.Name(path), Version: entry.Version, First: first, Key: key}
	body := make([]byte, 0, 16*len(tags))
	for _, t := range tags {
		body = append(body, t[:]...)
	}
	return &Op{req: r, body: body, cost: int64(len(body)), ans: func() wire.Answerer { return &wire.EmptyAnswer{} },
		done: func(_ wire.Answerer, need []byte, err error) {
			if err == nil && len(need) != (len(tags)+7)/8 {
				err = &wire.ProtocolError{Msg: "a verify was answered with a bitmap of another size"}
			}
			done(need, err)
		}}
}

// StatOp is Stat.
func StatOp(path string, done func(wire.Entry, error)) *Op {
	r := &wire.PathRequest{Request: wire.Request{Cmd: wire.CmdStat}, Path: wire.Name(path)}
	return &Op{req: r, ans: func() wire.Answerer { return &wire.EntryAnswer{} },
		done: func(ans wire.Answerer, _ []byte, err error) { done(ans.(*wire.EntryAnswer).Entry, err) }}
}

// MkdirOp is Mkdir, RemoveOp Remove and RmdirOp Rmdir.
func MkdirOp(path string, parents bool, done func(error)) *Op {
	r := &wire.MkdirRequest{Request: wire.Request{Cmd: wire.CmdMkdir}, Ident: wire.Ident{ID: NewID()}, Path: wire.Name(path), Parents: parents}
	return changeOp(r, &r.Ident, done)
}

// CopyOp copies a file on the server; with replace a file at the target gives way.
func CopyOp(from, to string, replace bool, done func(error)) *Op {
	r := &wire.CpRequest{Request: wire.Request{Cmd: wire.CmdCp}, Ident: wire.Ident{ID: NewID()}, Path: wire.Name(from), To: wire.Name(to), Replace: replace}
	return changeOp(r, &r.Ident, done)
}

// SetOp is Set.
func SetOp(path string, mtime *int64, mode *uint32, done func(error)) *Op {
	r := &wire.SetRequest{Request: wire.Request{Cmd: wire.CmdSet}, Ident: wire.Ident{ID: NewID()}, Path: wire.Name(path), Mtime: mtime, Mode: mode}
	return changeOp(r, &r.Ident, done)
}

// RemoveOp removes a file.
func RemoveOp(path string, done func(error)) *Op { return removeOp(wire.CmdRm, path, done) }

// RmdirOp removes an empty directory.
func RmdirOp(path string, done func(error)) *Op { return removeOp(wire.CmdRmdir, path, done) }

func removeOp(cmd, path string, done func(error)) *Op {
	r := &wire.ChangeRequest{Request: wire.Request{Cmd: cmd}, Ident: wire.Ident{ID: NewID()}, Path: wire.Name(path)}
	return changeOp(r, &r.Ident, done)
}

func changeOp(r wire.Requester, ident *wire.Ident, done func(error)) *Op {
	return &Op{req: r, ident: ident, ans: func() wire.Answerer { return &wire.EmptyAnswer{} },
		done: func(_ wire.Answerer, _ []byte, err error) { done(err) }}
}

// Pipeline sends the requests that come out of ops, without waiting for each answer, until ops is closed; they take effect in
// that order. Every request taken from ops is answered by one call of what it was made with, from the goroutine that called
// Pipeline. What had no answer when the connection was lost is sent again, and not carried out twice. An error means that no
// more can be sent: *UnreachableError, or that of ctx; requests without an answer are told it too.
func (c *Client) Pipeline(ctx context.Context, ops <-chan *Op) error {
	p := &pipe{client: c, ops: ops}
	p.change.L = &p.mu
	var wait patience
	for {
		err := p.attempt(ctx)
		if err != nil && ctx.Err() != nil {
			err = ctx.Err()
		}
		if IsLost(err) {
			if err = wait.lost(ctx, c, p.answered, err); err == nil {
				continue
			}
		}
		for _, op := range p.queue { // only after an error
			op.done(op.ans(), nil, err)
		}
		return err
	}
}

// pipe is a pipeline under way, over as many connections as it takes.
type pipe struct {
	client   *Client
	ops      <-chan *Op
	answered int64

	mu     sync.Mutex
	change sync.Cond
	queue  []*Op // taken and not answered, oldest first
	sent   int   // how many of them were sent on this connection
	cost   int64 // of those
	quit   bool  // nothing more is to be sent on this connection
	idle   bool  // nothing more will be
	err    error // why, if not because ops is closed
}

// attempt goes on over one connection.
func (p *pipe) attempt(ctx context.Context) error {
	k, err := p.client.use(ctx)
	if err != nil {
		return err
	}
	unhook := context.AfterFunc(ctx, func() { k.end(&lostError{ctx.Err()}) })
	defer unhook()
	p.sent, p.cost, p.quit, p.idle, p.err = 0, 0, false, false, nil
	quit := make(chan struct{})
	go p.send(k, quit)
	for err == nil {
		op := p.oldest()
		if op == nil {
			break
		}
		err = p.hear(ctx, op)
	}
	close(quit)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.quit = true
	p.change.Broadcast()
	for !p.idle {
		p.change.Wait()
	}
	if err == nil {
		err = p.err
	}
	return err
}

// send sends what is in the queue and what comes out of ops.
func (p *pipe) send(k *conn, quit <-chan struct{}) {
	var err error
	for err == nil {
		var op *Op
		if op, err = p.next(k, quit); op == nil {
			if err == nil {
				err = k.flush()
			}
			break
		}
		if op.ident != nil {
			op.origin.fill(&op.ident.Boot, k)
		}
		var call *call
		if call, err = k.send(op.req, op.body); err == nil {
			p.mu.Lock()
			op.call = call
			p.sent++
			p.cost += op.cost
			p.mu.Unlock()
			p.change.Broadcast()
		} else {
			k.flush() // what it stands behind is still to be answered
		}
	}
	p.mu.Lock()
	p.idle, p.err = true, err
	p.mu.Unlock()
	p.change.Broadcast()
}

// next returns what is to be sent next, once there is room for it; nil: nothing more on this connection.
func (p *pipe) next(k *conn, quit <-chan struct{}) (*Op, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == p.sent {
		p.mu.Unlock()
		op, err := p.take(k, quit)
		p.mu.Lock()
		if op == nil {
			return nil, err
		}
		p.queue = append(p.queue, op)
	}
	op := p.queue[p.sent]
	full := func() bool { return p.sent > 0 && (p.sent >= pipeRequests || p.cost+op.cost > pipeBytes) }
	if full() && !p.quit {
		p.mu.Unlock()
		k.flush() // an error is met again
		p.mu.Lock()
	}
	for full() && !p.quit {
		p.change.Wait()
		op = p.queue[p.sent]
	}
	if p.quit {
		return nil, nil
	}
	return op, nil
}

// take waits for the next request from ops; before that what was sent leaves, unless whoever makes the next one only waits for
// a processor: on few of them, two of three requests would leave alone.
func (p *pipe) take(k *conn, quit <-chan struct{}) (*Op, error) {
	for range 2 {
		select {
		case op := <-p.ops:
			return op, nil
		default:
			runtime.Gosched()
		}
	}
	if err := k.flush(); err != nil {
		return nil, err
	}
	select {
	case op := <-p.ops:
		return op, nil
	case <-k.ended:
		return nil, k.reason()
	case <-quit:
		return nil, nil
	}
}

// oldest waits for the oldest request that was sent; nil: there will be none.
func (p *pipe) oldest() *Op {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.sent == 0 && !p.idle {
		p.change.Wait()
	}
	if p.sent == 0 {
		return nil
	}
	return p.queue[0]
}

// hear waits for the answer of the oldest request and hands it over. An error means that there was none.
func (p *pipe) hear(ctx context.Context, op *Op) error {
	ans := op.ans()
	part, more, err := op.call.next(ctx, ans)
	if err == nil && more {
		err = &wire.ProtocolError{Msg: "an answer goes on that should not"}
		op.call.conn.end(&lostError{err})
	}
	var no *wire.Error
	if err != nil && !errors.As(err, &no) {
		return err
	}
	p.mu.Lock()
	p.queue = p.queue[1:]
	p.sent--
	p.cost -= op.cost
	p.mu.Unlock()
	p.change.Broadcast()
	p.answered++
	op.done(ans, part.body, err)
	op.call.conn.release(part)
	return nil
}
