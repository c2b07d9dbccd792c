package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"ferry/bench/link"
	"ferry/bench/report"
)

// sizes are how much is moved.
type sizes struct {
	big, long, longest, lossy, image int64 // bytes
	files, longFiles                 int
	growFiles                        []int
	growBytes                        []int64
	sessions, names                  int
	period                           time.Duration
}

func sizesFor(quick bool) sizes {
	if quick {
		return sizes{big: 192 << 20, long: 16 << 20, longest: 32 << 20, lossy: 8 << 20, image: 128 << 20, files: 300, longFiles: 100,
			growFiles: []int{10, 100}, growBytes: []int64{1 << 10, 1 << 20}, sessions: 200, names: 5000, period: time.Second}
	}
	return sizes{big: 4 << 30, long: 256 << 20, longest: 1 << 30, lossy: 128 << 20, image: 4 << 30, files: 10_000, longFiles: 1000,
		growFiles: []int{100, 1000, 100_000}, growBytes: []int64{1 << 10, 64 << 10, 1 << 20, 16 << 20, 256 << 20},
		sessions: 10_000, names: 200_000, period: 3 * time.Second}
}

const treeFile = 4 << 10 // bytes of each file in a tree

// direction is which way content goes.
type direction string

const (
	up   direction = "up"
	down direction = "down"
)

// The long lines.
func farLine() link.Quality {
	return link.Quality{Rate: 1_000_000_000 / 8, Delay: 25 * time.Millisecond, Seed: 1}
}

func lossyLine() link.Quality {
	q := farLine()
	q.Loss = 0.001
	return q
}

// rows is the plan: the table of the design and what it asks for beside it, in order.
func (b *bench) rows() []row {
	z := b.sizes
	var all []row
	for _, d := range []direction{up, down} {
		all = append(all, b.bigTLS(d), b.bigPlain(d))
	}
	for _, d := range []direction{up, down} {
		all = append(all, b.tree("tree-"+string(d), "tmpfs", z.files, d, false,
			[]tool{ferryTool(), rsyncSSH("rsync ssh"), rsyncDaemon(), sftpTool()},
			must(1.0, "rsync ssh"), must(0.15, "sftp"), aim(1.0, "rsync daemon")))
	}
	for _, d := range []direction{up, down} {
		all = append(all, b.tree("tree-disk-"+string(d), "disk", z.files, d, false,
			[]tool{ferryTool(), rsyncSSH("rsync ssh --fsync", "--fsync"), rsyncSSH("rsync ssh")},
			must(0.5, "rsync ssh --fsync"), aim(1.5, "rsync ssh")))
	}
	for _, d := range []direction{up, down} {
		all = append(all, b.tree("tree-again-"+string(d), "tmpfs", z.files, d, true,
			[]tool{ferryTool(), rsyncSSH("rsync ssh"), rsyncDaemon()}, must(1.0, "rsync ssh"), aim(1.0, "rsync daemon")))
	}
	all = append(all, b.bareLine())
	for _, d := range []direction{up, down} {
		all = append(all, b.tree("line-tree-"+string(d), "line", z.longFiles, d, false,
			[]tool{ferryTool(), rsyncSSH("rsync ssh"), rsyncDaemon()}, must(0.8, "rsync ssh"), aim(0.8, "rsync daemon")))
	}
	all = append(all, b.waits())
	for _, d := range []direction{up, down} {
		all = append(all, b.longFile("line-file-"+string(d), z.long, d, true))
	}
	all = append(all, b.longFile("line-large-up", z.longest, up, false), b.lossyFile())
	for _, d := range []direction{up, down} {
		all = append(all, b.resumed(d))
	}
	all = append(all, b.firstByte(), b.altered("tmpfs"), b.altered("reflink"))
	for _, place := range []string{"tmpfs", "line"} {
		all = append(all, b.oneShot(place))
	}
	all = append(all, b.idleMemory(), b.transferMemory(up), b.transferMemory(down), b.manyNames(), b.loginRate(), b.busyList(), b.saturatedList())
	all = append(all, b.fsyncRate())
	return append(all, b.growth()...)
}

// amount writes a number of bytes for titles.
func amount(n int64) string {
	for _, u := range []struct {
		size int64
		name string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n >= u.size {
			return fmt.Sprintf("%d %s", n/u.size, u.name)
		}
	}
	return fmt.Sprintf("%d B", n)
}

// source returns a file of noise on the client's side of a site, made when it is first asked for.
func (s *site) source(length int64) (string, error) {
	path := s.here(fmt.Sprintf("file-%d", length))
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := room(s.dir, 2*length+256<<20); err != nil {
		return "", err
	}
	return path, makeFile(path, length, 1)
}

// sourceTree is source for a tree of n files.
func (s *site) sourceTree(n int) (string, error) {
	path := s.here(fmt.Sprintf("tree-%d", n))
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := room(s.dir, int64(n)*3*8192+256<<20); err != nil {
		return "", err
	}
	return path, makeTree(path, n, treeFile)
}

// ready returns the server of a tool, or why the tool cannot run.
func (t *tool) ready(ctx context.Context, s *site) (*server, string) {
	for _, name := range t.needs {
		if _, err := program(name); err != nil {
			return nil, err.Error()
		}
	}
	v, err := s.up(ctx, t.server)
	if err != nil {
		return nil, err.Error()
	}
	return v, ""
}

