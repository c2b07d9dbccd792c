package session

import (
	"path"

	"ferry/server/account"
	"ferry/server/storage"
	"ferry/shared/wire"
)

// maxWhy is about how many bytes the names take that an answer to rmtree gives reasons for.
const maxWhy = 24 << 10

func serveRmtree(c *conn, r *request) error {
	var q wire.ChangeRequest
	if err := wire.DecodeRequest(r.header, &q); err != nil {
		return err
	}
	r.path = string(q.Path)
	if err := c.allowAt(account.Delete, string(q.Path)); err != nil {
		return err
	}
	return c.once(q.Ident, func() bool { return c.missing(q.Path) }, func() (wire.Answerer, error) {
		a, err := c.account()
		if err != nil {
			return nil, err
		}
		ans, room := &wire.RmtreeAnswer{}, maxWhy
		may := func(name string) error { return lacks(account.Delete &^ a.RightsAt(name)) }
		kept := func(name string, why error) {
			for ; !a.RightsAt(name).Has(account.List) && name != "/"; name = path.Dir(name) {
				why = storage.ErrNotEmpty // all that may be said of what may not be listed
			}
			ans.Kept++
			if room -= nameCost(wire.Name(name)); room > 0 {
				ans.Why = append(ans.Why, wire.Kept{Path: wire.Name(name), Error: *c.errorOf(wire.CmdRmtree, why)})
			}
		}
		ans.Removed, err = c.home.store.RemoveAll(c.ctx, string(q.Path), may, kept)
		return ans, err
	})
}
