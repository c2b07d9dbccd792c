package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/BurntSushi/toml"
)

// maxFile is the largest configuration file, or file of names, in bytes.
const maxFile = 1 << 20

// Load reads the configuration file. With optional, one that does not exist is as good as an empty one. The error is an
// *Error that names the file, and the line where there is one.
func (s *Settings) Load(name string, optional bool) error {
	text, err := readOwn(name)
	if errors.Is(err, fs.ErrNotExist) {
		if optional {
			return nil
		}
		return &Error{Msg: name + ": no such file or directory"}
	}
	if err != nil {
		return err
	}
	s.Path = name
	r := &reader{s: s, file: name}
	var sections map[string]toml.Primitive
	r.md, err = toml.Decode(string(text), &sections)
	if err == nil {
		err = r.read(sections)
	}
	var at toml.ParseError
	if errors.As(err, &at) {
		return &Error{Msg: fmt.Sprintf("%s:%d: %s", name, at.Position.Line, at.Message)}
	}
	var ours *Error
	if err != nil && !errors.As(err, &ours) {
		return &Error{Msg: name + ": " + err.Error()}
	}
	return err
}

// reader takes a configuration file apart.
type reader struct {
	s    *Settings
	file string // its name
	md   toml.MetaData
}

func (r *reader) read(top map[string]toml.Primitive) error {
	sections := map[string]func(key string, p toml.Primitive) error{
		"defaults":  func(key string, p toml.Primitive) error { return r.setting(r.s.common, Defaults, key, p) },
		"host":      r.host,
		"bookmarks": func(key string, p toml.Primitive) error { return r.name(r.s.Bookmarks, key, p) },
		"alias":     func(key string, p toml.Primitive) error { return r.name(r.s.Aliases, key, p) },
	}
	for _, name := range slices.Sorted(maps.Keys(top)) {
		read, known := sections[name]
		switch table := r.isTable(top[name]); {
		case secret(name):
			return r.s.unknown(name, r.at(top[name]))
		case !table:
			return &Error{fmt.Sprintf("%s: %q stands in no section", r.at(top[name]), name), "write it below [defaults]"}
		case !known:
			return &Error{fmt.Sprintf("%s: there is no section [%s]", r.at(top[name]), name), suggest(name, slices.Sorted(maps.Keys(sections)))}
		}
		if err := r.each(top[name], []string{name}, read); err != nil {
			return err
		}
	}
	return nil
}

