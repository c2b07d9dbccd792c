package term

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf16"

	"ferry/shared/wire"
)

// JSON writes v as one line of JSON that is safe on a terminal: what Escape would not let
// through is written as \uNNNN. It ends in a newline. Strings, maps and slices of them hold names that need not be UTF-8: they are
// written as on the wire, for otherwise two names could become one.
func JSON(v any) ([]byte, error) {
	var raw bytes.Buffer
	e := json.NewEncoder(&raw)
	e.SetEscapeHTML(false)
	if err := e.Encode(named(v)); err != nil {
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

// named returns v with its strings as wire.Name writes them.
func named(v any) any {
	switch v := v.(type) {
	case string:
		if b, err := wire.Name(v).MarshalText(); err == nil {
			return string(b)
		}
	case []string:
		out := make([]any, len(v))
		for i, s := range v {
			out[i] = named(s)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = named(e)
		}
		return out
	}
	return v
}
