// Package probe is clients of ferry in one process of their own: many idle sessions, many logins, listings that are timed, many
// transfers at once. Each probe gets ready, says so in a line on standard output, waits for a line on standard input, works, and
// prints what it measured as one line of JSON.
package probe

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"ferry/bench/report"
	"ferry/client/remote"
	"ferry/shared/login"
)

// options say which server to reach and how much to do.
type options struct {
	addr, user, password, fingerprint string
	n, busy                           int
	period, pause                     time.Duration
	file, path                        string
}

// result is what a probe measured, by name.
type result map[string]float64

// Run is the process: args are the kind of probe and its options.
func Run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("which probe?")
	}
	var o options
	f := flag.NewFlagSet("probe", flag.ContinueOnError)
	f.StringVar(&o.addr, "addr", "", "address of the server")
	f.StringVar(&o.user, "user", "", "account")
	f.StringVar(&o.fingerprint, "fingerprint", "", "of the server's key")
	f.IntVar(&o.n, "n", 1, "sessions, logins at a time, or transfers")
	f.IntVar(&o.busy, "busy", 0, "sessions that list beside the one that is timed")
	f.DurationVar(&o.pause, "pause", 0, "of each busy session between two listings")
	f.DurationVar(&o.period, "for", 3*time.Second, "how long to measure")
	f.StringVar(&o.file, "file", "", "file to send")
	f.StringVar(&o.path, "path", "/", "path on the server")
	if err := f.Parse(args[1:]); err != nil {
		return err
	}
	o.password = os.Getenv("FERRY_PASSWORD")
	probes := map[string]func(context.Context, options) (func(context.Context) (result, error), error){
		"idle": idle, "logins": logins, "ls": list, "transfers": transfers, "resume": resume,
	}
	prepare, ok := probes[args[0]]
	if !ok {
		return fmt.Errorf("there is no probe %q", args[0])
	}
	work, err := prepare(ctx, o)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	in := bufio.NewReader(os.Stdin)
	if _, err := in.ReadString('\n'); err != nil {
		return nil // not wanted any more
	}
	res, err := work(ctx)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(res)
}

// idle holds n logged-in sessions that do nothing.
func idle(ctx context.Context, o options) (func(context.Context) (result, error), error) {
	secret, err := derive(ctx, o)
	if err != nil {
		return nil, err
	}
	sessions := make([]io.Closer, o.n) // held until the process ends
	var group errgroup.Group
	group.SetLimit(8)
	for i := range sessions {
		group.Go(func() (err error) {
			sessions[i], err = connect(ctx, o, secret)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return func(context.Context) (result, error) { return result{"sessions": float64(len(sessions))}, nil }, nil
}

// logins counts logins a second with a secret that was derived before, n at a time.
func logins(ctx context.Context, o options) (func(context.Context) (result, error), error) {
	secret, err := derive(ctx, o)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (result, error) {
		var done atomic.Int64
		begin := time.Now()
		var group errgroup.Group
		for range o.n {
			group.Go(func() error {
				for time.Since(begin) < o.period {
					c, err := connect(ctx, o, secret)
					if err != nil {
						return err
					}
					c.Close()
					done.Add(1)
				}
				return nil
			})
		}
		if err := group.Wait(); err != nil {
			return nil, err
		}
		return result{"rate": float64(done.Load()) / time.Since(begin).Seconds()}, nil
	}, nil
}

// derive runs Argon2id once, and leaves what later logins need.
func derive(ctx context.Context, o options) (*login.Secret, error) {
	c, err := connect(ctx, o, nil)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.secret, nil
}

// list times listings of a directory, one after the other with a short pause, beside busy sessions that list it too.
func list(ctx context.Context, o options) (func(context.Context) (result, error), error) {
	clients, err := clients(ctx, o, o.busy+1)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (result, error) {
		var took []float64
		var listings atomic.Int64
		begin := time.Now()
		var group errgroup.Group
		for i, c := range clients {
			group.Go(func() error {
				for time.Since(begin) < o.period {
					start := time.Now()
					for _, err := range c.List(ctx, o.path, false) {
						if err != nil {
							return err
						}
					}
					listings.Add(1)
					pause := o.pause
					if i == 0 {
						took = append(took, time.Since(start).Seconds()*1e3)
						pause = 2 * time.Millisecond // a person's ls does not come at once after the last
					}
					time.Sleep(pause)
				}
				return nil
			})
		}
		if err := group.Wait(); err != nil {
			return nil, err
		}
		return result{"p50": report.Percentile(took, 50), "p99": report.Percentile(took, 99), "timed": float64(len(took)),
			"rate": float64(listings.Load()) / time.Since(begin).Seconds()}, nil
	}, nil
}

// transfers sends n parts of a file as n files at once, each in a session of its own.
func transfers(ctx context.Context, o options) (func(context.Context) (result, error), error) {
	clients, err := clients(ctx, o, o.n)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(o.file)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	length := info.Size() / int64(o.n)
	return func(ctx context.Context) (result, error) {
		begin := time.Now()
		var group errgroup.Group
		for i, c := range clients {
			group.Go(func() error {
				src := remote.Source{ReaderAt: io.NewSectionReader(f, int64(i)*length, length), Length: length, Check: func() error { return nil }}
				_, err := c.Put(ctx, path.Join(o.path, fmt.Sprintf("part-%d", i)), src, remote.PutOptions{Job: remote.NewID(), Parents: true})
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return nil, err
		}
		return result{"seconds": time.Since(begin).Seconds(), "bytes": float64(length * int64(o.n))}, nil
	}, nil
}

// resume goes on with an upload and tells how long it takes until the server has acknowledged the first new bytes.
func resume(ctx context.Context, o options) (func(context.Context) (result, error), error) {
	clients, err := clients(ctx, o, 1)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(o.file)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (result, error) {
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		var first atomic.Int64
		begin := time.Now()
		moved := func(n int64) {
			if n > 0 && first.CompareAndSwap(0, int64(time.Since(begin))) {
				stop() // it has shown what it was to show
			}
		}
		src := remote.Source{ReaderAt: f, Length: info.Size(), Mtime: info.ModTime().UnixNano(), Check: func() error { return nil }}
		_, err := clients[0].Put(ctx, o.path, src, remote.PutOptions{Job: remote.NewID(), Moved: moved})
		if first.Load() == 0 {
			return nil, fmt.Errorf("nothing new was sent (%w)", err)
		}
		return result{"first": math.Max(float64(first.Load())/1e6, 1e-3)}, nil
	}, nil
}

// clients logs in n times, one after the other: each runs Argon2id.
func clients(ctx context.Context, o options, n int) ([]*remote.Client, error) {
	all := make([]*remote.Client, n)
	for i := range all {
		c, err := remote.Login(ctx, remote.Options{Address: o.addr, User: o.user, Fingerprint: o.fingerprint, Program: "bench",
			Password: func(context.Context) (string, error) { return o.password, nil }})
		if err != nil {
			return nil, err
		}
		all[i] = c
	}
	return all, nil
}
