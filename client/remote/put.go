package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"ferry/shared/block"
	"ferry/shared/wire"
)

// ErrSourceChanged means that the file to be sent was altered while it was being sent.
var ErrSourceChanged = errors.New("the file changed while it was being sent")

// Source is a file to be sent.
type Source struct {
	io.ReaderAt
	Length int64
	Mtime  int64        // nanoseconds since 1970 UTC
	Mode   uint32       // permission bits to give it, 0: the server's default
	Check  func() error // tells whether the file still is what it was: nil or ErrSourceChanged
}

// PutOptions say how a file is published.
type PutOptions struct {
	Job     string  // 32 hexadecimal digits, the same for every try at this transfer
	Expect  *string // publish only over this version; "": only where nothing is
	Force   bool    // publish over whatever is there at the end, even if it changed meanwhile
	Parents bool    // make missing directories
	NoSync  bool    // do not wait until it is durable
	Streams int     // over how many connections, at most 16; 0: as many as the line needs
	// Moved and Reused are told of bytes as they are acknowledged or found to be there already; each byte of the file is
	// counted once, however often it travels. They may be nil.
	Moved, Reused func(n int64)
	// Checking is told of how many bytes that seem to be there already, and of these how many are still to be compared. It may be
	// nil.
	Checking func(left, there int64)
}

// Result tells what a transfer did.
type Result struct {
	Entry  wire.Entry
	Same   bool  // nothing had to be moved: it was all there
	Moved  int64 // bytes of the file that travelled, those that did so twice counted twice
	Reused int64 // bytes that were verified to be there already
}

// maxReopen bounds how often a transfer starts over because what was staged proved useless.
const maxReopen = 3

// window is how many requests of a transfer are unanswered at most; each carries up to 1 MiB.
const window = 48

// Put sends a file and returns when the server has published it. After a loss of the connection it goes on where the
// server left off. Errors besides the server's: ErrSourceChanged, *UnreachableError.
func (c *Client) Put(ctx context.Context, path string, src Source, o PutOptions) (Result, error) {
	if src.Length <= block.Size {
		return c.putSmall(ctx, path, src, o)
	}
	u := &putRun{client: c, path: path, src: src, opts: o, expect: o.Expect, writer: NewID(), counted: block.NewBitmap(block.Count(src.Length))}
	var p patience
	for reopened := 0; ; {
		err := u.attempt(ctx)
		switch code := wire.CodeOf(err); {
		case err == nil:
			return u.result, nil
		case ctx.Err() != nil:
			return u.result, ctx.Err()
		case IsLost(err):
			if err := p.lost(ctx, c, u.across, err); err != nil {
				return u.result, err
			}
		case (code == wire.VerifyFailed || code == wire.NotFound && u.opened) && reopened < maxReopen:
			reopened++ // what was staged is gone or no good
		default:
			return u.result, err
		}
	}
}

func (c *Client) putSmall(ctx context.Context, path string, src Source, o PutOptions) (Result, error) {
	b := make([]byte, src.Length)
	if n, err := src.ReadAt(b, 0); n < len(b) {
		if err == io.EOF {
			err = ErrSourceChanged
		}
		return Result{}, err
	}
	if err := src.Check(); err != nil {
		return Result{}, err
	}
	r := &wire.PutRequest{Request: wire.Request{Cmd: wire.CmdPut}, Ident: wire.Ident{ID: NewID()}, Path: wire.Name(path), Length: src.Length,
		Mtime: src.Mtime, Mode: src.Mode, Job: o.Job, Expect: o.Expect, Force: o.Force, Parents: o.Parents, NoSync: o.NoSync}
	var from origin
	for try := 0; ; try++ {
		k, err := c.use(ctx)
		if err != nil {
			return Result{}, err
		}
		from.fill(&r.Boot, k)
		var a wire.PutAnswer
		_, err = k.ask(ctx, r, b, &a)
		if ctx.Err() != nil {
			return Result{}, ctx.Err()
		}
		if IsLost(err) && try < maxRepeats {
			continue
		}
		if err != nil {
			return Result{}, err
		}
		if a.Entry == nil {
			return Result{}, &wire.ProtocolError{Msg: "put was answered without an entry"}
		}
		res := Result{Entry: *a.Entry, Same: a.Same}
		if a.Same {
			res.Reused = src.Length
			tell(o.Reused, src.Length)
		} else {
			res.Moved = src.Length
			tell(o.Moved, src.Length)
		}
		return res, nil
	}
}

func tell(f func(int64), n int64) {
	if f != nil && n > 0 {
		f(n)
	}
}

