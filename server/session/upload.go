package session

import (
	"context"
	"errors"
	"io/fs"
	"sync"
	"time"

	"ferry/server/account"
	"ferry/server/storage"
	"ferry/shared/block"
	"ferry/shared/wire"
)

// uploads is the unfinished uploads of one account that a connection has open.
type uploads struct {
	mu   sync.Mutex
	live map[string]*upload // by id; the newest epoch only
}

// upload is what one connection knows of an upload it has open. Only that connection's executor uses it, but for owner.
type upload struct {
	owner  *conn
	handle storage.Upload
	spec   storage.Spec
	tagger *block.Tagger
	staged block.Ranges   // what the staging seems to hold, not verified
	base   storage.Entry  // what is replaced
	old    storage.Reader // the version that is replaced, if its blocks may be used

	verified block.Bitmap // blocks known to be as the sender has them
	left     int64        // blocks that are not
	fromOld  block.Ranges // verified in old and not yet copied from it
	differs  bool         // something must be written: old is not what is wanted
	reused   int64        // bytes verified without having been sent
}

// gone tells whether the connection that has the upload open seems dead.
func (u *upload) gone() bool {
	return u.owner.ctx.Err() != nil || time.Since(u.owner.link.LastRead()) > writerGone
}

func (c *conn) putLarge(q *wire.PutRequest) error {
	base, expect, err := c.target(q)
	if err != nil {
		return err
	}
	u, err := c.openUpload(q, base, expect)
	if err != nil {
		return err
	}
	spec := u.spec
	have := u.staged
	if base.Kind == storage.File && min(base.Length, q.Length) > 0 && c.allow(account.Read) == nil {
		if u.old, err = c.home.store.Open(c.lasting(), string(q.Path), base.Version); err == nil {
			have = nil
			for _, r := range u.staged {
				have.Add(r)
			}
			have.Add(block.Range{Off: 0, End: min(base.Length, q.Length)})
		}
	}
	c.respond(&wire.PutAnswer{Upload: spec.ID, Epoch: spec.Epoch, Key: &spec.Key, Have: have.Coarsen(maxHave),
		Staged: u.staged.Len(), Base: &base.Version}, nil, nil)
	return nil
}

// maxHave is how many ranges an answer to put carries.
const maxHave = 64

// openUpload finds a staging to go on with, or begins a new one. One with the same job is taken over from whoever has it;
// another one of this path only if its writer is gone.
func (c *conn) openUpload(q *wire.PutRequest, base storage.Entry, expect *string) (*upload, error) {
	ups := &c.home.uploads
	ups.mu.Lock()
	defer ups.mu.Unlock()
	spec := specOf(q, expect)
	count := 0
	for s, err := range c.home.store.Uploads(c.lasting()) {
		if err != nil {
			return nil, err
		}
		count++
		if s.Path != spec.Path {
			continue
		}
		if l := ups.live[s.ID]; s.Job == q.Job || (l == nil || l.gone()) && spec.ID == "" {
			spec.ID = s.ID
			if s.Job == q.Job {
				if q.Reopen && s.Writer != q.Writer {
					return nil, storage.ErrSuperseded
				}
				break
			}
		}
	}
	if spec.ID == "" && count >= maxUploads {
		return nil, refusal(wire.TooMany, "too many unfinished uploads: finish or drop some (see resume)")
	}
	handle, err := c.home.store.Upload(c.lasting(), spec)
	if errors.Is(err, fs.ErrNotExist) && spec.ID != "" { // dropped at this moment
		spec.ID = ""
		handle, err = c.home.store.Upload(c.lasting(), spec)
	}
	if err != nil {
		return nil, err
	}
	spec = handle.Spec()
	u := &upload{owner: c, handle: handle, spec: spec, tagger: block.NewTagger(spec.Key), staged: handle.Have(maxHave),
		base: base, left: block.Count(spec.Length), verified: block.NewBitmap(block.Count(spec.Length))}
	if ups.live == nil {
		ups.live = map[string]*upload{}
	}
	ups.live[spec.ID] = u
	if c.uploads == nil {
		c.uploads = map[*upload]struct{}{}
	}
	c.uploads[u] = struct{}{}
	return u, nil
}

// find returns an open upload of this connection. One that another connection has taken over is storage.ErrSuperseded, even
// when that one has finished it.
func (c *conn) find(id string, epoch int64) (*upload, error) {
	ups := &c.home.uploads
	ups.mu.Lock()
	defer ups.mu.Unlock()
	for u := range c.uploads {
		if u.spec.ID == id && u.spec.Epoch == epoch {
			if ups.live[id] != u {
				return nil, storage.ErrSuperseded
			}
			return u, nil
		}
	}
	if ups.live[id] != nil {
		return nil, storage.ErrSuperseded
	}
	return nil, refusal(wire.NotFound, "there is no such upload")
}

