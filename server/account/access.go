package account

import (
	"bytes"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

const (
	maxKeys = 100  // public keys of an account
	minRSA  = 2048 // bits
)

// PublicKey is a key that an account may log in with.
type PublicKey struct {
	ssh.PublicKey
	Comment string
}

// String returns the kind, the fingerprint and the comment.
func (k PublicKey) String() string {
	return strings.TrimSuffix(k.Type()+" "+ssh.FingerprintSHA256(k)+" "+k.Comment, " ")
}

// PublicKey returns the account's key of the given wire form (RFC 4253, section 6.6). Whoever checks a signature with an
// RSA key must refuse the SHA-1 one, "ssh-rsa".
func (a *Account) PublicKey(wire []byte) (PublicKey, bool) {
	i := slices.IndexFunc(a.Keys, func(k PublicKey) bool { return bytes.Equal(k.Marshal(), wire) })
	if i < 0 {
		return PublicKey{}, false
	}
	return a.Keys[i], true
}

// ParsePublicKey reads a line as ssh-keygen writes it to a .pub file.
func ParsePublicKey(text string) (PublicKey, error) {
	if err := line(text); err != nil {
		return PublicKey{}, err
	}
	if strings.Contains(text, "PRIVATE KEY") {
		return PublicKey{}, errors.New("is a private key; the public one is in the file that ends in .pub")
	}
	key, comment, options, rest, err := ssh.ParseAuthorizedKey([]byte(text))
	switch {
	case err != nil || len(rest) > 0:
		return PublicKey{}, fmt.Errorf("%q is not a public key such as ssh-ed25519 AAAA... name", clip(text))
	case len(options) > 0:
		return PublicKey{}, fmt.Errorf("options such as %q are not taken; allow_from limits addresses", clip(options[0]))
	}
	switch key.Type() {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoSKED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoSKECDSA256:
	case ssh.KeyAlgoRSA:
		if bits := key.(ssh.CryptoPublicKey).CryptoPublicKey().(*rsa.PublicKey).N.BitLen(); bits < minRSA {
			return PublicKey{}, fmt.Errorf("is an RSA key of %d bits, at least %d are needed", bits, minRSA)
		}
	default:
		return PublicKey{}, fmt.Errorf("is a key of the kind %s, which is not taken; make one with ssh-keygen -t ed25519", key.Type())
	}
	return PublicKey{key, comment}, nil
}

func setKeys(a *Account, v any) error {
	list, ok := v.([]any)
	if !ok {
		return errors.New("must be a list of strings")
	}
	if len(list) > maxKeys {
		return fmt.Errorf("are more than %d", maxKeys)
	}
	a.Keys = nil
	for i, v := range list {
		s, ok := v.(string)
		if !ok {
			return errors.New("must be a list of strings")
		}
		k, err := ParsePublicKey(s)
		if err != nil {
			return fmt.Errorf("key %d %w", i+1, err)
		}
		if _, twice := a.PublicKey(k.Marshal()); twice {
			return fmt.Errorf("key %d is there twice", i+1)
		}
		a.Keys = append(a.Keys, k)
	}
	return nil
}

// keysOption reads public keys, separated by newlines or commas.
func keysOption(s string) (any, error) {
	list := []any{}
	for key := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == '\n' || r == ',' }) {
		list = append(list, strings.TrimSpace(key))
	}
	return list, nil
}
