package transfer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"ferry/client/remote"
	"ferry/shared/wire"
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
)

// Event tells what became of one name.
type Event struct {
	Outcome
	Local, Remote string
	Length        int64
	Result        remote.Result // of a file that was moved
	Took          time.Duration // if it was moved by itself
	Err           error         // of Failed and Ignored
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
	Moved, Reused                                             int64 // bytes
}

// Summary returns what is known of the outcome so far: what need not or cannot be moved.
func (p *Plan) Summary() Summary { return p.sum }

// planner makes a plan.
type planner struct {
	*Plan
	m      *Mover
	client *remote.Client
	doubt  []doubt
}

// doubt is a file of which only the content can tell whether it is there already.
type doubt struct {
	task  *Task
	there File
	names *names
	equal bool
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
	p := &planner{Plan: &Plan{opts: o}, m: m, client: m.Client}
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

// look reads what both sides have.
func (p *planner) look(ctx context.Context, n *names) error {
	type failure struct {
		name string
		err  error
	}
	var failed []failure // told when both sides are done
	var here, there []named
	var found bool
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		fail := func(name string, err error) { failed = append(failed, failure{name, err}) }
		here, err = p.lookHere(gctx, n.root, fail)
		return err
	})
	g.Go(func() (err error) {
		there, found, err = p.lookThere(gctx, n.root)
		return err
	})
	if err := g.Wait(); err != nil {
		return err
	}
	for _, f := range failed {
		p.tell(Failed, n.root, f.name, File{}, f.err)
	}
	target := there
	if n.source, n.top = here, found; !p.opts.Up {
		if !found {
			return missing()
		}
		_, err := os.Stat(n.root.Local)
		n.source, target, n.top = there, here, err == nil
	}
	for _, f := range target {
		n.target[f.name] = f.File
	}
	sortNames(n.source)
	return nil
}

// lookHere reads this machine's side of a root. As a target it may be missing.
func (p *planner) lookHere(ctx context.Context, r *Root, fail func(string, error)) (all []named, err error) {
	if r.Names != nil {
		if _, err := os.Stat(r.Local); err != nil && !p.opts.Up { // files given by name do not make directories
			return nil, err
		}
		for _, name := range r.Names {
			stat := os.Stat // a person named it
			if !p.opts.Up {
				stat = os.Lstat
			}
			info, err := stat(join(r.Local, name))
			switch {
			case err == nil:
				all = append(all, named{name, fileOf(info)})
			case p.opts.Up:
				fail(name, err)
			}
		}
		return all, nil
	}
	info, err := os.Lstat(r.Local)
	switch {
	case err != nil && (p.opts.Up || !os.IsNotExist(err)):
		return nil, err
	case err == nil && !p.opts.Up && !r.Chosen && !info.IsDir():
		return nil, &os.PathError{Op: "open", Path: r.Local, Err: errInTheWay}
	}
	w := &walker{top: r.Local, follow: p.opts.Up && p.opts.Follow, filter: p.opts.Filter, failed: fail,
		found: func(name string, f File) { all = append(all, named{name, f}) }}
	return all, w.walk(ctx)
}

func missing() error {
	return &wire.Error{Code: wire.NotFound, Message: "no such file or directory"}
}

// errInTheWay means that something stands where a directory is needed.
var errInTheWay = errors.New("something that is not a directory is in the way")

// few is how many names are asked for one by one; for more their whole directory is listed.
const few = 4

