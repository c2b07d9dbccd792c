package history

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// In the histories here a time of 10 n to 10 n + 5 keeps operations apart.
func at(n int64, o Op) Op {
	o.Begin, o.End = 10*n, 10*n+5
	if o.Outcome == "" {
		o.Outcome = Done
	}
	return o
}

func from(begin, end int64, o Op) Op {
	o.Begin, o.End = begin, end
	if o.Outcome == "" {
		o.Outcome = Done
	}
	return o
}

func put(name string, content int) Op      { return Op{Kind: Put, Name: name, Content: content, If: Any} }
func putIf(name string, content, c int) Op { return Op{Kind: Put, Name: name, Content: content, If: c} }
func get(name string, content int) Op      { return Op{Kind: Get, Name: name, Content: content} }
func rm(name string) Op                    { return Op{Kind: Rm, Name: name} }
func mv(name, to string, replace bool) Op  { return Op{Kind: Mv, Name: name, To: to, Replace: replace} }
func (o Op) but(outcome Outcome) Op        { o.Outcome = outcome; return o }
func (o Op) forgot() Op                    { o.Forgot = true; return o }
func check(ops []Op) error                 { return Check(ops, time.Minute) }
func refused(err error) bool {
	return err != nil && strings.Contains(err.Error(), "cannot be explained")
}

