package shell

import (
	"io"
	"slices"
	"testing"
)

// kept is a LineReader that shows what was saved.
type kept struct{ lines []string }

func (k *kept) Read(string) (string, error)     { return "", io.EOF }
func (k *kept) Password(string) (string, error) { return "", io.EOF }
func (k *kept) SaveHistory(line string)         { k.lines = append(k.lines, line) }
func (k *kept) History() []string               { return k.lines }
func (k *kept) Stdout() io.Writer               { return io.Discard }
func (k *kept) Close() error                    { return nil }

// TestSecretLines: what may hold a secret, or begins with a blank, is kept neither for recall nor in the script of the
// session, even if it was typed wrongly.
func TestSecretLines(t *testing.T) {
	k := &kept{}
	s := New(Config{In: k})
	s.commands = append(s.commands, Command{Name: "invited", Aliases: []string{"inv"}, Secret: true})
	s.session.lines = nil
	for _, line := range []string{
		"pwd", " pwd", "\tls", "", "open alice:geheim@host", "open ferry://alice:geheim@host:8083/x", "ls; open 'a:geheim@h", "login a:geheim@h",
		"help c0de@SHA256:abc", "'c0de@SHA256:abc", "!FERRY_PASSWORD=geheim ferry x", "!export FERRY_INVITE=geheim", "invited geheim", "pwd && -INV geheim", "@inv 'geheim", "ls", "open ferry://alice@host:8083", "open unix:/run/a@b", "put a@b:c 'x:y'", "put 'a",
	} {
		s.remember(line)
		if cmds, err := Split(line); err == nil && len(cmds) == 1 {
			s.worked(cmds[0])
		}
	}
	want := []string{"pwd", "ls", "open ferry://alice@host:8083", "open unix:/run/a@b", "put a@b:c 'x:y'", "put 'a"}
	if !slices.Equal(k.lines, want) {
		t.Errorf("kept %q, want %q", k.lines, want)
	}
	if want = []string{"pwd", "ls", "put a@b:c 'x:y'"}; !slices.Equal(s.script(), want) { // where open leads to is known when it is there
		t.Errorf("the script has %q, want %q", s.script(), want)
	}
}
