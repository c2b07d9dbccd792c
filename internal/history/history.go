// Package history decides whether what many clients saw of a few files that all of them change at once can be explained:
// whether there is an order of the operations, each somewhere between its begin and its end, in which every answer is
// true. It is for tests only.
package history

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
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
	Content    int    // of a Put what it writes, never 0 and never twice; of a Get what it saw, 0 for no file
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

// maxLinked is how many names may be linked by moves.
const maxLinked = 4

// state is what the names of one group hold.
type state [maxLinked]int

// group is names that moves link, in the order of state, and what was done to them.
type group struct {
	names []string
	ops   []Op
}

// step is an operation with its names as places in a state.
type step struct {
	*Op
	at, to int
}

// Check returns nil if the history can be explained, and else an error that shows where that ends. It gives up, with
// an error, when it could not decide within the time.
func Check(ops []Op, within time.Duration) error {
	groups, err := split(ops)
	if err != nil {
		return err
	}
	late := time.Now().Add(within)
	for _, g := range groups {
		if err := g.check(max(time.Until(late), time.Second)); err != nil {
			return err
		}
	}
	return nil
}

// split puts operations whose names are linked by moves together.
func split(ops []Op) ([]*group, error) {
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
		if len(g.names) > maxLinked {
			return nil, fmt.Errorf("moves link more than %d names: %q", maxLinked, g.names)
		}
		if len(g.ops) == 0 {
			groups = append(groups, g)
		}
		g.ops = append(g.ops, o)
	}
	return groups, nil
}

func (g *group) check(within time.Duration) error {
	var h []porcupine.Operation
	for i := range g.ops {
		o := &g.ops[i]
		h = append(h, porcupine.Operation{ClientId: o.Client, Call: o.Begin, Return: o.End,
			Input: step{o, slices.Index(g.names, o.Name), slices.Index(g.names, o.To)}})
	}
	model := porcupine.NondeterministicModel{
		Init: func() []any { return []any{state{}} },
		Step: func(s, in, _ any) []any {
			o := in.(step)
			return o.next(s.(state))
		},
		Hash: func(s any) uint64 {
			sum := uint64(14695981039346656037)
			for _, v := range s.(state) {
				sum = (sum ^ uint64(v)) * 1099511628211
			}
			return sum
		},
	}
	res, info := porcupine.CheckOperationsVerbose(model.ToModel(), h, within)
	switch res {
	case porcupine.Ok:
		return nil
	case porcupine.Unknown:
		return fmt.Errorf("could not decide about %q within %v", g.names, within)
	}
	return g.explain(info.PartialLinearizations()[0])
}

// next returns what the operation can make of a state, nothing if its outcome is not true in it.
func (o *step) next(s state) []any {
	after, can := o.apply(s)
	either := []any{s}
	if can {
		either = append(either, after)
	}
	switch o.Outcome {
	case Maybe:
		return either
	case Done:
		if !can && o.Forgot && o.Kind == Rm { // done before, or by somebody else
			return []any{s}
		}
		return either[1:]
	}
	if o.Forgot { // refused the second time
		return either
	}
	if o.Outcome == Missing && s[o.at] != 0 || o.Outcome == Exists && s[o.target()] == 0 {
		return nil
	}
	return []any{s}
}

// target is where the operation puts something.
func (o *step) target() int {
	if o.Kind == Mv {
		return o.to
	}
	return o.at
}

// apply returns the state after the operation was done, and whether it can be done.
func (o *step) apply(s state) (state, bool) {
	here := s[o.at]
	switch o.Kind {
	case Get:
		return s, here == o.Content
	case Put:
		s[o.at] = o.Content
		return s, o.If == Any || o.If == here
	case Rm:
		s[o.at] = 0
		return s, here != 0
	case Mv:
		free := o.Replace || s[o.to] == 0
		s[o.at], s[o.to] = 0, here
		return s, here != 0 && free
	}
	return s, false
}

// explain shows the end of the longest order that was found, and what could not follow.
func (g *group) explain(partial [][]int) error {
	var longest []int
	for _, p := range partial {
		if len(p) > len(longest) {
			longest = p
		}
	}
	const shown = 20
	var b strings.Builder
	fmt.Fprintf(&b, "what was seen of %q cannot be explained; of %d operations %d can, the last of them in this order:\n", g.names, len(g.ops), len(longest))
	for _, i := range longest[max(0, len(longest)-shown):] {
		fmt.Fprintln(&b, " ", &g.ops[i])
	}
	var rest []*Op
	for i := range g.ops {
		if !slices.Contains(longest, i) {
			rest = append(rest, &g.ops[i])
		}
	}
	slices.SortFunc(rest, func(a, b *Op) int { return cmp.Compare(a.End, b.End) })
	fmt.Fprintln(&b, "none of these can follow:")
	for _, o := range rest[:min(len(rest), shown)] {
		fmt.Fprintln(&b, " ", o)
	}
	return fmt.Errorf("%s", strings.TrimSpace(b.String()))
}