// forget ends an upload's place among the open ones; its handle is ended by the caller or already.
func (c *conn) forget(u *upload) {
	delete(c.uploads, u)
	ups := &c.home.uploads
	ups.mu.Lock()
	if ups.live[u.spec.ID] == u {
		delete(ups.live, u.spec.ID)
	}
	ups.mu.Unlock()
	if u.old != nil {
		u.old.Close()
	}
}

// release keeps the stagings of a connection that ends and frees what is open.
func (c *conn) release() {
	for u := range c.uploads {
		c.forget(u)
		u.handle.Close()
	}
}

// lost forgets an upload whose staged data is gone or cannot be trusted.
func (c *conn) lost(u *upload, err error) error {
	if errors.Is(err, storage.ErrLost) || errors.Is(err, errOldChanged) {
		c.forget(u)
		u.handle.Close()
	}
	return err
}

func serveData(c *conn, r *request) error {
	var q wire.DataRequest
	if err := wire.DecodeRequest(r.header, &q); err != nil {
		return err
	}
	u, err := c.find(q.Upload, q.Epoch)
	if err != nil {
		return err
	}
	n, within := q.Offset/block.Size, q.Offset%block.Size
	size := int64(len(r.body))
	if q.Offset < 0 || size == 0 || within+size > block.Len(n, u.spec.Length) {
		return refusal(wire.BadRequest, "data: the bytes must lie within one block of the upload")
	}
	if u.tagger.Tag(n, r.body) != q.Tag {
		return refusal(wire.VerifyFailed, "a block arrived damaged")
	}
	if err := u.differ(c.lasting()); err != nil {
		return c.lost(u, err)
	}
	if err := u.handle.Put(c.lasting(), q.Offset, r.body); err != nil {
		return c.lost(u, err)
	}
	if size == block.Len(n, u.spec.Length) {
		u.mark(n)
	} else { // a part of a block counts only when a check has seen the whole
		u.unmark(n)
		u.staged.Add(block.Range{Off: q.Offset, End: q.Offset + size})
	}
	c.respond(&wire.EmptyAnswer{}, nil, nil)
	return nil
}

func (u *upload) mark(n int64) {
	if !u.verified.Has(n) {
		u.verified.Set(n)
		u.left--
	}
}

func (u *upload) unmark(n int64) {
	if u.verified.Has(n) {
		u.verified.Clear(n)
		u.left++
	}
}

// differ is called when it is known that the old version is not what is wanted: from now on its equal blocks are copied.
func (u *upload) differ(ctx context.Context) error {
	u.differs = true
	for _, r := range u.fromOld {
		if err := u.handle.Keep(ctx, u.old, r.Off, r.Len()); errors.Is(err, storage.ErrChanged) {
			return errOldChanged
		} else if err != nil {
			return err
		}
	}
	if len(u.fromOld) > 0 {
		u.fromOld = nil
		if u.old.Check() != nil { // what was copied may not be what was verified
			return errOldChanged
		}
	}
	return nil
}

// errOldChanged makes an upload useless whose blocks came from a file that was written to meanwhile. The client opens it
// again, and everything is compared anew.
var errOldChanged = refusal(wire.VerifyFailed, "the file was changed in place while its blocks were taken over")

func serveCheck(c *conn, r *request) error {
	var q wire.CheckRequest
	if err := wire.DecodeRequest(r.header, &q); err != nil {
		return err
	}
	tags, err := tagsOf(r.body)
	if err != nil {
		return err
	}
	u, err := c.find(q.Upload, q.Epoch)
	if err != nil {
		return err
	}
	if q.First < 0 || q.First+int64(len(tags)) > block.Count(u.spec.Length) {
		return refusal(wire.BadRequest, "check: the upload has no such blocks")
	}
	need := block.NewBitmap(int64(len(tags)))
	for i, tag := range tags {
		n := q.First + int64(i)
		if u.verified.Has(n) {
			continue
		}
		ok, err := u.check(c, n, tag)
		if err != nil {
			return c.lost(u, err)
		}
		if ok {
			u.mark(n)
			u.reused += block.Len(n, u.spec.Length)
			continue
		}
		need.Set(int64(i))
		u.differs = true
	}
	if u.differs {
		if err := u.differ(c.lasting()); err != nil {
			return c.lost(u, err)
		}
	}
	c.respond(&wire.EmptyAnswer{}, need, nil)
	return nil
}

