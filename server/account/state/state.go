// Package state counts what the accounts of a server take up, holds them to their quotas, and keeps the counters, with the
// last logins, in a file beside users.toml that may be lost at any time: what is not known is counted again.
package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"ferry/server/account"
)

// maxFile is the largest state.json that is read, in bytes.
const maxFile = 64 << 20

// Entry is what is kept of an account.
type Entry struct {
	Home      string    `json:"home,omitempty"` // whose files were counted
	Counted   bool      `json:"counted"`        // false: Usage says nothing
	Usage               // of the published files
	LastLogin time.Time `json:"last_login,omitzero"`
}

// content is state.json.
type content struct {
	// Clean is true in a file that a server wrote when it ended. In the file of a running or killed one the counts may be
	// of a moment ago.
	Clean    bool             `json:"clean"`
	Accounts map[string]Entry `json:"accounts"`
}

// File is the state.json of a running server. Its methods may be called by several goroutines.
type File struct {
	path string
	log  *slog.Logger

	dirty   atomic.Bool
	writing sync.Mutex // held while the file is written

	mu      sync.Mutex // guards what follows; a Quota's may be taken while it is held
	entries map[string]Entry
	quotas  map[string]*Quota
}

// Open reads the file of the server that ran before and takes it over; only one may have it. If it is missing, broken or that
// server was killed, every account is counted again when that is needed. It cannot fail: at worst nothing is remembered.
func Open(path string, log *slog.Logger) *File {
	f := &File{path: path, log: log, entries: map[string]Entry{}, quotas: map[string]*Quota{}}
	c, err := read(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Warn("state file not read: last logins are lost and accounts are counted again", "err", err)
	}
	for name, e := range c.Accounts {
		e.Counted = e.Counted && c.Clean
		f.entries[name] = e
	}
	// From here on a kill must not leave counts that look right.
	if err := f.write(false); err != nil {
		log.Warn("state file not written", "err", err)
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			log.Warn("state file not removed", "err", err)
		}
	}
	return f
}

// Load returns what the file says of each account, for somebody who has no server: what a running one counted may be of a
// moment ago. A missing file is empty.
func Load(path string) (map[string]Entry, error) {
	c, err := read(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return c.Accounts, err
}

func read(path string) (content, error) {
	file, err := os.Open(path)
	if err != nil {
		return content{}, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxFile))
	if err != nil {
		return content{}, err
	}
	var c content
	if err := json.Unmarshal(text, &c); err != nil {
		return content{}, fmt.Errorf("%s: %w", path, err)
	}
	for name, e := range c.Accounts {
		if e.Bytes < 0 || e.Files < 0 {
			return content{}, fmt.Errorf("%s: %q has a negative count", path, name)
		}
	}
	return c, nil
}

// Quota returns the counter of an account, one for all who ask, as long as its home stays the same. tree is the home as it is
// open now.
func (f *File) Quota(name, home string, tree Tree) *Quota {
	f.mu.Lock()
	defer f.mu.Unlock()
	q := f.quotas[name]
	if q == nil || q.home != home {
		q = newQuota(home, f.changed)
		if e := f.entries[name]; e.Home == home && e.Counted {
			q.used, q.counted = e.Usage, true
		}
		f.quotas[name] = q
	}
	q.mu.Lock()
	q.tree = tree
	q.mu.Unlock()
	return q
}

// Login notes that an account logged in.
func (f *File) Login(name string, at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.entries[name]
	e.LastLogin = at.UTC().Truncate(time.Second)
	f.entries[name] = e
	f.changed()
}

// LastLogin returns when an account logged in last, the zero time if that is not known.
func (f *File) LastLogin(name string) time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.entries[name].LastLogin
}

// Keep forgets the accounts that are not in use any more: to be called when the accounts have changed.
func (f *File) Keep(inUse func(name string) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	maps.DeleteFunc(f.entries, func(name string, _ Entry) bool { return !inUse(name) })
	maps.DeleteFunc(f.quotas, func(name string, _ *Quota) bool { return !inUse(name) })
	f.changed()
}

func (f *File) changed() { f.dirty.Store(true) }

// Run writes the file when something has changed, at most every so often, until ctx ends. Nothing waits for it.
func (f *File) Run(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !f.dirty.Load() {
			continue
		}
		if err := f.write(false); err != nil {
			f.log.Warn("state file not written", "err", err)
		}
	}
}

// Close writes the file for the next server. Nobody may use a Quota any more.
func (f *File) Close() error { return f.write(true) }

// write replaces the file.
func (f *File) write(clean bool) error {
	f.writing.Lock()
	defer f.writing.Unlock()
	f.dirty.Store(false)
	f.mu.Lock()
	for name, q := range f.quotas {
		e := f.entries[name]
		e.Home = q.home
		q.mu.Lock()
		e.Usage, e.Counted = q.used, q.counted
		q.mu.Unlock()
		f.entries[name] = e
	}
	text, err := json.Marshal(content{Clean: clean, Accounts: f.entries})
	f.mu.Unlock()
	if err == nil {
		err = account.WriteFile(f.path, append(text, '\n'))
	}
	if err != nil {
		f.changed()
	}
	return err
}
