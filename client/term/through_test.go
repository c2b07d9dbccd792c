package term

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// TestThrough: on a terminal whole lines pass through what knows about the line that is being typed, unless there are bars,
// which they stand above; elsewhere they go where they went.
func TestThrough(t *testing.T) {
	s := newScreen(t, 80, 10)
	p := NewProgress(s.tty, "bar")
	var editor bytes.Buffer
	p.Through(&editor)
	fmt.Fprintln(p, "one")
	m := p.Start("big", 100)
	s.wait(t, "bar", func(text string) bool { return strings.Contains(text, "big") })
	fmt.Fprintln(p, "two")
	s.wait(t, "line above", func(text string) bool { return strings.Contains(text, "two") })
	m.Done()
	fmt.Fprintln(p, "three")
	if got := editor.String(); got != "one\nthree\n" {
		t.Errorf("%q passed through", got)
	}
	if !p.OnTerminal() {
		t.Error("not on a terminal")
	}

	var file bytes.Buffer
	p = NewProgress(&file, "auto")
	p.Through(&editor)
	fmt.Fprintln(p, "four")
	if file.String() != "four\n" || p.OnTerminal() {
		t.Errorf("%q", file.String())
	}
}
