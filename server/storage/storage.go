// Package storage says what an account's tree of files can do. Sessions speak to it and to nothing below it, so that an
// engine on local disks and one on an object store serve the same commands; storagetest holds every engine to the same
// behaviour.
//
// Names are absolute, clean slash paths inside the tree: "/" is its top. They are bytes, not necessarily UTF-8.
package storage

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"time"

	"ferry/shared/block"
)

// Errors that callers tell apart. Engines also return fs.ErrNotExist, fs.ErrExist and fs.ErrPermission, always wrapped so
// that errors.Is finds them; anything else is an internal failure.
var (
	ErrBadPath     = errors.New("bad path")                     // not clean, a reserved name, a component over 255 bytes, a path over 4096, deeper than 64
	ErrIsDir       = errors.New("is a directory")               //
	ErrNotDir      = errors.New("not a directory")              //
	ErrNotEmpty    = errors.New("directory not empty")          //
	ErrNotRegular  = errors.New("not a regular file")           // device, FIFO, socket or symbolic link
	ErrChanged     = errors.New("changed")                      // Open or a read: not the version asked for
	ErrConflict    = errors.New("changed by someone else")      // Commit: the target is not what Spec.Expect says
	ErrSuperseded  = errors.New("superseded by a newer writer") // Put, Keep, Commit on a handle whose upload was reopened
	ErrNoSpace     = errors.New("no space left")                // the medium is full, or has no room for the declared length
	ErrLost        = errors.New("staged data lost")             // a sync failed: the upload was discarded, start again
	ErrUncertain   = errors.New("cannot be known")              // Commit of an upload that may have been published before
	ErrUnsupported = errors.New("not supported by this storage")
)

// Kind is what a name stands for.
type Kind string

// The kinds of entries. Only files and directories can be used; the others are listed so that nothing is hidden.
const (
	File  Kind = "file"
	Dir   Kind = "dir"
	Link  Kind = "link"
	Other Kind = "other"
)

// Entry is one name of the tree.
type Entry struct {
	Name    string // the whole name; "/" for the top
	Kind    Kind
	Length  int64 // bytes; 0 for all but files
	ModTime time.Time
	Mode    fs.FileMode // permission bits only
	Version string      // opaque mark of a file's content, at most 64 printable ASCII bytes; "" for all but files
}

// Reader is an open version of a file. Its bytes stay those of that version, or ReadAt fails with ErrChanged; a version
// replaced by a commit stays readable.
type Reader interface {
	io.ReaderAt
	io.Closer
	Entry() Entry
	// Check returns ErrChanged if the file was altered in place since it was opened.
	Check() error
}

// Meta is what SetMeta changes; nil fields stay.
type Meta struct {
	Mode    *fs.FileMode // permission bits
	ModTime *time.Time
}

// Amount is how much of a tree there is or, as a limit, may be; then 0 is no limit.
type Amount struct {
	Bytes int64 // the lengths of all files
	Files int64 // files, directories and whatever else has a name, but not the top
}

// Plus returns a and b together.
func (a Amount) Plus(b Amount) Amount { return Amount{a.Bytes + b.Bytes, a.Files + b.Files} }

// Minus returns a without b.
func (a Amount) Minus(b Amount) Amount { return Amount{a.Bytes - b.Bytes, a.Files - b.Files} }

// Usage is what a tree takes up and what is left on its medium.
type Usage struct {
	Used        Amount // an unfinished upload counts as a file of its declared length
	Free, Total int64  // bytes of the medium; -1 if unknown
}

// QuotaError refuses what would make a tree take up more than it may.
type QuotaError struct{ Used, Limit, Need Amount }

func (e *QuotaError) Error() string { return "the tree may not take up more" }

// Spec describes an upload.
type Spec struct {
	ID        string // 32 hexadecimal digits, made by the engine; "" asks for a new upload
	Path      string // where it is published
	Job       string // the client's job id
	Writer    string // which run of the client opened it last
	Length    int64
	ModTime   time.Time
	Mode      fs.FileMode // permission bits; 0: the engine's default (0666 & ~umask)
	Key       block.Key   // of its tags; made by the engine
	Epoch     int64       // raised each time it is reopened; made by the engine
	Created   time.Time   // made by the engine
	Touched   time.Time   // last reopened or written, as far as the engine knows
	Done      int64       // bytes staged, as far as the engine knows; made by the engine
	Expect    *string     // nil: publish over anything; "": only where nothing is; else only over this version
	Parents   bool        // make missing parent directories at Commit
	Ephemeral bool        // small and in one piece: not resumable, not listed, cheap; gone with Close

	// What an Ephemeral upload's Commit is to do about a file that is there, which nobody has looked at before.
	NoReplace bool // refuse to replace it: fs.ErrPermission
	KeepSame  bool // leave it where it is if its content is the same, after Expect was looked at
	Again     bool // it may have been published before: unless it is the same, or Expect shows that it was not, ErrUncertain
}

