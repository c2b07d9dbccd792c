// Package partial gathers a file beside its final name, where nobody takes it for the finished one, and publishes it in
// one durable step. What an earlier try left behind is taken over as a hint.
package partial

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"ferry/shared/block"
)

// Suffix is what a partial's name ends in.
const Suffix = ".ferry-part"

// Errors about what is there already.
var (
	// ErrBusy means that another process is gathering the same file.
	ErrBusy = errors.New("another transfer is writing this file")
	// ErrNotRegular means that the final name is a device, a pipe or a socket.
	ErrNotRegular = errors.New("not a regular file")
)

// Ops is every file operation that changes something. Tests put failures in place of one or the other.
type Ops struct {
	Open     func(name string, flag int, perm fs.FileMode) (*os.File, error)
	WriteAt  func(f *os.File, b []byte, off int64) (int, error)
	Truncate func(f *os.File, size int64) error
	Chmod    func(f *os.File, mode fs.FileMode) error
	Chtimes  func(name string, t time.Time) error
	Sync     func(f *os.File) error
	Rename   func(from, to string) error
	Link     func(from, to string) error
	Remove   func(name string) error
	SyncDir  func(dir string) error
}

// Real returns the operations of the operating system.
func Real() Ops {
	return Ops{
		Open:     os.OpenFile,
		WriteAt:  func(f *os.File, b []byte, off int64) (int, error) { return f.WriteAt(b, off) },
		Truncate: func(f *os.File, size int64) error { return f.Truncate(size) },
		Chmod:    func(f *os.File, mode fs.FileMode) error { return f.Chmod(mode) },
		Chtimes:  func(name string, t time.Time) error { return os.Chtimes(name, time.Time{}, t) },
		Sync:     func(f *os.File) error { return f.Sync() },
		Rename:   os.Rename,
		Link:     os.Link,
		Remove:   os.Remove,
		SyncDir:  syncDir,
	}
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Name returns the path of the partial of a file: its own with Suffix, or when that is longer than a name can be, a
// digest with Suffix.
func Name(path string) string {
	dir, base := filepath.Split(path)
	if len(base)+len(Suffix) > 255 {
		sum := sha256.Sum256([]byte(base))
		base = hex.EncodeToString(sum[:16])
	}
	return dir + base + Suffix
}

// File is a file being gathered. Its methods are not safe for concurrent use, but for ReadAt and WriteAt.
type File struct {
	ops  Ops
	f    *os.File
	path string // final name
	part string
	size int64 // when it was opened
}

// Open opens the partial of path, taking over what is there if it is safe to: a regular file of our own with one name,
// that nobody else can write to. Anything else in its place is an error that says what to remove. Errors: ErrBusy.
func Open(path string, ops Ops) (*File, error) {
	part := Name(path)
	if a, err := os.Lstat(part); err == nil {
		if b, err := os.Lstat(path); err == nil && os.SameFile(a, b) {
			ops.Remove(part) // published by Link just before a crash
		}
	}
	f, err := ops.Open(part, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0o600)
	if errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.ENXIO) || errors.Is(err, syscall.EISDIR) {
		return nil, fmt.Errorf("%s is in the way and not a file of ours: remove it", part)
	}
	if err != nil {
		return nil, err
	}
	p := &File{ops: ops, f: f, path: path, part: part}
	if err := p.adopt(); err != nil {
		f.Close()
		return nil, err
	}
	return p, nil
}

func (p *File) adopt() error {
	if err := syscall.Flock(int(p.f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return ErrBusy
		}
		return fmt.Errorf("lock %s: %w", p.part, err)
	}
	info, err := p.f.Stat()
	if err != nil {
		return err
	}
	sys, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.Mode().IsRegular() || int(sys.Uid) != os.Geteuid() || sys.Nlink != 1 || info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s is in the way and not a file of ours: remove it", p.part)
	}
	// The one that was locked must be the one that has the name: its last owner may have published it in between.
	if now, err := os.Lstat(p.part); err != nil || !os.SameFile(now, info) {
		return ErrBusy
	}
	p.size = info.Size()
	return nil
}

// MayReplace tells whether a file may take a name: nothing takes the place of a device, a pipe or a socket, nor of a symbolic link
// to one, such as /dev/stdout. Commit asks too; before, it spares a transfer. Errors: ErrNotRegular, in an *fs.PathError.
func MayReplace(path string) error {
	info, err := os.Stat(path)
	if err == nil && info.Mode()&(fs.ModeDevice|fs.ModeNamedPipe|fs.ModeSocket|fs.ModeIrregular) != 0 {
		return &fs.PathError{Op: "replace", Path: path, Err: ErrNotRegular}
	}
	return nil
}

