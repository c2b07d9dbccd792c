package login

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/argon2"
)

const (
	nonceSize = 24  // bytes that each side adds
	minNonce  = 16  // characters that the other side has to add
	maxNonce  = 128 // characters of one side's part
	maxUser   = 255 // bytes
)

// Errors that callers tell apart. All others mean that the other side does not
// keep to the protocol, or that the password cannot be used at all.
var (
	// ErrAuth is returned by Server.Final for a wrong password, an unknown
	// name, a proof made for another channel: nothing tells them apart.
	ErrAuth = errors.New("authentication failed")
	// ErrServerProof is returned by Client.Verify if the other end does not
	// know the account's record, so is not the server it claims to be.
	ErrServerProof = errors.New("the server could not prove that it knows this account")
	// ErrWeakServer is returned by Client.Final if the server asks for so
	// little work that answering would make guessing the password cheap.
	ErrWeakServer = errors.New("the server asks for too cheap a password derivation")
	// ErrNeedPassword is returned by Client.Final if the client has only a
	// Secret and the account's salt or costs are no longer those of it.
	ErrNeedPassword = errors.New("the account's credential has changed: the password is needed")
)

// Binding ties a login to one connection (RFC 5802, section 6).
type Binding struct {
	GS2  string // "p=tls-exporter,," or "p=ferry-plain,,"
	Data []byte // what only the two ends of this connection have in common
}

// TLSBinding returns the tls-exporter binding of RFC 9266. It is an error if
// the handshake is not complete or the version is not TLS 1.3.
func TLSBinding(cs tls.ConnectionState) (Binding, error) {
	if !cs.HandshakeComplete || cs.Version != tls.VersionTLS13 {
		return Binding{}, errors.New("channel binding needs a complete TLS 1.3 handshake")
	}
	data, err := cs.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32)
	if err != nil {
		return Binding{}, fmt.Errorf("channel binding: %w", err)
	}
	return Binding{GS2: "p=tls-exporter,,", Data: data}, nil
}

// PlainBinding returns the binding of a connection without TLS: the nonces
// that both sides sent on it before the login. Each must have a fixed length,
// so that their concatenation has one reading. It stops a replay on another
// connection, not a man in the middle.
func PlainBinding(clientNonce, serverNonce []byte) Binding {
	return Binding{GS2: "p=ferry-plain,,", Data: slices.Concat(clientNonce, serverNonce)}
}

// Attach returns what shows, on the connection that b is of, that its maker knows the secret of a session: HMAC-SHA-256 under
// the secret of the text "ferry attach" and the binding's data.
func Attach(secret []byte, b Binding) []byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("ferry attach"))
	mac.Write(b.Data)
	return mac.Sum(nil)
}

// check refuses a binding that binds nothing.
func (b Binding) check() error {
	if !strings.HasPrefix(b.GS2, "p=") || len(b.Data) == 0 {
		return errors.New("login without channel binding")
	}
	return nil
}

// finalWithoutProof is the client's final message up to its proof.
func (b Binding) finalWithoutProof(nonce string) string {
	return "c=" + encode(slices.Concat([]byte(b.GS2), b.Data)) + ",r=" + nonce
}

// mechanism is what this flow has in another way than RFC 7677; tests plug the
// RFC's own in.
type mechanism struct {
	derive func(password, salt []byte, p Params) []byte // 32 bytes
	costs  func(p Params) string                        // the attributes after the salt
	parse  func(costs string) (Params, error)           // the inverse, within the client's bounds
	bound  func(b Binding) error                        // refuses a channel binding that will not do
}

func argon2idMechanism() mechanism {
	return mechanism{derive: argon2id, costs: formatCosts, parse: parseCosts, bound: Binding.check}
}

func argon2id(password, salt []byte, p Params) []byte {
	return argon2.IDKey(password, salt, p.Time, p.Memory, p.Threads, 32)
}

const costsFormat = "i=%d,k=argon2id:v=19:m=%d:p=%d"

func formatCosts(p Params) string { return fmt.Sprintf(costsFormat, p.Time, p.Memory, p.Threads) }

func parseCosts(s string) (Params, error) {
	var p Params
	if _, err := fmt.Sscanf(s, costsFormat, &p.Time, &p.Memory, &p.Threads); err != nil || formatCosts(p) != s {
		return Params{}, errors.New("the server asks for an unknown password derivation")
	}
	if p.weak() {
		return Params{}, ErrWeakServer
	}
	return p, p.Check()
}

// encode writes base64 as RFC 5802 has it: standard alphabet, padded.
func encode(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// decode is the exact inverse of encode for n bytes. The decoder alone would
// also take line breaks and stray bits.
func decode(s string, n int) ([]byte, bool) {
	b, err := base64.StdEncoding.DecodeString(s)
	return b, err == nil && len(b) == n && encode(b) == s
}

// escape writes a name as a saslname: '=' and ',' have a meaning in messages.
func escape(user string) string {
	return strings.NewReplacer("=", "=3D", ",", "=2C").Replace(user)
}

// unescape is the exact inverse of escape.
func unescape(s string) (string, bool) {
	user := strings.NewReplacer("=3D", "=", "=2C", ",").Replace(s)
	return user, escape(user) == s
}

func newNonce() string {
	b := make([]byte, nonceSize)
	rand.Read(b) // never fails: it ends the program instead
	return encode(b)
}

// validNonce reports whether s may be one side's part of the nonce: printable
// ASCII without the comma (RFC 5802, section 7).
func validNonce(s string) bool {
	return len(s) >= minNonce && len(s) <= maxNonce &&
		!strings.ContainsFunc(s, func(r rune) bool { return r < '!' || r > '~' || r == ',' })
}
