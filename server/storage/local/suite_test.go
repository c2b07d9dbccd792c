package local

import (
	"testing"

	"ferry/server/storage"
	"ferry/server/storage/storagetest"
)

func open(t *testing.T, dir string, o Options) *Home {
	t.Helper()
	h, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func TestSuite(t *testing.T) {
	var dir string
	storagetest.Run(t, func(t *testing.T) storage.Storage {
		dir = t.TempDir()
		return open(t, dir, Options{Owner: "alice"})
	}, storagetest.Features{
		RawNames: true, Meta: true,
		Reopen: func(t *testing.T, s storage.Storage) storage.Storage {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			return open(t, dir, Options{Owner: "alice"})
		},
	})
}
