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

// uploadsCommand returns `ferryd uploads`, the administration of unfinished uploads.
func uploadsCommand() *cobra.Command {
	u := &uploadsAdmin{}
	c := &cobra.Command{
		Use:   "uploads",
		Short: "List and drop unfinished uploads",
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage(&advised{fmt.Errorf("uploads: unknown command %q", args[0]), "ferryd uploads --help lists the commands"})
			}
			return usage(&advised{errors.New("uploads: no command given"), "ferryd uploads --help lists the commands"})
		},
		Args: cobra.ArbitraryArgs,
	}
	c.PersistentFlags().StringVar(&u.data, "data", "", "data directory `DIR`")
	c.PersistentFlags().StringVar(&u.users, "users", "", "account `FILE` (default DIR/users.toml)")
	list := &cobra.Command{Use: "list", Short: "List the unfinished uploads of all accounts, oldest first in each", Args: exactly(0), RunE: u.list}
	list.Flags().BoolVar(&u.json, "json", false, "print one JSON object a line")
	drop := &cobra.Command{Use: "drop ID", Short: "Discard an unfinished upload", Args: exactly(1), RunE: u.drop}
	c.AddCommand(list, drop)
	return c
}

// uploadsAdmin holds the options of one `ferryd uploads` command line.
type uploadsAdmin struct {
	data, users string
	json        bool
}

// each calls do with every account that has a home, until do reports that it is done.
func (u *uploadsAdmin) each(ops local.Ops, do func(a *account.Account, h *local.Home) (done bool, err error)) error {
	if u.data == "" {
		return usage(&advised{errors.New("no data directory"), "give --data DIR"})
	}
	file := u.users
	if file == "" {
		file = filepath.Join(u.data, "users.toml")
	}
	set, err := account.Load(file)
	if err != nil {
		return plain(err)
	}
	for a := range set.All() {
		home, err := local.Open(filepath.Join(u.data, "homes", filepath.FromSlash(a.Home)), local.Options{Owner: a.Name, Ops: ops})
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

func (u *uploadsAdmin) list(c *cobra.Command, _ []string) error {
	table := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	lines := json.NewEncoder(c.OutOrStdout())
	err := u.each(readOnly(), func(a *account.Account, h *local.Home) (bool, error) {
		for s, err := range h.Uploads(c.Context()) {
			if err != nil {
				return false, err
			}
			if u.json {
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
	if err != nil {
		return fmt.Errorf("uploads list: %w", err)
	}
	return nil
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

func (u *uploadsAdmin) drop(c *cobra.Command, args []string) error {
	if err := u.discard(c.Context(), args[0]); err != nil {
		return fmt.Errorf("uploads drop: %w", err)
	}
	fmt.Fprintf(c.ErrOrStderr(), "dropped %s\n", args[0])
	return nil
}

// discard drops an upload of a server that is not running.
func (u *uploadsAdmin) discard(ctx context.Context, id string) error {
	if u.data == "" {
		return usage(&advised{errors.New("no data directory"), "give --data DIR"})
	}
	lock, held, err := tryLock(u.data)
	if err != nil {
		return plain(err)
	}
	defer lock.Close()
	if !held {
		return &advised{fmt.Errorf("a ferryd is running on %s", u.data), "stop it first, or let the owner of the upload drop it"}
	}
	found := false
	err = u.each(local.Ops{}, func(_ *account.Account, h *local.Home) (bool, error) {
		err := h.Drop(ctx, id)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		found = err == nil
		return found, err
	})
	if err == nil && !found {
		err = &advised{fmt.Errorf("%q: no such upload", id), "ferryd uploads list --data " + u.data + " shows them"}
	}
	return err
}
