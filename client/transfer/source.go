package transfer

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"syscall"

	"ferry/client/remote"
	"ferry/shared/wire"
)

// KeptError means that a file is at its target, but its source was not removed.
type KeptError struct {
	Done string // what became of the file: stored, fetched or up to date
	Err  error  // why
}

func (e *KeptError) Error() string { return e.Done + ", but not removed: " + e.Err.Error() }

// Unwrap returns why the source was not removed.
func (e *KeptError) Unwrap() error { return e.Err }

// Why a source stays.
var (
	errLink  = errors.New("a symbolic link leads to it")
	errTwice = errors.New("another file of this job goes to the same name")
)

// mark tells a file of this machine from others, and from itself after a change.
type mark struct {
	dev, ino      uint64
	length, mtime int64
}

func markOf(info fs.FileInfo) mark {
	m := mark{length: info.Size(), mtime: info.ModTime().UnixNano()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		m.dev, m.ino = uint64(st.Dev), st.Ino
	}
	return m
}

// removeSource removes a file below a directory of this machine, if it still is the one that was sent and no symbolic link
// leads to it. What is written to it in the moment between the look and the removal is lost.
func removeSource(top, name string, sent mark) error {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if info, err := os.Lstat(join(top, dir)); err == nil && !info.IsDir() {
			return errLink
		}
	}
	full := join(top, name)
	info, err := os.Lstat(full)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil // somebody else took it away
	case err != nil:
		return err
	case info.Mode()&fs.ModeSymlink != 0:
		return errLink
	case !info.Mode().IsRegular() || markOf(info) != sent:
		return remote.ErrSourceChanged
	}
	return os.Remove(full)
}

// removable tells from a new look whether a file on the server is still the version that was fetched. The protocol cannot
// remove one version and no other: what is put there in the moment between the look and the removal is lost.
func removable(version string, now wire.Entry, err error) error {
	switch {
	case err != nil:
		return err
	case version == "" || now.Version != version:
		return &wire.Error{Code: wire.Changed, Message: "the file on the server changed meanwhile"}
	}
	return nil
}

// removeFetched removes one file of the server, if it is still the version that was fetched.
func (m *Mover) removeFetched(ctx context.Context, remotePath, version string) error {
	e, err := m.Client.Stat(ctx, remotePath)
	if err = removable(version, e, err); err == nil {
		err = m.Client.Remove(ctx, remotePath)
	}
	return missingIsGone(err)
}

// missingIsGone: what is not there need not be removed.
func missingIsGone(err error) error {
	if wire.CodeOf(err) == wire.NotFound {
		return nil
	}
	return err
}

// settle makes a file of this machine durable that was there already.
func (m *Mover) settle(local string) error {
	f, err := os.Open(local)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := m.Ops.Sync(f); err != nil {
		return err
	}
	return m.Ops.SyncDir(filepath.Dir(local))
}

// onlyOnce fails what would replace another file of the job at its target: with its source removed that one would be lost.
func (p *planner) onlyOnce() {
	taken := map[string]bool{}
	p.Tasks = slices.DeleteFunc(p.Tasks, func(t Task) bool {
		target := t.Remote()
		if !t.up {
			target = filepath.Clean(t.Local())
		}
		twice := taken[target] && t.Deed != MakeDir
		if taken[target] = true; twice {
			p.tell(Failed, t.root, t.name, t.file, errTwice)
		}
		return twice
	})
}

// putSame puts a file over one that looks the same, if it is: the server says so when that is durable.
func (r *run) putSame(ctx context.Context, c *remote.Client, t *Task, there wire.Entry) {
	m := *r.m
	m.Client = c
	same, err := m.Same(ctx, t.Remote(), there, t.Local(), nil)
	if err == nil && !same {
		if err = ErrDiffers; r.opts.Existing == Skip {
			r.tell(Event{Outcome: Skipped, Local: t.Local(), Remote: t.Remote(), Length: t.Length()})
			return
		}
	}
	var res remote.Result
	var sent mark
	if err == nil {
		o := r.opts.Options
		o.Expect, o.noFollow = &there.Version, r.noFollow(t)
		res, sent, err = m.put(ctx, t.Local(), t.Remote(), o)
	}
	switch {
	case err == nil:
		r.moved(t, res, sent, 0)
	case ctx.Err() == nil:
		r.failed(t, err)
	}
}

// fetched is a file whose source on the server is to be removed.
type fetched struct {
	*Task
	version string
	fate    string
	stays   bool
}

// sourceSent removes the source of a file that the server has.
func (r *run) sourceSent(t *Task, sent mark, same bool) {
	if !r.opts.RemoveSource {
		return
	}
	r.sourceGone(t, fate("stored", same), removeSource(t.root.Local, t.name, sent))
}

// sourceFetched has the source of a file removed in the end that is here.
func (r *run) sourceFetched(t *Task, version string, same bool) {
	if !r.opts.RemoveSource {
		return
	}
	r.nest.note(t)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fetched = append(r.fetched, &fetched{Task: t, version: version, fate: fate("fetched", same)})
}

// fate says what became of a file; same: its content was at the target already.
func fate(verb string, same bool) string {
	if same {
		return "up to date"
	}
	return verb
}

// sourceGone reports how the removal of a source went, or ends the job if no other could go better.
func (r *run) sourceGone(t *Task, fate string, err error) {
	if err != nil && stops(err) {
		r.stop(err)
		return
	}
	e := Event{Outcome: Removed, Local: t.Local(), Remote: t.Remote(), Length: t.Length()}
	if err != nil {
		e.Outcome, e.Err = Kept, &KeptError{fate, err}
	}
	r.tell(e)
}

// together is how many files are looked at before they are removed: more would give others more time to change them.
const together = 256

// removeFetched removes the sources of what was fetched and is on the disk: some at a time, so that a look comes shortly
// before each removal and few answers are waited for.
func (r *run) removeFetched(ctx context.Context) error {
	for some := range slices.Chunk(r.fetched, together) {
		err := pipeEach(ctx, r.m.Client, some, func(f *fetched) *remote.Op {
			return remote.StatOp(f.Remote(), func(e wire.Entry, err error) {
				if err = removable(f.version, e, err); err != nil {
					f.stays = true
					r.sourceGone(f.Task, f.fate, missingIsGone(err))
				}
			})
		})
		if err != nil {
			return err
		}
		still := slices.DeleteFunc(some, func(f *fetched) bool { return f.stays })
		err = pipeEach(ctx, r.m.Client, still, func(f *fetched) *remote.Op {
			return remote.RemoveOp(f.Remote(), func(err error) { r.sourceGone(f.Task, f.fate, missingIsGone(err)) })
		})
		if err != nil {
			return err
		}
	}
	return nil
}
