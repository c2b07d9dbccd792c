package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"ferry/client/config"
	"ferry/client/netrc"
	"ferry/client/remote"
	"ferry/client/shell"
	"ferry/client/term"
)

// What makes the doctor frown.
const (
	littleSpace = 100 << 20   // bytes free
	clockOff    = time.Minute // between the clocks of server and client
	nameWait    = 5 * time.Second
)

// verdict is what the doctor thinks of one thing.
type verdict string

const (
	well   verdict = "ok"
	doubt  verdict = "warn"
	broken verdict = "FAIL"
)

// doctor looks at everything a login needs and says what is wrong, without logging in.
type doctor struct {
	*options
	out    io.Writer
	target shell.Target
	found  map[verdict]int
	exit   int // of the first thing that is broken
}

func (o *options) doctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor [options] [[ferry://|ferry+plain://][USER@]HOST[:PORT] | unix:PATH | BOOKMARK]",
		Short: "say what is wrong: configuration, permissions, keys, name, port, server, clock",
		Long: "ferry doctor looks at everything a login needs, without logging in. Each line is ok, warn or FAIL, with a hint where\n" +
			"something can be done. It exits with 0 if nothing failed, else with the code of the first failure: 4 for a server that\n" +
			"cannot be reached, 5 for a key that is not the known one, 2 for the configuration, 1 for the rest.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			d := &doctor{options: o, out: os.Stdout, found: map[verdict]int{}}
			o.code = d.examine(cmd.Context(), strings.Join(args, ""))
			return nil
		},
		ValidArgsFunction: o.addresses,
	}
	o.configured(cmd)
	return cmd
}

// examine goes through everything and returns the exit code.
func (d *doctor) examine(ctx context.Context, address string) int {
	begin := time.Now()
	d.configuration()
	d.environment()
	d.state()
	d.space()
	d.terminal()
	d.resolve(address)
	d.passwords()
	d.keys()
	if d.target.Address != "" {
		d.server(ctx)
	}
	if d.json() {
		d.emit(map[string]any{"event": "summary", "command": "doctor", "exit": d.exit, "seconds": time.Since(begin).Seconds(), "ok": d.found[well], "warn": d.found[doubt], "fail": d.found[broken]})
	}
	return d.exit
}

func (d *doctor) json() bool { return d.settings.Value(config.JSON, "").On() }

func (d *doctor) emit(v any) {
	if line, err := term.JSON(v); err == nil {
		d.out.Write(line)
	}
}

// tell writes one line. hint may be "".
func (d *doctor) tell(v verdict, check, text, hint string) {
	d.found[v]++
	if d.json() {
		d.emit(map[string]any{"check": check, "status": strings.ToLower(string(v)), "message": text, "hint": hint})
		return
	}
	fmt.Fprintf(d.out, "%-4s  %-13s  %s\n", v, check, term.Escape(text))
	if hint != "" {
		fmt.Fprintf(d.out, "      hint: %s\n", term.Escape(hint))
	}
}

// fail tells of an error that makes the program end with code.
func (d *doctor) fail(code int, check, text, hint string) {
	d.tell(broken, check, text, hint)
	if d.exit == 0 {
		d.exit = code
	}
}

// failed is fail with the words of an error.
func (d *doctor) failed(check string, err error) {
	var h interface{ Hint() string }
	hint := ""
	if errors.As(err, &h) {
		hint = h.Hint()
	}
	d.fail(shell.ExitCode(err), check, err.Error(), hint)
}

func (d *doctor) configuration() {
	if err := d.load(); err != nil {
		d.failed("configuration", err)
		return
	}
	text := "none: " + d.place + " does not exist"
	if d.settings.Path != "" {
		text = d.settings.Path
	}
	d.tell(well, "configuration", text, "")
}

// environment finds misspelt variables, which would be passed over in silence.
func (d *doctor) environment() {
	var known []string
	for _, v := range environment() {
		if strings.HasPrefix(v.name, "FERRY_") {
			known = append(known, v.name)
		}
	}
	for _, s := range d.settings.All() {
		known = append(known, s.Env())
	}
	set, odd := 0, 0
next:
	for _, e := range os.Environ() {
		name, _, _ := strings.Cut(e, "=")
		if !strings.HasPrefix(name, "FERRY_") {
			continue
		}
		set++
		for _, k := range known {
			if name == k {
				continue next
			}
		}
		odd++
		hint := "known: " + strings.Join(known, ", ")
		if best := term.Nearest(name, known); best != "" {
			hint = "did you mean " + best + "?"
		}
		d.tell(doubt, "environment", name+" means nothing to ferry", hint)
	}
	if odd == 0 {
		d.tell(well, "environment", fmt.Sprintf("variables of ferry that are set: %d", set), "")
	}
}

