// Package storagetest holds every storage engine to the behaviour that package storage promises.
package storagetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ferry/server/storage"
	"ferry/shared/block"
)

// Features says what an engine can do beyond what all must.
type Features struct {
	RawNames bool // names that are not valid UTF-8
	Meta     bool // SetMeta, and the mode and time of Spec
	// Reopen closes a storage and opens the same tree again, as a restart does; nil if there is no such thing.
	Reopen func(t *testing.T, s storage.Storage) storage.Storage
}

// Run runs the suite; open returns a new, empty storage, which the suite closes.
func Run(t *testing.T, open func(t *testing.T) storage.Storage, f Features) {
	for _, c := range []struct {
		name string
		run  func(*env)
	}{
		{"Names", names}, {"BadNames", badNames}, {"Tree", tree}, {"RemoveAll", removeAll}, {"Errors", errorTable}, {"Rename", rename}, {"List", list},
		{"Contents", contents}, {"Ephemeral", ephemeral}, {"Reader", reader}, {"Bounds", bounds}, {"Resume", resume},
		{"Fence", fence}, {"Adopt", adopt}, {"Keep", keep}, {"Expect", expect}, {"Same", same}, {"Group", group}, {"Parents", parents},
		{"Uploads", uploads}, {"NoSpace", noSpace}, {"Used", used}, {"Meta", meta}, {"Restart", restart}, {"Closed", closed},
		{"Cancelled", cancelled}, {"Concurrent", concurrent}, {"FenceRace", fenceRace},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := &env{T: t, s: open(t), f: f}
			defer func() { e.s.Close() }()
			c.run(e)
		})
	}
}

var bg = context.Background()

// env is one test with its storage.
type env struct {
	*testing.T
	s storage.Storage
	f Features
}

// ok stops the test on an error.
func (e *env) ok(err error) {
	e.Helper()
	if err != nil {
		e.Fatal(err)
	}
}

// is complains about any other error than want.
func (e *env) is(what string, err, want error) {
	e.Helper()
	if !errors.Is(err, want) || (want == nil && err != nil) {
		e.Errorf("%s: %v, want %v", what, err, want)
	}
}

func (e *env) upload(s storage.Spec) storage.Upload {
	e.Helper()
	u, err := e.s.Upload(bg, s)
	e.ok(err)
	return u
}

func (e *env) commit(u storage.Upload) (storage.Entry, error) {
	e.Helper()
	r := e.s.Commit(bg, true, u)
	if len(r) != 1 {
		e.Fatalf("%d results for one upload", len(r))
	}
	return r[0].Entry, r[0].Err
}

// put stores a file.
func (e *env) put(name, content string) storage.Entry {
	e.Helper()
	u := e.upload(storage.Spec{Path: name, Length: int64(len(content))})
	defer u.Close()
	e.ok(u.Put(bg, 0, []byte(content)))
	entry, err := e.commit(u)
	e.ok(err)
	return entry
}

// content returns what a file holds.
func content(s storage.Storage, name string) (string, error) {
	r, err := s.Open(bg, name, "")
	if err != nil {
		return "", err
	}
	defer r.Close()
	b, err := io.ReadAll(io.NewSectionReader(r, 0, r.Entry().Length))
	return string(b), err
}

// holds complains if a file does not hold want.
func (e *env) holds(name, want string) {
	e.Helper()
	got, err := content(e.s, name)
	if err != nil || got != want {
		e.Errorf("%q holds %d bytes, %v; want %d bytes, the same: %v", name, len(got), err, len(want), got == want)
	}
}

// missing complains if there is something called name.
func (e *env) missing(name string) {
	e.Helper()
	if _, err := e.s.Stat(bg, name); !errors.Is(err, fs.ErrNotExist) {
		e.Errorf("stat %q: %v, want none", name, err)
	}
}

// list returns the sorted names in a directory.
func (e *env) list(dir string, deep bool) []string {
	e.Helper()
	var all []string
	for entry, err := range e.s.List(bg, dir, deep) {
		e.ok(err)
		all = append(all, entry.Name)
	}
	slices.Sort(all)
	return all
}

// staged returns the ids of the uploads.
func (e *env) staged() []string {
	e.Helper()
	var ids []string
	for s, err := range e.s.Uploads(bg) {
		e.ok(err)
		ids = append(ids, s.ID)
	}
	return ids
}

// random returns n bytes that depend on seed.
func random(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(seed, 0))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func names(e *env) {
	table := []string{
		"a", "with space", " leading", "trailing ", "-rf", "--", "\"quoted\"", "it's", "`x`", "$HOME", "*", "?", "[a]", "a\\b", "a:b", "..a",
		"...", ".hidden", ".ferry2", "ferry", "tab\there", "new\nline", "esc\x1b[31m", "\x7f", "日本語.txt", "\u00e9", "e\u0301", "A", "😀",
		"NUL.txt", "con", "dot.", strings.Repeat("x", 255), strings.Repeat("日", 85), "t-0", "upload.json", "data",
	}
	if e.f.RawNames {
		table = append(table, "a\xff", "a\xfe", "\xff", "\xc3")
	}
	var want []string
	for _, base := range table {
		e.put("/"+base, "content of "+base)
		want = append(want, "/"+base)
	}
	slices.Sort(want)
	if got := e.list("/", false); !slices.Equal(got, want) {
		e.Errorf("listed %q\nwant %q", got, want)
	}
	for _, base := range table {
		e.holds("/"+base, "content of "+base)
		entry, err := e.s.Stat(bg, "/"+base)
		if err != nil || entry.Name != "/"+base || entry.Kind != storage.File || entry.Length != int64(len("content of "+base)) {
			e.Errorf("stat %q: %+v, %v", base, entry, err)
		}
		e.ok(e.s.Rename(bg, "/"+base, "/moved", false))
		e.ok(e.s.Rename(bg, "/moved", "/"+base, false))
		e.ok(e.s.Remove(bg, "/"+base))
		e.ok(e.s.Mkdir(bg, "/"+base, false))
		e.put("/"+base+"/"+base, "deeper")
		e.holds("/"+base+"/"+base, "deeper")
	}
	deep := strings.Repeat("/d", 63)
	e.ok(e.s.Mkdir(bg, deep, true))
	e.put(deep+"/f", "64 components")
	e.holds(deep+"/f", "64 components")
	if e.f.RawNames && len(e.list("/", true)) != 2*len(table)+64 {
		e.Errorf("a deep listing has %d names, want %d", len(e.list("/", true)), 2*len(table)+64)
	}
}

