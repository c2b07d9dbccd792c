package login

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"strings"
	"unicode/utf8"
)

// Fake makes records for names that do not exist, so that they are answered
// like those that do: stable across calls and restarts.
type Fake struct {
	Key    []byte // 32 secret bytes that outlive a restart, from HKDF of the TLS key
	Params Params // those that new records get
}

// Record returns the record of a name that does not exist. Nobody knows a
// password for it.
func (f Fake) Record(user string) Record {
	salt := mac(f.Key, "salt\x00"+user)
	return Record{
		Params:    f.Params,
		Salt:      salt[:saltSize],
		StoredKey: mac(f.Key, "stored\x00"+user),
		ServerKey: mac(f.Key, "server\x00"+user),
	}
}

// Server is the server's half of one login: First, then Final, once each. A
// further try needs a new Server.
type Server struct {
	mechanism mechanism
	binding   Binding
	lookup    func(user string) (Record, bool)
	fake      Fake
	nonce     string // ours; the whole nonce once First succeeded

	asked  bool // First was called
	user   string
	bare   string // the client's first message without its gs2 header
	first  string // our answer to it; empty unless Final may be called
	record Record
	known  bool
}

// NewServer prepares for one login on the channel of b. lookup returns the
// record of a name and whether the name exists and has one; it should take the
// same time for both.
func NewServer(b Binding, lookup func(user string) (Record, bool), f Fake) *Server {
	return newServer(newNonce(), b, lookup, f, argon2idMechanism())
}

func newServer(nonce string, b Binding, lookup func(user string) (Record, bool), f Fake, m mechanism) *Server {
	return &Server{mechanism: m, binding: b, lookup: lookup, fake: f, nonce: nonce}
}

// First answers the client's first message with the challenge. An error says
// that the message is malformed or names another channel binding; it is found
// before the name is looked up and so tells nothing about it.
func (s *Server) First(clientFirst string) (string, error) {
	if s.asked {
		return "", errors.New("login: challenge was already made")
	}
	s.asked = true
	if err := s.mechanism.bound(s.binding); err != nil {
		return "", err
	}
	bare, ok := strings.CutPrefix(clientFirst, s.binding.GS2)
	if !ok {
		return "", errors.New("login must begin with " + s.binding.GS2)
	}
	name, nonce, ok := strings.Cut(bare, ",r=")
	if !ok || !strings.HasPrefix(name, "n=") || !validNonce(nonce) {
		return "", errors.New("malformed login message")
	}
	user, ok := unescape(name[2:])
	if !ok || user == "" || len(user) > maxUser || !utf8.ValidString(user) || strings.Contains(user, "\x00") {
		return "", errors.New("malformed user name")
	}

	record, known := s.lookup(user)
	fake := s.fake.Record(user) // made for known names too: same work
	if !known {
		record = fake
	}
	s.user, s.bare, s.record, s.known = user, bare, record, known
	s.nonce = nonce + s.nonce
	s.first = "r=" + s.nonce + ",s=" + encode(record.Salt) + "," + s.mechanism.costs(record.Params)
	return s.first, nil
}

// Final checks the client's proof and answers with the server's own. It
// returns ErrAuth if the proof is wrong, the name unknown, or the message made
// for another channel or nonce, and another error if the message is malformed.
func (s *Server) Final(clientFinal string) (string, error) {
	if s.first == "" {
		return "", errors.New("login: no challenge is open")
	}
	first := s.first
	s.first = ""
	f := strings.Split(clientFinal, ",")
	if len(f) != 3 || !strings.HasPrefix(f[0], "c=") || !strings.HasPrefix(f[1], "r=") || !strings.HasPrefix(f[2], "p=") {
		return "", errors.New("malformed proof message")
	}
	proof, ok := decode(f[2][2:], sha256.Size)
	if !ok {
		return "", errors.New("malformed proof")
	}

	// Everything is computed before anything is judged.
	without := s.binding.finalWithoutProof(s.nonce)
	auth := s.bare + "," + first + "," + without
	clientKey := mac(s.record.StoredKey[:], auth)
	subtle.XORBytes(clientKey[:], clientKey[:], proof)
	stored := sha256.Sum256(clientKey[:])
	signature := mac(s.record.ServerKey[:], auth)

	sameChannel := subtle.ConstantTimeCompare([]byte(f[0]+","+f[1]), []byte(without))
	sameKey := subtle.ConstantTimeCompare(stored[:], s.record.StoredKey[:])
	if sameChannel&sameKey != 1 || !s.known {
		return "", ErrAuth
	}
	return "v=" + encode(signature[:]), nil
}

// User returns the name the client gave, unescaped. It is a claim until Final
// has succeeded.
func (s *Server) User() string { return s.user }
