package account

import (
	"bytes"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// record is the credential of a thrown-away password.
const record = "$scram-sha256-argon2id$v=19$m=65536,t=3,p=4$bkEsnhIeaT1Fyz6DQiDKcQ$YvsIqUPy8g2xaVcimu9dDDIz9iKbtCEoRf+MUd6fTmL3L96KWv4jA9UkYdKSZzB2nicgCC1wbVTpYJSgNMY5Dg"

// Public keys whose private halves were thrown away.
const (
	publicKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEfRN7uHN+M5H0gMk1mB3OZ7wAa4WtN+FE1uQiMG2hiV"
	ecdsaKey  = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBNvvMLgb2sQcZTr/RH2p2VD06p3AoRBPOCElaYvKf7KxXhHchGJJ+4X3rUWrjmP39depDTC1BOO148VFDKPLaK4="
	rsaKey    = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQCi4y+Ipo2BRpoBE2oR+yrSQiOziv5ukFto18wAMEH5QcfQdCNrJf9Auk6SHxWW8iXqv3O/YRHVgpIVrZ5+SHCtuSw7eJiMboGYhGb839SBCcr1Hxu0vMmNcPyneaoIUtzNBmaE0SKYRgJekU02wCiL3SsaXU4GfcF5hjCJ+KlgvP/HPypGwXaQQHI7xtqSEYDLHf8kEvo0KMXBCWfNCqjSePooZoFZeU8Lr6e4vtKiRWIdusFTnm6gDlY+DDtT1Wi5E7wi1Zx0/amPNgxaPu6p9tlcCsohDagS8lfjVt7DH55xZDhznLrzd9J1gSiX5jIoXzAPltZi7eOGwK8s7lhf"
	weakKey   = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQDYkAlr4BMxTvbVGj5x8gK1RSjQXVH++Mi8E+MqhATDrjQOv9fZFSxW7zQL+5+NdaeHxCSjEUMQpJdpyliTcs43hwS1ubAFC7ygVi5HXAkt7rJGnTxEtQfeswXICCn9i0xNhm4wdboUDSt/CkMaq7mYW0ptVbdrIVy/o4kz04231w=="
)

func TestExample(t *testing.T) {
	text, err := os.ReadFile("../../users.toml.example")
	if err != nil {
		t.Fatal(err)
	}
	s, err := Parse("users.toml.example", text)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for a := range s.All() {
		got = append(got, fmt.Sprintf("%s %v %v %s %v %v %+v %v %s %q %v", a.Name, a.HasAuth, a.Keys, a.Home, a.Rights, a.Rules, a.Limits, a.AllowFrom, a.Expires, a.Locked, a.MustChange))
	}
	want := []string{
		`alice true [ssh-ed25519 KEY alice@laptop] alice list,read,write,overwrite,delete [] {Quota:500GiB QuotaFiles:none MaxFileSize:none RateUp:none RateDown:none MaxSessions:20} []  "" false`,
		`reader false [] public list,read [/incoming=write] {Quota:500GiB QuotaFiles:none MaxFileSize:50GiB RateUp:none RateDown:20MiB/s MaxSessions:100} []  "" false`,
		`scanner false [] scanner list,read,write,overwrite,delete [] {Quota:10GiB QuotaFiles:100000 MaxFileSize:500MB RateUp:2MiB/s RateDown:none MaxSessions:20} [192.0.2.7/32 2001:db8:1::/48] 2099-01-01 "" true`,
		`bob false [] bob list,read,write,overwrite,delete [] {Quota:500GiB QuotaFiles:none MaxFileSize:50GiB RateUp:none RateDown:none MaxSessions:20} []  "on leave until May" false`,
	}
	alice, _ := s.Lookup("alice")
	got[0] = strings.Replace(got[0], ssh.FingerprintSHA256(alice.Keys[0]), "KEY", 1)
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, k := range Keys() {
		if !bytes.Contains(text, []byte("\n"+k.Name+" = ")) && !bytes.Contains(text, []byte("."+k.Name+"]]\n")) {
			t.Errorf("the example does not show the key %s", k.Name)
		}
	}
}

// The page about accounts knows every key.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../../docs/accounts.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range Keys() {
		if !bytes.Contains(text, []byte("`"+k.Name+"`")) && !bytes.Contains(text, []byte("."+k.Name+"]]`")) {
			t.Errorf("docs/accounts.md does not explain %s", k.Name)
		}
	}
	_, snippet, _ := strings.Cut(string(text), "```toml\n")
	snippet, _, _ = strings.Cut(snippet, "```")
	s, err := Parse("docs/accounts.md", []byte(snippet))
	if err != nil {
		t.Fatal(err)
	}
	a, ok := s.Lookup("agency")
	if !ok || a.RightsAt("/incoming/x") != List|Write || a.RightsAt("/incoming/private/x") != 0 || a.RightsAt("/") != List|Read {
		t.Errorf("the example of rules is %+v", a)
	}
}

