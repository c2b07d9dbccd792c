package remote

import (
	"context"
	"errors"
	"strings"

	"ferry/shared/wire"
)

// maxOutput bounds what a command line of an administrator may print, in bytes.
const maxOutput = 256 << 20

// Admin has the server carry out a command line of an administrator and returns the whole of what it prints, and how it ended.
// One that changes something is carried out once, however often the connection is lost.
func (c *Client) Admin(ctx context.Context, args []string, record string, json, changes bool) (*wire.AdminAnswer, error) {
	r := &wire.AdminRequest{Request: wire.Request{Cmd: wire.CmdAdmin}, Args: args, Record: record, JSON: json}
	if changes {
		r.ID = NewID()
	}
	var o origin
	for try := 0; ; try++ {
		k, err := c.use(ctx)
		if err != nil {
			return nil, err
		}
		if changes {
			o.fill(&r.Boot, k)
		}
		answer, err := k.order(ctx, r)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if !IsLost(err) || try == maxRepeats {
			return answer, err
		}
	}
}

// order sends a command line and joins the parts of the answer.
func (c *conn) order(ctx context.Context, r *wire.AdminRequest) (*wire.AdminAnswer, error) {
	call, err := c.send(r, nil)
	if err == nil {
		err = c.flush()
	}
	if err != nil {
		return nil, err
	}
	var output, notes strings.Builder
	for {
		var a wire.AdminAnswer
		_, more, err := call.next(ctx, &a)
		if err != nil {
			return nil, err
		}
		output.WriteString(a.Output)
		notes.WriteString(a.Notes)
		if output.Len()+notes.Len() > maxOutput {
			err = errors.New("the server sends more text than anybody can read")
			c.end(&lostError{err})
			return nil, err
		}
		if !more {
			a.Output, a.Notes = output.String(), notes.String()
			return &a, nil
		}
	}
}
