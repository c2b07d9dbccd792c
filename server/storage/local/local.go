// Package local keeps an account's tree in a directory of a local file system.
//
// Every name is resolved through an os.Root to an open directory, and what is done there is done relative to that handle
// with the last component alone, so that neither a spelling nor a link nor a race leads outside. Uploads are staged below
// the reserved name .ferry at the top of the tree: as ID/data and ID/upload.json, or as one file t-ID when they are small
// and not worth resuming.
package local

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"ferry/server/storage"
	"ferry/shared/block"
	"ferry/shared/partial"
)

// reserved is the name at the top of a tree that belongs to the engine.
const reserved = ".ferry"

// Limits of names; what is longer is storage.ErrBadPath.
const (
	maxPath      = 4096 // bytes
	maxComponent = 255  // bytes
	maxDepth     = 64   // components
)

// Options of a Home. The zero value is good.
type Options struct {
	Log       *slog.Logger  // nil: none
	Ops       Ops           // zero: the real ones
	SyncEvery int64         // bytes of an upload after which it is synced in the background; 0: 256 MiB
	SyncAfter time.Duration // time after which it is, whatever its size; 0: 5 s
	Owner     string        // the account, kept with its uploads

	Limits func() storage.Amount // what the tree may take up, asked for at every decision; nil: no limits
	// Restore returns what Counted said of the names when the tree was closed, if nothing can have changed it since. It is called at most
	// once, before the first change or count, and must have made sure that it will not return that again.
	Restore func() (storage.Amount, bool)
}

// Home is a storage.Storage in a directory.
//
// Its locks are taken in this order: life, a staging's mu, names, mu, the meter's mu.
type Home struct {
	root      *os.Root
	top       inode
	log       *slog.Logger
	ops       Ops
	syncEvery int64
	syncAfter time.Duration
	owner     string
	umask     uint32
	start     time.Time // what times of stagings are counted from, by the monotonic clock
	token     string    // 16 hexadecimal digits: begins the id of every Ephemeral upload of this Home
	count     atomic.Uint64
	bufs      sync.Pool // of *[block.Size]byte
	noClone   atomic.Bool
	noCopy    atomic.Bool

	life   sync.RWMutex // held shared while the staging directory is in use, exclusively by Close
	closed bool         // guarded by life

	names   sync.Mutex                    // serialises what changes names: taken by lockNames
	loose   bool                          // guarded by names: some directory was changed and not synced
	restore func() (storage.Amount, bool) // guarded by names: Options.Restore until it was called
	meter   meter

	stageID atomic.Pointer[inode] // of the staging directory, nil when there is none
	mu      sync.Mutex            // guards what follows
	stage   int                   // the staging directory, -1 while not open
	staged  map[string]*staging   // by id; nil until loaded
	open    map[io.Closer]bool    // handles
	owed    int64                 // bytes that open uploads have still to write
}

var _ storage.Storage = (*Home)(nil)

// inode tells files apart.
type inode struct{ dev, ino uint64 }

func inodeOf(st *unix.Stat_t) inode { return inode{uint64(st.Dev), st.Ino} }

// Open opens the tree in dir, which must be a directory. Nothing is written until something is changed.
func Open(dir string, opts Options) (*Home, error) {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Ops.Open == nil {
		opts.Ops = RealOps()
	}
	if opts.SyncEvery <= 0 {
		opts.SyncEvery = 256 << 20
	}
	if opts.SyncAfter <= 0 {
		opts.SyncAfter = 5 * time.Second
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fail("open home", err)
	}
	key := block.NewKey()
	h := &Home{
		root: root, log: opts.Log, ops: again(opts.Ops), syncEvery: opts.SyncEvery, syncAfter: opts.SyncAfter,
		owner: opts.Owner, umask: uint32(partial.Umask()), start: time.Now(), token: fmt.Sprintf("%x", key[:8]),
		stage: -1, open: map[io.Closer]bool{}, restore: opts.Restore, meter: meter{limits: opts.Limits},
	}
	h.bufs.New = func() any { return new([block.Size]byte) }
	d, err := h.openDir("/")
	if err != nil {
		root.Close()
		return nil, err
	}
	defer d.Close()
	h.top = d.id
	var st unix.Stat_t
	if unix.Fstatat(d.fd, reserved, &st, unix.AT_SYMLINK_NOFOLLOW) == nil {
		id := inodeOf(&st)
		h.stageID.Store(&id)
	}
	return h, nil
}

// Close closes the tree and every handle it gave out.
func (h *Home) Close() error {
	h.life.Lock()
	defer h.life.Unlock()
	if h.closed {
		return nil
	}
	h.closed = true
	h.mu.Lock()
	open := h.open
	h.open = map[io.Closer]bool{}
	h.mu.Unlock()
	for c := range open {
		if u, ok := c.(*upload); ok {
			u.shut()
		} else {
			c.Close()
		}
	}
	if h.stage >= 0 {
		unix.Close(h.stage)
		h.stage = -1
	}
	return h.root.Close()
}

