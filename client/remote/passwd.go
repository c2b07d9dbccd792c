package remote

import (
	"context"
	"errors"
	"runtime/debug"

	"ferry/shared/login"
	"ferry/shared/wire"
)

// Errors of what a user does about how he logs in.
var (
	// ErrWrongPassword means that the password that was to prove who the user is is not his.
	ErrWrongPassword = errors.New("that is not the password")
	// ErrSamePassword means that the new password is the old one.
	ErrSamePassword = errors.New("the new password is the old one")
)

// Proof is a password that was typed once more, by a user who is logged in, and was right. Where one is wanted, nil stands for the
// key that was logged in with, or what the login left in memory.
type Proof struct {
	password string
	held     *login.Secret // of the password, once the server has proved itself with it
}

// ByKey tells whether the login was by a public key.
func (c *member) ByKey() bool { return c.signer != nil }

// prove shows on a connection who the user is; it is good for the next request on it.
func (c *Client) prove(ctx context.Context, k *conn, p *Proof) error {
	if p == nil && c.signer != nil {
		r, err := c.keyRequest(k.ch.key)
		if err == nil {
			_, err = k.ask(ctx, r, nil, &wire.LoginAnswer{})
		}
		return err
	}
	if p == nil {
		p = &Proof{}
	}
	c.state.Lock()
	exchange := login.NewClientSecret(c.opts.User, k.ch.bind, p.held, c.secret, c.next)
	c.state.Unlock()
	if p.held == nil && p.password != "" {
		exchange = login.NewClient(c.opts.User, p.password, k.ch.bind)
	}
	var challenge, verdict wire.LoginAnswer
	if _, err := k.ask(ctx, &wire.MessageRequest{Request: wire.Request{Cmd: wire.CmdLogin}, Message: exchange.First()}, nil, &challenge); err != nil {
		return err
	}
	final, err := exchange.Final(challenge.Message)
	if err != nil {
		return err
	}
	_, err = k.ask(ctx, &wire.MessageRequest{Request: wire.Request{Cmd: wire.CmdProof}, Message: final}, nil, &verdict)
	if wire.CodeOf(err) == wire.AuthFailed {
		return ErrWrongPassword
	}
	if err == nil {
		err = exchange.Verify(verdict.Message)
	}
	p.held = exchange.Secret()
	return err
}

// Prove checks a password. Error: ErrWrongPassword.
func (c *Client) Prove(ctx context.Context, password string) (*Proof, error) {
	p := &Proof{password: password}
	return p, c.proved(ctx, p, nil, nil)
}

// proved carries out a request that needs a proof before it, if there is one, again if the connection is lost meanwhile: such
// requests may be repeated as they are.
func (c *Client) proved(ctx context.Context, p *Proof, req wire.Requester, ans wire.Answerer) error {
	defer debug.FreeOSMemory() // what Argon2id took is not needed again
	for try := 0; ; try++ {
		k, err := c.use(ctx)
		if err == nil {
			err = c.prove(ctx, k, p)
		}
		if err == nil && req != nil {
			_, err = k.ask(ctx, req, nil, ans)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !IsLost(err) || try == maxRepeats {
			return err
		}
	}
}

// Passwd changes the account's password, which the server does not see. This client goes on with the new one; other sessions
// that came in by the old one end. Errors: ErrSamePassword, a *wire.Error.
func (c *Client) Passwd(ctx context.Context, old *Proof, password string) error {
	var a wire.CostsAnswer
	if err := c.ask(ctx, &wire.PasswdRequest{Request: wire.Request{Cmd: wire.CmdPasswd}}, nil, &a); err != nil {
		return err
	}
	if a.Costs == nil {
		return &wire.ProtocolError{Msg: "the server did not say how to make a password's record"}
	}
	c.state.Lock()
	now := c.secret
	c.state.Unlock()
	if old != nil {
		now = old.held
	}
	if now != nil && now.Of(password) {
		return ErrSamePassword
	}
	next, err := login.NewSecret(password, login.Params{Memory: a.Costs.Memory, Time: a.Costs.Passes, Threads: a.Costs.Lanes})
	if err != nil {
		return err
	}
	c.state.Lock()
	c.next = next
	c.state.Unlock()
	r := &wire.PasswdRequest{Request: wire.Request{Cmd: wire.CmdPasswd}, Record: next.Record().String()}
	if err := c.proved(ctx, old, r, &wire.CostsAnswer{}); err != nil {
		return err // next is kept: it may have come into force all the same
	}
	c.state.Lock()
	defer c.state.Unlock()
	c.info.MustChange = false
	if c.signer == nil {
		c.secret = next
	}
	return nil
}

// Keys returns the account's public keys, and whether it has a password, too.
func (c *Client) Keys(ctx context.Context) (keys []wire.PublicKey, password bool, err error) {
	var a wire.KeysAnswer
	err = c.ask(ctx, &wire.EmptyRequest{Request: wire.Request{Cmd: wire.CmdKeys}}, nil, &a)
	return a.Keys, a.Password, err
}

// PutKey adds a public key to the account: the line of a .pub file. A key that is there is no error.
func (c *Client) PutKey(ctx context.Context, p *Proof, line string) error {
	return c.proved(ctx, p, &wire.PutKeyRequest{Request: wire.Request{Cmd: wire.CmdPutKey}, Key: line}, &wire.EmptyAnswer{})
}

// DropKey takes a public key from the account; sessions that came in by it end. A key that is not there is no error.
func (c *Client) DropKey(ctx context.Context, p *Proof, fingerprint string) error {
	return c.proved(ctx, p, &wire.DropKeyRequest{Request: wire.Request{Cmd: wire.CmdDropKey}, Fingerprint: fingerprint}, &wire.EmptyAnswer{})
}
