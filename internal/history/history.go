// Package history decides whether what many clients saw of a few files that all of them change at once can be explained:
// whether there is an order of the operations, each somewhere between its begin and its end, in which every answer is
// true. It is for tests only.
package history

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Kind is what an operation does.
type Kind string

// The kinds of operations.
const (
	Put Kind = "put"
	Get Kind = "get"
	Rm  Kind = "rm"
	Mv  Kind = "mv"
)

// Outcome is what the client was told.
type Outcome string

// The outcomes. Of the refusals nothing was done.
const (
	Done     Outcome = "done"
	Missing  Outcome = "missing"  // refused: there is no such file
	Exists   Outcome = "exists"   // refused: there is a file where none may be
	Conflict Outcome = "conflict" // refused: somebody else changed it
	Maybe    Outcome = "maybe"    // it was done before its end, or never
)

// Any is the condition of a put that replaces whatever is there.
const Any = -1

// Op is one operation of a client.
type Op struct {
	Client     int
	Kind       Kind
	Name, To   string // To is the new name of a Mv
	Content    int    // of a Put what it writes, never 0 and of no other put; of a Get what it saw, 0 for no file
	If         int    // of a Put the content it may replace: Any, 0 for no file
	Replace    bool   // a Mv may replace what is at To
	Outcome    Outcome
	Forgot     bool  // the server was started anew meanwhile: of what had been asked before, it judged by what it found
	Begin, End int64 // on one clock
}

func (o *Op) String() string {
	s := fmt.Sprintf("%12d %12d  client %2d  %s %s", o.Begin, o.End, o.Client, o.Kind, o.Name)
	switch o.Kind {
	case Put:
		s += fmt.Sprintf(" = %d", o.Content)
		if o.If != Any {
			s += fmt.Sprintf(" if %d", o.If)
		}
	case Get:
		s += fmt.Sprintf(" saw %d", o.Content)
	case Mv:
		s += fmt.Sprintf(" to %s, replace %v", o.To, o.Replace)
	}
	s += ": " + string(o.Outcome)
	if o.Forgot {
		s += ", restarted"
	}
	return s
}

// ErrUndecided means that neither an order was found in the time nor that there is none.
var ErrUndecided = errors.New("could not decide in time")

// Check returns nil if the history can be explained, and else an error that shows where that ends, or ErrUndecided. A put that was perhaps done twice is given as two operations, the
// second one a Maybe.
func Check(ops []Op, within time.Duration) error {
	late := time.Now().Add(within)
	for _, g := range split(ops) {
		if err := g.check(late); err != nil {
			return err
		}
	}
	return nil
}

// maxTried bounds the memory of a search.
const maxTried = 2 << 20

// group is names that moves link, and what was done to them.
type group struct {
	names []string // in the order of a state
	ops   []Op     // in the order in which they are tried
	at    []int    // the place of each operation's name in a state
	to    []int    // and that of To

	puts  map[int][]int // the operations that put a content
	needs map[int][]int // those that must find it
	idle  []bool        // puts that may as well never have been done

	quick   bool // look in the likely places only
	most    int  // nodes to try
	late    time.Time
	tried   map[string]bool // nodes that led nowhere
	longest []int           // the longest order found
}

// split puts operations whose names are linked by moves together.
func split(ops []Op) []*group {
	of := map[string]*group{}
	for _, o := range ops {
		for _, name := range []string{o.Name, o.To} {
			if name != "" && of[name] == nil {
				of[name] = &group{names: []string{name}}
			}
		}
		if a, b := of[o.Name], of[o.To]; b != nil && a != b {
			for _, name := range b.names {
				of[name] = a
			}
			a.names = append(a.names, b.names...)
		}
	}
	var groups []*group
	for _, o := range ops {
		g := of[o.Name]
		if len(g.ops) == 0 {
			groups = append(groups, g)
		}
		g.ops = append(g.ops, o)
	}
	return groups
}

// check looks in the likely places first, several times with other guesses, since a bad one costs more than all good ones,
// and then everywhere.
func (g *group) check(late time.Time) error {
	slices.SortStableFunc(g.ops, func(a, b Op) int { return cmp.Compare(a.End, b.End) })
	rnd := rand.New(rand.NewPCG(1, 2))
	for soon := time.Now().Add(time.Until(late) / 2); time.Now().Before(soon); g.guess(rnd) {
		ok, decided := g.look(true, 20_000, soon)
		if ok {
			return nil
		}
		if decided {
			break
		}
	}
	switch ok, decided := g.look(false, maxTried, late); {
	case ok:
		return nil
	case !decided:
		return fmt.Errorf("%q: %w", g.names, ErrUndecided)
	}
	return g.explain()
}

