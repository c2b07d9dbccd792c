package config

import (
	"errors"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"ferry/client/remote"
	"ferry/client/transfer"
)

// The names of the settings.
const (
	User            = "user"
	Identity        = "identity"
	PasswordFile    = "password-file"
	PasswordCommand = "password-command"
	Fingerprint     = "fingerprint"
	TrustFirst      = "trust-first"
	KnownHosts      = "known-hosts"
	Plain           = "plain"
	ProxyCommand    = "proxy-command"
	ReconnectFor    = "reconnect-for"
	Parallel        = "parallel"
	Limit           = "limit"
	Sync            = "sync"
	Confirm         = "confirm"
	JSON            = "json"
	Quiet           = "quiet"
	Progress        = "progress"
)

// The spellings of some values.
const (
	on   = "on"
	off  = "off"
	none = "none"
	auto = "auto"
)

// Setting is one thing that can be set.
type Setting struct {
	Name    string   // in the configuration file, for set, and after -- on the command line
	Letter  string   // its one-letter option, "" for none
	Arg     string   // what its option takes, in a word; "" for a switch, whose option needs nothing
	Default string   // what is in force if nothing is said; "" for nothing
	Help    string   // one line
	Want    string   // what a right value is, in words that follow "is"
	Advice  string   // where to get one, "" if that is plain
	Choices []string // the only right values, nil if there are others
	File    bool     // it names a file: ~ is the home directory
	List    bool     // it may be given several times, and in the file as an array
	Login   bool     // a change in the shell takes effect at the next login
	Global  bool     // it cannot differ between hosts
	Unasked bool     // it has no option

	check func(text string) (string, error)
}

// Env returns the name of the environment variable that sets it.
func (s Setting) Env() string {
	return "FERRY_" + strings.ToUpper(strings.ReplaceAll(s.Name, "-", "_"))
}

// Table returns every setting, in the order of help. A new setting is one entry here.
func Table() []Setting {
	return []Setting{
		{Name: User, Arg: "NAME", Help: "log in as this user where the address names none", Want: "a name", Login: true, Unasked: true, check: name},
		{Name: Identity, Arg: "FILE", Help: "log in with this private key (or the ssh-agent's half of this public one); may be repeated",
			Want: "the name of a file", File: true, List: true, Login: true, check: file},
		{Name: PasswordFile, Arg: "FILE", Help: "read the password from the first line of a file", Want: "the name of a file", File: true, Login: true, check: file},
		{Name: PasswordCommand, Arg: "COMMAND", Help: "take the first line a command prints as the password", Want: "a command", Login: true, check: line},
		{Name: Fingerprint, Arg: "SHA256:...", Help: "accept only the server with this key", Want: "not of the form SHA256:...",
			Advice: "`ferryd fingerprint --data DIR` prints it on the server", Login: true, check: fingerprint},
		toggle(TrustFirst, "", off, true, "accept and remember the key of an unknown server"),
		{Name: KnownHosts, Arg: "FILE", Help: "where the keys of servers are remembered (default known_hosts in the state directory)",
			Want: "the name of a file", File: true, Login: true, check: file},
		toggle(Plain, "", off, true, "without encryption, to a plain listener"),
		{Name: ProxyCommand, Arg: "COMMAND", Help: "connect through the stdin and stdout of a command: %h is the host, %p the port, %% a percent sign",
			Want: "a command in which % is followed by h, p or %, or none", Default: none, Login: true, check: proxy},
		{Name: ReconnectFor, Arg: "TIME", Help: "how long to try again when the connection is lost", Default: "5m", Want: "a time such as 90s or 5m", Login: true, check: duration},
		{Name: Parallel, Arg: "N", Help: "connections of a transfer (auto: one, more on a long line)", Default: auto, Want: "1 to 16, or auto", check: parallel},
		{Name: Limit, Arg: "RATE", Help: "move at most so many bytes a second, as 500K or 2MiB/s", Default: none,
			Want: "a rate such as 500K or 2MiB/s, at least 4K, or none", check: limit},
		choice(Sync, "MODE", "full", "full: puts are on disk when they are called stored; none: do not wait for that", "full", none),
		{Name: Confirm, Arg: "on|off", Help: "ask a person before something is replaced or deleted", Default: on, Want: "on or off", Choices: []string{on, off},
			Unasked: true, check: onOff},
		global(toggle(JSON, "", off, false, "results as JSON, one object a line")),
		global(toggle(Quiet, "q", off, false, "only results and errors")),
		global(choice(Progress, "MODE", auto, "how transfers are shown: auto (bars on a terminal, else lines; with quiet none), bar, plain, json or none", auto, "bar", "plain", "json", none)),
	}
}

// toggle is a setting that is on or off.
func toggle(name, letter, def string, login bool, help string) Setting {
	return Setting{Name: name, Letter: letter, Default: def, Help: help, Want: "on or off", Choices: []string{on, off}, Login: login, check: onOff}
}

// choice is a setting that is one of a few words.
func choice(name, arg, def, help string, words ...string) Setting {
	last := len(words) - 1
	return Setting{Name: name, Arg: arg, Default: def, Help: help, Want: strings.Join(words[:last], ", ") + " or " + words[last], Choices: words,
		check: func(text string) (string, error) {
			if !slices.Contains(words, text) {
				return "", errWrong
			}
			return text, nil
		}}
}

func global(s Setting) Setting {
	s.Global = true
	return s
}

// errWrong is a value that is not what Setting.Want says.
var errWrong = errors.New("wrong value")

func onOff(text string) (string, error) {
	switch strings.ToLower(text) {
	case on, "true", "yes", "1":
		return on, nil
	case off, "false", "no", "0":
		return off, nil
	}
	return "", errWrong
}

// line takes anything that can stand on one line.
func line(text string) (string, error) {
	if strings.TrimSpace(text) == "" || strings.ContainsAny(text, "\x00\n\r") {
		return "", errWrong
	}
	return text, nil
}

func file(text string) (string, error) {
	text, err := line(text)
	return Home(text), err
}

func name(text string) (string, error) {
	if text == "" || strings.ContainsAny(text, "@:/ \t\x00\n\r") {
		return "", errWrong
	}
	return text, nil
}

func fingerprint(text string) (string, error) {
	if !remote.ValidFingerprint(text) {
		return "", errWrong
	}
	return text, nil
}

func proxy(text string) (string, error) {
	if _, err := remote.ExpandProxy(text, "host:1"); err != nil && text != none {
		return "", errWrong
	}
	return line(text)
}

func duration(text string) (string, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return "", errWrong
	}
	return text, nil
}

func parallel(text string) (string, error) {
	n, err := strconv.Atoi(text)
	if text != auto && (err != nil || n < 1 || n > transfer.MaxParallel) {
		return "", errWrong
	}
	return text, nil
}

func limit(text string) (string, error) {
	if _, err := ParseLimit(text); err != nil && text != none {
		return "", errWrong
	}
	return text, nil
}

// matches tells whether a host pattern is about an address. * and ? stand for characters as in file names; a pattern without
// a port is about all ports.
func matches(pattern, address string) bool {
	escape := strings.NewReplacer("[", `\[`, "]", `\]`, "/", "\x00")
	fits := func(address string) bool {
		yes, _ := path.Match(escape.Replace(strings.ToLower(pattern)), strings.ReplaceAll(strings.ToLower(address), "/", "\x00"))
		return yes
	}
	host := address
	if i := strings.LastIndexByte(address, ':'); i >= 0 && !strings.HasPrefix(address, "unix:") {
		host = address[:i]
	}
	return fits(address) || fits(host) || fits(strings.Trim(host, "[]"))
}
