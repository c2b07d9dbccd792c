package transfer

import (
	"context"
	"errors"
	"os"
	"slices"

	"golang.org/x/sync/errgroup"

	"ferry/shared/wire"
)

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
	w := &walker{top: r.Local, follow: p.opts.Up && p.opts.Follow, filter: p.opts.Filter, failed: fail, found: func(name string, f File) {
		p.survey.name(thisSide)
		all = append(all, named{name, f})
	}}
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
		all, found, err = p.list(ctx, r.Remote, true)
		if p.opts.Up && wire.CodeOf(err) == wire.Denied && !p.opts.Delete { // an account that may only write
			return nil, false, nil
		}
		return slices.DeleteFunc(all, func(f named) bool { return !p.opts.Filter.Takes(f.name, f.Kind == Directory) }), found, err
	}
	beside := p.opts.Up && (p.opts.Existing == KeepBoth || p.opts.Existing == Ask) // free names may be needed
	if len(r.Names) > few || beside {
		all, found, err = p.list(ctx, r.Remote, false)
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