// lookThere reads the server's side of a root. found: there is such a directory.
func (p *planner) lookThere(ctx context.Context, r *Root) (all []named, found bool, err error) {
	if r.Names == nil {
		all, found, err = list(ctx, p.client, r.Remote, true)
		if p.opts.Up && wire.CodeOf(err) == wire.Denied && !p.opts.Delete { // an account that may only write
			return nil, false, nil
		}
		return slices.DeleteFunc(all, func(f named) bool { return !p.opts.Filter.Takes(f.name, f.Kind == Directory) }), found, err
	}
	beside := p.opts.Up && (p.opts.Existing == KeepBoth || p.opts.Existing == Ask) // free names may be needed
	if len(r.Names) > few || beside {
		all, found, err = list(ctx, p.client, r.Remote, false)
		if p.opts.Up && wire.CodeOf(err) == wire.Denied {
			return nil, false, nil
		}
		wanted := map[string]bool{}
		for _, name := range r.Names {
			wanted[name] = true
		}
		all = slices.DeleteFunc(all, func(f named) bool {
			w := wanted[f.name]
			delete(wanted, f.name)
			return !w && !beside
		})
		if !p.opts.Up {
			for name := range wanted {
				p.tell(Failed, r, name, File{}, missing())
			}
		} else if err == nil && !found { // files given by name do not make directories
			err = missing()
		}
		return all, true, err
	}
	if p.opts.Up && p.opts.Existing == Replace && !p.opts.DryRun {
		return nil, true, nil // whatever is there gives way: nothing need be known of it
	}
	for _, name := range r.Names {
		e, err := p.client.Stat(ctx, join(r.Remote, name))
		switch code := wire.CodeOf(err); {
		case err == nil:
			all = append(all, named{name, fileIn(e)})
		case code == wire.NotFound && p.opts.Up:
		case code != "" && !p.opts.Up:
			p.tell(Failed, r, name, File{}, err)
		default:
			return nil, false, err
		}
	}
	return all, true, nil
}

// match compares what the source has with what the target has.
func (p *planner) match(n *names) {
	below := "" // what is in this directory is not looked at
	full := ""  // the last directory, if nothing is known to be in it yet
	var empty named
	flush := func() {
		if full != "" {
			p.add(n, MakeDir, empty, false)
			full = ""
		}
	}
	for i, f := range n.source {
		if below != "" && strings.HasPrefix(f.name, below) {
			p.mark(n, f.name)
			continue
		}
		below = ""
		if full != "" && !strings.HasPrefix(f.name, full) {
			flush()
		}
		if !p.mayName(f.name) || i > 0 && f.name == n.source[i-1].name {
			p.tell(Failed, n.root, f.name, f.File, errName)
			below = f.name + "/"
			continue
		}
		if isPartial(f.name) && f.Kind != Directory {
			p.ignore(n, f, errPartial)
			continue
		}
		there := p.mark(n, f.name)
		switch f.Kind {
		case Special:
			if n.root.Names != nil {
				p.tell(Failed, n.root, f.name, f.File, ErrNotRegular)
				continue
			}
			p.ignore(n, f, errSpecial)
			continue
		case Directory:
			if n.root.Names != nil {
				p.tell(Failed, n.root, f.name, f.File, ErrIsDir)
				continue
			}
			if there.Kind == Directory {
				full = ""
				continue
			}
			if there.Kind != Absent && !p.clear(n, f.name, there) {
				p.tell(Failed, n.root, f.name, f.File, errInTheWay)
				below = f.name + "/"
				continue
			}
			full, empty = f.name+"/", f
			continue
		}
		full = "" // it is made with the file
		p.file(n, f, there)
	}
	flush()
	if len(n.source) == 0 && !n.top && n.root.Names == nil {
		p.add(n, MakeDir, named{}, false)
	}
}

var (
	errPartial = errors.New("an unfinished download")
	errSpecial = errors.New("a symbolic link or not a regular file")
)

// mayName tells whether a name can be used here, if it comes from the server.
func (p *planner) mayName(name string) bool { return p.opts.Up || localName(name) }

// ignore leaves a name of the source out. What the target has of it stays.
func (p *planner) ignore(n *names, f named, why error) {
	p.mark(n, f.name)
	n.ignored[f.name] = true
	p.tell(Ignored, n.root, f.name, f.File, why)
}