func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		ops  []Op
		fine bool
	}{
		"nothing":             {nil, true},
		"missing":             {[]Op{at(1, get("a", 0))}, true},
		"put, get":            {[]Op{at(1, put("a", 1)), at(2, get("a", 1))}, true},
		"lost":                {[]Op{at(1, put("a", 1)), at(2, get("a", 0))}, false},
		"never put":           {[]Op{at(1, put("a", 1)), at(2, get("a", 2))}, false},
		"of another name":     {[]Op{at(1, put("b", 1)), at(2, get("a", 1))}, false},
		"stale":               {[]Op{at(1, put("a", 1)), at(2, put("a", 2)), at(3, get("a", 1))}, false},
		"before it was put":   {[]Op{at(1, get("a", 1)), at(2, put("a", 1))}, false},
		"back and forth":      {[]Op{from(0, 90, put("a", 1)), from(0, 90, put("a", 2)), at(1, get("a", 1)), at(2, get("a", 2)), at(3, get("a", 1))}, false},
		"at once, either one": {[]Op{at(1, put("a", 1)), from(20, 50, put("a", 2)), at(3, get("a", 1)), at(4, get("a", 2))}, true},
		"at once, back":       {[]Op{at(1, put("a", 1)), from(20, 50, put("a", 2)), at(3, get("a", 2)), at(4, get("a", 1))}, false},
		"the answer's moment": {[]Op{from(0, 10, put("a", 1)), from(10, 20, get("a", 0))}, true},

		"removed":           {[]Op{at(1, put("a", 1)), at(2, rm("a")), at(3, get("a", 0))}, true},
		"came back":         {[]Op{at(1, put("a", 1)), at(2, rm("a")), at(3, get("a", 1))}, false},
		"removed nothing":   {[]Op{at(1, rm("a"))}, false},
		"removed twice":     {[]Op{at(1, put("a", 1)), at(2, rm("a")), at(3, rm("a"))}, false},
		"nothing to remove": {[]Op{at(1, rm("a").but(Missing)), at(2, put("a", 1))}, true},
		"overlooked":        {[]Op{at(1, put("a", 1)), at(2, rm("a").but(Missing))}, false},

		"if nothing":            {[]Op{at(1, putIf("a", 1, 0)), at(2, get("a", 1))}, true},
		"if nothing, something": {[]Op{at(1, put("a", 1)), at(2, putIf("a", 2, 0))}, false},
		"if nothing, refused":   {[]Op{at(1, put("a", 1)), at(2, putIf("a", 2, 0).but(Exists)), at(3, get("a", 1))}, true},
		"refused for nothing":   {[]Op{at(1, putIf("a", 2, 0).but(Exists))}, false},
		"if that":               {[]Op{at(1, put("a", 1)), at(2, putIf("a", 2, 1)), at(3, get("a", 2))}, true},
		"lost update":           {[]Op{at(1, put("a", 1)), at(2, put("a", 2)), at(3, putIf("a", 3, 1))}, false},
		"two of the same":       {[]Op{at(1, put("a", 1)), from(20, 50, putIf("a", 2, 1)), from(20, 50, putIf("a", 3, 1))}, false},
		"one of two":            {[]Op{at(1, put("a", 1)), from(20, 50, putIf("a", 2, 1)), from(20, 50, putIf("a", 3, 1).but(Conflict)), at(6, get("a", 2))}, true},
		"refused and done":      {[]Op{at(1, put("a", 1)), at(2, putIf("a", 2, 1).but(Conflict)), at(3, get("a", 2))}, false},

		"moved":              {[]Op{at(1, put("a", 1)), at(2, mv("a", "b", false)), at(3, get("b", 1)), at(4, get("a", 0))}, true},
		"moved and there":    {[]Op{at(1, put("a", 1)), at(2, mv("a", "b", false)), at(3, get("a", 1))}, false},
		"moved to nowhere":   {[]Op{at(1, put("a", 1)), at(2, mv("a", "b", false)), at(3, get("b", 0))}, false},
		"moved over":         {[]Op{at(1, put("a", 1)), at(2, put("b", 2)), at(3, mv("a", "b", true)), at(4, get("b", 1))}, true},
		"not moved over":     {[]Op{at(1, put("a", 1)), at(2, put("b", 2)), at(3, mv("a", "b", true)), at(4, get("b", 2))}, false},
		"moved over unasked": {[]Op{at(1, put("a", 1)), at(2, put("b", 2)), at(3, mv("a", "b", false)), at(4, get("b", 1))}, false},
		"moved nothing":      {[]Op{at(1, mv("a", "b", false))}, false},
		"nothing to move":    {[]Op{at(1, mv("a", "b", true).but(Missing)), at(2, put("a", 1))}, true},
		"in the way":         {[]Op{at(1, put("a", 1)), at(2, put("b", 2)), at(3, mv("a", "b", false).but(Exists)), at(4, get("a", 1))}, true},
		"not in the way":     {[]Op{at(1, put("a", 1)), at(3, mv("a", "b", false).but(Exists))}, false},
		"seen in both":       {[]Op{at(1, put("a", 1)), from(20, 60, mv("a", "b", false)), at(3, get("b", 1)), at(4, get("a", 1))}, false},
		"seen on the way":    {[]Op{at(1, put("a", 1)), from(20, 60, mv("a", "b", false)), at(3, get("a", 1)), at(4, get("b", 1))}, true},
		"by way of a third":  {[]Op{at(1, put("a", 1)), at(2, mv("a", "b", false)), at(3, mv("b", "c", false)), at(4, get("c", 1))}, true},

		"maybe, seen":           {[]Op{at(1, put("a", 1).but(Maybe)), at(2, get("a", 1))}, true},
		"maybe, not seen":       {[]Op{at(1, put("a", 1).but(Maybe)), at(2, get("a", 0))}, true},
		"maybe, late":           {[]Op{from(10, 60, put("a", 1).but(Maybe)), at(2, get("a", 0)), at(7, get("a", 1))}, true},
		"maybe, too late":       {[]Op{at(1, put("a", 1).but(Maybe)), at(2, get("a", 0)), at(3, get("a", 1))}, false},
		"maybe, twice":          {[]Op{from(10, 90, put("a", 1).but(Maybe)), at(2, get("a", 1)), at(3, put("a", 2)), at(4, get("a", 1))}, false},
		"maybe, undone":         {[]Op{from(10, 90, put("a", 1).but(Maybe)), at(2, get("a", 1)), at(3, get("a", 0))}, false},
		"perhaps twice":         {[]Op{from(10, 90, put("a", 1)), from(10, 90, put("a", 1).but(Maybe)), at(2, get("a", 1)), at(3, put("a", 2)), at(4, get("a", 1))}, true},
		"not three times":       {[]Op{from(10, 90, put("a", 1)), from(10, 90, put("a", 1).but(Maybe)), at(2, get("a", 1)), at(3, put("a", 2)), at(4, get("a", 1)), at(5, put("a", 3)), at(6, get("a", 1))}, false},
		"maybe, in the way":     {[]Op{at(1, put("a", 1).but(Maybe)), at(2, putIf("a", 2, 0).but(Exists))}, true},
		"maybe removed":         {[]Op{at(1, put("a", 1)), at(2, rm("a").but(Maybe)), at(3, get("a", 0))}, true},
		"maybe, condition":      {[]Op{at(1, put("a", 1)), at(2, putIf("a", 2, 0).but(Maybe)), at(3, get("a", 2))}, false},
		"maybe moved, half":     {[]Op{at(1, put("a", 1)), at(2, mv("a", "b", false).but(Maybe)), at(3, get("a", 0)), at(4, get("b", 0))}, false},
		"maybe moved":           {[]Op{at(1, put("a", 1)), at(2, mv("a", "b", false).but(Maybe)), at(3, get("b", 1))}, true},
		"maybe, then certain":   {[]Op{from(10, 90, put("a", 1).but(Maybe)), at(2, put("a", 2)), at(3, get("a", 2)), at(10, get("a", 2))}, true},
		"removed by others":     {[]Op{at(1, put("a", 1)), at(2, rm("a")), at(3, rm("a").forgot())}, true},
		"forgot what it lost":   {[]Op{at(1, put("a", 1).forgot()), at(2, get("a", 0))}, false},
		"forgot a move":         {[]Op{at(1, put("a", 1)), at(2, mv("a", "b", false).forgot()), at(3, get("a", 1))}, false},
		"refused afterwards":    {[]Op{at(1, put("a", 1)), at(2, putIf("a", 2, 1).but(Conflict).forgot()), at(3, get("a", 2))}, true},
		"refused, done, undone": {[]Op{at(1, put("a", 1)), at(2, putIf("a", 2, 1).but(Conflict).forgot()), at(3, get("a", 2)), at(4, get("a", 1))}, false},
	} {
		if err := check(c.ops); c.fine && err != nil || !c.fine && !refused(err) {
			t.Errorf("%s: fine %v, got %v", name, c.fine, err)
		}
	}
}

