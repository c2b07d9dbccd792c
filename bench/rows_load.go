package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"ferry/bench/proc"
	"ferry/bench/report"
)

// probe starts a probe of a kind and waits until it is ready.
func (s *site) probe(ctx context.Context, v *server, as, kind string, args ...string) (*dialog, error) {
	words := s.far(s.b.self, "@probe", kind, "-addr", v.addr, "-user", as, "-fingerprint", v.key)
	d, err := s.b.talk(ctx, command{argv: append(words, args...), dir: s.dir, env: []string{"FERRY_PASSWORD=" + password}})
	if err != nil {
		return nil, err
	}
	if _, err := d.hear(ctx); err != nil {
		return nil, fmt.Errorf("probe %s: %w", kind, err)
	}
	return d, nil
}

// ask lets a probe work, and returns what it measured.
func (d *dialog) ask(ctx context.Context) (got map[string]float64, err error) {
	if err := d.say("go"); err != nil {
		return nil, err
	}
	line, err := d.hear(ctx)
	if err == nil {
		err = json.Unmarshal([]byte(line), &got)
	}
	return got, err
}

// probed runs a probe from start to end and makes a sample of one of its figures.
func (s *site) probed(ctx context.Context, v *server, figure, kind string, args ...string) (sample report.Sample, err error) {
	d, err := s.probe(ctx, v, cheap, kind, args...)
	if err != nil {
		return sample, err
	}
	var got map[string]float64
	sample, err = s.b.measure(ctx, nil, func() (err error) {
		got, err = d.ask(ctx)
		return err
	})
	sample.Value = got[figure]
	return sample, errors.Join(err, d.end())
}

// onServer makes a row that needs nothing but ferryd on tmpfs, one that has done nothing before if fresh.
func (b *bench) onServer(id, title string, fresh bool, fill func(ctx context.Context, s *site, v *server) (*work, error)) row {
	return row{id, title, func(ctx context.Context) (*work, error) {
		s, err := b.site(ctx, "tmpfs")
		if err != nil {
			return nil, err
		}
		kind := "ferryd"
		if fresh {
			kind = "ferryd-fresh"
			if v := s.servers[kind]; v != nil {
				v.stop()
				delete(s.servers, kind)
				if err := os.RemoveAll(filepath.Join(s.dir, kind)); err != nil {
					return nil, err
				}
			}
		}
		v, err := s.up(ctx, kind)
		if err != nil {
			return nil, err
		}
		w, err := fill(ctx, s, v)
		if err == nil && w.medium == "" {
			w.medium = s.medium
		}
		return w, err
	}}
}

// idleMemory is what a session costs the server that does nothing.
func (b *bench) idleMemory() row {
	n := b.sizes.sessions
	return b.onServer("memory-idle", fmt.Sprintf("server memory of an idle session, %d sessions", n), true, func(ctx context.Context, s *site, v *server) (*work, error) {
		ferry := entry{tool: "ferry", run: func(ctx context.Context) (report.Sample, error) { return s.idleSessions(ctx, v, n) }}
		w := &work{unit: "KiB", runs: 1, entries: []entry{ferry}, bars: []report.Criterion{most("must", "ferry", 25, "KiB")},
			note: "growth of resident memory by session; of vsftpd with 50 and sshd with 20 sessions, pages they share counted in parts"}
		for _, peer := range []struct {
			name, server string
			n            int
			open         func(ctx context.Context, v *server) (func(), error)
		}{{"vsftpd", "vsftpd", 50, s.ftpSession}, {"sshd", "sshd", 20, s.sshSession}} {
			e := entry{tool: peer.name}
			pv, why := (&tool{server: peer.server}).ready(ctx, s)
			e.missing = why
			e.run = func(ctx context.Context) (report.Sample, error) { return s.treeMemory(ctx, pv, peer.n, peer.open) }
			w.entries = append(w.entries, e)
		}
		return w, nil
	})
}

// idleSessions measures with two processes that hold n sessions together.
func (s *site) idleSessions(ctx context.Context, v *server, n int) (sample report.Sample, err error) {
	if err := s.b.run(ctx, s.ferry(v, s.dir, "pwd")); err != nil { // what the first session needs, all others share
		return sample, err
	}
	before, err := restingMemory(ctx, v.Process.Pid, 5*time.Second)
	if err != nil {
		return sample, err
	}
	for range 2 {
		d, err := s.probe(ctx, v, cheap, "idle", "-n", fmt.Sprint(n/2))
		if err != nil {
			return sample, err
		}
		defer d.end()
	}
	after, err := restingMemory(ctx, v.Process.Pid, 5*time.Second)
	return report.Sample{Value: float64(after-before) / float64(n/2*2) / 1024}, err
}

