package shell

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"ferry/client/config"
	"ferry/client/remote"
)

// reserved are words of ferry's own command line, which a bookmark cannot be.
var reserved = []string{"completion", "doctor", "help", "man"}

func bookmarkCommand() Command {
	return Command{Name: "bookmark", Aliases: []string{"bookmarks"}, Group: "session", Usage: "bookmark [list] | add NAME [ADDRESS] | del NAME",
		Short: "give an address a name of its own",
		More: "open NAME and, outside, ferry NAME go there. Without an address it is where you are now: user, server and directory.\n" +
			"Bookmarks are kept; those of the configuration file (help config) are changed there.",
		Examples: []string{"bookmark add work", "bookmark add www alice@files.example.org/www", "bookmark del www"}, Max: 3, Verbs: map[string]Side{"list": Nowhere, "add": Free + Addresses, "del": Bookmarks},
		Fields: []Field{{"bookmark", "string", "its name"}, {"text", "string", "the address"}, {"from", "string", "the file it stands in"}}, Run: runBookmark}
}

func runBookmark(ctx context.Context, s *Shell, c *Call) error {
	args := c.Args()
	if len(args) == 0 {
		args = []string{"list"}
	}
	marks := s.Settings.Bookmarks
	switch verb := args[0]; {
	case verb == "list" && len(args) == 1:
		all, err := marks.All()
		if err != nil {
			return wrongly(err)
		}
		for _, e := range all {
			if err := s.showEntry("bookmark", e); err != nil {
				return err
			}
		}
		return nil
	case verb == "add" && len(args) == 3:
		return s.addBookmark(args[1], args[2])
	case verb == "add" && len(args) == 2:
		if s.client == nil {
			return &UsageError{"not logged in", "name an address, too: bookmark add NAME USER@HOST[:PORT][/PATH]"}
		}
		return s.addBookmark(args[1], s.here())
	case verb == "del" && len(args) == 2:
		return wrongly(marks.Remove(args[1]))
	}
	return &UsageError{"not understood", "usage: " + bookmarkCommand().Usage}
}

func (s *Shell) addBookmark(name, address string) error {
	if _, err := ParseTarget(address); err != nil {
		return err
	}
	if slices.Contains(reserved, name) {
		return &UsageError{name + " is a word of ferry's command line", "choose another name"}
	}
	return wrongly(s.Settings.Bookmarks.Keep(name, address))
}

// here is where the session is, as an address.
func (s *Shell) here() string {
	o := s.client.Options()
	address := o.User + "@" + o.Address
	if strings.HasPrefix(o.Address, "unix:") {
		return address // which cannot have a path
	}
	if o.Plain {
		address = "ferry+plain://" + address
	}
	if s.dir != "/" {
		address += s.dir
	}
	return address
}

// configured returns what can stand where the settings give the names.
func (s *Shell) configured(side Side) (names []string) {
	add := func(n *config.Names) {
		all, _ := n.All() // Tab does not complain
		for _, e := range all {
			names = append(names, e.Name)
		}
	}
	switch side {
	case Settings:
		for _, t := range s.Settings.All() {
			names = append(names, t.Name)
		}
	case Aliases:
		add(s.Settings.Aliases)
	case Bookmarks:
		add(s.Settings.Bookmarks)
	case Addresses:
		names = KnownAddresses(s.Settings)
	case Numbers:
		for _, b := range s.jobs.all(func(*background) bool { return true }) {
			names = append(names, strconv.Itoa(b.number))
		}
	}
	return names
}

// KnownAddresses returns the bookmarks and the servers whose keys are known, for completion.
func KnownAddresses(settings *config.Settings) (names []string) {
	all, _ := settings.Bookmarks.All()
	for _, e := range all {
		names = append(names, e.Name)
	}
	return append(names, knownServers(settings)...)
}

// knownServers returns the addresses of the servers whose keys are known.
func knownServers(settings *config.Settings) []string {
	known, _ := remote.KnownHosts{Path: settings.Value(config.KnownHosts, "").Text()}.Addresses()
	return known
}
