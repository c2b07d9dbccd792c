// Package state keeps what a server counts of its accounts from one run to the next, in state.json of its data directory:
// what their homes take up, and when they were last used. Nothing there is worth a backup: what is missing is counted anew.
package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"ferry/server/storage"
	"ferry/shared/partial"
)

// Name is the file's name in the data directory.
const Name = "state.json"

const (
	format  = 1
	maxFile = 64 << 20 // bytes
)

// Account is what is known of one account.
type Account struct {
	Home       string         // that the count is of
	Named      storage.Amount // what it took up, but for
	Unfinished storage.Amount // its unfinished uploads
	Known      bool           // there is a count
	Exact      bool           // and nothing can have changed since
	Login      time.Time      // the last one, zero if there was none
}

// Used returns what the home took up.
func (a Account) Used() storage.Amount { return a.Named.Plus(a.Unfinished) }

// record is an Account in the file.
type record struct {
	Home            string    `json:"home,omitempty"`
	Used            *int64    `json:"used,omitempty"`  // bytes
	Files           *int64    `json:"files,omitempty"` // and directories
	UnfinishedBytes int64     `json:"unfinished_used,omitempty"`
	UnfinishedFiles int64     `json:"unfinished_files,omitempty"`
	Exact           bool      `json:"exact,omitempty"`
	Login           time.Time `json:"last_login,omitzero"`
}

// document is the whole file.
type document struct {
	Format   int               `json:"format"`
	Accounts map[string]record `json:"accounts"`
}

// File is the state of a data directory. Its methods are safe for concurrent use. Only who holds the directory's lock may
// change it.
type File struct {
	path string
	ops  partial.Ops

	mu       sync.Mutex // guards what follows
	accounts map[string]Account
	version  int // of accounts

	saving sync.Mutex // held while the file is written; taken before mu
	saved  int        // guarded by saving: the version in the file
}

// Open reads the state in a data directory. Without a file it is empty; it is empty, too, with an error that is worth a line in
// the log, if the file cannot be understood.
func Open(dir string) (*File, error) { return open(dir, partial.Real()) }

func open(dir string, ops partial.Ops) (*File, error) {
	f := &File{path: filepath.Join(dir, Name), ops: ops}
	var err error
	f.accounts, err = read(f.path)
	if f.accounts == nil {
		f.accounts = map[string]Account{}
	}
	return f, err
}

func read(path string) (map[string]Account, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && (!info.Mode().IsRegular() || info.Size() > maxFile) {
		err = errors.New("not a file of a sensible size")
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(path)
	}
	var doc document
	if err == nil {
		err = json.Unmarshal(text, &doc)
	}
	if err == nil && doc.Format != format {
		err = fmt.Errorf("format %d, this program knows %d", doc.Format, format)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	accounts := map[string]Account{}
	for name, r := range doc.Accounts {
		a := Account{Home: r.Home, Login: r.Login}
		if r.Used != nil && r.Files != nil && *r.Used >= 0 && *r.Files >= 0 {
			a.Named, a.Unfinished = storage.Amount{Bytes: *r.Used, Files: *r.Files}, storage.Amount{Bytes: r.UnfinishedBytes, Files: r.UnfinishedFiles}
			a.Known, a.Exact = true, r.Exact
		}
		accounts[name] = a
	}
	return accounts, nil
}

// Lookup returns what is known of an account; the zero Account if nothing is.
func (f *File) Lookup(name string) Account {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.accounts[name]
}

// change replaces what is known of an account.
func (f *File) change(name string, to func(*Account)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	was := f.accounts[name]
	a := was
	if to(&a); a != was {
		f.accounts[name] = a
		f.version++
	}
}

// Login notes when an account was used.
func (f *File) Login(name string, at time.Time) {
	f.change(name, func(a *Account) { a.Login = at.UTC().Truncate(time.Second) })
}

// Count notes what a home takes up. exact says that nobody will change it before Take; what is not exact only serves to be
// looked at.
func (f *File) Count(name, home string, named, unfinished storage.Amount, exact bool) {
	f.change(name, func(a *Account) {
		a.Home, a.Named, a.Unfinished, a.Known, a.Exact = home, named, unfinished, true, exact
	})
}

// Take returns what a home took up but for unfinished uploads, if nothing can have changed since that was noted. The count is the caller's from then on:
// nobody is given it again, not even if the process dies at this moment, unless there is an error.
func (f *File) Take(name, home string) (named storage.Amount, ok bool, err error) {
	a := f.Lookup(name)
	if !a.Exact || a.Home != home {
		return named, false, nil
	}
	f.change(name, func(a *Account) { a.Exact = false })
	return a.Named, true, f.Save()
}

// Forget drops what is known of all accounts but those that keep names.
func (f *File) Forget(keep func(name string) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name := range f.accounts {
		if !keep(name) {
			delete(f.accounts, name)
			f.version++
		}
	}
}

// Save writes what has changed, durably and in one step. Those who call it together share a write.
func (f *File) Save() error {
	f.mu.Lock()
	wanted := f.version
	f.mu.Unlock()
	f.saving.Lock()
	defer f.saving.Unlock()
	if f.saved >= wanted {
		return nil
	}
	version, text, err := f.text()
	if err == nil {
		err = f.write(text)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", f.path, err)
	}
	f.saved = version
	return nil
}

// text returns the file's new content and its version.
func (f *File) text() (int, []byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	doc := document{Format: format, Accounts: map[string]record{}}
	for name, a := range f.accounts {
		r := record{Home: a.Home, Exact: a.Exact, Login: a.Login}
		if a.Known {
			r.Used, r.Files = &a.Named.Bytes, &a.Named.Files
			r.UnfinishedBytes, r.UnfinishedFiles = a.Unfinished.Bytes, a.Unfinished.Files
		}
		doc.Accounts[name] = r
	}
	text, err := json.MarshalIndent(doc, "", " ")
	return f.version, append(text, '\n'), err
}

func (f *File) write(text []byte) error {
	p, err := partial.Open(f.path, f.ops)
	if err != nil {
		return err
	}
	if _, err = p.WriteAt(text, 0); err == nil {
		err = p.Commit(int64(len(text)), time.Now(), 0o600, true)
	}
	if err != nil {
		p.Discard()
		return err
	}
	_, err = p.Close()
	return err
}