func badNames(e *env) {
	long := strings.Repeat("/"+strings.Repeat("x", 200), 20) // 4020 bytes
	for _, name := range []string{
		"", "a", "a/b", "./a", "/a/", "//", "//a", "/a//b", "/.", "/..", "/a/.", "/a/..", "/../a", "/a/../b", "/a\x00b", "/\x00",
		"/" + strings.Repeat("x", 256), long + "/" + strings.Repeat("x", 76), strings.Repeat("/d", 65),
		"/.ferry", "/.ferry/", "/.ferry/x", "/.ferry/x/data",
	} {
		_, err := e.s.Stat(bg, name)
		e.is(fmt.Sprintf("stat %.40q", name), err, storage.ErrBadPath)
		_, err = e.s.Open(bg, name, "")
		e.is(fmt.Sprintf("open %.40q", name), err, storage.ErrBadPath)
		e.is(fmt.Sprintf("mkdir %.40q", name), e.s.Mkdir(bg, name, false), storage.ErrBadPath)
		e.is(fmt.Sprintf("mkdir -p %.40q", name), e.s.Mkdir(bg, name, true), storage.ErrBadPath)
		e.is(fmt.Sprintf("remove %.40q", name), e.s.Remove(bg, name), storage.ErrBadPath)
		_, err = e.s.RemoveAll(bg, name, freely, nil)
		e.is(fmt.Sprintf("remove all %.40q", name), err, storage.ErrBadPath)
		e.is(fmt.Sprintf("rename from %.40q", name), e.s.Rename(bg, name, "/free", true), storage.ErrBadPath)
		_, err = e.s.Upload(bg, storage.Spec{Path: name, Length: 1, Parents: true})
		e.is(fmt.Sprintf("upload %.40q", name), err, storage.ErrBadPath)
		_, err = e.s.Upload(bg, storage.Spec{Path: name, Length: 1, Ephemeral: true})
		e.is(fmt.Sprintf("ephemeral upload %.40q", name), err, storage.ErrBadPath)
		if e.f.Meta {
			mode := fs.FileMode(0o600)
			e.is(fmt.Sprintf("meta %.40q", name), e.s.SetMeta(bg, name, storage.Meta{Mode: &mode}), storage.ErrBadPath)
		}
		var got error
		for _, err := range e.s.List(bg, name, true) {
			got = err
		}
		e.is(fmt.Sprintf("list %.40q", name), got, storage.ErrBadPath)
	}
	e.put("/file", "x")
	for _, name := range []string{"/.ferry", "/.ferry/x", "/a/../b", "rel"} {
		e.is("rename to "+name, e.s.Rename(bg, "/file", name, true), storage.ErrBadPath)
	}
	e.holds("/file", "x")
	if got := e.list("/", true); !slices.Equal(got, []string{"/file"}) {
		e.Errorf("something was made: %q", got)
	}
}

func tree(e *env) {
	top, err := e.s.Stat(bg, "/")
	if err != nil || top.Kind != storage.Dir || top.Name != "/" || top.Version != "" {
		e.Errorf("top: %+v, %v", top, err)
	}
	if got := e.list("/", true); len(got) != 0 {
		e.Errorf("a new tree has %q", got)
	}
	e.ok(e.s.Mkdir(bg, "/", true))
	e.is("mkdir /", e.s.Mkdir(bg, "/", false), fs.ErrExist)
	e.ok(e.s.Mkdir(bg, "/d", false))
	e.is("mkdir again", e.s.Mkdir(bg, "/d", false), fs.ErrExist)
	e.ok(e.s.Mkdir(bg, "/d", true))
	e.ok(e.s.Mkdir(bg, "/d/e/f", true))
	d, err := e.s.Stat(bg, "/d/e/f")
	if err != nil || d.Kind != storage.Dir || d.Length != 0 || d.Version != "" {
		e.Errorf("directory: %+v, %v", d, err)
	}
	one := e.put("/d/file", "one")
	st, err := e.s.Stat(bg, "/d/file")
	if err != nil || st != one || one.Version == "" || len(one.Version) > 64 || one.Length != 3 {
		e.Errorf("committed %+v, stat says %+v, %v", one, st, err)
	}
	if two := e.put("/d/file", "two"); two.Version == one.Version {
		e.Error("another content has the same version")
	}
	e.is("rm of a full directory", e.s.Remove(bg, "/d"), storage.ErrNotEmpty)
	e.ok(e.s.Remove(bg, "/d/file"))
	e.missing("/d/file")
	e.ok(e.s.Remove(bg, "/d/e/f"))
	e.ok(e.s.Remove(bg, "/d/e"))
	e.ok(e.s.Remove(bg, "/d"))
	e.missing("/d")
	if u, err := e.s.Usage(bg); err != nil || u.Free < -1 || u.Total < -1 {
		e.Errorf("usage %+v, %v", u, err)
	}
}

// freely lets RemoveAll remove everything.
func freely(string) error { return nil }

func removeAll(e *env) {
	plant := func() {
		e.ok(e.s.Mkdir(bg, "/t/a/b", true))
		e.ok(e.s.Mkdir(bg, "/t/empty", true))
		for _, name := range []string{"/t/1", "/t/a/2", "/t/a/b/3", "/t/a/b/4", "/tt"} {
			e.put(name, name)
		}
	}
	kept := map[string]error{}
	keep := func(name string, why error) { kept[name] = why }
	plant()
	if n, err := e.s.RemoveAll(bg, "/t", freely, keep); n != 8 || err != nil || len(kept) > 0 {
		e.Errorf("removed %d of 8 names: %v, kept %v", n, err, kept)
	}
	if got := e.list("/", true); !slices.Equal(got, []string{"/tt"}) {
		e.Errorf("left %q", got)
	}
	if n, err := e.s.RemoveAll(bg, "/tt", freely, keep); n != 1 || err != nil || len(kept) > 0 {
		e.Errorf("removed %d files: %v, kept %v", n, err, kept)
	}

	plant()
	no := errors.New("no")
	n, err := e.s.RemoveAll(bg, "/t", func(name string) error {
		if name == "/t/a/b/3" {
			return no
		}
		return nil
	}, keep)
	if n != 4 || err != nil || len(kept) != 1 || kept["/t/a/b/3"] != no {
		e.Errorf("removed %d of 4 names: %v, kept %v", n, err, kept)
	}
	if got := e.list("/", true); !slices.Equal(got, []string{"/t", "/t/a", "/t/a/b", "/t/a/b/3", "/tt"}) {
		e.Errorf("left %q", got)
	}
	e.holds("/t/a/b/3", "/t/a/b/3")

	for i := range 1100 { // more than one listing tells at a time
		e.ok(e.s.Mkdir(bg, fmt.Sprintf("/t/many/%d", i), true))
	}
	if n, err := e.s.RemoveAll(bg, "/t", freely, keep); n != 1105 || err != nil {
		e.Errorf("removed %d of 1105 names: %v", n, err)
	}
	_, err = e.s.RemoveAll(bg, "/t", freely, keep)
	e.is("nothing there", err, fs.ErrNotExist)
	_, err = e.s.RemoveAll(bg, "/", freely, keep)
	e.is("the top", err, storage.ErrBadPath)
	e.holds("/tt", "/tt")
}