// putRun is one upload of several blocks, over as many connections as it takes.
type putRun struct {
	client  *Client
	path    string
	src     Source
	opts    PutOptions
	expect  *string
	opened  bool
	tries   int64               // to open it, answered or not
	writer  string              // this run, told from others of the same job
	commit  *wire.CommitRequest // sent and perhaps carried out, but not answered
	doubted string              // an upload whose commit was sent, and the server knows nothing of it any more
	counted block.Bitmap        // blocks that were told to Moved or Reused
	across  int64               // their bytes
	checks  *checks             // of this attempt
	result  Result
	mu      sync.Mutex // guards counted, across, checks and result while several connections are at work
}

// attempt goes through an upload on one connection.
func (u *putRun) attempt(ctx context.Context) error {
	k, err := u.client.use(ctx)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { k.end(&lostError{ctx.Err()}) })
	defer stop()
	if u.commit != nil { // the server may have done it and remember
		var a wire.CommitAnswer
		if _, err := k.ask(ctx, u.commit, nil, &a); err == nil {
			u.finish(a)
			return nil
		} else if IsLost(err) {
			return err
		} else if wire.CodeOf(err) == wire.NotFound {
			u.doubted = u.commit.Upload
		}
		u.commit = nil
	}
	r := &wire.PutRequest{Request: wire.Request{Cmd: wire.CmdPut}, Ident: wire.Ident{ID: NewID()}, Path: wire.Name(u.path), Length: u.src.Length,
		Mtime: u.src.Mtime, Mode: u.src.Mode, Job: u.opts.Job, Expect: u.expect, Force: u.opts.Force, Parents: u.opts.Parents, Writer: u.writer, Reopen: u.opened, Try: u.tries}
	u.tries++
	var open wire.PutAnswer
	if _, err := k.ask(ctx, r, nil, &open); err != nil {
		return err
	}
	if open.Key == nil || open.Upload == "" {
		return &wire.ProtocolError{Msg: "put was answered without an upload"}
	}
	u.opened = true
	if u.doubted != "" && u.doubted != open.Upload {
		return u.settle(ctx, open.Upload)
	}
	if u.expect == nil && open.Base != nil {
		u.expect = open.Base // from now on it is this version that we mean to replace
	}
	if err := u.send(ctx, k, &open); err != nil {
		return err
	}
	if err := u.src.Check(); err != nil {
		return err
	}
	u.commit = &wire.CommitRequest{Request: wire.Request{Cmd: wire.CmdCommit}, Ident: wire.Ident{ID: NewID()}, Upload: open.Upload,
		Epoch: open.Epoch, NoSync: u.opts.NoSync}
	var a wire.CommitAnswer
	if _, err := k.ask(ctx, u.commit, nil, &a); err != nil {
		if !IsLost(err) {
			u.commit = nil
		}
		return err
	}
	u.finish(a)
	return nil
}

// settle ends an upload whose commit was not answered, and of which nothing is staged any more: it was published, and perhaps
// replaced, moved or removed since, or it was dropped. What is at the name now tells, if it is the same; again is what was
// opened to look.
func (u *putRun) settle(ctx context.Context, again string) error {
	if err := u.client.Drop(ctx, again); err != nil {
		return err
	}
	e, err := u.client.Stat(ctx, u.path)
	same := false
	if err == nil && e.Kind == "file" && e.Length == u.src.Length {
		same, err = u.client.Same(ctx, u.path, e, u.src)
	}
	switch code := wire.CodeOf(err); {
	case err != nil && code != wire.NotFound && code != wire.Changed:
		return err
	case !same:
		return &wire.Error{Code: wire.Uncertain, Message: "the connection was lost and the server restarted: it cannot be known whether this was stored before"}
	}
	u.result.Entry = e
	return nil
}

func (u *putRun) finish(a wire.CommitAnswer) {
	u.result.Entry, u.result.Same = a.Entry, a.Same && u.result.Moved == 0
}

// send brings every block across: this connection and its helpers take what is to be done from one plan.
func (u *putRun) send(ctx context.Context, k *conn, open *wire.PutAnswer) error {
	p := newPlan(u.src.Length, open.Have)
	u.checks = checksOf(p, u.src.Length, u.counted, u.opts.Checking)
	return u.client.spread(ctx, u.client.streams(u.opts.Streams, u.src.Length), p, k, func(ctx context.Context, k *conn) error {
		return u.stream(ctx, k, p, open)
	})
}