// restingMemory returns the least resident memory of a process, which may give back what it does not need: until there was no
// further low for a time, and for four such times at most.
func restingMemory(ctx context.Context, pid int, calm time.Duration) (int64, error) {
	least, since := int64(0), time.Now()
	for begin := time.Now(); time.Since(begin) < 4*calm && time.Since(since) < calm && ctx.Err() == nil; time.Sleep(50 * time.Millisecond) {
		m, err := proc.MemoryOf(pid)
		if err != nil {
			return 0, err
		}
		if least == 0 || m.RSS < least {
			least, since = m.RSS, time.Now()
		}
	}
	return least, ctx.Err()
}

// treeMemory measures a server that has processes for its sessions.
func (s *site) treeMemory(ctx context.Context, v *server, n int, open func(ctx context.Context, v *server) (func(), error)) (sample report.Sample, err error) {
	before, err := treePSS(v.Process.Pid)
	if err != nil {
		return sample, err
	}
	for range n {
		end, err := open(ctx, v)
		if err != nil {
			return sample, err
		}
		defer end()
	}
	after, err := treePSS(v.Process.Pid)
	return report.Sample{Value: float64(after-before) / float64(n) / 1024}, err
}

func treePSS(pid int) (total int64, err error) {
	all, err := proc.All()
	if err != nil {
		return 0, err
	}
	for _, p := range append(proc.Below(all, pid), proc.Stat{PID: pid}) {
		n, err := proc.PSS(p.PID)
		if err == nil { // it may have ended
			total += n
		}
	}
	return total, nil
}

// ftpSession logs in to vsftpd and stays.
func (s *site) ftpSession(ctx context.Context, v *server) (func(), error) {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", v.addr)
	if err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(c, "USER anonymous\r\n")
	reply := make([]byte, 4096)
	for text := ""; len(text) < 4096; {
		n, err := c.Read(reply)
		if err != nil {
			c.Close()
			return nil, err
		}
		if text += string(reply[:n]); len(text) > 4 && containsLine(text, "230 ") {
			return func() { c.Close() }, nil
		}
	}
	c.Close()
	return nil, errors.New("no login")
}

// containsLine tells whether a line begins with some text.
func containsLine(text, begin string) bool {
	for at := 0; at+len(begin) <= len(text); at++ {
		if text[at:at+len(begin)] == begin && (at == 0 || text[at-1] == '\n') {
			return true
		}
	}
	return false
}

