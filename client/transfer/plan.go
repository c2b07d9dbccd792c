package transfer

import (
	"context"
	"slices"
	"strings"
	"time"

	"ferry/client/remote"
)

// Root is a directory of this machine and one of the server between which files move: whole trees, or only the Names
// directly in them.
type Root struct {
	Local, Remote string
	Names         []string
	// Chosen tells that a person wrote Local out, so that it may be a symbolic link.
	Chosen bool
}

// Existing says what becomes of a different file that is there already.
type Existing uint8

// The answers to that.
const (
	Refuse   Existing = iota // it stays, and that is an error
	Replace                  // it gives way
	Skip                     // it stays, which is no error
	KeepBoth                 // it stays, and the new one goes beside it
	Ask                      // TreeOptions.Ask decides
)

// TreeOptions say how many files are moved.
type TreeOptions struct {
	Options
	Up       bool // from here to the server
	Follow   bool // symbolic links of the source
	Filter   Filter
	Existing Existing
	// Ask decides about one name that is there already: Replace, Skip or KeepBoth. An error ends the planning.
	Ask      func(name string, there File) (Existing, error)
	Checksum bool // compare content where length and time are equal
	Mirror   bool // the target is to become what the source is; with Force also where one side has a file and the other a directory
	Delete   bool // what only the target has
	DryRun   bool
	// Report is told of each name, in the end or when it is left out; never of two at a time. It may be nil.
	Report func(Event)
	// Grow is told when a file turns out longer or shorter than planned. It may be nil.
	Grow func(n int64)
	// File is told of a file of more than 1 MiB when it begins, and may have it counted by other functions than those in o; done is
	// called in the end. It may be nil.
	File func(t *Task, o *Options) (done func())
	// Planning is told how the plan comes about: how many names were found, on the side that has more of them; of all bytes whose
	// content must be compared left are not yet. Several goroutines call it. It may be nil.
	Planning func(names, left, all int64)
}

// Outcome is what became of one name.
type Outcome uint8

// The outcomes.
const (
	Moved Outcome = iota
	Made          // a directory
	Unchanged
	Skipped // a different file is there and stays
	Deleted // at the target
	Ignored // neither a file nor a directory: Err says what
	Failed
	Removed // the source of a file that is at the target
	Kept    // such a source after all: Err is a *KeptError
)

// Event tells what became of one name.
type Event struct {
	Outcome
	Local, Remote string
	Length        int64
	Result        remote.Result // of a file that was moved
	Took          time.Duration // if it was moved by itself
	Err           error         // of Failed, Ignored and Kept
}

// Deed is what a plan does to one name.
type Deed uint8

// The deeds.
const (
	Create Deed = iota
	Overwrite
	MakeDir
	SetTime // of a file whose content is right
	Remove
	RemoveDir
)

func (d Deed) String() string {
	return [...]string{"new", "replace", "mkdir", "touch", "delete", "delete"}[d]
}

// Task is one deed of a plan.
type Task struct {
	Deed
	root *Root
	name string // below the root
	as   string // at the target, if that is another name
	file File   // the source; up, Version is that of what is to be replaced if only that may be
	same bool   // content may well be equal
	up   bool
}

// Local returns the path on this machine.
func (t *Task) Local() string { return join(t.root.Local, t.here()) }

// Remote returns the path on the server.
func (t *Task) Remote() string { return join(t.root.Remote, t.there()) }

// Length returns how long the source is.
func (t *Task) Length() int64 { return t.file.Length }

// MovesFile tells whether the file is at its target after the task.
func (t *Task) MovesFile() bool { return t.Deed == Create || t.Deed == Overwrite || t.Deed == SetTime }

func (t *Task) here() string {
	if t.up {
		return t.name
	}
	return t.target()
}

func (t *Task) there() string {
	if t.up {
		return t.target()
	}
	return t.name
}

