package account

import (
	"errors"
	"strings"
	"testing"
)

// ruled is a file of somebody who likes lines, with KEY1 and KEY2 for public keys.
const ruled = `# top
[defaults]
locked = "moving"
max_file_size = "1GiB"

[users.alice] # boss
keys = [
  "KEY1 laptop", # until June
  # the old one
  'KEY2 desk'
] # end of keys
  max_file_size   =  "2GiB"  # more

# Where others drop.
[[users.alice.rules]] # one
path = "/in" # here
rights = [ 'write' ]   # only

# Nobody.
[[users.alice.rules]]
rights = []
path = '/secret'
# after the rules

[users.bob]
keys = ["KEY1 a", "KEY2 b", ]

[users.inline]
rules = [ {path = "/x", rights = ["list"]} ] # short
`

func ruledText() string {
	return strings.NewReplacer("KEY1", publicKey, "KEY2", ecdsaKey).Replace(ruled)
}

func addKey(name, key string) verb { return func(t *Text) error { return t.AddKey(name, key) } }

func delKey(name, comment string) verb {
	return func(t *Text) error {
		return t.DeleteKey(name, func(k PublicKey) bool { return k.Comment == comment })
	}
}

func off(name, key string) verb { return func(t *Text) error { return t.Off(name, key) } }

// Rules and keys are changed one by one, and every other byte stays.
func TestEditLists(t *testing.T) {
	secret := "\n# Nobody.\n[[users.alice.rules]]\nrights = []\npath = '/secret'\n"
	for _, tt := range []struct {
		name     string
		do       verb
		old, new string
	}{
		{"a rule more", set("alice", "rules", "/in=write;/secret=none;/out=list,read"), "path = '/secret'\n", "path = '/secret'\n\n[[users.alice.rules]]\npath = \"/out\"\nrights = [\"list\", \"read\"]\n"},
		{"the first rule of an account", set("bob", "rules", "/a b=*"), `"KEY2 b", ]` + "\n", `"KEY2 b", ]` + "\n\n[[users.bob.rules]]\npath = \"/a b\"\nrights = [\"*\"]\n"},
		{"a rule's rights", set("alice", "rules", "/secret=list;/in=write"), "rights = []", `rights = ["list"]`},
		{"the same rules", set("alice", "rules", "/secret=none;/in=write"), "", ""},
		{"a rule less", set("alice", "rules", "/in=write"), secret, "\n# Nobody.\n"},
		{"one for another", set("alice", "rules", "/in=write;/new=none"), secret, "\n# Nobody.\n"},
		{"no rules", set("alice", "rules", ""), "", ""},
		{"inline rules", set("inline", "rules", "/x=read;/y=none"), `[ {path = "/x", rights = ["list"]} ]`, `[{ path = "/x", rights = ["read"] }, { path = "/y", rights = [] }]`},
		{"inline rules cleared", set("inline", "rules", ""), `rules = [ {path = "/x", rights = ["list"]} ] `, ""},
		{"inline rules for none", set("inline", "rules", "none"), `[ {path = "/x", rights = ["list"]} ]`, "[]"},
		{"none instead of defaults", set("bob", "rules", "none"), `"KEY2 b", ]` + "\n", `"KEY2 b", ]` + "\nrules = []\n"},
		{"a key in lines", addKey("alice", rsaKey+" new"), "'KEY2 desk'\n", "'KEY2 desk',\n  \"" + rsaKey + " new\"\n"},
		{"a key in a line", addKey("bob", rsaKey), `"KEY2 b", ]`, `"KEY2 b", "` + rsaKey + `", ]`},
		{"the first key", addKey("inline", rsaKey), "# short\n", "# short\nkeys = [\"" + rsaKey + "\"]\n"},
		{"delete a line's key", delKey("alice", "laptop"), "  \"KEY1 laptop\", # until June\n", ""},
		{"delete the last line's key", delKey("alice", "desk"), "  'KEY2 desk'\n", ""},
		{"delete the first", delKey("bob", "a"), `"KEY1 a", `, ""},
		{"delete the last", delKey("bob", "b"), `, "KEY2 b"`, ""},
		{"unlock what all are", off("alice", "locked"), "  max_file_size   =  \"2GiB\"  # more\n", "  max_file_size   =  \"2GiB\"  # more\nlocked = \"\"\n"},
		{"no max_file_size where all have one", off("alice", "max_file_size"), `"2GiB"`, `"none"`},
		{"off and there is no default", off("alice", "keys"), "", ""},
		{"off what is not there", off("bob", "expires"), "", ""},
	} {
		for _, eol := range []string{"\n", "\r\n"} {
			crlf := func(s string) string {
				return strings.ReplaceAll(strings.NewReplacer("KEY1", publicKey, "KEY2", ecdsaKey).Replace(s), "\n", eol)
			}
			text, want := crlf(ruled), crlf(strings.Replace(ruled, tt.old, tt.new, 1))
			switch {
			case tt.name == "one for another":
				want = strings.Replace(want, crlf("rights = [ 'write' ]   # only\n"), crlf("rights = [ 'write' ]   # only\n\n[[users.alice.rules]]\npath = \"/new\"\nrights = []\n"), 1)
			case tt.name == "no rules":
				want = strings.Replace(crlf(strings.Replace(ruled, secret, "\n# Nobody.\n", 1)), crlf("[[users.alice.rules]] # one\npath = \"/in\" # here\nrights = [ 'write' ]   # only\n"), "", 1)
			case tt.old == "" && tt.name != "off and there is no default":
				want = text
			}
			path := write(t, text)
			err := Edit(path, tt.do)
			if tt.name == "off and there is no default" {
				if err == nil || err.Error() != "the value of keys has comments inside" {
					t.Errorf("%s: %v", tt.name, err)
				}
				want = text
			} else if err != nil {
				t.Errorf("%s (%q): %v", tt.name, eol, err)
				continue
			}
			if got := content(t, path); got != want {
				t.Errorf("%s (%q):\n got %s\nwant %s", tt.name, eol, got, want)
			}
		}
	}
}

