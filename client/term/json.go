package term

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf16"
)

// JSON writes v as one line of JSON that is safe on a terminal: what Escape would not let
// through is written as \uNNNN. It ends in a newline.
func JSON(v any) ([]byte, error) {
	var raw bytes.Buffer
	e := json.NewEncoder(&raw)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode json: %w", err)
	}
	var line []byte
	for _, r := range string(bytes.TrimSuffix(raw.Bytes(), []byte("\n"))) {
		switch {
		case r < 0x7f || !isMark(r) && visible(r, 0):
			line = append(line, string(r)...)
		case r > 0xFFFF:
			high, low := utf16.EncodeRune(r)
			line = fmt.Appendf(line, `\u%04x\u%04x`, high, low)
		default:
			line = fmt.Appendf(line, `\u%04x`, r)
		}
	}
	return append(line, '\n'), nil
}
