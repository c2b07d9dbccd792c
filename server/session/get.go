package session

import (
	"context"
	"errors"
	"io"

	"ferry/server/account"
	"ferry/server/storage"
	"ferry/shared/block"
	"ferry/shared/wire"
)

func serveGet(c *conn, r *request) error {
	var q wire.GetRequest
	if err := wire.DecodeRequest(r.header, &q); err != nil {
		return err
	}
	if q.Offset < 0 || q.Offset%block.Size != 0 || q.Length < 0 || q.Length > wire.MaxGet {
		return refusal(wire.BadRequest, "get: offset must be a multiple of 1 MiB, length at most 64 MiB")
	}
	r.path, r.quiet = string(q.Path), q.Offset > 0
	if err := c.allowAt(account.Read, string(q.Path)); err != nil {
		return err
	}
	f, err := c.home.store.Open(c.ctx, string(q.Path), q.Version)
	if err != nil {
		return err
	}
	defer f.Close()
	entry := entryOf(f.Entry())
	top := &entry
	end := min(q.Offset+q.Length, entry.Length)
	if q.Offset >= end {
		c.respond(&wire.GetAnswer{Entry: top}, nil, nil)
		return nil
	}
	c.about(Activity{Cmd: r.cmd, Path: r.path, Done: q.Offset, Of: entry.Length})
	tagger := block.NewTagger(q.Key)
	for off := q.Offset; off < end; {
		if c.failed.Load() || c.ctx.Err() != nil {
			return context.Canceled
		}
		n := min(block.Size, end-off)
		c.answers.await(int(n)) // one block is read while one is sent: no third one waits
		lent := c.srv.bufs.Body()
		b := (*lent)[:n]
		if got, err := f.ReadAt(b, off); int64(got) < n {
			c.srv.bufs.PutBody(lent)
			if err == nil || errors.Is(err, io.EOF) {
				return storage.ErrChanged // shorter than it was
			}
			return err
		}
		tag := tagger.Tag(off/block.Size, b)
		off += n
		if off == end {
			// The last bytes leave only when all of them are known to be of one version.
			if err := f.Check(); err != nil {
				c.srv.bufs.PutBody(lent)
				return err
			}
		}
		c.respond(&wire.GetAnswer{Answer: wire.Answer{More: off < end}, Entry: top, Tag: &tag}, b, lent)
		top = nil
	}
	return nil
}

func serveVerify(c *conn, r *request) error {
	var q wire.VerifyRequest
	if err := wire.DecodeRequest(r.header, &q); err != nil {
		return err
	}
	tags, err := tagsOf(r.body)
	if err != nil {
		return err
	}
	if err := c.allowAt(account.Read, string(q.Path)); err != nil {
		return err
	}
	f, err := c.home.store.Open(c.ctx, string(q.Path), q.Version)
	if err != nil {
		return err
	}
	defer f.Close()
	length := f.Entry().Length
	if q.First < 0 || q.First+int64(len(tags)) > block.Count(length) {
		return refusal(wire.BadRequest, "verify: the file has no such blocks")
	}
	need := block.NewBitmap(int64(len(tags)))
	lent := c.srv.bufs.Body()
	defer c.srv.bufs.PutBody(lent)
	tagger := block.NewTagger(q.Key)
	for i, tag := range tags {
		if c.ctx.Err() != nil {
			return c.ctx.Err()
		}
		n := q.First + int64(i)
		b := (*lent)[:block.Len(n, length)]
		if got, err := f.ReadAt(b, n*block.Size); got < len(b) {
			if err == nil || errors.Is(err, io.EOF) {
				return storage.ErrChanged
			}
			return err
		}
		if tagger.Tag(n, b) != tag {
			need.Set(int64(i))
		}
	}
	if err := f.Check(); err != nil {
		return err
	}
	c.respond(&wire.EmptyAnswer{}, need, nil)
	return nil
}

// tagsOf cuts the body of check and verify into tags.
func tagsOf(body []byte) ([]block.Tag, error) {
	if len(body) == 0 || len(body)%16 != 0 || len(body) > 16*wire.MaxTags {
		return nil, refusal(wire.BadRequest, "the body must be 1 to 256 tags of 16 bytes")
	}
	tags := make([]block.Tag, len(body)/16)
	for i := range tags {
		copy(tags[i][:], body[16*i:])
	}
	return tags, nil
}
