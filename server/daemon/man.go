package daemon

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"ferry/server/account"
	"ferry/shared/manual"
)

// manCommand prints the manual pages, for who builds packages.
func manCommand() *cobra.Command {
	return &cobra.Command{Use: "man ferryd|users.toml", Hidden: true, Args: exactly(1), RunE: func(c *cobra.Command, args []string) error {
		pages := map[string]func() *manual.Page{"ferryd": func() *manual.Page { return daemonManual(c.Root()) }, "users.toml": usersManual}
		page, ok := pages[args[0]]
		if !ok {
			return usage(fmt.Errorf("man: there is no page %q", args[0]))
		}
		_, err := page().WriteTo(c.OutOrStdout())
		return err
	}}
}

// daemonManual is ferryd(8): what the commands and their options say of themselves.
func daemonManual(root *cobra.Command) *manual.Page {
	p := manual.New("ferryd", 8, "ferry", "the server of ferry")
	p.Heading("Synopsis")
	p.Text("ferryd serve --data DIR [options]")
	p.Text("ferryd COMMAND [options]")
	p.Heading("Description")
	p.Text("ferryd serves files to ferry(1). All it keeps is in one directory, DIR: the accounts (users.toml), its key and certificate " +
		"(tls.key, tls.crt), and the files of the users (homes). It needs no root and runs no programs. SIGTERM ends it within 10 seconds, " +
		"with every transfer finished or kept to go on with; SIGHUP makes it read the accounts again.")
	p.Text("The options of serve can also be given in the environment, as FERRYD_LISTEN for --listen, and in the file that --config names, with the " +
		"same names; an option wins over the environment, and that over the file.")
	p.Heading("Commands")
	p.Commands(root)
	p.Heading("Exit status")
	for _, e := range []struct{ code, means string }{
		{"0", "ok, or ended by SIGTERM"}, {"1", "something failed; for serve: a port or the data directory is in use"}, {"2", "wrong command line or configuration"},
		{"6", "there is no such user"}, {"7", "users.toml is invalid"}, {"9", "the name is in use"}, {"130", "interrupted"},
	} {
		p.Item(e.code, e.means+".")
	}
	p.Heading("See also")
	p.Text("ferry(1), users.toml(5)")
	return p
}

// usersManual is users.toml(5): what the table of keys says.
func usersManual() *manual.Page {
	p := manual.New("users.toml", 5, "ferry", "the accounts of a ferry server")
	p.Heading("Description")
	p.Text("users.toml in the data directory of ferryd(8) has a table for each account, and [defaults] with what is common to all. It is written by people and " +
		"by ferryd user, which keeps comments and order. It must belong to the user who runs the server and be closed to others. A running server takes in a " +
		"changed file within seconds; one with a mistake changes nothing. ferryd user check says what is wrong with a file.")
	p.Lines("[defaults]", `quota = "100GiB"`, "", "[users.alice]", `auth = "$scram-sha256-..."`, `rights = ["list", "read", "write"]`)
	p.Text("A name is 1 to 32 of a-z 0-9 . _ - and begins with a letter or digit; one with a dot is quoted.")
	p.Heading("Keys")
	for _, k := range account.Keys() {
		text := strings.ReplaceAll(k.Usage, "`", "")
		if text == "" {
			text = "the salted hash of the password, which only the program makes"
		}
		text += ". " + map[bool]string{true: "May stand in [defaults].", false: "Not in [defaults]."}[k.Common()]
		p.Item(k.Name, text)
		p.Lines(k.Example())
	}
	p.Heading("See also")
	p.Text("ferryd(8), ferry(1)")
	return p
}