// state looks at who may read and write what ferry remembers.
func (d *doctor) state() {
	dir := d.settings.State
	bad := false
	look := func(path string) {
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return
		}
		if err != nil {
			d.fail(1, "state", err.Error(), "")
			bad = true
			return
		}
		owner, ok := info.Sys().(*syscall.Stat_t)
		mode := info.Mode().Perm()
		right := "chmod 600 " + path
		if info.IsDir() {
			right = "chmod 700 " + path
		}
		switch {
		case ok && int(owner.Uid) != os.Geteuid():
			d.fail(1, "state", path+" belongs to somebody else", "move it away")
		case mode&0o022 != 0 && info.Mode()&fs.ModeSymlink == 0:
			d.fail(1, "state", fmt.Sprintf("%s can be written by others (%04o)", path, mode), right)
		case mode&0o077 != 0 && info.Mode()&fs.ModeSymlink == 0:
			d.tell(doubt, "state", fmt.Sprintf("%s can be read by others (%04o)", path, mode), right)
		default:
			return
		}
		bad = true
	}
	look(dir)
	for _, name := range []string{"known_hosts", "history", "bookmarks", "aliases", "jobs"} {
		look(filepath.Join(dir, name))
	}
	if !bad {
		d.tell(well, "state", dir, "")
	}
}

// space looks at the disks that downloads and ferry's own files go to.
func (d *doctor) space() {
	for _, dir := range []string{".", d.settings.State} {
		var disk syscall.Statfs_t
		if syscall.Statfs(dir, &disk) != nil {
			continue // it is not there yet
		}
		name := dir
		if dir == "." {
			name, _ = os.Getwd()
		}
		free := int64(disk.Bavail) * disk.Bsize
		text := fmt.Sprintf("%s free in %s", term.Bytes(free), name)
		switch {
		case disk.Blocks > 0 && free == 0:
			d.fail(1, "disk", text, "remove something")
		case disk.Blocks > 0 && free < littleSpace:
			d.tell(doubt, "disk", text, "")
		default:
			d.tell(well, "disk", text, "")
		}
	}
}

func (d *doctor) terminal() {
	if !term.IsTerminal(os.Stdin) || !term.IsTerminal(os.Stdout) {
		d.tell(well, "terminal", "none here: ferry would read commands from stdin, and ask nothing", "")
		return
	}
	columns, rows := term.Size(os.Stdout)
	kind := os.Getenv("TERM")
	text := fmt.Sprintf("%s, %d by %d", kind, columns, rows)
	locale := ""
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if locale = os.Getenv(name); locale != "" {
			break
		}
	}
	switch upper := strings.ToUpper(locale); {
	case kind == "" || kind == "dumb":
		d.tell(doubt, "terminal", "TERM says that the terminal can do nothing: no bars, no colours", "export TERM=xterm-256color, if it is like that")
	case !strings.Contains(upper, "UTF-8") && !strings.Contains(upper, "UTF8"):
		d.tell(doubt, "terminal", text+", but the locale is not UTF-8", "export LANG=C.UTF-8, or names in other scripts may look odd")
	default:
		d.tell(well, "terminal", text, "")
	}
}

// resolve finds out which server is meant.
func (d *doctor) resolve(address string) {
	if address == "" {
		address = shell.DefaultAddress
	}
	t, err := shell.Resolve(address, d.settings)
	if err != nil {
		d.failed("address", err)
		return
	}
	d.target = t
}

// passwords looks at where a password would come from.
func (d *doctor) passwords() {
	p := &passwords{settings: d.settings}
	if env := os.Getenv("FERRY_PASSWORD"); env != "" {
		p.env = &env
	}
	address := d.target.Address
	if f := d.settings.Value(config.PasswordFile, address); f.Place != config.BuiltIn {
		if _, err := shell.SecretFile("password file", f.Text()); err != nil {
			d.failed("password", err)
			return
		}
		d.tell(well, "password", f.Text()+" ("+f.From+")", "")
		return
	}
	if p.source(address) != nil {
		d.tell(well, "password", "comes from a command or the environment", "")
		return
	}
	path := netrc.Path()
	_, ok, err := netrc.Password(path, address, d.target.User)
	switch {
	case err != nil:
		d.failed("password", err)
	case ok:
		d.tell(well, "password", "stands in "+path, "")
	default:
		d.tell(well, "password", "would be asked for at a terminal", "")
	}
}

