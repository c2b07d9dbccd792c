package session

import (
	"errors"
	"io/fs"
	"time"

	"ferry/server/account"
	"ferry/server/storage"
	"ferry/shared/wire"
)

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
	default:
		r.path = string(q.Path)
		if err = c.allowNew(string(q.Path), q.Parents); err == nil {
			err = c.fits(q.Length)
		}
	}
	if err != nil || r.body == nil {
		c.batch.wait()
	}
	if err != nil {
		return err
	}
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
		if err := c.allowAt(account.Overwrite, string(q.Path)); err != nil {
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

// putSmall stages a whole file and leaves the rest to the batch.
func (c *conn) putSmall(q *wire.PutRequest, body []byte) error {
	if q.Boot != "" && !validID(q.Boot) {
		c.batch.wait()
		return refusal(wire.BadRequest, "put: field boot must be 32 hexadecimal digits")
	}
	out := c.first(q.ID)
	if out == nil {
		return nil
	}
	s := small{out: out, path: string(q.Path), nosync: q.NoSync, denied: c.allowAt(account.Overwrite, string(q.Path))}
	var err error
	s.up, err = c.stageSmall(q, body, s.denied != nil)
	if errors.As(err, new(*storage.QuotaError)) { // what is staged before it may be about to make room
		c.batch.wait()
		s.up, err = c.stageSmall(q, body, s.denied != nil)
	}
	if err != nil {
		s.ans = &wire.PutAnswer{Answer: wire.Answer{Error: c.errorOf(wire.CmdPut, err)}}
	}
	c.batch.add(s)
	return nil
}

// stageSmall writes a small upload. Whether it may take its place is found out by the commit, which looks there anyway.
func (c *conn) stageSmall(q *wire.PutRequest, body []byte, noReplace bool) (storage.Upload, error) {
	expect := q.Expect
	if q.Force {
		expect = nil
	}
	spec := specOf(q, expect)
	spec.Ephemeral, spec.Again = true, c.forgotten(q.Ident)
	spec.NoReplace, spec.KeepSame = noReplace, c.allowAt(account.Read, string(q.Path)) == nil
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
	return up, nil
}

// refresh gives a file whose content is right the time and mode of its source, and makes it durable, whoever wrote it.
func (c *conn) refresh(path wire.Name, old storage.Entry, mtime time.Time, mode uint32) (wire.Entry, error) {
	var m storage.Meta
	if !old.ModTime.Equal(mtime) {
		m.ModTime = &mtime
	}
	if p := fs.FileMode(mode & 0o777); mode != 0 && p != old.Mode.Perm() {
		m.Mode = &p
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
