package shell

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"ferry/client/remote"
	"ferry/client/term"
	"ferry/client/transfer"
	"ferry/shared/block"
	"ferry/shared/wire"
)

// transferFlags are the options that put and get share.
func transferFlags(f *pflag.FlagSet) {
	f.BoolP("preserve", "p", false, "keep permission bits too")
	f.BoolP("force", "f", false, "replace what is there, without a question")
	f.StringP("name", "o", "", "under this name (one file only)")
	f.StringP("dir", "O", "", "into this directory")
	f.BoolP("continue", "c", false, "always so: unfinished transfers go on by themselves")
	f.BoolP("append", "a", false, "as -c")
	f.Bool("no-clobber", false, "only where nothing is")
}

func putCommand() Command {
	return Command{Name: "put", Aliases: []string{"mput", "reput", "send"}, Group: "transfer", Usage: "put [-pf] [-o NAME] [-O DIR] FILE... | put FILE NAME",
		Short:    "send files to the server; a broken transfer goes on where it was",
		Examples: []string{"put report.pdf", "put *.jpg -O photos", "put report.pdf -o final.pdf"},
		More: `A file that is there already is replaced in a script; a person is asked first. Content that is the same is never sent.
The second of two names is where the first one goes, unless it is a file here: in scripts -o NAME leaves no doubt.`,
		Login: true, Min: 1, Max: -1, Args: Here, Wire: []string{wire.CmdPut, wire.CmdData, wire.CmdCheck, wire.CmdCommit, wire.CmdStat},
		Flags: func(f *pflag.FlagSet) {
			transferFlags(f)
			f.String("sync", "full", "full: wait until it is on disk; none: do not")
			f.String("if-unchanged", "", "only over this version (see stat)")
		}, Run: runPut}
}

func runPut(ctx context.Context, s *Shell, c *Call) error {
	o := transfer.Options{Force: c.on("force"), Mode: c.on("preserve"), NoSync: s.NoSync}
	switch c.value("sync") {
	case "full":
	case "none":
		o.NoSync = true
	default:
		return usagef("--sync is full or none")
	}
	if c.Changed("if-unchanged") {
		v := c.value("if-unchanged")
		o.Expect = &v
	}
	if c.on("no-clobber") {
		none := ""
		o.Expect = &none
	}
	names, err := expandLocal(c.words)
	if err != nil {
		return err
	}
	here := func(name string) (bool, error) {
		_, err := os.Stat(name)
		return err == nil, nil
	}
	target, err := s.targets(c, names, here, func(name string) (bool, error) {
		e, err := s.client.Stat(ctx, s.abs(name))
		if wire.CodeOf(err) == wire.NotFound {
			return false, nil
		}
		return e.Kind == "dir", err
	}, path.Join)
	if err != nil {
		return err
	}
	return s.each(ctx, "put", target.sources, func(local string) error {
		to := s.abs(target.of(local, filepath.Base(local)))
		fo := o
		if s.Person && !fo.Force && fo.Expect == nil {
			verdict, as, err := s.mayReplaceRemote(ctx, local, to)
			if err != nil || verdict == skip {
				return err
			}
			to, fo.Force = as, verdict == replace
		}
		return s.putOne(ctx, local, to, fo)
	})
}

// destination tells where each source goes.
type destination struct {
	sources []string
	name    string // for the only source; "" keeps names
	dir     string
	join    func(...string) string
}

func (d *destination) of(source, base string) string {
	if d.name != "" {
		base = d.name
	}
	if d.dir == "" {
		return base
	}
	return d.join(d.dir, base)
}

// targets works out where files go: -o and -O, or in the form of sftp "put FILE NAME", where NAME is not a source but a
// target if the last of two words is not a file on the sending side.
func (s *Shell) targets(c *Call, names []string, isSource, isDir func(string) (bool, error), join func(...string) string) (*destination, error) {
	d := &destination{sources: names, name: c.value("name"), dir: c.value("dir"), join: join}
	if d.name == "" && d.dir == "" && len(names) == 2 && len(c.words) == 2 {
		source, err := isSource(names[1])
		if err != nil {
			return nil, named(names[1], err)
		}
		if source {
			return d, nil
		}
		d.sources, d.name = names[:1], names[1]
		dir, err := isDir(d.name)
		if err != nil {
			return nil, named(d.name, err)
		}
		if dir || strings.HasSuffix(d.name, "/") {
			d.dir, d.name = d.name, ""
		}
	}
	if d.name != "" && len(d.sources) > 1 {
		return nil, &UsageError{"-o NAME is for one file", "-O DIR names a directory for several"}
	}
	if d.name != "" && d.dir == "" && c.Changed("name") {
		dir, err := isDir(d.name)
		if err != nil {
			return nil, named(d.name, err)
		}
		if dir || strings.HasSuffix(d.name, "/") {
			d.dir, d.name = d.name, ""
		}
	}
	if strings.Contains(d.name, "/") && d.dir == "" {
		d.dir, d.name = path.Dir(d.name), path.Base(d.name)
	}
	return d, nil
}

// verdict is what is to be done about a target that is there already.
type verdict int

const (
	goOn    verdict = iota // nothing is in the way
	replace                // it may be replaced
	skip
)

