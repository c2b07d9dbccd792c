package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const blockSize = 1 << 20

// makeFile writes length bytes of noise, the same for the same seed.
func makeFile(path string, length int64, seed byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, blockSize)
	_, err = io.CopyN(w, rand.NewChaCha8([32]byte{seed}), length)
	return errors.Join(err, w.Flush(), f.Close())
}

// makeTree makes n files of size bytes each, a hundred in a directory.
func makeTree(root string, n int, size int) error {
	noise := rand.NewChaCha8([32]byte{7})
	data := make([]byte, size)
	for i := range n {
		dir := filepath.Join(root, fmt.Sprintf("dir-%05d", i/100))
		if i%100 == 0 {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
		}
		noise.Read(data)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("file-%06d", i)), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// linkTree makes to a copy of a tree whose files are the same ones.
func linkTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		return os.Link(path, filepath.Join(to, rel))
	})
}

// copyPart makes to a file of its own with the first length bytes of another and its time, through the kernel.
func copyPart(from, to string, length int64) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, io.LimitReader(in, length))
	return errors.Join(err, out.Close(), os.Chtimes(to, info.ModTime(), info.ModTime()))
}

// alterBlocks replaces one of every hundred blocks of a file by noise.
func alterBlocks(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	noise := rand.NewChaCha8([32]byte{9})
	block := make([]byte, blockSize)
	for at := int64(37) * blockSize; at+blockSize <= info.Size() && err == nil; at += 100 * blockSize {
		noise.Read(block)
		_, err = f.WriteAt(block, at)
	}
	return errors.Join(err, f.Close())
}

// digest returns the SHA-256 of a file, or of a tree: of names, lengths and contents in order.
func digest(path string) (string, error) {
	h := sha256.New()
	buf := make([]byte, blockSize)
	err := filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(path, name)
		if err != nil {
			return err
		}
		binary.Write(h, binary.LittleEndian, []int64{int64(len(rel)), info.Size()})
		io.WriteString(h, rel)
		_, err = io.CopyBuffer(h, f, buf)
		return err
	})
	return hex.EncodeToString(h.Sum(nil)), err
}

// same says so when two files or trees differ.
func (b *bench) same(want, got string) error {
	sum, ok := b.sums[want]
	if !ok {
		var err error
		if sum, err = digest(want); err != nil {
			return err
		}
		b.sums[want] = sum // sources do not change
	}
	arrived, err := digest(got)
	if err == nil && arrived != sum {
		err = fmt.Errorf("what arrived is not what was sent: %s", filepath.Base(got))
	}
	return err
}

// held returns how many bytes of a file are stored, and not holes.
func held(path string) int64 {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0
	}
	return st.Blocks * 512
}

// room says so when a directory has not enough space, or memory has not when it is on tmpfs.
func room(dir string, need int64) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return err
	}
	free := int64(st.Bavail) * st.Bsize
	if st.Type == unix.TMPFS_MAGIC {
		memory, err := memInfo("MemAvailable")
		if err != nil {
			return err
		}
		free = min(free, memory-1<<30)
	}
	if free < need {
		return fmt.Errorf("needs %d MiB free in %s, there are %d", need>>20, dir, free>>20)
	}
	return nil
}