// A simulated server that does everything right is always believed, and one that does one thing wrong is found out, as
// long as somebody could see it.
func TestSimulated(t *testing.T) {
	found := 0
	for seed := range uint64(60) {
		if err := check(simulate(seed, "")); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for _, wrong := range []string{"lose", "stale", "half"} {
			if refused(check(simulate(seed, wrong))) {
				found++
			}
		}
	}
	if found < 150 {
		t.Errorf("only %d of 180 wrong histories were found out", found)
	}
}

// simulate returns a history of 8 clients on 4 names. Each operation takes effect at one moment inside its time. wrong is
// what the server does wrong: it loses a put that it answered, shows content that was replaced, or moves without removing.
func simulate(seed uint64, wrong string) (ops []Op) {
	rnd := rand.New(rand.NewPCG(seed, 3))
	names := []string{"a", "b", "c", "d"}
	files, old := map[string]int{}, map[string]int{}
	for n := range 300 {
		now := int64(n) * 10
		name, to := names[rnd.IntN(4)], ""
		to = map[string]string{"a": "b", "b": "a", "c": "d", "d": "c"}[name]
		o := Op{Client: n % 8, Name: name, Outcome: Done, Begin: now - rnd.Int64N(40), End: now + rnd.Int64N(40), If: Any}
		bad := n == 150 || n == 200
		switch k := rnd.IntN(10); {
		case k < 4:
			o.Kind, o.Content = Put, n+1
			if rnd.IntN(3) == 0 {
				o.If = rnd.IntN(2) * files[name]
			}
			switch {
			case o.If != Any && o.If != files[name]:
				o.Outcome = Exists
			case rnd.IntN(20) == 0:
				o.Outcome = Maybe
				if rnd.IntN(2) == 0 {
					break
				}
				fallthrough
			default:
				old[name] = files[name]
				files[name] = o.Content
			}
		case k < 8:
			o.Kind, o.Content = Get, files[name]
		case k == 8:
			if o.Kind = Rm; files[name] == 0 {
				o.Outcome = Missing
			}
			old[name], files[name] = files[name], 0
		default:
			o.Kind, o.To, o.Replace = Mv, to, true
			if files[name] == 0 {
				o.Outcome = Missing
				break
			}
			files[to], files[name] = files[name], 0
		}
		ops = append(ops, o)
		if !bad {
			continue
		}
		look := func(name string, content int) {
			ops = append(ops, Op{Kind: Get, Name: name, Content: content, Outcome: Done, Begin: now, End: now + 1})
		}
		now += 50 // after everything that is under way
		put := Op{Kind: Put, Name: name, Content: 1000 + n, If: Any, Outcome: Done, Begin: now, End: now + 1}
		switch wrong {
		case "":
			continue
		case "lose":
			ops = append(ops, put)
			now += 50
			look(name, files[name])
		case "stale":
			ops = append(ops, put)
			now += 50
			look(name, max(old[name], 1))
		case "half":
			ops = append(ops, put, Op{Kind: Mv, Name: name, To: to, Replace: true, Outcome: Done, Begin: now + 10, End: now + 20})
			now += 50
			look(to, put.Content)
			look(name, put.Content)
		}
	}
	return ops
}