// guess orders the operations by a moment within the time of each, at which it may have been done.
func (g *group) guess(rnd *rand.Rand) {
	type guess struct {
		at int64
		op Op
	}
	var all []guess
	for _, o := range g.ops {
		all = append(all, guess{o.Begin + rnd.Int64N(max(0, o.End-o.Begin)+1), o})
	}
	slices.SortStableFunc(all, func(a, b guess) int { return cmp.Compare(a.at, b.at) })
	for i := range all {
		g.ops[i] = all[i].op
	}
}

// look searches from the beginning, for so long and trying so many nodes at most.
func (g *group) look(quick bool, most int, late time.Time) (ok, decided bool) {
	g.index()
	g.quick, g.most, g.late, g.tried, g.longest = quick, most, late, map[string]bool{}, nil
	return g.search(&node{done: make([]uint64, (len(g.ops)+63)/64), state: make([]int, len(g.names)), newest: math.MinInt64})
}

// index notes what the search asks for again and again.
func (g *group) index() {
	g.puts, g.needs, g.idle, g.at, g.to = map[int][]int{}, map[int][]int{}, nil, nil, nil
	certain := map[int]bool{} // contents that were put for sure
	for i := range g.ops {
		o := &g.ops[i]
		g.at = append(g.at, slices.Index(g.names, o.Name))
		g.to = append(g.to, slices.Index(g.names, o.To))
		switch {
		case o.Kind == Put:
			g.puts[o.Content] = append(g.puts[o.Content], i)
			certain[o.Content] = certain[o.Content] || o.Outcome == Done
			if o.Outcome == Done && o.If > 0 {
				g.needs[o.If] = append(g.needs[o.If], i)
			}
		case o.Kind == Get && o.Content != 0:
			g.needs[o.Content] = append(g.needs[o.Content], i)
		}
	}
	for i := range g.ops {
		o := &g.ops[i]
		g.idle = append(g.idle, o.Kind == Put && o.optional() && (certain[o.Content] || len(g.needs[o.Content]) == 0))
	}
}

// node is a beginning of an order.
type node struct {
	done   []uint64 // bits: the operations in it
	order  []int    // and in which order
	state  []int    // what the names hold after it
	newest int64    // the latest begin in it: what had ended before can only be in it or nowhere
}

func (n *node) has(i int) bool { return n.done[i/64]&(1<<(i%64)) != 0 }

// add puts an operation at the end, which leaves state behind.
func (n *node) add(i int, o *Op, state []int) {
	n.done[i/64] |= 1 << (i % 64)
	n.order, n.state, n.newest = append(n.order, i), state, max(n.newest, o.Begin)
}

func (n *node) clone() *node {
	return &node{slices.Clone(n.done), slices.Clone(n.order), n.state, n.newest}
}

