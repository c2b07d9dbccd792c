package login

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/ssh"
)

// keyNamespace is what signatures are made for: one made for ferry is good for nothing else.
const keyNamespace = "ferry-auth"

// KeyBinding returns what a login by public key is bound to: 32 bytes that only the two ends of this TLS connection know,
// under a label of its own, so that such a signature and a password's proof are never taken for one another.
func KeyBinding(cs tls.ConnectionState) ([]byte, error) {
	if !cs.HandshakeComplete || cs.Version != tls.VersionTLS13 {
		return nil, errors.New("channel binding needs a complete TLS 1.3 handshake")
	}
	return cs.ExportKeyingMaterial("EXPORTER-ferry-Pubkey", nil, 32)
}

// keyText is what is signed: an SSHSIG blob (OpenSSH PROTOCOL.sshsig) over SHA-256(user, 0, binding). In that frame an agent's
// signature can never serve as an SSH login.
func keyText(user string, binding []byte) []byte {
	sum := sha256.Sum256(slices.Concat([]byte(user), []byte{0}, binding))
	return append([]byte("SSHSIG"), ssh.Marshal(struct {
		Namespace, Reserved, Algorithm string
		Hash                           []byte
	}{keyNamespace, "", "sha256", sum[:]})...)
}

// SignKey returns the public key in wire form and the signature that logs user in on the connection with that binding, both
// as base64.
func SignKey(signer ssh.Signer, user string, binding []byte) (key, signature string, err error) {
	text := keyText(user, binding)
	var sig *ssh.Signature
	if algorithms, ok := signer.(ssh.AlgorithmSigner); ok && signer.PublicKey().Type() == ssh.KeyAlgoRSA {
		sig, err = algorithms.SignWithAlgorithm(nil, text, ssh.KeyAlgoRSASHA512)
	} else {
		sig, err = signer.Sign(nil, text)
	}
	if err != nil {
		return "", "", fmt.Errorf("sign: %w", err)
	}
	return encode(signer.PublicKey().Marshal()), encode(ssh.Marshal(sig)), nil
}

// VerifyKey checks what SignKey made and returns the public key in wire form. Whether it is one of the user's is for the
// caller to say. The error is always ErrAuth.
func VerifyKey(key, signature, user string, binding []byte) ([]byte, error) {
	wire, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		return nil, ErrAuth
	}
	public, err := ssh.ParsePublicKey(wire)
	if err != nil {
		return nil, ErrAuth
	}
	raw, err := base64.StdEncoding.DecodeString(signature)
	if err != nil {
		return nil, ErrAuth
	}
	var sig ssh.Signature
	if ssh.Unmarshal(raw, &sig) != nil || sig.Format == ssh.KeyAlgoRSA || // that one is SHA-1
		public.Verify(keyText(user, binding), &sig) != nil {
		return nil, ErrAuth
	}
	return public.Marshal(), nil
}
