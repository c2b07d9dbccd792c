package servertest

import (
	"sync"

	"golang.org/x/sys/unix"

	"ferry/server/storage/local"
)

// Syncs watches what a server publishes.
type Syncs struct {
	mu        sync.Mutex // guards what follows
	dirty     map[uint64]bool
	published int
	early     int
}

// Count returns how many files got their names, and how many of them before their content was on the disk.
func (s *Syncs) Count() (published, early int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.published, s.early
}

// WithSyncs lets s watch the homes of the server.
func WithSyncs(s *Syncs) Option {
	s.dirty = map[uint64]bool{}
	o := local.RealOps()
	inode := func(fd int) uint64 {
		var st unix.Stat_t
		unix.Fstat(fd, &st)
		return st.Ino
	}
	write, rename, syncfs := o.Write, o.Rename, o.SyncFS
	o.Write = func(fd int, b []byte, off int64) (int, error) {
		s.mu.Lock()
		s.dirty[inode(fd)] = true
		s.mu.Unlock()
		return write(fd, b, off)
	}
	clean := func(f func(int) error) func(int) error {
		return func(fd int) error {
			err := f(fd)
			if err == nil {
				s.mu.Lock()
				delete(s.dirty, inode(fd))
				s.mu.Unlock()
			}
			return err
		}
	}
	o.Sync, o.DataSync = clean(o.Sync), clean(o.DataSync)
	o.SyncFS = func(fd int) error {
		s.mu.Lock()
		before := s.dirty // what is written meanwhile is not covered
		s.dirty = map[uint64]bool{}
		s.mu.Unlock()
		err := syncfs(fd)
		if err != nil {
			s.mu.Lock()
			for ino := range before {
				s.dirty[ino] = true
			}
			s.mu.Unlock()
		}
		return err
	}
	o.Rename = func(fromDir int, from string, toDir int, to string, flags uint) error {
		var st unix.Stat_t
		unix.Fstatat(fromDir, from, &st, unix.AT_SYMLINK_NOFOLLOW)
		err := rename(fromDir, from, toDir, to, flags)
		if err == nil {
			s.mu.Lock()
			s.published++
			if s.dirty[st.Ino] {
				s.early++
			}
			s.mu.Unlock()
		}
		return err
	}
	return WithOps(o)
}
