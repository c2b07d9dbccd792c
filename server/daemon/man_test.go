package daemon

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ferry/server/account"
)

// TestManual: the pages have every command, option and key, and roff has nothing to say about them.
func TestManual(t *testing.T) {
	if _, err := exec.LookPath("groff"); err != nil {
		t.Skip("no groff")
	}
	page := func(name string) func(want string) {
		var source, out, errs bytes.Buffer
		if code := Run(t.Context(), []string{"man", name}, strings.NewReader(""), &source, &errs); code != 0 {
			t.Fatalf("%d: %s", code, &errs)
		}
		cmd := exec.Command("groff", "-man", "-ww", "-Tutf8", "-P-cbou", "-rLL=200n")
		cmd.Stdin, cmd.Stdout, cmd.Stderr = &source, &out, &errs
		if err := cmd.Run(); err != nil || errs.Len() > 0 {
			t.Fatalf("%s: %v\n%s", name, err, &errs)
		}
		got := strings.Join(strings.Fields(out.String()), " ")
		return func(want string) {
			t.Helper()
			if !strings.Contains(got, strings.Join(strings.Fields(want), " ")) {
				t.Errorf("%s: %q is not in the page", name, want)
			}
		}
	}
	has := page("ferryd")
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			if sub.Hidden {
				continue
			}
			has(sub.Short)
			sub.Flags().VisitAll(func(o *pflag.Flag) { has("--" + o.Name) })
			walk(sub)
		}
	}
	walk(rootCommand())
	has = page("users.toml")
	for _, k := range account.Keys() {
		has(k.Name + " ")
		has(k.Example())
	}
}
