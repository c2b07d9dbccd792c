package shell

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"ferry/client/term"
	"ferry/shared/wire"
)

// maxKeyFile is the largest file that a public key is looked for in, in bytes.
const maxKeyFile = 64 << 10

func keysCommand() Command {
	return Command{Name: "keys", Group: "session", Usage: "keys [add FILE.pub | add agent [COMMENT] | del FINGERPRINT|COMMENT|FILE.pub]",
		Short: "the public keys that log you in", Login: true, Max: 3, Verbs: map[string]Side{"list": Nowhere, "add": Here, "add agent": Free, "del": Here},
		Wire: []string{wire.CmdKeys, wire.CmdPutKey, wire.CmdDropKey, wire.CmdLogin, wire.CmdProof, wire.CmdKey},
		More: "To add or remove one, a person types the password, unless the login was by a key. Sessions that came\n" +
			"in by a removed key end.",
		Examples: []string{"keys", "keys add ~/.ssh/id_ed25519.pub", "keys add agent", "keys del alice@laptop"},
		Fields: []Field{{"kind", "string", "such as ssh-ed25519"}, {"fingerprint", "string", "SHA256:..."}, {"comment", "string", "at most 200 bytes of it"},
			{"added", "string", "fingerprint of the key that now logs in"}, {"removed", "string", "fingerprint of the key that no longer does"}},
		Run: func(ctx context.Context, s *Shell, c *Call) error {
			args := c.Args()
			if len(args) == 0 {
				return s.listKeys(ctx)
			}
			do := map[string]func(context.Context, []string) error{"list": func(ctx context.Context, _ []string) error { return s.listKeys(ctx) },
				"add": s.addKey, "del": s.delKey}[args[0]]
			if do == nil || (args[0] != "list") != (len(args) > 1) {
				return &UsageError{"keys: that is not how it is used", "usage: " + keysCommand().Usage}
			}
			return do(ctx, args[1:])
		}}
}

func (s *Shell) listKeys(ctx context.Context) error {
	keys, password, err := s.client.Keys(ctx)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if err := s.emit(k, term.Escape(strings.TrimSpace(k.Kind+" "+k.Fingerprint+" "+k.Comment))+"\n"); err != nil {
			return err
		}
	}
	switch {
	case len(keys) == 0:
		s.say("no keys; `keys add FILE.pub` adds one")
	case !password:
		s.say("the account has no password: a key is the only way in")
	}
	return nil
}

func (s *Shell) addKey(ctx context.Context, args []string) error {
	line, err := "", error(nil)
	if args[0] == "agent" {
		line, err = s.agentKey(args[1:])
	} else {
		line, err = publicKey(args[0])
	}
	if err != nil {
		return err
	}
	proof, err := s.present(ctx)
	if err != nil {
		return err
	}
	if err := s.client.PutKey(ctx, proof, line); err != nil {
		return err
	}
	key, comment, _, _, _ := ssh.ParseAuthorizedKey([]byte(line))
	s.say("you can log in with %s", term.Escape(strings.TrimSpace(ssh.FingerprintSHA256(key)+" "+comment)))
	return s.emitKey("added", ssh.FingerprintSHA256(key))
}

// emitKey tells a program what was done.
func (s *Shell) emitKey(done, fingerprint string) error {
	if !s.JSON {
		return nil
	}
	return s.emit(map[string]any{done: fingerprint}, "")
}

func (s *Shell) delKey(ctx context.Context, args []string) error {
	keys, _, err := s.client.Keys(ctx)
	if err != nil {
		return err
	}
	if len(args) > 1 {
		return usagef("keys del: one key at a time; quote a comment that has blanks")
	}
	meant := args[0]
	if line, err := publicKey(meant); err == nil {
		key, _, _, _, _ := ssh.ParseAuthorizedKey([]byte(line))
		meant = ssh.FingerprintSHA256(key)
	}
	keys = slices.DeleteFunc(keys, func(k wire.PublicKey) bool { return k.Fingerprint != meant && k.Comment != meant })
	switch {
	case len(keys) == 0:
		return &UsageError{fmt.Sprintf("there is no key %q", meant), "`keys` lists them"}
	case len(keys) > 1:
		return &UsageError{fmt.Sprintf("%d keys have the comment %q", len(keys), meant), "give the fingerprint, SHA256:..."}
	}
	proof, err := s.present(ctx)
	if err != nil {
		return err
	}
	if err := s.client.DropKey(ctx, proof, keys[0].Fingerprint); err != nil {
		return err
	}
	s.say("%s no longer logs you in", term.Escape(keys[0].Fingerprint))
	return s.emitKey("removed", keys[0].Fingerprint)
}

// publicKey returns the one public key that a file holds, as a line.
func publicKey(path string) (string, error) {
	f, err := os.Open(home(path))
	if err != nil {
		return "", named(path, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return "", named(path, err)
	}
	if bytes.Contains(text, []byte("PRIVATE KEY")) {
		return "", named(path, &UsageError{"this is a private key, which nobody else needs", "the public one is in the file that ends in .pub"})
	}
	_, _, _, rest, err := ssh.ParseAuthorizedKey(text)
	if err != nil || len(bytes.TrimSpace(rest)) > 0 {
		return "", named(path, errors.New("does not hold one public key"))
	}
	return strings.TrimSpace(string(text)), nil
}

// agentKey returns a key of the ssh-agent: the only one, or the one with a comment or fingerprint.
func (s *Shell) agentKey(which []string) (string, error) {
	keys, err := s.AgentKeys()
	if err != nil {
		return "", fmt.Errorf("the ssh-agent cannot be asked: %w", err)
	}
	keys = slices.DeleteFunc(keys, func(line string) bool {
		key, comment, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
		return err != nil || len(which) > 0 && comment != which[0] && ssh.FingerprintSHA256(key) != which[0]
	})
	switch {
	case len(keys) == 1:
		return keys[0], nil
	case len(keys) == 0:
		return "", &UsageError{"the ssh-agent holds no such key", "ssh-add -l lists what it holds"}
	}
	return "", &UsageError{fmt.Sprintf("the ssh-agent holds %d such keys", len(keys)), "keys add agent COMMENT names one; ssh-add -l lists them"}
}
