package account

import (
	"strconv"
	"strings"
)

// maxDepth bounds the nesting of arrays, inline tables and dotted keys. The
// TOML library recurses on them, so the bound is checked before it runs.
const maxDepth = 16

// maxItems bounds the keys and headers of a file: far above what real accounts
// fill 8 MiB with, and what the library needs for them stays below 1 GiB.
const maxItems = 200_000

const tooDeep = "nested too deeply (at most 16 levels)"

type itemKind int

const (
	header      itemKind = iota + 1 // [a.b]
	arrayHeader                     // [[a.b]]
	pair                            // key = value
)

// item is one statement of a TOML text: a header or a key with its value.
// Blank and comment lines lie between items.
type item struct {
	kind       itemKind
	path       []string // full path, the header's part included
	line       int      // from 1
	start, end int      // byte range of its whole lines, the last newline included
	value      int      // where the value begins (pair only)
	valueEnd   int      // just after the value or the header's bracket
	comment    int      // where the trailing comment begins, -1 if none
	inner      bool     // the value has comments inside
}

// scanError is where a scan stopped. Without a msg it is a plain syntax
// error, which the TOML library words better.
type scanError struct {
	pos, line int
	msg       string
}

// scan splits a text into items. It checks only what it needs: whatever it
// accepts is decoded by the TOML library afterwards.
func scan(text string) ([]item, *scanError) {
	s := &scanner{text: text, line: 1}
	if strings.HasPrefix(s.text, "\ufeff") {
		s.pos = len("\ufeff")
	}
	items := make([]item, 0, min(strings.Count(s.text, "\n")+1, maxItems+1))
	var table []string
	for s.pos < len(s.text) {
		it := item{start: s.pos, line: s.line, comment: -1}
		s.blanks()
		switch s.peek() {
		case '#', '\n', '\r', 0:
		case '[':
			it.kind = header
			s.pos++
			if s.peek() == '[' {
				it.kind = arrayHeader
				s.pos++
			}
			it.path = s.key(nil)
			table = it.path
			for range it.kind {
				s.want(']')
			}
			it.valueEnd = s.pos
		default:
			it.kind = pair
			it.path = s.key(table)
			s.want('=')
			s.blanks()
			it.value = s.pos
			it.inner = s.value()
			it.valueEnd = it.value + len(strings.TrimRight(s.text[it.value:s.pos], " \t\r"))
		}
		s.blanks()
		if s.peek() == '#' {
			it.comment = s.pos
			s.comment()
		}
		if s.peek() == '\r' {
			s.pos++
		}
		if s.pos < len(s.text) {
			s.want('\n')
			s.line++
		}
		if s.err != nil {
			return nil, s.err
		}
		it.end = s.pos
		if it.kind != 0 {
			items = append(items, it)
		}
		if len(items) > maxItems {
			return nil, &scanError{s.pos, it.line, "too many keys and tables (at most 200000)"}
		}
	}
	return items, nil
}

// scanner holds its first error; after it every step leaves pos alone.
type scanner struct {
	text      string
	pos, line int
	err       *scanError
}

func (s *scanner) fail(msg string) {
	if s.err == nil {
		s.err = &scanError{s.pos, s.line, msg}
	}
}

// peek returns the byte at pos, 0 at the end or after an error.
func (s *scanner) peek() byte {
	if s.err != nil || s.pos >= len(s.text) {
		return 0
	}
	return s.text[s.pos]
}

func (s *scanner) want(c byte) {
	if s.peek() != c {
		s.fail("")
		return
	}
	s.pos++
}

func (s *scanner) blanks() {
	for s.peek() == ' ' || s.peek() == '\t' {
		s.pos++
	}
}

func (s *scanner) comment() {
	for s.peek() != '\n' && s.peek() != 0 && !strings.HasPrefix(s.text[s.pos:], "\r\n") {
		s.pos++
	}
}

// key reads a dotted key and the blanks around it, and returns it as a part of table.
func (s *scanner) key(table []string) []string {
	path := table[:len(table):len(table)]
	for {
		s.blanks()
		from := s.pos
		if c := s.peek(); c == '"' || c == '\'' {
			s.quoted()
			path = append(path, unquote(s.text[from:s.pos]))
		} else {
			for bare(s.peek()) {
				s.pos++
			}
			path = append(path, s.text[from:s.pos])
		}
		if s.pos == from {
			s.fail("")
		}
		s.blanks()
		if s.peek() != '.' {
			return path
		}
		s.pos++
		if len(path)-len(table) == maxDepth {
			s.fail(tooDeep)
		}
	}
}

// bare reports whether a key may hold c without quotes.
func bare(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

// quoted reads a string that ends on its line.
func (s *scanner) quoted() {
	q := s.peek()
	s.pos++
	for s.peek() != q {
		if c := s.peek(); c == 0 || c == '\n' {
			s.fail("")
			return
		} else if c == '\\' && q == '"' && s.pos+1 < len(s.text) {
			s.pos++
		}
		s.pos++
	}
	s.pos++
}

// unquote decodes a quoted key. A key it cannot decode stays as written and
// then matches no account, which only means that it is edited by hand.
func unquote(s string) string {
	if strings.HasPrefix(s, "'") {
		return strings.Trim(s, "'")
	}
	if u, err := strconv.Unquote(s); err == nil {
		return u
	}
	return s
}

// value reads a value up to the end of its line or its trailing comment and
// reports whether there are comments inside.
func (s *scanner) value() (inner bool) {
	depth, dots := 0, 0
	for s.err == nil {
		switch c := s.peek(); c {
		case 0:
			if depth > 0 || s.pos < len(s.text) {
				s.fail("")
			}
			return inner
		case '"', '\'':
			s.str()
			continue
		case '\n':
			if depth == 0 {
				return inner
			}
			s.line++
		case '#':
			if depth == 0 {
				return inner
			}
			inner = true
			s.comment()
			continue
		case '[', '{':
			depth, dots = depth+1, 0
		case ']', '}':
			depth--
		case ',', '=':
			dots = 0
		case '.':
			dots++
		}
		if depth < 0 {
			s.fail("")
		}
		if depth > maxDepth || dots > maxDepth {
			s.fail(tooDeep)
		}
		s.pos++
	}
	return inner
}

// str reads a string of any of the four kinds.
func (s *scanner) str() {
	q := s.peek()
	if rest := s.text[s.pos:]; len(rest) < 3 || rest[1] != q || rest[2] != q {
		s.quoted()
		return
	}
	s.pos += 3
	for {
		switch c := s.peek(); c {
		case 0:
			s.fail("")
			return
		case q:
			run := 0
			for s.peek() == q && run < 5 { // the closing three may follow two of the content
				s.pos++
				run++
			}
			if run >= 3 {
				return
			}
			continue
		case '\\':
			if q == '"' && s.pos+1 < len(s.text) && s.text[s.pos+1] != '\n' {
				s.pos++
			}
		case '\n':
			s.line++
		}
		s.pos++
	}
}
