package main

import (
	"slices"
	"strings"
	"testing"

	"ferry/client/config"
	"ferry/client/shell"
)

// tells runs a line and answers what it asks for unseen. It returns the questions, and what was said.
func (p *person) tells(line string, secrets ...string) (asked []string, said string) {
	p.t.Helper()
	p.Ask = func(prompt string) (string, error) {
		asked = append(asked, prompt)
		if len(secrets) == 0 {
			return "", shell.ErrInterrupt
		}
		secret := secrets[0]
		secrets = secrets[1:]
		return secret, nil
	}
	said = p.types(line)
	if len(secrets) > 0 {
		p.t.Errorf("%s: was not asked for %q", line, secrets)
	}
	return asked, said
}

const (
	second = "seven purple staples"
	third  = "eleven green batteries"
)

// TestPersonPasswd: the old password once, the new one twice, none of them shown; a mistake changes nothing.
func TestPersonPasswd(t *testing.T) {
	p := newPerson(t)
	for _, tt := range []struct {
		secrets []string
		says    string
	}{
		{[]string{""}, "passwd: no password was given"},
		{[]string{"wrong"}, "passwd: that is not the password"},
		{[]string{password, "short"}, "passwd: password is too short"},
		{[]string{password, second, third}, "passwd: the passwords differ"},
		{[]string{password, password, password}, "passwd: the new password is the old one"},
		{[]string{password}, "passwd: interrupted"}, // Ctrl-C
		{[]string{password, second, second}, "the password of alice is changed"},
		{[]string{password}, "passwd: that is not the password"},
		{[]string{second, third, third}, "the password of alice is changed"},
	} {
		asked, said := p.tells("passwd", tt.secrets...)
		if !strings.Contains(said, tt.says) || len(asked) == 0 || asked[0] != "Present password of alice: " {
			t.Errorf("%q: asked %q, said %q", tt.secrets, asked, said)
		}
		for _, secret := range []string{password, second, third, "wrong"} {
			if strings.Contains(said, secret) {
				t.Errorf("%q is shown: %q", secret, said)
			}
		}
		if said := p.types("whoami"); said != "" {
			t.Errorf("after %q: %s", tt.secrets, said)
		}
	}
}

// TestPersonMustChange: who must change the password is asked for the new one at once, and can do nothing before.
func TestPersonMustChange(t *testing.T) {
	p := newPerson(t)
	p.server.Set("alice", "must_change_password", "true")
	asked, said := p.tells("login alice", "short")
	if !strings.Contains(said, "must be changed before anything else") || !strings.Contains(said, "too short") || len(asked) != 1 {
		t.Errorf("asked %q, said %q", asked, said)
	}
	if said := p.types("whoami"); !strings.Contains(said, "whoami: the password must be changed first\nhint: type: passwd") {
		t.Errorf("said %q", said)
	}
	if asked, _ := p.tells("login alice", second, second); !slices.Equal(asked, []string{"New password of alice: ", "Again: "}) {
		t.Errorf("asked %q", asked)
	}
	if said := p.types("whoami"); said != "" {
		t.Errorf("said %q", said)
	}
}

// TestPersonKeys: the password is asked for before a key is added or removed.
func TestPersonKeys(t *testing.T) {
	p := newPerson(t)
	const line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEfRN7uHN+M5H0gMk1mB3OZ7wAa4WtN+FE1uQiMG2hiV alice@laptop\n"
	p.write(".", map[string]string{"id.pub": line})
	if asked, said := p.tells("keys add id.pub", "wrong"); len(asked) != 1 || !strings.Contains(said, "that is not the password") {
		t.Errorf("asked %q, said %q", asked, said)
	}
	if _, said := p.tells("keys add id.pub", password); !strings.Contains(said, "you can log in with SHA256:") {
		t.Errorf("said %q", said)
	}
	p.AgentKeys = func() ([]string, error) { return []string{line, line}, nil }
	if asked, said := p.tells("keys add agent"); len(asked) != 0 || !strings.Contains(said, "the ssh-agent holds 2 such keys") {
		t.Errorf("asked %q, said %q", asked, said)
	}
	p.AgentKeys = func() ([]string, error) { return []string{line}, nil }
	p.tells("keys add agent alice@laptop", password)
	if _, said := p.tells("keys del alice@laptop", password); !strings.Contains(said, "no longer logs you in") {
		t.Errorf("said %q", said)
	}
}

// TestPersonRegisters: a person is asked for the invite, which is enough to trust the server, and twice for the password; nothing of that is
// shown, and nothing asked for a second time.
func TestPersonRegisters(t *testing.T) {
	p := newPerson(t)
	p.server.Register("invite")
	invite := p.server.Invite() + "@" + p.server.Fingerprint()
	if err := p.Settings.Unset(config.Fingerprint); err != nil {
		t.Fatal(err)
	}
	asked, said := p.tells("register carol", "nonsense here")
	if !strings.Contains(said, "not an invite") || !slices.Equal(asked, []string{"Invite (CODE@SHA256:...): "}) {
		t.Errorf("asked %q, said %q", asked, said)
	}
	if _, said := p.tells("register carol", ""); !strings.Contains(said, "is not known yet") {
		t.Errorf("said %q", said)
	}
	if _, said := p.tells("register carol", invite, second, third); !strings.Contains(said, "the passwords differ") {
		t.Errorf("said %q", said)
	}
	if _, said := p.tells("register bob\t", invite, second, second); !strings.Contains(said, "registered bob") || strings.Contains(said, second) ||
		strings.Contains(said, invite[:20]) {
		t.Errorf("said %q", said)
	}
	if said := p.types("whoami"); said != "" {
		t.Errorf("said %q", said)
	}
	// The server is known now, so that is asked first, and the invite when it wants one.
	if asked, said := p.tells("register dave", invite); len(asked) != 1 || !strings.Contains(said, "a valid invite is needed") {
		t.Errorf("asked %q, said %q", asked, said)
	}
}
