// Package config knows what can be set in ferry and what is in force: each setting is in one table, and has its value from
// the shell, an option, the environment, the configuration file, or the table, whichever of these comes first.
package config

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"ferry/client/term"
	"ferry/client/transfer"
)

// Place is a kind of place where a value can come from. A lower one wins.
type Place int

// The places.
const (
	Session     Place = iota // set NAME VALUE
	Option                   // the command line
	Environment              // FERRY_NAME
	Host                     // a [host."PATTERN"] of the configuration file
	Defaults                 // [defaults] there
	BuiltIn                  // the table
)

// Value is what a setting is set to.
type Value struct {
	Texts []string // in the spelling that Setting.check gives it; one, but for a list
	Place Place
	From  string // the place in words: "--limit", "FERRY_LIMIT", "/home/alice/.config/ferry/config.toml:3"
}

// Text returns the value as one text; the parts of a list are separated by commas.
func (v Value) Text() string { return strings.Join(v.Texts, ",") }

// On tells whether a switch is on.
func (v Value) On() bool { return v.Text() == on }

// Int returns a number, 0 for auto.
func (v Value) Int() int {
	n, _ := strconv.Atoi(v.Text())
	return n
}

// Duration returns a time.
func (v Value) Duration() time.Duration {
	d, _ := time.ParseDuration(v.Text())
	return d
}

// Rate returns bytes a second, 0 for none.
func (v Value) Rate() int64 {
	if v.Text() == none {
		return 0
	}
	n, _ := ParseLimit(v.Text())
	return n
}

// Error is a wrong value, or a configuration file that cannot be used.
type Error struct {
	Msg    string
	Advice string
}

func (e *Error) Error() string { return e.Msg }

// Hint says what to do.
func (e *Error) Hint() string { return e.Advice }

// Settings are the settings of a run of ferry. They are not safe for concurrent use.
type Settings struct {
	Path      string // of the configuration file, "" if there is none
	State     string // the directory where ferry keeps what it must remember
	Bookmarks *Names
	Aliases   *Names

	table  []Setting
	places [Host]map[string]Value // Session, Option and Environment
	hosts  []section              // of the configuration file, in its order
	common map[string]Value       // its [defaults]
}

// section is one [host."PATTERN"].
type section struct {
	pattern string
	values  map[string]Value
}

// New returns settings that have the values of the table. What ferry remembers is in the directory state, "" for nowhere.
func New(state string) *Settings {
	s := &Settings{State: state, table: Table(), common: map[string]Value{}, Bookmarks: newNames(state, "bookmarks"),
		Aliases: newNames(state, "aliases")}
	for i := range s.places {
		s.places[i] = map[string]Value{}
	}
	return s
}

// Clone returns the settings as they are now: what is set in one of the two later, the other does not see.
func (s *Settings) Clone() *Settings {
	c := *s
	for i := range c.places {
		c.places[i] = maps.Clone(s.places[i])
	}
	c.Bookmarks, c.Aliases = s.Bookmarks.clone(), s.Aliases.clone()
	return &c
}

// Value returns what is in force for connections to an address.
func (s *Settings) Value(name, address string) Value {
	for _, p := range s.places {
		if v, ok := p[name]; ok {
			return v
		}
	}
	for _, h := range s.hosts {
		if v, ok := h.values[name]; ok && matches(h.pattern, address) {
			return v
		}
	}
	if v, ok := s.common[name]; ok {
		return v
	}
	v := Value{Place: BuiltIn, From: "default"}
	if t, ok := s.find(name); ok && t.Default != "" {
		v.Texts = []string{t.Default}
	}
	if name == KnownHosts {
		v.Texts = []string{filepath.Join(s.State, "known_hosts")}
	}
	return v
}

// Set gives a setting a value, with an *Error if it is none. from says in words where it stands.
func (s *Settings) Set(place Place, from, name string, texts ...string) error {
	said := from
	if place == Session { // the shell says which command it was
		said = ""
	}
	v, err := s.check(name, said, texts)
	if err != nil {
		return err
	}
	v.Place, v.From = place, from
	s.places[place][v.name] = v.Value
	return nil
}

// Unset takes back what was set in the shell.
func (s *Settings) Unset(name string) error {
	t, ok := s.find(name)
	if !ok {
		return s.unknown(name, "")
	}
	delete(s.places[Session], t.Name)
	return nil
}

