package session

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime/debug"
	"sync"

	"ferry/server/storage"
	"ferry/shared/wire"
)

// maxBatch is how many small uploads share one commit; as many are staged meanwhile.
const maxBatch = 128

// small is a small upload that waits for its answer.
type small struct {
	up     storage.Upload  // nil: it was refused, with ans
	ans    *wire.PutAnswer //
	out    *outcome
	denied error // what is said if it may not replace what is there
	path   string
	nosync bool
}

// batch commits small uploads together and answers them in their order. While one group is synced the next one is staged.
type batch struct {
	c *conn

	mu      sync.Mutex
	change  sync.Cond
	staged  []small // in the order of their requests
	due     bool    // no further request has arrived: nobody is to wait for more
	running bool
}

// add takes an upload in, waiting while as many as share a commit are staged.
func (b *batch) add(s small) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.due = false
	b.staged = append(b.staged, s)
	if len(b.staged) >= maxBatch {
		b.run()
	}
	for len(b.staged) >= maxBatch {
		b.change.Wait()
	}
}

// flush lets what is staged be committed; it does not wait for that.
func (b *batch) flush() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.due = true
	if len(b.staged) > 0 {
		b.run()
	}
}

// wait returns when everything staged is committed and answered.
func (b *batch) wait() {
	b.flush()
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.running || len(b.staged) > 0 {
		b.change.Wait()
	}
}

// run sees to it that a group is being committed. b.mu is held.
func (b *batch) run() {
	if !b.running {
		b.running = true
		go b.work()
	}
}

// work commits one group after the other, as long as one is due.
func (b *batch) work() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.staged) > 0 && (b.due || len(b.staged) >= maxBatch) {
		group := b.take()
		b.change.Broadcast()
		b.mu.Unlock()
		b.commit(group)
		b.mu.Lock()
	}
	b.running = false
	b.change.Broadcast()
}

// take removes what can be committed at once: of one path only one, and all of one durability. b.mu is held.
func (b *batch) take() []small {
	paths := map[string]bool{}
	n := 0
	for n < min(len(b.staged), maxBatch) {
		s := b.staged[n]
		if paths[s.path] || s.nosync != b.staged[0].nosync {
			break
		}
		paths[s.path] = true
		n++
	}
	group := b.staged[:n:n]
	b.staged = append([]small(nil), b.staged[n:]...)
	return group
}

// commit publishes a group and answers. As elsewhere, a panic costs this connection and nobody else's.
func (b *batch) commit(group []small) {
	c := b.c
	answered := 0
	defer func() {
		if p := recover(); p != nil {
			id := newID()[:8]
			c.log.Error("panic", "cmd", wire.CmdPut, "id", id, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			for _, s := range group[answered:] {
				ans := &wire.PutAnswer{Answer: wire.Answer{Error: &wire.Error{Code: wire.Internal, Message: "internal error " + id + " on the server"}}}
				c.respond(ans, nil, nil)
				s.out.end(ans)
			}
			c.drain()
		}
	}()
	var ups []storage.Upload
	for _, s := range group {
		if s.up != nil {
			ups = append(ups, s.up)
		}
	}
	var results []storage.Result
	if len(ups) > 0 {
		results = c.home.store.Commit(c.lasting(), !group[0].nosync, ups...)
	}
	for _, s := range group {
		if s.up == nil {
			c.respond(s.ans, nil, nil)
			answered++
			s.out.end(s.ans)
			continue
		}
		res := results[0]
		results = results[1:]
		s.up.Close()
		ans := &wire.PutAnswer{Same: res.Same}
		if errors.Is(res.Err, fs.ErrPermission) && s.denied != nil {
			res.Err = s.denied
		}
		if res.Err != nil {
			ans.Same, ans.Error = false, c.errorOf(wire.CmdPut, res.Err)
		} else {
			e := entryOf(res.Entry)
			ans.Entry = &e
		}
		c.respond(ans, nil, nil)
		answered++
		s.out.end(ans)
	}
}
