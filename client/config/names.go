package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gofrs/flock"
)

// Names are words that stand for something else: bookmarks, aliases. Those of the configuration file are the person's to
// edit; those made in the shell are kept in a file of the state directory, one line each, the name, a blank and the text.
type Names struct {
	path    string            // "" for nowhere
	fixed   map[string]Entry  // of the configuration file
	session map[string]string // of this run only
}

// Entry is one name.
type Entry struct {
	Name string
	Text string
	From string // "config.toml:12" with its directory, the file of the state directory, or "session"
}

// errFixed is a name that only the person can change.
var errFixed = errors.New("stands in the configuration file")

func newNames(state, file string) *Names {
	path := ""
	if state != "" {
		path = filepath.Join(state, file)
	}
	return &Names{path: path, fixed: map[string]Entry{}, session: map[string]string{}}
}

// clone returns the names as they are now, but for those that are kept.
func (n *Names) clone() *Names { return &Names{n.path, n.fixed, maps.Clone(n.session)} }

// All returns every name in alphabetical order. One of this run hides one of the configuration file, and that one a kept one.
func (n *Names) All() ([]Entry, error) {
	kept, err := n.read()
	if err != nil {
		return nil, err
	}
	all := map[string]Entry{}
	for _, e := range kept {
		all[e.Name] = e
	}
	for _, e := range n.fixed {
		all[e.Name] = e
	}
	for name, text := range n.session {
		all[name] = Entry{name, text, "session"}
	}
	var list []Entry
	for _, e := range all {
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b Entry) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}

// Fixed returns the names of the configuration file.
func (n *Names) Fixed() []Entry { return slices.Collect(maps.Values(n.fixed)) }

// Find returns what a name stands for.
func (n *Names) Find(name string) (Entry, bool, error) {
	if checkName(name, "x") != nil {
		return Entry{}, false, nil
	}
	all, err := n.All()
	i := slices.IndexFunc(all, func(e Entry) bool { return e.Name == name })
	if err != nil || i < 0 {
		return Entry{}, false, err
	}
	return all[i], true, nil
}

// Define makes a name for this run.
func (n *Names) Define(name, text string) error {
	if err := checkName(name, text); err != nil {
		return err
	}
	n.session[name] = text
	return nil
}

// Keep makes a name for good, or changes one.
func (n *Names) Keep(name, text string) error {
	if err := checkName(name, text); err != nil {
		return err
	}
	if e, ok := n.fixed[name]; ok {
		return &Error{name + " " + errFixed.Error(), "change it there: " + e.From}
	}
	delete(n.session, name)
	return n.change(func(kept []Entry) []Entry {
		kept = without(kept, name)
		return append(kept, Entry{Name: name, Text: text})
	})
}

// Remove forgets a name of this run or a kept one.
func (n *Names) Remove(name string) error {
	e, ok, err := n.Find(name)
	if err != nil {
		return err
	}
	if !ok {
		all, _ := n.All()
		var names []string
		for _, e := range all {
			names = append(names, e.Name)
		}
		advice := "there are none"
		if len(names) > 0 {
			advice = suggest(name, names)
		}
		return &Error{name + ": no such name", advice}
	}
	if f, ok := n.fixed[name]; ok && e == f {
		return &Error{name + " " + errFixed.Error(), "remove it there: " + e.From}
	}
	delete(n.session, name)
	return n.change(func(kept []Entry) []Entry { return without(kept, name) })
}

func without(list []Entry, name string) []Entry {
	return slices.DeleteFunc(list, func(e Entry) bool { return e.Name == name })
}

// checkName refuses a name or a text that could not be read back.
func checkName(name, text string) *Error {
	const first = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	switch {
	case name == "" || len(name) > 64 || !strings.Contains(first, name[:1]) || strings.Trim(name, first+"._-") != "":
		return &Error{fmt.Sprintf("%q is not a name", name), "a name is 1 to 64 letters, digits, dots, dashes or underscores, and begins with a letter or digit"}
	case strings.TrimSpace(text) == "":
		return &Error{Msg: name + " stands for nothing"}
	case len(text) > 4096 || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl):
		return &Error{Msg: name + ": the text is longer than 4096 bytes or not plain text"}
	}
	return nil
}

// read returns the kept names.
func (n *Names) read() ([]Entry, error) {
	if n.path == "" {
		return nil, nil
	}
	text, err := readOwn(n.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []Entry
	for i, line := range strings.Split(string(text), "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		name, rest, _ := strings.Cut(line, " ")
		rest = strings.TrimSpace(rest)
		if err := checkName(name, rest); err != nil {
			return nil, &Error{fmt.Sprintf("%s:%d: %s", n.path, i+1, err), "remove the line"}
		}
		list = append(list, Entry{name, rest, n.path})
	}
	return list, nil
}

// change replaces the kept names, so that nothing is lost when several ferries do it at once, or one is killed.
func (n *Names) change(f func([]Entry) []Entry) (err error) {
	defer func() {
		var ours *Error
		if err != nil && !errors.As(err, &ours) {
			err = &Error{Msg: n.path + ": " + reason(err)}
		}
	}()
	if n.path == "" {
		return errors.New("there is no state directory")
	}
	dir := filepath.Dir(n.path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	lock := flock.New(n.path+".lock", flock.SetPermissions(0o600))
	if err := lock.Lock(); err != nil {
		return err
	}
	defer lock.Unlock()
	kept, err := n.read()
	if err != nil {
		return err
	}
	var text strings.Builder
	for _, e := range f(kept) {
		fmt.Fprintf(&text, "%s %s\n", e.Name, e.Text)
	}
	return replace(n.path, text.String())
}

// replace gives a file another content in one step, durably.
func replace(path, text string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