func TestParse(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"empty", "", ""},
		{"only comments", "# nobody\n", ""},
		{"byte order mark", "\ufeff[users.a]\n", "a:a:list,read,write,overwrite,delete:"},
		{"CRLF", "[users.a]\r\nhome = 'x/y'\r\n", "a:x/y:list,read,write,overwrite,delete:"},
		{"no last newline", "[users.a]\nrights = []", "a:a:none:"},
		{"inline tables", "users = { a = { home = 'h' }, b = {} }", "a:h:list,read,write,overwrite,delete: b:b:list,read,write,overwrite,delete:"},
		{"dotted keys", "users.a.home = 'h'\n[defaults]\nrights = ['read']\n", "a:h:read:"},
		{"defaults last", "[users.a]\n[users.b]\nrights = ['*', 'admin']\n[defaults]\nrights = ['list']\n", "a:a:list: b:b:list,read,write,overwrite,delete,admin:"},
		{"header inside a string", "[users.a]\nlocked = \"\"\"x\\\ny\"\"\" # [users.b]\n", "a:a:list,read,write,overwrite,delete:xy"},
		{"neighbouring homes", "[users.a]\nhome='a'\n[users.b]\nhome='a-b'\n[users.c]\nhome='a.d/a'\n", "a:a:list,read,write,overwrite,delete: b:a-b:list,read,write,overwrite,delete: c:a.d/a:list,read,write,overwrite,delete:"},
	} {
		s, err := Parse("users.toml", []byte(tt.text))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		var got []string
		for a := range s.All() {
			got = append(got, a.Name+":"+a.Home+":"+a.Rights.String()+":"+a.Locked)
			if b, ok := s.Lookup(a.Name); !ok || b != a {
				t.Errorf("%s: Lookup(%q) differs from All", tt.name, a.Name)
			}
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	half := record[:strings.LastIndex(record, "$")]
	for _, tt := range []struct{ name, text, want string }{
		{"syntax", "[users.a]\nhome = \n", "u:2: expected value but found '\\n' instead"},
		{"unclosed header", "# x\n[users.a\n", "u:2: expected '.' or ']' to end table name, but got '\\n' instead"},
		{"unclosed list", "[users.a]\nrights = [\"read\"\n", ""},
		{"NUL", "[users.a]\n\x00\n", ""},
		{"UTF-16", "\xff\xfe[\x00u\x00", ""},
		{"not UTF-8", "[users.a]\nlocked = \"\xff\"\n", ""},
		{"credential not quoted", "[users.a]\nauth = " + record + "\n", "u:2: auth is not one quoted string on one line"},
		{"credential split", "[users.a]\nauth = \"" + half + "\n$" + record[len(half):] + "\"\n", "u:2: auth is not one quoted string on one line"},
		{"credential cut", "[users.a]\nauth = \"" + half + "\"\n", "u:2: a: auth: credential has 4 fields, want 5"},
		{"password as credential", "[users.a]\nauth = \"swordfish-swordfish\"\n", "u:2: a: auth: credential is not a PHC string ($scheme$...)"},
		{"credential of a wrong type", "[users.a]\nauth = 7\n", "u:2: a: auth: must be a string"},
		{"credential as a key", "[users.a]\n\"" + record + "\" = 1\n", "u:2: a: unknown key \"$scram-s...\""},
		{"unknown table", "[user.a]\n", "u:1: unknown key \"user\""},
		{"unknown key", "\n[users.a]\nhome = 'a'\nlockd = 'x'\n", "u:4: a: unknown key \"lockd\""},
		{"unknown key in defaults", "[defaults]\nright = []\n", "u:2: defaults: unknown key \"right\""},
		{"key not for defaults", "[defaults]\nhome = 'x'\n", "u:2: [defaults] cannot hold \"home\""},
		{"defaults twice", "[defaults]\n[defaults]\n", "u:2: [defaults] is already defined on line 1"},
		{"name twice", "[users.a]\n\n[users.b]\n[users.'a']\n", "u:4: [users.a] is already defined on line 1"},
		{"names of two cases", "[users.ann]\n[users.Ann]\n", "u:2: bad account name \"Ann\", and ann is on line 1"},
		{"empty name", "[users.\"\"]\n", "u:1: bad account name \"\""},
		{"name is a path", "[users.\"../x\"]\n", "u:1: bad account name \"../x\""},
		{"name too long", "[users." + strings.Repeat("a", 33) + "]\n", "u:1: bad account name \"aaaaaaaa...\""},
		{"users is a number", "users = 3\n", "u:1: users must be a table"},
		{"users is a list", "[[users]]\nname = 'a'\n", "u:1: users must be a table"},
		{"account is a string", "[users]\na = 'x'\n", "u:2: users.a must be a table"},
		{"account is a list", "[[users.a]]\nhome = 'x'\n", "u:1: users.a must be a table"},
		{"defaults is a string", "defaults = 'x'\n", "u:1: defaults must be a table"},
		{"absolute home", "[users.a]\nhome = '/srv'\n", "u:2: a: home: must be relative to the homes directory"},
		{"home outside", "[users.a]\nhome = 'x/../../y'\n", "u:2: a: home: must not contain \"..\""},
		{"all homes", "[users.a]\nhome = '.'\n", "u:2: a: home: must be the shortest spelling of a directory below the homes directory, not \".\""},
		{"empty home", "[users.a]\nhome = ''\n", "u:2: a: home: must be the shortest spelling of a directory below the homes directory, not \"\""},
		{"unclean home", "[users.a]\nhome = 'x//y'\n", "u:2: a: home: must be the shortest spelling of a directory below the homes directory, not \"x//y\""},
		{"home with a newline", "[users.a]\nhome = \"x\\n\"\n", "u:2: a: home: holds a control character"},
		{"home too long", "[users.a]\nhome = '" + strings.Repeat("x", 256) + "'\n", "u:2: a: home: is too long (at most 255 bytes a name, 1024 in all)"},
		{"home is a list", "[users.a]\nhome = ['x']\n", "u:2: a: home: must be a string"},
		{"same home", "[users.a]\nhome = 'x'\n[users.b]\n[users.c]\nhome = 'x'\n", "u:5: c: home \"x\" is also the home of a (line 2)"},
		{"home is another's default", "[users.a]\n[users.c]\nhome = 'a'\n", "u:3: c: home \"a\" is also the home of a (line 1)"},
		{"nested home", "[users.a]\nhome = 'x/y'\n[users.b]\nhome = 'x'\n[users.c]\nhome = 'x-y'\n", "u:2: a: home \"x/y\" lies inside the home of b (line 4)"},
		{"unknown right", "[users.a]\nrights = ['read', 'fly']\n", "u:2: a: rights: \"fly\" is not one of list, read, write, overwrite, delete, exec, admin, *"},
		{"right is a number", "[users.a]\nrights = [1]\n", "u:2: a: rights: \"1\" is not one of list, read, write, overwrite, delete, exec, admin, *"},
		{"rights is a string", "[users.a]\nrights = 'read'\n", "u:2: a: rights: must be a list of strings"},
		{"bad default right", "[defaults]\nrights = ['x']\n", "u:2: defaults: rights: \"x\" is not one of list, read, write, overwrite, delete, exec, admin, *"},
		{"locked is a boolean", "[users.a]\nlocked = true\n", "u:2: a: locked: must be a string, the reason"},
		{"locked with an escape", "[users.a]\nlocked = \"\\u001b[2J\"\n", "u:2: a: locked: holds a control character"},
		{"credential as a reason", "[users.a]\nlocked = '" + record + "'\n", "u:2: a: locked: looks like a credential"},
		{"credential as a home", "[users.a]\nhome = '" + record + "'\n", "u:2: a: home: looks like a credential"},
		{"a default is wrong", "[defaults]\nquota = 10\n[users.a]\n", "u:2: defaults: quota: must be a string such as \"10GiB\""},
		{"keys for all", "[defaults]\nkeys = []\n", "u:2: [defaults] cannot hold \"keys\""},
		{"quota 0", "[users.a]\nquota = '0GiB'\n", "u:2: a: quota: must be more than 0; \"none\" is no limit"},
		{"quota negative", "[users.a]\nquota = '-1GiB'\n", "u:2: a: quota: \"-1GiB\" is not a number with a unit, such as 10GiB"},
		{"quota overflows", "[users.a]\nquota = '8192PiB'\n", "u:2: a: quota: \"8192PiB\" is too large"},
		{"files negative", "[users.a]\nquota_files = -1\n", "u:2: a: quota_files: must be more than 0; \"none\" is no limit"},
		{"files a float", "[users.a]\nquota_files = 1.5\n", "u:2: a: quota_files: must be a number without quotes, or \"none\""},
		{"rate a size", "[users.a]\nrate_up = '1MiB'\n", "u:2: a: rate_up: \"1MiB\" does not end in /s"},
		{"rate a trickle", "[users.a]\nrate_down = '100B/s'\n", "u:2: a: rate_down: must be at least 64KiB/s"},
		{"sessions a string", "[users.a]\nmax_sessions = '4'\n", "u:2: a: max_sessions: must be a number without quotes, or \"none\""},
		{"network too long", "[users.a]\nallow_from = ['192.0.2.0/33']\n", "u:2: a: allow_from: \"192.0.2.0/33\" is neither an address nor a network such as 192.0.2.0/24"},
		{"network with a host", "[users.a]\nallow_from = ['192.0.2.7/24']\n", "u:2: a: allow_from: \"192.0.2.7/24\" has bits beyond the network: write 192.0.2.0/24"},
		{"mapped network", "[users.a]\nallow_from = ['::ffff:192.0.2.7']\n", "u:2: a: allow_from: \"::ffff:192.0.2.7\" is an IPv4 address written as IPv6: write 192.0.2.7"},
		{"address with a zone", "[users.a]\nallow_from = ['fe80::1%eth0']\n", "u:2: a: allow_from: \"fe80::1%eth0\" is neither an address nor a network such as 192.0.2.0/24"},
		{"no such day", "[users.a]\nexpires = '2027-02-29'\n", "u:2: a: expires: \"2027-02-29\" is not a date such as 2027-01-31"},
		{"a moment", "[users.a]\nexpires = 2027-02-28T12:00:00Z\n", "u:2: a: expires: must be a date without a time, such as 2027-01-31"},
		{"a word for a switch", "[users.a]\nmust_change_password = 'yes'\n", "u:2: a: must_change_password: must be true or false"},
		{"key is none", "[users.a]\nkeys = ['ssh-ed25519']\n", "u:2: a: keys: key 1: \"ssh-ed25519\" is not a public key such as ssh-ed25519 AAAA... name"},
		{"key with options", "[users.a]\nkeys = ['no-pty " + publicKey + "']\n", "u:2: a: keys: key 1: options such as \"no-pty\" are not taken; allow_from limits addresses"},
		{"key twice", "[users.a]\nkeys = ['" + publicKey + "', '" + publicKey + " again']\n", "u:2: a: keys: key 2 is there twice"},
		{"private key", "[users.a]\nkeys = ['-----BEGIN OPENSSH PRIVATE KEY-----']\n", "u:2: a: keys: key 1: this is a private key; the public one is in the file that ends in .pub"},
		{"short RSA key", "[users.a]\nkeys = ['" + weakKey + "']\n", "u:2: a: keys: key 1: an RSA key needs at least 2048 bits, this one has 1024"},
		{"rules are a table", "[users.a.rules]\npath = '/x'\n", "u:1: a: rules: must be tables like [[users.NAME.rules]], or []"},
		{"rule without rights", "[users.a]\n[[users.a.rules]]\npath = '/x'\n", "u:2: a: rules: a rule needs rights"},
		{"rule without a path", "[users.a]\n[[users.a.rules]]\nrights = []\n", "u:2: a: rules: a rule needs a path, a string"},
		{"second rule is wrong", "[users.a]\n[[users.a.rules]]\npath = '/x'\nrights = []\n[[users.a.rules]]\npath = 'y'\nrights = []\n", "u:6: a: rules: path \"y\" is not the shortest spelling of a path that begins with /, the home"},
		{"second rights are wrong", "[users.a]\n[[users.a.rules]]\npath = '/x'\nrights = []\n\n[[users.a.rules]]\npath = '/y'\nrights = ['admin']\n", "u:8: a: rules: rights of \"/y\": exec and admin cannot be given by a rule"},
		{"same path twice", "[[users.a.rules]]\npath = '/x'\nrights = []\n[[users.a.rules]]\npath = '/x'\nrights = ['list']\n", "u:5: a: rules: there are two for \"/x\""},
		{"unknown key in a rule", "[[defaults.rules]]\npath = '/x'\nright = []\n", "u:3: defaults: rules: unknown key \"right\": a rule has path and rights"},
		{"locked too long", "[users.a]\nlocked = '" + strings.Repeat("x", 201) + "'\n", "u:2: a: locked: is too long (at most 200 bytes)"},
		{"too large", strings.Repeat("#\n", maxFile/2+1), "u: is larger than 8 MiB"},
		{"many tables", strings.Repeat("[x]\n", maxItems+1), "u:200001: too many keys and tables (at most 200000)"},
		{"deep lists", "[users.a]\nrights = " + strings.Repeat("[", 3<<20) + "\n", "u:2: nested too deeply (at most 16 levels)"},
		{"deep inline tables", "x = " + strings.Repeat("{a=", 1<<20), "u:1: nested too deeply (at most 16 levels)"},
		{"deep header", "[" + strings.Repeat("a.", 1<<20) + "a]\n", "u:1: nested too deeply (at most 16 levels)"},
		{"deep key in a table", "x = {" + strings.Repeat("a.", 1<<20) + "a=1}\n", "u:1: nested too deeply (at most 16 levels)"},
		{"deep after an error", "x = }" + strings.Repeat("[", 3<<20), ""},
		{"deep after a bad string", "x = \"\\q" + strings.Repeat("[", 3<<20) + "\"\n", ""},
	} {
		_, err := Parse("u", []byte(tt.text))
		e, ok := err.(*Error)
		if !ok {
			t.Errorf("%s: got %v, want an *Error", tt.name, err)
			continue
		}
		if tt.want != "" && e.Error() != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, e, tt.want)
		}
		for _, part := range strings.Split(record, "$")[4:] {
			if strings.Contains(e.Error()+e.Hint(), part[:12]) {
				t.Errorf("%s: the message shows a credential: %s", tt.name, e)
			}
		}
		if tt.want == "" && (e.Line == 0 || len(e.Error()) > 200) {
			t.Errorf("%s: got %q, want a short message with a line", tt.name, e)
		}
	}
}

