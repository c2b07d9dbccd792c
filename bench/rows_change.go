package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"ferry/bench/report"
)

// resumed is the second half of a transfer that was cut off at 90 %.
func (b *bench) resumed(d direction) row {
	n := b.sizes.big
	return row{"resume-" + string(d), fmt.Sprintf("resume of a %s file at 90 %%, %s", amount(n), d), func(ctx context.Context) (*work, error) {
		s, err := b.site(ctx, "tmpfs")
		if err != nil {
			return nil, err
		}
		source, err := s.source(n)
		if err != nil {
			return nil, err
		}
		sftp := sftpTool().changed("sftp", func(c command, _ *server) command {
			verb, rest, _ := strings.Cut(c.stdin, " ")
			c.stdin = verb + " -a " + rest
			return c
		})
		curl := curlFTP("curl")
		if d == down {
			curl = curlHTTPS()
		}
		curl = curl.changed("curl", func(c command, _ *server) command {
			c.argv = append(c.argv[:len(c.argv):len(c.argv)], "-C", "-")
			return c
		})
		careless := []string{"sftp", "lftp", "curl"}
		w := &work{medium: s.medium, bytes: n, bars: []report.Criterion{must(0.5, "rsync ssh --append-verify"), aim(1.0, careless...)},
			note: "sftp, lftp and curl do not look at what is there already; the aim is the fastest of them"}
		for _, t := range []tool{ferryTool(), rsyncSSH("rsync ssh --append-verify", "--append-verify"), sftp,
			lftpTool("lftp", "put -c %s -o %s", "get -c %s -o %s"), curl} {
			w.entries = append(w.entries, s.goOn(ctx, t, source, n, d))
		}
		return w, nil
	}}
}

// goOn is move with nine tenths there. For ferry's upload they are what a client that was killed has left; all others, and
// ferry's download, look for nothing but a file.
func (s *site) goOn(ctx context.Context, t tool, source string, n int64, d direction) entry {
	e := s.move(ctx, t, source, d, s.wire)
	if e.missing != "" {
		return e
	}
	v := s.servers[t.server]
	part := n / 10 * 9
	then, name := e.before, filepath.Base(source)+"-moved"
	e.before = func(ctx context.Context) error {
		switch {
		case d == up && t.name == "ferry":
			return s.cutOff(ctx, v, t.put(s, v, source, name), part)
		case d == up:
			there := filepath.Join(v.root, name)
			return errors.Join(copyPart(source, there, part), os.Chmod(there, 0o666)) // vsftpd's user is another
		}
		to := s.here("fetched")
		if t.name == "ferry" {
			to += ".ferry-part"
		}
		return errors.Join(then(ctx), copyPart(source, to, part))
	}
	return e
}

// cutOff starts an upload and kills the client once the server holds so many bytes of it.
func (s *site) cutOff(ctx context.Context, v *server, c command, part int64) error {
	r := s.b.processes.prepare(ctx, c)
	if err := r.start(); err != nil {
		return err
	}
	for {
		if stat, err := statOf(r.Process.Pid); err != nil || stat.State == 'Z' {
			return errors.Join(errors.New("the first upload ended before it was cut off"), r.wait())
		}
		found, err := filepath.Glob(filepath.Join(v.root, ".ferry", "*", "data"))
		if err != nil {
			return err
		}
		if len(found) > 0 && held(found[0]) >= part {
			syscall.Kill(r.Process.Pid, syscall.SIGKILL)
			r.wait()
			return ctx.Err()
		}
		time.Sleep(time.Millisecond)
	}
}

// firstByte is how long it takes from a login until new bytes of a resumed upload have arrived.
func (b *bench) firstByte() row {
	n := b.sizes.big
	return row{"resume-first", fmt.Sprintf("first new bytes of a resumed %s upload", amount(n)), func(ctx context.Context) (*work, error) {
		s, err := b.site(ctx, "tmpfs")
		if err != nil {
			return nil, err
		}
		source, err := s.source(n)
		if err != nil {
			return nil, err
		}
		v, why := (&tool{server: "ferryd"}).ready(ctx, s)
		if why != "" {
			return nil, errors.New(why)
		}
		var d *dialog
		e := entry{tool: "ferry"}
		e.before = func(ctx context.Context) (err error) {
			if err := s.cutOff(ctx, v, ferryTool().put(s, v, source, "resumed"), n/10*9); err != nil {
				return err
			}
			d, err = s.probe(ctx, v, user, "resume", "-file", source, "-path", "/resumed")
			return err
		}
		e.run = func(ctx context.Context) (report.Sample, error) {
			got, err := d.ask(ctx)
			return report.Sample{Value: got["first"]}, errors.Join(err, d.end())
		}
		e.after = func() { dropStagings(v); os.Remove(filepath.Join(v.root, "resumed")) }
		return &work{medium: s.medium, unit: "ms", entries: []entry{e}, bars: []report.Criterion{most("must", "ferry", 100, "ms")},
			note: "from the end of the login until the server has acknowledged the first new bytes"}, nil
	}}
}

