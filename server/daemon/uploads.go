package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"ferry/server/account"
	"ferry/server/storage"
	"ferry/server/storage/local"
	"ferry/shared/wire"
)

// newUploadsCommand returns `ferryd uploads`, the administration of unfinished uploads.
func newUploadsCommand(n *console) *cobra.Command {
	c := n.group("uploads", "List and drop unfinished uploads")
	n.options(c, "data directory `DIR`")
	list := n.command("list", "List the unfinished uploads of all accounts, oldest first in each", n.listUploads)
	n.jsonOption(list)
	c.AddCommand(list, n.takes(n.command("drop ID", "Discard an unfinished upload", n.dropUpload), n.droppable))
	return c
}

// eachHome calls do with every account that has a home, until do reports that it is done.
func (n *console) eachHome(ops local.Ops, do func(a *account.Account, h *local.Home) (done bool, err error)) error {
	set, err := account.Load(n.file())
	if err != nil {
		return plain(err)
	}
	for a := range set.All() {
		home, err := local.Open(filepath.Join(n.data, "homes", filepath.FromSlash(a.Home)), local.Options{Owner: a.Name, Ops: ops})
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		done := false
		if err == nil {
			done, err = do(a, home)
			home.Close()
		}
		if err != nil {
			return fmt.Errorf("home of %s: %w", a.Name, err)
		}
		if done {
			return nil
		}
	}
	return nil
}

// readOnly refuses every change. An engine cleans up when it reads its stagings; what looks like a leftover may be what a
// running server is writing.
func readOnly() local.Ops {
	o := local.RealOps()
	o.Open = func(int, string, int, uint32) (int, error) { return -1, unix.EROFS }
	o.Write = func(int, []byte, int64) (int, error) { return 0, unix.EROFS }
	o.Truncate = func(int, int64) error { return unix.EROFS }
	o.Chmod = func(int, uint32) error { return unix.EROFS }
	o.Times = func(int, string, []unix.Timespec) error { return unix.EROFS }
	o.Rename = func(int, string, int, string, uint) error { return unix.EROFS }
	o.Unlink = func(int, string, int) error { return unix.EROFS }
	o.Mkdir = func(int, string, uint32) error { return unix.EROFS }
	return o
}

// listed is an upload as --json prints it. Times are RFC 3339, lengths are bytes.
type listed struct {
	ID      string    `json:"id"`
	User    string    `json:"user"`
	Path    wire.Name `json:"path"` // written as on the wire
	Length  int64     `json:"length"`
	Done    int64     `json:"done"` // bytes staged, not yet verified
	Created time.Time `json:"created"`
	Touched time.Time `json:"touched"`
}

func (n *console) listUploads(c *cobra.Command, _ []string) error {
	table := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	lines := json.NewEncoder(c.OutOrStdout())
	err := n.eachHome(readOnly(), func(a *account.Account, h *local.Home) (bool, error) {
		for s, err := range h.Uploads(c.Context()) {
			if err != nil {
				return false, err
			}
			if n.json {
				err = lines.Encode(describe(a, s))
			} else {
				_, err = fmt.Fprintf(table, "%s\t%s\t%s\t%d of %d\t%s\n", s.ID, a.Name, printablePath(s.Path), s.Done, s.Length, s.Touched.Local().Format(time.DateTime))
			}
			if err != nil {
				return false, err
			}
		}
		return false, nil
	})
	if err == nil {
		err = table.Flush()
	}
	return err
}

func describe(a *account.Account, s storage.Spec) listed {
	return listed{s.ID, a.Name, wire.Name(s.Path), s.Length, s.Done, s.Created.UTC(), s.Touched.UTC().Round(0)}
}

// printablePath is a path as it may be printed: quoted unless it is plain.
func printablePath(path string) string {
	if q := strconv.Quote(path); q != `"`+path+`"` {
		return q
	}
	return path
}

// droppable returns the ids of the unfinished uploads.
func (n *console) droppable() (ids []string) {
	_ = n.eachHome(readOnly(), func(_ *account.Account, h *local.Home) (bool, error) { // what cannot be read is not offered
		for s, err := range h.Uploads(context.Background()) {
			if err != nil {
				return false, err
			}
			ids = append(ids, s.ID)
		}
		return false, nil
	})
	return ids
}

// dropUpload has the running server discard an upload, or does so itself if there is none.
func (n *console) dropUpload(c *cobra.Command, args []string) error {
	drop := n.dropInside
	if n.inside == nil {
		err := n.forward(c, args)
		if !errors.Is(err, errNotRunning) {
			return err
		}
		drop = n.dropAlone
	}
	found, err := drop(c.Context(), args[0])
	if err == nil && !found {
		err = &advised{fmt.Errorf("%q: no such upload", args[0]), n.typed("uploads list", "data") + " shows them"}
	}
	if err == nil {
		fmt.Fprintf(c.ErrOrStderr(), "dropped %s\n", args[0])
	}
	return err
}

// dropInside discards an upload; whoever is sending it is told.
func (n *console) dropInside(ctx context.Context, id string) (found bool, err error) {
	for a := range n.inside.Accounts.Current().All() {
		if err := n.inside.Server.DropUpload(ctx, a, id); !errors.Is(err, fs.ErrNotExist) {
			return err == nil, err
		}
	}
	return false, nil
}

// dropAlone discards an upload of a server that is not running.
func (n *console) dropAlone(ctx context.Context, id string) (found bool, err error) {
	lock, held, err := tryLock(n.data)
	if err != nil {
		return false, plain(err)
	}
	defer lock.Close()
	if !held {
		return false, &advised{fmt.Errorf("a ferryd is starting or stopping on %s", n.data), "try again in a moment"}
	}
	err = n.eachHome(local.Ops{}, func(_ *account.Account, h *local.Home) (bool, error) {
		err := h.Drop(ctx, id)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		found = err == nil
		return found, err
	})
	return found, err
}
