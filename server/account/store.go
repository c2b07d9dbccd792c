package account

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Store is the live users.toml of a running server. Its methods may be called
// by several goroutines.
type Store struct {
	path string
	ops  ops
	set  atomic.Pointer[Set]

	mu   sync.Mutex // guards seen and serializes reloads
	seen mark       // the state of the file at the last load, good or bad
}

// Open loads a users.toml. A missing file is an empty Set: nobody can log in.
// An invalid file, and one that others could have written or read, is an *Error.
func Open(path string) (*Store, error) {
	s := &Store{path: path, ops: realOps()}
	set, m, err := load(s.ops, path)
	if errors.Is(err, fs.ErrNotExist) {
		set, err = &Set{}, nil
	}
	if err != nil {
		return nil, err
	}
	s.set.Store(set)
	s.seen = m
	return s, nil
}

// Load reads a users.toml once. Unlike Open it does not accept a missing file
// (fs.ErrNotExist).
func Load(path string) (*Set, error) {
	set, _, err := load(realOps(), path)
	return set, err
}

func load(o ops, path string) (*Set, mark, error) {
	text, m, err := read(o, path)
	if err != nil {
		return nil, m, err
	}
	set, err := Parse(path, text)
	return set, m, err
}

// Current returns the accounts of now.
func (s *Store) Current() *Set { return s.set.Load() }

// Reload loads the file again. A file that is broken or gone keeps the old
// accounts and is the error.
func (s *Store) Reload() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := stat(s.path)
	set, m, err := load(s.ops, s.path)
	if errors.Is(err, fs.ErrNotExist) && s.Current().Len() == 0 {
		s.seen = mark{}
		return nil
	}
	if err != nil {
		s.seen = before
		return fmt.Errorf("keeping the old accounts: %w", err)
	}
	s.seen = m
	s.set.Store(set)
	return nil
}

// Edit changes the file as the function Edit does, and the accounts with it: they are those of the new file when it returns.
func (s *Store) Edit(change func(*Text) error) error {
	if err := edit(s.ops, s.path, change); err != nil {
		return err
	}
	return s.Reload()
}

// stat returns the present state of the file, the zero mark if there is none.
func stat(path string) mark {
	info, err := os.Lstat(path)
	if err != nil {
		return mark{}
	}
	return markOf(info)
}

// Watch polls the file until ctx ends and reloads it once it has changed and
// then stood still for a tenth of every, so that a file being written in place
// is not read half. It calls changed after each change of the accounts,
// whoever reloaded them, and failed with the error of each of its own reloads
// that kept the old ones. Both are called from Watch's goroutine.
func (s *Store) Watch(ctx context.Context, every time.Duration, changed func(old, new *Set), failed func(error)) {
	told, pending := s.Current(), mark{}
	wait := time.NewTimer(every)
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-wait.C:
		}
		now := stat(s.path)
		s.mu.Lock()
		same := now.same(s.seen)
		s.mu.Unlock()
		next := every
		switch {
		case same:
		case !now.same(pending):
			next = every / 10
		default:
			if err := s.Reload(); err != nil {
				failed(err)
			}
		}
		pending = now
		if set := s.Current(); set != told {
			changed(told, set)
			told = set
		}
		wait.Reset(next)
	}
}