// check looks for a block with the tag in the staging, then in the old version.
func (u *upload) check(c *conn, n int64, tag block.Tag) (bool, error) {
	size := block.Len(n, u.spec.Length)
	r := block.Range{Off: n * block.Size, End: n*block.Size + size}
	if u.staged.Has(r) {
		have, err := u.handle.Tag(c.lasting(), n)
		if err != nil {
			return false, err
		}
		if have == tag {
			return true, nil
		}
	}
	if u.old == nil || r.End > u.base.Length {
		return false, nil
	}
	lent := c.srv.bufs.Body()
	defer c.srv.bufs.PutBody(lent)
	if got, _ := u.old.ReadAt((*lent)[:size], r.Off); int64(got) < size || u.tagger.Tag(n, (*lent)[:size]) != tag {
		return false, nil // an unreadable old version is merely of no use
	}
	u.fromOld.Add(r)
	return true, nil
}

func serveCommit(c *conn, r *request) error {
	var q wire.CommitRequest
	if err := wire.DecodeRequest(r.header, &q); err != nil {
		return err
	}
	q.Boot = "" // repeated or not: without the upload nothing is done, and put finds out by comparing
	return c.once(q.Ident, nil, func() (wire.Answerer, error) {
		u, err := c.find(q.Upload, q.Epoch)
		if err != nil {
			return nil, err
		}
		r.path = u.spec.Path
		if u.left > 0 {
			return nil, refusal(wire.VerifyFailed, "some blocks were neither sent nor checked")
		}
		if u.same() {
			if cur, err := c.home.store.Stat(c.lasting(), u.spec.Path); err == nil && cur.Version == u.base.Version {
				e, err := c.refresh(wire.Name(u.spec.Path), cur, u.spec.ModTime, uint32(u.spec.Mode))
				if err != nil {
					return nil, err
				}
				c.forget(u)
				u.handle.Discard(c.lasting())
				return &wire.CommitAnswer{Entry: e, Same: true, Reused: u.reused}, nil
			}
		}
		if err := u.differ(c.lasting()); err != nil {
			return nil, c.lost(u, err)
		}
		res := c.home.store.Commit(c.lasting(), !q.NoSync, u.handle)[0]
		if res.Err != nil {
			return nil, c.lost(u, res.Err)
		}
		c.forget(u)
		u.handle.Close()
		return &wire.CommitAnswer{Entry: entryOf(res.Entry), Reused: u.reused}, nil
	})
}

// same tells whether the old version was found to be the whole of what is wanted.
func (u *upload) same() bool {
	return !u.differs && u.old != nil && u.base.Length == u.spec.Length && u.fromOld.Has(block.Range{Off: 0, End: u.spec.Length}) &&
		u.old.Check() == nil
}

func serveResume(c *conn, r *request) error {
	var q wire.EmptyRequest
	if err := wire.DecodeRequest(r.header, &q); err != nil {
		return err
	}
	list := []wire.Upload{}
	for s, err := range c.home.store.Uploads(c.ctx) {
		if err != nil {
			return err
		}
		ups := &c.home.uploads
		ups.mu.Lock()
		l := ups.live[s.ID]
		ups.mu.Unlock()
		list = append(list, wire.Upload{ID: s.ID, Path: wire.Name(s.Path), Length: s.Length, Done: s.Done, Job: s.Job,
			Created: s.Created.UnixNano(), Touched: s.Touched.UnixNano(), Mtime: s.ModTime.UnixNano(), Live: l != nil && !l.gone()})
		if len(list) == 100 {
			c.respond(&wire.ResumeAnswer{Answer: wire.Answer{More: true}, Uploads: list}, nil, nil)
			list = []wire.Upload{}
		}
	}
	c.respond(&wire.ResumeAnswer{Uploads: list}, nil, nil)
	return nil
}

func serveDrop(c *conn, r *request) error {
	var q wire.DropRequest
	if err := wire.DecodeRequest(r.header, &q); err != nil {
		return err
	}
	if !validID(q.Upload) {
		return refusal(wire.NotFound, "there is no such upload")
	}
	repeated := q.Boot != ""
	q.Boot = "" // an upload's id never comes back: to drop it again is never a second act
	return c.once(q.Ident, nil, func() (wire.Answerer, error) {
		err := c.home.store.Drop(c.lasting(), q.Upload)
		if repeated && errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return &wire.EmptyAnswer{}, err
	})
}
