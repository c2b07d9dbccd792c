package session

import (
	"errors"
	"io/fs"

	"ferry/server/account"
	"ferry/server/storage"
	"ferry/shared/wire"
)

// copyPart is how many bytes are copied before it is looked again whether anybody still waits for them.
const copyPart = 16 << 20

func serveCp(c *conn, r *request) error {
	var q wire.CpRequest
	if err := wire.DecodeRequest(r.header, &q); err != nil {
		return err
	}
	r.path = string(q.Path)
	if q.Path == q.To {
		return refusal(wire.BadPath, "cannot be copied onto itself")
	}
	if err := errors.Join(c.allowAt(account.Read, string(q.Path)), c.allowAt(account.Write, string(q.To))); err != nil {
		return err
	}
	done := func() bool { return c.equal(string(q.Path), string(q.To)) }
	return c.once(q.Ident, done, func() (wire.Answerer, error) {
		return &wire.EmptyAnswer{}, c.copy(string(q.Path), string(q.To), q.Replace)
	})
}

// equal tells whether two files have the same content.
func (c *conn) equal(a, b string) bool {
	x, xe, err := c.digest(a)
	if err != nil {
		return false
	}
	y, ye, err := c.digest(b)
	return err == nil && xe.Length == ye.Length && x == y
}

// copy copies a file within the home, and stops when the connection ends.
func (c *conn) copy(from, to string, replace bool) error {
	old, err := c.home.store.Open(c.ctx, from, "")
	if err != nil {
		return err
	}
	defer old.Close()
	e := old.Entry()
	if err := c.fits(e.Length); err != nil {
		return err
	}
	denied := c.allowAt(account.Overwrite, to)
	switch there, err := c.home.store.Stat(c.ctx, to); {
	case isMissing(err):
	case err != nil:
		return err
	case there.Kind == storage.Dir:
		return storage.ErrIsDir
	case !replace:
		return fs.ErrExist
	case denied != nil:
		return denied
	}
	spec := storage.Spec{Path: to, Length: e.Length, ModTime: e.ModTime, Mode: e.Mode, Ephemeral: true, NoReplace: denied != nil}
	if !replace {
		spec.Expect = new(string)
	}
	up, err := c.home.store.Upload(c.ctx, spec)
	if err != nil {
		return err
	}
	defer up.Close()
	for off := int64(0); off < e.Length; off += copyPart {
		if _, err := up.Keep(c.ctx, old, off, min(copyPart, e.Length-off), nil); err != nil {
			return err
		}
	}
	if err := old.Check(); err != nil {
		return err
	}
	return c.home.store.Commit(c.lasting(), true, up)[0].Err
}