func errorTable(e *env) {
	e.put("/file", "x")
	e.ok(e.s.Mkdir(bg, "/dir", false))
	e.put("/dir/in", "y")
	open := func(name, version string) error {
		r, err := e.s.Open(bg, name, version)
		if err == nil {
			r.Close()
		}
		return err
	}
	stat := func(name string) error { _, err := e.s.Stat(bg, name); return err }
	up := func(name string, parents bool) error {
		u, err := e.s.Upload(bg, storage.Spec{Path: name, Length: 1, Parents: parents})
		if err == nil {
			u.Discard(bg)
		}
		return err
	}
	listing := func(name string) error {
		for _, err := range e.s.List(bg, name, false) {
			if err != nil {
				return err
			}
		}
		return nil
	}
	for _, c := range []struct {
		what string
		err  error
		want error
	}{
		{"stat missing", stat("/none"), fs.ErrNotExist},
		{"stat in missing", stat("/none/x"), fs.ErrNotExist},
		{"stat below a file", stat("/file/x"), storage.ErrNotDir},
		{"open missing", open("/none", ""), fs.ErrNotExist},
		{"open directory", open("/dir", ""), storage.ErrIsDir},
		{"open top", open("/", ""), storage.ErrIsDir},
		{"open old version", open("/file", "0123"), storage.ErrChanged},
		{"list missing", listing("/none"), fs.ErrNotExist},
		{"list file", listing("/file"), storage.ErrNotDir},
		{"mkdir over a file", e.s.Mkdir(bg, "/file", false), fs.ErrExist},
		{"mkdir -p over a file", e.s.Mkdir(bg, "/file", true), storage.ErrNotDir},
		{"mkdir below a file", e.s.Mkdir(bg, "/file/x", false), storage.ErrNotDir},
		{"mkdir -p below a file", e.s.Mkdir(bg, "/file/x/y", true), storage.ErrNotDir},
		{"mkdir in missing", e.s.Mkdir(bg, "/none/x", false), fs.ErrNotExist},
		{"rm missing", e.s.Remove(bg, "/none"), fs.ErrNotExist},
		{"rm top", e.s.Remove(bg, "/"), storage.ErrBadPath},
		{"rm full directory", e.s.Remove(bg, "/dir"), storage.ErrNotEmpty},
		{"upload onto a directory", up("/dir", false), storage.ErrIsDir},
		{"upload onto the top", up("/", false), storage.ErrIsDir},
		{"upload in missing", up("/none/x", false), fs.ErrNotExist},
		{"upload below a file", up("/file/x", true), storage.ErrNotDir},
		{"upload with parents", up("/none/x/y", true), nil},
		{"drop unknown", e.s.Drop(bg, strings.Repeat("0", 32)), fs.ErrNotExist},
		{"drop nonsense", e.s.Drop(bg, "../../x"), fs.ErrNotExist},
	} {
		e.is(c.what, c.err, c.want)
	}
	for _, id := range []string{strings.Repeat("0", 32), "x", "../x", "."} {
		_, err := e.s.Upload(bg, storage.Spec{ID: id, Path: "/file", Length: 1})
		e.is("reopen "+id, err, fs.ErrNotExist)
	}
	if _, err := e.s.Upload(bg, storage.Spec{Path: "/n", Length: -1}); err == nil {
		e.Error("a negative length was accepted")
	}
	e.missing("/none")
	e.holds("/file", "x")
	e.holds("/dir/in", "y")
}

func rename(e *env) {
	e.put("/a", "a")
	e.put("/b", "b")
	e.ok(e.s.Mkdir(bg, "/d/sub", true))
	e.put("/d/f", "f")
	e.ok(e.s.Mkdir(bg, "/empty", false))
	for _, c := range []struct {
		from, to string
		replace  bool
		want     error
	}{
		{"/none", "/x", true, fs.ErrNotExist},
		{"/a", "/none/x", true, fs.ErrNotExist},
		{"/a", "/b/x", true, storage.ErrNotDir},
		{"/a", "/b", false, fs.ErrExist},
		{"/a", "/a", false, fs.ErrExist},
		{"/a", "/d", true, fs.ErrExist},
		{"/a", "/empty", true, fs.ErrExist},
		{"/d", "/empty", true, fs.ErrExist},
		{"/d", "/a", false, fs.ErrExist},
		{"/d", "/d/sub/d", true, storage.ErrBadPath},
		{"/d", "/d/x", false, storage.ErrBadPath},
		{"/", "/x", true, storage.ErrBadPath},
		{"/a", "/", true, storage.ErrBadPath},
		{"/a", "/a", true, nil},
	} {
		e.is(fmt.Sprintf("rename %s %s %v", c.from, c.to, c.replace), e.s.Rename(bg, c.from, c.to, c.replace), c.want)
	}
	e.holds("/a", "a")
	e.holds("/b", "b")
	e.ok(e.s.Rename(bg, "/a", "/b", true))
	e.missing("/a")
	e.holds("/b", "a")
	e.ok(e.s.Rename(bg, "/b", "/d/sub/c", false))
	e.holds("/d/sub/c", "a")
	e.ok(e.s.Rename(bg, "/d", "/D", false))
	e.holds("/D/sub/c", "a")
	e.holds("/D/f", "f")
	if got := e.list("/", true); !slices.Equal(got, []string{"/D", "/D/f", "/D/sub", "/D/sub/c", "/empty"}) {
		e.Errorf("left: %q", got)
	}
}

func list(e *env) {
	want := []string{"/many"}
	e.ok(e.s.Mkdir(bg, "/many", false))
	var ups []storage.Upload
	for i := range 1100 { // more than any page
		name := fmt.Sprintf("/many/%04d", i)
		want = append(want, name)
		ups = append(ups, e.upload(storage.Spec{Path: name, Length: 0, Ephemeral: true}))
	}
	for _, r := range e.s.Commit(bg, true, ups...) {
		e.ok(r.Err)
	}
	for _, d := range []string{"/x", "/x/y", "/x/y/z"} {
		e.ok(e.s.Mkdir(bg, d, false))
		e.put(d+"/f", d)
		want = append(want, d, d+"/f")
	}
	slices.Sort(want)
	if got := e.list("/", true); !slices.Equal(got, want) {
		e.Errorf("%d names, want %d", len(got), len(want))
	}
	if got := e.list("/x", true); !slices.Equal(got, []string{"/x/f", "/x/y", "/x/y/f", "/x/y/z", "/x/y/z/f"}) {
		e.Errorf("below /x: %q", got)
	}
	if got := e.list("/x", false); !slices.Equal(got, []string{"/x/f", "/x/y"}) {
		e.Errorf("in /x: %q", got)
	}
	seen := map[string]bool{"/": true}
	for entry, err := range e.s.List(bg, "/", true) {
		e.ok(err)
		if above := entry.Name[:strings.LastIndex(entry.Name, "/")]; above != "" && !seen[above] {
			e.Errorf("%s came before %s", entry.Name, above)
		}
		if seen[entry.Name] {
			e.Errorf("%s came twice", entry.Name)
		}
		seen[entry.Name] = true
		if st, err := e.s.Stat(bg, entry.Name); err != nil || st != entry {
			e.Errorf("listed %+v, stat %+v, %v", entry, st, err)
		}
	}
	n := 0
	for range e.s.List(bg, "/", true) {
		if n++; n == 3 {
			break // must be possible anywhere
		}
	}
}

func contents(e *env) {
	for _, n := range []int{0, 1, 4095, 4096, block.Size - 1, block.Size, block.Size + 1, 3*block.Size + 17} {
		data := random(uint64(n), n)
		name := fmt.Sprintf("/f%d", n)
		u := e.upload(storage.Spec{Path: name, Length: int64(n), Job: "job"})
		s := u.Spec()
		if len(s.ID) != 32 || s.Epoch != 1 || s.Path != name || s.Job != "job" || s.Length != int64(n) || s.Created.IsZero() {
			e.Errorf("spec %+v", s)
		}
		blocks := rand.Perm(int(block.Count(int64(n)))) // out of order
		tagger := block.NewTagger(s.Key)
		for _, i := range blocks {
			off := int64(i) * block.Size
			part := data[off : off+block.Len(int64(i), int64(n))]
			e.ok(u.Put(bg, off, part))
			tag, err := u.Tag(bg, int64(i))
			if err != nil || tag != tagger.Tag(int64(i), part) {
				e.Errorf("%s block %d: wrong tag, %v", name, i, err)
			}
		}
		if have := u.Have(64); have.Len() > int64(n) || len(have) > 64 {
			e.Errorf("%s: have %v", name, have)
		}
		e.missing(name)
		entry, err := e.commit(u)
		e.ok(err)
		e.ok(u.Close())
		if entry.Name != name || entry.Length != int64(n) || entry.Kind != storage.File {
			e.Errorf("committed %+v", entry)
		}
		e.holds(name, string(data))
	}
	if ids := e.staged(); len(ids) != 0 {
		e.Errorf("left in staging: %q", ids)
	}
	u := e.upload(storage.Spec{Path: "/gaps", Length: 10})
	e.ok(u.Put(bg, 4, []byte("x")))
	e.ok(u.Put(bg, 10, nil))
	r := e.s.Commit(bg, false, u)
	e.ok(r[0].Err)
	e.holds("/gaps", "\x00\x00\x00\x00x\x00\x00\x00\x00\x00")
}

