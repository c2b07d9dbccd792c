package transfer

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"ferry/client/remote"
	"ferry/shared/block"
	"ferry/shared/partial"
	"ferry/shared/wire"
)

// Errors about the local side.
var (
	ErrIsDir      = errors.New("is a directory")
	ErrNotRegular = partial.ErrNotRegular
	// ErrUnderWay means that this program moves the same file to the same place already.
	ErrUnderWay = errors.New("is under way already")
	// ErrDiffers means that a local file is there already and is not what would be fetched.
	ErrDiffers = errors.New("a different file is there already")
)

// Options say how files are moved.
type Options struct {
	Force    bool // replace what is there
	Mode     bool // keep permission bits
	NoSync   bool // puts are answered before they are durable
	Expect   *string
	Parents  bool
	Parallel int           // connections; 0: as many as the line needs
	Moved    func(n int64) // bytes that travelled, each byte of a file once
	Reused   func(n int64) // bytes that were there already
	// Checking is told of how many bytes that seem to be there already, and of these how many are still to be compared.
	Checking func(left, there int64)
	Begin    func(length int64)
	// RemoveSource removes the source when its content is durable at the target, unless it changed since; *KeptError if that
	// fails. It does not go with NoSync.
	RemoveSource bool

	noFollow bool // a source that is a symbolic link is refused
	differs  bool // a target that is there is known to be different
}

// Mover moves files for one session.
type Mover struct {
	Client *remote.Client
	Jobs   Jobs
	Busy   *Busy // may be nil
	Ops    partial.Ops
}

func (m *Mover) job(kind, remotePath, local string) (Job, error) {
	abs, err := filepath.Abs(local)
	if err != nil {
		return Job{}, err
	}
	if dir, err := filepath.EvalSymlinks(filepath.Dir(abs)); err == nil {
		abs = filepath.Join(dir, filepath.Base(abs))
	}
	return Job{Kind: kind, Server: m.Client.Server(), User: m.Client.Options().User, Remote: remotePath, Local: abs}, nil
}

// openSource opens a file to be sent.
func openSource(local string, keepMode, noFollow bool) (*os.File, remote.Source, mark, error) {
	flags := os.O_RDONLY | syscall.O_NONBLOCK // a FIFO must not hold us
	if noFollow {
		flags |= syscall.O_NOFOLLOW
	}
	f, err := os.OpenFile(local, flags, 0)
	if errors.Is(err, syscall.ELOOP) {
		err = ErrNotRegular
	}
	if err != nil {
		return nil, remote.Source{}, mark{}, err
	}
	info, err := f.Stat()
	if err == nil {
		switch {
		case info.IsDir():
			err = ErrIsDir
		case !info.Mode().IsRegular():
			err = ErrNotRegular
		}
	}
	if err != nil {
		f.Close()
		return nil, remote.Source{}, mark{}, err
	}
	src := remote.Source{ReaderAt: f, Length: info.Size(), Mtime: info.ModTime().UnixNano(), Check: func() error {
		now, err := f.Stat()
		if err != nil {
			return err
		}
		if now.Size() != info.Size() || !now.ModTime().Equal(info.ModTime()) {
			return remote.ErrSourceChanged
		}
		// Replaced by another file of that name: what was opened is no longer what was asked for.
		if byName, err := os.Stat(local); err == nil && !os.SameFile(byName, now) {
			return remote.ErrSourceChanged
		}
		return nil
	}}
	if keepMode {
		src.Mode = uint32(info.Mode().Perm())
	}
	return f, src, markOf(info), nil
}

// Put sends a local file to an absolute path of the home.
func (m *Mover) Put(ctx context.Context, local, remotePath string, o Options) (remote.Result, error) {
	res, sent, err := m.put(ctx, local, remotePath, o)
	if err == nil && o.RemoveSource {
		dir, base := filepath.Split(filepath.Clean(local))
		if rerr := removeSource(filepath.Clean(dir), base, sent); rerr != nil {
			err = &KeptError{fate("stored", res.Same), rerr}
		}
	}
	return res, err
}

// put tells too which file it sent.
func (m *Mover) put(ctx context.Context, local, remotePath string, o Options) (res remote.Result, sent mark, err error) {
	f, src, sent, err := openSource(local, o.Mode, o.noFollow)
	if err != nil {
		return res, sent, err
	}
	defer f.Close()
	if o.Begin != nil {
		o.Begin(src.Length)
	}
	po := remote.PutOptions{Expect: o.Expect, Force: o.Force, Parents: o.Parents, NoSync: o.NoSync, Streams: o.Parallel,
		Moved: o.Moved, Reused: o.Reused, Checking: o.Checking}
	if src.Length > block.Size { // smaller ones travel in one piece and leave nothing behind
		j, err := m.job("put", remotePath, local)
		if err != nil {
			return res, sent, err
		}
		j.Length, j.Mtime = src.Length, time.Unix(0, src.Mtime)
		if j, err = m.Jobs.Begin(j); err != nil {
			return res, sent, err
		}
		end, err := m.Busy.begin(j.ID)
		if err != nil {
			return res, sent, err
		}
		defer end()
		po.Job = j.ID
	}
	res, err = m.Client.Put(ctx, remotePath, src, po)
	if wire.CodeOf(err) == wire.Uncertain && po.Expect == nil {
		// The server broke down under it. Where nothing is, the file can be put without taking anything from anybody.
		if _, serr := m.Client.Stat(ctx, remotePath); wire.CodeOf(serr) == wire.NotFound {
			nothing := ""
			po.Expect = &nothing
			res, err = m.Client.Put(ctx, remotePath, src, po)
		}
	}
	if po.Job != "" && (err == nil || res.Moved+res.Reused == 0 && wire.CodeOf(err) != "") { // done, or refused at the door
		m.Jobs.End(po.Job)
	}
	return res, sent, err
}

