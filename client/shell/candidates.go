package shell

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	xterm "golang.org/x/term"
	"golang.org/x/text/unicode/norm"

	"ferry/client/term"
)

// maxCandidates is how many are shown in a list.
const maxCandidates = 200

// A Candidate is what a word can become.
type Candidate struct {
	Text string // as it would be typed, with quotes; it begins with what was typed, perhaps with other characters that look the same
	Show string // in a list; "" as Text
}

// completer hands readline at most one candidate. Its own list of several crashes on wide
// characters, and on those wider than the terminal, so that is printed here.
type completer struct{ t *terminal }

// Do implements readline.AutoCompleter.
func (c completer) Do(runes []rune, pos int) ([][]rune, int) {
	defer c.t.restoreOnPanic()
	if c.t.complete == nil {
		return nil, 0
	}
	before := string(runes[:pos])
	ctx, cancel := context.WithCancel(context.Background())
	c.t.tab.Store(&cancel)
	candidates, replace := c.t.complete(ctx, string(runes), len(before))
	c.t.tab.Store(nil)
	cancel()
	if len(candidates) == 0 || replace < 0 || replace > len(before) {
		io.WriteString(c.t.screen, "\a")
		return nil, 0
	}
	common, typed := commonPrefix(candidates), before[len(before)-replace:]
	suffix, found := strings.CutPrefix(common, typed)
	switch {
	case found && suffix != "":
		return [][]rune{[]rune(suffix)}, 0
	case !found && strings.HasPrefix(norm.NFC.String(common), norm.NFC.String(typed)):
		c.t.keys.completed = []rune(before[:len(before)-replace] + common) // readline only appends
		return nil, 0
	}
	if len(candidates) > 1 {
		columns, _ := term.Size(c.t.screen)
		io.WriteString(printer(c), c.t.prompt+string(runes)+listCandidates(candidates, columns)) // the line comes again below
	}
	return nil, 0
}

// restoreOnPanic gives the terminal back before a panic goes on: keys are handled on a goroutine of readline's, where nothing
// else would.
func (t *terminal) restoreOnPanic() {
	if why := recover(); why != nil {
		xterm.Restore(int(os.Stdin.Fd()), t.state)
		panic(why)
	}
}

// commonPrefix returns what the texts of all candidates begin with: whole characters only, with all the marks that stand on
// them, and no half of a backslash and the character it quotes.
func commonPrefix(candidates []Candidate) string {
	prefix := candidates[0].Text
	for _, c := range candidates[1:] {
		n := 0
		for n < len(prefix) && n < len(c.Text) && prefix[n] == c.Text[n] {
			n++
		}
		prefix = prefix[:n]
	}
	for prefix != "" && slices.ContainsFunc(candidates, func(c Candidate) bool { return continues(c.Text[len(prefix):]) }) {
		_, n := utf8.DecodeLastRuneInString(prefix)
		prefix = prefix[:len(prefix)-n]
	}
	if slashes := len(prefix) - len(strings.TrimRight(prefix, `\`)); len(candidates) > 1 && slashes%2 == 1 {
		prefix = prefix[:len(prefix)-1]
	}
	return prefix
}

// continues tells whether a text begins within a character.
func continues(text string) bool {
	r, n := utf8.DecodeRuneInString(text)
	return n == 1 && r == utf8.RuneError || unicode.In(r, unicode.Mn, unicode.Me)
}

// listCandidates writes the candidates in columns, down and then across.
func listCandidates(candidates []Candidate, columns int) string {
	more := ""
	if n := len(candidates) - maxCandidates; n > 0 {
		candidates = candidates[:maxCandidates]
		more = fmt.Sprintf("... and %d more\n", n)
	}
	cells := 1
	names := make([]string, len(candidates))
	for i, c := range candidates {
		if c.Show == "" {
			c.Show = c.Text
		}
		names[i] = term.Truncate(term.Escape(strings.TrimSuffix(c.Show, " ")), columns-1)
		cells = max(cells, term.Width(names[i])+2)
	}
	perRow := max(columns/cells, 1)
	rows := (len(names) + perRow - 1) / perRow
	var b strings.Builder
	b.WriteByte('\n')
	for row := range rows {
		for i := row; i < len(names); i += rows {
			b.WriteString(names[i])
			if i+rows < len(names) {
				b.WriteString(strings.Repeat(" ", cells-term.Width(names[i])))
			}
		}
		b.WriteByte('\n')
	}
	return b.String() + more
}
