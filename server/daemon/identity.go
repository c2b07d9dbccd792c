package daemon

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"ferry/shared/login"
	"ferry/shared/wire"
)

// certYears is how long a certificate is valid. Clients look at its key only, so nothing ends with it.
const certYears = 20

// Identity is the server's key, which clients know it by.
type Identity struct {
	TLS         *tls.Config
	Fingerprint string     // as clients show and pin it: "SHA256:" and base64 of the public key's SHA-256
	Fake        login.Fake // answers for names that do not exist
	Made        bool       // the key is new
}

// LoadIdentity reads tls.key and tls.crt of a data directory and makes what is missing. The caller must hold the
// directory's lock, or be its only user.
func LoadIdentity(dir string) (*Identity, error) {
	id, err := loadIdentity(filepath.Join(dir, "tls.key"), filepath.Join(dir, "tls.crt"))
	if err != nil {
		return nil, plain(err)
	}
	return id, nil
}

func loadIdentity(keyFile, certFile string) (*Identity, error) {
	pkcs8, err := readKey(keyFile)
	made := errors.Is(err, fs.ErrNotExist)
	if made {
		pkcs8, err = makeKey(keyFile, certFile)
	}
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(pkcs8)
	if err != nil {
		return nil, fmt.Errorf("%s: not a private key: %w", keyFile, err)
	}
	key, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%s: not a key that signs", keyFile)
	}
	cert, err := readCert(certFile)
	if errors.Is(err, fs.ErrNotExist) {
		cert, err = makeCert(certFile, key)
	}
	if err != nil {
		return nil, err
	}
	if pub, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !pub.Equal(cert.PublicKey) {
		return nil, &advised{fmt.Errorf("%s does not belong to %s", certFile, keyFile), "remove " + certFile + ": a new one is made from the key, and clients go on trusting it"}
	}
	secret, err := hkdf.Key(sha256.New, pkcs8, nil, "ferry logins of unknown names", sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("derive a key: %w", err)
	}
	return &Identity{
		TLS: &tls.Config{
			Certificates:                []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}},
			MinVersion:                  tls.VersionTLS13,
			NextProtos:                  []string{wire.ALPN},
			SessionTicketsDisabled:      true,
			DynamicRecordSizingDisabled: true,
		},
		Fingerprint: fingerprint(cert),
		Fake:        login.Fake{Key: secret, Params: login.DefaultParams()},
		Made:        made,
	}, nil
}

func fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

// readKey returns the PKCS #8 form of a key that nobody else can read or replace.
func readKey(path string) ([]byte, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	st, _ := info.Sys().(*syscall.Stat_t)
	uid := os.Geteuid()
	switch {
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file", path)
	case info.Mode().Perm()&0o077 != 0:
		return nil, &advised{fmt.Errorf("%s is open to others (mode %04o)", path, info.Mode().Perm()), "type: chmod 600 " + path}
	case st != nil && uid != 0 && int(st.Uid) != uid:
		return nil, &advised{fmt.Errorf("%s belongs to another user", path), fmt.Sprintf("type as root: chown %d %s", uid, path)}
	}
	return readPEM(path, "PRIVATE KEY")
}

func readCert(path string) (*x509.Certificate, error) {
	der, err := readPEM(path, "CERTIFICATE")
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("%s: not a certificate: %w", path, err)
	}
	return cert, nil
}

func readPEM(path, kind string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	b, _ := pem.Decode(text)
	if b == nil || b.Type != kind {
		return nil, fmt.Errorf("%s holds no %s in PEM form", path, kind)
	}
	return b.Bytes, nil
}

// makeKey makes the key of a new server. A certificate without a key means that the key was lost: another one would look
// like an attack to every client.
func makeKey(keyFile, certFile string) ([]byte, error) {
	if _, err := os.Lstat(certFile); err == nil {
		return nil, &advised{fmt.Errorf("%s is there, %s is not", certFile, keyFile), "restore the key, or remove " + certFile + " to get a new key that every client has to accept"}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	return pkcs8, createFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600, true)
}

func makeCert(path string, key crypto.Signer) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	// A day early, for clients whose clocks are behind.
	from := time.Now().AddDate(0, 0, -1)
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "ferryd"}, NotBefore: from, NotAfter: from.AddDate(certYears, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	if err := createFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600, true); err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// fingerprintCommand returns `ferryd fingerprint`.
func fingerprintCommand() *cobra.Command {
	var data string
	c := &cobra.Command{
		Use:   "fingerprint",
		Short: "Print the fingerprint of the server's key",
		Args:  exactly(0),
		RunE: func(c *cobra.Command, _ []string) error {
			if data == "" {
				return usage(&advised{errors.New("fingerprint: no data directory"), "give --data DIR"})
			}
			text, err := dataFingerprint(data)
			if err != nil {
				return fmt.Errorf("fingerprint: %w", err)
			}
			fmt.Fprintln(c.OutOrStdout(), text)
			return nil
		},
	}
	c.Flags().StringVar(&data, "data", "", "data directory `DIR`")
	return c
}

// dataFingerprint returns the fingerprint of a data directory's key. Before the first start an administrator wants to hand it
// out, too: the key is made then.
func dataFingerprint(data string) (string, error) {
	cert, err := readCert(filepath.Join(data, "tls.crt"))
	if err == nil {
		return fingerprint(cert), nil
	}
	if info, serr := os.Stat(data); !errors.Is(err, fs.ErrNotExist) || serr != nil || !info.IsDir() {
		return "", plain(err)
	}
	lock, err := openData(data)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	id, err := LoadIdentity(data)
	if err != nil {
		return "", err
	}
	return id.Fingerprint, nil
}
