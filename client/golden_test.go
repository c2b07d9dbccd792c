package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"ferry/client/shell"
	"ferry/server/servertest"
)

// TestGolden: what each command of the shell writes, as text and with --json, is what testdata/golden has of it. There the lines before the
// first section are the script, those of the section before are run in advance; here/ are files on this machine, there/
// on the server. UPDATE=1 writes the sections text and json.
func TestGolden(t *testing.T) {
	private, public, err := newKey("")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("testdata/golden/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range shell.All() {
		path := filepath.Join("testdata/golden", strings.Replace(c.Name, "!", "local", 1)+".txtar")
		files = slices.DeleteFunc(files, func(f string) bool { return f == path })
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			golden, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains("\n"+string(golden.Comment), "\n"+c.Name) {
				t.Errorf("%s does not run %s", path, c.Name)
			}
			for mode, options := range map[string][]string{"text": nil, "json": {"--json"}} {
				server := servertest.New(t, servertest.WithOpenRegister())
				server.AddUser("alice", password)
				server.Set("alice", "keys", public)
				if c.Group == "admin" {
					server.Set("alice", "rights", "*,admin")
				}
				played := play(t, server, golden, private, options...)
				compare(t, golden, mode, played)
			}
			if os.Getenv("UPDATE") != "" && !t.Failed() {
				if err := os.WriteFile(path, txtar.Format(golden), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	for _, f := range files {
		t.Errorf("%s is about no command", f)
	}
}

// play runs the script of a golden file and returns what it writes, as if it did so at another place and time.
func play(t *testing.T, server *servertest.Server, golden *txtar.Archive, key []byte, options ...string) string {
	t.Helper()
	here, before := t.TempDir(), ""
	put(t, filepath.Join(here, ".key"), key)
	for _, f := range golden.Files {
		side, name, _ := strings.Cut(f.Name, "/")
		dir := map[string]string{"here": here, "there": server.Home("alice")}[side]
		switch {
		case f.Name == "before":
			before = string(f.Data)
		case dir != "":
			put(t, filepath.Join(dir, name), f.Data)
		}
	}
	ferry, err := exec.LookPath("ferry") // testscript puts it there
	if err != nil {
		t.Fatal(err)
	}
	run := func(script string, options ...string) (string, error) {
		cmd := exec.Command(ferry, append(options, "--identity", ".key", "--fingerprint", server.Fingerprint(), "alice@"+server.Addr(), "-b", "-")...)
		cmd.Dir, cmd.Stdin = here, strings.NewReader(script)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + here, "XDG_STATE_HOME=" + filepath.Join(here, ".state"), "TZ=UTC", "TERM=dumb",
			"EDITOR=sed -i s/one/two/", "PAGER=cat", "SHELL=/bin/sh", "FERRY_PASSWORD=" + password}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if before != "" {
		if out, err := run(before, options...); err != nil {
			t.Fatalf("before: %v\n%s", err, out)
		}
	}
	out, err := run(string(golden.Comment), options...)
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return elsewhere(out, map[string]string{server.Addr(): "files.example.org:8083", server.Fingerprint(): "SHA256:...", here: "/home/alice"})
}

// put makes a file of some age.
func put(t *testing.T, path string, data []byte) {
	t.Helper()
	then := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = os.WriteFile(path, data, 0o600)
	}
	if err == nil {
		err = os.Chtimes(path, then, then)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// elsewhere replaces what is different each time. What jobs say may come anywhere among the rest: it is moved to the end.
func elsewhere(text string, names map[string]string) string {
	for from, to := range names {
		text = strings.ReplaceAll(text, from, to)
	}
	for _, r := range []struct{ pattern, with string }{ // rates, durations, amounts, marks, ports, fingerprints, modes by umask
		{` at [0-9.]+ .?i?B/s`, ""}, {`(answers in  +)\S+`, "${1}70µs"}, {`("(?:seconds|round_trip|idle|in|out|free)":)[0-9.e-]+`, "${1}0"},
		{`("version":)"[^"]+"`, `$1"..."`}, {`(version  +)\S+`, "$1..."}, {`127\.0\.0\.1:\d{5}`, "127.0.0.1:50123"}, {`SHA256:[A-Za-z0-9+/]{43}`, "SHA256:..."},
		{`(?m)^(bytes .* none) +[0-9.]+( .iB)? `, "$1 123 GiB "}, {`[0-9.]+ KiB  [0-9.]+ KiB`, "1.9 KiB  2.1 KiB"}, {`(?m)^[0-9a-f]{8}  `, "0123abcd  "}, {`("id":)"[0-9a-f]+"`, `$1"0123abcd"`},
		{`-rw-r(?:--|w-)r--`, "-rw-------"}, {`drwxr(?:-x|wx)r-x`, "drwx------"}, {`"mode":"0(6|7)[0-7][45]"`, `"mode":"0${1}00"`},
	} {
		text = regexp.MustCompile(r.pattern).ReplaceAllString(text, r.with)
	}
	text = regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:[0-9.]+Z?)?`).ReplaceAllStringFunc(text, func(at string) string {
		if strings.HasPrefix(at, "2001-") {
			return at
		}
		return "2026-11-21" + at[10:11] + "09:14:00Z"[:min(len(at)-11, 9)]
	})
	var front, jobs strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "[") || strings.Contains(line, `"job":`) {
			jobs.WriteString(line)
			continue
		}
		front.WriteString(line)
	}
	return front.String() + jobs.String()
}

// compare fails unless the golden file has that under a name; UPDATE=1 puts it there.
func compare(t *testing.T, golden *txtar.Archive, name, got string) {
	t.Helper()
	i := slices.IndexFunc(golden.Files, func(f txtar.File) bool { return f.Name == name })
	if os.Getenv("UPDATE") != "" {
		if i < 0 {
			golden.Files = append(golden.Files, txtar.File{Name: name})
			i = len(golden.Files) - 1
		}
		golden.Files[i].Data = []byte(got)
		return
	}
	if i < 0 {
		t.Errorf("there is no golden %s; UPDATE=1 go test ./client writes it", name)
	} else if want := string(golden.Files[i].Data); got != want {
		t.Errorf("with %s it writes\n%s\nand not\n%s", name, got, want)
	}
}
