package transfer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"ferry/client/remote"
)

// walked returns what a walk finds and what it fails at, in order; directories end in a slash, special files in an @.
func walked(t *testing.T, w *walker) (found, failed []string) {
	t.Helper()
	w.found = func(name string, f File) {
		found = append(found, name+map[Kind]string{Directory: "/", Special: "@"}[f.Kind])
	}
	w.failed = func(name string, err error) { failed = append(failed, name) }
	if err := w.walk(t.Context()); err != nil {
		t.Fatal(err)
	}
	slices.Sort(found)
	return found, failed
}

func TestWalk(t *testing.T) {
	top := t.TempDir()
	for _, dir := range []string{"d/e", "empty", "skip/s"} {
		if err := os.MkdirAll(filepath.Join(top, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"a", "d/b", "d/e/c.x", "skip/s/f", "bad\xffname"} {
		if err := os.WriteFile(filepath.Join(top, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	err := errors.Join(syscall.Mkfifo(filepath.Join(top, "fifo"), 0o600), os.Symlink("../a", filepath.Join(top, "d/link")),
		os.Symlink("..", filepath.Join(top, "d/up")), os.Symlink("gone", filepath.Join(top, "lost")), os.Symlink("d/e", filepath.Join(top, "short")))
	if err != nil {
		t.Fatal(err)
	}
	filter, err := NewFilter(nil, []string{"skip", "*.x"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		w             walker
		found, failed string
	}{
		{walker{}, "a bad\xffname d/ d/b d/e/ d/e/c.x d/link@ d/up@ empty/ fifo@ lost@ short@ skip/ skip/s/ skip/s/f", ""},
		{walker{filter: filter}, "a bad\xffname d/ d/b d/e/ d/link@ d/up@ empty/ fifo@ lost@ short@", ""},
		{walker{filter: filter, follow: true}, "a bad\xffname d/ d/b d/e/ d/link empty/ fifo@ lost@ short/", "d/up"},
	} {
		c.w.top = top
		found, failed := walked(t, &c.w)
		if strings.Join(found, " ") != c.found || strings.Join(failed, " ") != c.failed {
			t.Errorf("follow %v: found %q, failed at %q", c.w.follow, found, failed)
		}
	}
	if found, _ := walked(t, &walker{top: filepath.Join(top, "nothing")}); found != nil {
		t.Errorf("nothing holds %q", found)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := walker{top: top, found: func(string, File) {}}
	if err := w.walk(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a walk that is stopped: %v", err)
	}
}

func TestCompareNames(t *testing.T) {
	names := []string{"", "a", "a/b", "a/b/c", "a b", "a-b", "a.b/c", "ab", "b"}
	for i, a := range names {
		for j, b := range names {
			if got := compareNames(a, b); (got < 0) != (i < j) || (got == 0) != (i == j) {
				t.Errorf("compare %q and %q: %d", a, b, got)
			}
		}
	}
}

// tree reads "name:length:mtime name/ name@" as what one side has.
func tree(t *testing.T, text string) (list []named) {
	t.Helper()
	for word := range strings.FieldsSeq(text) {
		f := named{name: word, File: File{Kind: Regular, Mode: 0o644}}
		switch {
		case strings.HasSuffix(word, "/"):
			f.name, f.Kind = strings.TrimSuffix(word, "/"), Directory
		case strings.HasSuffix(word, "@"):
			f.name, f.Kind = strings.TrimSuffix(word, "@"), Special
		default:
			if _, err := fmt.Sscanf(strings.ReplaceAll(word, ":", " "), "%s %d %d", &f.name, &f.Length, &f.Mtime); err != nil {
				t.Fatal(word, err)
			}
		}
		list = append(list, f)
	}
	sortNames(list)
	return list
}

// planned returns what a plan does, and what it reports, as words.
func planned(t *testing.T, o TreeOptions, root Root, source, target []named) (deeds, events string) {
	t.Helper()
	var told []string
	o.Report = func(e Event) {
		name := strings.TrimPrefix(e.Remote, "/r/")
		told = append(told, [...]string{"moved", "made", "unchanged", "skipped", "deleted", "ignored", "failed"}[e.Outcome]+":"+name)
	}
	p := &planner{Plan: &Plan{opts: o}}
	n := &names{root: &root, source: source, target: map[string]File{}, top: len(target) > 0, ignored: map[string]bool{}}
	for _, f := range target {
		n.target[f.name] = f.File
	}
	p.match(n)
	if o.Delete {
		p.surplus(n)
	}
	for i := range p.doubt {
		if err := p.settle(t.Context(), &p.doubt[i]); err != nil {
			t.Fatal(err)
		}
	}
	var words []string
	for _, list := range [][]Task{p.Clear, p.Tasks, p.Deletes} {
		for _, task := range list {
			words = append(words, task.Deed.String()+":"+task.target())
		}
	}
	return strings.Join(words, " "), strings.Join(told, " ")
}

func TestPlan(t *testing.T) {
	for name, c := range map[string]struct {
		o              TreeOptions
		source, target string
		deeds, events  string
	}{
		"new":               {TreeOptions{}, "a:1:1 d/ d/b:2:2 e/ e/f/", "", "new:a new:d/b mkdir:e/f", ""},
		"nothing at all":    {TreeOptions{}, "", "", "mkdir:", ""},
		"unchanged":         {TreeOptions{}, "a:1:1 d/ d/b:2:2", "a:1:1 d/ d/b:2:2 more:1:1", "", "unchanged:a unchanged:d/b"},
		"refuse":            {TreeOptions{}, "a:1:1", "a:2:1", "", "failed:a"},
		"replace":           {TreeOptions{Existing: Replace}, "a:1:1 b:1:1 l:1:1", "a:2:1 b:1:2 l@", "replace:a replace:b replace:l", ""},
		"skip":              {TreeOptions{Existing: Skip}, "a:1:1", "a:2:1", "", "skipped:a"},
		"keep both":         {TreeOptions{Existing: KeepBoth}, "a.b:1:1 .c:1:1 d/ d/e:1:1", "a.b:2:1 .c:2:2 d/ d/e:2:2", "new:.c (2) new:a (2).b new:d/e (2)", ""},
		"keep both again":   {TreeOptions{Existing: KeepBoth}, "a.b:1:1", "a.b:2:1 x:1:1", "new:a (2).b", ""},
		"empty directories": {TreeOptions{}, "a/ a/b/ a-b/ a/c:1:1 z/ z/y/ z/y/x/", "z/", "mkdir:a/b new:a/c mkdir:a-b mkdir:z/y/x", ""},
		"special":           {TreeOptions{Delete: true}, "l@ a.ferry-part:1:1", "l/ l/x:1:1 a.ferry-part:1:1", "", "ignored:a.ferry-part ignored:l"},
		"delete": {TreeOptions{Delete: true}, "a:1:1 d/", "a:1:1 b:1:1 d/ d/e/ d/e/f:1:1 g@ h/ h/x.ferry-part:1:1 i/ i/j/", "delete:b delete:d/e/f delete:g delete:i/j delete:i delete:d/e",
			"unchanged:a"},
		"file over directory":           {TreeOptions{Mirror: true, Existing: Replace}, "a:1:1", "a/ a/b:1:1", "", "failed:a"},
		"directory over file":           {TreeOptions{Mirror: true, Existing: Replace}, "a/ a/b:1:1 c:1:1", "a:1:1", "new:c", "failed:a"},
		"file over directory by force":  {TreeOptions{Mirror: true, Existing: Replace, Options: Options{Force: true}, Delete: true}, "a:1:1", "a/ a/b/ a/b/c:1:1", "delete:a/b/c delete:a/b delete:a new:a", ""},
		"directory over file by force":  {TreeOptions{Mirror: true, Existing: Replace, Options: Options{Force: true}}, "a/ a/b:1:1 c/", "a:1:1 c@", "delete:a delete:c new:a/b mkdir:c", ""},
		"a partial is in the directory": {TreeOptions{Mirror: true, Existing: Replace, Options: Options{Force: true}}, "a:1:1", "a/ a/b.ferry-part:1:1", "", "failed:a"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, up := range []bool{true, false} {
				c.o.Up = up
				deeds, events := planned(t, c.o, Root{Local: "l", Remote: "/r"}, tree(t, c.source), tree(t, c.target))
				if deeds != c.deeds || strings.TrimPrefix(events, "/r") != c.events {
					t.Errorf("up %v: does %q and tells %q", up, deeds, events)
				}
			}
		})
	}
}

// What a server may call its files: none of these is made here, and nothing that is said to be in them.
func TestHostileNames(t *testing.T) {
	var source []named
	for _, name := range []string{"../up", "/etc/passwd", "a/../../b", "..", ".", "", "a//b", "a/", "./c", "nul\x00", "twice", "twice", "d/./e"} {
		source = append(source, named{name, File{Kind: Regular, Length: 1}})
	}
	source = append(source, named{"..", File{Kind: Directory}}, named{"../x", File{Kind: Regular}}, named{"good", File{Kind: Regular}})
	sortNames(source)
	deeds, events := planned(t, TreeOptions{}, Root{Local: "l", Remote: "/r"}, source, nil)
	if deeds != "new:good new:twice" {
		t.Errorf("does %q and tells %q", deeds, events)
	}
	if n := strings.Count(events, "failed:"); n != 9 { // the others are in one that is refused
		t.Errorf("%d are refused: %s", n, events)
	}
}

// Directories for what is fetched are real ones, and only below the top.
func TestNest(t *testing.T) {
	top := t.TempDir()
	err := errors.Join(os.Symlink("/", filepath.Join(top, "link")), os.WriteFile(filepath.Join(top, "file"), nil, 0o600), os.Mkdir(filepath.Join(top, "real"), 0o700),
		os.Symlink("real", filepath.Join(top, "chosen")))
	if err != nil {
		t.Fatal(err)
	}
	var synced []string
	n := newNest((&Mover{}).Ops)
	n.ops.SyncDir = func(dir string) error { synced = append(synced, strings.TrimPrefix(dir, top)); return nil }
	for _, c := range []struct {
		root Root
		name string
		ok   bool
	}{
		{Root{Local: top}, "a/b/c", true}, {Root{Local: top}, "real/x", true}, {Root{Local: top}, "link/x", false}, {Root{Local: top}, "file", false},
		{Root{Local: top}, "file/x", false}, {Root{Local: filepath.Join(top, "chosen")}, "y", false}, {Root{Local: filepath.Join(top, "new/top")}, "z", true},
	} {
		if err := n.make(&c.root, c.name); (err == nil) != c.ok {
			t.Errorf("%s in %s: %v", c.name, c.root.Local, err)
		}
	}
	n = newNest(n.ops)
	if err := n.make(&Root{Local: filepath.Join(top, "chosen"), Chosen: true}, "y"); err != nil {
		t.Errorf("a link that was written out: %v", err)
	}
	if err := n.sync(); err != nil || !slices.Equal(synced, []string{"/chosen"}) {
		t.Errorf("synced %q, %v", synced, err)
	}
}

// A small file that changes while it is read is never sent.
func TestReadAll(t *testing.T) {
	for what, change := range map[string]func(path string) error{
		"nothing": func(string) error { return nil },
		"shorter": func(path string) error { return os.Truncate(path, 1) },
		"longer":  func(path string) error { return os.Truncate(path, 100) },
		"touched": func(path string) error { return os.Chtimes(path, time.Time{}, time.Unix(1, 0)) },
		"replaced": func(path string) error {
			return errors.Join(os.WriteFile(path+"2", []byte("other"), 0o600), os.Rename(path+"2", path))
		},
	} {
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, []byte("hello"), 0o600); err != nil {
			t.Fatal(err)
		}
		f, src, _, err := openSource(path, false, true)
		if err != nil {
			t.Fatal(err)
		}
		if err := change(path); err != nil {
			t.Fatal(err)
		}
		data, err := readAll(src)
		f.Close()
		if what == "nothing" && (err != nil || string(data) != "hello") || what != "nothing" && !errors.Is(err, remote.ErrSourceChanged) {
			t.Errorf("%s: %q, %v", what, data, err)
		}
	}
	link := filepath.Join(t.TempDir(), "l")
	if err := os.Symlink("/etc/passwd", link); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := openSource(link, false, true); !errors.Is(err, ErrNotRegular) {
		t.Errorf("a link: %v", err)
	}
}