// keys looks at what could log in without a password.
func (d *doctor) keys() {
	p := &passwords{settings: d.settings, ask: func(string) (string, error) { return "", errors.New("not asked") }}
	if files := d.settings.Value(config.Identity, d.target.Address); files.Place != config.BuiltIn {
		for _, file := range files.Texts {
			if _, err := p.key(file); err != nil {
				d.failed("key", err)
				continue
			}
			d.tell(well, "key", file+" ("+files.From+")", "")
		}
		return
	}
	if os.Getenv("SSH_AUTH_SOCK") == "" {
		d.tell(well, "key", "no ssh-agent, no identity file", "")
		return
	}
	keys, err := agentKeys()
	if err != nil {
		d.tell(doubt, "key", "the ssh-agent does not answer: "+err.Error(), "start one, or unset SSH_AUTH_SOCK")
		return
	}
	d.tell(well, "key", fmt.Sprintf("keys that the ssh-agent holds: %d", len(keys)), "")
}

// server asks the server whatever it tells before a login.
func (d *doctor) server(ctx context.Context) {
	address := d.target.Address
	o := remote.Options{Address: address, Plain: d.target.Plain || d.settings.Value(config.Plain, address).On(), Program: "ferry " + version()}
	o.Dial = (&net.Dialer{}).DialContext
	local := strings.HasPrefix(address, "unix:")
	proxy := d.settings.Value(config.ProxyCommand, address)
	switch {
	case local:
	case proxy.Text() != "none":
		o.Dial = remote.Proxy(proxy.Text())
		d.tell(well, "name", "left to the proxy command ("+proxy.From+")", "")
	case !d.name(ctx, address):
		return
	}
	look, err := remote.LookAt(ctx, o)
	if !look.Connected {
		d.fail(4, "port", fmt.Sprintf("%s: %v", address, err), "is ferryd running there, and does a firewall let you through?")
		return
	}
	d.tell(well, "port", address+" answers", "")
	if o.Plain || local {
		d.tell(doubt, "encryption", "none: whoever is on the path can read and alter everything", "")
	} else if !look.Encrypted {
		d.fail(4, "encryption", err.Error(), "is that port a ferry server's, and not a plain listener's (--plain)?")
		return
	} else {
		d.tell(well, "encryption", "TLS 1.3", "")
		d.pin(address, look.Fingerprint)
	}
	if err != nil {
		d.failed("protocol", err)
		return
	}
	d.tell(well, "protocol", fmt.Sprintf("%s answers in %v", look.Server, look.Trip.Round(10*time.Microsecond)), "")
	switch text := fmt.Sprintf("%v apart", look.Clock.Abs().Round(time.Second)); {
	case !look.ClockKnown:
		d.tell(doubt, "clock", "the server does not tell its time", "it is older than this ferry")
	case look.Clock.Abs() > clockOff:
		ahead := map[bool]string{true: ", the server is ahead", false: ", the server is behind"}[look.Clock > 0]
		d.tell(doubt, "clock", text+ahead, "set the clock of one of them: times of files will look wrong")
	default:
		d.tell(well, "clock", text, "")
	}
}

// name looks the host up.
func (d *doctor) name(ctx context.Context, address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		d.fail(2, "name", err.Error(), "")
		return false
	}
	if net.ParseIP(host) != nil {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, nameWait)
	defer cancel()
	found, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		var dns *net.DNSError
		text := err.Error()
		if errors.As(err, &dns) {
			text = dns.Err
		}
		d.fail(4, "name", host+": "+text, "is it spelt right, and is there a network?")
		return false
	}
	d.tell(well, "name", host+" is "+strings.Join(found, ", "), "")
	return true
}

// pin compares the server's key with the one that is known.
func (d *doctor) pin(address, shown string) {
	known := remote.KnownHosts{Path: d.settings.Value(config.KnownHosts, address).Text()}
	want, from := d.settings.Value(config.Fingerprint, address).Text(), ""
	var err error
	if want == "" {
		want, err = known.Lookup(address)
		from = known.Path
	}
	switch {
	case err != nil:
		d.fail(1, "server key", err.Error(), "")
	case want == "":
		d.tell(doubt, "server key", "not known yet: "+shown, "compare it with what `ferryd fingerprint --data DIR` prints on the server; the first login remembers it")
	case want != shown:
		t := &remote.TrustError{Addr: address, Got: shown, Want: want, File: from}
		d.fail(5, "server key", t.Error(), t.Hint())
	default:
		d.tell(well, "server key", "as expected: "+shown, "")
	}
}
