package daemon

import (
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"ferry/shared/partial"
)

// A socket is private whatever the umask, and private from the start.
func TestListenUnixMode(t *testing.T) {
	for _, mask := range []int{0, 0o022} {
		path := filepath.Join(t.TempDir(), "s")
		was := syscall.Umask(mask)
		ln, err := listenUnix(path)
		syscall.Umask(was)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if want := fs.ModeSocket | 0o600; info.Mode() != want {
			t.Errorf("umask %04o: the socket has mode %v, want %v", mask, info.Mode(), want)
		}
	}
}

// Files that are made while a socket is opened get the modes they would get at any other time.
func TestListenUnixUmask(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	want := partial.Umask()
	done := make(chan struct{})
	var looking sync.WaitGroup
	looking.Go(func() {
		for {
			if mask := partial.Umask(); mask != want {
				t.Errorf("the umask of the process was %04o for a moment, want %04o", mask, want)
				return
			}
			select {
			case <-done:
				return
			default:
			}
		}
	})
	for range 1000 {
		ln, err := listenUnix(path)
		if err != nil {
			t.Error(err)
			break
		}
		ln.Close()
	}
	close(done)
	looking.Wait()
}
