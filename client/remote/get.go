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

// Target is where a download is gathered: a file that nobody takes for the finished one.
type Target interface {
	io.ReaderAt
	io.WriterAt
}

// GetOptions say how a file is fetched.
type GetOptions struct {
	// Have is what the target seems to hold already. Nothing of it is believed before the server has confirmed it.
	Have block.Ranges
	// These are as in PutOptions.
	Moved, Reused func(n int64)
	Checking      func(left, there int64)
	Streams       int
	// Restarted is told when the file changed on the server meanwhile, with what it is now; it may refuse. May be nil.
	Restarted func(wire.Entry) error
}

// errDamaged means that bytes arrived that do not fit their tag.
var errDamaged = errors.New("a block arrived damaged")

// Get fetches the version of a file that entry describes into t and returns when every block was verified; t is then at
// least entry.Length long and exact up to there. When the file changes on the server meanwhile, what was fetched is
// compared with the new version. After a loss of the connection it goes on. Result.Entry is the version fetched.
func (c *Client) Get(ctx context.Context, path string, entry wire.Entry, t Target, o GetOptions) (Result, error) {
	g := &getRun{client: c, path: path, target: t, opts: o, have: o.Have}
	g.begin(entry)
	var p patience
	for restarted, damaged := 0, 0; ; {
		err := g.attempt(ctx)
		switch {
		case err == nil:
			g.result.Entry, g.result.Same = g.entry, g.result.Moved == 0 && g.entry.Length > 0
			return g.result, nil
		case ctx.Err() != nil:
			return g.result, ctx.Err()
		case IsLost(err):
			if err := p.lost(ctx, c, g.across, err); err != nil {
				return g.result, err
			}
		case errors.Is(err, errDamaged) && damaged < maxReopen:
			damaged++
		case wire.CodeOf(err) == wire.Changed && restarted < maxReopen:
			restarted++
			now, serr := c.Stat(ctx, path)
			if serr != nil {
				return g.result, serr
			}
			if now.Kind != "file" {
				return g.result, err
			}
			if o.Restarted != nil {
				if err := o.Restarted(now); err != nil {
					return g.result, err
				}
			}
			g.have.Add(block.Range{Off: 0, End: g.entry.Length})
			p = patience{}
			g.begin(now)
		default:
			return g.result, err
		}
	}
}

// getRun is one download, over as many connections as it takes.
type getRun struct {
	client  *Client
	path    string
	target  Target
	opts    GetOptions
	entry   wire.Entry
	have    block.Ranges
	key     block.Key
	tagger  *block.Tagger
	done    block.Bitmap // verified
	counted block.Bitmap
	across  int64   // bytes of the counted blocks
	checks  *checks // of this attempt
	result  Result
	mu      sync.Mutex // guards done, counted, across, checks and result while several connections are at work
}

func (g *getRun) begin(e wire.Entry) {
	g.entry, g.key, g.across = e, block.NewKey(), 0
	g.tagger = block.NewTagger(g.key)
	g.done, g.counted = block.NewBitmap(block.Count(e.Length)), block.NewBitmap(block.Count(e.Length))
}

// How many requests are unanswered at most on a connection, and how many blocks each asks for. With several connections both
// are small, so that they end at about the same time.
const (
	getWindow    = 16
	getBlocks    = 16
	spreadWindow = 6
	spreadBlocks = 2
)

// attempt fetches and checks what is not done.
func (g *getRun) attempt(ctx context.Context) error {
	k, err := g.client.use(ctx)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { k.end(&lostError{ctx.Err()}) })
	defer stop()
	if g.entry.Length == 0 { // nothing to fetch, but the server has its say
		_, err := k.ask(ctx, &wire.GetRequest{Request: wire.Request{Cmd: wire.CmdGet}, Path: wire.Name(g.path), Version: g.entry.Version, Key: g.key},
			nil, &wire.GetAnswer{})
		return err
	}
	p := g.plan()
	g.checks = checksOf(p, g.entry.Length, g.counted, g.opts.Checking)
	n := g.client.streams(g.opts.Streams, g.entry.Length)
	window, blocks := getWindow, int64(getBlocks)
	if n > 1 {
		window, blocks = spreadWindow, spreadBlocks
	}
	return g.client.spread(ctx, n, p, k, func(ctx context.Context, k *conn) error { return g.stream(ctx, k, p, window, blocks) })
}

