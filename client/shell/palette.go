package shell

import (
	"slices"
	"strings"

	"ferry/shared/wire"
)

// palette is in which colours names are shown. The zero value is none.
type palette struct {
	kinds    map[string]string // codes by the two letters of LS_COLORS
	suffixes []suffix          // the later ones count
}

// suffix is the code of names that end so.
type suffix struct{ end, code string }

// defaultColours are used where LS_COLORS is not set.
const defaultColours = "di=01;34:ln=01;36:ex=01;32"

// newPalette reads the text of LS_COLORS. What it does not know, or what is not a colour, is left out.
func newPalette(text string) palette {
	if text == "" {
		text = defaultColours
	}
	p := palette{kinds: map[string]string{}}
	for item := range strings.SplitSeq(text, ":") {
		key, code, ok := strings.Cut(item, "=")
		if !ok || strings.Trim(code, "0123456789;") != "" { // nothing else may reach the terminal
			continue
		}
		if end, ok := strings.CutPrefix(key, "*"); ok {
			p.suffixes = append(p.suffixes, suffix{end, code})
		} else {
			p.kinds[key] = code
		}
	}
	return p
}

// paint is the name of an entry as a terminal shows it.
func (p palette) paint(e wire.Entry) string {
	shown := decorated(e)
	code := p.code(e)
	if strings.Trim(code, "0;") == "" {
		return shown
	}
	mark := marks()[e.Kind]
	return "\x1b[" + code + "m" + strings.TrimSuffix(shown, mark) + "\x1b[0m" + mark
}

// code returns the code for an entry, "" if it has none.
func (p palette) code(e wire.Entry) string {
	kind := map[string]string{"dir": "di", "link": "ln", "other": "or"}[e.Kind]
	if kind == "" && e.Mode&0o111 != 0 {
		kind = "ex"
	}
	if code := p.kinds[kind]; code != "" {
		return code
	}
	if e.Kind == "file" {
		for _, s := range slices.Backward(p.suffixes) {
			if strings.HasSuffix(string(e.Name), s.end) {
				return s.code
			}
		}
	}
	return p.kinds["fi"]
}