// mark notes that the source has a name too, and returns what the target has of it.
func (p *planner) mark(n *names, name string) File {
	there, ok := n.target[name]
	if ok {
		there.seen = true
		n.target[name] = there
	}
	return there
}

// file decides about a regular file of the source.
func (p *planner) file(n *names, f named, there File) {
	switch {
	case there.Kind == Absent:
		p.add(n, Create, f, false)
	case there.Kind == Directory:
		if !p.clear(n, f.name, there) {
			p.tell(Failed, n.root, f.name, f.File, ErrIsDir)
			return
		}
		p.add(n, Create, f, false)
	case there.Kind != Regular || there.Length != f.Length:
		p.doubt = append(p.doubt, doubt{task: p.task(n, Overwrite, f), there: there, names: n})
	case there.Mtime != f.Mtime || p.opts.Checksum:
		// Up, what has another time is sent: the server finds by itself what it has.
		t := p.task(n, Overwrite, f)
		t.same = !p.opts.Up || p.opts.Existing != Replace || there.Mtime == f.Mtime
		p.doubt = append(p.doubt, doubt{task: t, there: there, names: n})
	case p.opts.Mode && !modeKept(f.Mode, there.Mode):
		p.modes(n, f)
	default:
		p.tell(Unchanged, n.root, f.name, f.File, nil)
	}
}

// modes plans to set the mode of a file whose content is right. The server takes it with the content, which it compares.
func (p *planner) modes(n *names, f named) {
	if p.opts.Up {
		p.add(n, Overwrite, f, true)
	} else {
		p.add(n, SetTime, f, true)
	}
}

// modeKept tells whether got can be what became of mode under some umask that leaves the owner alone.
func modeKept(mode, got uint16) bool { return got&^mode == 0 && (mode^got)&0o700 == 0 }

func (p *planner) task(n *names, d Deed, f named) *Task {
	return &Task{Deed: d, root: n.root, name: f.name, file: f.File, up: p.opts.Up}
}

func (p *planner) add(n *names, d Deed, f named, same bool) {
	t := p.task(n, d, f)
	t.same = same
	p.Tasks = append(p.Tasks, *t)
}

// clear plans the removal of something at the target that gives way to another kind of thing, if that is wanted and
// possible.
func (p *planner) clear(n *names, name string, there File) bool {
	if !p.opts.Mirror || !p.opts.Force {
		return false
	}
	if there.Kind != Directory {
		p.Clear = append(p.Clear, p.removal(n, Remove, named{name, there}))
		return true
	}
	if p.opts.Filter.include != nil || p.opts.Filter.exclude != nil { // something may be in it that must stay
		return false
	}
	var list []named
	for other, f := range n.target {
		if !strings.HasPrefix(other, name+"/") {
			continue
		}
		if isPartial(other) {
			return false
		}
		f.seen = true
		n.target[other] = f
		list = append(list, named{other, f})
	}
	p.Clear = append(p.Clear, p.removals(n, append(list, named{name, there}))...)
	return true
}

func (p *planner) removal(n *names, d Deed, f named) Task {
	t := p.task(n, d, f)
	return *t
}

// removals puts files first and then directories, the deepest first.
func (p *planner) removals(n *names, list []named) []Task {
	sortNames(list)
	var files, dirs []Task
	for _, f := range list {
		if f.Kind == Directory {
			dirs = append(dirs, p.removal(n, RemoveDir, f))
		} else {
			files = append(files, p.removal(n, Remove, f))
		}
	}
	slices.Reverse(dirs)
	return append(files, dirs...)
}

// surplus plans to delete what only the target has. Directories stay that something must stay in.
func (p *planner) surplus(n *names) {
	stay := map[string]bool{}
	var list []named
	for name, f := range n.target {
		if !f.seen && !isPartial(name) && !n.withinIgnored(name) {
			list = append(list, named{name, f})
			continue
		}
		for dir := path.Dir(name); dir != "." && !stay[dir]; dir = path.Dir(dir) {
			stay[dir] = true
		}
	}
	list = slices.DeleteFunc(list, func(f named) bool { return f.Kind == Directory && stay[f.name] })
	p.Deletes = append(p.Deletes, p.removals(n, list)...)
}

