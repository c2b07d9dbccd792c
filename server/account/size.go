package account

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// Size is a number of bytes; as a limit 0 is none.
type Size int64

// Rate is a number of bytes a second; 0 is no limit.
type Rate int64

// Count is a number of things; as a limit 0 is none.
type Count int64

// none is how users.toml and the command line write "no limit".
const none = "none"

// minRate is the smallest rate, in bytes a second: below it some of sixteen connections that share it would be taken for dead.
const minRate = 64 << 10

// String writes a size exactly, as users.toml has it: "10GiB", "1500MB", "none".
func (s Size) String() string {
	if s == 0 {
		return none
	}
	us := units()
	for i := len(us) - 1; i >= 0; i-- {
		if int64(s)%us[i].bytes == 0 {
			return strconv.FormatInt(int64(s)/us[i].bytes, 10) + us[i].name
		}
	}
	return "" // never: the first unit is one byte
}

// Short writes a size for people, with one digit behind the point at most: "9.8 GiB". 0 is "0 B".
func (s Size) Short() string {
	const names = "KMGTPE"
	v, i := float64(s), -1
	for ; math.Abs(v) >= 1023.95 && i+1 < len(names); i++ {
		v /= 1024
	}
	if i < 0 {
		return strconv.FormatInt(int64(s), 10) + " B"
	}
	return strings.TrimSuffix(strconv.FormatFloat(v, 'f', 1, 64), ".0") + " " + names[i:i+1] + "iB"
}

// String writes a rate exactly, as users.toml has it: "20MiB/s", "none".
func (r Rate) String() string {
	if r == 0 {
		return none
	}
	return Size(r).String() + "/s"
}

// String writes a count, "none" for no limit.
func (c Count) String() string {
	if c == 0 {
		return none
	}
	return strconv.FormatInt(int64(c), 10)
}

type unit struct {
	name  string
	bytes int64
}

// units are the units of sizes, the largest last.
func units() []unit {
	return []unit{
		{"B", 1}, {"kB", 1e3}, {"KiB", 1 << 10}, {"MB", 1e6}, {"MiB", 1 << 20}, {"GB", 1e9}, {"GiB", 1 << 30},
		{"TB", 1e12}, {"TiB", 1 << 40}, {"PB", 1e15}, {"PiB", 1 << 50},
	}
}

// parseSize reads "10GiB", "1.5TB" or "512B": a positive number and its unit, exact or refused.
func parseSize(s string) (int64, error) {
	number := strings.TrimRight(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
	name := strings.TrimSpace(s[len(number):])
	digits := strings.ReplaceAll(number, ".", "")
	if digits == "" || len(digits) > 30 || strings.Trim(digits, "0123456789") != "" || strings.Count(number, ".") > 1 {
		return 0, fmt.Errorf("%q is not a number with a unit, such as 10GiB", clip(s))
	}
	n, ok := new(big.Rat).SetString(number)
	if !ok {
		return 0, fmt.Errorf("%q is not a number with a unit, such as 10GiB", clip(s))
	}
	for _, u := range units() {
		if u.name != name {
			continue
		}
		n.Mul(n, new(big.Rat).SetInt64(u.bytes))
		switch {
		case n.Sign() <= 0:
			return 0, fmt.Errorf("must be more than 0; %q is no limit", none)
		case !n.IsInt():
			return 0, fmt.Errorf("%q is not a whole number of bytes", clip(s))
		case !n.Num().IsInt64():
			return 0, fmt.Errorf("%q is too large", clip(s))
		}
		return n.Num().Int64(), nil
	}
	return 0, fmt.Errorf("%q has no unit that is known: B, KiB, MiB, GiB, TiB, PiB (powers of 1024) or kB, MB, GB, TB, PB", clip(s))
}

// sizeOf reads a size of users.toml.
func sizeOf(v any) (Size, error) {
	s, ok := v.(string)
	switch {
	case !ok:
		return 0, errors.New(`must be a string such as "10GiB"`)
	case s == none:
		return 0, nil
	}
	n, err := parseSize(s)
	return Size(n), err
}

// rateOf reads a rate of users.toml.
func rateOf(v any) (Rate, error) {
	s, ok := v.(string)
	if !ok {
		return 0, errors.New(`must be a string such as "20MiB/s"`)
	}
	if s == none {
		return 0, nil
	}
	size, ok := strings.CutSuffix(s, "/s")
	if !ok {
		return 0, fmt.Errorf("%q does not end in /s", clip(s))
	}
	n, err := parseSize(size)
	if err == nil && n < minRate {
		err = fmt.Errorf("must be at least %v", Rate(minRate))
	}
	return Rate(n), err
}

// countOf reads a count of users.toml.
func countOf(v any) (Count, error) {
	n, ok := v.(int64)
	switch {
	case v == none:
		return 0, nil
	case !ok:
		return 0, errors.New(`must be a number without quotes, or "none"`)
	case n < 1:
		return 0, fmt.Errorf("must be more than 0; %q is no limit", none)
	}
	return Count(n), nil
}

// countOption returns the TOML value for the text of an option.
func countOption(s string) (any, error) {
	if s == none {
		return s, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("%q is not a number", clip(s))
	}
	return n, nil
}
