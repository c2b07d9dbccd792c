package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ferry/client/config"
)

// TestConfigPage: docs/config.md has every setting, as the table has it. UPDATE=1 writes it.
func TestConfigPage(t *testing.T) {
	var b strings.Builder
	b.WriteString("| setting | option | default | meaning |\n|---|---|---|---|\n")
	for _, s := range config.Table() {
		option := "`--" + s.Name + "`"
		if s.Letter != "" {
			option = "`-" + s.Letter + "`, " + option
		}
		if s.Unasked {
			option = ""
		}
		what := s.Help
		if s.Global {
			what += "; the same for all hosts"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s. |\n", s.Name, option, s.Default, strings.ReplaceAll(what, "|", `\|`))
	}
	generated(t, "../docs/config.md", "settings", b.String())
}

// TestConfigExample: the file that docs/config.md and the help show is right.
func TestConfigExample(t *testing.T) {
	page, err := os.ReadFile("../docs/config.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```toml\n")
	text, _, ok := strings.Cut(rest, "```\n")
	if !ok {
		t.Fatal("docs/config.md shows no file")
	}
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := config.New(t.TempDir()).Load(path, false); err != nil {
		t.Error(err)
	}
}