// each calls f for what is in a table, in the order of the file.
func (r *reader) each(table toml.Primitive, path []string, f func(key string, p toml.Primitive) error) error {
	var values map[string]toml.Primitive
	if err := r.md.PrimitiveDecode(table, &values); err != nil || !r.isTable(table) {
		return &Error{Msg: fmt.Sprintf("%s: [%s] is not a section", r.at(table), strings.Join(path, "."))}
	}
	var keys []string
	for _, k := range r.md.Keys() {
		if n := len(path); len(k) > n && slices.Equal(k[:n], path) && !slices.Contains(keys, k[n]) {
			keys = append(keys, k[n])
		}
	}
	for _, k := range keys {
		if err := f(k, values[k]); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) isTable(p toml.Primitive) bool {
	var v any
	err := r.md.PrimitiveDecode(p, &v)
	_, table := v.(map[string]any)
	return table && err == nil
}

// host reads the section of a pattern.
func (r *reader) host(pattern string, p toml.Primitive) error {
	if _, err := path.Match(pattern, ""); err != nil {
		return &Error{Msg: fmt.Sprintf("%s: %q is not a pattern", r.at(p), pattern)}
	}
	values := map[string]Value{}
	r.s.hosts = append(r.s.hosts, section{pattern, values})
	return r.each(p, []string{"host", pattern}, func(key string, p toml.Primitive) error { return r.setting(values, Host, key, p) })
}

func (r *reader) setting(into map[string]Value, place Place, name string, p toml.Primitive) error {
	from := r.at(p)
	t, known := r.s.find(name)
	if known && t.Global && place == Host {
		return &Error{fmt.Sprintf("%s: %s is the same for all hosts", from, t.Name), "write it below [defaults]"}
	}
	texts, err := r.texts(p)
	if known && (err != nil || len(texts) != 1 && !t.List) {
		return t.wrong(from + ": " + t.Name)
	}
	if !known && place == Host && r.isTable(p) {
		return &Error{from + ": a pattern with dots must be quoted", `write [host."files.example.org"]`}
	}
	if !known {
		return r.s.unknown(name, from)
	}
	v, err := r.s.check(name, from+": "+t.Name, texts)
	if err != nil {
		return err
	}
	v.From = from
	if _, twice := into[t.Name]; twice {
		return &Error{Msg: fmt.Sprintf("%s: %s is set twice", from, t.Name)}
	}
	for i, text := range v.Texts {
		if t.File && !filepath.IsAbs(text) { // what a file says must not depend on where ferry is started
			v.Texts[i] = filepath.Join(filepath.Dir(r.file), text)
		}
	}
	v.Place = place
	into[t.Name] = v.Value
	return nil
}

func (r *reader) name(into *Names, name string, p toml.Primitive) error {
	from := r.at(p)
	var text string
	if err := r.md.PrimitiveDecode(p, &text); err != nil {
		return &Error{Msg: fmt.Sprintf("%s: %s is not a string", from, name)}
	}
	if err := checkName(name, text); err != nil {
		return &Error{from + ": " + err.Msg, err.Advice}
	}
	into.fixed[name] = Entry{Name: name, Text: text, From: from}
	return nil
}

// texts returns a value as it would be given to an option: a string, a number, true or false, or an array of strings.
func (r *reader) texts(p toml.Primitive) ([]string, error) {
	var v any
	if err := r.md.PrimitiveDecode(p, &v); err != nil {
		return nil, err
	}
	list, several := v.([]any)
	if !several {
		list = []any{v}
	}
	var texts []string
	for _, v := range list {
		switch v := v.(type) {
		case string:
			texts = append(texts, v)
		case int64:
			texts = append(texts, strconv.FormatInt(v, 10))
		case bool:
			texts = append(texts, strconv.FormatBool(v))
		default:
			return nil, errWrong
		}
	}
	return texts, nil
}

// at returns "FILE:LINE" of a value.
func (r *reader) at(p toml.Primitive) string {
	if line := r.line(p); line > 0 {
		return fmt.Sprintf("%s:%d", r.file, line)
	}
	return r.file
}

// line returns the line of a value, 0 if it stands nowhere. The decoder tells it only to those who refuse the value.
func (r *reader) line(p toml.Primitive) (line int) {
	var at toml.ParseError
	if err := r.md.PrimitiveDecode(p, refuse{}); errors.As(err, &at) {
		line = at.Position.Line
	}
	var below map[string]toml.Primitive
	if line > 0 || r.md.PrimitiveDecode(p, &below) != nil {
		return line
	}
	for _, p := range below { // [a.b] makes a table a that has no line of its own
		if l := r.line(p); line == 0 || l > 0 && l < line {
			line = l
		}
	}
	return line
}

type refuse struct{}

// UnmarshalTOML implements toml.Unmarshaler.
func (refuse) UnmarshalTOML(any) error { return errWrong }

// readOwn reads a file that tells ferry which programs to run: nobody else may have written it. A missing file is
// fs.ErrNotExist, everything else an *Error.
func readOwn(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err != nil {
		return nil, &Error{Msg: path + ": " + reason(err)}
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, &Error{Msg: path + ": " + reason(err)}
	}
	owner, _ := info.Sys().(*syscall.Stat_t)
	switch {
	case info.IsDir():
		return nil, &Error{Msg: path + ": is a directory"}
	case info.Mode().IsRegular() && info.Mode().Perm()&0o022 != 0:
		return nil, &Error{path + ": others can write to it", "chmod go-w " + path}
	case owner != nil && owner.Uid != 0 && int(owner.Uid) != os.Geteuid():
		return nil, &Error{path + ": belongs to somebody else", "make a copy of your own"}
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, &Error{Msg: path + ": " + reason(err)}
	}
	if len(text) > maxFile {
		return nil, &Error{Msg: path + ": larger than 1 MiB"}
	}
	return text, nil
}

// reason is an error without the operation and the path, which are said by the caller.
func reason(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}