func ephemeral(e *env) {
	u := e.upload(storage.Spec{Path: "/small", Length: 5, Ephemeral: true})
	e.ok(u.Put(bg, 0, []byte("small")))
	tag, err := u.Tag(bg, 0)
	if err != nil || tag != block.NewTagger(u.Spec().Key).Tag(0, []byte("small")) {
		e.Errorf("wrong tag, %v", err)
	}
	if ids := e.staged(); len(ids) != 0 {
		e.Errorf("an ephemeral upload is listed: %q", ids)
	}
	entry, err := e.commit(u)
	e.ok(err)
	e.ok(u.Close())
	if st, err := e.s.Stat(bg, "/small"); err != nil || st != entry {
		e.Errorf("committed %+v, stat %+v, %v", entry, st, err)
	}
	e.holds("/small", "small")

	gone := e.upload(storage.Spec{Path: "/gone", Length: 5, Ephemeral: true})
	e.ok(gone.Put(bg, 0, []byte("gone!")))
	id := gone.Spec().ID
	e.ok(gone.Close())
	e.ok(gone.Close())
	_, err = e.s.Upload(bg, storage.Spec{ID: id, Path: "/gone", Length: 5})
	e.is("reopen ephemeral", err, fs.ErrNotExist)
	if _, err := e.commit(gone); err == nil {
		e.Error("a closed ephemeral upload was published")
	}
	e.missing("/gone")
	away := e.upload(storage.Spec{Path: "/away", Length: 5, Ephemeral: true})
	e.ok(away.Discard(bg))
	short := e.upload(storage.Spec{Path: "/short", Length: 5, Ephemeral: true})
	e.ok(short.Put(bg, 0, []byte("ab")))
	_, err = e.commit(short)
	e.ok(err)
	e.holds("/short", "ab\x00\x00\x00")
	e.ok(e.s.Mkdir(bg, "/dir", false))
	for name, want := range map[string]error{"/dir": storage.ErrIsDir, "/none/x": fs.ErrNotExist, "/small/x": storage.ErrNotDir} {
		u, err := e.s.Upload(bg, storage.Spec{Path: name, Length: 0, Ephemeral: true})
		if err == nil { // an engine may look only now
			_, err = e.commit(u)
			u.Close()
		}
		e.is("ephemeral "+name, err, want)
	}
}

func reader(e *env) {
	old := e.put("/f", "the old content")
	r, err := e.s.Open(bg, "/f", old.Version)
	e.ok(err)
	if r.Entry() != old {
		e.Errorf("opened %+v, want %+v", r.Entry(), old)
	}
	b := make([]byte, 3)
	if n, err := r.ReadAt(b, 4); n != 3 || err != nil || string(b) != "old" {
		e.Errorf("read %q, %d, %v", b, n, err)
	}
	if n, err := r.ReadAt(b, 13); n != 2 || err != io.EOF {
		e.Errorf("read over the end: %d, %v", n, err)
	}
	if n, err := r.ReadAt(b, 99); n != 0 || err != io.EOF {
		e.Errorf("read behind the end: %d, %v", n, err)
	}
	if _, err := r.ReadAt(b, -1); err == nil {
		e.Error("read before the start")
	}
	e.put("/f", "new")
	if err := r.Check(); err != nil {
		e.Errorf("a replaced version: %v", err)
	}
	if n, err := r.ReadAt(b, 4); n != 3 || err != nil || string(b) != "old" {
		e.Errorf("read of a replaced version: %q, %d, %v", b, n, err)
	}
	_, err = e.s.Open(bg, "/f", old.Version)
	e.is("open of a replaced version", err, storage.ErrChanged)
	e.ok(e.s.Remove(bg, "/f"))
	if n, err := r.ReadAt(b, 4); n != 3 || err != nil {
		e.Errorf("read of a removed file: %d, %v", n, err)
	}
	e.ok(r.Close())
	if _, err := r.ReadAt(b, 0); err == nil {
		e.Error("read after close")
	}
}

func bounds(e *env) {
	for _, eph := range []bool{false, true} {
		u := e.upload(storage.Spec{Path: "/f", Length: 10, Ephemeral: eph})
		for _, c := range []struct {
			off int64
			n   int
		}{{-1, 1}, {0, 11}, {10, 1}, {5, 6}, {1 << 62, 1}, {-1 << 63, 1}, {1<<63 - 1, 2}} {
			if err := u.Put(bg, c.off, make([]byte, c.n)); err == nil {
				e.Errorf("put of %d bytes at %d was accepted", c.n, c.off)
			}
		}
		for _, n := range []int64{-1, 1, 1 << 40, 1<<63 - 1} {
			if _, err := u.Tag(bg, n); err == nil {
				e.Errorf("there is a tag of block %d", n)
			}
		}
		e.ok(u.Put(bg, 0, []byte("0123456789")))
		_, err := e.commit(u)
		e.ok(err)
		e.holds("/f", "0123456789")
		if err := u.Put(bg, 0, []byte("x")); err == nil {
			e.Error("put after commit")
		}
		if _, err := e.commit(u); err == nil {
			e.Error("committed twice")
		}
		e.holds("/f", "0123456789")
	}
}

func resume(e *env) {
	data := random(1, 2*block.Size+100)
	u := e.upload(storage.Spec{Path: "/f", Length: int64(len(data)), Job: "j"})
	e.ok(u.Put(bg, block.Size, data[block.Size:2*block.Size]))
	spec := u.Spec()
	e.ok(u.Close())
	e.ok(u.Close())
	e.is("put after close", u.Put(bg, 0, data[:1]), fs.ErrClosed)
	if ids := e.staged(); !slices.Equal(ids, []string{spec.ID}) {
		e.Fatalf("staged %q, want %s", ids, spec.ID)
	}
	u = e.upload(storage.Spec{ID: spec.ID, Path: "/f", Length: int64(len(data)), Job: "k"})
	again := u.Spec()
	if again.ID != spec.ID || again.Epoch != spec.Epoch+1 || again.Key != spec.Key || !again.Created.Equal(spec.Created) || again.Job != "k" {
		e.Errorf("reopened %+v, want %+v", again, spec)
	}
	// Have is a hint: whatever it says, each block is judged by its tag.
	tagger := block.NewTagger(spec.Key)
	sent := 0
	for n := range block.Count(int64(len(data))) {
		part := data[n*block.Size:][:block.Len(n, int64(len(data)))]
		if tag, err := u.Tag(bg, n); err == nil && tag == tagger.Tag(n, part) {
			continue
		}
		e.ok(u.Put(bg, n*block.Size, part))
		sent++
	}
	if sent > 2 {
		e.Errorf("sent %d blocks again", sent)
	}
	_, err := e.commit(u)
	e.ok(err)
	e.holds("/f", string(data))
}

