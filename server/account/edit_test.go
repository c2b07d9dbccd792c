package account

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// handmade is a file as people write it.
const handmade = `# Our server.

[defaults] # all
rights = [ 'list' , "read" ]   # odd spacing

# Alice, the boss.
[users.alice] # since 2019
  auth    =   "` + record + `" # keep
home = 'a'
# end of alice

[ users . "j.doe" ]
locked = """
[users.alice]
home = "x"
""" # not a header
rights = ["list", # look
  "read"]

# Bob comes last
[users.'bob']
home="b"	# tab`

// write makes a users.toml in a fresh directory.
func write(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "users.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func content(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// verb is one edit of the tables below.
type verb func(t *Text) error

func set(name, key, option string) verb {
	return func(t *Text) error { return t.Set(name, key, option) }
}

func del(name string) verb { return func(t *Text) error { return t.Delete(name) } }

func add(name string) verb { return func(t *Text) error { return t.Add(name) } }

// Outside the touched lines every byte stays, in files of both line endings.
func TestEdit(t *testing.T) {
	handmade := strings.Replace(handmade, "locked = \"\"\"\n[users.alice]\nhome = \"x\"\n\"\"\" # not a header\n", "locked = \"\"\"\\\n[users.alice] \\\nhome = 'x' \\\n\"\"\" # not a header\n", 1)
	for _, tt := range []struct {
		name     string
		do       verb
		old, new string // what is replaced in handmade
	}{
		{"change a value", set("alice", "home", "al/ice"), "home = 'a'", `home = "al/ice"`},
		{"keep a trailing comment", set("bob", "home", "bo"), `home="b"	# tab`, `home="bo"	# tab`},
		{"change the odd spacing's value only", set("alice", "auth", strings.Replace(record, "t=3", "t=4", 1)), "t=3", "t=4"},
		{"same value", set("alice", "home", "a"), "", ""},
		{"insert a key", set("alice", "locked", `say "no" \ é`), "home = 'a'\n", "home = 'a'\n" + `locked = "say \"no\" \\ é"` + "\n"},
		{"insert after the last line", set("bob", "rights", "read, *"), "\t# tab", "\t# tab\nrights = [\"read\", \"*\"]\n"},
		{"insert none", set("alice", "rights", "none"), "home = 'a'\n", "home = 'a'\nrights = []\n"},
		{"clear", set("alice", "home", ""), "home = 'a'\n", ""},
		{"clear, the comment stays", set("bob", "home", ""), `home="b"	# tab`, "# tab"},
		{"clear several lines", set("j.doe", "locked", ""), "locked = \"\"\"\\\n[users.alice] \\\nhome = 'x' \\\n\"\"\" # not", "# not"},
		{"replace several lines", set("j.doe", "locked", "x"), "\"\"\"\\\n[users.alice] \\\nhome = 'x' \\\n\"\"\"", `"x"`},
		{"clear what is not there", set("alice", "locked", ""), "", ""},
		{"add", add("zoe"), "# tab", "# tab\n\n[users.zoe]\n"},
		{"add a dotted name", add("z.o.e"), "# tab", "# tab\n\n[users.\"z.o.e\"]\n"},
		{"delete the first", del("alice"), "[users.alice] # since 2019\n  auth    =   \"" + record + "\" # keep\nhome = 'a'\n", ""},
		{"delete the last", del("bob"), "[users.'bob']\nhome=\"b\"	# tab", ""},
	} {
		for _, eol := range []string{"\n", "\r\n"} {
			crlf := func(s string) string { return strings.ReplaceAll(s, "\n", eol) }
			path := write(t, crlf(handmade))
			if err := Edit(path, tt.do); err != nil {
				t.Errorf("%s (%q): %v", tt.name, eol, err)
				continue
			}
			want := crlf(strings.Replace(handmade, tt.old, tt.new, 1))
			if tt.old == "" {
				want = crlf(handmade)
			}
			if got := content(t, path); got != want {
				t.Errorf("%s (%q):\n got %q\nwant %q", tt.name, eol, got, want)
			}
		}
	}
}

// What was added and deleted again leaves no trace.
func TestAddDelete(t *testing.T) {
	for _, text := range []string{"", "# x\n", strings.TrimSuffix(handmadeValid(), "\n") + "\n", "[users.a]\r\n"} {
		path := write(t, text)
		if err := Edit(path, add("new")); err != nil {
			t.Fatal(err)
		}
		if err := Edit(path, func(t *Text) error {
			return errors.Join(t.Set("new", "home", "n"), t.Set("new", "locked", "x"), t.Delete("new"))
		}); err != nil {
			t.Fatal(err)
		}
		if got := content(t, path); got != text {
			t.Errorf("got %q, want %q", got, text)
		}
	}
}

// handmadeValid is handmade with a reason on one line.
func handmadeValid() string {
	return strings.Replace(handmade, "locked = \"\"\"\n[users.alice]\nhome = \"x\"\n\"\"\"", "locked = '[users.alice]'", 1)
}

// A refused edit says what to do, and the file keeps its bytes and its inode.
func TestEditRefused(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		do         verb
		want, hint string
	}{
		{"add twice", "[users.a]\n", add("a"), "name in use", ""},
		{"set nobody", "[users.a]\n", set("b", "home", "x"), "no such user", ""},
		{"delete nobody", "[users.a]\n", del("b"), "no such user", ""},
		{"bad name", "", add("A b"), `bad account name "A b"`, nameHint},
		{"bad value", "[users.a]\n", set("a", "home", "../x"), `home: must not contain ".."`, `in the file it looks like: home = "alice"`},
		{"unknown key", "[users.a]\n", set("a", "hone", "x"), `unknown key "hone"`, ""},
		{"newline in a reason", "[users.a]\n", set("a", "locked", "x\n[users.b]"), "locked: holds a control character", `in the file it looks like: locked = "left in May"`},
		{"nested homes", "[users.a]\n[users.b]\n", set("b", "home", "a/b"), `b: home "a/b" lies inside the home of a (line 1)`, "give each account a home of its own"},
		{"broken file", "[users.a]\nhome = 'x'\nlockd = 1\n", set("a", "home", "y"), `PATH:3: a: unknown key "lockd"`, "known keys: " + keyNames()},
		{"inline account", "[users.a]\n[users]\nb = { home = 'x' }\n", set("b", "home", "y"), "the account is not written as a [users.b] table", "edit line 3 of PATH by hand"},
		{"inline account deleted", "# x\nusers.b = { home = 'x' }\n", del("b"), "the account is not written as a [users.b] table", "edit line 2 of PATH by hand"},
		{"dotted account", "users.b.home = 'x'\n", set("b", "locked", "y"), "the account is not written as a [users.b] table", "edit line 1 of PATH by hand"},
		{"add to inline users", "users = { b = { home = 'x' } }\n", add("a"), "users is written as an inline table", "edit line 1 of PATH by hand"},
		{"two places", "[users.a]\n[users]\na.home = 'x'\n", set("a", "home", "y"), "home is not in the account's table", "edit line 3 of PATH by hand"},
		{"comments in a value", "[users.a]\nrights = [ # x\n]\n", set("a", "rights", "read"), "the value of rights has comments inside", "edit line 2 of PATH by hand"},
		{"comments in a cleared value", "[users.a]\nrights = [ # x\n]\n", set("a", "rights", ""), "the value of rights has comments inside", "edit line 2 of PATH by hand"},
	} {
		path := write(t, tt.text)
		before, _ := os.Stat(path)
		err := Edit(path, tt.do)
		if err == nil {
			t.Errorf("%s: not refused: %q", tt.name, content(t, path))
			continue
		}
		var h interface{ Hint() string }
		hint := ""
		if errors.As(err, &h) {
			hint = h.Hint()
		}
		if got := strings.ReplaceAll(err.Error(), path, "PATH"); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
		if got := strings.ReplaceAll(hint, path, "PATH"); got != tt.hint {
			t.Errorf("%s: got hint %q, want %q", tt.name, got, tt.hint)
		}
		if after, _ := os.Stat(path); !os.SameFile(before, after) || content(t, path) != tt.text {
			t.Errorf("%s: the file was touched", tt.name)
		}
	}
}

