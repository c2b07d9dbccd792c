package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"ferry/client/config"
	"ferry/client/shell"
)

// maxAgentKeys is how many of an agent's keys are tried: each refused one counts as a failed login.
const maxAgentKeys = 5

// keys returns what to log in with before a password: the key files that were named, or else, if no password was given, what
// the ssh-agent holds. eager tells that nobody waits for a second way, so that a command may travel with the login.
func (p *passwords) keys(address, user string) (keys []ssh.Signer, eager bool, err error) {
	files := p.settings.Value(config.Identity, address)
	if files.Place == config.BuiltIn {
		if p.source(address) != nil || p.settings.Value(config.Plain, address).On() || strings.HasPrefix(address, "unix:") {
			return nil, false, nil
		}
		keys, _ := agentKeys() // without an agent there is the password
		return keys[:min(len(keys), maxAgentKeys)], false, nil
	}
	for _, file := range files.Texts {
		k, err := p.key(file)
		if err != nil {
			return nil, false, err
		}
		keys = append(keys, k)
	}
	return keys, !p.shell && len(keys) == 1 && !p.needsNobody(address, user), nil
}

// key reads a private key, or finds the one of a public key in the agent.
func (p *passwords) key(file string) (ssh.Signer, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
			err = pe.Err // which is all that would be shown
		}
		return nil, fmt.Errorf("--identity: %s: %w", file, err)
	}
	if public, _, _, _, err := ssh.ParseAuthorizedKey(text); err == nil {
		keys, err := agentKeys()
		if err != nil {
			return nil, fmt.Errorf("--identity %s: that is a public key, and the ssh-agent cannot be asked for the other half: %w", file, err)
		}
		i := slices.IndexFunc(keys, func(k ssh.Signer) bool { return bytes.Equal(k.PublicKey().Marshal(), public.Marshal()) })
		if i < 0 {
			return nil, fmt.Errorf("--identity %s: the ssh-agent does not hold this key", file)
		}
		return keys[i], nil
	}
	if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		return nil, &shell.UsageError{Msg: "--identity: " + file + " can be read by others", Advice: "chmod 600 " + file}
	}
	key, err := ssh.ParsePrivateKey(text)
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) {
		if !p.person {
			return nil, &shell.UsageError{Msg: "--identity: " + file + " is protected by a passphrase", Advice: "load it into the ssh-agent with ssh-add, and name " + file + ".pub here"}
		}
		var passphrase string
		if passphrase, err = p.ask(fmt.Sprintf("Passphrase of %s: ", file)); err != nil {
			return nil, err
		}
		key, err = ssh.ParsePrivateKeyWithPassphrase(text, []byte(passphrase))
	}
	if err != nil {
		return nil, fmt.Errorf("--identity: %s: not a private key that can be used: %w", file, err)
	}
	return key, nil
}

// dialAgent connects to the ssh-agent.
func dialAgent() (net.Conn, error) {
	path := os.Getenv("SSH_AUTH_SOCK")
	if path == "" {
		return nil, errors.New("SSH_AUTH_SOCK is not set")
	}
	return net.Dial("unix", path)
}

// agentLines returns the public keys that the ssh-agent holds, as lines of .pub files.
func agentLines() ([]string, error) {
	nc, err := dialAgent()
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	keys, err := agent.NewClient(nc).List()
	var lines []string
	for _, k := range keys {
		lines = append(lines, k.String())
	}
	return lines, err
}

// agentKeys returns what the ssh-agent holds. The connection stays open for as long as the program runs.
func agentKeys() ([]ssh.Signer, error) {
	nc, err := dialAgent()
	if err != nil {
		return nil, err
	}
	keys, err := agent.NewClient(nc).Signers()
	if err != nil || len(keys) == 0 {
		nc.Close()
	}
	return keys, err
}
