// Package netrc finds a password in the .netrc file that ftp, curl and others read.
package netrc

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// maxSize is the longest file that is read, in bytes.
const maxSize = 1 << 20

// Error is a file that cannot be used.
type Error struct {
	Msg    string
	Advice string
}

func (e *Error) Error() string { return "netrc: " + e.Msg }

// Hint says what to do.
func (e *Error) Hint() string { return e.Advice }

// Path returns the file: $NETRC, or .netrc in the home directory; "" if there is no such directory.
func Path() string {
	if path := os.Getenv("NETRC"); path != "" {
		return path
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, ".netrc")
}

// Password returns the password of a user on a host, given as it was typed, with its port: the first entry for either
// HOST:PORT or HOST that is for this user or for any, and has a password. Without such an entry, or without the file, ok is
// false. An entry in a file that others can read is refused. Errors are an *Error.
func Password(path, address, user string) (password string, ok bool, err error) {
	if path == "" || strings.HasPrefix(address, "unix:") {
		return "", false, nil
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	if err != nil {
		return "", false, unreadable(path, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return "", false, unreadable(path, err)
	}
	if len(text) > maxSize {
		return "", false, &Error{Msg: path + ": larger than 1 MiB"}
	}
	entries, err := parse(path, string(text))
	if err != nil {
		return "", false, err
	}
	i := slices.IndexFunc(entries, func(e entry) bool { return e.fits(address, user) })
	if i < 0 {
		return "", false, nil
	}
	return entries[i].password, true, private(f, path)
}

func unreadable(path string, err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return &Error{Msg: path + ": " + err.Error()}
}

// private refuses a file of somebody else, or one that others can read or write.
func private(f *os.File, path string) error {
	info, err := f.Stat()
	if err != nil {
		return unreadable(path, err)
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && int(owner.Uid) != os.Geteuid() {
		return &Error{path + " belongs to somebody else", "NETRC=FILE names another one"}
	}
	if info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		return &Error{path + " can be read by others", "chmod 600 " + path}
	}
	return nil
}

// entry is what the file says of a machine.
type entry struct {
	host            string // "" for default
	login, password string
	secret          bool // it has a password
}

func (e *entry) fits(address, user string) bool {
	host := address
	if i := strings.LastIndexByte(address, ':'); i >= 0 {
		host = address[:i]
	}
	return e.secret && (e.login == "" || e.login == user) &&
		(e.host == "" || slices.ContainsFunc([]string{address, host, strings.Trim(host, "[]")}, func(n string) bool { return strings.EqualFold(n, e.host) }))
}

// parse reads machine, default, login, password and account; macros are passed over.
func parse(path, text string) ([]entry, error) {
	var entries []entry
	s := &scanner{text: text, line: 1}
	for {
		line := s.line
		word, err := s.next()
		if word == "" && err == nil {
			return entries, nil
		}
		value := ""
		switch {
		case err != nil:
		case word == "default":
			entries = append(entries, entry{})
			continue
		case strings.HasPrefix(word, "#"):
			s.restOfLine()
			continue
		case word == "macdef":
			s.macro()
			continue
		case !slices.Contains([]string{"machine", "login", "password", "account"}, word):
			err = errors.New("there is no keyword " + fmt.Sprintf("%.20q", word))
		case word != "machine" && len(entries) == 0:
			err = errors.New(word + " comes before the first machine")
		default:
			line = s.line
			if value, err = s.next(); err == nil && value == "" {
				err = errors.New("nothing follows " + word)
			}
		}
		if err != nil {
			return nil, &Error{Msg: fmt.Sprintf("%s:%d: %v", path, line, err)}
		}
		if word == "machine" {
			entries = append(entries, entry{host: value})
			continue
		}
		e := &entries[len(entries)-1]
		switch word {
		case "login":
			e.login = value
		case "password":
			e.password, e.secret = value, true
		}
	}
}

// scanner cuts the text into words.
type scanner struct {
	text string
	pos  int
	line int
}

// next returns the next word, without its quotes; "" at the end.
func (s *scanner) next() (string, error) {
	for s.pos < len(s.text) && strings.IndexByte(" \t\r\n", s.text[s.pos]) >= 0 {
		s.step()
	}
	var word strings.Builder
	quoted := s.pos < len(s.text) && s.text[s.pos] == '"'
	if quoted {
		s.step()
	}
	for s.pos < len(s.text) {
		c := s.step()
		switch {
		case quoted && c == '"':
			return word.String(), nil
		case !quoted && strings.IndexByte(" \t\r\n", c) >= 0:
			return word.String(), nil
		case c == '\\' && s.pos < len(s.text):
			c = s.step()
		}
		word.WriteByte(c)
	}
	if quoted {
		return "", errors.New("the closing quote is missing")
	}
	return word.String(), nil
}

// step moves over one byte and returns it.
func (s *scanner) step() byte {
	c := s.text[s.pos]
	s.pos++
	if c == '\n' {
		s.line++
	}
	return c
}

// restOfLine passes over what is left of the line, unless the last word ended with it.
func (s *scanner) restOfLine() {
	for s.pos < len(s.text) && s.text[s.pos-1] != '\n' {
		s.step()
	}
}

// macro passes over a macro, which ends with an empty line.
func (s *scanner) macro() {
	_, rest, _ := strings.Cut(s.text[s.pos:], "\n\n")
	for s.pos < len(s.text)-len(rest) {
		s.step()
	}
}
