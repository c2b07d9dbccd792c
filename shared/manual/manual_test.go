package manual

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// page has everything in it that roff would take for something else.
func page() *Page {
	p := New("example", 1, `ferry "v1"`, "a page")
	p.Heading("Odd")
	p.Text(".so /etc/passwd\n'br\n\\fIback\\slash\n\n`quoted` ^~ -option \"x\" \u00e9 \u2713")
	p.Lines("  .nf", "two  blanks", "'")
	c := &cobra.Command{Use: "example"}
	sub := &cobra.Command{Use: "do THING", Short: "Do it", Example: "do this\ndo  that", Run: func(*cobra.Command, []string) {}}
	sub.Flags().StringP("out", "o", "here", "write to `FILE`")
	sub.Flags().Bool("dry", false, "do not")
	c.AddCommand(sub)
	p.Commands(c)
	return p
}

// TestRendered: what was written is what a person reads, and roff has nothing to say about it.
func TestRendered(t *testing.T) {
	if _, err := exec.LookPath("groff"); err != nil {
		t.Skip("no groff")
	}
	var text, out, complaints bytes.Buffer
	if _, err := page().WriteTo(&text); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("groff", "-man", "-ww", "-Tutf8", "-P-cbou")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = &text, &out, &complaints
	if err := cmd.Run(); err != nil || complaints.Len() > 0 {
		t.Fatalf("%v\n%s", err, &complaints)
	}
	got := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{"example - a page", ".so /etc/passwd 'br \\fIback\\slash `quoted` ^~ -option \"x\" \u00e9 \u2713", ".nf two blanks '",
		"do THING", "Do it. do this do that", "-o, --out FILE write to FILE (default here)", "--dry do not"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}
