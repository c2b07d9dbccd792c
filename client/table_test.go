package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"ferry/client/shell"
	"ferry/server/servertest"
)

// protocol returns the commands that shared/wire names.
func protocol(t *testing.T) []string {
	f, err := parser.ParseFile(token.NewFileSet(), "../shared/wire/messages.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	ast.Inspect(f, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for i, name := range v.Names {
			if !strings.HasPrefix(name.Name, "Cmd") {
				continue
			}
			text, err := strconv.Unquote(v.Values[i].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, text)
		}
		return true
	})
	if len(names) < 20 {
		t.Fatalf("only %q were found", names)
	}
	return names
}

// TestTables: every command of the protocol is served and used, every command of the shell is explained and tried in a
// script, and no name stands for two.
func TestTables(t *testing.T) {
	names, served := protocol(t), servertest.Commands()
	var used []string
	for _, c := range shell.All() {
		used = append(used, c.Wire...)
	}
	for _, n := range names {
		if !slices.Contains(served, n) {
			t.Errorf("%s is in shared/wire, but the server does not serve it", n)
		}
		if !slices.Contains(used, n) {
			t.Errorf("%s is in shared/wire, but no command of the shell uses it", n)
		}
	}
	for _, n := range append(served, used...) {
		if !slices.Contains(names, n) {
			t.Errorf("%s is not in shared/wire", n)
		}
	}
	var scripts strings.Builder
	files, _ := filepath.Glob("testdata/script/*.txtar")
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		scripts.Write(b)
	}
	seen := map[string]bool{}
	for _, c := range shell.All() {
		if c.Short == "" || c.Group == "" || !strings.HasPrefix(c.Usage, c.Name) || c.Run == nil {
			t.Errorf("%s lacks its usage, group, short text or action", c.Name)
		}
		for _, n := range append([]string{c.Name}, c.Aliases...) {
			if seen[n] {
				t.Errorf("%s stands for two commands", n)
			}
			seen[n] = true
		}
		if !regexp.MustCompile(`(?m)(^|['";&|] ?)-?` + regexp.QuoteMeta(c.Name) + `\b?`).MatchString(scripts.String()) {
			t.Errorf("no script in testdata/script tries %s", c.Name)
		}
	}
}