// dropStagings frees what unfinished uploads hold; nobody goes on with them.
func dropStagings(v *server) {
	found, _ := filepath.Glob(filepath.Join(v.root, ".ferry", "*"))
	for _, path := range found {
		os.RemoveAll(path)
	}
}

// altered is a file over its old version, of which one block in a hundred differs.
func (b *bench) altered(place string) row {
	n, id := b.sizes.big, "delta-tmpfs"
	if place == "reflink" {
		n, id = b.sizes.image, "delta-reflink"
	}
	return row{id, amount(n) + " file over its old version, 1 % of blocks changed", func(ctx context.Context) (*work, error) {
		s, err := b.site(ctx, place)
		if err != nil {
			return nil, err
		}
		old, err := s.source(n)
		if err != nil {
			return nil, err
		}
		source := s.here("altered")
		if err := room(s.dir, 3*n+256<<20); err != nil {
			return nil, err
		}
		later := time.Now().Add(-time.Minute) // than any source: rsync takes equal times for equal files
		if err := errors.Join(copyPart(old, source, n), alterBlocks(source), os.Chtimes(source, later, later)); err != nil {
			return nil, err
		}
		w := &work{medium: s.medium, bytes: n, after: func() { os.Remove(source); delete(b.sums, source) }}
		fresh := ferryTool()
		fresh.name = "ferry, fresh"
		w.entries = append(w.entries, s.move(ctx, fresh, source, up, s.wire))
		for _, t := range []tool{ferryTool(), rsyncSSH("rsync ssh --inplace", "--inplace")} {
			e := s.move(ctx, t, source, up, s.wire)
			if v := s.servers[t.server]; v != nil {
				e.before = func(context.Context) error {
					return copyPart(old, filepath.Join(v.root, filepath.Base(source)+"-moved"), n)
				}
			}
			w.entries = append(w.entries, e)
		}
		if s.medium != "tmpfs" {
			w.entries = settled(w.entries)
		}
		w.bars = []report.Criterion{{Level: "must", Metric: report.Wire, Of: "ferry", Limit: 0.02, Text: "bytes on the wire <= 2 %"}, must(0.3, "rsync ssh --inplace")}
		if place == "reflink" {
			w.bars = append(w.bars, must(0.25, "ferry, fresh"), aim(0.15, "ferry, fresh"))
		} else {
			w.bars = append(w.bars, must(0.6, "ferry, fresh"))
		}
		return w, nil
	}}
}

// oneShot is everything around one small file: start, connect, log in, put, quit.
func (b *bench) oneShot(place string) row {
	title := "connect, log in, put 1 KiB, quit, "
	if place == "line" {
		title += "50 ms round trip"
	} else {
		title += "loopback"
	}
	return row{"oneshot-" + place, title, func(ctx context.Context) (*work, error) {
		sftp := sftpTool()
		sftp.name = "sftp with a key"
		w, err := b.fileRow(ctx, place, 1<<10, up, []tool{ferryTool(), sftp, bareTool("bare TLS", "bare-tls", 1, 1<<10)})
		if err != nil {
			return nil, err
		}
		s := b.sites[place]
		if s.link != nil {
			s.link.Set(farLine())
		}
		w.entries = append(w.entries, s.move(ctx, ferryPassword(), s.here(fmt.Sprintf("file-%d", 1<<10)), up, nil))
		w.runs, w.note = 5*b.runs, "the client pays for the Argon2id run of a password"
		w.bars = []report.Criterion{must(0.2, "sftp with a key"), aim(1.3, "bare TLS"),
			{Level: "must", Metric: report.Wall, Of: "ferry with a password", Against: []string{"sftp with a key"}, Limit: 1, Text: "with a password: wall <= 1.00 x sftp with a key"}}
		return w, nil
	}}
}

// identity returns a key that ferry can log in with at this site, made when it is first asked for.
func (s *site) identity(ctx context.Context) (string, error) {
	keygen, err := program("ssh-keygen")
	if err != nil {
		return "", err
	}
	v, err := s.up(ctx, "ferryd")
	if err != nil {
		return "", err
	}
	key := filepath.Join(s.dir, "ferryd", "identity")
	if _, err := os.Stat(key); err == nil {
		return key, nil
	}
	if err := s.b.run(ctx, command{argv: []string{keygen, "-q", "-t", "ed25519", "-N", "", "-C", "bench", "-f", key}}); err != nil {
		return "", err
	}
	public, err := os.ReadFile(key + ".pub")
	if err != nil {
		return "", err
	}
	if err := s.b.run(ctx, command{argv: []string{s.b.ferryd, "user", "mod", user, "--keys", strings.TrimSpace(string(public)), "--data", v.data}}); err != nil {
		return "", err
	}
	v.Process.Signal(syscall.SIGHUP)
	for range 100 { // until the server has read its accounts again
		if err = s.b.run(ctx, s.ferry(v, s.dir, "whoami")); err == nil || !strings.Contains(err.Error(), "exit status 3") {
			return key, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return "", err
}
