package term

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

const units = "KMGTPE"

// scale divides n by 1024 until it is readable and returns the unit that then applies.
// Below the limit a value keeps one decimal; a decimal of zero is left out.
func scale(n float64, limit float64) string {
	if math.Round(n) < 1024 {
		return strconv.FormatFloat(math.Round(n), 'f', 0, 64) + " B"
	}
	unit := -1
	for ; unit < 0 || math.Round(n) >= 1024 && unit < len(units)-1; unit++ {
		n /= 1024
	}
	decimals := 0
	if math.Round(n*10)/10 < limit {
		decimals = 1
	}
	s := strconv.FormatFloat(n, 'f', decimals, 64)
	return strings.TrimSuffix(s, ".0") + " " + units[unit:unit+1] + "iB"
}

// Bytes writes a number of bytes for people: "512 B", "3.2 GiB", "101 MiB".
func Bytes(n int64) string { return scale(float64(n), 100) }

// Rate writes bytes a second for people: "98 MiB/s".
func Rate(bytesPerSecond float64) string {
	if !(bytesPerSecond >= 0) || math.IsInf(bytesPerSecond, 0) {
		bytesPerSecond = 0
	}
	return scale(bytesPerSecond, 10) + "/s"
}

// ParseBytes reads a number of bytes: 512, 512B, 10K, 10KiB, 1.5GiB (powers of 1024) or
// 10kB, 10MB (powers of 1000), a space before the unit allowed, upper and lower case alike.
// The result is 0 to 2^63-1.
func ParseBytes(s string) (int64, error) {
	digits := strings.TrimRight(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
	unit := strings.ToUpper(strings.TrimLeft(s[len(digits):], " "))
	factor := 1.0
	if unit != "" && unit != "B" {
		power := strings.IndexByte(units, unit[0]) + 1
		base := map[string]float64{"": 1024, "IB": 1024, "B": 1000}[unit[1:]]
		if power == 0 || base == 0 {
			return 0, fmt.Errorf("size %q: no such unit; write it like 10MiB", s)
		}
		factor = math.Pow(base, float64(power))
	}
	if digits == "" || strings.Trim(digits, "0123456789.") != "" {
		return 0, fmt.Errorf("size %q is not a number with a unit like 10MiB", s)
	}
	if n, err := strconv.ParseInt(digits, 10, 64); err == nil && n <= math.MaxInt64/int64(factor) {
		return n * int64(factor), nil // exact, where a float has only 53 bits
	}
	f, err := strconv.ParseFloat(digits, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, fmt.Errorf("size %q is not a number with a unit like 10MiB", s)
	}
	if f *= factor; f >= math.MaxInt64 {
		return 0, fmt.Errorf("size %q is too large", s)
	}
	return int64(f), nil
}

// ParseRate reads bytes a second: a size as ParseBytes takes it, with or without /s behind it.
func ParseRate(s string) (int64, error) {
	return ParseBytes(strings.TrimSuffix(s, "/s"))
}
