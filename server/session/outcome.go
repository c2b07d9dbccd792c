package session

import (
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
}

type outcome struct {
	id    string
	since time.Time
	done  chan struct{} // closed when answer is set
	ans   wire.Answerer
}

// begin returns the outcome of id. When fresh, the caller carries the request out and must call end.
func (o *outcomes) begin(id string) (out *outcome, fresh bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	for len(o.order) > 0 && (len(o.order) >= maxOutcomes || now.Sub(o.order[0].since) > keepOutcomes) {
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

// once carries out a request that changes something, unless its id is known: then the first answer is given again.
func (c *conn) once(id string, do func() (wire.Answerer, error)) error {
	if !validID(id) {
		return refusal(wire.BadRequest, "field id must be 32 hexadecimal digits")
	}
	out, fresh := c.home.outcomes.begin(id)
	if fresh {
		ans := wire.Answerer(&wire.EmptyAnswer{Answer: wire.Answer{Error: &wire.Error{Code: wire.Internal, Message: "the request did not finish"}}})
		defer func() { out.end(ans) }() // also when do panics
		a, err := do()
		if err != nil {
			a = &wire.EmptyAnswer{Answer: wire.Answer{Error: c.errorOf("", err)}}
		}
		ans = a
		c.respond(a, nil, nil)
		return nil
	}
	<-out.done
	c.respond(out.ans, nil, nil)
	return nil
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