func fence(e *env) {
	spec := storage.Spec{Path: "/f", Length: 4}
	old := e.upload(spec)
	e.ok(old.Put(bg, 0, []byte("old!")))
	spec.ID = old.Spec().ID
	src := e.put("/src", "1234")
	r, err := e.s.Open(bg, "/src", src.Version)
	e.ok(err)
	defer r.Close()
	fresh := e.upload(spec)
	e.is("put", old.Put(bg, 0, []byte("x")), storage.ErrSuperseded)
	_, err = old.Keep(bg, r, 0, 4, nil)
	e.is("keep", err, storage.ErrSuperseded)
	_, err = e.commit(old)
	e.is("commit", err, storage.ErrSuperseded)
	e.is("discard", old.Discard(bg), storage.ErrSuperseded)
	e.ok(old.Close()) // must not touch the newer handle
	e.ok(fresh.Put(bg, 0, []byte("new!")))
	_, err = e.commit(fresh)
	e.ok(err)
	e.holds("/f", "new!")

	u := e.upload(storage.Spec{Path: "/g", Length: 4})
	e.ok(e.s.Drop(bg, u.Spec().ID))
	e.is("put after drop", u.Put(bg, 0, []byte("x")), storage.ErrSuperseded)
	_, err = e.commit(u)
	e.is("commit after drop", err, storage.ErrSuperseded)
	e.is("drop again", e.s.Drop(bg, u.Spec().ID), fs.ErrNotExist)
	e.ok(u.Close())
	e.missing("/g")
}

func adopt(e *env) {
	data := random(2, 3*block.Size)
	for _, n := range []int{len(data) - 5, block.Size, 7, 0, len(data)} {
		u := e.upload(storage.Spec{Path: "/f", Length: 2*block.Size + 9})
		e.ok(u.Put(bg, 0, data[:block.Size]))
		id := u.Spec().ID
		u = e.upload(storage.Spec{ID: id, Path: "/other", Length: int64(n), Parents: true})
		if have := u.Have(4); have.Clip(int64(n)).Len() != have.Len() {
			e.Errorf("length %d: have %v", n, have)
		}
		if err := u.Put(bg, int64(n), []byte("x")); err == nil {
			e.Errorf("length %d: put behind it", n)
		}
		for i := range block.Count(int64(n)) {
			e.ok(u.Put(bg, i*block.Size, data[i*block.Size:][:block.Len(i, int64(n))]))
		}
		_, err := e.commit(u)
		e.ok(err)
		e.holds("/other", string(data[:n]))
		e.missing("/f")
	}
}

func keep(e *env) {
	data := random(3, 3*block.Size+500)
	old := e.put("/f", string(data))
	r, err := e.s.Open(bg, "/f", old.Version)
	e.ok(err)
	defer r.Close()
	want := bytes.Clone(data)
	copy(want[block.Size:], "changed")
	want = append(want, "and more"...)
	u := e.upload(storage.Spec{Path: "/f", Length: int64(len(want))})
	_, err = u.Keep(bg, r, 0, block.Size, nil)
	e.ok(err)
	_, err = u.Keep(bg, r, 2*block.Size, block.Size+500, nil)
	e.ok(err)
	_, err = u.Keep(bg, r, 5, 0, nil)
	e.ok(err)
	e.ok(u.Put(bg, block.Size, want[block.Size:2*block.Size]))
	e.ok(u.Put(bg, int64(len(data)), []byte("and more")))
	for _, c := range [][2]int64{{-1, 2}, {0, -1}, {int64(len(data)), 1}, {0, int64(len(want))}, {1 << 62, 1}} {
		if _, err := u.Keep(bg, r, c[0], c[1], nil); err == nil {
			e.Errorf("kept %v", c)
		}
	}
	_, err = e.commit(u)
	e.ok(err)
	e.holds("/f", string(want))
	b := make([]byte, 10)
	if _, err := r.ReadAt(b, 2*block.Size); err != nil || !bytes.Equal(b, data[2*block.Size:][:10]) {
		e.Errorf("the old version was altered: %v", err)
	}
	same := e.upload(storage.Spec{Path: "/whole", Length: int64(len(data))})
	_, err = same.Keep(bg, r, 0, int64(len(data)), nil)
	e.ok(err)
	_, err = e.commit(same)
	e.ok(err)
	e.holds("/whole", string(data))
}

func expect(e *env) {
	none, stale := "", "stale"
	for _, c := range []struct {
		what  string
		there bool
		want  func(version string) *string
		err   error
	}{
		{"anything, nothing there", false, func(string) *string { return nil }, nil},
		{"anything, file there", true, func(string) *string { return nil }, nil},
		{"nothing, nothing there", false, func(string) *string { return &none }, nil},
		{"nothing, file there", true, func(string) *string { return &none }, fs.ErrExist},
		{"version, that there", true, func(v string) *string { return &v }, nil},
		{"version, other there", true, func(string) *string { return &stale }, storage.ErrConflict},
		{"version, nothing there", false, func(string) *string { return &stale }, storage.ErrConflict},
	} {
		for _, eph := range []bool{false, true} {
			version := ""
			if c.there {
				version = e.put("/f", "old").Version
			}
			u := e.upload(storage.Spec{Path: "/f", Length: 3, Expect: c.want(version), Ephemeral: eph})
			e.ok(u.Put(bg, 0, []byte("new")))
			_, err := e.commit(u)
			e.is(c.what, err, c.err)
			switch {
			case c.err == nil:
				e.holds("/f", "new")
			case c.there:
				e.holds("/f", "old")
			default:
				e.missing("/f")
			}
			if c.err != nil && !eph { // kept: the same upload can be told to overwrite
				u = e.upload(storage.Spec{ID: u.Spec().ID, Path: "/f", Length: 3})
				_, err := e.commit(u)
				e.ok(err)
				e.holds("/f", "new")
			}
			e.ok(u.Close())
			if _, err := e.s.Stat(bg, "/f"); err == nil {
				e.ok(e.s.Remove(bg, "/f"))
			}
		}
	}
	// A change between the upload's start and its end.
	v := e.put("/g", "one").Version
	u := e.upload(storage.Spec{Path: "/g", Length: 5, Expect: &v})
	e.put("/g", "two")
	_, err := e.commit(u)
	e.is("replaced meanwhile", err, storage.ErrConflict)
	e.holds("/g", "two")
	// A directory that appeared meanwhile.
	u = e.upload(storage.Spec{Path: "/h", Length: 1})
	e.ok(e.s.Mkdir(bg, "/h", false))
	_, err = e.commit(u)
	e.is("directory meanwhile", err, storage.ErrIsDir)
}

