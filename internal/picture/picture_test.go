package picture

import (
	"encoding/xml"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hinshun/vt10x"
)

// What is written can be read again, is well-formed, and keeps colours and columns.
func TestWrite(t *testing.T) {
	vt := vt10x.New(vt10x.WithSize(20, 4))
	var frames []Frame
	for _, text := range []string{
		">> ls\r\n\x1b[01;34mpapers\x1b[0m/  <a> & \"b\"\r\n",
		"  in  \x1b[7mreverse\x1b[0m\r\n\x1b[38;5;208mé\x1b[38;5;244m%",
	} {
		if _, err := io.WriteString(vt, text); err != nil {
			t.Fatal(err)
		}
		f := Take(vt)
		f.Stay = time.Second
		frames = append(frames, f)
	}
	var svg strings.Builder
	if err := Write(&svg, "a <session>", frames); err != nil {
		t.Fatal(err)
	}
	for d := xml.NewDecoder(strings.NewReader(svg.String())); ; {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, svg.String())
		}
	}
	got, err := Read(strings.NewReader(svg.String()))
	if want := []string{frames[0].String(), ">> ls\npapers/  <a> & \"b\"\n  in  reverse\né%"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("read %q, %v; want %q", got, err, want)
	}
	for _, part := range []string{
		`<tspan fill="#7cc0f8" class="b">papers</tspan>/`, // bold is bright, too
		`textLength="16.8"`, `textLength="109.2"`, // 2 and 13 cells
		`<rect x="66.4" y="52" width="58.8" height="18" fill="#d8dee9"/>`, `<tspan fill="#1f2430">reverse</tspan>`,
		`<tspan fill="#ff8700">é</tspan><tspan fill="#808080">%</tspan>`,
		"<title>a &lt;session&gt;</title>", "@keyframes k1{0%{opacity:0}50%{opacity:1}100%{opacity:0}}#s1{animation:k1 2s step-end infinite}",
		"prefers-reduced-motion", "g:last-of-type{opacity:1}",
	} {
		if !strings.Contains(svg.String(), part) {
			t.Errorf("no %s in\n%s", part, svg.String())
		}
	}
	if _, err := Read(strings.NewReader("<svg></svg>")); err == nil {
		t.Error("a picture without a screen was read")
	}
}