// All that is wrong is told, in the order of the file, once.
func TestProblems(t *testing.T) {
	path := write(t, "[users.a]\nhome = '/'\nmax_file_size = 1\nrules = [{path='/x'},\n  {path='y'}]\n[users.b]\nhome = 'c'\n[users.C]\n[users.c]\nlockd = 1\n[defaults]\nmax_sessions = ''\n[user.x]\n")
	_, list, err := Problems(path)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range list {
		got = append(got, strings.TrimPrefix(e.Error(), path+":"))
		if e.Hint() == "" {
			t.Errorf("%v: no advice", e)
		}
	}
	want := []string{
		`2: a: home: must be relative to the homes directory`,
		`3: a: max_file_size: must be a string such as "10GiB"`,
		`4: a: rules: a rule needs rights`,
		`8: bad account name "C"`,
		`9: c: home "c" is also the home of b (line 7)`,
		`10: c: unknown key "lockd"`,
		`12: defaults: max_sessions: must be a number without quotes, or "none"`,
		`13: unknown key "user"`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if set, list, err := Problems(write(t, "[users.a]\n")); err != nil || len(list) > 0 || set.Len() != 1 {
		t.Errorf("a right file: %v, %v, %v", set, list, err)
	}
	if _, list, err := Problems(write(t, "[users.a\n[users.a\n")); err != nil || len(list) != 1 {
		t.Errorf("not TOML: %v, %v", list, err)
	}
}

// One account that cannot log in is no reason to refuse the others.
func TestWarnings(t *testing.T) {
	s, err := Parse("u", []byte("[users.a]\nauth = \"$9z$new$hash\"\n[users.b]\n[users.c]\nauth = \""+record+"\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"u:2: a has a credential of a scheme that is not known here and cannot log in",
		"u:3: b has no password and cannot log in",
	}
	if got := s.Warnings(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for name, has := range map[string]bool{"a": false, "b": false, "c": true} {
		if a, _ := s.Lookup(name); a.HasAuth != has {
			t.Errorf("%s: HasAuth is %v, want %v", name, a.HasAuth, has)
		}
	}
	if c, _ := s.Lookup("c"); c.Auth.String() != record {
		t.Error("the credential is not the one of the file")
	}
}

func TestRights(t *testing.T) {
	if All.Has(Exec) || All.Has(Admin) || !All.Has(List|Read|Write|Overwrite|Delete) {
		t.Errorf("All is %v", All)
	}
	if got := (Exec | Admin).String(); got != "exec,admin" {
		t.Errorf("got %q", got)
	}
}

// many returns a users.toml of n accounts.
func many(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, "[users.u%05d]\nauth = %q\nhome = \"team%d/u%05d\"\nrights = [\"list\", \"read\"]\n\n", i, record, i%100, i)
	}
	return b.Bytes()
}

func TestTenThousand(t *testing.T) {
	s, err := Parse("u", many(10_000))
	if err != nil || s.Len() != 10_000 {
		t.Fatalf("got %v accounts, %v", s, err)
	}
}

// Reading a large file and editing it cost allocations for each account, which is nearly all of the time: an edit decodes all of
// it once, and then only what it touched.
func TestParseCost(t *testing.T) {
	const accounts = 1000
	var ruled bytes.Buffer
	for i := range accounts {
		fmt.Fprintf(&ruled, "[users.u%05d]\nauth = %q\n\n[[users.u%05d.rules]]\npath = \"/in\"\nrights = [\"write\"]\n\n", i, record, i)
	}
	for name, text := range map[string][]byte{"accounts": many(accounts), "accounts with rules": ruled.Bytes()} {
		parse := testing.AllocsPerRun(3, func() {
			if _, err := Parse("u", text); err != nil {
				t.Fatal(err)
			}
		})
		path, n := write(t, string(text)), 0
		edit := testing.AllocsPerRun(3, func() {
			n++
			if err := Edit(path, set("u00500", "locked", fmt.Sprint("reason ", n))); err != nil {
				t.Fatal(err)
			}
		})
		t.Logf("%s: for each %.1f allocations by Parse, %.1f by Edit", name, parse/accounts, edit/accounts)
		if parse > 35*accounts || edit > parse+2*accounts {
			t.Errorf("%s: for each %.1f allocations by Parse, want at most 35; %.1f by Edit, want at most 2 more", name, parse/accounts, edit/accounts)
		}
	}
}

// A string that the end of the text cuts off behind a backslash is an error, whatever room there is behind the text.
func TestParseCutOff(t *testing.T) {
	for n := range 100 {
		text := []byte("[users.a]\nhome = \"" + strings.Repeat("x", n) + "\\")
		if _, err := Parse("u", text[:len(text):len(text)]); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}

func BenchmarkParse10000(b *testing.B) {
	text := many(10_000)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := Parse("u", text); err != nil {
			b.Fatal(err)
		}
	}
}

// The worst file that the size limit lets through.
func BenchmarkParseLargest(b *testing.B) {
	var text bytes.Buffer
	for i := range maxItems {
		fmt.Fprintf(&text, "[users.%026x]\n", i)
	}
	for b.Loop() {
		if _, err := Parse("u", text.Bytes()); err != nil {
			b.Fatal(err)
		}
	}
}

// What plain decodes is what the TOML library makes of it.
func FuzzPlain(f *testing.F) {
	example, err := os.ReadFile("../../users.toml.example")
	if err != nil {
		f.Fatal(err)
	}
	for _, text := range []string{
		string(example), handmadeValid(), ruledText(),
		"[users.a]\n[users.a]\n", "[[users.a.rules]]\n[users.a]\n", "[users.a]\nx = ''\n[[users.a.x]]\n", "[defaults]\nx = 1\nx = 2",
		"[users.a]\nv = [ \"x\",'y' , ] # z\nw = [,]\n", "[users.'a.b']\nv = 2027-01-31\nw = \"\\u0041\"\nx = 0\ny = 007\nz = true\n",
		"[users.a]\nv = \"\"\"x\"\"\"\nw = ''''\n", "[users.a]\nv = ''\nw = \"\"\nx = [\"\", '']\n", "\ufeff[users . \"a\"]\nv = [\n'x', # c\n]\n",
		"[users.\"\\x41\"]\n'\\' = [[1], [{a = 1, b.c = 2}]]\n", "[users.a]\r\nv = 1\n", "[users.a]\nv = \"\x80\"\n", "[users.a]\nv = \"\x1f\"\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		items, bad := scan(text)
		if bad != nil {
			return
		}
		got, ok := plain(text, items)
		if !ok {
			return
		}
		quick, whole := &parser{file: "u"}, &parser{file: "u", items: items}
		if err := quick.decode([]byte(text)); err != nil {
			t.Fatalf("%q was decoded, then refused: %v", text, err)
		}
		if err := whole.decodeAny(text, nil); err != nil {
			t.Fatalf("%q was decoded, the library refuses it: %v", text, err)
		}
		if !reflect.DeepEqual(got, whole.model) && len(got)+len(whole.model) > 0 {
			t.Fatalf("%q:\n got %v\nwant %v", text, got, whole.model)
		}
		set, err := quick.set()
		wantSet, wantErr := whole.set()
		if !reflect.DeepEqual(set, wantSet) || !reflect.DeepEqual(err, wantErr) {
			t.Fatalf("%q:\n got %v, %v\nwant %v, %v", text, set, err, wantSet, wantErr)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("[users.a]\nauth = \"" + record + "\"\n[defaults]\nrights = ['*']\n"))
	f.Add([]byte("users = { a = { home = 'h' } }\r\n# c\r\n"))
	f.Add([]byte("[users.\"a.b\"]\nlocked = '''\n[users.x]\n''' # y"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := Parse("u", text)
		if err != nil {
			if e, ok := err.(*Error); !ok || s != nil || e.Msg == "" {
				t.Fatalf("got %v, %v", s, err)
			}
			return
		}
		homes := map[string]bool{}
		for a := range s.All() {
			if CheckName(a.Name) != nil || setHome(&Account{}, a.Home) != nil || homes[a.Home] || a.Line < 1 {
				t.Fatalf("accepted %+v", a)
			}
			homes[a.Home] = true
		}
	})
}

func TestUnknownKeyHint(t *testing.T) {
	for text, want := range map[string]string{
		"[users.j.doe]\n":                       `the name of an account with a dot is quoted: [users."j.doe"]`,
		"[users.j]\n[users.j.Doe]\n":            "known keys: ",
		"[defaults.doe]\n":                      "known keys: ",
		"[users.j]\nqouta = '1GiB'\n":           "known keys: ",
		"[users.j]\npassword = 'open sesame'\n": "ferryd user passwd NAME makes the line that begins with auth",
	} {
		_, err := Parse("u", []byte(text))
		if e, ok := err.(*Error); !ok || !strings.HasPrefix(e.Hint(), want) {
			t.Errorf("%q: %#v, want the hint %q", text, err, want)
		}
	}
}
