package transfer

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"syscall"

	"ferry/client/remote"
	"ferry/shared/wire"
)

// remove takes names away from the target. With silent only what stops the job is told: the file that was to take the place
// of what is still there will say so.
func (r *run) remove(ctx context.Context, tasks []Task, silent bool) error {
	gone := func(t *Task, err error) {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			err = nil
		case t.Deed == RemoveDir && r.filtered() && (wire.CodeOf(err) == wire.NotEmpty || errors.Is(err, syscall.ENOTEMPTY)):
			return // something is in it that is left alone
		}
		switch {
		case err == nil && !silent:
			r.tell(Event{Outcome: Deleted, Local: t.Local(), Remote: t.Remote(), Length: t.Length()})
		case err != nil && ctx.Err() == nil && (!silent || stops(err)):
			r.failed(t, err)
		}
	}
	if !r.opts.Up {
		for i := range tasks {
			gone(&tasks[i], removeLocal(&tasks[i]))
			if ctx.Err() != nil {
				break
			}
		}
		return ctx.Err()
	}
	list := make([]*Task, len(tasks))
	for i := range tasks {
		list[i] = &tasks[i]
	}
	return r.pipe(ctx, list, func(t *Task) *remote.Op {
		if t.Deed == RemoveDir {
			return remote.RmdirOp(t.Remote(), func(err error) { gone(t, err) })
		}
		return remote.RemoveOp(t.Remote(), func(err error) { gone(t, err) })
	})
}

func (r *run) filtered() bool { return r.opts.Filter.include != nil || r.opts.Filter.exclude != nil }

// removeLocal removes a file or an empty directory, but never through a symbolic link.
func removeLocal(t *Task) error {
	root, err := os.OpenRoot(t.root.Local)
	if err != nil {
		return err
	}
	defer root.Close()
	return root.Remove(t.name)
}
