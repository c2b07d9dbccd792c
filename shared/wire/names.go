package wire

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// Name is a path or a part of one: any bytes but NUL. On the wire each byte that is not part of valid UTF-8 is written as
// U+0000 and two lower-case hexadecimal digits, so that two different names never become one.
type Name string

// MarshalText writes the form that travels.
func (n Name) MarshalText() ([]byte, error) {
	s := string(n)
	if strings.IndexByte(s, 0) >= 0 {
		return nil, errors.New("a name cannot hold a NUL byte")
	}
	if utf8.ValidString(s) {
		return []byte(s), nil
	}
	const digits = "0123456789abcdef"
	out := make([]byte, 0, len(s)+8)
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && size == 1 {
			out = append(out, 0, digits[s[0]>>4], digits[s[0]&15])
		} else {
			out = append(out, s[:size]...)
		}
		s = s[size:]
	}
	return out, nil
}

// UnmarshalText reads the form that travels and refuses any that MarshalText would not have written.
func (n *Name) UnmarshalText(b []byte) error {
	s := string(b)
	if strings.IndexByte(s, 0) < 0 {
		if !utf8.ValidString(s) {
			return errors.New("a name is not UTF-8")
		}
		*n = Name(s)
		return nil
	}
	var raw []byte
	for i := 0; i < len(s); i++ {
		if s[i] != 0 {
			raw = append(raw, s[i])
			continue
		}
		if i+2 >= len(s) {
			return errors.New("a name holds a NUL byte")
		}
		hi, lo := strings.IndexByte("0123456789abcdef", s[i+1]), strings.IndexByte("0123456789abcdef", s[i+2])
		if hi < 0 || lo < 0 {
			return errors.New("a name holds a NUL byte")
		}
		raw = append(raw, byte(hi<<4|lo))
		i += 2
	}
	if back, err := Name(raw).MarshalText(); err != nil || string(back) != s {
		return errors.New("a name escapes bytes that need no escape")
	}
	*n = Name(raw)
	return nil
}