// Path returns the partial's own path.
func (p *File) Path() string { return p.part }

// ReadAt implements io.ReaderAt.
func (p *File) ReadAt(b []byte, off int64) (int, error) { return p.f.ReadAt(b, off) }

// WriteAt implements io.WriterAt.
func (p *File) WriteAt(b []byte, off int64) (int, error) { return p.ops.WriteAt(p.f, b, off) }

// Have returns which bytes the partial held when it was opened: all but its holes. It is a hint; crashes leave zeros.
func (p *File) Have() block.Ranges {
	const seekData, seekHole = 3, 4 // lseek(2) of Linux; elsewhere the first call fails
	var have block.Ranges
	for off := int64(0); off < p.size; {
		data, err := p.f.Seek(off, seekData)
		if errors.Is(err, syscall.ENXIO) { // only a hole is left
			return have
		}
		hole := p.size
		if err == nil {
			hole, err = p.f.Seek(data, seekHole)
		}
		if err != nil || hole <= data {
			return block.Ranges{{Off: 0, End: p.size}}
		}
		have.Add(block.Range{Off: data, End: hole})
		off = hole
	}
	return have
}

// Commit makes the partial, cut to length, the file: data and directory are on disk when it returns nil. With replace a
// file of that name gives way, without it is fs.ErrExist and the partial stays; what MayReplace refuses never gives way. mode is given as it is; 0 means 0666
// less the umask.
func (p *File) Commit(length int64, mtime time.Time, mode fs.FileMode, replace bool) error {
	if err := p.finish(length, mtime, mode, Umask()); err != nil {
		return err
	}
	if err := p.sync(); err != nil {
		return err
	}
	if err := p.publish(replace); err != nil {
		return err
	}
	return p.ops.SyncDir(filepath.Dir(p.path))
}

// finish gives the partial its length, mode and time.
func (p *File) finish(length int64, mtime time.Time, mode, mask fs.FileMode) error {
	if err := p.ops.Truncate(p.f, length); err != nil {
		return err
	}
	if mode == 0 {
		mode = 0o666
	}
	if err := p.ops.Chmod(p.f, mode.Perm()&^mask); err != nil {
		return err
	}
	return p.ops.Chtimes(p.part, mtime)
}

func (p *File) sync() error {
	err := p.ops.Sync(p.f)
	if err != nil {
		// What the kernel still shows of this file may never reach the disk: it must not be trusted by the next try.
		if p.ops.Remove(p.part) != nil {
			p.ops.Truncate(p.f, 0)
		}
	}
	return err
}

// publish gives the partial its final name.
func (p *File) publish(replace bool) error {
	if replace {
		if err := MayReplace(p.path); err != nil {
			return err
		}
		return p.ops.Rename(p.part, p.path)
	}
	err := p.ops.Link(p.part, p.path)
	switch {
	case err == nil:
		return p.ops.Remove(p.part)
	case errors.Is(err, fs.ErrExist):
		return err
	}
	// No hard links here: a small race remains.
	if _, serr := os.Lstat(p.path); serr == nil {
		return &fs.PathError{Op: "publish", Path: p.path, Err: fs.ErrExist}
	}
	return p.ops.Rename(p.part, p.path)
}

// Umask reads the process's file mode mask from where reading does not change it.
func Umask() fs.FileMode {
	text, err := os.ReadFile("/proc/self/status")
	if err == nil {
		for i := 0; i+7 < len(text); i++ {
			if string(text[i:i+7]) == "\nUmask:" {
				var m fs.FileMode
				if _, err := fmt.Sscanf(string(text[i+7:min(i+20, len(text))]), "%o", &m); err == nil {
					return m
				}
			}
		}
	}
	return 0o022
}

// Close keeps the partial for the next try, or removes it if nothing is in it; kept tells which.
func (p *File) Close() (kept bool, err error) {
	if info, err := p.f.Stat(); err == nil {
		if now, err := os.Lstat(p.part); err == nil && os.SameFile(now, info) {
			if kept = info.Size() > 0; !kept {
				p.ops.Remove(p.part)
			}
		}
	}
	return kept, p.f.Close()
}

// Discard removes the partial.
func (p *File) Discard() error {
	err := p.ops.Remove(p.part)
	p.f.Close()
	return err
}
