package remote

import (
	"context"
	"errors"
	"iter"

	"ferry/shared/wire"
)

// maxRepeats bounds how often one command is sent again: a request that brings the server down each time must end.
const maxRepeats = 8

// ask carries out one request, on a new connection if the old one is lost meanwhile. ident, for requests that change
// something, is the request's own: it makes the repetition the same request.
func (c *Client) ask(ctx context.Context, req wire.Requester, ident *wire.Ident, ans wire.Answerer) error {
	if ident != nil {
		ident.ID = NewID()
	}
	var o origin
	for try := 0; ; try++ {
		k, err := c.use(ctx)
		if err != nil {
			return err
		}
		if ident != nil {
			o.fill(&ident.Boot, k)
		}
		_, err = k.ask(ctx, req, nil, ans)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !IsLost(err) || try == maxRepeats {
			return err
		}
	}
}

// Stat describes a name.
func (c *Client) Stat(ctx context.Context, path string) (wire.Entry, error) {
	var a wire.EntryAnswer
	err := c.ask(ctx, &wire.PathRequest{Request: wire.Request{Cmd: wire.CmdStat}, Path: wire.Name(path)}, nil, &a)
	return a.Entry, err
}

// List yields the entries of a directory, with deep of everything below it, as they arrive and in no particular order;
// names are relative to it. A loop that stops early costs the connection. An error ends the listing.
func (c *Client) List(ctx context.Context, path string, deep bool) iter.Seq2[wire.Entry, error] {
	return func(yield func(wire.Entry, error) bool) {
		for try := 0; ; try++ {
			k, err := c.use(ctx)
			if err != nil {
				yield(wire.Entry{}, err)
				return
			}
			got := false
			err = func() error {
				call, err := k.send(&wire.LsRequest{Request: wire.Request{Cmd: wire.CmdLs}, Path: wire.Name(path), Deep: deep}, nil)
				if err != nil {
					return err
				}
				if err := k.flush(); err != nil {
					return err
				}
				for more := true; more; {
					var a wire.LsAnswer
					if _, more, err = call.next(ctx, &a); err != nil {
						return err
					}
					for _, e := range a.Entries {
						got = true
						if !yield(e, nil) {
							if more {
								k.end(&lostError{context.Canceled})
							}
							return errStopped
						}
					}
				}
				return nil
			}()
			if err == nil || err == errStopped {
				return
			}
			// What was yielded cannot be taken back: only a listing that has not begun is asked for again.
			if !IsLost(err) || got || try == maxRepeats || ctx.Err() != nil {
				yield(wire.Entry{}, err)
				return
			}
		}
	}
}

var errStopped = errors.New("stopped")

// Mkdir makes a directory; with parents also those missing above it, and no complaint if it is there.
func (c *Client) Mkdir(ctx context.Context, path string, parents bool) error {
	r := &wire.MkdirRequest{Request: wire.Request{Cmd: wire.CmdMkdir}, Path: wire.Name(path), Parents: parents}
	return c.ask(ctx, r, &r.Ident, &wire.EmptyAnswer{})
}

// Remove removes a file.
func (c *Client) Remove(ctx context.Context, path string) error {
	return c.change(ctx, wire.CmdRm, path)
}

// Rmdir removes an empty directory.
func (c *Client) Rmdir(ctx context.Context, path string) error {
	return c.change(ctx, wire.CmdRmdir, path)
}

func (c *Client) change(ctx context.Context, cmd, path string) error {
	r := &wire.ChangeRequest{Request: wire.Request{Cmd: cmd}, Path: wire.Name(path)}
	return c.ask(ctx, r, &r.Ident, &wire.EmptyAnswer{})
}

// RemoveAll removes a directory with everything below it, or whatever else the name stands for. It stops when ctx does.
func (c *Client) RemoveAll(ctx context.Context, path string) (wire.RmtreeAnswer, error) {
	var a wire.RmtreeAnswer
	r := &wire.ChangeRequest{Request: wire.Request{Cmd: wire.CmdRmtree}, Path: wire.Name(path)}
	err := c.ask(ctx, r, &r.Ident, &a)
	return a, err
}

// Set changes the time of a file or directory, in nanoseconds since 1970 UTC, and its permission bits; nil leaves them.
func (c *Client) Set(ctx context.Context, path string, mtime *int64, mode *uint32) error {
	r := &wire.SetRequest{Request: wire.Request{Cmd: wire.CmdSet}, Path: wire.Name(path), Mtime: mtime, Mode: mode}
	return c.ask(ctx, r, &r.Ident, &wire.EmptyAnswer{})
}

// Rename moves a file or directory; with replace a file at the target gives way. version is that of the file, if known.
func (c *Client) Rename(ctx context.Context, from, to, version string, replace bool) error {
	r := &wire.MvRequest{Request: wire.Request{Cmd: wire.CmdMv}, Path: wire.Name(from), To: wire.Name(to), Version: version, Replace: replace}
	return c.ask(ctx, r, &r.Ident, &wire.EmptyAnswer{})
}

// Sum returns the SHA-256 of a file in hexadecimal.
func (c *Client) Sum(ctx context.Context, path string) (string, error) {
	var a wire.SumAnswer
	err := c.ask(ctx, &wire.PathRequest{Request: wire.Request{Cmd: wire.CmdSum}, Path: wire.Name(path)}, nil, &a)
	return a.SHA256, err
}

// Ping asks for a sign of life.
func (c *Client) Ping(ctx context.Context) error {
	return c.ask(ctx, &wire.EmptyRequest{Request: wire.Request{Cmd: wire.CmdPing}}, nil, &wire.EmptyAnswer{})
}

// Uploads returns the account's unfinished uploads, from whichever machine, oldest first.
func (c *Client) Uploads(ctx context.Context) ([]wire.Upload, error) {
	for try := 0; ; try++ {
		k, err := c.use(ctx)
		if err != nil {
			return nil, err
		}
		var all []wire.Upload
		call, err := k.send(&wire.EmptyRequest{Request: wire.Request{Cmd: wire.CmdResume}}, nil)
		if err == nil {
			err = k.flush()
		}
		for more := err == nil; more; {
			var a wire.ResumeAnswer
			if _, more, err = call.next(ctx, &a); err == nil {
				all = append(all, a.Uploads...)
			}
		}
		if !IsLost(err) || try == maxRepeats || ctx.Err() != nil {
			return all, err
		}
	}
}

// Drop discards an unfinished upload.
func (c *Client) Drop(ctx context.Context, upload string) error {
	r := &wire.DropRequest{Request: wire.Request{Cmd: wire.CmdDrop}, Upload: upload}
	return c.ask(ctx, r, &r.Ident, &wire.EmptyAnswer{})
}

// Df tells how much room the account has.
func (c *Client) Df(ctx context.Context) (wire.DfAnswer, error) {
	var a wire.DfAnswer
	err := c.ask(ctx, &wire.EmptyRequest{Request: wire.Request{Cmd: wire.CmdDf}}, nil, &a)
	return a, err
}
