package login

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"strings"
)

// Client is the client's half of one login: First, Final, Verify, once each
// and in that order.
type Client struct {
	mechanism mechanism
	binding   Binding
	nonce     string
	bare      string // the first message without its gs2 header
	// derive makes the keys. That it is a function keeps the password out of
	// whatever prints a Client.
	derive func(salt []byte, p Params) (*Secret, error)

	asked    bool // Final was called
	secret   *Secret
	want     string // the server's final message; empty until Final succeeded
	verified bool
}

// NewClient prepares a login with a password. A password that NewRecord would
// refuse is reported by Final, before any hashing.
func NewClient(user, password string, b Binding) *Client {
	c := newClient(user, newNonce(), b, argon2idMechanism())
	c.derive = c.fromPassword(password)
	return c
}

// NewClientSecret prepares a login with what an earlier one left behind: no
// password, no Argon2id run. Of several secrets, of which nil ones do not
// count, the one that fits the account is used; Final returns ErrNeedPassword
// if there is none.
func NewClientSecret(user string, b Binding, secrets ...*Secret) *Client {
	c := newClient(user, newNonce(), b, argon2idMechanism())
	c.derive = func(salt []byte, p Params) (*Secret, error) {
		for _, s := range secrets {
			if s != nil && p == s.params && bytes.Equal(salt, s.salt) {
				return s, nil
			}
		}
		return nil, ErrNeedPassword
	}
	return c
}

func newClient(user, nonce string, b Binding, m mechanism) *Client {
	return &Client{mechanism: m, binding: b, nonce: nonce, bare: "n=" + escape(user) + ",r=" + nonce}
}

func (c *Client) fromPassword(password string) func([]byte, Params) (*Secret, error) {
	return func(salt []byte, p Params) (*Secret, error) {
		prepared, err := prepare(password)
		if err != nil {
			return nil, err
		}
		return newSecret(c.mechanism.derive(prepared, salt, p), salt, p), nil
	}
}

// First returns the client's first message, gs2 header included.
func (c *Client) First() string { return c.binding.GS2 + c.bare }

// Final answers the server's first message with the proof. It runs Argon2id
// (up to 1 GiB of memory, seconds of work) unless the client has a Secret.
// It returns ErrWeakServer, ErrNeedPassword, or an error for a message that is
// malformed, has a foreign nonce or asks for more than 1 GiB or 16 passes.
func (c *Client) Final(serverFirst string) (string, error) {
	if c.asked {
		return "", errors.New("login: final message was already made")
	}
	c.asked = true
	if err := c.mechanism.bound(c.binding); err != nil {
		return "", err
	}
	nonce, salt, p, err := c.parseFirst(serverFirst)
	if err != nil {
		return "", err
	}
	secret, err := c.derive(salt, p)
	if err != nil {
		return "", err
	}
	without := c.binding.finalWithoutProof(nonce)
	auth := c.bare + "," + serverFirst + "," + without
	stored := sha256.Sum256(secret.clientKey[:])
	proof := mac(stored[:], auth)
	subtle.XORBytes(proof[:], proof[:], secret.clientKey[:])
	signature := mac(secret.serverKey[:], auth)

	c.secret, c.want = secret, "v="+encode(signature[:])
	return without + ",p=" + encode(proof[:]), nil
}

// parseFirst takes the server's first message apart.
func (c *Client) parseFirst(s string) (nonce string, salt []byte, p Params, err error) {
	malformed := errors.New("malformed challenge from the server")
	f := strings.SplitN(s, ",", 3)
	if len(f) != 3 || !strings.HasPrefix(f[0], "r=") || !strings.HasPrefix(f[1], "s=") {
		return "", nil, p, malformed
	}
	nonce = f[0][2:]
	if added, ok := strings.CutPrefix(nonce, c.nonce); !ok || !validNonce(added) {
		return "", nil, p, errors.New("the server's nonce does not extend ours")
	}
	salt, ok := decode(f[1][2:], saltSize)
	if !ok {
		return "", nil, p, malformed
	}
	p, err = c.mechanism.parse(f[2])
	return nonce, salt, p, err
}

// Verify checks the server's final message. Until it returned nil nothing the
// server said may be believed. It returns ErrServerProof for any message but
// the right one.
func (c *Client) Verify(serverFinal string) error {
	if c.want == "" || !hmac.Equal([]byte(serverFinal), []byte(c.want)) {
		return ErrServerProof
	}
	c.verified = true
	return nil
}

// Secret returns what the next login to this account needs in the place of the
// password, or nil if Verify has not succeeded.
func (c *Client) Secret() *Secret {
	if !c.verified {
		return nil
	}
	return c.secret
}
