package shell

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Word is one argument of a command, without its quotes.
type Word struct {
	Text       string
	Quoted     []bool // per byte of Text: it was quoted, so a glob character there is literal
	Start, End int    // byte range in the line, quotes included
	Open       rune   // ' or " if that quote is still open at the end (only from SplitPartial), else 0
}

// HasGlob reports whether the word has a *, ? or [ that was not quoted.
func (w Word) HasGlob() bool {
	for i := range len(w.Text) {
		if !w.Quoted[i] && strings.IndexByte("*?[", w.Text[i]) >= 0 {
			return true
		}
	}
	return false
}

// A Cmd is one command of a line. A local command (!) has exactly two words, "!" and
// everything after it, left as it was typed.
type Cmd struct {
	Words    []Word
	Output   *Output // where its results go; nil: stdout
	Op       string  // what follows: "" at the end of the line, or ";", "&&", "||", "&"
	Tolerate bool    // it began with -, a failure does not end a script
	Quiet    bool    // it began with @, a script does not echo it
	Text     string  // all of it as it was typed, but the marks in front and the operator behind
}

// An Output says where on this machine the results of a command go instead of stdout.
type Output struct {
	Op string // ">": a file anew, ">>": the end of a file, "|": a program
	To Word   // the name of the file, or the program with its arguments, left as it was typed
}

// A SyntaxError says why a line cannot be split.
type SyntaxError struct {
	Col int // byte offset in the line, from 0
	Msg string
}

func (e *SyntaxError) Error() string { return e.Msg }

// Split takes a line apart as sh would: '...' is literal; in "..." a backslash escapes " and \;
// elsewhere it escapes any character. The operators are ; && || & and a newline, which counts as ;.
// The results of a command go elsewhere with > FILE, >> FILE or | PROGRAM; what is behind a | up to
// the next operator that is not quoted or in parentheses is for sh. A # where a command would begin
// starts a comment, a ! there makes the rest of the line one local command. Nothing is expanded. The
// error is a *SyntaxError.
func Split(line string) ([]Cmd, error) {
	l := lexer{line: line}
	var cmds []Cmd
	before := "" // the operator in front of the command
	for {
		cmd, err := l.command()
		if err != nil {
			return nil, err
		}
		ends := cmd.Op == "" || cmd.Op == "\n"
		switch {
		case len(cmd.Words) > 0:
			cmds = append(cmds, cmd)
		case !ends:
			return nil, &SyntaxError{l.pos - len(cmd.Op), "missing command before " + cmd.Op}
		case before == "&&" || before == "||":
			return nil, &SyntaxError{l.pos - len(cmd.Op), "missing command after " + before}
		}
		if cmd.Op == "" {
			break
		}
		before = cmd.Op
	}
	for i := range cmds {
		if cmds[i].Op == "\n" {
			cmds[i].Op = ";"
		}
	}
	return cmds, nil
}

// SplitPartial returns the last command of line, which is the line up to the cursor. What is being
// typed is its Output.To if that ends at the cursor, else the last of its words, which is empty when
// the cursor stands after a blank or an operator.
func SplitPartial(line string) Cmd {
	l := lexer{line: line, partial: true}
	for {
		cmd, _ := l.command() // a partial lexer has no errors
		if cmd.Op != "" {
			continue
		}
		if cmd.Output != nil && cmd.Output.To.End == len(line) {
			return cmd
		}
		if n := len(cmd.Words); n == 0 || cmd.Words[n-1].End < len(line) {
			cmd.Words = append(cmd.Words, Word{Start: len(line), End: len(line)})
		}
		return cmd
	}
}