// On histories small enough for it, a general checker with a model of its own comes to the same verdict.
func TestAgainstPorcupine(t *testing.T) {
	verdicts := map[bool]int{}
	for seed := range uint64(4000) {
		rnd := rand.New(rand.NewPCG(seed, 4))
		ops := simulate(seed, "")
		ops = ops[:10+rnd.IntN(30)]
		for range rnd.IntN(5) { // spoil it, perhaps
			o := &ops[rnd.IntN(len(ops))]
			switch rnd.IntN(5) {
			case 0:
				if o.Kind == Get {
					o.Content = rnd.IntN(len(ops))
				}
			case 1:
				o.Outcome = []Outcome{Done, Missing, Exists, Conflict, Maybe}[rnd.IntN(5)]
				if o.Kind == Get {
					o.Outcome = Done
				}
			case 2:
				o.Forgot = true
			case 3:
				o.End = o.Begin + (o.End-o.Begin)/4
			case 4:
				again := *o
				if again.Outcome = Maybe; o.Kind != Get {
					ops = append(ops, again)
				}
			}
		}
		fine := check(ops) == nil
		if want := porcupine.CheckOperations(reference(), operations(ops)); fine != want {
			var b strings.Builder
			for i := range ops {
				b.WriteString(ops[i].String() + "\n")
			}
			t.Fatalf("seed %d: fine %v, should be %v:\n%s", seed, fine, want, &b)
		}
		verdicts[fine]++
	}
	if verdicts[true] < 500 || verdicts[false] < 500 {
		t.Errorf("not much of a comparison: %v", verdicts)
	}
}

func operations(ops []Op) (h []porcupine.Operation) {
	for _, o := range ops {
		h = append(h, porcupine.Operation{ClientId: o.Client, Call: o.Begin, Return: o.End, Input: o})
	}
	return h
}

// files is what the names of simulate hold.
type files [4]int

// reference is the same model as that of Check, written for porcupine: every operation takes place, one that may not have
// been done with or without an effect.
func reference() porcupine.Model {
	place := func(name string) int { return slices.Index([]string{"a", "b", "c", "d"}, name) }
	model := porcupine.NondeterministicModel{
		Init: func() []any { return []any{files{}} },
		Step: func(state, in, _ any) []any {
			s, o := state.(files), in.(Op)
			at, to := place(o.Name), max(0, place(o.To))
			after, can, inTheWay := s, false, s[at] != 0
			switch o.Kind {
			case Get:
				can = s[at] == o.Content
			case Put:
				after[at], can = o.Content, o.If == Any || o.If == s[at]
			case Rm:
				after[at], can = 0, s[at] != 0
			case Mv:
				after[at], after[to], can = 0, s[at], s[at] != 0 && (o.Replace || s[to] == 0)
				inTheWay = s[to] != 0
			}
			either := []any{s}
			if can {
				either = append(either, after)
			}
			switch {
			case o.Outcome == Maybe, o.Outcome != Done && o.Forgot:
				return either
			case o.Outcome == Done && !can && o.Kind == Rm && o.Forgot:
				return either
			case o.Outcome == Done:
				return either[1:]
			case o.Outcome == Missing && s[at] != 0, o.Outcome == Exists && !inTheWay:
				return nil
			}
			return []any{s}
		},
	}
	return model.ToModel()
}