// target returns the name below the root on the side that it goes to.
func (t *Task) target() string {
	if t.as != "" {
		return t.as
	}
	return t.name
}

// Plan is what a job is going to do. Nothing was moved or changed when it was made.
type Plan struct {
	Tasks   []Task // of files and directories, in the order of their names
	Clear   []Task // what must give way before
	Deletes []Task // what is removed in the end, if all went well
	Files   int    // to be moved
	Bytes   int64
	opts    TreeOptions
	roots   []*Root // whose local directories are to be made
	sum     Summary
}

// Summary counts what a job did.
type Summary struct {
	Files, Dirs, Unchanged, Skipped, Ignored, Deleted, Failed int
	Removed, Kept                                             int   // sources
	Moved, Reused                                             int64 // bytes
}

// Sources returns how many sources are to be removed.
func (p *Plan) Sources() int {
	n := 0
	for i := range p.Tasks {
		if p.opts.RemoveSource && p.Tasks[i].MovesFile() {
			n++
		}
	}
	return n
}

// Summary returns what is known of the outcome so far: what need not or cannot be moved.
func (p *Plan) Summary() Summary { return p.sum }

// planner makes a plan.
type planner struct {
	*Plan
	client *remote.Client
	doubt  []doubt
	survey survey
}

// doubt is a file of which only the content can tell whether it is there already.
type doubt struct {
	task  *Task
	there File
	names *names
	equal bool
	gone  bool // the source was removed in this moment, as by what is left of an earlier run of this job
}

// names is what is known of one root.
type names struct {
	root    *Root
	source  []named // in order
	target  map[string]File
	top     bool            // the target has the directory itself
	ignored map[string]bool // names of the source that are left out
}

// Plan finds out what has to be done so that the roots' targets have what their sources have. Names that cannot be moved are
// reported; an error means that there is no plan.
func (m *Mover) Plan(ctx context.Context, roots []Root, o TreeOptions) (*Plan, error) {
	o.Checksum = o.Checksum || o.RemoveSource // length and time are no reason to give anything up
	p := &planner{Plan: &Plan{opts: o}, client: m.Client, survey: survey{told: o.Planning}}
	for i := range roots {
		r := &roots[i]
		n := &names{root: r, target: map[string]File{}, ignored: map[string]bool{}}
		if err := p.look(ctx, n); err != nil {
			return nil, err
		}
		p.match(n)
		if o.Delete {
			p.surplus(n)
		}
		p.roots = append(p.roots, r)
	}
	if err := p.resolve(ctx); err != nil {
		return nil, err
	}
	slices.SortFunc(p.Tasks, func(a, b Task) int {
		if a.root != b.root {
			return strings.Compare(a.root.Remote, b.root.Remote)
		}
		return compareNames(a.target(), b.target())
	})
	if o.RemoveSource {
		p.onlyOnce()
	}
	for i := range p.Tasks {
		if t := &p.Tasks[i]; t.Deed == Create || t.Deed == Overwrite {
			p.Files++
			p.Bytes += t.file.Length
		}
	}
	return p.Plan, nil
}

// report counts an event and passes it on.
func (p *Plan) report(e Event) {
	s := &p.sum
	switch e.Outcome {
	case Moved:
		s.Files++
		s.Moved += e.Result.Moved
		s.Reused += e.Result.Reused
	case Made:
		s.Dirs++
	case Unchanged:
		s.Unchanged++
	case Skipped:
		s.Skipped++
	case Deleted:
		s.Deleted++
	case Ignored:
		s.Ignored++
	case Removed:
		s.Removed++
	case Kept:
		s.Kept++
	case Failed:
		s.Failed++
	}
	if p.opts.Report != nil {
		p.opts.Report(e)
	}
}

func (p *Plan) tell(o Outcome, r *Root, name string, f File, err error) {
	p.report(Event{Outcome: o, Local: join(r.Local, name), Remote: join(r.Remote, name), Length: f.Length, Err: err})
}
