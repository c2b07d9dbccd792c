package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"

	"ferry/server/account"
)

// openData makes the data directory and its homes if they are missing, but nothing above, and takes the directory for this
// process until the lock is closed. The operating system gives it back when the process dies.
func openData(dir string) (*flock.Flock, error) {
	if err := makeDir(dir); err != nil {
		return nil, plain(err)
	}
	lock, held, err := tryLock(dir)
	if err != nil {
		return nil, plain(err)
	}
	if !held {
		return nil, fmt.Errorf("%s is in use by another ferryd", dir)
	}
	if err := makeDir(filepath.Join(dir, "homes")); err != nil {
		lock.Close()
		return nil, plain(err)
	}
	return lock, nil
}

// tryLock takes the lock of a data directory if it is free.
func tryLock(dir string) (lock *flock.Flock, held bool, err error) {
	lock = flock.New(filepath.Join(dir, "lock"), flock.SetPermissions(0o600))
	held, err = lock.TryLock()
	return lock, held, err
}

// makeDir makes a directory, 0700 and durably, if there is none.
func makeDir(path string) error {
	err := os.Mkdir(path, 0o700)
	if err == nil {
		return account.Settle(path)
	}
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory", path)
	case info.Mode().Perm()&0o022 != 0 && info.Mode()&fs.ModeSticky == 0:
		return &advised{fmt.Errorf("%s can be written to by others", path), "chmod 700 " + path}
	}
	return nil
}

// createFile makes a file that does not exist half: text goes to a new file beside it, which then takes the name. With
// durable it also survives a power cut from here on.
func createFile(path string, text []byte, mode fs.FileMode, durable bool) error {
	temp := path + ".new"
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil && durable {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		os.Remove(temp)
		return err
	}
	if !durable {
		return nil
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
