package session

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"strings"

	"ferry/server/account"
	"ferry/server/storage"
	"ferry/shared/wire"
)

func servePing(c *conn, r *request) error {
	var q wire.EmptyRequest
	if err := wire.DecodeRequest(r.header, &q); err != nil {
		return err
	}
	c.respond(&wire.EmptyAnswer{}, nil, nil)
	return nil
}

func serveLogout(c *conn, r *request) error {
	if err := servePing(c, r); err != nil {
		return err
	}
	c.srv.mu.Lock()
	defer c.srv.mu.Unlock()
	c.srv.end(c.ses, nil)
	return nil
}

func entryOf(e storage.Entry) wire.Entry {
	return wire.Entry{Name: wire.Name(e.Name), Kind: string(e.Kind), Length: e.Length, Mtime: e.ModTime.UnixNano(),
		Mode: uint32(e.Mode.Perm()), Version: e.Version}
}

func serveStat(c *conn, r *request) error {
	var q wire.PathRequest
	if err := wire.DecodeRequest(r.header, &q); err != nil {
		return err
	}
	if err := c.allowAt(account.List, string(q.Path)); err != nil {
		return err
	}
	e, err := c.home.store.Stat(c.ctx, string(q.Path))
	if err != nil {
		return err
	}
	c.respond(&wire.EntryAnswer{Entry: entryOf(e)}, nil, nil)
	return nil
}

// listPart is about how many bytes of entries one message of a listing carries.
const listPart = 24 << 10

func serveLs(c *conn, r *request) error {
	var q wire.LsRequest
	if err := wire.DecodeRequest(r.header, &q); err != nil {
		return err
	}
	dir := string(q.Path)
	if err := c.allowAt(account.List, dir); err != nil {
		return err
	}
	shows, err := c.shows(dir)
	if err != nil {
		return err
	}
	top, err := c.home.store.Stat(c.ctx, dir)
	if err != nil {
		return err
	}
	if top.Kind != storage.Dir { // as ls does: a file lists itself
		e := entryOf(top)
		e.Name = wire.Name(dir[strings.LastIndexByte(dir, '/')+1:])
		c.respond(&wire.LsAnswer{Entries: []wire.Entry{e}}, nil, nil)
		return nil
	}
	prefix := strings.TrimSuffix(dir, "/") + "/"
	part, size := []wire.Entry{}, 0
	for e, err := range c.home.store.List(c.ctx, dir, q.Deep) {
		if err != nil {
			return err
		}
		if c.failed.Load() {
			return c.ctx.Err()
		}
		if !shows(e) {
			continue
		}
		w := entryOf(e)
		w.Name = wire.Name(strings.TrimPrefix(e.Name, prefix))
		cost := nameCost(w.Name)
		if size += cost; size > listPart && len(part) > 0 {
			c.respond(&wire.LsAnswer{Answer: wire.Answer{More: true}, Entries: part}, nil, nil)
			part, size = []wire.Entry{}, cost
		}
		part = append(part, w)
	}
	c.respond(&wire.LsAnswer{Entries: part}, nil, nil)
	return nil
}

// nameCost is about how many bytes an object with a name takes on the wire: a byte of it up to six, but rarely more than one.
func nameCost(name wire.Name) int {
	cost := 160 + 3*len(name)
	if strings.ContainsFunc(string(name), func(r rune) bool { return r < ' ' || r == '\uFFFD' }) {
		cost += 4 * len(name)
	}
	return cost
}

func serveMkdir(c *conn, r *request) error {
	var q wire.MkdirRequest
	if err := wire.DecodeRequest(r.header, &q); err != nil {
		return err
	}
	if err := c.allowNew(string(q.Path), q.Parents); err != nil {
		return err
	}
	done := func() bool {
		e, err := c.home.store.Stat(c.lasting(), string(q.Path))
		return err == nil && e.Kind == storage.Dir
	}
	return c.once(q.Ident, done, func() (wire.Answerer, error) {
		return &wire.EmptyAnswer{}, c.home.store.Mkdir(c.lasting(), string(q.Path), q.Parents)
	})
}

// lasting is the context of what must not stop half-way because the client left.
func (c *conn) lasting() context.Context { return context.WithoutCancel(c.ctx) }

func serveRm(c *conn, r *request) error    { return serveRemove(c, r, false) }
func serveRmdir(c *conn, r *request) error { return serveRemove(c, r, true) }

func serveRemove(c *conn, r *request, dir bool) error {
	var q wire.ChangeRequest
	if err := wire.DecodeRequest(r.header, &q); err != nil {
		return err
	}
	if err := c.allowAt(account.Delete, string(q.Path)); err != nil {
		return err
	}
	return c.once(q.Ident, func() bool { return c.missing(q.Path) }, func() (wire.Answerer, error) {
		e, err := c.home.store.Stat(c.lasting(), string(q.Path))
		switch {
		case err != nil:
			return nil, err
		case dir && e.Kind != storage.Dir:
			return nil, storage.ErrNotDir
		case !dir && e.Kind == storage.Dir:
			return nil, storage.ErrIsDir
		}
		return &wire.EmptyAnswer{}, c.home.store.Remove(c.lasting(), string(q.Path))
	})
}

func serveMv(c *conn, r *request) error {
	var q wire.MvRequest
	if err := wire.DecodeRequest(r.header, &q); err != nil {
		return err
	}
	if err := c.allowMove(string(q.Path), string(q.To)); err != nil {
		return err
	}
	done := func() bool { // whoever else could have moved or removed it
		e, err := c.home.store.Stat(c.lasting(), string(q.To))
		return err == nil && c.home.store.Moved(q.Version, e) && c.missing(q.Path)
	}
	return c.once(q.Ident, done, func() (wire.Answerer, error) {
		if q.Replace {
			if _, err := c.home.store.Stat(c.lasting(), string(q.To)); err == nil {
				if err := c.allowAt(account.Overwrite, string(q.To)); err != nil {
					return nil, err
				}
			}
		}
		return &wire.EmptyAnswer{}, c.home.store.Rename(c.lasting(), string(q.Path), string(q.To), q.Replace)
	})
}

func serveSum(c *conn, r *request) error {
	var q wire.PathRequest
	if err := wire.DecodeRequest(r.header, &q); err != nil {
		return err
	}
	if err := c.allowAt(account.Read, string(q.Path)); err != nil {
		return err
	}
	sum, e, err := c.digest(string(q.Path))
	if err != nil {
		return err
	}
	c.respond(&wire.SumAnswer{SHA256: sum, Entry: entryOf(e)}, nil, nil)
	return nil
}

// digest returns the SHA-256 of a file in hexadecimal, and the version that it is of.
func (c *conn) digest(name string) (string, storage.Entry, error) {
	f, err := c.home.store.Open(c.ctx, name, "")
	if err != nil {
		return "", storage.Entry{}, err
	}
	defer f.Close()
	lent := c.srv.bufs.Body()
	defer c.srv.bufs.PutBody(lent)
	h := sha256.New()
	for off := int64(0); ; {
		n, err := f.ReadAt(*lent, off)
		h.Write((*lent)[:n])
		off += int64(n)
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = c.ctx.Err()
		}
		if err != nil {
			return "", storage.Entry{}, err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), f.Entry(), f.Check()
}

// isMissing tells whether a name, or a directory on the way to it, is not there.
func isMissing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, storage.ErrNotDir)
}

func (c *conn) missing(name wire.Name) bool {
	_, err := c.home.store.Stat(c.lasting(), string(name))
	return isMissing(err)
}