// Fetchable tells whether an entry of the server is a file that can be fetched: nil, ErrIsDir or ErrNotRegular.
func Fetchable(e wire.Entry) error {
	switch e.Kind {
	case "file":
		return nil
	case "dir":
		return ErrIsDir
	}
	return ErrNotRegular
}

// Get fetches a file of the home, described by entry, to a local path. What is there already is left alone and is
// success if it is the same, ErrDiffers if not, unless o.Force. The local file appears whole or not at all.
func (m *Mover) Get(ctx context.Context, remotePath string, entry wire.Entry, local string, o Options) (remote.Result, error) {
	res, err := m.get(ctx, remotePath, entry, local, o)
	if err == nil && o.RemoveSource {
		if rerr := m.removeFetched(ctx, remotePath, res.Entry.Version); rerr != nil {
			err = &KeptError{fate("fetched", res.Same), rerr}
		}
	}
	return res, err
}

func (m *Mover) get(ctx context.Context, remotePath string, entry wire.Entry, local string, o Options) (remote.Result, error) {
	if err := Fetchable(entry); err != nil {
		return remote.Result{}, err
	}
	if o.Begin != nil {
		o.Begin(entry.Length)
	}
	if err := partial.MayReplace(local); err != nil { // forced or not, so that nobody is sent to try -f
		return remote.Result{}, err
	}
	info, err := os.Lstat(local)
	switch {
	case err == nil && info.IsDir():
		return remote.Result{}, &fs.PathError{Op: "open", Path: local, Err: syscall.EISDIR}
	case err == nil && info.Mode().IsRegular() && !o.differs:
		same, err := m.Same(ctx, remotePath, entry, local, o.Checking)
		if err != nil {
			return remote.Result{}, err
		}
		if same {
			if o.Reused != nil {
				o.Reused(entry.Length)
			}
			os.Chtimes(local, time.Time{}, time.Unix(0, entry.Mtime))
			if o.RemoveSource {
				if err := m.settle(local); err != nil {
					return remote.Result{}, err
				}
			}
			return remote.Result{Entry: entry, Same: true, Reused: entry.Length}, nil
		}
		fallthrough
	case err == nil:
		if !o.Force {
			return remote.Result{}, ErrDiffers
		}
	case !errors.Is(err, fs.ErrNotExist):
		return remote.Result{}, err
	}
	p, err := partial.Open(local, m.Ops)
	if err != nil {
		return remote.Result{}, err
	}
	j, err := m.job("get", remotePath, local)
	if err == nil {
		j.Length, j.Mtime, j.Version = entry.Length, time.Unix(0, entry.Mtime), entry.Version
		j, err = m.Jobs.Begin(j)
	}
	end := func() {}
	if err == nil {
		end, err = m.Busy.begin(j.ID)
	}
	if err != nil {
		p.Close()
		return remote.Result{}, err
	}
	defer end()
	if free, ok := freeSpace(filepath.Dir(local)); ok && entry.Length-p.Have().Len() > free {
		if kept, _ := p.Close(); !kept {
			m.Jobs.End(j.ID)
		}
		return remote.Result{}, &fs.PathError{Op: "write", Path: local, Err: syscall.ENOSPC}
	}
	res, err := m.Client.Get(ctx, remotePath, entry, p, remote.GetOptions{Have: p.Have(), Moved: o.Moved, Reused: o.Reused, Checking: o.Checking,
		Streams: o.Parallel})
	if err == nil {
		mode := fs.FileMode(0)
		if o.Mode {
			mode = fs.FileMode(res.Entry.Mode)
		}
		err = p.Commit(res.Entry.Length, time.Unix(0, res.Entry.Mtime), mode, o.Force)
		if errors.Is(err, fs.ErrExist) {
			err = ErrDiffers // it came while we fetched
		}
	}
	kept, cerr := p.Close()
	if err == nil {
		err = cerr
	}
	if !kept {
		m.Jobs.End(j.ID)
	}
	return res, err
}

// Same compares a local file with the one on the server, block by block unless their lengths tell them apart. checking is told as in
// Options. Errors are those of the local file system and of [remote.Client.Same].
func (m *Mover) Same(ctx context.Context, remotePath string, entry wire.Entry, local string, checking func(left, there int64)) (bool, error) {
	f, err := os.Open(local)
	if err != nil {
		return false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() != entry.Length {
		return false, err
	}
	return m.Client.Same(ctx, remotePath, entry, checked(f, entry.Length, checking))
}

// checkedReader tells how far a comparison that reads from the beginning to the end has come.
type checkedReader struct {
	io.ReaderAt
	length int64
	told   func(left, there int64)
}

func (c checkedReader) ReadAt(b []byte, off int64) (int, error) {
	c.told(c.length-off, c.length)
	n, err := c.ReaderAt.ReadAt(b, off)
	if off+int64(n) == c.length {
		c.told(0, c.length)
	}
	return n, err
}

func checked(r io.ReaderAt, length int64, told func(left, there int64)) io.ReaderAt {
	if told == nil {
		return r
	}
	return checkedReader{r, length, told}
}

func freeSpace(dir string) (int64, bool) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, false
	}
	return int64(s.Bavail) * s.Bsize, true
}
