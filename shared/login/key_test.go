package login

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"testing"

	"golang.org/x/crypto/ssh"
)

func signers(t *testing.T) map[string]ssh.Signer {
	t.Helper()
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]ssh.Signer{}
	for name, key := range map[string]crypto.Signer{"ed25519": ed, "ecdsa": ec, "rsa": rs} {
		if all[name], err = ssh.NewSignerFromSigner(key); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// TestKey signs and verifies, and changes each thing that the signature is over.
func TestKey(t *testing.T) {
	binding := bytes.Repeat([]byte{7}, 32)
	for name, s := range signers(t) {
		key, sig, err := SignKey(s, "alice", binding)
		if err != nil {
			t.Fatal(err)
		}
		got, err := VerifyKey(key, sig, "alice", binding)
		if err != nil || !bytes.Equal(got, s.PublicKey().Marshal()) {
			t.Errorf("%s: %v", name, err)
		}
		other := signers(t)[name]
		for what, try := range map[string][4]string{
			"another user":       {key, sig, "alicf", string(binding)},
			"another connection": {key, sig, "alice", string(bytes.Repeat([]byte{8}, 32))},
			"another key":        {encode(other.PublicKey().Marshal()), sig, "alice", string(binding)},
			"no signature":       {key, "", "alice", string(binding)},
			"no base64":          {key, "%", "alice", string(binding)},
			"no key":             {"", sig, "alice", string(binding)},
			"key without base64": {"%", sig, "alice", string(binding)},
			"key of another user and binding cut elsewhere": {key, sig, "alic", "e" + string(binding)},
		} {
			if _, err := VerifyKey(try[0], try[1], try[2], []byte(try[3])); !errors.Is(err, ErrAuth) {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
	}
}

// TestKeySHA1: RSA signatures with SHA-1 are refused though they are right.
func TestKeySHA1(t *testing.T) {
	s := signers(t)["rsa"].(ssh.AlgorithmSigner)
	binding := make([]byte, 32)
	sig, err := s.SignWithAlgorithm(rand.Reader, keyText("alice", binding), ssh.KeyAlgoRSA)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := VerifyKey(encode(s.PublicKey().Marshal()), encode(ssh.Marshal(sig)), "alice", binding); !errors.Is(err, ErrAuth) {
		t.Error(err)
	}
}

// TestKeyFrame: what an agent is asked to sign is no SSH login and says what it is for.
func TestKeyFrame(t *testing.T) {
	text := keyText("alice", make([]byte, 32))
	want := "SSHSIG\x00\x00\x00\x0aferry-auth\x00\x00\x00\x00\x00\x00\x00\x06sha256\x00\x00\x00\x20"
	if !bytes.HasPrefix(text, []byte(want)) || len(text) != len(want)+32 {
		t.Errorf("%q", text)
	}
}