// Environment takes the values of FERRY_NAME. Those of a list are separated by commas.
func (s *Settings) Environment(getenv func(string) string) error {
	for _, t := range s.table {
		text := getenv(t.Env())
		if text == "" {
			continue
		}
		texts := []string{text}
		if t.List {
			texts = strings.Split(text, ",")
		}
		if err := s.Set(Environment, t.Env(), t.Name, texts...); err != nil {
			return err
		}
	}
	return nil
}

// checked is a value that is right for the setting of that name.
type checked struct {
	name string
	Value
}

func (s *Settings) check(name, from string, texts []string) (checked, error) {
	t, ok := s.find(name)
	if !ok {
		return checked{}, s.unknown(name, from)
	}
	v := checked{t.Name, Value{From: from}}
	for _, text := range texts {
		right, err := t.check(text)
		if err != nil {
			return v, t.wrong(cmp.Or(from, t.Name))
		}
		v.Texts = append(v.Texts, right)
	}
	return v, nil
}

// wrong is a value that is not right for the setting.
func (s Setting) wrong(place string) error { return &Error{place + " is " + s.Want, s.Advice} }

// find returns the setting of a name, which may be written with _ for -.
func (s *Settings) find(name string) (Setting, bool) {
	name = strings.ReplaceAll(name, "_", "-")
	i := slices.IndexFunc(s.table, func(t Setting) bool { return t.Name == name })
	if i < 0 {
		return Setting{}, false
	}
	return s.table[i], true
}

// unknown is the answer to a setting that does not exist. from is where it stands, "" if that is known.
func (s *Settings) unknown(name, from string) error {
	if from != "" {
		from += ": "
	}
	if secret(name) {
		return &Error{from + "a password is not kept here", "password-command = \"...\" takes what a command prints, password-file = \"...\" the first line of a file"}
	}
	var names []string
	for _, t := range s.table {
		names = append(names, t.Name)
	}
	return &Error{fmt.Sprintf("%sthere is no setting %q", from, name), suggest(strings.ReplaceAll(name, "_", "-"), names)}
}

// secret tells whether somebody who writes such a key has a secret in mind.
func secret(name string) bool {
	return slices.Contains([]string{"password", "passwd", "pass", "passphrase", "secret"}, strings.ToLower(name))
}

// suggest names the nearest of names, or all of them.
func suggest(name string, names []string) string {
	if best := term.Nearest(name, names); best != "" {
		return "did you mean " + best + "?"
	}
	return "known: " + strings.Join(names, ", ")
}

// All returns every setting, in the order of the table.
func (s *Settings) All() []Setting { return s.table }

// Find returns a setting, with an *Error if there is none of that name.
func (s *Settings) Find(name string) (Setting, error) {
	t, ok := s.find(name)
	if !ok {
		return t, s.unknown(name, "")
	}
	return t, nil
}

// Dirs returns where the configuration file is looked for and where ferry remembers things: $XDG_CONFIG_HOME/ferry and
// $XDG_STATE_HOME/ferry, by default below ~/.config and ~/.local/state.
func Dirs() (config, state string, err error) {
	home, err := os.UserHomeDir()
	dir := func(env string, below ...string) string {
		if d := os.Getenv(env); filepath.IsAbs(d) {
			return filepath.Join(d, "ferry")
		}
		return filepath.Join(append(append([]string{home}, below...), "ferry")...)
	}
	config, state = dir("XDG_CONFIG_HOME", ".config"), dir("XDG_STATE_HOME", ".local", "state")
	if !filepath.IsAbs(config) || !filepath.IsAbs(state) {
		return "", "", &Error{"no home directory: " + err.Error(), "set HOME, or XDG_CONFIG_HOME and XDG_STATE_HOME"}
	}
	return config, state, nil
}

// Home returns the name of a file with a leading ~ replaced by the person's home directory.
func Home(name string) string {
	if name == "~" || strings.HasPrefix(name, "~/") {
		if dir, err := os.UserHomeDir(); err == nil {
			return filepath.Join(dir, name[1:])
		}
	}
	return name
}

// ParseLimit reads a rate that transfers can be held to, in bytes a second.
func ParseLimit(text string) (int64, error) {
	n, err := term.ParseRate(text)
	if err == nil && n < transfer.MinRate {
		err = fmt.Errorf("the lowest rate is %s", term.Rate(transfer.MinRate))
	}
	return n, err
}
