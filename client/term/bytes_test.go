package term

import (
	"math"
	"testing"
)

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 512: "512 B", 1023: "1023 B", 1024: "1 KiB", 1536: "1.5 KiB", 3435973837: "3.2 GiB", 101 << 20: "101 MiB",
		47919923: "45.7 MiB", 1<<20 - 1: "1 MiB", 1<<30 - 1: "1 GiB", math.MaxInt64: "8 EiB", 512 << 20: "512 MiB", 10239: "10 KiB",
		104857599: "100 MiB",
	} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %s, want %s", n, got, want)
		}
	}
}

func TestRate(t *testing.T) {
	for n, want := range map[float64]string{
		0: "0 B/s", 98.4 * 1024 * 1024: "98 MiB/s", 9.5 * 1024: "9.5 KiB/s", 9.96 * 1024: "10 KiB/s", 1023.7: "1 KiB/s",
		math.Inf(1): "0 B/s", -1: "0 B/s",
	} {
		if got := Rate(n); got != want {
			t.Errorf("Rate(%v) = %s, want %s", n, got, want)
		}
	}
}

func TestParseBytes(t *testing.T) {
	for in, want := range map[string]int64{
		"0": 0, "512": 512, "512B": 512, "10GiB": 10 << 30, "10 GiB": 10 << 30, "1.5k": 1536, "1kB": 1000, "2MB": 2e6,
		"9223372036854775807": math.MaxInt64, "7EiB": 7 << 60, ".5MiB": 512 << 10,
	} {
		if got, err := ParseBytes(in); err != nil || got != want {
			t.Errorf("ParseBytes(%q) = %d, %v; want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "x", "GiB", "-1", "+1", "1.2.3", ".", "1 0", "10XiB", "10iB", "10KiBB", "8EiB", "9223372036854775808", "1e9", "0x10", "NaN", "Inf", "10MiB/s"} {
		if got, err := ParseBytes(in); err == nil {
			t.Errorf("ParseBytes(%q) = %d, want an error", in, got)
		}
	}
	if got, err := ParseRate("20MiB/s"); err != nil || got != 20<<20 {
		t.Errorf("ParseRate = %d, %v", got, err)
	}
}