// sshSession logs in with sftp and stays.
func (s *site) sshSession(ctx context.Context, v *server) (func(), error) {
	c := sftpTool().get(s, v, "", "")
	c.stdin = ""
	d, err := s.b.talk(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := d.say("pwd"); err != nil {
		return nil, err
	}
	if _, err := d.hear(ctx); err != nil {
		return nil, err
	}
	return func() { d.end() }, nil
}

// transferMemory is what a transfer needs at both ends beyond what they have when they are idle, for a short and a long file.
func (b *bench) transferMemory(d direction) row {
	return b.onServer("memory-"+string(d), "memory of an active transfer, each end, "+string(d), true, func(ctx context.Context, s *site, v *server) (*work, error) {
		w := &work{unit: "MiB", note: "peak of resident memory above that of an idle, logged-in client, and of its server"}
		for _, n := range []int64{b.sizes.big / 64, b.sizes.big} {
			source, err := s.source(n)
			if err != nil {
				return nil, err
			}
			var server int64 // measured with the client, whose turn comes first
			client := entry{tool: "ferry client, " + amount(n), run: func(ctx context.Context) (sample report.Sample, err error) {
				var grown int64
				grown, server, err = s.peaks(ctx, v, source, d)
				return report.Sample{Value: float64(grown) / (1 << 20)}, err
			}}
			other := entry{tool: "ferry server, " + amount(n), run: func(context.Context) (report.Sample, error) {
				return report.Sample{Value: float64(server) / (1 << 20)}, nil
			}}
			w.entries = append(w.entries, client, other)
			w.bars = append(w.bars, most("must", client.tool, 4, "MiB"), most("must", other.tool, 4, "MiB"))
		}
		return w, nil
	})
}

// peaks runs a transfer in a client that was idle before, and returns how much memory grew at both ends.
func (s *site) peaks(ctx context.Context, v *server, source string, d direction) (client, server int64, err error) {
	name, to := filepath.Base(source)+"-moved", s.here("fetched")
	there := filepath.Join(v.root, name)
	defer os.Remove(there)
	defer os.Remove(to)
	c := s.ferry(v, s.dir, "")
	i := slices.Index(c.argv, "-c")
	c.argv = slices.Concat(c.argv[:i], []string{"-b", "-"}, c.argv[i+2:])
	talk, err := s.b.talk(ctx, c)
	if err != nil {
		return 0, 0, err
	}
	pids := []int{talk.Process.Pid, v.Process.Pid}
	line := fmt.Sprintf("@put %s -o %s", source, name)
	if d == down {
		if err := os.Link(source, there); err != nil {
			return 0, 0, errors.Join(err, talk.end())
		}
		line = fmt.Sprintf("@get %s -o %s", name, to)
	}
	if err := errors.Join(talk.say("@pwd"), ctx.Err()); err != nil {
		return 0, 0, err
	}
	if _, err := talk.hear(ctx); err != nil { // logged in
		return 0, 0, err
	}
	var idle, grown [2]int64
	for i, pid := range pids {
		if idle[i], err = restingMemory(ctx, pid, time.Second); err == nil {
			err = proc.ResetPeak(pid)
		}
		if err != nil {
			return 0, 0, errors.Join(err, talk.end())
		}
	}
	if err := errors.Join(talk.say(line), talk.say("@pwd")); err != nil {
		return 0, 0, err
	}
	if _, err := talk.hear(ctx); err != nil { // done
		return 0, 0, err
	}
	for i, pid := range pids {
		m, err := proc.MemoryOf(pid)
		if err != nil {
			return 0, 0, err
		}
		grown[i] = m.Peak - idle[i]
	}
	return grown[0], grown[1], talk.end()
}

// manyNames is the server's memory while it lists a large directory.
func (b *bench) manyNames() row {
	n := b.sizes.names
	return b.onServer("memory-ls", fmt.Sprintf("server memory at its peak, ls of %d names", n), true, func(ctx context.Context, s *site, v *server) (*work, error) {
		dir := filepath.Join(v.root, "names")
		if err := os.Mkdir(dir, 0o755); err != nil {
			return nil, err
		}
		for i := range n {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("a-name-of-some-length-%06d", i)), nil, 0o644); err != nil {
				return nil, err
			}
		}
		list := s.ferry(v, s.dir, "ls names")
		e := entry{tool: "ferry", run: func(ctx context.Context) (sample report.Sample, err error) {
			if err := proc.ResetPeak(v.Process.Pid); err != nil {
				return sample, err
			}
			if sample, err = b.timed(ctx, list, nil); err != nil {
				return sample, err
			}
			m, err := proc.MemoryOf(v.Process.Pid)
			sample.Value = float64(m.Peak) / (1 << 20)
			return sample, err
		}}
		return &work{unit: "MiB", entries: []entry{e}, bars: []report.Criterion{most("must", "ferry", 64, "MiB")}, after: func() { os.RemoveAll(dir) }}, nil
	})
}

// loginRate is how many logins a second two ends on this machine manage when the password is derived already.
func (b *bench) loginRate() row {
	return b.onServer("logins", "logins a second, pre-derived secrets, 8 at a time", false, func(ctx context.Context, s *site, v *server) (*work, error) {
		e := entry{tool: "ferry", run: func(ctx context.Context) (report.Sample, error) {
			return s.probed(ctx, v, "rate", "logins", "-n", "8", "-for", b.sizes.period.String())
		}}
		return &work{unit: "1/s", entries: []entry{e}, bars: []report.Criterion{least("must", "ferry", 500, "1/s"), least("aim", "ferry", 1000, "1/s")}}, nil
	})
}

// names makes a directory that ls rows list.
func (v *server) names() error {
	dir := filepath.Join(filepath.Dir(v.root), cheap, "names")
	if err := os.Mkdir(dir, 0o755); errors.Is(err, os.ErrExist) {
		return nil
	}
	for i := range 20 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("name-%02d", i)), nil, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// busyList times ls beside sessions that list the same directory.
func (b *bench) busyList() row {
	return b.onServer("ls-busy", "p99 of ls, 100 other sessions list 20 times a second each", false, func(ctx context.Context, s *site, v *server) (*work, error) {
		if err := v.names(); err != nil {
			return nil, err
		}
		run := func(busy, pause string) func(ctx context.Context) (report.Sample, error) {
			return func(ctx context.Context) (report.Sample, error) {
				return s.probed(ctx, v, "p99", "ls", "-path", "/names", "-busy", busy, "-pause", pause, "-for", b.sizes.period.String())
			}
		}
		return &work{unit: "ms", bars: []report.Criterion{most("must", "ferry", 10, "ms")}, note: "a directory of 20 names; the clients run on the same cores",
			entries: []entry{{tool: "ferry", run: run("100", "50ms")}, {tool: "ferry, without a pause", run: run("100", "0")}, {tool: "ferry, nobody else", run: run("0", "0")}}}, nil
	})
}

