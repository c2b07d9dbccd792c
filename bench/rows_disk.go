package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"ferry/bench/report"
)

// image makes a file system that can share blocks between files, in a file on the disk, and returns where it is mounted.
func (b *bench) image(ctx context.Context) (dir, medium string, err error) {
	if os.Getuid() != 0 {
		return "", "", errors.New("needs root, to mount an image")
	}
	kind, mkfs := "xfs", ""
	for _, kind = range []string{"xfs", "btrfs"} {
		if mkfs, err = program("mkfs." + kind); err == nil {
			break
		}
	}
	if err != nil {
		return "", "", errors.New("not installed: mkfs.xfs or mkfs.btrfs")
	}
	length := 5*b.sizes.image + 1<<30
	if err := room(b.disk, length); err != nil {
		return "", "", err
	}
	at, err := os.MkdirTemp(b.disk, "ferry-bench-")
	if err != nil {
		return "", "", err
	}
	b.dirs = append(b.dirs, at)
	file, dir := filepath.Join(at, "image"), filepath.Join(at, "mounted")
	f, err := os.Create(file)
	if err != nil {
		return "", "", err
	}
	if err := errors.Join(f.Truncate(length), f.Close(), os.Mkdir(dir, 0o755)); err != nil {
		return "", "", err
	}
	for _, c := range [][]string{{mkfs, "-q", file}, {"mount", "-o", "loop", file, dir}} {
		if err := b.run(ctx, command{argv: c}); err != nil {
			return "", "", fmt.Errorf("%s: %w", c[0], err)
		}
	}
	b.undo = append(b.undo, func() {
		if err := b.run(context.Background(), command{argv: []string{"umount", dir}}); err != nil {
			fmt.Fprintln(os.Stderr, "bench: umount:", err)
		}
	})
	return dir, kind + " image on disk", os.Chmod(at, 0o711)
}

// settled has each run begin with nothing left to write by the ones before it.
func settled(entries []entry) []entry {
	for i := range entries {
		then := entries[i].before
		entries[i].before = func(ctx context.Context) error {
			if then != nil {
				if err := then(ctx); err != nil {
					return err
				}
			}
			unix.Sync()
			return nil
		}
	}
	return entries
}

// fsyncRate is how many small files a second the disk makes durable, one after the other.
func (b *bench) fsyncRate() row {
	return row{"disk-fsync", "the disk: new files of 4 KiB written and synced, one after the other", func(ctx context.Context) (*work, error) {
		s, err := b.site(ctx, "disk")
		if err != nil {
			return nil, err
		}
		e := entry{tool: "bare fsync", run: func(ctx context.Context) (sample report.Sample, err error) {
			out := ""
			sample, err = b.measure(ctx, nil, func() (err error) {
				out, err = b.output(ctx, command{argv: []string{b.self, "@bare-fsync", s.here(), b.sizes.period.String()}})
				return err
			})
			if err == nil {
				sample.Value, err = strconv.ParseFloat(strings.TrimSpace(out), 64)
			}
			return sample, err
		}}
		return &work{medium: s.medium, unit: "1/s", entries: []entry{e}}, nil
	}}
}