// withinIgnored tells whether a name lies below one that is left out.
func (n *names) withinIgnored(name string) bool {
	for ; name != "."; name = path.Dir(name) {
		if n.ignored[name] {
			return true
		}
	}
	return false
}

// resolve compares content where only that can tell, and decides about what differs.
func (p *planner) resolve(ctx context.Context) error {
	if err := p.compare(ctx); err != nil {
		return err
	}
	for i := range p.doubt {
		d := &p.doubt[i]
		f := named{d.task.name, d.task.file}
		timely := d.there.Mtime == f.Mtime && (!p.opts.Mode || modeKept(f.Mode, d.there.Mode))
		switch {
		case d.equal && timely:
			p.tell(Unchanged, d.task.root, f.name, f.File, nil)
		case d.equal && !p.opts.Up:
			p.add(d.names, SetTime, f, true)
		case d.equal && p.opts.Existing == Skip, d.equal && p.opts.Existing == KeepBoth:
			p.tell(Unchanged, d.task.root, f.name, f.File, nil)
		case d.equal:
			p.add(d.names, Overwrite, f, true) // the server sets the time
		default:
			if err := p.settle(d); err != nil {
				return err
			}
		}
	}
	return nil
}

// settle decides about a target that is there and different.
func (p *planner) settle(d *doubt) error {
	t := d.task
	t.same = false
	what := p.opts.Existing
	if what == Ask {
		var err error
		name := t.Remote()
		if !p.opts.Up {
			name = t.Local()
		}
		if what, err = p.opts.Ask(name, d.there); err != nil {
			return err
		}
	}
	switch what {
	case Replace:
		if p.opts.Up && p.opts.Existing == Ask {
			t.file.Version = d.there.Version // what was shown, and nothing else, is replaced
		}
		p.Tasks = append(p.Tasks, *t)
	case Skip:
		p.tell(Skipped, t.root, t.name, t.file, nil)
	case KeepBoth:
		done := false // by an earlier run
		t.Deed = Create
		t.as, _ = FreeName(t.name, func(name string) (bool, error) {
			there := d.names.target[name]
			done = there.Kind == Regular && there.Length == t.file.Length && there.Mtime == t.file.Mtime
			return !done && d.names.taken(name, p.opts.Up), nil
		})
		if done {
			p.tell(Unchanged, t.root, t.name, t.file, nil)
			return nil
		}
		d.names.target[t.as] = File{Kind: Regular, seen: true}
		p.Tasks = append(p.Tasks, *t)
	default:
		p.tell(Failed, t.root, t.name, t.file, ErrDiffers)
	}
	return nil
}

// taken tells whether a name is in use at the target or will be.
func (n *names) taken(name string, up bool) bool {
	if _, ok := n.target[name]; ok {
		return true
	}
	if !up && n.root.Names != nil { // only those names were looked at
		if _, err := os.Lstat(join(n.root.Local, name)); err == nil {
			return true
		}
	}
	_, ok := slices.BinarySearchFunc(n.source, name, func(f named, name string) int { return compareNames(f.name, name) })
	return ok
}

// FreeName returns "a (2).txt" for "a.txt", or the first number that is not taken.
func FreeName(name string, taken func(string) (bool, error)) (string, error) {
	ext := path.Ext(name)
	if path.Base(name) == ext {
		ext = ""
	}
	stem := strings.TrimSuffix(name, ext)
	for n := 2; ; n++ {
		try := fmt.Sprintf("%s (%d)%s", stem, n, ext)
		if there, err := taken(try); err != nil || !there {
			return try, err
		}
	}
}
