package transfer

import (
	"errors"
	"path"
	"slices"
	"strings"

	"ferry/shared/partial"
)

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
	if !p.opts.Up && partial.MayReplace(join(n.root.Local, name)) != nil {
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