// Storage is one account's tree. All methods are safe for concurrent use. What Mkdir, Remove, RemoveAll, Rename, SetMeta
// and Commit did is durable when they return nil.
//
// A tree never takes up more than it may, whatever runs at the same time: the declared length counts from Upload on, next to
// the file that will be replaced, and that one until Commit has replaced it. Limits that have become lower than what is there
// refuse only what takes up more.
type Storage interface {
	// Stat describes a name. Errors: fs.ErrNotExist, ErrBadPath, ErrNotDir.
	Stat(ctx context.Context, name string) (Entry, error)
	// List yields the entries of a directory in no particular order, never holding all of them in memory; with deep also
	// everything below, each directory before what is in it. Symbolic links are not followed. An error ends the listing.
	List(ctx context.Context, dir string, deep bool) iter.Seq2[Entry, error]
	// Open opens a file for reading; version "" is whatever is there. Errors: fs.ErrNotExist, ErrChanged, ErrIsDir, ErrNotRegular.
	Open(ctx context.Context, name, version string) (Reader, error)
	// Mkdir makes a directory (mode 0777 & ~umask), with parents all that are missing above it and no complaint when it
	// is there already. Errors: fs.ErrExist, fs.ErrNotExist (parent), ErrNotDir, *QuotaError.
	Mkdir(ctx context.Context, name string, parents bool) error
	// Remove removes a file, a link or an empty directory. Errors: fs.ErrNotExist, ErrNotEmpty; the top is ErrBadPath.
	Remove(ctx context.Context, name string) error
	// RemoveAll removes a directory with everything below it, or what else the name stands for; links are removed, not
	// followed. may returns why a name must stay, nil if it need not; it and each name that cannot be removed is told to kept,
	// and stays with the directories above it while the rest goes. It returns how many names were removed. An error is one of
	// Remove's, that of ctx (part of the tree is gone then), or of a sync.
	RemoveAll(ctx context.Context, name string, may func(name string) error, kept func(name string, why error)) (removed int64, err error)
	// Rename moves a file or directory in one step. With replace a file at the target is replaced, without it is
	// fs.ErrExist; a directory at the target is always fs.ErrExist, a directory into itself ErrBadPath. A device, a FIFO or a
	// socket at the target stays: ErrNotRegular.
	Rename(ctx context.Context, from, to string, replace bool) error
	// Moved tells whether e is, perhaps under another name, the file that had this version before Rename.
	Moved(version string, e Entry) bool
	// SetMeta changes a file's or directory's mode (& ~umask) or time; may be ErrUnsupported. With a zero Meta it only makes sure that
	// what the name shows is durable, which is unknown of what was committed without sync, or by a Commit that failed.
	SetMeta(ctx context.Context, name string, m Meta) error
	// Usage tells what the tree takes up and how full the medium is. The first time that may take a walk.
	Usage(ctx context.Context) (Usage, error)
	// Upload opens a new upload, or with s.ID reopens that one: its epoch is raised, older handles are fenced after their
	// running writes end, and Path, Length, ModTime, Mode, Job, Expect, Parents become those of s. Errors: ErrNoSpace
	// or a *QuotaError before a byte was written, ErrIsDir (target), fs.ErrNotExist (ID unknown, or parent missing without Parents). Of an
	// Ephemeral upload the target may be looked at by Commit only, which then returns these errors.
	Upload(ctx context.Context, s Spec) (Upload, error)
	// Uploads yields the staged uploads, those with an open handle too, oldest first.
	Uploads(ctx context.Context) iter.Seq2[Spec, error]
	// Drop discards a staged upload, fencing any handle. Errors: fs.ErrNotExist.
	Drop(ctx context.Context, id string) error
	// Commit publishes uploads of this storage: data synced, one rename over the target, directories synced; several share
	// the syncs. It returns one result for each, in order: the published entry, or why not. A failed sync is ErrLost and the
	// staging is gone; after any other error (ErrConflict, fs.ErrExist where Expect was "", ErrIsDir, ErrSuperseded ...)
	// the staging is kept. sync false skips every sync ("sent", never "stored").
	Commit(ctx context.Context, sync bool, ups ...Upload) []Result
	// Close releases the storage; open handles are closed.
	Close() error
}

// Result is the outcome of one committed upload.
type Result struct {
	Entry Entry
	Same  bool // nothing was replaced: the content was there already. Time and mode were set.
	Err   error
}

// Upload is a handle on staged data. Methods are safe for concurrent use.
type Upload interface {
	Spec() Spec
	// Have returns which bytes the staging seems to hold: a hint to be verified, at most n ranges.
	Have(n int) block.Ranges
	// Put writes b at off, inside the declared length. Errors: ErrSuperseded, ErrNoSpace, ErrLost.
	Put(ctx context.Context, off int64, b []byte) error
	// Tag returns the tag of block n of the staged data, under the upload's key.
	Tag(ctx context.Context, n int64) (block.Tag, error)
	// Keep takes over length bytes at off from old: shared with it where the medium can, else copied. have, if it is not
	// nil, is what old holds there: then nothing has to be read. shared tells that the call cost the same for any length.
	Keep(ctx context.Context, old Reader, off, length int64, have []byte) (shared bool, err error)
	// Close ends the handle; the staging is kept (unless Ephemeral).
	Close() error
	// Discard ends the handle and removes the staging.
	Discard(ctx context.Context) error
}