// stream is one connection's part. Reading and tagging, sending, and taking in the answers each have a goroutine.
func (u *putRun) stream(ctx context.Context, k *conn, p *plan, open *wire.PutAnswer) error {
	tagger := block.NewTagger(*open.Key)
	read := make(chan step) // handed over: one block is read while one is sent
	sent := make(chan step, window)
	quit := make(chan struct{})
	var readErr, sendErr error
	go func() {
		defer close(read)
		for {
			s, ok := p.next(quit)
			if !ok {
				return
			}
			if readErr = u.read(&s, tagger, k.bufs); readErr != nil {
				p.back(s)
				return
			}
			read <- s
		}
	}()
	go func() {
		defer close(sent)
		for s := range flushWhenIdle(read, k) {
			if sendErr == nil {
				s.call, sendErr = k.send(u.request(&s, open), s.body)
			}
			k.bufs.PutBody(s.lent)
			s.body, s.lent = nil, nil
			sent <- s
		}
	}()
	var err error
	ended := false
	for s := range sent {
		if err == nil && s.call == nil {
			err = sendErr
		}
		if err == nil {
			err = u.take(ctx, &s, p)
		}
		if err == nil {
			continue
		}
		if !ended { // nothing new over this connection
			ended = true
			close(quit)
			p.wake()
		}
		p.back(s)
		if s.call != nil {
			s.call.last(ctx, &wire.EmptyAnswer{}) // only emptying the line
		}
	}
	if readErr != nil {
		return readErr
	}
	return err
}

// flushWhenIdle yields steps and flushes the connection whenever the next one is not there yet.
func flushWhenIdle(in <-chan step, k *conn) func(func(step) bool) {
	return func(yield func(step) bool) {
		for {
			select {
			case s, ok := <-in:
				if !ok {
					k.flush()
					return
				}
				if !yield(s) {
					return
				}
			default:
				k.flush()
				s, ok := <-in
				if !ok {
					return
				}
				if !yield(s) {
					return
				}
			}
		}
	}
}

// read fills in the bytes of a step: a block with its tag, or the tags of several.
func (u *putRun) read(s *step, tagger *block.Tagger, bufs *wire.Buffers) error {
	lent := bufs.Body()
	if s.count == 0 {
		b := (*lent)[:block.Len(s.first, u.src.Length)]
		if err := u.block(b, s.first); err != nil {
			bufs.PutBody(lent)
			return err
		}
		s.tag, s.body, s.lent = tagger.Tag(s.first, b), b, lent
		return nil
	}
	defer bufs.PutBody(lent)
	for n := s.first; n < s.first+int64(s.count); n++ {
		b := (*lent)[:block.Len(n, u.src.Length)]
		if err := u.block(b, n); err != nil {
			return err
		}
		tag := tagger.Tag(n, b)
		s.body = append(s.body, tag[:]...)
	}
	return nil
}

func (u *putRun) block(b []byte, n int64) error {
	got, err := u.src.ReadAt(b, n*block.Size)
	if got == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return ErrSourceChanged
	}
	return fmt.Errorf("read: %w", err)
}

func (u *putRun) request(s *step, open *wire.PutAnswer) wire.Requester {
	if s.count > 0 {
		return &wire.CheckRequest{Request: wire.Request{Cmd: wire.CmdCheck}, Upload: open.Upload, Epoch: open.Epoch, First: s.first}
	}
	return &wire.DataRequest{Request: wire.Request{Cmd: wire.CmdData}, Upload: open.Upload, Epoch: open.Epoch, Offset: s.first * block.Size, Tag: s.tag}
}

// take waits for the answer of a step and draws the conclusions.
func (u *putRun) take(ctx context.Context, s *step, p *plan) error {
	body, err := s.call.last(ctx, &wire.EmptyAnswer{})
	if err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if s.count == 0 {
		u.result.Moved += block.Len(s.first, u.src.Length)
		u.count(s.first, u.opts.Moved)
		p.done(nil)
		return nil
	}
	if len(body) != (s.count+7)/8 {
		return &wire.ProtocolError{Msg: "a check was answered with a bitmap of another size"}
	}
	var need []int64
	compared := int64(0)
	for i := range int64(s.count) {
		if n := s.first + i; !u.counted.Has(n) {
			compared += block.Len(n, u.src.Length)
		}
		if n := s.first + i; block.Bitmap(body).Has(i) {
			need = append(need, n)
		} else {
			u.count(n, func(size int64) {
				u.result.Reused += size
				tell(u.opts.Reused, size)
			})
		}
	}
	u.checks.done(compared)
	p.done(need)
	return nil
}

// count tells of a block the first time it is across. u.mu is held.
func (u *putRun) count(n int64, f func(int64)) {
	if !u.counted.Has(n) {
		u.counted.Set(n)
		u.across += block.Len(n, u.src.Length)
		tell(f, block.Len(n, u.src.Length))
	}
}
