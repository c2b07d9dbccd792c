package shell

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/chzyer/readline"
)

// minPaste is from how many bytes of text in one piece on it was pasted, not typed.
const minPaste = 64

// pasteMark stands for pasted text on its way through readline; it is no character.
const pasteMark = '\uFDD0'

// keyboard is what readline reads keys from. It takes out those that break readline, or that it would put into the line as
// they are and so on the screen, and hands over pasted text in one piece: readline draws the whole line anew for every
// character, which 10 000 of them make a matter of minutes.
type keyboard struct {
	r       io.Reader
	suspend func() // called for Ctrl-Z
	// interrupt is called for Ctrl-C, at once; readline gets it when it is done with the keys before.
	interrupt func()

	part      []byte      // the beginning of a character
	out       []byte      // not read yet
	escape    bool        // the last piece had an escape sequence, which may go on
	completed []rune      // what Tab puts in place of all before the cursor; nil: it does not
	searching atomic.Bool // the keys go to a search, which knows no pasting

	mu     sync.Mutex // guards what follows
	pasted [][]rune   // texts whose marks are under way
}

// dropped are the keys that readline gets none of: Ctrl-S (a Ctrl-C after it crashes), Ctrl-Space (a NUL, which it takes for
// the end), Ctrl-Z (it would also stop the parent, which may be a terminal window or sshd), and those it has no use for.
const dropped = "\x13\x00\x1a\x0f\x11\x16\x18\x1c\x1d\x1e\x1f"

// Read implements io.Reader.
func (k *keyboard) Read(b []byte) (int, error) {
	buf := make([]byte, 4096)
	for len(k.out) == 0 {
		n, err := k.r.Read(buf)
		if bytes.IndexByte(buf[:n], 0x1a) >= 0 {
			k.suspend()
		}
		if bytes.IndexByte(buf[:n], 0x03) >= 0 {
			k.interrupt()
		}
		k.take(buf[:n])
		if err != nil || n == 0 {
			return k.hand(b), err
		}
	}
	return k.hand(b), nil
}

func (k *keyboard) hand(b []byte) int {
	n := copy(b, k.out)
	k.out = k.out[n:]
	return n
}

// take sorts what was typed or pasted in one piece.
func (k *keyboard) take(piece []byte) {
	raw := k.escape || k.searching.Load()
	k.escape = bytes.LastIndexByte(piece, 0x1b) >= max(0, len(piece)-8)
	raw = raw || bytes.IndexByte(piece, 0x1b) >= 0
	piece = append(k.part, piece...)
	k.part = nil
	for len(piece) > 0 {
		n := textLen(piece)
		if n >= minPaste && !raw || bytes.ContainsRune(piece[:n], pasteMark) {
			k.paste(string(piece[:n]))
		} else {
			k.out = append(k.out, piece[:n]...)
		}
		piece = piece[n:]
		r, n := utf8.DecodeRune(piece)
		switch {
		case len(piece) == 0:
		case !utf8.FullRune(piece):
			k.part = slices.Clone(piece)
			return
		case r < ' ' && strings.ContainsRune(dropped, r), r >= 0x80 && r < 0xa0:
			piece = piece[n:]
		default:
			k.out = append(k.out, piece[:n]...)
			piece = piece[n:]
		}
	}
}

// textLen returns how many bytes of text, tabs included, b begins with.
func textLen(b []byte) (n int) {
	for n < len(b) {
		r, size := utf8.DecodeRune(b[n:])
		if r == utf8.RuneError && size == 1 || r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 {
			break
		}
		n += size
	}
	return n
}

// paste keeps a text and puts its mark among the keys. A pasted tab is a blank: nobody asks for completion with it.
func (k *keyboard) paste(text string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.pasted = append(k.pasted, []rune(strings.ReplaceAll(text, "\t", " ")))
	k.out = append(k.out, string(pasteMark)...)
}

// OnChange implements readline.Listener, which is told of every key: it puts pasted text in the place of its mark, and what Tab has
// found in the place of what was typed in another way.
func (k *keyboard) OnChange(line []rune, pos int, key rune) ([]rune, int, bool) {
	if key == readline.CharBckSearch || key < ' ' && key != readline.CharCtrlH { // anything but text and what takes it back
		k.searching.Store(key == readline.CharBckSearch)
	}
	if key == readline.CharTab && k.completed != nil {
		text := k.completed
		k.completed = nil
		return append(text, line[pos:]...), len(text), true
	}
	if key != pasteMark {
		return nil, 0, false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.pasted) == 0 {
		return nil, 0, false
	}
	text := k.pasted[0]
	k.pasted = k.pasted[1:]
	if pos == 0 || line[pos-1] != pasteMark {
		return nil, 0, false
	}
	return slices.Replace(line, pos-1, pos, text...), pos - 1 + len(text), true
}