func (n *node) key() string {
	var b []byte
	for _, w := range n.done {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	for _, v := range n.state {
		b = binary.LittleEndian.AppendUint64(b, uint64(v))
	}
	return string(b)
}

// search looks for an order that begins with n and holds every operation but those that may never have been done.
func (g *group) search(n *node) (ok, decided bool) {
	limit := g.observe(n)
	if len(n.order) > len(g.longest) {
		g.longest = slices.Clone(n.order)
	}
	if limit == math.MaxInt64 {
		return true, true
	}
	key := n.key()
	if g.tried[key] {
		return false, true
	}
	g.tried[key] = true
	if time.Now().After(g.late) || len(g.tried) > g.most {
		return false, false
	}
	for i := range g.ops {
		o := &g.ops[i]
		if n.has(i) || o.Begin > limit || o.End < n.newest || g.quick && g.idle[i] {
			continue
		}
		state, can := n.state, g.holds(i, n.state) // it means that an optional one was never done
		if !can {
			state, can = g.apply(i, n.state)
			can = can && o.changes() && !g.hopeless(n, i, state)
		}
		if !can {
			continue
		}
		next := n.clone()
		if g.quick && g.blind(i) {
			g.bury(next, i, limit)
		}
		next.add(i, o, state)
		if ok, decided := g.search(next); ok || !decided {
			return ok, decided
		}
	}
	return false, true
}

// blind tells whether the operation replaces whatever is there.
func (g *group) blind(i int) bool {
	o := &g.ops[i]
	return o.Kind == Put && o.Outcome == Done && o.If == Any
}

// bury adds what nobody has seen and can be replaced by operation i in the next moment.
func (g *group) bury(n *node, i int, limit int64) {
	for j := range g.ops {
		o := &g.ops[j]
		if j != i && !n.has(j) && o.Begin <= limit && g.at[j] == g.at[i] && g.blind(j) && len(g.needs[o.Content]) == 0 {
			n.add(j, o, n.state)
		}
	}
}

// observe adds the operations that are true now, never change anything, and leave all others possible: if an order exists that
// begins with n, it also does with them in front of the rest. It returns the time by which one of the operations that are
// left must have been done.
func (g *group) observe(n *node) (limit int64) {
	for again := true; again; {
		limit = math.MaxInt64
		free := limit // for what begins later, an operation that is still optional would have to be left out
		for i := range g.ops {
			switch o := &g.ops[i]; {
			case n.has(i), g.quick && g.idle[i]:
			case !o.optional():
				limit = min(limit, o.End)
			case o.End >= n.newest:
				free = min(free, o.End)
			}
		}
		again = false
		for i := range g.ops {
			if o := &g.ops[i]; !n.has(i) && !o.changes() && o.Begin <= min(limit, free) && g.holds(i, n.state) {
				n.add(i, o, n.state)
				again = true
			}
		}
	}
	return limit
}

// optional tells whether the operation may never have been done.
func (o *Op) optional() bool {
	return o.Outcome == Maybe || o.Outcome != Done && o.Forgot // refused, but perhaps only the second time
}

// changes tells whether the operation may have changed something.
func (o *Op) changes() bool {
	return o.Kind != Get && (o.Outcome == Done || o.optional())
}

// holds tells whether the operation, done in this state, changes nothing and was told the truth.
func (g *group) holds(i int, state []int) bool {
	o, here, target := &g.ops[i], state[g.at[i]], state[g.at[i]]
	if o.Kind == Mv {
		target = state[g.to[i]]
	}
	switch {
	case o.optional():
		return false
	case o.Kind == Get:
		return here == o.Content
	case o.Outcome == Done:
		return o.Kind == Rm && o.Forgot && here == 0 // removed before, or by somebody else
	case o.Outcome == Missing:
		return here == 0
	case o.Outcome == Exists:
		return target != 0
	}
	return true // a conflict: somebody has changed it, and perhaps back
}

// apply returns the state after the operation was done, and whether it can be.
func (g *group) apply(i int, state []int) ([]int, bool) {
	o, at, to := &g.ops[i], g.at[i], g.to[i]
	here := state[at]
	switch o.Kind {
	case Put:
		if o.If != Any && o.If != here {
			return nil, false
		}
		state = slices.Clone(state)
		state[at] = o.Content
	case Rm:
		if here == 0 {
			return nil, false
		}
		state = slices.Clone(state)
		state[at] = 0
	case Mv:
		if here == 0 || state[to] != 0 && !o.Replace {
			return nil, false
		}
		state = slices.Clone(state)
		state[at], state[to] = 0, here
	}
	return state, true
}

// hopeless tells whether operation i makes an end of a content that another one has still to find.
func (g *group) hopeless(n *node, i int, after []int) bool {
	newest := max(n.newest, g.ops[i].Begin)
	for _, content := range n.state {
		if content == 0 || slices.Contains(after, content) {
			continue
		}
		left := func(j int) bool { return j != i && !n.has(j) }
		if slices.ContainsFunc(g.needs[content], left) &&
			!slices.ContainsFunc(g.puts[content], func(j int) bool { return left(j) && g.ops[j].End >= newest }) {
			return true
		}
	}
	return false
}

// explain shows the end of the longest order that was found, and what could not follow.
func (g *group) explain() error {
	const shown = 20
	var b strings.Builder
	fmt.Fprintf(&b, "what was seen of %q cannot be explained; of %d operations %d can, the last of them in this order:", g.names, len(g.ops), len(g.longest))
	for _, i := range g.longest[max(0, len(g.longest)-shown):] {
		fmt.Fprintf(&b, "\n  %v", &g.ops[i])
	}
	fmt.Fprint(&b, "\nnone of these can follow:")
	rest := 0
	for i := range g.ops {
		if !slices.Contains(g.longest, i) && rest < shown {
			fmt.Fprintf(&b, "\n  %v", &g.ops[i])
			rest++
		}
	}
	return fmt.Errorf("%s", &b)
}