// saturatedList times ls while one upload and one download run as fast as they go, one after the other without end.
func (b *bench) saturatedList() row {
	return b.onServer("ls-transfers", "p99 of ls while an upload and a download saturate", false, func(ctx context.Context, s *site, v *server) (*work, error) {
		source, err := s.source(b.sizes.big)
		if err == nil {
			err = errors.Join(v.names(), room(s.dir, 3*b.sizes.big))
		}
		if err != nil {
			return nil, err
		}
		there := filepath.Join(v.root, "fetched-again")
		t := ferryTool()
		e := entry{tool: "ferry", before: func(context.Context) error { return os.Link(source, there) }}
		e.run = func(ctx context.Context) (sample report.Sample, err error) {
			var over atomic.Bool
			var both sync.WaitGroup
			var errs [2]error
			for i, c := range []command{t.put(s, v, source, "sent-again"), t.get(s, v, "fetched-again", s.here("fetched"))} {
				both.Go(func() {
					for !over.Load() && errs[i] == nil {
						os.Remove([]string{filepath.Join(v.root, "sent-again"), s.here("fetched")}[i])
						errs[i] = b.run(ctx, c)
					}
				})
			}
			d, err := s.probe(ctx, v, cheap, "ls", "-path", "/names", "-for", b.sizes.period.String())
			if err == nil {
				var got map[string]float64
				got, err = d.ask(ctx)
				sample.Value = got["p99"]
				err = errors.Join(err, d.end())
			}
			over.Store(true)
			both.Wait()
			return sample, errors.Join(err, errs[0], errs[1])
		}
		e.after = func() { os.Remove(there); os.Remove(filepath.Join(v.root, "sent-again")); os.Remove(s.here("fetched")) }
		return &work{unit: "ms", entries: []entry{e}, bars: []report.Criterion{most("must", "ferry", 50, "ms")}}, nil
	})
}

// growth is how cost grows with the number of transfers, the length of files and the size of trees.
func (b *bench) growth() []row {
	rows := []row{b.concurrent()}
	for _, n := range b.sizes.growBytes {
		rows = append(rows, row{fmt.Sprintf("grow-file-%d", n), "how cost grows: one file of " + amount(n) + ", up", func(ctx context.Context) (*work, error) {
			return b.fileRow(ctx, "tmpfs", n, up, []tool{ferryTool(), sftpTool(), rsyncSSH("rsync ssh")})
		}})
	}
	for _, n := range b.sizes.growFiles {
		r := b.tree(fmt.Sprintf("grow-tree-%d", n), "tmpfs", n, up, false, []tool{ferryTool(), rsyncSSH("rsync ssh")})
		r.title = "how cost grows: " + r.title
		rows = append(rows, r)
	}
	return rows
}

// concurrent is the same bytes in ever more transfers at once.
func (b *bench) concurrent() row {
	n := b.sizes.big
	return b.onServer("grow-transfers", "how cost grows: "+amount(n)+" in 1, 10, 100, 300 uploads at once, TLS", true, func(ctx context.Context, s *site, v *server) (*work, error) {
		source, err := s.source(n)
		if err != nil {
			return nil, err
		}
		w := &work{bytes: n, note: "each in a session of its own, all clients in one process"}
		home := filepath.Join(filepath.Dir(v.root), cheap)
		for _, count := range []int{1, 10, 100, 300} {
			e := entry{tool: fmt.Sprintf("ferry, %d at once", count)}
			e.run = func(ctx context.Context) (sample report.Sample, err error) {
				d, err := s.probe(ctx, v, cheap, "transfers", "-n", fmt.Sprint(count), "-file", source, "-path", "/parts")
				if err != nil {
					return sample, err
				}
				if err := proc.ResetPeak(v.Process.Pid); err != nil {
					return sample, errors.Join(err, d.end())
				}
				sample, err = b.measure(ctx, nil, func() error { _, err := d.ask(ctx); return err })
				m, merr := proc.MemoryOf(v.Process.Pid)
				sample.Value = float64(m.Peak) / (1 << 20)
				return sample, errors.Join(err, merr, d.end())
			}
			e.after = func() { os.RemoveAll(filepath.Join(home, "parts")) }
			w.entries = append(w.entries, e)
		}
		w.more = func(done report.Row) []report.Row {
			done.ID, done.Title, done.Unit, done.Bytes = done.ID+"-memory", "how cost grows: server memory at its peak meanwhile", "MiB", 0
			return []report.Row{done}
		}
		return w, nil
	})
}