// same: an Ephemeral upload finds out at its commit that its content is there, or that it may not replace what is.
func same(e *env) {
	none, stale := "", "of something else"
	at := time.Unix(1e9, 0)
	cases := []struct {
		what  string
		there string // "" for nothing
		spec  storage.Spec
		same  bool
		err   error
	}{
		{"nothing there", "", storage.Spec{KeepSame: true, NoReplace: true}, false, nil},
		{"the same there", "new", storage.Spec{KeepSame: true}, true, nil},
		{"the same there, not asked for", "new", storage.Spec{}, false, nil},
		{"another there", "old", storage.Spec{KeepSame: true}, false, nil},
		{"a longer one there", "newer", storage.Spec{KeepSame: true}, false, nil},
		{"another there that must not be replaced", "old", storage.Spec{KeepSame: true, NoReplace: true}, false, fs.ErrPermission},
		{"the same there where nothing must be", "new", storage.Spec{KeepSame: true, Expect: &none}, false, fs.ErrExist},
		{"the same there where another must be", "new", storage.Spec{KeepSame: true, Expect: &stale}, false, storage.ErrConflict},
		{"the same there, asked for again", "new", storage.Spec{KeepSame: true, Expect: &none, Again: true}, true, nil},
		{"another there, asked for again", "old", storage.Spec{KeepSame: true, Again: true}, false, storage.ErrUncertain},
		{"another where nothing was to be, asked for again", "old", storage.Spec{KeepSame: true, Expect: &none, Again: true}, false, storage.ErrUncertain},
		{"another than expected, asked for again", "old", storage.Spec{KeepSame: true, Expect: &stale, Again: true}, false, storage.ErrUncertain},
		{"nothing there, asked for again", "", storage.Spec{KeepSame: true, Again: true}, false, storage.ErrUncertain},
	}
	for _, c := range cases {
		before := storage.Entry{}
		if c.there != "" {
			before = e.put("/f", c.there)
		}
		c.spec.Path, c.spec.Length, c.spec.Ephemeral, c.spec.ModTime, c.spec.Mode = "/f", 3, true, at, 0o640
		u := e.upload(c.spec)
		e.ok(u.Put(bg, 0, []byte("new")))
		res := e.s.Commit(bg, true, u)[0]
		e.is(c.what, res.Err, c.err)
		if res.Same != c.same {
			e.Errorf("%s: same is %v", c.what, res.Same)
		}
		if c.there == "" && c.err != nil {
			e.missing("/f")
			e.ok(u.Close())
			continue
		}
		after, err := e.s.Stat(bg, "/f")
		e.ok(err)
		switch {
		case c.err != nil:
			e.holds("/f", c.there)
			if after.Version != before.Version {
				e.Errorf("%s: the file was touched", c.what)
			}
		default:
			e.holds("/f", "new")
			if !after.ModTime.Equal(at) || after.Mode != 0o640 || res.Entry.Version != after.Version {
				e.Errorf("%s: %+v, the result says %+v", c.what, after, res.Entry)
			}
		}
		e.ok(u.Close())
		e.ok(e.s.Remove(bg, "/f"))
	}
	// The version that was to be replaced is still there: the upload was never published.
	v := e.put("/f", "old").Version
	u := e.upload(storage.Spec{Path: "/f", Length: 3, Ephemeral: true, KeepSame: true, Again: true, Expect: &v})
	e.ok(u.Put(bg, 0, []byte("new")))
	_, err := e.commit(u)
	e.ok(err)
	e.holds("/f", "new")
	// A file that was moved is known by its version, another one is not.
	before, err := e.s.Stat(bg, "/f")
	e.ok(err)
	e.ok(e.s.Rename(bg, "/f", "/g", false))
	after, err := e.s.Stat(bg, "/g")
	e.ok(err)
	e.put("/h", "new")
	other, err := e.s.Stat(bg, "/h")
	e.ok(err)
	if !e.s.Moved(before.Version, after) || e.s.Moved(before.Version, other) || e.s.Moved("", after) || before.Version == after.Version && before.Version == "" {
		e.Errorf("moved: %q, %q, another: %q", before.Version, after.Version, other.Version)
	}
}

func group(e *env) {
	if got := e.s.Commit(bg, true); len(got) != 0 {
		e.Errorf("results of nothing: %v", got)
	}
	old := e.put("/exists", "old")
	e.ok(e.s.Mkdir(bg, "/dir", false))
	none := ""
	make := func(eph bool, name, content string, expect *string) storage.Upload {
		u := e.upload(storage.Spec{Path: name, Length: int64(len(content)), Ephemeral: eph, Expect: expect, Parents: true})
		e.ok(u.Put(bg, 0, []byte(content)))
		return u
	}
	fenced := make(false, "/fenced", "x", nil)
	e.upload(storage.Spec{ID: fenced.Spec().ID, Path: "/fenced", Length: 1})
	closed := make(true, "/closed", "x", nil)
	e.ok(closed.Close())
	twice := make(false, "/twice", "x", nil)
	members := []struct {
		u    storage.Upload
		want error
	}{
		{make(true, "/1", "one", nil), nil},
		{make(true, "/exists", "new", &none), fs.ErrExist},
		{make(false, "/new/a/2", "two", nil), nil},
		{fenced, storage.ErrSuperseded},
		{make(true, "/new/a/3", "three", nil), nil},
		{make(true, "/same", "first", nil), nil},
		{make(true, "/same", "second", nil), nil},
		{make(true, "/exists/below", "x", nil), storage.ErrNotDir},
		{make(true, "/exists", "newer", &old.Version), nil},
		{make(false, "/zero", "", nil), nil},
		{twice, nil},
		{twice, storage.ErrSuperseded},
	}
	var ups []storage.Upload
	for _, m := range members {
		ups = append(ups, m.u)
	}
	res := e.s.Commit(bg, true, append(ups, closed)...)
	if len(res) != len(members)+1 {
		e.Fatalf("%d results", len(res))
	}
	for i, m := range members {
		e.is(fmt.Sprintf("member %d, %s", i, m.u.Spec().Path), res[i].Err, m.want)
		if m.want == nil && res[i].Entry.Name != m.u.Spec().Path {
			e.Errorf("member %d is %+v", i, res[i].Entry)
		}
	}
	if res[len(members)].Err == nil {
		e.Error("a closed upload was published")
	}
	for name, want := range map[string]string{
		"/1": "one", "/new/a/2": "two", "/new/a/3": "three", "/same": "second", "/exists": "newer", "/zero": "", "/twice": "x",
	} {
		e.holds(name, want)
	}
	e.missing("/fenced")
	e.missing("/closed")
}

func parents(e *env) {
	u := e.upload(storage.Spec{Path: "/a/b/c/f", Length: 1, Parents: true})
	if got := e.list("/", true); len(got) != 0 {
		e.Errorf("made before the commit: %q", got)
	}
	e.ok(u.Put(bg, 0, []byte("x")))
	_, err := e.commit(u)
	e.ok(err)
	e.holds("/a/b/c/f", "x")
	u = e.upload(storage.Spec{Path: "/p/f", Length: 1, Parents: true})
	e.put("/p", "in the way")
	_, err = e.commit(u)
	e.is("a file where a parent was to be", err, storage.ErrNotDir)
	u = e.upload(storage.Spec{Path: "/a/b/g", Length: 1})
	e.ok(e.s.Rename(bg, "/a/b", "/a/B", false))
	_, err = e.commit(u)
	e.is("parent moved away", err, fs.ErrNotExist)
	e.ok(e.s.Rename(bg, "/a/B", "/a/b", false))
	_, err = e.commit(u)
	e.ok(err)
}

func uploads(e *env) {
	var want []string
	for i := range 5 {
		u := e.upload(storage.Spec{Path: fmt.Sprintf("/f%d", i), Length: 9, Job: "job"})
		want = append(want, u.Spec().ID)
		if i%2 == 0 {
			e.ok(u.Close())
		}
	}
	if got := e.staged(); !slices.Equal(got, want) {
		e.Errorf("staged %q, want %q", got, want)
	}
	for s, err := range e.s.Uploads(bg) {
		e.ok(err)
		if s.ID != want[0] || s.Path != "/f0" || s.Length != 9 || s.Job != "job" || time.Since(s.Touched) > time.Hour {
			e.Errorf("spec %+v", s)
		}
		break
	}
	e.ok(e.s.Drop(bg, want[0]))
	e.ok(e.s.Drop(bg, want[1]))
	if got := e.staged(); !slices.Equal(got, want[2:]) {
		e.Errorf("staged %q, want %q", got, want[2:])
	}
	if got := e.list("/", true); len(got) != 0 {
		e.Errorf("staging is visible: %q", got)
	}
}

func noSpace(e *env) {
	for _, n := range []int64{1 << 60, 1<<63 - 1} {
		for _, eph := range []bool{false, true} {
			_, err := e.s.Upload(bg, storage.Spec{Path: "/f", Length: n, Ephemeral: eph})
			e.is(fmt.Sprintf("length %d", n), err, storage.ErrNoSpace)
		}
	}
	u := e.upload(storage.Spec{Path: "/f", Length: 3})
	e.ok(u.Put(bg, 0, []byte("abc")))
	_, err := e.s.Upload(bg, storage.Spec{ID: u.Spec().ID, Path: "/f", Length: 1 << 60})
	e.is("raised by a resume", err, storage.ErrNoSpace)
	if ids := e.staged(); len(ids) != 1 {
		e.Errorf("staged %q", ids)
	}
	_, err = e.commit(u) // still good
	e.ok(err)
	e.holds("/f", "abc")
}

