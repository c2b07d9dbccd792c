package login

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/secure/precis"
)

const (
	scheme      = "scram-sha256-argon2id"
	saltSize    = 16
	maxPassword = 1024 // bytes, as typed

	minMemory = 19 << 10 // KiB; with minTime the OWASP minimum
	maxMemory = 1 << 20  // KiB
	minTime   = 2
	maxTime   = 16
)

// ErrScheme is returned by ParseRecord for a PHC string of another scheme.
var ErrScheme = errors.New("unknown credential scheme")

// Params are the costs of the Argon2id run.
type Params struct {
	Memory  uint32 // KiB, 19456 (19 MiB) to 1048576 (1 GiB)
	Time    uint32 // passes, 2 to 16
	Threads uint8  // lanes, at least 1
}

// DefaultParams returns the second recommended option of RFC 9106, section 4:
// 64 MiB, three passes, four lanes.
func DefaultParams() Params { return Params{Memory: 64 << 10, Time: 3, Threads: 4} }

// Check returns an error if a client would refuse to log in with these costs.
func (p Params) Check() error {
	switch {
	case p.weak():
		return fmt.Errorf("argon2id costs m=%d,t=%d,p=%d are below the minimum m=%d,t=%d,p=1", p.Memory, p.Time, p.Threads, minMemory, minTime)
	case p.costly():
		return fmt.Errorf("argon2id costs m=%d,t=%d are above the maximum m=%d,t=%d", p.Memory, p.Time, maxMemory, maxTime)
	}
	return nil
}

func (p Params) weak() bool   { return p.Memory < minMemory || p.Time < minTime || p.Threads < 1 }
func (p Params) costly() bool { return p.Memory > maxMemory || p.Time > maxTime }

// Record is what the server keeps of a password: enough to check a proof and
// to prove itself, not enough to log in (RFC 5802, section 3).
type Record struct {
	Params    Params
	Salt      []byte // 16 bytes
	StoredKey [32]byte
	ServerKey [32]byte
}

// NewRecord derives the record of a password with a fresh random salt. The
// password is normalized as the OpaqueString profile of RFC 8265 says. It is
// refused before any hashing if it is empty, longer than 1024 bytes, not
// UTF-8, or holds control or unassigned characters; the costs are refused if
// Params.Check refuses them.
func NewRecord(password string, p Params) (Record, error) {
	s, err := NewSecret(password, p)
	if err != nil {
		return Record{}, err
	}
	return s.Record(), nil
}

// ParseRecord reads the form that String writes. Only that exact form is
// accepted: no other base64 padding, no other order, no leading zeros. Costs
// that Params.Check refuses are an error; so is another scheme (ErrScheme).
// The error never quotes the input, which may be a password put in the wrong
// place.
func ParseRecord(s string) (Record, error) {
	f := strings.Split(s, "$")
	if len(f) < 3 || f[0] != "" {
		return Record{}, errors.New("credential is not a PHC string ($scheme$...)")
	}
	if f[1] != scheme {
		return Record{}, ErrScheme
	}
	if len(f) != 6 {
		return Record{}, fmt.Errorf("credential has %d fields, want 5", len(f)-1)
	}
	var r Record
	var ok bool
	if r.Params, ok = parseParams(f[3]); !ok {
		return Record{}, errors.New("credential has malformed costs, want m=,t=,p=")
	}
	salt, err := base64.RawStdEncoding.DecodeString(f[4])
	if err != nil || len(salt) != saltSize {
		return Record{}, fmt.Errorf("credential salt is not %d bytes of unpadded base64", saltSize)
	}
	keys, err := base64.RawStdEncoding.DecodeString(f[5])
	if err != nil || len(keys) != len(r.StoredKey)+len(r.ServerKey) {
		return Record{}, errors.New("credential keys are not 64 bytes of unpadded base64")
	}
	r.Salt = salt
	copy(r.StoredKey[:], keys)
	copy(r.ServerKey[:], keys[len(r.StoredKey):])
	if r.String() != s {
		return Record{}, errors.New("credential is not in its canonical form")
	}
	if err := r.Params.Check(); err != nil {
		return Record{}, err
	}
	return r, nil
}

