package bare

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestMove: both directions, one and several connections, with and without encryption, byte for byte.
func TestMove(t *testing.T) {
	for _, encrypt := range []string{"-tls=false", "-tls=true"} {
		dir := t.TempDir()
		addrFile := filepath.Join(dir, "addr")
		ended := make(chan error, 1)
		go func() { ended <- Serve([]string{encrypt, "-addr-file", addrFile}) }() // until the test process ends
		addr := await(t, addrFile, ended)
		data := make([]byte, 3<<20+17)
		random := rand.NewChaCha8([32]byte{1})
		random.Read(data)
		from, there, back := filepath.Join(dir, "from"), filepath.Join(dir, "th\"ere x"), filepath.Join(dir, "back")
		if err := os.WriteFile(from, data, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, streams := range []string{"1", "4"} {
			for _, move := range [][]string{{"put", from, there}, {"get", there, back}} {
				args := append([]string{encrypt, "-addr", addr, "-streams", streams}, move...)
				if err := Move(append(args, fmt.Sprint(len(data)))); err != nil {
					t.Fatalf("%v: %v", args, err)
				}
				if got, err := os.ReadFile(move[2]); err != nil || !bytes.Equal(got, data) {
					t.Errorf("%v: %d bytes arrived that are not those sent, %v", args, len(got), err)
				}
			}
			os.Remove(there)
			os.Remove(back)
		}
	}
	if err := Move([]string{"-addr", "127.0.0.1:1", "put", "x"}); err == nil {
		t.Error("no error for missing words")
	}
}

func await(t *testing.T, file string, ended <-chan error) string {
	for deadline := time.After(10 * time.Second); ; {
		if text, err := os.ReadFile(file); err == nil {
			return string(text)
		}
		select {
		case err := <-ended:
			t.Fatal(err)
		case <-deadline:
			t.Fatal("the server did not start")
		case <-time.After(time.Millisecond):
		}
	}
}
