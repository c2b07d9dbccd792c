package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"ferry/bench/report"
)

// machine returns what a reader must know of where this ran.
func (b *bench) machine() report.Machine {
	m := report.Machine{CPUs: runtime.NumCPU(), CPU: "unknown", Own: os.Getenv(ownNetwork) != ""}
	m.Kernel = word("/proc/sys/kernel/osrelease")
	m.Congestion = word("/proc/sys/net/ipv4/tcp_congestion_control")
	m.Memory, _ = memInfo("MemTotal")
	info, _ := os.ReadFile("/proc/cpuinfo")
	if model := regexp.MustCompile(`(?m)^model name\s*: (.*)$`).FindSubmatch(info); model != nil {
		m.CPU = string(model[1])
	}
	m.Tmpfs, m.Disk = fileSystem(b.tmpfs), fileSystem(b.disk)
	return m
}

// memInfo returns a line of /proc/meminfo in bytes.
func memInfo(name string) (int64, error) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			var kib int64
			_, err := fmt.Sscan(rest, &kib)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("no %s in /proc/meminfo", name)
}

func word(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(text))
}

// fileSystem names the kind of file system a directory is on.
func fileSystem(dir string) string {
	text, _ := os.ReadFile("/proc/self/mountinfo")
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "unknown"
	}
	return mountKind(string(text), real)
}

// mountKind finds the mount that a path is on in /proc/self/mountinfo.
func mountKind(text, path string) string {
	kind, longest := "unknown", -1
	for line := range strings.Lines(text) {
		before, after, ok := strings.Cut(line, " - ")
		f, g := strings.Fields(before), strings.Fields(after)
		if !ok || len(f) < 5 || len(g) < 1 {
			continue
		}
		at := f[4]
		if (path == at || strings.HasPrefix(path, strings.TrimSuffix(at, "/")+"/")) && len(at) >= longest {
			kind, longest = g[0], len(at)
		}
	}
	return kind
}

// versions asks each program for its version.
func (b *bench) versions(ctx context.Context) map[string]string {
	found := map[string]string{"go": runtime.Version()}
	number := regexp.MustCompile(`\d+\.\d+[\w.]*`)
	for _, ask := range [][]string{{"sftp", "ssh", "-V"}, {"rsync", "rsync", "--version"}, {"lftp", "lftp", "--version"},
		{"curl", "curl", "--version"}, {"nginx", "nginx", "-v"}, {"vsftpd", "vsftpd", "-v"}, {"ferry", b.ferry, "--version"}} {
		path, err := program(ask[1])
		if err != nil {
			found[ask[0]] = "not installed"
			continue
		}
		// vsftpd says its version to standard input.
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		out, err := b.output(ctx, command{argv: append([]string{"sh", "-c", `exec "$@" 0>&1`, "sh", path}, ask[2:]...)})
		cancel()
		found[ask[0]] = "unknown"
		if v := number.FindString(out); v != "" {
			found[ask[0]] = v
		} else if first, _, _ := strings.Cut(strings.TrimSpace(out), "\n"); err == nil && first != "" {
			found[ask[0]] = strings.TrimPrefix(first, ask[0]+" ")
		}
	}
	return found
}

// commit names the state of the source.
func (b *bench) commit(ctx context.Context) string {
	out, err := b.output(ctx, command{argv: []string{"git", "-c", "safe.directory=*", "rev-parse", "--short=12", "HEAD"}})
	if err != nil {
		return "unknown"
	}
	state, err := b.output(ctx, command{argv: []string{"git", "-c", "safe.directory=*", "status", "--porcelain", "--untracked-files=no"}})
	if err == nil && strings.TrimSpace(state) != "" {
		out = strings.TrimSpace(out) + "+changes"
	}
	return strings.TrimSpace(out)
}

// tmpfsDir checks that a directory is on tmpfs, or mounts one there if root asks for a directory that is on something else.
func (b *bench) tmpfsDir(ctx context.Context, dir string) error {
	if fileSystem(dir) == "tmpfs" {
		return nil
	}
	if os.Getuid() != 0 {
		return errors.New("not on tmpfs, and only root can mount one")
	}
	if err := b.run(ctx, command{argv: []string{"mount", "-t", "tmpfs", "-o", "size=90%", "bench", dir}}); err != nil {
		return err
	}
	b.undo = append(b.undo, func() {
		if err := b.run(context.Background(), command{argv: []string{"umount", dir}}); err != nil {
			fmt.Fprintln(os.Stderr, "bench: umount:", err)
		}
	})
	return nil
}
