package transfer

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Filter chooses among the names of a tree. A pattern without a slash is compared with the last component of a name, one
// with a slash with all of it, relative to the top of the tree. * and ? stay inside a component, ** stands for any number of
// components, and a slash at the end means directories only. The zero value takes everything.
type Filter struct{ include, exclude []pattern }

type pattern struct {
	parts []string
	base  bool // compared with the last component only
	dir   bool // of directories only
}

// NewFilter reads patterns. What an include or exclude says of a directory holds for everything in it.
func NewFilter(include, exclude []string) (Filter, error) {
	var f Filter
	for _, list := range []struct {
		texts []string
		into  *[]pattern
	}{{include, &f.include}, {exclude, &f.exclude}} {
		for _, text := range list.texts {
			p, err := parsePattern(text)
			if err != nil {
				return f, err
			}
			*list.into = append(*list.into, p)
		}
	}
	return f, nil
}

// Glob returns a pattern as path.Match takes it: what a class does not hold is [!a] in sh, and [^a] there, where [!a] would be
// a or an exclamation mark.
func Glob(text string) string {
	var b strings.Builder
	class := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text):
			b.WriteByte(c)
			i++
		case c == ']':
			class = false
		case c == '[' && !class:
			class = true
			if strings.HasPrefix(text[i+1:], "!") {
				b.WriteString("[^")
				i++
				continue
			}
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

func parsePattern(text string) (pattern, error) {
	name, dir := strings.CutSuffix(Glob(text), "/")
	p := pattern{base: !strings.Contains(name, "/"), dir: dir}
	for part := range strings.SplitSeq(strings.TrimPrefix(name, "/"), "/") {
		if _, err := path.Match(part, ""); err != nil || part == "" {
			return p, fmt.Errorf("%q is not a valid pattern", text)
		}
		p.parts = append(p.parts, part)
	}
	return p, nil
}

// matches tells whether the pattern fits a name given as its components.
func (p pattern) matches(name []string, dir bool) bool {
	if p.dir && !dir {
		return false
	}
	if p.base {
		name = name[len(name)-1:]
	}
	// As with * in a single name, only the last ** needs to be tried again.
	n, at := 0, 0
	star, from := -1, 0
	for n < len(name) {
		if at < len(p.parts) && p.parts[at] == "**" {
			star, from = at, n
			at++
			continue
		}
		if at < len(p.parts) {
			if ok, _ := path.Match(p.parts[at], name[n]); ok {
				at++
				n++
				continue
			}
		}
		if star < 0 {
			return false
		}
		from++
		at, n = star+1, from
	}
	for at < len(p.parts) && p.parts[at] == "**" {
		at++
	}
	return at == len(p.parts)
}

// within tells whether one of the patterns fits a name or a directory that it is in.
func within(list []pattern, name []string, dir bool) bool {
	for n := 1; n <= len(name); n++ {
		above := n < len(name)
		if slices.ContainsFunc(list, func(p pattern) bool { return p.matches(name[:n], above || dir) }) {
			return true
		}
	}
	return false
}

// Takes tells whether a name belongs to what is moved.
func (f Filter) Takes(name string, dir bool) bool {
	if f.include == nil && f.exclude == nil {
		return true
	}
	parts := strings.Split(name, "/")
	return !within(f.exclude, parts, dir) && (f.include == nil || within(f.include, parts, dir))
}

// Enters tells whether something in a directory may belong to what is moved.
func (f Filter) Enters(name string) bool {
	return f.exclude == nil || !within(f.exclude, strings.Split(name, "/"), true)
}
