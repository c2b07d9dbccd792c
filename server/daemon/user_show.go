package daemon

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"ferry/server/account"
	"ferry/server/state"
)

// field is one thing that may be seen of an account.
type field struct {
	name   string
	value  any
	column bool // whether a list shows it
}

// shown returns what may be seen of an account, in the order of the keys.
func shown(a *account.Account) []field {
	list := []field{{"name", a.Name, true}}
	for _, k := range account.Keys() {
		list = append(list, field{k.Name, k.Show(a), k.Column})
	}
	return list
}

// size is a number of bytes that people read with a unit.
type size int64

func (s size) String() string { return account.Size(s).Short() }

// use returns what is known of an account's use of the server: outside of one that runs, as of the last minute.
func (u *userAdmin) use(c *cobra.Command, a *account.Account) state.Account {
	var use state.Account
	switch {
	case u.inside != nil:
		use = u.inside.Server.Use(a.Name)
	case u.data != "":
		use = openCounts(c, u.data).Lookup(a.Name)
	}
	use.Known = use.Known && use.Home == a.Home
	return use
}

// openCounts reads what was counted. If that cannot be understood nothing was.
func openCounts(c *cobra.Command, data string) *state.File {
	counts, err := state.Open(data)
	if err != nil {
		fmt.Fprintln(c.ErrOrStderr(), "warning: what was counted is not known any more:", err)
	}
	return counts
}

// useFields returns what may be seen of it.
func useFields(use state.Account) []field {
	used, files, login := field{name: "used"}, field{name: "files"}, field{name: "last_login"}
	if use.Known {
		used.value, files.value = size(use.Used().Bytes), use.Used().Files
	}
	if !use.Login.IsZero() {
		login.value = use.Login.Format(time.RFC3339)
	}
	return []field{used, files, login}
}

// word writes a value for people.
func word(v any) string {
	if v == nil {
		return "-"
	}
	if list, ok := v.([]string); ok {
		v = strings.Join(list, ",")
	}
	if s := fmt.Sprint(v); s != "" {
		return s
	}
	return "-"
}

// printJSON prints fields as one object on one line. What is not known is left out.
func printJSON(w io.Writer, fields []field) error {
	object := map[string]any{}
	for _, f := range fields {
		if f.value != nil {
			object[f.name] = f.value
		}
	}
	return json.NewEncoder(w).Encode(object)
}

func (u *userAdmin) show(c *cobra.Command, args []string) error {
	if there, err := u.insideRunning(c, args); there { // which knows what is used now
		return err
	}
	a, err := u.find(args[0])
	if err != nil {
		return err
	}
	fields := append(shown(a), useFields(u.use(c, a))...)
	if u.json {
		return printJSON(c.OutOrStdout(), fields)
	}
	for _, f := range fields {
		if _, err := fmt.Fprintf(c.OutOrStdout(), "%s: %s\n", f.name, word(f.value)); err != nil {
			return err
		}
	}
	return nil
}

func (u *userAdmin) list(c *cobra.Command, _ []string) error {
	s, err := account.Open(u.file())
	if err != nil {
		return err
	}
	out := bufio.NewWriter(c.OutOrStdout())
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if !u.json {
		fmt.Fprintln(table, row(shown(&account.Account{}), func(f field) string { return strings.ToUpper(strings.ReplaceAll(f.name, "_", " ")) }))
	}
	for a := range s.Current().All() {
		fields := shown(a)
		if !u.json {
			fmt.Fprintln(table, row(fields, func(f field) string { return word(f.value) }))
		} else if err := printJSON(out, fields); err != nil {
			return err
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	return out.Flush()
}

// row writes the columns of a list.
func row(fields []field, cell func(field) string) string {
	var cells []string
	for _, f := range fields {
		if f.column {
			cells = append(cells, cell(f))
		}
	}
	return strings.Join(cells, "\t")
}
