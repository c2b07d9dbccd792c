package daemon

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"ferry/server/session"
)

// newSessionsCommand returns `ferryd sessions`, which looks at and ends the sessions of the running server.
func newSessionsCommand(n *console) *cobra.Command {
	c := n.group("sessions", "List and end the sessions of the running server")
	c.Long = c.Short + needsServer
	n.options(c, "data directory `DIR` of the server")
	list := n.command("list", "List the sessions, oldest first", n.listSessions)
	n.jsonOption(list)
	c.AddCommand(list, n.takes(n.command("kick ID|USER", "End a session, or all of a user; what was being sent can be resumed", n.kick), n.kickable))
	return c
}

// seen is a session as --json prints it. Times are RFC 3339, amounts bytes.
type seen struct {
	ID          string    `json:"id"`
	User        string    `json:"user"`
	Addresses   []string  `json:"addresses"`
	Since       time.Time `json:"since"`
	Idle        float64   `json:"idle"` // seconds since something was heard of it, 0 while it is being served
	Connections int       `json:"connections"`
	In          int64     `json:"in"` // over the connections that are there
	Out         int64     `json:"out"`
	Doing       []doing   `json:"doing"`
	Client      string    `json:"client"`
}

// doing is one thing that a session is at.
type doing struct {
	Command string `json:"command"`
	Path    string `json:"path,omitempty"`
	Done    int64  `json:"done,omitempty"`
	Length  int64  `json:"length,omitempty"`
}

func (d doing) String() string {
	if d.Path == "" {
		return d.Command
	}
	return fmt.Sprintf("%s %s %s of %s", d.Command, printablePath(d.Path), bytesText(d.Done), bytesText(d.Length))
}

func describeSession(s session.Status) seen {
	v := seen{ID: s.ID[:8], User: s.User, Addresses: append([]string{}, s.Addresses...), Since: s.Begun.UTC().Truncate(time.Second), Idle: s.Idle.Round(time.Second).Seconds(),
		Connections: s.Connections, In: s.In, Out: s.Out, Doing: []doing{}, Client: s.Client}
	for _, d := range s.Doing {
		v.Doing = append(v.Doing, doing{d.Cmd, d.Path, d.Done, d.Of})
	}
	return v
}

func (n *console) listSessions(c *cobra.Command, args []string) error {
	if n.inside == nil {
		return n.forward(c, args)
	}
	if n.json {
		lines := json.NewEncoder(c.OutOrStdout())
		for _, s := range n.inside.Server.List() {
			if err := lines.Encode(describeSession(s)); err != nil {
				return err
			}
		}
		return nil
	}
	table := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tUSER\tADDRESS\tSINCE\tIDLE\tCONNECTIONS\tIN\tOUT\tCLIENT\tDOING")
	for _, s := range n.inside.Server.List() {
		v := describeSession(s)
		address := "lost" // it may come back
		if len(v.Addresses) > 0 {
			address = v.Addresses[0]
		}
		var doings []string
		for _, d := range v.Doing {
			doings = append(doings, d.String())
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\n", v.ID, v.User, address, v.Since.Local().Format(time.DateTime), s.Idle.Round(time.Second),
			v.Connections, bytesText(v.In), bytesText(v.Out), word(printablePath(v.Client)), word(strings.Join(doings, "; ")))
	}
	return table.Flush()
}

// bytesText writes an amount of bytes for people, to three digits or so.
func bytesText(n int64) string {
	if n < 1<<10 {
		return strconv.FormatInt(n, 10) + " B"
	}
	units, v := "KMGTP", float64(n)/(1<<10)
	for v >= 1023.95 && len(units) > 1 {
		units, v = units[1:], v/(1<<10)
	}
	return strconv.FormatFloat(v, 'f', 1, 64) + " " + units[:1] + "iB"
}

// kickable returns the sessions and their users.
func (n *console) kickable() (which []string) {
	for _, s := range n.inside.Server.List() {
		which = append(which, s.ID[:8], s.User)
	}
	return which
}

func (n *console) kick(c *cobra.Command, args []string) error {
	if n.inside == nil {
		return n.forward(c, args)
	}
	which := args[0]
	ids := n.inside.Server.Kick(which)
	if len(ids) == 0 {
		return &advised{fmt.Errorf("%s: no such session", printableName(which)), n.typed("sessions list", "data") + " shows them"}
	}
	if _, err := fmt.Fprintf(c.ErrOrStderr(), "ended %s\n", strings.Join(ids, ", ")); err != nil {
		return err
	}
	if _, there := n.inside.Accounts.Current().Lookup(which); there {
		fmt.Fprintf(c.ErrOrStderr(), "hint: whoever was there can log in again; to keep %s out: %s\n", which, n.typed("user lock "+which, ""))
	}
	return nil
}
