package remote

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// Fingerprint returns how a server's key is named: "SHA256:" and the base64 of the SHA-256 of its public key
// (SubjectPublicKeyInfo, RFC 5280 section 4.1), without padding.
func Fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

// TrustError says that the server's key is not the one expected, or not yet known. Nothing but the TLS handshake has
// been sent.
type TrustError struct {
	Addr     string
	Got      string // the fingerprint shown by the server
	Want     string // the one known or demanded; "" if none is
	File     string // where Want is written, "" if it was given
	Declined bool   // a person said no
	First    bool   // whatever key comes was to be accepted, which does not count here
}

func (e *TrustError) Error() string {
	switch {
	case e.Declined:
		return "server key not accepted"
	case e.Want == "":
		return fmt.Sprintf("the key of %s is not known yet: %s", e.Addr, e.Got)
	case e.File == "":
		return fmt.Sprintf("%s shows the key %s, not the %s that was asked for", e.Addr, e.Got, e.Want)
	}
	return fmt.Sprintf("THE SERVER KEY HAS CHANGED: %s shows %s, expected %s", e.Addr, e.Got, e.Want)
}

// Hint says what a person can do.
func (e *TrustError) Hint() string {
	switch {
	case e.Declined:
		return "compare it with what `ferryd fingerprint --data DIR` prints on the server"
	case e.Want == "":
		trust := " (or --trust-first to accept what comes)"
		if e.First {
			trust = " (--trust-first does not count here: only in a login with a password does the server prove who it is)"
		}
		return "compare it with what `ferryd fingerprint --data DIR` prints on the server, then give --fingerprint " + e.Got + trust
	case e.File != "":
		return "someone may be listening in, or the server got a new key; if you know it did, remove the line of " + e.Addr + " from " + e.File
	}
	return "the server is not the one that --fingerprint names"
}

// KnownHosts is the file in which the keys of servers are pinned: one line each, "host:port SHA256:... date".
type KnownHosts struct{ Path string }

// Lookup returns the fingerprint pinned for an address, "" if none is. A line it cannot read is an error, not trust.
func (k KnownHosts) Lookup(addr string) (string, error) {
	for pin, err := range k.pins() {
		if err != nil {
			return "", err
		}
		if pin.addr == addr {
			return pin.fingerprint, nil
		}
	}
	return "", nil
}

// Addresses returns the addresses whose keys are pinned, in the order of the file.
func (k KnownHosts) Addresses() (list []string, err error) {
	for pin, err := range k.pins() {
		if err != nil {
			return list, err
		}
		list = append(list, pin.addr)
	}
	return list, nil
}

// pin is a line of the file.
type pin struct{ addr, fingerprint string }

// pins goes through the file; an error is the last that it yields.
func (k KnownHosts) pins() iter.Seq2[pin, error] {
	return func(yield func(pin, error) bool) {
		text, err := k.read()
		if err != nil {
			yield(pin{}, err)
			return
		}
		n := 0
		for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
			n++
			line := strings.TrimSpace(s.Text())
			if line == "" || line[0] == '#' {
				continue
			}
			f := strings.Fields(line)
			if len(f) < 2 || !ValidFingerprint(f[1]) {
				yield(pin{}, fmt.Errorf("%s:%d: not a line of the form HOST:PORT FINGERPRINT", k.Path, n))
				return
			}
			if !yield(pin{f[0], f[1]}, nil) {
				return
			}
		}
	}
}

func (k KnownHosts) read() ([]byte, error) {
	info, err := os.Stat(k.Path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o022 != 0 {
		return nil, fmt.Errorf("%s: others can write to it (chmod 600 %s)", k.Path, k.Path)
	}
	if info.Size() > 8<<20 {
		return nil, fmt.Errorf("%s: larger than 8 MiB", k.Path)
	}
	return os.ReadFile(k.Path)
}

// Pin adds a line, under a lock, so that clients running at once lose none. An address that has a line keeps it.
func (k KnownHosts) Pin(addr, fingerprint string) error {
	if err := os.MkdirAll(filepath.Dir(k.Path), 0o700); err != nil {
		return err
	}
	lock := flock.New(k.Path + ".lock")
	if err := lock.Lock(); err != nil {
		return err
	}
	defer lock.Unlock()
	if have, err := k.Lookup(addr); err != nil || have != "" {
		return err
	}
	f, err := os.OpenFile(k.Path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	line := fmt.Sprintf("%s %s %s\n", addr, fingerprint, time.Now().UTC().Format(time.DateOnly))
	if info, err := f.Stat(); err == nil && info.Size() > 0 { // a last line without its end must not swallow ours
		var last [1]byte
		if f.ReadAt(last[:], info.Size()-1); last[0] != '\n' {
			line = "\n" + line
		}
	}
	if _, err := f.WriteString(line); err != nil {
		return err
	}
	return f.Sync()
}

// ValidFingerprint tells whether s has the form of a fingerprint.
func ValidFingerprint(s string) bool {
	b, err := base64.RawStdEncoding.DecodeString(strings.TrimPrefix(s, "SHA256:"))
	return err == nil && len(b) == sha256.Size && strings.HasPrefix(s, "SHA256:")
}

func sameFingerprint(a, b string) bool {
	return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}
