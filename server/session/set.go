package session

import (
	"io/fs"
	"time"

	"ferry/server/account"
	"ferry/server/storage"
	"ferry/shared/wire"
)

func serveSet(c *conn, r *request) error {
	var q wire.SetRequest
	if err := wire.DecodeRequest(r.header, &q); err != nil {
		return err
	}
	r.path = string(q.Path)
	switch {
	case q.Mtime == nil && q.Mode == nil:
		return refusal(wire.BadRequest, "set: field mtime or mode is needed")
	case q.Mode != nil && *q.Mode > 0o777:
		return refusal(wire.BadRequest, "set: field mode is out of range")
	case q.Mode != nil && q.Path == "/": // a home that is shut cannot be opened again from inside
		return refusal(wire.BadPath, "the mode of the home itself cannot be changed")
	}
	if err := c.allowAt(account.Overwrite, string(q.Path)); err != nil {
		return err
	}
	var m storage.Meta
	if q.Mtime != nil {
		t := time.Unix(0, *q.Mtime)
		m.ModTime = &t
	}
	if q.Mode != nil {
		mode := fs.FileMode(*q.Mode)
		m.Mode = &mode
	}
	done := func() bool {
		e, err := c.home.store.Stat(c.lasting(), string(q.Path))
		return err == nil && (m.ModTime == nil || e.ModTime.Equal(*m.ModTime)) && (m.Mode == nil || e.Mode == *m.Mode)
	}
	return c.once(q.Ident, done, func() (wire.Answerer, error) {
		return &wire.EmptyAnswer{}, c.home.store.SetMeta(c.lasting(), string(q.Path), m)
	})
}
