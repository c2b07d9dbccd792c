package transfer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"time"

	"ferry/client/remote"
	"ferry/shared/block"
)

// PutReader sends what comes out of r until its end. Up to 1 MiB goes from memory; more is gathered in a temporary file that
// has no name, since an upload begins with its length. It cannot be gone on with.
func (m *Mover) PutReader(ctx context.Context, r io.Reader, remotePath string, o Options) (remote.Result, error) {
	type read struct {
		src  remote.Source
		file *os.File
		err  error
	}
	got := make(chan read, 1)
	go func() { // r may keep silent for ever
		src, f, err := gather(r)
		got <- read{src, f, err}
	}()
	var g read
	select {
	case g = <-got:
	case <-ctx.Done():
		return remote.Result{}, ctx.Err()
	}
	if g.file != nil {
		defer g.file.Close()
	}
	if g.err != nil {
		return remote.Result{}, g.err
	}
	if o.Begin != nil {
		o.Begin(g.src.Length)
	}
	return m.Client.Put(ctx, remotePath, g.src, remote.PutOptions{Job: remote.NewID(), Expect: o.Expect, Force: o.Force, NoSync: o.NoSync, Parents: o.Parents,
		Streams: o.Parallel, Moved: o.Moved, Reused: o.Reused, Checking: o.Checking})
}

// gather reads all of r, into memory or a file that is gone when it is closed.
func gather(r io.Reader) (remote.Source, *os.File, error) {
	src := remote.Source{Mtime: time.Now().UnixNano(), Check: func() error { return nil }}
	head := make([]byte, block.Size+1)
	n, err := io.ReadFull(r, head)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		src.ReaderAt, src.Length = bytes.NewReader(head[:n]), int64(n)
		if n <= block.Size {
			return src, nil, nil
		}
	} else if err != nil {
		return src, nil, err
	}
	f, err := os.CreateTemp("", "ferry")
	if err != nil {
		return src, nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return src, f, err
	}
	src.ReaderAt = f
	src.Length, err = io.Copy(f, io.MultiReader(bytes.NewReader(head[:n]), r))
	return src, f, err
}