// Quote returns s so that Split, and sh, read it as one word. A plain name stays as it is.
func Quote(s string) string {
	plain := s != "" && utf8.ValidString(s) && strings.IndexByte("-@!#~=", s[0]) < 0
	for _, r := range s {
		if r < utf8.RuneSelf {
			plain = plain && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' ||
				strings.ContainsRune("_-./:,+@%~=", r))
		} else {
			plain = plain && unicode.IsPrint(r)
		}
	}
	if plain {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

type lexer struct {
	line    string
	pos     int
	partial bool // for completion: nothing is an error
}

func isBlank(c byte) bool  { return c == ' ' || c == '\t' || c == '\r' }
func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// at returns the byte n places ahead, or 0 behind the end.
func (l *lexer) at(n int) byte {
	if l.pos+n < len(l.line) {
		return l.line[l.pos+n]
	}
	return 0
}

func (l *lexer) blanks() {
	for isBlank(l.at(0)) {
		l.pos++
	}
}

// rest returns what is left up to the newline or the end and moves there.
func (l *lexer) rest() string {
	s, _, _ := strings.Cut(l.line[l.pos:], "\n")
	l.pos += len(s)
	return s
}

// operator moves over what ends a command, if that stands at the current place, and returns it, or "".
func (l *lexer) operator() string { return l.take("&&", "||", "&", ";", "\n") }

// take moves over the first of the tokens that stands at the current place and returns it, or "".
func (l *lexer) take(tokens ...string) string {
	for _, t := range tokens {
		if strings.HasPrefix(l.line[l.pos:], t) {
			l.pos += len(t)
			return t
		}
	}
	return ""
}

// fail is an error at a place of the line; for completion there is none.
func (l *lexer) fail(col int, msg string) error {
	if l.partial {
		return nil
	}
	return &SyntaxError{col, msg}
}

// command reads one command and the operator behind it, which is "\n" for a newline.
func (l *lexer) command() (Cmd, error) {
	var cmd Cmd
	l.blanks()
	for {
		next := l.at(1)
		if l.at(0) == '-' && (isLetter(next) || next == '@' || next == '!') {
			cmd.Tolerate = true
		} else if l.at(0) == '@' && next != 0 && next != '\n' && !isBlank(next) {
			cmd.Quiet = true
		} else {
			break
		}
		l.pos++
	}
	if l.at(0) == '#' {
		l.rest()
	}
	first := l.pos
	if l.at(0) == '!' {
		cmd.Words = l.local()
		cmd.Text = l.line[first:l.pos]
		cmd.Op = l.operator()
		return cmd, nil
	}
	for {
		l.blanks()
		if cmd.Op = l.operator(); cmd.Op != "" || l.pos == len(l.line) {
			return cmd, nil
		}
		start := l.pos
		if op := l.take(">>", ">", "|"); op != "" {
			if err := l.output(&cmd, op, start); err != nil {
				return cmd, err
			}
			cmd.Text = l.line[first:cmd.Output.To.End]
			continue
		}
		w, err := l.word()
		if err != nil {
			return cmd, err
		}
		cmd.Words = append(cmd.Words, w)
		cmd.Text = l.line[first:w.End]
	}
}

// local reads a ! and the rest of the line.
func (l *lexer) local() []Word {
	bang := literal("!", l.pos)
	l.pos++
	l.blanks()
	start := l.pos
	return []Word{bang, literal(l.rest(), start)}
}

// literal is a word that stands as it is.
func literal(text string, start int) Word {
	return Word{Text: text, Quoted: slices.Repeat([]bool{true}, len(text)), Start: start, End: start + len(text)}
}

// output reads what follows op, which stands at col.
func (l *lexer) output(cmd *Cmd, op string, col int) (err error) {
	switch {
	case len(cmd.Words) == 0:
		err = l.fail(col, "missing command before "+op)
	case cmd.Output != nil:
		err = l.fail(col, "results go to one place only")
	}
	if err != nil {
		return err
	}
	l.blanks()
	cmd.Output = &Output{Op: op, To: Word{Start: l.pos, End: l.pos}}
	if op == "|" {
		cmd.Output.To, err = l.program()
	} else if c := l.at(0); c != 0 && strings.IndexByte("&;\n<>|", c) < 0 {
		cmd.Output.To, err = l.word()
	}
	if err == nil && cmd.Output.To.Start == cmd.Output.To.End {
		err = l.fail(l.pos, "missing "+map[bool]string{true: "program", false: "file name"}[op == "|"]+" after "+op)
	}
	return err
}

// program reads what is for sh, without blanks at its end.
func (l *lexer) program() (Word, error) {
	start, opened := l.pos, 0
	depth, quote := 0, byte(0)
scan:
	for ; l.pos < len(l.line); l.pos++ {
		c := l.line[l.pos]
		switch {
		case c == '\\' && quote != '\'':
			l.pos++
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case strings.IndexByte("'\"`", c) >= 0:
			quote, opened = c, l.pos
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == '\n' || depth <= 0 && l.endsProgram():
			break scan
		}
	}
	l.pos = min(l.pos, len(l.line)) // behind a backslash at the end
	if quote != 0 {
		if err := l.fail(opened, "missing closing "+string(quote)); err != nil {
			return Word{}, err
		}
	}
	text := l.line[start:l.pos]
	if !l.partial {
		text = strings.TrimRight(text, " \t\r")
	}
	return literal(text, start), nil
}

// endsProgram tells whether an operator stands at the current place; the & of >& and &> is none.
func (l *lexer) endsProgram() bool {
	switch rest := l.line[l.pos:]; rest[0] {
	case ';':
		return true
	case '|':
		return strings.HasPrefix(rest, "||")
	case '&':
		return l.at(1) != '>' && strings.IndexByte("<>", l.line[l.pos-1]) < 0
	}
	return false
}

// word reads one word; there is at least one byte of it.
func (l *lexer) word() (Word, error) {
	w := Word{Start: l.pos}
	var text []byte
	add := func(c byte, quoted bool) {
		text = append(text, c)
		w.Quoted = append(w.Quoted, quoted)
	}
	opened := 0 // where the open quote stands
	for l.pos < len(l.line) {
		c := l.line[l.pos]
		if w.Open == 0 && (isBlank(c) || strings.IndexByte("&;\n>|", c) >= 0) {
			break
		}
		next := l.at(1)
		switch {
		case w.Open == 0 && (c == '\'' || c == '"'):
			w.Open, opened = rune(c), l.pos
		case w.Open != 0 && rune(c) == w.Open:
			w.Open = 0
		case c == '\\' && (w.Open == 0 || w.Open == '"' && (next == '"' || next == '\\')):
			l.pos++
			if l.pos < len(l.line) {
				add(next, true)
			} else if !l.partial {
				return w, &SyntaxError{l.pos - 1, `missing character after \`}
			} else {
				l.pos--
			}
		case w.Open == 0 && c == '<' && !l.partial:
			return w, &SyntaxError{l.pos, "'<' must be quoted"}
		default:
			add(c, w.Open != 0)
		}
		l.pos++
	}
	if w.Open != 0 && !l.partial {
		return w, &SyntaxError{opened, "missing closing " + string(w.Open)}
	}
	w.Text, w.End = string(text), l.pos
	if l.at(0) == '>' && strings.Trim(l.line[w.Start:w.End], "0123456789") == "" {
		return w, l.fail(w.Start, "only results go elsewhere: "+w.Text+"> must be quoted")
	}
	return w, nil
}