// mayReplaceRemote asks a person about a target on the server. Length and time equal to the source's need no question:
// the content is compared anyway. as is the name to use.
func (s *Shell) mayReplaceRemote(ctx context.Context, local, to string) (v verdict, as string, err error) {
	info, err := os.Stat(local)
	if err != nil {
		return skip, to, err
	}
	e, err := s.client.Stat(ctx, to)
	if wire.CodeOf(err) == wire.NotFound {
		return goOn, to, nil
	}
	if err != nil || e.Kind != "file" || e.Length == info.Size() && e.Mtime == info.ModTime().UnixNano() {
		return goOn, to, err
	}
	return s.ask(to, e.Length, e.Mtime, func(name string) (bool, error) {
		_, err := s.client.Stat(ctx, name)
		if wire.CodeOf(err) == wire.NotFound {
			return false, nil
		}
		return true, err
	})
}

// ask lets a person decide about something that is in the way.
func (s *Shell) ask(name string, length, mtime int64, taken func(string) (bool, error)) (verdict, string, error) {
	if !s.all {
		fmt.Fprintf(s.Err, "%s is there already (%s, %s)\n", term.Escape(name), term.Bytes(length), timeText(mtime))
	}
	for !s.all {
		answer, err := s.In.Read("[r]eplace, [s]kip, [k]eep both, replace [a]ll, [c]ancel? ")
		if err != nil {
			return skip, name, errInterrupted
		}
		switch strings.ToLower(strings.TrimSpace(answer)) {
		case "r", "replace", "o", "overwrite", "y", "yes":
			return replace, name, nil
		case "s", "skip", "n", "no":
			return skip, name, nil
		case "a", "all":
			s.all = true
		case "c", "cancel":
			return skip, name, errInterrupted
		case "k", "keep", "keep both":
			free, err := freeName(name, taken)
			return goOn, free, err
		}
	}
	return replace, name, nil
}

// freeName returns "a (2).txt" for "a.txt", or the first number that is not taken.
func freeName(name string, taken func(string) (bool, error)) (string, error) {
	ext := path.Ext(name)
	if path.Base(name) == ext {
		ext = ""
	}
	stem := strings.TrimSuffix(name, ext)
	for n := 2; ; n++ {
		try := fmt.Sprintf("%s (%d)%s", stem, n, ext)
		if there, err := taken(try); err != nil || !there {
			return try, err
		}
	}
}

func (s *Shell) putOne(ctx context.Context, local, to string, o transfer.Options) error {
	done := s.track(local, &o)
	res, err := s.Mover.Put(ctx, local, to, o)
	took := done()
	if errors.Is(err, transfer.ErrIsDir) {
		return err
	}
	if err != nil {
		if wire.CodeOf(err) != "" { // the server speaks of its own side
			err = named(to, err)
		}
		return s.unfinished("put", local, to, res, err)
	}
	verb := "stored"
	if o.NoSync {
		verb = "sent (not synced)"
	}
	return s.done(verb, "sent", path.Base(to), to, res, took)
}

// done is the last line of a transfer.
func (s *Shell) done(verb, moved, name, remotePath string, res remote.Result, took time.Duration) error {
	if s.JSON {
		return s.emit(map[string]any{"event": verb, "path": remotePath, "length": res.Entry.Length, "moved": res.Moved, "reused": res.Reused,
			"same": res.Same, "version": res.Entry.Version, "seconds": took.Seconds()}, "")
	}
	name = term.Escape(name)
	switch {
	case res.Same:
		s.say("up to date %s: %s verified", name, term.Bytes(res.Entry.Length))
	case res.Reused > 0:
		s.say("%s %s: %s, %s reused and verified, %s %s", verb, name, term.Bytes(res.Entry.Length), term.Bytes(res.Reused),
			term.Bytes(res.Moved), moved+pace(res.Moved, took))
	default:
		s.say("%s %s: %s %s", verb, name, term.Bytes(res.Entry.Length), moved+pace(res.Moved, took))
	}
	return nil
}

// pace says how fast bytes moved, if there were enough of them to tell.
func pace(n int64, took time.Duration) string {
	if n < block.Size || took <= 0 {
		return ""
	}
	return " at " + term.Rate(float64(n)/took.Seconds())
}

// unfinished adds to an error that the same command goes on with what was moved.
func (s *Shell) unfinished(cmd, local, to string, res remote.Result, err error) error {
	if res.Moved+res.Reused > 0 && (ExitCode(err) == exitNoLink || ExitCode(err) == exitStopped || errors.Is(err, context.Canceled)) {
		o := s.client.Options()
		line := fmt.Sprintf("%s %s -o %s", cmd, Quote(local), Quote(to))
		if cmd == "get" {
			line = fmt.Sprintf("%s %s -o %s", cmd, Quote(to), Quote(local))
		}
		return &resumable{err, "it goes on with: ferry " + Quote(o.User+"@"+o.Address) + " -c " + Quote(line)}
	}
	return err
}

// resumable is an error after which the same command goes on.
type resumable struct {
	error
	hint string
}

func (e *resumable) Hint() string  { return e.hint }
func (e *resumable) Unwrap() error { return e.error }
