// Package manual writes manual pages: roff with the macros of man(7).
package manual

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Page is a manual page as it is written, from top to bottom.
type Page struct{ b strings.Builder }

// New begins a page, with its heading and its section NAME. source is what it is part of, with the version.
func New(name string, section int, source, short string) *Page {
	p := &Page{}
	fmt.Fprintf(&p.b, ".TH %q %d \"\" %q\n.nh\n.ad l\n", strings.ToUpper(name), section, escape(source))
	p.Heading("Name")
	p.line(name + " - " + short)
	return p
}

// WriteTo writes the page.
func (p *Page) WriteTo(w io.Writer) (int64, error) {
	n, err := io.WriteString(w, p.b.String())
	return int64(n), err
}

// Heading begins a section.
func (p *Page) Heading(title string) { fmt.Fprintf(&p.b, ".SH %q\n", escape(strings.ToUpper(title))) }

// Part begins a part of a section.
func (p *Page) Part(title string) { fmt.Fprintf(&p.b, ".SS %q\n", escape(title)) }

// Text writes a paragraph.
func (p *Page) Text(text string) {
	p.b.WriteString(".PP\n")
	p.line(text)
}

// Item writes a term, and indented below it what there is to say about it.
func (p *Page) Item(term, text string) {
	p.b.WriteString(".TP\n\\fB")
	p.line(term + "\x00")
	p.line(text)
}

// Lines writes lines as they are.
func (p *Page) Lines(lines ...string) {
	p.b.WriteString(".RS 4\n.nf\n")
	for _, l := range lines {
		p.line(l)
	}
	p.b.WriteString(".fi\n.RE\n")
}

// line writes text that is no request to roff. A NUL ends bold type.
func (p *Page) line(text string) {
	for l := range strings.SplitSeq(text, "\n") {
		if strings.TrimSpace(l) == "" {
			l = `\&`
		} else {
			l = escape(l)
		}
		if strings.HasPrefix(l, ".") || strings.HasPrefix(l, "'") {
			p.b.WriteString(`\&`)
		}
		p.b.WriteString(l + "\n")
	}
}

// escape writes text so that every character is itself.
func escape(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == 0:
			b.WriteString(`\fR`)
		case r > 0x7e:
			fmt.Fprintf(&b, `\[u%04X]`, r)
		default:
			if s, ok := map[rune]string{'\\': `\e`, '-': `\-`, '\'': `\(aq`, '"': `\(dq`, '`': `\(ga`, '^': `\(ha`, '~': `\(ti`, '|': `|\:`}[r]; ok {
				b.WriteString(s)
				continue
			}
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Options writes what is known of each option, in the order of the set.
func (p *Page) Options(f *pflag.FlagSet) {
	f.VisitAll(func(o *pflag.Flag) {
		if o.Hidden || o.Name == "help" || o.Name == "version" {
			return
		}
		arg, text := pflag.UnquoteUsage(o)
		term := "--" + o.Name
		if o.Shorthand != "" {
			term = "-" + o.Shorthand + ", " + term
		}
		if arg != "" {
			term += " " + arg
		}
		switch {
		case o.DefValue == "", o.DefValue == "false", o.DefValue == "[]", o.DefValue == "0", strings.Contains(text, "(default"):
		default:
			text += fmt.Sprintf(" (default %s)", strings.Trim(o.DefValue, "[]"))
		}
		p.Item(term, text)
	})
}

// Commands writes a part for every command below one, with its examples and options.
func (p *Page) Commands(c *cobra.Command) {
	for _, sub := range c.Commands() {
		if sub.Hidden || sub.Name() == "help" {
			continue
		}
		_, line, _ := strings.Cut(sub.UseLine(), " ")
		p.Part(line)
		if sub.Long == "" || !strings.HasPrefix(sub.Long, sub.Short) { // which begins with the short text, or adds to it
			p.line(sub.Short + ".")
		}
		if sub.Long != "" {
			p.Text(sub.Long)
		}
		if sub.Example != "" {
			p.Lines(strings.Split(sub.Example, "\n")...)
		}
		p.Options(sub.LocalFlags())
		if sub.HasSubCommands() {
			p.Commands(sub)
		}
	}
}