// move is one tool moving one file in one direction.
func (s *site) move(ctx context.Context, t tool, source string, d direction, wire func() (int64, error)) entry {
	e := entry{tool: t.name}
	v, why := t.ready(ctx, s)
	if why != "" {
		e.missing = why
		return e
	}
	name := filepath.Base(source) + "-moved"
	there, to := filepath.Join(v.root, name), s.here("fetched")
	c, result := t.put(s, v, source, name), there
	if d == down {
		c, result = t.get(s, v, name, to), to
	}
	e.before = func(context.Context) error {
		if d == down {
			return os.Link(source, there)
		}
		return nil
	}
	e.run = func(ctx context.Context) (report.Sample, error) { return s.b.timed(ctx, c, wire) }
	e.check = func(context.Context) error { return s.b.same(source, result) }
	e.after = func() { os.Remove(there); os.Remove(to) }
	return e
}

// fileRow is tools that move one file in turn.
func (b *bench) fileRow(ctx context.Context, place string, length int64, d direction, tools []tool, bars ...report.Criterion) (*work, error) {
	s, err := b.site(ctx, place)
	if err != nil {
		return nil, err
	}
	source, err := s.source(length)
	if err != nil {
		return nil, err
	}
	w := &work{medium: s.medium, bytes: length, bars: bars}
	for _, t := range tools {
		w.entries = append(w.entries, s.move(ctx, t, source, d, nil))
	}
	return w, nil
}

func (b *bench) bigTLS(d direction) row {
	n := b.sizes.big
	return row{"big-tls-" + string(d), amount(n) + " file, TLS, " + string(d), func(ctx context.Context) (*work, error) {
		return b.fileRow(ctx, "tmpfs", n, d,
			[]tool{ferryTool(), sftpTool(), rsyncSSH("rsync ssh"), curlHTTPS(), bareTool("bare TLS", "bare-tls", 1, n)},
			must(0.5, "sftp"), must(0.5, "rsync ssh"), speed("must", 0.85, "bare TLS"), aim(1.0, "curl nginx https"))
	}}
}

func (b *bench) bigPlain(d direction) row {
	n := b.sizes.big
	return row{"big-plain-" + string(d), amount(n) + " file, plain, " + string(d), func(ctx context.Context) (*work, error) {
		peers := []string{"curl vsftpd", "curl nginx http", "rsync daemon"}
		return b.fileRow(ctx, "tmpfs", n, d,
			[]tool{ferryPlain(), curlFTP("curl vsftpd"), curlHTTP(), rsyncDaemon(), bareTool("bare TCP", "bare-tcp", 1, n)},
			must(1.1, peers...), aim(1.0, peers...))
	}}
}

// tree is tools that move n small files, or with again find that nothing changed.
func (b *bench) tree(id, place string, n int, d direction, again bool, tools []tool, bars ...report.Criterion) row {
	title := fmt.Sprintf("%d files of %s, %s", n, amount(treeFile), d)
	switch {
	case again:
		title = fmt.Sprintf("the same %d files again, nothing changed, %s", n, d)
	case place == "disk":
		title += ", durable"
	case place == "line":
		title += ", 50 ms round trip"
	}
	return row{id, title, func(ctx context.Context) (*work, error) {
		s, err := b.site(ctx, place)
		if err != nil {
			return nil, err
		}
		source, err := s.sourceTree(n)
		if err != nil {
			return nil, err
		}
		if s.link != nil {
			s.link.Set(farLine())
		}
		w := &work{medium: s.medium, bytes: int64(n) * treeFile, bars: bars}
		tools := append(tools[:len(tools):len(tools)], ferryPassword()) // what the password costs shows beside it
		for _, t := range tools {
			e := s.moveTree(ctx, t, source, d, again)
			if e.after != nil && again {
				w.after = chain(w.after, e.after)
				e.after = nil
			}
			w.entries = append(w.entries, e)
		}
		return w, nil
	}}
}

func chain(first, then func()) func() {
	return func() {
		if first != nil {
			first()
		}
		then()
	}
}

// moveTree is one tool moving a tree. With again it is moved once before, untimed.
func (s *site) moveTree(ctx context.Context, t tool, source string, d direction, again bool) entry {
	e := entry{tool: t.name}
	v, why := t.ready(ctx, s)
	if why != "" {
		e.missing = why
		return e
	}
	name := filepath.Base(source)
	there, to := filepath.Join(v.root, name), s.here("fetched-"+t.server)
	first, result := t.putTree(s, v, source), there
	if d == down {
		first, result = t.getTree(s, v, name, to), filepath.Join(to, name)
	}
	c := first
	switch {
	case again && d == up && t.putAgain != nil:
		c = t.putAgain(s, v, source)
	case again && d == down && t.getAgain != nil:
		c = t.getAgain(s, v, name, to)
	}
	e.before = func(ctx context.Context) error {
		if _, err := os.Stat(result); again && err == nil {
			return nil
		}
		if d == down {
			if err := errors.Join(linkTree(source, there), os.MkdirAll(to, 0o755)); err != nil {
				return err
			}
		}
		if again {
			return s.b.run(ctx, first)
		}
		if s.disk {
			unix.Sync() // what others left unwritten is not this tool's to wait for
		}
		return nil
	}
	e.run = func(ctx context.Context) (report.Sample, error) { return s.b.timed(ctx, c, nil) }
	e.check = func(context.Context) error { return s.b.same(source, result) }
	e.after = func() { s.discard(there); s.discard(to) }
	return e
}

// discard takes what a run made out of the way. On a disk it is removed at the end of all rows only: for a minute and more ext4 passes over
// the inodes of removed files one by one whenever it looks for a free one, and so whoever comes next would pay for the removal.
func (s *site) discard(path string) {
	if !s.disk {
		os.RemoveAll(path)
		return
	}
	s.discarded++
	if err := os.Rename(path, s.here(fmt.Sprintf("discarded-%d", s.discarded))); err != nil && !errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
}
