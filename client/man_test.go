package main

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	"ferry/client/config"
	"ferry/client/shell"
)

// TestManual: ferry(1) has every command, setting, option and exit code, and roff has nothing to say about it.
func TestManual(t *testing.T) {
	o := &options{place: "/home/alice/.config/ferry/config.toml", settings: config.New(t.TempDir())}
	var page, text, complaints bytes.Buffer
	if _, err := o.manual(o.command()).WriteTo(&page); err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath("groff"); err != nil {
		t.Skip("no groff")
	}
	for _, width := range []string{"58n", "78n", "200n"} { // of terminals, and so wide that nothing looked for is broken
		text.Reset()
		cmd := exec.Command("groff", "-man", "-ww", "-Tutf8", "-P-cbou", "-rLL="+width)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(page.Bytes()), &text, &complaints
		if err := cmd.Run(); err != nil || complaints.Len() > 0 {
			t.Fatalf("%v\n%s", err, &complaints)
		}
	}
	got := strings.Join(strings.Fields(text.String()), " ")
	has := func(want string) {
		t.Helper()
		if !strings.Contains(got, strings.Join(strings.Fields(want), " ")) {
			t.Errorf("%q is not in the page", want)
		}
	}
	for _, c := range shell.All() {
		has(c.Usage + " " + c.Short + ".")
		for _, e := range c.Examples {
			has(e)
		}
	}
	for _, s := range o.settings.All() {
		has(s.Name + " (" + s.Env() + ") " + s.Help + ".")
		if !s.Unasked {
			has("--" + s.Name)
		}
	}
	for _, e := range shell.Exits() {
		has(e.Text)
	}
	for _, topic := range shell.Topics() {
		for line := range strings.Lines(topic.Text()) {
			if topic.Name != "config" && topic.Name != "exit" { // which are lists of what is looked for here
				has(line)
			}
		}
	}
	has("--password-stdin")
	has("ferry doctor")
}