func TestEditListsRefused(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		do         verb
		want       string
	}{
		{"key of nobody", "[users.a]\n", addKey("b", publicKey), "no such user"},
		{"key gone", "[users.a]\n", delKey("a", "x"), "the account has no such key"},
		{"key there", ruledText(), addKey("bob", publicKey+" other comment"), "the account has this key already"},
		{"no key", "[users.a]\n", addKey("a", "hello"), `"hello" is not a public key such as ssh-ed25519 AAAA... name`},
		{"no rule", "[users.a]\n", set("a", "rules", "/x"), `rules: "/x" is not PATH=RIGHTS`},
		{"bad rule", "[users.a]\n", set("a", "rules", "/x=list;x=read"), `rules: path "x" is not the shortest spelling of a path that begins with /, the home`},
		{"rights with comments", "[users.a]\n[[users.a.rules]]\npath = '/x'\nrights = [ # none\n]\n", set("a", "rules", "/x=read"), "the rights have comments inside"},
		{"rule elsewhere", "[[users.a.rules]]\npath = '/x'\nrights = []\n", set("a", "max_file_size", "1GB"), "the account is not written as a [users.a] table"},
	} {
		path := write(t, tt.text)
		err := Edit(path, tt.do)
		var refused *EditError
		if err == nil || err.Error() != tt.want || !errors.As(err, &refused) && !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: got %v, want %s", tt.name, err, tt.want)
		}
		if content(t, path) != tt.text {
			t.Errorf("%s: the file was touched", tt.name)
		}
	}
}

// Whatever part of a file is decoded again, the verdict is that of the whole file.
func TestFinish(t *testing.T) {
	for _, text := range []string{handmadeValid(), ruledText(), "users.x.home = 'x'\n[users.alice]\n[users.bob]\n", "[users.bob]\n[users.alice]\n[[users.bob.rules]]\npath='/'\nrights=[]\n"} {
		for _, do := range []verb{
			set("alice", "home", "bob/x"), set("bob", "home", "alice"), set("alice", "max_file_size", "5GiB"), add("zoe"), del("alice"), del("bob"),
			set("bob", "rules", "/a=read;/b=list"),
			func(t *Text) error { return errors.Join(t.Set("alice", "home", "a"), t.Set("bob", "home", "a/b")) },
			func(t *Text) error { return errors.Join(t.Delete("alice"), t.Set("bob", "home", "alice")) },
			func(t *Text) error { return t.Add("new", Change{"home", "alice/in"}) },
			func(t *Text) error { return t.Add("new", Change{"home", "n"}, Change{"rules", "/x=read"}) },
			func(t *Text) error { t.splice(0, 0, "[users.sneaked-in]\n"); return nil },
			func(t *Text) error { t.splice(len(t.text), len(t.text), "\nmax_file_size = '1B'\n"); return nil },
			func(t *Text) error { t.splice(0, 0, "[users.alice]\n"); return nil },
			func(t *Text) error { t.splice(len(t.text), len(t.text), "\n[\n"); return nil },
		} {
			edit, err := newText("u", []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			if do(edit) != nil {
				continue
			}
			_, quick := edit.finish()
			whole := edit.checkWhole()
			if (quick == nil) != (whole == nil) {
				t.Errorf("%q:\nin part: %v\nas a whole: %v", edit.text, quick, whole)
			}
		}
	}
}
