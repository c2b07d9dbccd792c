package session

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"ferry/shared/wire"
)

const (
	keepOutcomes = 10 * time.Minute
	maxOutcomes  = 1024 // per account
)

// outcomes remembers how requests that change something ended, so that one whose answer was lost is not carried out
// twice when it is sent again.
type outcomes struct {
	mu    sync.Mutex
	byID  map[string]*outcome
	order []*outcome // oldest first
	lossy time.Time  // when one was last forgotten before its time
}

type outcome struct {
	id    string
	since time.Time
	done  chan struct{} // closed when answer is set
	ans   wire.Answerer // nil: it was broken off, and forgotten
}

// begin returns the outcome of id. When fresh, the caller carries the request out and must call end.
func (o *outcomes) begin(id string) (out *outcome, fresh bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	for len(o.order) > 0 && (len(o.order) >= maxOutcomes || now.Sub(o.order[0].since) > keepOutcomes) {
		if now.Sub(o.order[0].since) <= keepOutcomes {
			o.lossy = now
		}
		delete(o.byID, o.order[0].id)
		o.order = o.order[1:]
	}
	if out := o.byID[id]; out != nil {
		return out, false
	}
	out = &outcome{id: id, since: now, done: make(chan struct{})}
	if o.byID == nil {
		o.byID = map[string]*outcome{}
	}
	o.byID[id] = out
	o.order = append(o.order, out)
	return out, true
}

// end records the answer, which was sent the first time and from now on is sent again. Errors are remembered too: the same
// request is told the same.
func (out *outcome) end(ans wire.Answerer) {
	ans.Top().Again = true
	out.ans = ans
	close(out.done)
}

// forget drops the outcome of a request that was broken off: whoever repeats it wants it carried out.
func (o *outcomes) forget(out *outcome) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.byID, out.id)
	o.order = slices.DeleteFunc(o.order, func(other *outcome) bool { return other == out })
	close(out.done)
}

// first returns the outcome of a request that has not been seen, which the caller carries out. One that has is answered as it
// was then, and nil returned.
func (c *conn) first(id string) *outcome {
	for {
		out, fresh := c.home.outcomes.begin(id)
		if fresh {
			return out
		}
		c.batch.wait() // it may be in there
		<-out.done
		if out.ans != nil {
			c.respond(out.ans, nil, nil)
			return nil
		}
	}
}

// reliable tells whether an id that is not remembered was never seen in the last minutes.
func (o *outcomes) reliable() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.lossy.IsZero() || time.Since(o.lossy) > keepOutcomes
}

// once carries out a request that changes something, unless it is a repetition: then the first answer is given again. If
// the memory of the first time is gone, done tells by the state of the tree whether it was carried out; where that cannot
// be told the answer is uncertain, and nothing is done.
func (c *conn) once(id wire.Ident, done func() bool, do func() (wire.Answerer, error)) error {
	if !validID(id.ID) || id.Boot != "" && !validID(id.Boot) {
		return refusal(wire.BadRequest, "fields id and boot must be 32 hexadecimal digits")
	}
	out := c.first(id.ID)
	if out == nil {
		return nil
	}
	ans := wire.Answerer(&wire.EmptyAnswer{Answer: wire.Answer{Error: &wire.Error{Code: wire.Internal, Message: "the request did not finish"}}})
	end := func() { out.end(ans) }
	defer func() { end() }() // also when do panics
	a, err := c.judge(id, done, do)
	if errors.Is(err, context.Canceled) {
		end = func() { c.home.outcomes.forget(out) }
	}
	if err != nil {
		a = &wire.EmptyAnswer{Answer: wire.Answer{Error: c.errorOf("", err)}}
	}
	ans = a
	c.respond(a, nil, nil)
	return nil
}

func (c *conn) judge(id wire.Ident, done func() bool, do func() (wire.Answerer, error)) (wire.Answerer, error) {
	if !c.forgotten(id) {
		return do()
	}
	if done == nil || !done() {
		return nil, refusal(wire.Uncertain, "the connection was lost and the server restarted: it cannot be known whether this was done before")
	}
	return &wire.EmptyAnswer{Answer: wire.Answer{Again: true}}, nil
}

// forgotten tells whether a request may have been carried out before, and the memory of that is gone.
func (c *conn) forgotten(id wire.Ident) bool {
	return id.Boot != "" && (id.Boot != c.srv.boot || !c.home.outcomes.reliable())
}

func validID(id string) bool {
	if len(id) != 32 {
		return false
	}
	for _, b := range []byte(id) {
		if (b < '0' || b > '9') && (b < 'a' || b > 'f') {
			return false
		}
	}
	return true
}