// The replaced file keeps its mode, and the one before it is the backup.
func TestEditFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.toml")
	if err := Edit(path, add("a")); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("a new file is %v, %v", info.Mode(), err)
	}
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	first := content(t, path)
	if err := Edit(path, add("b")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, path + ".bak"} {
		if info, err := os.Stat(name); err != nil || info.Mode() != 0o400 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	if got := content(t, path+".bak"); got != first {
		t.Errorf("the backup is %q, want %q", got, first)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 3 { // the file, its backup, the lock
		t.Errorf("got %v, %v", entries, err)
	}
}

// A file that another program changed after it was read is not overwritten.
func TestEditChangedOnDisk(t *testing.T) {
	const by = "[users.by-hand]\n"
	for _, old := range []string{"[users.a]\n", ""} {
		path := write(t, old)
		if old == "" {
			os.Remove(path)
		}
		err := Edit(path, func(text *Text) error {
			if err := os.WriteFile(path, []byte(by), 0o600); err != nil {
				t.Fatal(err)
			}
			return text.Add("b")
		})
		if err == nil || !strings.HasSuffix(err.Error(), "changed on disk meanwhile") {
			t.Errorf("got %v", err)
		}
		if got := content(t, path); got != by {
			t.Errorf("got %q", got)
		}
	}
}

// Twenty editors with lock handles of their own lose nothing.
func TestEditParallel(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.toml")
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if err := Edit(path, add(fmt.Sprintf("u%d", i))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if s, err := Load(path); err != nil || s.Len() != 20 {
		t.Errorf("got %v, %v", s, err)
	}
}

// TestMain lets the test binary stand in for an editing process: it adds accounts from the number given on, for ever, and
// says of each when it is there.
func TestMain(m *testing.M) {
	if path := os.Getenv("ACCOUNT_TEST_EDIT"); path != "" {
		first, _ := strconv.Atoi(os.Getenv("ACCOUNT_TEST_FIRST"))
		for i := first; ; i++ {
			err := Edit(path, func(t *Text) error {
				return errors.Join(t.Add(fmt.Sprintf("u%d", i)), t.Set("bob", "locked", fmt.Sprint("change ", i)))
			})
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			fmt.Println(i)
		}
	}
	os.Exit(m.Run())
}

// kill -9 at any moment of 200 edits leaves a whole file with every change that was acknowledged, and no lock behind.
func TestEditKilled(t *testing.T) {
	path := write(t, handmadeValid())
	random := rand.New(rand.NewPCG(1, 2))
	for done := 0; done < 200; {
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), "ACCOUNT_TEST_EDIT="+path, "ACCOUNT_TEST_FIRST="+strconv.Itoa(done))
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for range 1 + random.IntN(20) {
			if !lines.Scan() {
				t.Fatal("the editing process ended")
			}
		}
		for range random.IntN(50) {
			runtime.Gosched() // somewhere in the next edit
		}
		c.Process.Kill()
		acknowledged := lines.Text()
		for lines.Scan() {
			acknowledged = lines.Text()
		}
		c.Wait()
		last, err := strconv.Atoi(acknowledged)
		if err != nil {
			t.Fatal(err)
		}
		s, err := Load(path)
		if err != nil {
			t.Fatal(err)
		}
		for i := range last + 1 {
			if _, ok := s.Lookup(fmt.Sprintf("u%d", i)); !ok {
				t.Fatalf("u%d was acknowledged and is not there", i)
			}
		}
		done = s.Len() - 3
		bob, _ := s.Lookup("bob")
		if want := fmt.Sprint("change ", done-1); bob.Locked != want || done < last+1 || done > last+2 {
			t.Fatalf("after edit %d there are %d, and bob is %q, want %q", last, done, bob.Locked, want)
		}
	}
	if err := Edit(path, add("after")); err != nil {
		t.Error(err)
	}
	if got := content(t, path); !strings.HasPrefix(got, handmadeValid()) {
		t.Errorf("what people wrote has changed: %q", got)
	}
}

