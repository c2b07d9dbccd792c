package shell

import (
	"context"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ferry/client/term"
)

// completionWait is how long Tab waits for the server: keys wait with it.
const completionWait = 500 * time.Millisecond

// Complete returns what the word before pos can become, written as it would be typed, and how many bytes it replaces.
func (s *Shell) Complete(line string, pos int) (candidates []string, replace int) {
	cmd := SplitPartial(line[:pos])
	if out := cmd.Output; out != nil && out.To.End == pos {
		if out.Op == "|" {
			return nil, 0
		}
		return spellings(line[:pos], out.To, localNames(out.To.Text)), pos - out.To.Start
	}
	words := cmd.Words
	last := words[len(words)-1]
	if len(words) == 1 {
		for _, c := range s.commands {
			for _, n := range append([]string{c.Name}, c.Aliases...) {
				if strings.HasPrefix(n, last.Text) && n != "!" && n != "?" {
					candidates = append(candidates, n+" ")
				}
			}
		}
		for _, n := range s.configured(Aliases) {
			if strings.HasPrefix(n, last.Text) {
				candidates = append(candidates, n+" ")
			}
		}
		slices.Sort(candidates)
		return candidates, pos - last.Start
	}
	c, ok := s.find(words[0].Text)
	if !ok {
		return nil, 0
	}
	side := c.Args.at(len(words) - 2)
	var names []string
	if c.Name == "sync" {
		side = syncSide(words[1:])
	}
	switch {
	case c.Name == "sync" && side == Nowhere:
		names = []string{"up", "down"}
	case side == Commands:
		for _, c := range s.commands {
			names = append(names, c.Name)
		}
		for _, t := range topics() {
			names = append(names, t.name)
		}
	case side == Settings && len(words) > 2:
		if t, err := s.Settings.Find(words[1].Text); err == nil {
			names = t.Choices
		}
	case side == Addresses || side == Settings || side == Aliases || side == Bookmarks || side == Numbers:
		names = s.configured(side)
	case side == Here:
		names = localNames(last.Text)
	case side == There && s.client != nil:
		names = s.remoteNames(last.Text)
	}
	return spellings(line[:pos], last, names), pos - last.Start
}

// spellings writes those of the names that continue the word at the end of line, sorted.
func spellings(line string, last Word, names []string) (candidates []string) {
	for _, n := range names {
		if !strings.HasPrefix(n, last.Text) {
			continue
		}
		if text, ok := spell(line[last.Start:], last, n); ok {
			candidates = append(candidates, text)
		}
	}
	slices.Sort(candidates)
	return candidates
}

// spell writes name so that it continues what was typed, in the quoting that is open. A directory stays open for more. A
// name that a terminal would not show as it is, is not offered: what Tab inserts must be text, never a key or a command.
func spell(typed string, w Word, name string) (string, bool) {
	if term.Escape(name) != name {
		return "", false
	}
	rest := strings.TrimPrefix(name, w.Text)
	dir := strings.HasSuffix(name, "/")
	out := typed
	switch w.Open {
	case '\'':
		if strings.Contains(rest, "'") {
			return "", false
		}
		out += rest
		if !dir {
			out += "' "
		}
	case '"':
		out += strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(rest)
		if !dir {
			out += `" `
		}
	default:
		for _, r := range rest {
			if strings.ContainsRune(" \t'\"\\;&|<>*?[]#!", r) {
				out += `\`
			}
			out += string(r)
		}
		if !dir {
			out += " "
		}
	}
	return out, true
}

func localNames(prefix string) (names []string) {
	dir, base := filepath.Split(prefix)
	where := home(dir)
	if where == "" {
		where = "."
	}
	list, err := os.ReadDir(where)
	if err != nil {
		return nil
	}
	for _, e := range list {
		if strings.HasPrefix(e.Name(), ".") && !strings.HasPrefix(base, ".") {
			continue
		}
		n := dir + e.Name()
		if info, err := os.Stat(filepath.Join(where, e.Name())); err == nil && info.IsDir() {
			n += "/"
		}
		names = append(names, n)
	}
	return names
}

func (s *Shell) remoteNames(prefix string) (names []string) {
	ctx, cancel := context.WithTimeout(context.Background(), completionWait)
	defer cancel()
	dir, base := path.Split(prefix)
	where := s.dir
	if dir != "" {
		where = s.abs(dir)
	}
	for e, err := range s.client.List(ctx, where, false) {
		if err != nil {
			return names
		}
		if strings.HasPrefix(string(e.Name), ".") && !strings.HasPrefix(base, ".") {
			continue
		}
		n := dir + string(e.Name)
		if e.Kind == "dir" {
			n += "/"
		}
		names = append(names, n)
	}
	return names
}
