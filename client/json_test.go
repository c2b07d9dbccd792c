package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ferry/client/shell"
	"ferry/client/term"
)

// objects is what the scripts have seen with --json. Whatever is not documented fails.
type objects struct {
	mu   sync.Mutex
	seen map[string]bool // commands
}

// newObjects returns an empty one; when all scripts are over, each command must have been among them.
func newObjects(t *testing.T) *objects {
	o := &objects{seen: map[string]bool{}}
	t.Cleanup(func() {
		if t.Failed() || strings.Contains(flag.Lookup("test.run").Value.String(), "/") {
			return
		}
		for _, c := range shell.All() {
			if !o.seen[c.Name] {
				t.Errorf("no script runs %s with --json", c.Name)
			}
		}
	})
	return o
}

// look checks the output of ferry --json.
func (o *objects) look(out string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	results := map[any][]map[string]any{} // that wait for a summary, by job
	for line := range strings.Lines(out) {
		var v map[string]any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			return fmt.Errorf("%q is no object: %w", line, err)
		}
		failure, failed := v["error"].(map[string]any)
		switch {
		case failed:
			if err := fit("error", failure, shell.ErrorFields()); err != nil {
				return err
			}
		case v["event"] == "started":
			if err := fit("started", v, shell.StartedFields()); err != nil {
				return err
			}
		case v["event"] == "summary":
			if err := o.command(v, results[v["job"]]); err != nil {
				return err
			}
			delete(results, v["job"])
		default:
			results[v["job"]] = append(results[v["job"]], v)
		}
	}
	if len(results) > 0 {
		return fmt.Errorf("%v is followed by no summary", results)
	}
	return nil
}

// command checks the results of a command and its summary.
func (o *objects) command(summary map[string]any, results []map[string]any) error {
	name := summary["command"].(string)
	o.seen[name] = true
	i := slices.IndexFunc(shell.All(), func(c shell.Command) bool { return c.Name == name })
	if i < 0 {
		return nil // there is no such command
	}
	fields := append(shell.All()[i].Fields, shell.JobField())
	for _, r := range append(results, summary) {
		known := fields
		if r["event"] == "summary" {
			known = append(shell.SummaryFields(), fields...)
		}
		if err := fit(name, r, known); err != nil {
			return err
		}
	}
	return nil
}

// fit tells whether an object has documented fields only, of their types.
func fit(name string, object map[string]any, fields []shell.Field) error {
	for _, key := range slices.Sorted(maps.Keys(object)) {
		i := slices.IndexFunc(fields, func(f shell.Field) bool { return f.Name == key })
		if i < 0 {
			return fmt.Errorf("%s: the field %q is not documented: %v", name, key, object)
		}
		if !slices.ContainsFunc(strings.Split(fields[i].Type, " or "), func(t string) bool { return isType(object[key], t) }) {
			return fmt.Errorf("%s: %s is %v, not a %s", name, key, object[key], fields[i].Type)
		}
	}
	return nil
}

func isType(v any, name string) bool {
	switch v := v.(type) {
	case string:
		_, err := time.Parse(time.RFC3339Nano, v)
		return name == "string" || name == "time" && err == nil
	case float64:
		return name == "number" || name == "integer" && v == float64(int64(v))
	case bool:
		return name == "boolean"
	case []any:
		return name == "list"
	}
	return false
}

// TestJSONPage: docs/json.md has every field of every command, as the tables of the shell have them. UPDATE=1 writes it.
func TestJSONPage(t *testing.T) {
	var b strings.Builder
	section := func(title string, fields []shell.Field) {
		fmt.Fprintf(&b, "\n## %s\n\n", title)
		if len(fields) == 0 {
			b.WriteString("No results, only the summary.\n")
			return
		}
		b.WriteString("| field | type | meaning |\n|---|---|---|\n")
		for _, f := range fields {
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", f.Name, f.Type, strings.ReplaceAll(f.Text, "|", `\|`))
		}
	}
	section("Summary", shell.SummaryFields())
	section("Error", shell.ErrorFields())
	section("Progress", shell.ProgressFields())
	for _, c := range shell.All() {
		section("`"+c.Name+"`", c.Fields)
	}
	generated(t, "../docs/json.md", "fields", b.String())
}

// TestProgressObjects: every field that the progress writes is documented, and every documented one is written.
func TestProgressObjects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := term.NewProgress(&out, "json")
		plan := term.NewMeter("site", -1, 0)
		plan.Names(100)
		stop := p.Follow(plan)
		time.Sleep(1500 * time.Millisecond)
		stop()
		m := p.StartTree("site", 1000, 3)
		part := m.Part("large", 800)
		m.File()
		part.Reuse(10)
		time.Sleep(1500 * time.Millisecond)
		part.Add(20)
		part.Checking(5, 15)
		time.Sleep(time.Second)
		m.Why(func(time.Duration) string { return "waiting for the server's disk" })
		time.Sleep(time.Second)
		m.Done()
		seen := map[string]bool{}
		for line := range strings.Lines(out.String()) {
			var v map[string]any
			if err := json.Unmarshal([]byte(line), &v); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			if err := fit("progress", v, shell.ProgressFields()); err != nil {
				t.Error(err)
			}
			for key := range v {
				seen[key] = true
			}
		}
		for _, f := range shell.ProgressFields() {
			if !seen[f.Name] {
				t.Errorf("%s is documented and was not written:\n%s", f.Name, out.String())
			}
		}
	})
}

// generated fails unless the part of a page between its marks is text. UPDATE=1 puts it there.
func generated(t interface{ Fatalf(string, ...any) }, page, mark, text string) {
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatalf("%v", err)
	}
	begin, end := "<!-- "+mark+": written by go test ./client with UPDATE=1 -->\n", "<!-- end of "+mark+" -->"
	before, rest, ok := strings.Cut(string(data), begin)
	old, after, ends := strings.Cut(rest, end)
	switch {
	case !ok || !ends:
		t.Fatalf("%s lacks the marks of %s", page, mark)
	case old == text:
	case os.Getenv("UPDATE") == "":
		t.Fatalf("%s is not what it should be; UPDATE=1 go test ./client writes it. It should have:\n%s", page, text)
	default:
		if err := os.WriteFile(page, []byte(before+begin+text+end+after), 0o644); err != nil {
			t.Fatalf("%v", err)
		}
	}
}
