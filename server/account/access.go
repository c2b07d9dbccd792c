package account

import (
	"bytes"
	"crypto/rsa"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// MaxKeys is how many public keys an account may have.
const MaxKeys = 100

const minRSA = 2048 // bits

// Allowed reports whether the account may log in from an address. The zero Addr, which is no address at all, stands for a
// socket of this machine and counts as loopback.
func (a *Account) Allowed(addr netip.Addr) bool {
	if len(a.AllowFrom) == 0 {
		return true
	}
	holds := func(addr netip.Addr) bool {
		addr = addr.Unmap().WithZone("")
		return slices.ContainsFunc(a.AllowFrom, func(p netip.Prefix) bool { return p.Contains(addr) })
	}
	if !addr.IsValid() {
		return holds(netip.IPv6Loopback()) || holds(netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	}
	return holds(addr)
}

// Expired reports whether the day Expires has begun, in the time zone of now.
func (a *Account) Expired(now time.Time) bool {
	return a.Expires != "" && now.Format(time.DateOnly) >= a.Expires
}

// PublicKey is a key that an account may log in with.
type PublicKey struct {
	ssh.PublicKey
	Comment string
}

// String returns the kind, the fingerprint and the comment.
func (k PublicKey) String() string {
	return strings.TrimSuffix(k.Type()+" "+k.Fingerprint()+" "+k.Comment, " ")
}

// Fingerprint returns "SHA256:" and the unpadded base64 of the SHA-256 of the wire form, as ssh-keygen -l prints it.
func (k PublicKey) Fingerprint() string { return ssh.FingerprintSHA256(k) }

// Line returns the line of a .pub file, as ParsePublicKey reads it.
func (k PublicKey) Line() string {
	return strings.TrimSuffix(strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k)))+" "+k.Comment, " ")
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
		return PublicKey{}, errors.New("this is a private key; the public one is in the file that ends in .pub")
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
			return PublicKey{}, fmt.Errorf("an RSA key needs at least %d bits, this one has %d", minRSA, bits)
		}
	default:
		return PublicKey{}, fmt.Errorf("a key of the kind %s is not taken; make one with ssh-keygen -t ed25519", key.Type())
	}
	return PublicKey{key, comment}, nil
}

func setKeys(a *Account, v any) error {
	list, ok := v.([]any)
	if !ok {
		return errors.New("must be a list of strings")
	}
	if len(list) > MaxKeys {
		return fmt.Errorf("are more than %d", MaxKeys)
	}
	a.Keys = nil
	for i, v := range list {
		s, ok := v.(string)
		if !ok {
			return errors.New("must be a list of strings")
		}
		k, err := ParsePublicKey(s)
		if err != nil {
			return fmt.Errorf("key %d: %w", i+1, err)
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

func setAllowFrom(a *Account, v any) error {
	list, ok := v.([]any)
	if !ok {
		return errors.New("must be a list of strings")
	}
	a.AllowFrom = nil
	for _, v := range list {
		s, ok := v.(string)
		if !ok {
			return errors.New("must be a list of strings")
		}
		p, err := ParsePrefix(s)
		if err != nil {
			return err
		}
		a.AllowFrom = append(a.AllowFrom, p)
	}
	return nil
}

// ParsePrefix reads 192.0.2.0/24, 2001:db8::/32 or a single address.
func ParsePrefix(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		addr, aerr := netip.ParseAddr(s)
		if aerr != nil || addr.Zone() != "" {
			return p, fmt.Errorf("%q is neither an address nor a network such as 192.0.2.0/24", clip(s))
		}
		p = netip.PrefixFrom(addr, addr.BitLen())
	}
	switch {
	case p.Addr().Is4In6():
		return p, fmt.Errorf("%q is an IPv4 address written as IPv6: write %v", clip(s), p.Addr().Unmap())
	case p != p.Masked():
		return p, fmt.Errorf("%q has bits beyond the network: write %v", clip(s), p.Masked())
	}
	return p, nil
}

func allowFromOption(s string) (any, error) {
	list := []any{}
	if s == "any" {
		return list, nil
	}
	for part := range strings.SplitSeq(s, ",") {
		list = append(list, strings.TrimSpace(part))
	}
	return list, nil
}

func setExpires(a *Account, v any) error {
	day := ""
	switch v := v.(type) {
	case string:
		day = v
	case time.Time: // a TOML date, without quotes
		day = v.Format(time.DateOnly)
		if v.Location().String() != "date-local" {
			return errors.New("must be a date without a time, such as 2027-01-31")
		}
	default:
		return errors.New("must be a date such as 2027-01-31")
	}
	if day == never {
		a.Expires = ""
		return nil
	}
	if t, err := time.Parse(time.DateOnly, day); err != nil || t.Year() < 1 {
		return fmt.Errorf("%q is not a date such as 2027-01-31", clip(day))
	}
	a.Expires = day
	return nil
}

// never is how users.toml and the command line write "does not expire".
const never = "never"
