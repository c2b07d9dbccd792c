package session

import (
	"bytes"
	"errors"
	"io/fs"
	"time"

	"ferry/server/account"
	"ferry/server/storage"
	"ferry/shared/wire"
)

// maxBatch is how many small uploads share one commit.
const maxBatch = 256

// servePut opens an upload, or with a body takes a whole small one.
func servePut(c *conn, r *request) error {
	var q wire.PutRequest
	err := wire.DecodeRequest(r.header, &q)
	switch {
	case err != nil:
	case !validID(q.ID) || q.Job != "" && !validID(q.Job) || q.Writer != "" && !validID(q.Writer):
		err = refusal(wire.BadRequest, "put: fields id, job and writer must be 32 hexadecimal digits")
	case q.Length < 0 || q.Mode > 0o7777:
		err = refusal(wire.BadRequest, "put: fields length and mode are out of range")
	case r.body != nil && int64(len(r.body)) != q.Length:
		err = refusal(wire.BadRequest, "put: the body must be the whole file")
	case r.body == nil && q.Job == "":
		err = refusal(wire.BadRequest, "put: without a body, field job is needed")
	}
	if err != nil || r.body == nil {
		c.batch.flush(c)
	}
	if err != nil {
		return err
	}
	r.path = string(q.Path)
	if r.body != nil {
		return c.putSmall(&q, r.body)
	}
	return c.putLarge(&q)
}

// target looks at what an upload will replace: its version for Expect, or nil if it may replace anything.
func (c *conn) target(q *wire.PutRequest) (old storage.Entry, expect *string, err error) {
	old, err = c.home.store.Stat(c.lasting(), string(q.Path))
	switch {
	case isMissing(err):
		old, err = storage.Entry{}, nil
	case err != nil:
		return old, nil, err
	case old.Kind == storage.Dir:
		return old, nil, storage.ErrIsDir
	default:
		if err := c.allow(account.Overwrite); err != nil {
			return old, nil, err
		}
	}
	switch there := old.Kind != ""; {
	case q.Force:
	case q.Expect != nil && q.Boot == "" && !q.Reopen && there && *q.Expect == "":
		return old, nil, fs.ErrExist
	case q.Expect != nil && q.Boot == "" && !q.Reopen && *q.Expect != "" && *q.Expect != old.Version:
		return old, nil, storage.ErrConflict
	case q.Expect != nil: // asked for again it may have been done: that is found out by comparing
		expect = q.Expect
	case old.Kind == "" || old.Kind == storage.File:
		expect = &old.Version
	}
	return old, expect, nil
}

func specOf(q *wire.PutRequest, expect *string) storage.Spec {
	return storage.Spec{Path: string(q.Path), Job: q.Job, Writer: q.Writer, Length: q.Length, ModTime: time.Unix(0, q.Mtime),
		Mode: fs.FileMode(q.Mode & 0o777), Expect: expect, Parents: q.Parents}
}

// batch is small uploads that are written but not yet committed.
type batch struct {
	ups    []storage.Upload
	outs   []*outcome
	paths  map[string]bool
	nosync bool
}

func (c *conn) putSmall(q *wire.PutRequest, body []byte) error {
	b := &c.batch
	out, fresh := c.home.outcomes.begin(q.ID)
	if !fresh {
		b.flush(c) // it may be in there
		<-out.done
		c.respond(out.ans, nil, nil)
		return nil
	}
	if len(b.ups) > 0 && (b.nosync != q.NoSync || b.paths[string(q.Path)] || len(b.ups) >= maxBatch) {
		b.flush(c)
	}
	ans, err := c.stageSmall(q, body, out)
	if err != nil {
		ans = &wire.PutAnswer{Answer: wire.Answer{Error: c.errorOf(wire.CmdPut, err)}}
	}
	if ans != nil { // decided already; those before it are answered first
		b.flush(c)
		c.respond(ans, nil, nil)
		out.end(ans)
	}
	return nil
}

// stageSmall writes a small upload and adds it to the batch, or returns the answer if there is nothing to write.
func (c *conn) stageSmall(q *wire.PutRequest, body []byte, out *outcome) (*wire.PutAnswer, error) {
	old, expect, err := c.target(q)
	if err != nil {
		return nil, err
	}
	if same, err := c.sameSmall(q, old, body); err != nil || same != nil {
		return same, err
	}
	spec := specOf(q, expect)
	spec.Ephemeral = true
	up, err := c.home.store.Upload(c.lasting(), spec)
	if err != nil {
		return nil, err
	}
	if len(body) > 0 {
		if err := up.Put(c.lasting(), 0, body); err != nil {
			up.Close()
			return nil, err
		}
	}
	b := &c.batch
	if b.paths == nil {
		b.paths = map[string]bool{}
	}
	b.ups, b.outs, b.nosync = append(b.ups, up), append(b.outs, out), q.NoSync
	b.paths[string(q.Path)] = true
	return nil, nil
}

// sameSmall answers an upload whose content is at the target already. That is also how a repeated put is recognised after
// a restart.
func (c *conn) sameSmall(q *wire.PutRequest, old storage.Entry, body []byte) (*wire.PutAnswer, error) {
	if old.Kind != storage.File || old.Length != q.Length || c.allow(account.Read) != nil {
		return nil, nil
	}
	f, err := c.home.store.Open(c.lasting(), string(q.Path), old.Version)
	if err != nil {
		return nil, nil // changed or unreadable: an ordinary upload finds out
	}
	defer f.Close()
	have := make([]byte, len(body))
	if n, _ := f.ReadAt(have, 0); n < len(have) || !bytes.Equal(have, body) || f.Check() != nil {
		return nil, nil
	}
	e, err := c.refresh(q.Path, old, time.Unix(0, q.Mtime), q.Mode)
	if err != nil {
		return nil, err
	}
	return &wire.PutAnswer{Entry: &e, Same: true}, nil
}

// refresh gives a file whose content is right the time and mode of its source.
func (c *conn) refresh(path wire.Name, old storage.Entry, mtime time.Time, mode uint32) (wire.Entry, error) {
	var m storage.Meta
	if !old.ModTime.Equal(mtime) {
		m.ModTime = &mtime
	}
	if p := fs.FileMode(mode & 0o777); mode != 0 && p != old.Mode.Perm() {
		m.Mode = &p
	}
	if m == (storage.Meta{}) {
		return entryOf(old), nil
	}
	if err := c.home.store.SetMeta(c.lasting(), string(path), m); err != nil && !errors.Is(err, storage.ErrUnsupported) {
		return wire.Entry{}, err
	}
	e, err := c.home.store.Stat(c.lasting(), string(path))
	return entryOf(e), err
}

// meanwhile is what the refusal of a commit means: what was there when the upload was opened was looked at then.
func meanwhile(err error) error {
	if errors.Is(err, fs.ErrExist) {
		return storage.ErrConflict
	}
	return err
}

// flush commits what is in the batch and answers.
func (b *batch) flush(c *conn) {
	if len(b.ups) == 0 {
		return
	}
	ups, outs := b.ups, b.outs
	b.ups, b.outs, b.paths = nil, nil, nil
	for i, res := range c.home.store.Commit(c.lasting(), !b.nosync, ups...) {
		ans := &wire.PutAnswer{}
		if res.Err != nil {
			ans.Error = c.errorOf(wire.CmdPut, meanwhile(res.Err))
		} else {
			e := entryOf(res.Entry)
			ans.Entry = &e
		}
		ups[i].Close()
		c.respond(ans, nil, nil)
		outs[i].end(ans)
	}
}
