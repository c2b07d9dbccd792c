package remote

import (
	"context"
	"errors"

	"ferry/shared/login"
	"ferry/shared/wire"
)

// byKey logs in with the first of the keys that the server takes; ErrAuth: none.
func (c *Client) byKey(ctx context.Context) error {
	if c.opts.Plain {
		return ErrAuth
	}
	for _, k := range c.opts.Keys {
		c.signer = k
		err := c.connect(ctx, "")
		if err == nil && !(c.opts.Eager && len(c.opts.Keys) == 1) {
			c.mu.Lock()
			conn := c.conn
			c.mu.Unlock()
			err = conn.welcome()
		}
		if errors.Is(err, ErrAuth) {
			continue
		}
		if err != nil {
			c.signer = nil
		}
		return err
	}
	c.signer = nil
	return ErrAuth
}

// keyError is ErrAuth of a key.
type keyError struct{}

func (keyError) Error() string        { return "login refused: wrong user or key" }
func (keyError) Is(target error) bool { return target == ErrAuth }

// keyRequest is the login of this connection by the key.
func (c *member) keyRequest(binding []byte) (*wire.KeyRequest, error) {
	key, signature, err := login.SignKey(c.signer, c.opts.User, binding)
	if err != nil {
		return nil, err
	}
	return &wire.KeyRequest{Request: wire.Request{Cmd: wire.CmdKey}, User: c.opts.User, Key: key, Signature: signature}, nil
}

// present begins a connection with hello and the key, and takes the answers in when they come: whatever is sent meanwhile is
// carried out if the key is accepted, and refused if not.
func (c *member) present(ch *channel) (*conn, error) {
	r, err := c.keyRequest(ch.key)
	if err != nil {
		return nil, err
	}
	hello := &wire.HelloRequest{Request: wire.Request{Cmd: wire.CmdHello}, Version: wire.ProtocolVersion, Client: c.opts.Program}
	for _, r := range []wire.Requester{hello, r} {
		if err := say(ch.w, r); err != nil {
			return nil, err
		}
	}
	k := makeConn(ch, run{}, c.opts.Silence, c.bufs)
	var greeting wire.HelloAnswer
	k.greeting = []func([]byte) error{
		func(header []byte) error { return refused(accept(header, &greeting)) },
		func(header []byte) error {
			var proof wire.ProofAnswer
			if err := refused(accept(header, &proof)); errors.Is(err, ErrAuth) {
				return keyError{}
			} else if err != nil {
				return err
			}
			k.mu.Lock()
			k.run = runOf(&proof)
			k.mu.Unlock()
			return c.joined(greeting.Server, &proof)
		},
	}
	k.start()
	return k, nil
}

// sign logs in by the key, on a connection that has waited for an answer before.
func (e *entrance) sign() (run, error) {
	r, err := e.keyRequest(e.key)
	if err != nil {
		return run{}, err
	}
	var proof wire.ProofAnswer
	if err := e.open(func() wire.Requester { return r }, &proof); err != nil {
		return run{}, refused(err)
	}
	return runOf(&proof), e.joined(e.server, &proof)
}

// welcome waits until the login that travelled with other requests is answered, and returns what came of it.
func (c *conn) welcome() error {
	if c.greeted == nil {
		return nil
	}
	if err := c.flush(); err != nil {
		return err
	}
	select {
	case <-c.greeted:
		return nil
	case <-c.ended:
		return c.reason()
	}
}
