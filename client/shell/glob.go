package shell

import (
	"context"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"ferry/client/transfer"
	"ferry/shared/wire"
)

// pattern returns a word as path.Match wants it: what was quoted is literal.
func (w Word) pattern() string {
	var b strings.Builder
	special := `*?[]\`
	for i := range len(w.Text) {
		if w.Text[i] == '[' && !w.Quoted[i] {
			special = `*?[]\!^-`
		}
		if strings.IndexByte(special, w.Text[i]) >= 0 && (w.Quoted[i] || w.Text[i] == '\\') {
			b.WriteByte('\\')
		}
		b.WriteByte(w.Text[i])
	}
	return transfer.Glob(b.String())
}

// expand replaces patterns by the names that fit, sorted; a pattern that none fits is an error, as in sftp.
func expand(words []Word, glob func(pattern string) ([]string, error)) ([]string, error) {
	var out []string
	for _, w := range words {
		if !w.HasGlob() {
			out = append(out, w.Text)
			continue
		}
		p := w.pattern()
		if _, err := path.Match(p, ""); err != nil {
			return nil, named(w.Text, &UsageError{Msg: "not a valid pattern", Advice: "quote it to use its characters literally"})
		}
		names, err := glob(p)
		if err != nil {
			return nil, named(w.Text, err)
		}
		if len(names) == 0 {
			return nil, named(w.Text, &wire.Error{Code: wire.NotFound, Message: "nothing fits this pattern"})
		}
		slices.Sort(names)
		for _, n := range names {
			out = append(out, plainName(n))
		}
	}
	return out, nil
}

// expandLocal expands patterns over files of this machine, and a leading ~.
func (s *Shell) expandLocal(words []Word) ([]string, error) {
	words = slices.Clone(words)
	for i, w := range words {
		if len(w.Text) > 0 && w.Text[0] == '~' && !w.Quoted[0] {
			if h := home(w.Text); h != w.Text {
				grown := len(h) - len(w.Text)
				quoted := make([]bool, grown+1) // the home directory is literal
				for j := range quoted {
					quoted[j] = true
				}
				words[i].Text, words[i].Quoted = h, append(quoted, w.Quoted[1:]...)
			}
		}
	}
	return expand(words, func(p string) ([]string, error) {
		return walk(p, func(dir string) ([]string, error) { return listed(s.local(dir)) })
	})
}

// listed returns the names in a directory of this machine; those of directories, and of links to them, end in a slash.
func listed(dir string) ([]string, error) {
	list, err := os.ReadDir(dir)
	names := make([]string, len(list))
	for i, e := range list {
		names[i] = e.Name()
		isDir := e.IsDir()
		if e.Type()&os.ModeSymlink != 0 {
			info, err := os.Stat(filepath.Join(dir, e.Name()))
			isDir = err == nil && info.IsDir()
		}
		if isDir {
			names[i] += "/"
		}
	}
	return names, err
}

// expandRemote expands patterns over files on the server, relative to the directory there.
func (s *Shell) expandRemote(ctx context.Context, words []Word) ([]string, error) {
	return expand(words, func(p string) ([]string, error) {
		return walk(p, func(dir string) (names []string, err error) {
			for e, err := range s.client.List(ctx, s.abs(dir), false) {
				if err != nil {
					if code := wire.CodeOf(err); code == wire.NotFound || code == wire.NotDir {
						return nil, nil
					}
					return nil, err
				}
				name := string(e.Name)
				if e.Kind == "dir" {
					name += "/"
				}
				names = append(names, name)
			}
			return names, nil
		})
	})
}

// only returns the one name that a word stands for, which may be a pattern.
func only(w Word, expand func([]Word) ([]string, error)) (string, error) {
	names, err := expand([]Word{w})
	if err == nil && len(names) > 1 {
		err = named(w.Text, usagef("the pattern fits several names"))
	}
	if err != nil {
		return "", err
	}
	return names[0], nil
}

// directory returns the word so that, if it is a pattern, directories alone fit.
func (w Word) directory() Word {
	if w.HasGlob() {
		w.Text += "/"
		w.Quoted = append(slices.Clone(w.Quoted), false)
	}
	return w
}

// onlyHere is only for this machine.
func (s *Shell) onlyHere(w Word) (string, error) { return only(w, s.expandLocal) }

// onlyThere is only for the server.
func (s *Shell) onlyThere(ctx context.Context, w Word) (string, error) {
	return only(w, func(words []Word) ([]string, error) { return s.expandRemote(ctx, words) })
}

// walk finds the names that fit a pattern, component by component; one that ends in a slash fits directories. list returns the
// names in a directory, those of directories with a slash behind; what cannot be listed fits nothing.
func walk(pattern string, list func(dir string) ([]string, error)) ([]string, error) {
	found, seen := []string{""}, false
	if strings.HasPrefix(pattern, "/") {
		found, pattern = []string{"/"}, strings.TrimLeft(pattern, "/")
	}
	parts := strings.Split(strings.TrimRight(pattern, "/"), "/")
	for i, part := range parts {
		last := i == len(parts)-1 && !strings.HasSuffix(pattern, "/")
		var next []string
		for _, dir := range found {
			at := func(name string) string {
				if dir == "" || dir == "/" {
					return dir + name
				}
				return dir + "/" + name
			}
			if !seen && !strings.ContainsAny(part, `*?[\`) {
				next = append(next, at(part))
				continue
			}
			where := dir
			if where == "" {
				where = "."
			}
			names, err := list(where)
			if err != nil && !os.IsNotExist(err) && !os.IsPermission(err) {
				if _, local := err.(*os.PathError); !local {
					return nil, err
				}
			}
			for _, name := range names {
				name, isDir := strings.CutSuffix(name, "/")
				if !isDir && !last || strings.HasPrefix(name, ".") && !strings.HasPrefix(part, ".") {
					continue
				}
				if ok, _ := path.Match(part, name); ok {
					next = append(next, at(name))
				}
			}
		}
		found = next
		seen = seen || strings.ContainsAny(part, `*?[`) // from here on, only what is there
	}
	return found, nil
}
