package account

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// MakeHome makes the home of an account and what is missing above it, homes itself too, 0700 and durably. made is its path if it was not
// there before.
func MakeHome(homes, home string) (made string, err error) {
	path := filepath.Dir(homes)
	for _, part := range append([]string{filepath.Base(homes)}, strings.Split(home, "/")...) {
		path = filepath.Join(path, part)
		err := os.Mkdir(path, 0o700)
		if errors.Is(err, fs.ErrExist) {
			made = ""
			if info, err := os.Lstat(path); err != nil || !info.IsDir() {
				return "", fmt.Errorf("%s is not a directory", path)
			}
			continue
		}
		if err == nil {
			made = path
			err = Settle(path)
		}
		if err != nil {
			return made, err
		}
	}
	return made, nil
}

// Settle gives a new directory its parent's owner, which matters when root made it, and makes it durable.
func Settle(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer d.Close()
	info, err := d.Stat()
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
		if err := os.Lchown(path, int(st.Uid), int(st.Gid)); err != nil {
			return err
		}
	}
	return d.Sync()
}
