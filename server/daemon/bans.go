package daemon

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"ferry/server/guard"
)

// newBansCommand returns `ferryd bans`, which looks at and lifts what keeps addresses from guessing.
func newBansCommand(n *console) *cobra.Command {
	c := n.group("bans", "List and lift the bans of addresses that guess")
	c.Long = c.Short + needsServer
	n.options(c, "data directory `DIR` of the server")
	list := n.command("list", "List the addresses whose logins failed lately, banned ones first", n.listBans)
	n.jsonOption(list)
	c.AddCommand(list, n.takes(n.command("lift ADDR", "Forget the failed logins of an address", n.lift), n.liftable))
	return c
}

// liftable returns the addresses whose logins failed lately.
func (n *console) liftable() (addresses []string) {
	for _, e := range n.inside.Server.Guard().List() {
		addresses = append(addresses, e.Address)
	}
	return addresses
}

func (n *console) listBans(c *cobra.Command, args []string) error {
	if n.inside == nil {
		return n.forward(c, args)
	}
	entries := n.inside.Server.Guard().List()
	if n.json {
		lines := json.NewEncoder(c.OutOrStdout())
		for _, e := range entries {
			if err := lines.Encode(e); err != nil {
				return err
			}
		}
		return nil
	}
	table := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ADDRESS\tFAILURES\tNAMES\tLAST\tDROPPED\tSTATE")
	for _, e := range entries {
		fmt.Fprintf(table, "%s\t%d\t%d\t%s\t%d\t%s\n", e.Address, e.Failures, e.Names, e.Last.Local().Format(time.DateTime), e.Dropped, banState(e))
	}
	return table.Flush()
}

// banState says how an address is kept from guessing.
func banState(e guard.Entry) string {
	until := e.Until.Local().Format(time.DateTime)
	switch {
	case e.Banned:
		return "banned until " + until
	case !e.Until.IsZero():
		return "has to wait until " + until
	case e.Slowed > 0:
		return fmt.Sprintf("%d names have to wait", e.Slowed)
	case e.Spared:
		return "never banned"
	}
	return "-"
}

func (n *console) lift(c *cobra.Command, args []string) error {
	if n.inside == nil {
		return n.forward(c, args)
	}
	found, err := n.inside.Server.Guard().Lift(args[0])
	if err != nil {
		return usage(err)
	}
	if !found {
		return &advised{fmt.Errorf("%s: no login from there has failed lately", args[0]), n.typed("bans list", "data") + " shows where some have"}
	}
	fmt.Fprintf(c.ErrOrStderr(), "lifted %s\n", args[0])
	return nil
}

// refusalLines says, a line each, which logins under a name were refused lately, and where it has to wait.
func refusalLines(g *guard.Guard, name string) []string {
	refusals, waiting := g.Explain(name)
	if len(refusals) == 0 {
		return []string{"no login of " + name + " was refused since the server began"}
	}
	var lines []string
	for _, r := range refusals {
		lines = append(lines, fmt.Sprintf("refused from %s: %s, %d in a row, last at %s", r.Address, r.Reason.Words(), r.Count, r.Time.Local().Format(time.DateTime)))
	}
	for _, e := range waiting {
		lines = append(lines, fmt.Sprintf("at %s: %s", e.Address, banState(e)))
	}
	return lines
}