// plan is what is not done yet.
func (g *getRun) plan() *plan {
	p := newPlan(g.entry.Length, g.have.Clip(g.entry.Length))
	p.send = notIn(p.send, g.done)
	var checks []step // those blocks of checks that are not done, again in runs
	for _, c := range p.checks {
		run := step{first: c.first}
		for n := c.first; n <= c.first+int64(c.count); n++ {
			if n < c.first+int64(c.count) && !g.done.Has(n) {
				run.count++
				continue
			}
			if run.count > 0 {
				checks = append(checks, run)
			}
			run = step{first: n + 1}
		}
	}
	p.checks = checks
	return p
}

// stream is one connection's part.
func (g *getRun) stream(ctx context.Context, k *conn, p *plan, window int, blocks int64) error {
	sent := make(chan step, window)
	quit := make(chan struct{})
	var sendErr error
	go func() {
		defer close(sent)
		for {
			s, ok := p.nextRun(blocks, quit)
			if !ok {
				return
			}
			if sendErr = g.request(k, &s); sendErr != nil {
				p.back(s)
				return
			}
			sent <- s
		}
	}()
	var err error
	for s := range sent {
		if err != nil {
			p.back(s)
			s.call.drain()
			continue
		}
		if err = g.take(ctx, &s, p); err != nil {
			close(quit)
			p.wake()
			g.rest(s, p)
			if !errors.As(err, new(*wire.Error)) && !IsLost(err) {
				k.end(&lostError{context.Canceled}) // cut here: what is under way is of no use
			}
		}
	}
	if err != nil {
		return err
	}
	return sendErr
}