// used holds that the storage knows what it takes up after everything that changes it.
func used(e *env) {
	var want storage.Amount
	holds := func(what string) {
		e.Helper()
		u, err := e.s.Usage(bg)
		e.ok(err)
		if u.Used != want {
			e.Fatalf("%s: %+v used, want %+v", what, u.Used, want)
		}
	}
	add := func(bytes, files int64) { want = want.Plus(storage.Amount{Bytes: bytes, Files: files}) }
	holds("at first")
	e.put("/a", "12345")
	add(5, 1)
	holds("a file")
	e.put("/a", "123")
	add(-2, 0)
	holds("a shorter version")
	e.ok(e.s.Mkdir(bg, "/d/e", true))
	add(0, 2)
	holds("two directories")
	e.is("the same", e.s.Mkdir(bg, "/d", false), fs.ErrExist)
	e.ok(e.s.Mkdir(bg, "/d", true))
	holds("directories that are there")
	u := e.upload(storage.Spec{Path: "/d/new/b", Length: 100, Parents: true})
	add(100, 1)
	holds("an upload of 100 bytes, none of which has arrived")
	e.ok(u.Put(bg, 0, random(1, 100)))
	e.ok(u.Close())
	holds("unfinished")
	reopen := func(length int64) {
		spec := u.Spec()
		spec.Length = length
		u = e.upload(spec)
	}
	reopen(300)
	add(200, 0)
	holds("a longer source")
	reopen(50)
	add(-250, 0)
	holds("a shorter source")
	_, err := e.commit(u)
	e.ok(err)
	u.Close()
	add(0, 1)
	holds("committed with a directory")
	u = e.upload(storage.Spec{Path: "/a", Length: 7})
	add(7, 1)
	e.ok(e.s.Drop(bg, u.Spec().ID))
	add(-7, -1)
	holds("dropped")
	small := storage.Spec{Path: "/a", Length: 3, Ephemeral: true, KeepSame: true}
	u = e.upload(small)
	add(3, 1)
	holds("a small upload")
	e.ok(u.Put(bg, 0, []byte("123")))
	if r := e.s.Commit(bg, true, u)[0]; r.Err != nil || !r.Same {
		e.Fatalf("%+v", r)
	}
	add(-3, -1)
	holds("a small upload of what was there")
	u = e.upload(small)
	e.ok(u.Close())
	holds("a small upload that was given up")
	e.is("a rename onto itself", e.s.Rename(bg, "/a", "/a", true), nil)
	e.ok(e.s.Rename(bg, "/a", "/c", false))
	e.ok(e.s.Rename(bg, "/d/e", "/e", false))
	holds("renamed")
	e.ok(e.s.Rename(bg, "/c", "/d/new/b", true))
	add(-50, -1)
	holds("moved over another file")
	e.ok(e.s.Remove(bg, "/d/new/b"))
	add(-3, -1)
	e.ok(e.s.Remove(bg, "/d/new"))
	add(0, -1)
	holds("removed")
	e.ok(e.s.Mkdir(bg, "/t/u", true))
	e.put("/t/u/f", "1234")
	n, err := e.s.RemoveAll(bg, "/t", func(string) error { return nil }, func(name string, why error) { e.Errorf("%s: %v", name, why) })
	if n != 3 || err != nil {
		e.Errorf("%d removed, %v", n, err)
	}
	holds("a tree removed")
	u = e.upload(storage.Spec{Path: "/big", Length: 1 << 20})
	add(1<<20, 1)
	e.ok(u.Close())
	if e.f.Reopen != nil {
		e.s = e.f.Reopen(e.T, e.s)
		holds("opened again")
	}
}

func meta(e *env) {
	mode, when := fs.FileMode(0o640), time.Unix(1700000000, 123456789)
	e.put("/f", "x")
	err := e.s.SetMeta(bg, "/f", storage.Meta{Mode: &mode, ModTime: &when})
	if !e.f.Meta {
		e.is("set meta", err, storage.ErrUnsupported)
		return
	}
	e.ok(err)
	if st, _ := e.s.Stat(bg, "/f"); st.Mode != mode || !st.ModTime.Equal(when) {
		e.Errorf("set %v %v, got %+v", mode, when, st)
	}
	all := fs.FileMode(0o777)
	e.ok(e.s.SetMeta(bg, "/f", storage.Meta{Mode: &all}))
	made, err := e.commit(e.upload(storage.Spec{Path: "/made", Mode: all}))
	e.ok(err)
	if st, _ := e.s.Stat(bg, "/f"); st.Mode != made.Mode {
		e.Errorf("%v is set, and %v given to what is new", st.Mode, made.Mode)
	}
	e.ok(e.s.SetMeta(bg, "/f", storage.Meta{Mode: &mode, ModTime: &when}))
	e.ok(e.s.SetMeta(bg, "/f", storage.Meta{}))
	for _, t := range []time.Time{time.Unix(-86400*365, 0), time.Unix(1<<31+5, 0), time.Unix(1<<32+5, 7), time.Unix(0, 0)} {
		e.ok(e.s.SetMeta(bg, "/f", storage.Meta{ModTime: &t}))
		if st, _ := e.s.Stat(bg, "/f"); !st.ModTime.Equal(t) || st.Mode != mode {
			e.Errorf("set %v, got %+v", t, st)
		}
		for _, eph := range []bool{false, true} {
			u := e.upload(storage.Spec{Path: "/g", Length: 0, ModTime: t, Mode: 0o7751, Ephemeral: eph})
			entry, err := e.commit(u)
			if err != nil || !entry.ModTime.Equal(t) || entry.Mode&^0o751 != 0 || entry.Mode&0o700 != 0o700 {
				e.Errorf("put with time %v: %+v, %v", t, entry, err)
			}
		}
	}
	e.ok(e.s.Mkdir(bg, "/d", false))
	dirMode := fs.FileMode(0o750)
	e.ok(e.s.SetMeta(bg, "/d", storage.Meta{Mode: &dirMode, ModTime: &when}))
	if st, _ := e.s.Stat(bg, "/d"); st.Mode != dirMode || !st.ModTime.Equal(when) {
		e.Errorf("directory %+v", st)
	}
	e.is("meta of nothing", e.s.SetMeta(bg, "/none", storage.Meta{Mode: &mode}), fs.ErrNotExist)
	r, err := e.s.Open(bg, "/f", "")
	e.ok(err)
	defer r.Close()
	e.ok(e.s.Rename(bg, "/f", "/moved", false))
	if err := r.Check(); err != nil {
		e.Errorf("a moved file: %v", err)
	}
}

