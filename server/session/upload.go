package session

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"sync"

	"ferry/server/account"
	"ferry/server/storage"
	"ferry/shared/block"
	"ferry/shared/wire"
)

// uploads is the unfinished uploads of one account that a session has open.
type uploads struct {
	mu   sync.Mutex
	live map[string]*upload // by id; the newest epoch only
}

// upload is what a session knows of an upload it has open.
type upload struct {
	owner  *session
	handle storage.Upload
	spec   storage.Spec
	try    int64 // the writer's
	tagger *block.Tagger
	base   storage.Entry  // what is replaced
	old    storage.Reader // the version that is replaced, if its blocks may be used

	mu       sync.Mutex         // guards what follows; connections of the session work on different blocks at the same time
	busy     map[int64]struct{} // blocks that a connection is writing or comparing
	staged   block.Ranges       // what the staging seems to hold, not verified
	verified block.Bitmap       // blocks known to be as the sender has them
	left     int64              // blocks that are not
	fromOld  block.Ranges       // verified in old and not yet copied from it
	differs  bool               // something must be written: old is not what is wanted
	copies   bool               // the medium shares nothing: equal blocks are copied one by one, while they are in memory
	reused   int64              // bytes verified without having been sent
}

var errBusy = refusal(wire.Busy, "another connection of the session is at this block")

// take claims a block for one connection; give ends that. Two at one block would leave bytes that nobody verified.
func (u *upload) take(n int64) error {
	if _, taken := u.busy[n]; taken {
		return errBusy
	}
	if u.busy == nil {
		u.busy = map[int64]struct{}{}
	}
	u.busy[n] = struct{}{}
	return nil
}

func (u *upload) give(n int64) { delete(u.busy, n) }

func (c *conn) putLarge(q *wire.PutRequest) error {
	base, expect, err := c.target(q)
	if err != nil {
		return err
	}
	var old storage.Reader
	if base.Kind == storage.File && min(base.Length, q.Length) > 0 && c.allowAt(account.Read, string(q.Path)) == nil {
		if f, err := c.home.store.Open(c.lasting(), string(q.Path), base.Version); err == nil {
			old = f
		}
	}
	u, err := c.openUpload(q, base, expect, old)
	if err != nil {
		if old != nil {
			old.Close()
		}
		return err
	}
	spec, have := u.spec, slices.Clone(u.staged)
	if old != nil {
		have.Add(block.Range{Off: 0, End: min(base.Length, q.Length)})
	}
	c.respond(&wire.PutAnswer{Upload: spec.ID, Epoch: spec.Epoch, Key: &spec.Key, Have: have.Coarsen(maxHave),
		Staged: u.staged.Len(), Base: &base.Version}, nil, nil)
	return nil
}

// maxHave is how many ranges an answer to put carries.
const maxHave = 64

