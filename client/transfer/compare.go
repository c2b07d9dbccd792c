package transfer

import (
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"ferry/client/remote"
	"ferry/shared/block"
	"ferry/shared/partial"
	"ferry/shared/wire"
)

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
		case d.gone:
		case d.equal && p.opts.RemoveSource:
			p.Tasks = append(p.Tasks, *p.there(d))
		case d.equal && timely:
			p.tell(Unchanged, d.task.root, f.name, f.File, nil)
		case d.equal && !p.opts.Up:
			p.add(d.names, SetTime, f, true)
		case d.equal && p.opts.Existing == Skip, d.equal && p.opts.Existing == KeepBoth:
			p.tell(Unchanged, d.task.root, f.name, f.File, nil)
		case d.equal:
			p.add(d.names, Overwrite, f, true) // the server sets the time
		default:
			if err := p.settle(ctx, d); err != nil {
				return err
			}
		}
	}
	return nil
}

// there is the task for a file that is at its target already and whose source is to be removed. Up it is put once more: the
// server finds that it has it, and says so when that is durable. Down it is made durable where its time is set.
func (p *planner) there(d *doubt) *Task {
	t := d.task
	t.same, t.Deed = true, SetTime
	if p.opts.Up {
		t.Deed, t.file.Version = Overwrite, d.there.Version
	}
	return t
}

// settle decides about a target that is there and different.
func (p *planner) settle(ctx context.Context, d *doubt) error {
	t := d.task
	t.same = false
	what := p.opts.Existing
	if !p.opts.Up && what != Skip && what != KeepBoth {
		if err := partial.MayReplace(t.Local()); err != nil {
			p.tell(Failed, t.root, t.name, t.file, err)
			return nil
		}
	}
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
		var err error
		t.as, err = FreeName(t.name, func(name string) (bool, error) {
			there := d.names.target[name]
			done = there.Kind == Regular && there.Length == t.file.Length && there.Mtime == t.file.Mtime
			if done && p.opts.RemoveSource {
				var err error
				t.as, d.there = name, there
				p.survey.expect(there.Length)
				if done, err = p.same(ctx, d); err != nil {
					return false, err
				}
			}
			return !done && d.names.taken(name, p.opts.Up), nil
		})
		if err != nil {
			return err
		}
		if done && p.opts.RemoveSource {
			p.Tasks = append(p.Tasks, *p.there(d))
			return nil
		}
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

// compare finds out which of the doubtful files have equal content on both sides.
func (p *planner) compare(ctx context.Context) error {
	var large []*doubt
	for i := range p.doubt {
		if d := &p.doubt[i]; d.open() {
			p.survey.expect(d.there.Length)
		}
	}
	err := pipe(ctx, p.client, func(send func(*remote.Op) bool) {
		var buf []byte
		for i := range p.doubt {
			d := &p.doubt[i]
			switch {
			case !d.open():
			case d.there.Length == 0:
				d.equal = true
			case d.there.Length > wire.MaxTags*block.Size:
				large = append(large, d)
			default:
				if buf == nil {
					buf = make([]byte, block.Size)
				}
				op := p.question(d, buf)
				if op == nil {
					p.survey.compared(d.there.Length)
				} else if !send(op) {
					return
				}
			}
		}
	})
	for _, d := range large {
		if err == nil {
			d.equal, err = p.same(ctx, d)
		}
	}
	return err
}

// open tells whether the content must be compared.
func (d *doubt) open() bool {
	return d.task.same && d.there.Kind == Regular && d.there.Length == d.task.file.Length
}

// remote is the file of a doubt that lies on the server.
func (d *doubt) remote() File {
	if d.task.up {
		return d.there
	}
	return d.task.file
}

// vanished tells from the answer to a comparison whether there is no source any more.
func (d *doubt) vanished(err error) bool { return !d.task.up && wire.CodeOf(err) == wire.NotFound }

// question asks the server about one file. What cannot be read here is not equal: it is met again when it is moved.
func (p *planner) question(d *doubt, buf []byte) *remote.Op {
	f, err := os.Open(d.task.Local())
	if err != nil {
		return nil
	}
	defer f.Close()
	there := d.remote()
	key := block.NewKey()
	tagger := block.NewTagger(key)
	tags := make([]block.Tag, block.Count(there.Length))
	for n := range tags {
		b := buf[:block.Len(int64(n), there.Length)]
		if _, err := io.ReadFull(f, b); err != nil {
			return nil
		}
		tags[n] = tagger.Tag(int64(n), b)
	}
	return remote.SameOp(d.task.Remote(), there.entry(d.task.name), key, 0, tags, func(need block.Bitmap, err error) {
		p.survey.compared(there.Length)
		d.equal, d.gone = err == nil, d.vanished(err)
		for n := range tags {
			d.equal = d.equal && !need.Has(int64(n))
		}
	})
}

// same compares a file of any length.
func (p *planner) same(ctx context.Context, d *doubt) (bool, error) {
	f, err := os.Open(d.task.Local())
	if err != nil {
		return false, nil
	}
	defer f.Close()
	was := d.there.Length
	compared := func(left, _ int64) {
		p.survey.compared(was - left)
		was = left
	}
	defer compared(0, 0) // where it differs, the rest is not looked at
	equal, err := p.client.Same(ctx, d.task.Remote(), d.remote().entry(d.task.name), checked(f, was, compared))
	if err != nil && stops(err) {
		return false, err
	}
	d.gone = d.vanished(err)
	return equal && err == nil, nil
}
