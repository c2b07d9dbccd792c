package account

import "testing"

func TestShort(t *testing.T) {
	for n, want := range map[Size]string{
		0: "0 B", 1023: "1023 B", 1024: "1 KiB", 1536: "1.5 KiB", 1<<20 - 1: "1 MiB", 10<<30 + 1: "10 GiB", 1<<63 - 1: "8 EiB", -2048: "-2 KiB",
	} {
		if got := n.Short(); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
