package local

import "golang.org/x/sys/unix"

// Ops are the system calls through which an engine changes and syncs files, so that a test can make the k-th of them fail.
// The zero value stands for the real ones; else every field must be set. A call that returns EINTR is made again.
type Ops struct {
	Open     func(dir int, name string, flags int, mode uint32) (int, error) // openat, of files it makes
	Write    func(fd int, b []byte, off int64) (int, error)                  // pwrite
	Truncate func(fd int, length int64) error
	Chmod    func(fd int, mode uint32) error
	Times    func(dir int, name string, ts []unix.Timespec) error // utimensat, not following a link
	Sync     func(fd int) error                                   // fsync of a file
	DataSync func(fd int) error                                   // fdatasync
	SyncDir  func(fd int) error                                   // fsync of a directory
	SyncFS   func(fd int) error                                   // syncfs
	Rename   func(fromDir int, from string, toDir int, to string, flags uint) error
	Unlink   func(dir int, name string, flags int) error
	Mkdir    func(dir int, name string, mode uint32) error
	Clone    func(fd int, r *unix.FileCloneRange) error // FICLONERANGE
	Copy     func(from int, fromOff *int64, to int, toOff *int64, n int) (int, error)
}

// RealOps returns the system's own calls.
func RealOps() Ops {
	return Ops{
		Open: func(dir int, name string, flags int, mode uint32) (int, error) {
			return unix.Openat(dir, name, flags|unix.O_CLOEXEC|unix.O_NOFOLLOW, mode)
		},
		Write:    unix.Pwrite,
		Truncate: unix.Ftruncate,
		Chmod:    unix.Fchmod,
		Times: func(dir int, name string, ts []unix.Timespec) error {
			return unix.UtimesNanoAt(dir, name, ts, unix.AT_SYMLINK_NOFOLLOW)
		},
		Sync:     unix.Fsync,
		DataSync: unix.Fdatasync,
		SyncDir:  unix.Fsync,
		SyncFS:   unix.Syncfs,
		Rename:   unix.Renameat2,
		Unlink:   unix.Unlinkat,
		Mkdir:    unix.Mkdirat,
		Clone:    unix.IoctlFileCloneRange,
		Copy: func(from int, fromOff *int64, to int, toOff *int64, n int) (int, error) {
			return unix.CopyFileRange(from, fromOff, to, toOff, n, 0)
		},
	}
}

// again returns the same operations, made again while a signal interrupts them.
func again(o Ops) Ops {
	return Ops{
		Open: func(dir int, name string, flags int, mode uint32) (int, error) {
			return retry(func() (int, error) { return o.Open(dir, name, flags, mode) })
		},
		Write: func(fd int, b []byte, off int64) (int, error) {
			return retry(func() (int, error) { return o.Write(fd, b, off) })
		},
		Truncate: func(fd int, length int64) error {
			return retryErr(func() error { return o.Truncate(fd, length) })
		},
		Chmod: func(fd int, mode uint32) error { return retryErr(func() error { return o.Chmod(fd, mode) }) },
		Times: func(dir int, name string, ts []unix.Timespec) error {
			return retryErr(func() error { return o.Times(dir, name, ts) })
		},
		Sync:     func(fd int) error { return retryErr(func() error { return o.Sync(fd) }) },
		DataSync: func(fd int) error { return retryErr(func() error { return o.DataSync(fd) }) },
		SyncDir:  func(fd int) error { return retryErr(func() error { return o.SyncDir(fd) }) },
		SyncFS:   func(fd int) error { return retryErr(func() error { return o.SyncFS(fd) }) },
		Rename: func(fromDir int, from string, toDir int, to string, flags uint) error {
			return retryErr(func() error { return o.Rename(fromDir, from, toDir, to, flags) })
		},
		Unlink: func(dir int, name string, flags int) error {
			return retryErr(func() error { return o.Unlink(dir, name, flags) })
		},
		Mkdir: func(dir int, name string, mode uint32) error {
			return retryErr(func() error { return o.Mkdir(dir, name, mode) })
		},
		Clone: func(fd int, r *unix.FileCloneRange) error { return retryErr(func() error { return o.Clone(fd, r) }) },
		Copy: func(from int, fromOff *int64, to int, toOff *int64, n int) (int, error) {
			return retry(func() (int, error) { return o.Copy(from, fromOff, to, toOff, n) })
		},
	}
}

func retry(f func() (int, error)) (int, error) {
	for {
		n, err := f()
		if err != unix.EINTR {
			return n, err
		}
	}
}

func retryErr(f func() error) error {
	_, err := retry(func() (int, error) { return 0, f() })
	return err
}
