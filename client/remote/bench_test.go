package remote_test

import (
	"context"
	"fmt"
	"testing"

	"ferry/client/remote"
	"ferry/shared/block"
	"ferry/shared/wire"
)

// The benchmarks run both ends in one process over loopback with TLS; TMPDIR says which medium.

func benchClient(b *testing.B) (*rig, *remote.Client) {
	b.Helper()
	r := newRig(b)
	o := r.options()
	o.Address = r.Addr()
	c, err := remote.Login(context.Background(), o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	return r, c
}

func BenchmarkPut(b *testing.B) {
	r, c := benchClient(b)
	_ = r
	data := noise(256<<20, 1)
	b.SetBytes(int64(len(data)))
	for i := 0; b.Loop(); i++ {
		name := fmt.Sprint("/f", i)
		if _, err := c.Put(b.Context(), name, source(data), remote.PutOptions{Job: remote.NewID()}); err != nil {
			b.Fatal(err)
		}
		if err := c.Remove(b.Context(), name); err != nil {
			b.Fatal(err)
		}
	}
}

// nowhere is a target that forgets.
type nowhere struct{}

func (nowhere) ReadAt(p []byte, off int64) (int, error)  { return 0, nil }
func (nowhere) WriteAt(p []byte, off int64) (int, error) { return len(p), nil }

func BenchmarkGet(b *testing.B) {
	_, c := benchClient(b)
	data := noise(256<<20, 1)
	res, err := c.Put(b.Context(), "/f", source(data), remote.PutOptions{Job: remote.NewID()})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := c.Get(b.Context(), "/f", res.Entry, nowhere{}, remote.GetOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}

const benchFiles = 2000

// pipeline runs one request for each of the files.
func pipeline(b *testing.B, c *remote.Client, op func(i int, done func(error)) *remote.Op) {
	b.Helper()
	feed := make(chan *remote.Op, 256)
	go func() {
		defer close(feed)
		for i := range benchFiles {
			feed <- op(i, func(err error) {
				if err != nil {
					b.Error(err)
				}
			})
		}
	}()
	if err := c.Pipeline(b.Context(), feed); err != nil {
		b.Fatal(err)
	}
}

func name(i int) string { return fmt.Sprintf("/d/%05d", i) }

// BenchmarkSmallPut and BenchmarkSmallGet move 2 000 files of 4 KiB.
func BenchmarkSmallPut(b *testing.B) {
	_, c := benchClient(b)
	data := noise(4096, 1)
	put := func(i int, done func(error)) *remote.Op {
		return remote.PutOp(name(i), data, 1e18, 0, remote.PutOptions{Parents: true}, func(_ remote.Result, err error) { done(err) })
	}
	for b.Loop() {
		pipeline(b, c, put)
		b.StopTimer()
		pipeline(b, c, func(i int, done func(error)) *remote.Op { return remote.RemoveOp(name(i), done) })
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*benchFiles), "us/file")
}

func BenchmarkSmallGet(b *testing.B) {
	_, c := benchClient(b)
	data := noise(4096, 1)
	entries := make([]wire.Entry, benchFiles)
	pipeline(b, c, func(i int, done func(error)) *remote.Op {
		return remote.PutOp(name(i), data, 1e18, 0, remote.PutOptions{Parents: true}, func(r remote.Result, err error) { entries[i] = r.Entry; done(err) })
	})
	for b.Loop() {
		pipeline(b, c, func(i int, done func(error)) *remote.Op {
			return remote.GetOp(name(i), entries[i], func(_ []byte, err error) { done(err) })
		})
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*benchFiles), "us/file")
}

func BenchmarkList(b *testing.B) {
	_, c := benchClient(b)
	pipeline(b, c, func(i int, done func(error)) *remote.Op {
		return remote.PutOp(name(i), nil, 1e18, 0, remote.PutOptions{Parents: true}, func(_ remote.Result, err error) { done(err) })
	})
	for b.Loop() {
		n := 0
		for _, err := range c.List(b.Context(), "/", true) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != benchFiles+1 {
			b.Fatalf("%d names", n)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*benchFiles), "ns/name")
}

// BenchmarkAttach makes a connection into a session that is there: TLS and one round trip.
func BenchmarkAttach(b *testing.B) {
	_, c := benchClient(b)
	for b.Loop() {
		s := c.Sibling()
		if err := s.Ping(b.Context()); err != nil {
			b.Fatal(err)
		}
		s.Close()
	}
}

func BenchmarkTag(b *testing.B) {
	t, data := block.NewTagger(block.NewKey()), noise(block.Size, 1)
	b.SetBytes(block.Size)
	for b.Loop() {
		t.Tag(1, data)
	}
}
