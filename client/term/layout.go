package term

import (
	"fmt"
	"math"
	"path"
	"strings"
	"unicode/utf8"
)

const (
	shortName = 12 // cells of a name where there is little room
	shortBar  = 8  // a shorter bar tells nothing
)

func (s state) have() int64 { return s.reused + s.moved }

// part returns how much of the total n is, 0 to 1.
func (s state) part(n int64) float64 {
	if s.total <= 0 {
		return 0
	}
	return min(float64(n)/float64(s.total), 1)
}

// amount tells how many bytes are done, "" before there are any if their number is not known.
func (s state) amount() string {
	switch {
	case s.total >= 0:
		return fmt.Sprintf("%s of %s", Bytes(min(s.have(), s.total)), Bytes(s.total))
	case s.have() == 0 && s.held != "":
		return ""
	}
	return Bytes(s.have())
}

// count tells how many files are done, "" for a single one.
func (s state) count() string {
	if s.allFiles == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d files", min(s.files, int64(s.allFiles)), s.allFiles)
}

// kept tells how much of what is done was there already.
func (s state) kept() string {
	if s.reused == 0 {
		return ""
	}
	return Bytes(s.reused) + " reused"
}

// percent is at most 99: what is done is shown no longer.
func (s state) percent() string {
	if s.total < 0 {
		return ""
	}
	return fmt.Sprintf("%d%%", min(int(s.part(s.have())*100), 99))
}

// pace is the rate, or what holds it up.
func (s state) pace() string {
	if s.held != "" {
		return s.held
	}
	return Rate(s.rate)
}

// seconds returns how long it will take if it goes on like this, and if that can be said.
func (s state) seconds() (int64, bool) {
	if s.total < 0 || s.rate < 1 || s.held != "" {
		return 0, false
	}
	n := math.Ceil(float64(max(s.total-s.have()-s.left, 0)) / s.rate)
	return int64(n), n < 100*3600
}

// eta is the time to go as 0:19 or 1:02:03, or "" if that cannot be said.
func (s state) eta() string {
	n, ok := s.seconds()
	switch {
	case !ok:
		return ""
	case n >= 3600:
		return fmt.Sprintf("%d:%02d:%02d", n/3600, n/60%60, n%60)
	}
	return fmt.Sprintf("%d:%02d", n/60, n%60)
}

// comma puts together those of the figures that there are.
func comma(figures ...string) string {
	var list []string
	for _, f := range figures {
		if f != "" {
			list = append(list, f)
		}
	}
	return strings.Join(list, ", ")
}

// plain is the line of the mode plain.
func (s state) plain() string {
	amount, eta := s.amount(), s.eta()
	if p := s.percent(); p != "" {
		amount += " (" + p + ")"
	}
	if eta != "" {
		eta += " left"
	}
	return s.name + ": " + comma(s.count(), amount, s.kept(), s.pace(), eta)
}

// figures are what may stand behind the bar, from all to little.
func (s state) figures() []string {
	end := strings.TrimRight(fmt.Sprintf("%11s %7s", s.pace(), s.eta()), " ")
	switch {
	case s.held != "":
		return []string{comma(s.count(), s.amount(), s.kept(), s.held), comma(s.count(), s.amount(), s.held), comma(s.amount(), s.held), s.held}
	case s.allFiles > 0:
		return []string{comma(s.count(), s.amount(), s.kept(), s.pace(), s.eta()), comma(s.count(), s.amount(), s.pace(), s.eta()),
			comma(s.count(), s.amount(), s.pace()), comma(s.count(), s.pace()), s.count(), end, s.pace()}
	}
	return []string{fmt.Sprintf("%22s %s", comma(s.amount(), s.kept()), end), fmt.Sprintf("%22s %s", s.amount(), end), end, s.pace()}
}

// line is the line of the mode bar, at most columns wide: the name, the percentage, a bar (- for reused, = for moved) and
// figures. What there is no room for is left out: first the bar, then figures, then the name.
func (s state) line(columns int) string {
	for _, figures := range s.figures() {
		for _, room := range []int{max(columns/4, shortName), shortName} {
			head := s.head(room)
			if free := columns - Width(head) - 1 - Width(figures); free >= 0 {
				return head + s.bar(free-3) + " " + figures
			}
		}
	}
	switch p := s.percent(); {
	case s.held != "":
		return Truncate(strings.TrimLeft(p+" "+s.held, " "), columns)
	case columns > Width(p)+1:
		return strings.TrimRight(Shorten(s.name, columns-Width(p)-1)+" "+p, " ")
	default:
		return Truncate(p, columns)
	}
}

// indented is the line of a file below that of its tree.
func (s state) indented(columns int) string {
	s.name = "  " + s.name
	return s.line(columns)
}

// head is the name in so many cells, and the percentage.
func (s state) head(room int) string {
	name := Shorten(s.name, room)
	name += strings.Repeat(" ", max(room-Width(name), 0))
	if p := s.percent(); p != "" {
		name += fmt.Sprintf(" %4s", p)
	}
	return name
}

// bar is a bar of so many cells, or nothing if that is too little.
func (s state) bar(cells int) string {
	if s.total < 0 || cells < shortBar {
		return ""
	}
	reused := int(s.part(s.reused) * float64(cells))
	have := int(s.part(s.have()) * float64(cells))
	return fmt.Sprintf(" [%-*s]", cells, strings.Repeat("-", reused)+strings.Repeat("=", max(have-reused, 0)))
}

// Shorten shortens s, which must have gone through Escape, to at most cells, with … for what was left out of its middle, so
// that the extension of a name stays.
func Shorten(s string, cells int) string {
	if Width(s) <= cells {
		return s
	}
	ext := Width(path.Ext(s))
	if ext+4 > cells {
		return Truncate(s, cells)
	}
	end, room := len(s), min(ext+2, cells/2)
	for tail := 0; end > 0; {
		r, n := utf8.DecodeLastRuneInString(s[:end])
		if tail += runeWidth(r); tail > room {
			break
		}
		end -= n
	}
	for end < len(s) { // a mark stays with its letter
		r, n := utf8.DecodeRuneInString(s[end:])
		if runeWidth(r) > 0 {
			break
		}
		end += n
	}
	return Truncate(s[:end], cells-Width(s[end:])) + s[end:]
}