func restart(e *env) {
	if e.f.Reopen == nil {
		e.Skip("this engine has no restart")
	}
	e.put("/kept", "kept")
	data := random(4, 2*block.Size)
	name := "/f"
	if e.f.RawNames {
		name = "/f\xff"
	}
	version := e.put(name, "old").Version
	spec := storage.Spec{
		Path: name, Length: int64(len(data)), Job: "job", ModTime: time.Unix(1<<33, 5), Mode: 0o600, Expect: &version,
	}
	u := e.upload(spec)
	e.ok(u.Put(bg, 0, data[:block.Size]))
	eph := e.upload(storage.Spec{Path: "/eph", Length: 2, Ephemeral: true})
	e.ok(eph.Put(bg, 0, []byte("xx")))
	before := u.Spec()
	e.s = e.f.Reopen(e.T, e.s)
	e.holds("/kept", "kept")
	e.holds(name, "old")
	e.missing("/eph")
	var after []storage.Spec
	for s, err := range e.s.Uploads(bg) {
		e.ok(err)
		after = append(after, s)
	}
	if len(after) != 1 {
		e.Fatalf("uploads after a restart: %+v", after)
	}
	a := after[0]
	if a.ID != before.ID || a.Path != name || a.Job != "job" || a.Length != before.Length || a.Key != before.Key || a.Epoch != before.Epoch ||
		!a.ModTime.Equal(before.ModTime) || a.Mode != before.Mode || !a.Created.Equal(before.Created) || a.Expect == nil || *a.Expect != version {
		e.Errorf("after a restart %+v\nbefore %+v", a, before)
	}
	spec.ID = a.ID
	u = e.upload(spec)
	if u.Spec().Epoch <= before.Epoch {
		e.Errorf("epoch %d after %d", u.Spec().Epoch, before.Epoch)
	}
	if tag, err := u.Tag(bg, 0); err != nil || tag != block.NewTagger(before.Key).Tag(0, data[:block.Size]) {
		e.ok(u.Put(bg, 0, data[:block.Size]))
	}
	e.ok(u.Put(bg, block.Size, data[block.Size:]))
	_, err := e.commit(u)
	e.ok(err)
	e.holds(name, string(data))
	e.s = e.f.Reopen(e.T, e.s)
	if ids := e.staged(); len(ids) != 0 {
		e.Errorf("left in staging: %q", ids)
	}
	e.holds(name, string(data))
}

func closed(e *env) {
	e.put("/f", "x")
	r, err := e.s.Open(bg, "/f", "")
	e.ok(err)
	u := e.upload(storage.Spec{Path: "/g", Length: 1})
	eph := e.upload(storage.Spec{Path: "/h", Length: 1, Ephemeral: true})
	e.ok(e.s.Close())
	e.ok(e.s.Close())
	stat := func() error { _, err := e.s.Stat(bg, "/f"); return err }
	up := func() error { _, err := e.s.Upload(bg, storage.Spec{Path: "/i", Length: 1}); return err }
	_, readErr := r.ReadAt(make([]byte, 1), 0)
	for what, err := range map[string]error{
		"stat": stat(), "upload": up(), "put": u.Put(bg, 0, []byte("x")), "ephemeral put": eph.Put(bg, 0, []byte("x")),
		"mkdir": e.s.Mkdir(bg, "/d", false), "commit": e.s.Commit(bg, true, u)[0].Err, "drop": e.s.Drop(bg, u.Spec().ID), "read": readErr,
	} {
		if err == nil {
			e.Errorf("%s after close", what)
		}
	}
	u.Close()
	eph.Close()
	r.Close()
}

func cancelled(e *env) {
	ctx, cancel := context.WithCancel(bg)
	u := e.upload(storage.Spec{Path: "/f", Length: 1})
	e.ok(u.Put(bg, 0, []byte("x")))
	e.put("/g", "g")
	cancel()
	e.is("put", u.Put(ctx, 0, []byte("y")), context.Canceled)
	e.is("commit", e.s.Commit(ctx, true, u)[0].Err, context.Canceled)
	var got error
	for _, err := range e.s.List(ctx, "/", true) {
		got = err
	}
	e.is("list", got, context.Canceled)
	_, err := e.s.RemoveAll(ctx, "/g", freely, func(name string, why error) { e.Errorf("%s is kept: %v", name, why) })
	e.is("remove all", err, context.Canceled)
	e.holds("/g", "g")
	e.missing("/f")
	_, err = e.commit(u)
	e.ok(err)
	e.holds("/f", "x")
}

// concurrent lets writers, movers and readers work on a few names: whatever is seen is one writer's whole content.
func concurrent(e *env) {
	const rounds = 60
	whole := func(s string) bool { return len(s) > 0 && strings.Count(s, s[:1]) == len(s) }
	fine := func(err error) bool {
		for _, ok := range []error{nil, fs.ErrNotExist, fs.ErrExist, storage.ErrConflict, storage.ErrIsDir, storage.ErrNotDir, storage.ErrNotEmpty,
			storage.ErrBadPath, storage.ErrChanged} {
			if errors.Is(err, ok) {
				return true
			}
		}
		return false
	}
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(w), 1))
			name := func() string { return fmt.Sprintf("/d%d/f%d", rnd.IntN(2), rnd.IntN(3)) }
			for range rounds {
				var err error
				switch rnd.IntN(8) {
				case 0, 1, 2:
					var ups []storage.Upload
					for range 1 + rnd.IntN(3) {
						n := 1 + rnd.IntN(9000)
						var u storage.Upload
						u, err = e.s.Upload(bg, storage.Spec{Path: name(), Length: int64(n), Ephemeral: rnd.IntN(2) == 0, Parents: true})
						if err != nil {
							break
						}
						if err := u.Put(bg, 0, bytes.Repeat([]byte{'a' + byte(rnd.IntN(26))}, n)); err != nil {
							e.Errorf("put: %v", err)
						}
						ups = append(ups, u)
					}
					for _, r := range e.s.Commit(bg, true, ups...) {
						if !fine(r.Err) {
							e.Errorf("commit: %v", r.Err)
						}
					}
					for _, u := range ups {
						u.Discard(bg)
					}
				case 3:
					err = e.s.Remove(bg, name())
				case 4:
					err = e.s.Rename(bg, name(), name(), true)
				case 5:
					err = e.s.Mkdir(bg, name(), true)
				case 6:
					for _, lerr := range e.s.List(bg, "/", true) {
						err = lerr
					}
				case 7:
					var got string
					got, err = content(e.s, name())
					if err == nil && !whole(got) {
						e.Errorf("a mixed content of %d bytes", len(got))
					}
				}
				if !fine(err) {
					e.Errorf("round: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if ids := e.staged(); len(ids) != 0 {
		e.Errorf("left in staging: %q", ids)
	}
	for entry, err := range e.s.List(bg, "/", true) {
		e.ok(err)
		if entry.Kind == storage.File {
			if got, err := content(e.s, entry.Name); err != nil || !whole(got) {
				e.Errorf("%s: %d bytes, %v", entry.Name, len(got), err)
			}
		}
	}
}

// fenceRace reopens an upload while older handles write: no byte of theirs may land after the newer handle was given out.
func fenceRace(e *env) {
	first := e.upload(storage.Spec{Path: "/f", Length: 1 << 16})
	id := first.Spec().ID
	var wg sync.WaitGroup
	write := func(u storage.Upload, c byte) {
		for {
			err := u.Put(bg, 0, bytes.Repeat([]byte{c}, 1<<16))
			if errors.Is(err, storage.ErrSuperseded) {
				return
			}
			if err != nil {
				e.Errorf("put: %v", err)
				return
			}
		}
	}
	wg.Go(func() { write(first, 'a') })
	var last storage.Upload
	for i := range 20 {
		u, err := e.s.Upload(bg, storage.Spec{ID: id, Path: "/f", Length: 1 << 16})
		e.ok(err)
		if want := int64(i + 2); u.Spec().Epoch != want {
			e.Errorf("epoch %d, want %d", u.Spec().Epoch, want)
		}
		if last = u; i < 19 {
			wg.Go(func() { write(u, byte('b'+i)) })
		}
	}
	want := bytes.Repeat([]byte{'Z'}, 1<<16)
	e.ok(last.Put(bg, 0, want))
	wg.Wait()
	_, err := e.commit(last)
	e.ok(err)
	e.holds("/f", string(want))
}
