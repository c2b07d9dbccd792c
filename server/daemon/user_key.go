package daemon

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"

	"ferry/server/account"
)

// maxKeyFile is the largest .pub file that is read, in bytes.
const maxKeyFile = 64 << 10

// keyText returns the public key that the arguments mean: the words of one, or the path of a file with one. Inside the server
// there are no files but the client's, and it has read them.
func (u *userAdmin) keyText(args []string) (string, error) {
	text := strings.TrimSpace(strings.Join(args, " "))
	if strings.ContainsAny(text, " \t") || u.inside != nil {
		return text, nil
	}
	f, err := os.Open(text)
	if err != nil {
		return text, nil // then it is not a key either, and that is what is said
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return "", plain(err)
	}
	if n := strings.Count(strings.TrimSpace(string(b)), "\n"); n > 0 && !strings.Contains(string(b), "PRIVATE KEY") {
		return "", fmt.Errorf("%s: holds %d lines, not one public key", text, n+1)
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	return line, nil
}

func (u *userAdmin) keyAdd(c *cobra.Command, args []string) error {
	name := args[0]
	text, err := u.keyText(args[1:])
	if err != nil {
		return err
	}
	k, err := account.ParsePublicKey(text)
	if err != nil {
		return usage(&advised{err, "give the text of a .pub file, or its path"})
	}
	if err := u.edit(name, func(t *account.Text) error { return t.AddKey(name, text) }); err != nil {
		return err
	}
	fmt.Fprintf(c.ErrOrStderr(), "%s can log in with %s\n", name, ssh.FingerprintSHA256(k))
	return nil
}

func (u *userAdmin) keyDel(c *cobra.Command, args []string) error {
	name := args[0]
	text, err := u.keyText(args[1:])
	if err != nil {
		return err
	}
	a, err := u.find(name)
	if err != nil {
		return err
	}
	var found []account.PublicKey
	for _, k := range a.Keys {
		if meant(k, text) {
			found = append(found, k)
		}
	}
	switch len(found) {
	case 0:
		return &advised{errors.New("the account has no such key"), u.typed("user show "+name, "") + " lists them"}
	case 1:
	default:
		return &advised{fmt.Errorf("%d keys have this comment", len(found)), "give the fingerprint, SHA256:..."}
	}
	fingerprint := ssh.FingerprintSHA256(found[0])
	err = u.edit(name, func(t *account.Text) error {
		return t.DeleteKey(name, func(k account.PublicKey) bool { return ssh.FingerprintSHA256(k) == fingerprint })
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(c.ErrOrStderr(), "%s can no longer log in with %s\n", name, fingerprint)
	return nil
}

// meant reports whether a text is the key, its fingerprint or its comment.
func meant(k account.PublicKey, text string) bool {
	if p, err := account.ParsePublicKey(text); err == nil {
		return ssh.FingerprintSHA256(p) == ssh.FingerprintSHA256(k)
	}
	return text != "" && (text == ssh.FingerprintSHA256(k) || text == k.Comment)
}