// openUpload finds a staging to go on with, or begins a new one. One with the same job is taken over from whoever has it;
// another one of this path only if its writer is gone. A request that its writer has overtaken with a newer one, since its
// connection was lost before it was read, takes nothing over.
func (c *conn) openUpload(q *wire.PutRequest, base storage.Entry, expect *string, old storage.Reader) (*upload, error) {
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
		if l := ups.live[s.ID]; s.Job == q.Job || (l == nil || c.srv.silent(l.owner)) && spec.ID == "" {
			spec.ID = s.ID
			if s.Job == q.Job {
				if q.Reopen && s.Writer != q.Writer || l != nil && s.Writer == q.Writer && q.Try < l.try {
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
	u := &upload{owner: c.ses, handle: handle, spec: spec, try: q.Try, tagger: block.NewTagger(spec.Key), staged: handle.Have(maxHave),
		base: base, old: old, left: block.Count(spec.Length), verified: block.NewBitmap(block.Count(spec.Length))}
	if ups.live == nil {
		ups.live = map[string]*upload{}
	}
	ups.live[spec.ID] = u
	if c.ses.uploads == nil {
		c.ses.uploads = map[string]*upload{}
	}
	if own := c.ses.uploads[spec.ID]; own != nil {
		own.close()
	}
	c.ses.uploads[spec.ID] = u
	return u, nil
}

// find returns an open upload of this session, to whose path the account may still write. One that was opened again since, or that another session has taken over, is
// storage.ErrSuperseded, even when that one has finished it.
func (c *conn) find(id string, epoch int64) (*upload, error) {
	ups := &c.home.uploads
	ups.mu.Lock()
	defer ups.mu.Unlock()
	if u := c.ses.uploads[id]; u != nil && u.spec.Epoch == epoch && ups.live[id] == u {
		return u, c.allowAt(account.Write, u.spec.Path)
	} else if u != nil || ups.live[id] != nil {
		return nil, storage.ErrSuperseded
	}
	return nil, refusal(wire.NotFound, "there is no such upload")
}

// close ends the session's use of an upload. The staging is kept, unless it was published or dropped.
func (u *upload) close() {
	u.handle.Close()
	if u.old != nil {
		u.old.Close()
	}
}

// forget ends an upload's place among the open ones.
func (u *upload) forget() {
	ups := &u.owner.home.uploads
	ups.mu.Lock()
	u.leave(ups)
	ups.mu.Unlock()
	u.close()
}

// leave takes an upload from among the open ones; its handle is still open. ups.mu is held.
func (u *upload) leave(ups *uploads) {
	id := u.spec.ID
	if ups.live[id] == u {
		delete(ups.live, id)
	}
	if u.owner.uploads[id] == u {
		delete(u.owner.uploads, id)
	}
}

// release frees what a session without connections has open. The stagings are kept, but for those that nobody can go on with.
// A connection that has come since its last one ended keeps everything: what it has opened meanwhile must not be taken from it.
func (s *Server) release(ses *session) {
	ups := &ses.home.uploads
	ups.mu.Lock()
	s.mu.Lock()
	left := len(ses.conns) == 0
	s.mu.Unlock()
	var open []*upload
	if left {
		open = slices.Collect(maps.Values(ses.uploads))
	}
	for _, u := range open {
		u.leave(ups)
	}
	ups.mu.Unlock()
	for _, u := range open {
		if u.blank() {
			u.handle.Discard(context.Background()) // whoever has just taken it over keeps it
		}
		u.close()
	}
}

// blank tells that the upload was never more than opened, once. One that was taken over stays, for its writer before must hear
// of that; and one of which a block was verified, for its commit may be on the way.
func (u *upload) blank() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.spec.Epoch == 1 && u.left > 0 && u.left == block.Count(u.spec.Length) && len(u.handle.Have(1)) == 0
}

// lost forgets an upload whose staged data is gone or cannot be trusted.
func (u *upload) lost(err error) error {
	if errors.Is(err, storage.ErrLost) || errors.Is(err, errOldChanged) {
		u.forget()
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
	if err := u.put(c.lasting(), q.Offset, r.body); err != nil {
		return u.lost(err)
	}
	c.respond(&wire.EmptyAnswer{}, nil, nil)
	return nil
}

// put writes bytes of one block, whose tag was right. A part of a block counts only when a check has seen the whole.
func (u *upload) put(ctx context.Context, off int64, b []byte) error {
	n, size := off/block.Size, int64(len(b))
	u.mu.Lock()
	defer u.mu.Unlock()
	if err := u.take(n); err != nil {
		return err
	}
	defer u.give(n)
	if err := u.differ(ctx); err != nil {
		return err
	}
	u.unmark(n)
	u.mu.Unlock()
	err := u.handle.Put(ctx, off, b)
	u.mu.Lock()
	switch {
	case err != nil:
		return err
	case size == block.Len(n, u.spec.Length):
		u.mark(n)
	default:
		u.staged.Add(block.Range{Off: off, End: off + size})
	}
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

// differ is called when it is known that the old version is not what is wanted: its equal blocks are taken over, those of a whole
// check at once, because a file system that shares blocks takes as long for one as for many.
// u.mu is held.
func (u *upload) differ(ctx context.Context) error {
	u.differs = true
	for _, r := range u.fromOld {
		shared, err := u.keep(ctx, r, nil)
		if err != nil {
			return err
		}
		u.copies = u.copies || !shared
	}
	if len(u.fromOld) > 0 {
		u.fromOld = nil
		if u.old.Check() != nil { // what was copied may not be what was verified
			return errOldChanged
		}
	}
	return nil
}

// keep takes a range over from the old version, which holds b there if that is not nil. shared tells that the medium does that
// for any length at once.
func (u *upload) keep(ctx context.Context, r block.Range, b []byte) (shared bool, err error) {
	shared, err = u.handle.Keep(ctx, u.old, r.Off, r.Len(), b)
	if errors.Is(err, storage.ErrChanged) {
		err = errOldChanged
	}
	return shared, err
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
		if ok, err := u.check(c, q.First+int64(i), tag); err != nil {
			return u.lost(err)
		} else if !ok {
			need.Set(int64(i))
		}
	}
	u.mu.Lock()
	if u.differs {
		err = u.differ(c.lasting())
	}
	u.mu.Unlock()
	if err != nil {
		return u.lost(err)
	}
	c.respond(&wire.EmptyAnswer{}, need, nil)
	return nil
}

// check tells whether the server has a block with the tag, which then counts as verified.
func (u *upload) check(c *conn, n int64, tag block.Tag) (bool, error) {
	size := block.Len(n, u.spec.Length)
	r := block.Range{Off: n * block.Size, End: n*block.Size + size}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.verified.Has(n) {
		return true, nil
	}
	if err := u.take(n); err != nil {
		return false, err
	}
	defer u.give(n)
	staged, keep := u.staged.Has(r), u.differs && u.copies
	u.mu.Unlock()
	where, err := u.look(c, n, r, tag, staged, keep)
	u.mu.Lock()
	switch where {
	case nowhere:
		u.differs = true
		return false, err
	case inOld:
		u.fromOld.Add(r)
	}
	if err != nil {
		return false, err
	}
	u.mark(n)
	u.reused += size
	return true, nil
}

// place is where a block was found.
type place int

const (
	nowhere place = iota
	inStaging
	inOld
)

// look looks for a block with the tag in the staging, then in the old version, from where it is copied at once if keep.
func (u *upload) look(c *conn, n int64, r block.Range, tag block.Tag, staged, keep bool) (place, error) {
	if staged {
		have, err := u.handle.Tag(c.lasting(), n)
		if err != nil {
			return nowhere, err
		}
		if have == tag {
			return inStaging, nil
		}
	}
	if u.old == nil || r.End > u.base.Length {
		return nowhere, nil
	}
	lent := c.srv.bufs.Body()
	defer c.srv.bufs.PutBody(lent)
	b := (*lent)[:r.Len()]
	if got, _ := u.old.ReadAt(b, r.Off); got < len(b) || u.tagger.Tag(n, b) != tag {
		return nowhere, nil // an unreadable old version is merely of no use
	}
	if keep {
		_, err := u.keep(c.lasting(), r, b)
		return inStaging, err
	}
	return inOld, nil
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
		if err := c.allowCommit(u.spec); err != nil {
			return nil, err
		}
		u.mu.Lock()
		defer u.mu.Unlock()
		if len(u.busy) > 0 {
			return nil, errBusy
		}
		if u.left > 0 {
			return nil, refusal(wire.VerifyFailed, "some blocks were neither sent nor checked")
		}
		if u.same() {
			if cur, err := c.home.store.Stat(c.lasting(), u.spec.Path); err == nil && cur.Version == u.base.Version {
				e, err := c.refresh(wire.Name(u.spec.Path), cur, u.spec.ModTime, uint32(u.spec.Mode))
				if err != nil {
					return nil, err
				}
				u.handle.Discard(c.lasting())
				u.forget()
				return &wire.CommitAnswer{Entry: e, Same: true, Reused: u.reused}, nil
			}
		}
		if err := u.differ(c.lasting()); err != nil {
			return nil, u.lost(err)
		}
		res := c.home.store.Commit(c.lasting(), !q.NoSync, u.handle)[0]
		if res.Err != nil {
			return nil, u.lost(meanwhile(res.Err))
		}
		u.forget()
		return &wire.CommitAnswer{Entry: entryOf(res.Entry), Reused: u.reused}, nil
	})
}

// allowCommit tells whether a finished upload may take its place, whatever has changed since it was opened.
func (c *conn) allowCommit(spec storage.Spec) error {
	if err := c.allowAt(account.Overwrite, spec.Path); err != nil && !c.missing(wire.Name(spec.Path)) {
		return err
	}
	return c.fits(spec.Length)
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
		if c.allowAt(account.List, s.Path) != nil {
			continue
		}
		ups := &c.home.uploads
		ups.mu.Lock()
		l := ups.live[s.ID]
		ups.mu.Unlock()
		list = append(list, wire.Upload{ID: s.ID, Path: wire.Name(s.Path), Length: s.Length, Done: s.Done, Job: s.Job,
			Created: s.Created.UnixNano(), Touched: s.Touched.UnixNano(), Mtime: s.ModTime.UnixNano(), Live: l != nil && l.owner != c.ses && !c.srv.silent(l.owner)})
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
		if err := c.allowDrop(q.Upload); err != nil {
			return nil, err
		}
		err := c.home.store.Drop(c.lasting(), q.Upload)
		if repeated && errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return &wire.EmptyAnswer{}, err
	})
}

// allowDrop tells whether the account may write where an unfinished upload was to be.
func (c *conn) allowDrop(id string) error {
	for s, err := range c.home.store.Uploads(c.lasting()) {
		if err != nil {
			return err
		}
		if s.ID == id {
			return c.allowAt(account.Write, s.Path)
		}
	}
	return nil
}
