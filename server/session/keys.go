package session

import (
	"errors"
	"slices"
	"strings"

	"ferry/server/account"
	"ferry/shared/wire"
)

// serveKeys lists the account's public keys.
func serveKeys(c *conn, r *request) error {
	var q wire.EmptyRequest
	if err := wire.DecodeRequest(r.header, &q); err != nil {
		return err
	}
	a, err := c.account()
	if err != nil {
		return err
	}
	ans := &wire.KeysAnswer{Keys: []wire.PublicKey{}, Password: a.HasAuth}
	for _, k := range a.Keys {
		ans.Keys = append(ans.Keys, wire.PublicKey{Kind: k.Type(), Fingerprint: k.Fingerprint(), Comment: strings.ToValidUTF8(k.Comment[:min(len(k.Comment), wire.MaxComment)], "")})
	}
	c.respond(ans, nil, nil)
	return nil
}

// servePutKey adds one to them.
func servePutKey(c *conn, r *request) error {
	var q wire.PutKeyRequest
	if err := wire.DecodeRequest(r.header, &q); err != nil {
		return err
	}
	key, err := account.ParsePublicKey(q.Key)
	if err == nil && len(key.Comment) > wire.MaxComment {
		err = errors.New("its comment is too long")
	}
	if err != nil {
		return refusal(wire.BadRequest, "field key: "+err.Error())
	}
	err = c.change(func(t *account.Text, a *account.Account) error {
		if _, there := a.PublicKey(key.Marshal()); there {
			return nil
		}
		if len(a.Keys) >= account.MaxKeys {
			return refusal(wire.TooMany, "the account has as many keys as it may have")
		}
		return t.AddKey(a.Name, key.Line())
	})
	if err != nil {
		return err
	}
	c.log.Info("key added", "key", key.Fingerprint())
	c.respond(&wire.EmptyAnswer{}, nil, nil)
	return nil
}

// serveDropKey takes one from them. Sessions that came in by it end.
func serveDropKey(c *conn, r *request) error {
	var q wire.DropKeyRequest
	if err := wire.DecodeRequest(r.header, &q); err != nil {
		return err
	}
	err := c.change(func(t *account.Text, a *account.Account) error {
		named := func(k account.PublicKey) bool { return k.Fingerprint() == q.Fingerprint }
		switch {
		case !slices.ContainsFunc(a.Keys, named):
			return nil
		case len(a.Keys) == 1 && !a.HasAuth:
			return refusal(wire.Denied, "it is the only way to log in: set a password first")
		}
		return t.DeleteKey(a.Name, named)
	})
	if err != nil {
		return err
	}
	c.log.Info("key removed", "key", q.Fingerprint)
	c.respond(&wire.EmptyAnswer{}, nil, nil)
	return nil
}
