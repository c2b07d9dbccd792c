package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"ferry/bench/link"
	"ferry/bench/report"
)

// bareLine measures what the line itself carries when it has no rate and no delay: it must be clearly more than the rate that
// the other rows ask of it.
func (b *bench) bareLine() row {
	return row{"line-bare", "the line itself, without rate or delay", func(ctx context.Context) (*work, error) {
		s, err := b.site(ctx, "line")
		if err != nil {
			return nil, err
		}
		n := b.sizes.long
		source, err := s.source(n)
		if err != nil {
			return nil, err
		}
		s.link.Set(link.Quality{})
		e := s.move(ctx, bareTool("four bare TCP streams", "bare-tcp", 4, n), source, up, nil)
		return &work{medium: s.medium, bytes: n, entries: []entry{e}, note: "the rows below ask 119 MiB/s of it"}, nil
	}}
}

// lineFacts is what a reader must know of the line.
func lineFacts(q link.Quality) string {
	text := fmt.Sprintf("user-space line: %.0f Mbit/s, %v round trip, queue %.1f MiB, tcp_wmem %s, tcp_rmem %s", float64(q.Rate)*8/1e6, 2*q.Delay,
		float64(q.Queue())/(1<<20), lastWord("/proc/sys/net/ipv4/tcp_wmem"), lastWord("/proc/sys/net/ipv4/tcp_rmem"))
	if q.Loss > 0 {
		text += fmt.Sprintf(", %g %% of packets lost at random", q.Loss*100)
	}
	return text
}

func lastWord(path string) string {
	f := strings.Fields(word(path))
	if len(f) == 0 {
		return "unknown"
	}
	return f[len(f)-1]
}

// longFile is one file over a long line; with slow also by tools that take long.
func (b *bench) longFile(id string, n int64, d direction, slow bool) row {
	return row{id, fmt.Sprintf("%s at 50 ms, 1 Gbit/s, %s", amount(n), d), func(ctx context.Context) (*work, error) {
		tools := []tool{ferryTool(), curlHTTPS(), bareTool("four bare TCP streams", "bare-tcp", 4, n)}
		peers := []string{"curl nginx https"}
		if slow {
			tools, peers = append(tools, bareTool("one bare TCP stream", "bare-tcp", 1, n), sftpTool()), append(peers, "sftp")
		}
		return b.overLine(ctx, farLine(), n, d, tools,
			speed("must", 1.5, peers...), speed("must", 0.9, "four bare TCP streams"), aim(1.0, "four bare TCP streams"))
	}}
}

// lossyFile is a file over a line that loses packets.
func (b *bench) lossyFile() row {
	n := b.sizes.lossy
	return row{"line-loss-down", fmt.Sprintf("%s at 50 ms, 1 Gbit/s, 0.1 %% loss, down", amount(n)), func(ctx context.Context) (*work, error) {
		return b.overLine(ctx, lossyLine(), n, down,
			[]tool{ferryTool(), lftpTool("lftp pget -n4", "put %s -o %s", "pget -n4 %s -o %s"), bareTool("four bare TCP streams", "bare-tcp", 4, n)},
			must(1.0, "lftp pget -n4"), aim(1.0, "four bare TCP streams"))
	}}
}

func (b *bench) overLine(ctx context.Context, q link.Quality, n int64, d direction, tools []tool, bars ...report.Criterion) (*work, error) {
	w, err := b.fileRow(ctx, "line", n, d, tools, bars...)
	if err != nil {
		return nil, err
	}
	l := b.sites["line"].link
	for i := range w.entries { // each run meets the same losses
		then := w.entries[i].before
		w.entries[i].before = func(ctx context.Context) error {
			l.Set(q)
			if then == nil {
				return nil
			}
			return then(ctx)
		}
	}
	w.note = lineFacts(q)
	return w, nil
}

// waits counts how often a client waits for an answer while it sends a tree over a long line, the login not counted.
func (b *bench) waits() row {
	n := b.sizes.longFiles
	return row{"line-tree-waits", fmt.Sprintf("waits for an answer, %d files of %s up at 50 ms", n, amount(treeFile)), func(ctx context.Context) (*work, error) {
		s, err := b.site(ctx, "line")
		if err != nil {
			return nil, err
		}
		source, err := s.sourceTree(n)
		if err != nil {
			return nil, err
		}
		v, why := (&tool{server: "ferryd"}).ready(ctx, s)
		if why != "" {
			return nil, errors.New(why)
		}
		there := filepath.Join(v.root, filepath.Base(source))
		count := func(c command) (int64, error) {
			s.link.Set(farLine())
			if err := b.run(ctx, c); err != nil {
				return 0, err
			}
			_, turns, err := s.link.Carried()
			return turns, err
		}
		e := entry{tool: "ferry", after: func() { os.RemoveAll(there) }}
		e.run = func(ctx context.Context) (report.Sample, error) {
			login, err := count(s.ferry(v, s.dir, "pwd"))
			if err != nil {
				return report.Sample{}, err
			}
			all, err := count(ferryTool().putTree(s, v, source))
			return report.Sample{Value: float64(all - login)}, err
		}
		return &work{medium: s.medium, unit: "waits", entries: []entry{e}, bars: []report.Criterion{most("must", "ferry", 5, "waits")},
			note: "an upper bound: a pause of a round trip in which the server said something, counted on the line, less those of a login"}, nil
	}}
}