// rest gives back what of a step is not done.
func (g *getRun) rest(s step, p *plan) {
	if s.count > 0 {
		p.back(s)
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	var missing []int64
	for n := s.first; n < s.first+s.more; n++ {
		if !g.done.Has(n) {
			missing = append(missing, n)
		}
	}
	p.done(missing)
}

func notIn(blocks []int64, done block.Bitmap) []int64 {
	var out []int64
	for _, n := range blocks {
		if !done.Has(n) {
			out = append(out, n)
		}
	}
	return out
}

// request sends a get or, with the tags of what the target holds, a verify.
func (g *getRun) request(k *conn, s *step) (err error) {
	if s.count == 0 {
		s.call, err = k.send(&wire.GetRequest{Request: wire.Request{Cmd: wire.CmdGet}, Path: wire.Name(g.path), Version: g.entry.Version,
			Offset: s.first * block.Size, Length: s.more * block.Size, Key: g.key}, nil)
	} else {
		lent := k.bufs.Body()
		defer k.bufs.PutBody(lent)
		for n := s.first; n < s.first+int64(s.count); n++ {
			b := (*lent)[:block.Len(n, g.entry.Length)]
			if got, rerr := g.target.ReadAt(b, n*block.Size); got < len(b) {
				if rerr != nil && !errors.Is(rerr, io.EOF) {
					return fmt.Errorf("read what was fetched: %w", rerr)
				}
				clear(b[got:]) // shorter than it seemed: not equal, then, or truly zeros
			}
			tag := g.tagger.Tag(n, b)
			s.body = append(s.body, tag[:]...)
		}
		s.call, err = k.send(&wire.VerifyRequest{Request: wire.Request{Cmd: wire.CmdVerify}, Path: wire.Name(g.path), Version: g.entry.Version,
			First: s.first, Key: g.key}, s.body)
	}
	if err != nil {
		return err
	}
	return k.flush()
}

// take receives what a step asked for.
func (g *getRun) take(ctx context.Context, s *step, p *plan) error {
	if s.count > 0 {
		body, err := s.call.last(ctx, &wire.EmptyAnswer{})
		if err != nil {
			return err
		}
		if len(body) != (s.count+7)/8 {
			return &wire.ProtocolError{Msg: "a verify was answered with a bitmap of another size"}
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		var need []int64
		compared := int64(0)
		for i := range int64(s.count) {
			n := s.first + i
			if !g.counted.Has(n) {
				compared += block.Len(n, g.entry.Length)
			}
			if block.Bitmap(body).Has(i) {
				need = append(need, n)
				continue
			}
			g.done.Set(n)
			g.count(n, func(size int64) { g.result.Reused += size; tell(g.opts.Reused, size) })
		}
		g.checks.done(compared)
		p.done(need)
		return nil
	}
	for n := s.first; ; n++ {
		var a wire.GetAnswer
		part, more, err := s.call.next(ctx, &a)
		if err != nil {
			return err
		}
		err = g.store(n, s, &a, part.body, more)
		s.call.conn.release(part)
		if err != nil {
			return err
		}
		if !more {
			p.done(nil)
			return nil
		}
	}
}

// store checks a block that arrived and writes it to its place.
func (g *getRun) store(n int64, s *step, a *wire.GetAnswer, b []byte, more bool) error {
	last := n == s.first+s.more-1
	if a.Entry != nil && a.Entry.Version != g.entry.Version {
		return &wire.ProtocolError{Msg: "get was answered with another version"}
	}
	if n >= s.first+s.more || last == more || int64(len(b)) != block.Len(n, g.entry.Length) || a.Tag == nil {
		return &wire.ProtocolError{Msg: "get was answered with other bytes than those asked for"}
	}
	if g.tagger.Tag(n, b) != *a.Tag {
		return errDamaged
	}
	if _, err := g.target.WriteAt(b, n*block.Size); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.result.Moved += int64(len(b))
	g.done.Set(n)
	g.count(n, func(size int64) { tell(g.opts.Moved, size) })
	return nil
}

// count tells of a block the first time it is across. g.mu is held.
func (g *getRun) count(n int64, f func(int64)) {
	if !g.counted.Has(n) {
		g.counted.Set(n)
		g.across += block.Len(n, g.entry.Length)
		f(block.Len(n, g.entry.Length))
	}
}

// drain throws away what is left of an answer.
func (k *call) drain() {
	for p := range k.parts {
		k.conn.release(p)
	}
}

// Same tells whether r holds exactly the version of a file that entry describes. It reads entry.Length bytes of r.
func (c *Client) Same(ctx context.Context, path string, entry wire.Entry, r io.ReaderAt) (bool, error) {
	key := block.NewKey()
	tagger := block.NewTagger(key)
	lent := c.bufs.Body()
	defer c.bufs.PutBody(lent)
	for first, count := int64(0), block.Count(entry.Length); first < count; first += wire.MaxTags {
		var tags []byte
		for n := first; n < min(first+wire.MaxTags, count); n++ {
			b := (*lent)[:block.Len(n, entry.Length)]
			if got, err := r.ReadAt(b, n*block.Size); got < len(b) {
				if err == nil || errors.Is(err, io.EOF) {
					return false, nil
				}
				return false, fmt.Errorf("read: %w", err)
			}
			tag := tagger.Tag(n, b)
			tags = append(tags, tag[:]...)
		}
		need, err := c.verify(ctx, &wire.VerifyRequest{Request: wire.Request{Cmd: wire.CmdVerify}, Path: wire.Name(path),
			Version: entry.Version, First: first, Key: key}, tags)
		if err != nil {
			return false, err
		}
		for _, b := range need {
			if b != 0 {
				return false, nil
			}
		}
	}
	return true, nil
}

func (c *Client) verify(ctx context.Context, r *wire.VerifyRequest, tags []byte) ([]byte, error) {
	for try := 0; ; try++ {
		k, err := c.use(ctx)
		if err != nil {
			return nil, err
		}
		need, err := k.ask(ctx, r, tags, &wire.EmptyAnswer{})
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if !IsLost(err) || try == maxRepeats {
			return need, err
		}
	}
}
