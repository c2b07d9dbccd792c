package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"ferry/server/register"
)

// maxInviteCount is how many invites one command makes.
const maxInviteCount = 1000

// invites returns the invites of a data directory.
func invites(data string) register.Invites {
	return register.Invites{Path: filepath.Join(data, "invites.json")}
}

// newInviteCommand returns `ferryd invite`, which makes invites and has commands to look after them.
func newInviteCommand(n *console) *cobra.Command {
	count, good := 1, days(2*24*time.Hour)
	c := n.command("invite", "Make invites, with which people register", func(c *cobra.Command, _ []string) error {
		return n.invite(c, count, time.Duration(good))
	})
	c.Long = "Prints invites, CODE@FINGERPRINT, one a line. Each lets one person make one account, while the server's configuration says\n" +
		"mode = \"invite\" under [register]. Codes are kept nowhere: they cannot be printed again."
	n.options(c, "data directory `DIR`")
	n.jsonOption(c)
	c.Flags().IntVar(&count, "count", count, "make `N` invites")
	c.Flags().Var(&good, "for", "they are good for `TIME`: 2d, 12h")
	list := n.command("list", "List the invites that were not used yet", n.listInvites)
	n.jsonOption(list)
	c.AddCommand(list, n.takes(n.command("revoke ID...", "Take invites back", n.revokeInvites), n.revocable))
	return c
}

// ticket is an invite as --json prints it; times are RFC 3339.
type ticket struct {
	Invite  string    `json:"invite,omitempty"` // when it is made, and never again
	ID      string    `json:"id,omitempty"`
	Made    time.Time `json:"made,omitzero"`
	Expires time.Time `json:"expires"`
}

func (n *console) invite(c *cobra.Command, count int, good time.Duration) error {
	if count < 1 || count > maxInviteCount {
		return usage(fmt.Errorf("--count is from 1 to %d", maxInviteCount))
	}
	server, err := dataFingerprint(n.data)
	if err != nil {
		return err
	}
	now := time.Now()
	codes, err := invites(n.data).Make(count, good, now)
	if err != nil {
		return err
	}
	out := c.OutOrStdout()
	for _, code := range codes {
		text := code + "@" + server
		if n.json {
			err = json.NewEncoder(out).Encode(ticket{Invite: text, Expires: now.Add(good).UTC().Round(0)})
		} else {
			_, err = fmt.Fprintln(out, text)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (n *console) listInvites(c *cobra.Command, _ []string) error {
	list, err := invites(n.data).List(time.Now())
	out := c.OutOrStdout()
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, t := range list {
		if n.json {
			err = errors.Join(err, json.NewEncoder(out).Encode(ticket{ID: t.ID, Made: t.Made, Expires: t.Expires}))
			continue
		}
		fmt.Fprintf(table, "%s\tmade %s\tgood until %s\n", t.ID, t.Made.Local().Format(time.DateTime), t.Expires.Local().Format(time.DateTime))
	}
	return errors.Join(err, table.Flush())
}

// revocable returns the ids of the invites that were not used yet.
func (n *console) revocable() (ids []string) {
	list, _ := invites(n.data).List(time.Now()) // what cannot be read is not offered
	for _, t := range list {
		ids = append(ids, t.ID)
	}
	return ids
}

func (n *console) revokeInvites(_ *cobra.Command, ids []string) error {
	err := invites(n.data).Revoke(time.Now(), ids...)
	if errors.Is(err, register.ErrNoInvite) {
		return &advised{err, n.typed("invite list", "data") + " shows them; one that was used is gone"}
	}
	return err
}