// enter keeps Close from happening until h.life.RUnlock.
func (h *Home) enter() error {
	h.life.RLock()
	if h.closed {
		h.life.RUnlock()
		return fs.ErrClosed
	}
	return nil
}

func (h *Home) opened(c io.Closer) {
	h.mu.Lock()
	h.open[c] = true
	h.mu.Unlock()
}

func (h *Home) closing(c io.Closer) {
	h.mu.Lock()
	delete(h.open, c)
	h.mu.Unlock()
}

// clean refuses names that do not follow the rules of package storage, and the reserved one.
func clean(name string) error {
	if !strings.HasPrefix(name, "/") || len(name) > maxPath || path.Clean(name) != name || strings.IndexByte(name, 0) >= 0 ||
		strings.Count(name, "/") > maxDepth || name == "/"+reserved || strings.HasPrefix(name, "/"+reserved+"/") {
		return storage.ErrBadPath
	}
	for part := range strings.SplitSeq(name, "/") {
		if len(part) > maxComponent {
			return storage.ErrBadPath
		}
	}
	return nil
}

// join returns the name of base in directory name.
func join(name, base string) string {
	if name == "/" {
		return "/" + base
	}
	return name + "/" + base
}

// dir is an open directory of the tree.
type dir struct {
	*os.File
	fd int
	id inode
}

// openDir opens the directory called name, following links that stay inside.
func (h *Home) openDir(name string) (*dir, error) {
	if err := clean(name); err != nil {
		return nil, err
	}
	rel := name[1:]
	if rel == "" {
		rel = "."
	}
	f, err := h.root.OpenFile(rel, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, fail("open directory", err)
	}
	d := &dir{File: f, fd: int(f.Fd())}
	var st unix.Stat_t
	if err := unix.Fstat(d.fd, &st); err != nil {
		f.Close()
		return nil, fail("stat", err)
	}
	d.id = inodeOf(&st)
	if stage := h.stageID.Load(); stage != nil && name != "/" { // a link may lead there
		if d.id == *stage || unix.Fstatat(d.fd, "..", &st, 0) == nil && inodeOf(&st) == *stage {
			f.Close()
			return nil, storage.ErrBadPath
		}
	}
	return d, nil
}

// at opens the directory that name is in and returns it with the last component; for "/" that is ".".
func (h *Home) at(name string) (*dir, string, error) {
	if err := clean(name); err != nil {
		return nil, "", err
	}
	d, err := h.openDir(path.Dir(name))
	if err != nil {
		return nil, "", err
	}
	base := path.Base(name)
	switch {
	case name == "/":
		base = "."
	case base == reserved && d.id == h.top:
		d.Close()
		return nil, "", storage.ErrBadPath
	}
	return d, base, nil
}

// stat describes base in the directory, not following a link.
func (d *dir) stat(base string) (unix.Stat_t, error) {
	var st unix.Stat_t
	err := retryErr(func() error { return unix.Fstatat(d.fd, base, &st, unix.AT_SYMLINK_NOFOLLOW) })
	return st, fail("stat", err)
}

// causes are the errors of the system that callers tell apart.
var causes = map[syscall.Errno]error{
	unix.ENOENT:       fs.ErrNotExist,
	unix.ESTALE:       fs.ErrNotExist,
	unix.EEXIST:       fs.ErrExist,
	unix.EACCES:       fs.ErrPermission,
	unix.EPERM:        fs.ErrPermission,
	unix.EROFS:        fs.ErrPermission,
	unix.ELOOP:        fs.ErrPermission,
	unix.ENOTDIR:      storage.ErrNotDir,
	unix.EISDIR:       storage.ErrIsDir,
	unix.ENOTEMPTY:    storage.ErrNotEmpty,
	unix.ENXIO:        storage.ErrNotRegular,
	unix.ENAMETOOLONG: storage.ErrBadPath,
	unix.ENOSPC:       storage.ErrNoSpace,
	unix.EDQUOT:       storage.ErrNoSpace,
	unix.EFBIG:        storage.ErrNoSpace,
	unix.EXDEV:        storage.ErrUnsupported, // a mount point inside the tree: no rename in one step
}

// fail wraps what a system call returned so that no path of the server is in it. nil stays nil.
func fail(op string, err error) error {
	if err == nil {
		return nil
	}
	var no syscall.Errno
	var at *fs.PathError
	switch {
	case errors.As(err, &no):
		err = no
		if cause := causes[no]; cause != nil {
			err = cause
		}
	case errors.Is(err, fs.ErrClosed):
		err = fs.ErrClosed
	case errors.As(err, &at): // os.Root's refusal to leave has no name
		err = fs.ErrPermission
	}
	return fmt.Errorf("%s: %w", op, err)
}
