package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"strings"

	"ferry/shared/login"
	"ferry/shared/wire"
)

// ParseInvite takes an invite apart: CODE@FINGERPRINT, or the code alone.
func ParseInvite(text string) (code, fingerprint string, err error) {
	code, fingerprint, whole := strings.Cut(strings.TrimSpace(text), "@")
	if code == "" || strings.ContainsAny(code, " \t") || whole && !ValidFingerprint(fingerprint) {
		return "", "", errors.New("not an invite, which looks like CODE@SHA256:... with nothing missing")
	}
	return code, fingerprint, nil
}

// Register makes an account for o.User. The server must be known: by o.Fingerprint, which an invite brings along, or by
// o.Known; its key is never taken on trust, and neither is anybody asked about it. password is asked for once the server has said that the
// name can be had. Its record is all that the server gets. Errors: *TrustError, *UnreachableError, a *wire.Error.
func Register(ctx context.Context, o Options, code string, password func(ctx context.Context) (string, error)) error {
	o.TrustFirst, o.Confirm = false, nil
	c := newClient(o)
	if c.opts.Plain {
		return &wire.Error{Code: wire.Unsupported, Message: "nobody registers over a plain connection"}
	}
	r := &wire.RegisterRequest{Request: wire.Request{Cmd: wire.CmdRegister}, User: o.User, Code: code}
	var a wire.CostsAnswer
	if err := c.request(ctx, r, &a); err != nil {
		if t := (*TrustError)(nil); errors.As(err, &t) {
			t.First = true
		}
		return err
	}
	if a.Costs == nil {
		return &wire.ProtocolError{Msg: "the server did not say how to make a password's record"}
	}
	text, err := password(ctx)
	if err != nil {
		return err
	}
	record, err := login.NewRecord(text, login.Params{Memory: a.Costs.Memory, Time: a.Costs.Passes, Threads: a.Costs.Lanes})
	debug.FreeOSMemory() // the memory of Argon2id is not needed again
	if err != nil {
		return err
	}
	r.Record = record.String()
	p := patience{}
	for {
		err := c.request(ctx, r, &wire.CostsAnswer{}) // may be sent again as it is
		if err == nil || !transient(err) || wire.CodeOf(err) == wire.RateLimited {
			return err
		}
		c.opts.Notice(fmt.Sprintf("%v; trying again", err))
		if late := p.lost(ctx, c, 0, err); late != nil {
			return err
		}
	}
}

// request carries out one request of a connection of its own, before any login.
func (c *Client) request(ctx context.Context, req wire.Requester, ans wire.Answerer) error {
	return c.dial(ctx, func(ctx context.Context, nc net.Conn) error {
		ch, err := c.secure(ctx, nc)
		if err != nil {
			return err
		}
		defer ch.w.Close()
		e := &entrance{member: c.member, channel: ch}
		err = e.open(func() wire.Requester { return req }, ans)
		return c.duringLogin(err)
	})
}