// parseParams reads "m=65536,t=3,p=4".
func parseParams(s string) (p Params, ok bool) {
	var n [3]uint64
	for i, bits := range []int{32, 32, 8} {
		field, rest, _ := strings.Cut(s, ",")
		digits, found := strings.CutPrefix(field, "mtp"[i:i+1]+"=")
		v, err := strconv.ParseUint(digits, 10, bits)
		if !found || err != nil {
			return Params{}, false
		}
		n[i], s = v, rest
	}
	return Params{Memory: uint32(n[0]), Time: uint32(n[1]), Threads: uint8(n[2])}, s == ""
}

// String returns the record as one PHC string, the value of `auth` in
// users.toml. It is a secret: it lets its reader pose as the server and guess
// the password.
func (r Record) String() string {
	b := make([]byte, 0, 192) // not Sprintf: every account of a large users.toml passes here
	b = strconv.AppendInt(append(b, "$"+scheme+"$v="...), argon2.Version, 10)
	b = strconv.AppendUint(append(b, "$m="...), uint64(r.Params.Memory), 10)
	b = strconv.AppendUint(append(b, ",t="...), uint64(r.Params.Time), 10)
	b = strconv.AppendUint(append(b, ",p="...), uint64(r.Params.Threads), 10)
	b = base64.RawStdEncoding.AppendEncode(append(b, '$'), r.Salt)
	b = base64.RawStdEncoding.AppendEncode(append(b, '$'), slices.Concat(r.StoredKey[:], r.ServerKey[:]))
	return string(b)
}

// prepare normalizes a password as both ends must before hashing it.
func prepare(password string) ([]byte, error) {
	switch {
	case password == "":
		return nil, errors.New("password is empty")
	case len(password) > maxPassword:
		return nil, fmt.Errorf("password is longer than %d bytes", maxPassword)
	case !utf8.ValidString(password): // the profile would make one character of all invalid bytes
		return nil, errors.New("password is not UTF-8")
	}
	prepared, err := precis.OpaqueString.Bytes([]byte(password))
	if err != nil {
		return nil, errors.New("password holds a character that is not allowed (control or unassigned)")
	}
	return prepared, nil
}

// Secret is what a login leaves behind, so that the client can log in again
// without the password and without the Argon2id run. It is as good as the
// password on the server it came from: keep it in memory only.
type Secret struct {
	params    Params
	salt      []byte
	clientKey [32]byte
	serverKey [32]byte
}

// Format keeps the keys out of logs whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, "login.Secret") }

// newSecret derives the keys of RFC 5802, section 3, from the stretched
// password.
func newSecret(salted, salt []byte, p Params) *Secret {
	return &Secret{
		params:    p,
		salt:      salt,
		clientKey: mac(salted, "Client Key"),
		serverKey: mac(salted, "Server Key"),
	}
}

// NewSecret is NewRecord for a client, which goes on logging in with what it has derived.
func NewSecret(password string, p Params) (*Secret, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	prepared, err := prepare(password)
	if err != nil {
		return nil, err
	}
	salt := make([]byte, saltSize)
	rand.Read(salt) // never fails: it ends the program instead
	return newSecret(argon2id(prepared, salt, p), salt, p), nil
}

// Of tells whether the secret is that of a password. It runs Argon2id.
func (s *Secret) Of(password string) bool {
	prepared, err := prepare(password)
	return err == nil && newSecret(argon2id(prepared, s.salt, s.params), s.salt, s.params).clientKey == s.clientKey
}

// Record returns what the server keeps of the password.
func (s *Secret) Record() Record {
	return Record{Params: s.params, Salt: s.salt, StoredKey: sha256.Sum256(s.clientKey[:]), ServerKey: s.serverKey}
}

// mac is HMAC-SHA-256.
func mac(key []byte, message string) [32]byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(message))
	return [32]byte(h.Sum(nil))
}