// One edit of a large file, its syncs included.
func BenchmarkEdit10000(b *testing.B) {
	path := write(b, string(many(10_000)))
	for i := 0; b.Loop(); i++ {
		if err := Edit(path, set("u05000", "locked", fmt.Sprint("reason ", i))); err != nil {
			b.Fatal(err)
		}
	}
}

// Whatever the file looks like, an edit changes its one account or is refused.
func FuzzEdit(f *testing.F) {
	for _, text := range []string{
		handmadeValid(), "users.a = {}\n", "users = { a = {} }", "[users]\na.home = 'x'\n[users.b]\n",
		"[[x]]\n", "[users.a]\nrights = [\n'read', # c\n]\r\n[users.b]", "\ufeff[users.a]", "[users.a.b]\n[users.a]\n",
		"[users.\"\\u0061\"]\nhome = 'q'\n", "[users.a]\nlocked = ''''x'''''\n", "[users.a]\nlocked = \"\"\"x\\\"\"\"\"\n# [users.b]\n",
	} {
		f.Add([]byte(text), uint8(0), "a", "home", "x/y")
		f.Add([]byte(text), uint8(1), "bob", "locked", "a\"b\\ # c")
		f.Add([]byte(text), uint8(2), "a", "rights", "")
		f.Add([]byte(text), uint8(1), "j.doe", "rights", "read,none")
		f.Add([]byte(text), uint8(1), "bob", "rules", "/x=read;/y=list")
		f.Add([]byte(text), uint8(4), "alice", "rules", "")
	}
	for which, option := range map[uint8]string{1: "/secret=list;/new=none", 3: rsaKey} {
		f.Add([]byte(ruledText()), which, "alice", "rules", option)
		f.Add([]byte(ruledText()), which, "inline", "rules", option)
	}
	f.Fuzz(func(t *testing.T, text []byte, which uint8, name, key, option string) {
		edit, err := newText("u", text)
		if err != nil {
			return
		}
		which %= 5
		do := []verb{add(name), set(name, key, option), del(name), addKey(name, option), off(name, key)}[which]
		if do(edit) != nil {
			return
		}
		result, err := edit.finish()
		if whole := edit.checkWhole(); (whole == nil) != (err == nil) {
			t.Fatalf("in part: %v, as a whole: %v\n%q\n%q", err, whole, text, edit.text)
		}
		if err != nil {
			return
		}
		after, err := Parse("u", result)
		if err != nil {
			t.Fatalf("the edit broke the file: %v\n%q\n%q", err, text, result)
		}
		before := edit.Accounts()
		for a := range before.All() {
			b, ok := after.Lookup(a.Name)
			if a.Name == name {
				continue
			}
			if !ok {
				t.Fatalf("%s is gone\n%q\n%q", a.Name, text, result)
			}
			x, y := *a, *b
			x.Line, y.Line = 0, 0
			if !reflect.DeepEqual(x, y) {
				t.Fatalf("%s changed\n%q\n%q", a.Name, text, result)
			}
		}
		if n := bytes.Count(text, []byte("#")); which != 2 && key != "rules" && bytes.Count(result, []byte("#")) < n-bytes.Count([]byte(option), []byte("#")) && !bytes.ContainsAny(text, "\"'") {
			t.Fatalf("a comment was lost\n%q\n%q", text, result)
		}
		has := after.byName[name] != nil
		if want := which != 2; has != want {
			t.Fatalf("after the edit %q is there: %v, want %v", name, has, want)
		}
	})
}

// collect makes a callback that passes what it is called with to a channel.
func collect[T any](ctx context.Context, c chan<- T) func(T) {
	return func(v T) {
		select {
		case c <- v:
		case <-ctx.Done():
		}
	}
}
