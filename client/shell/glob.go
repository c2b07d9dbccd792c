package shell

import (
	"context"
	"os"
	"path"
	"slices"
	"strings"

	"ferry/shared/wire"
)

// pattern returns a word as path.Match wants it: what was quoted is literal.
func (w Word) pattern() string {
	var b strings.Builder
	for i := range len(w.Text) {
		if strings.IndexByte(`*?[]\`, w.Text[i]) >= 0 && (w.Quoted[i] || w.Text[i] == '\\') {
			b.WriteByte('\\')
		}
		b.WriteByte(w.Text[i])
	}
	return b.String()
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
		return walk(p, func(dir string) ([]string, error) {
			list, err := os.ReadDir(s.local(dir))
			names := make([]string, len(list))
			for i, e := range list {
				names[i] = e.Name()
			}
			return names, err
		})
	})
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
				names = append(names, string(e.Name))
			}
			return names, nil
		})
	})
}

// walk finds the names that fit a pattern, component by component. list returns the names in a directory; what cannot be
// listed fits nothing.
func walk(pattern string, list func(dir string) ([]string, error)) ([]string, error) {
	found, seen := []string{""}, false
	if strings.HasPrefix(pattern, "/") {
		found, pattern = []string{"/"}, strings.TrimLeft(pattern, "/")
	}
	for part := range strings.SplitSeq(strings.TrimRight(pattern, "/"), "/") {
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
				if strings.HasPrefix(name, ".") && !strings.HasPrefix(part, ".") {
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
