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

// recursiveFlag adds -r, and -R, as sftp has it.
func recursiveFlag(f *pflag.FlagSet, help string) {
	f.BoolP("recursive", "r", false, help+"; so does -R")
	same := f.VarPF(f.Lookup("recursive").Value, "recurse", "R", help)
	same.NoOptDefVal, same.Hidden = "true", true
}

// transferFlags are the options that put and get share.
func transferFlags(f *pflag.FlagSet) {
	f.SortFlags = false
	recursiveFlag(f, "whole directories too")
	f.BoolP("force", "f", false, "replace what is there, without a question")
	f.StringP("name", "o", "", "under this `NAME` (one file or directory)")
	f.StringP("dir", "O", "", "into directory `DIR`")
	f.Bool("no-clobber", false, "leave alone what is there")
	f.Bool("keep-both", false, "a different file that is there stays, the new one becomes \"NAME (2)\"")
	f.BoolP("remove-source", "E", false, "remove each source file when it is safe at its target")
	f.String("if-unchanged", "", "only if the file on the server is still this `VERSION` (see stat)")
	treeFlags(f)
	f.BoolP("continue", "c", false, "always so: unfinished transfers go on by themselves")
	f.BoolP("append", "a", false, "as -c")
}

// transferOptions reads what transferFlags allow; script is what becomes of existing files where nobody can be asked.
func (s *Shell) transferOptions(c *Call, script transfer.Existing) (o transfer.TreeOptions, err error) {
	if o, err = s.treeOptions(c); err != nil {
		return o, err
	}
	o.Force, o.RemoveSource = c.on("force"), c.on("remove-source")
	o.Existing, err = s.existing(c, script)
	o.Force = o.Force || s.Person && o.Existing == transfer.Replace
	return o, err
}

func putCommand() Command {
	return Command{Name: "put", Aliases: []string{"mput", "reput", "mreput", "send"}, Group: "transfer",
		Usage:    "put [-rpfnLE] [-P N] [-o NAME] [-O DIR] FILE... | put FILE NAME | put FILE... DIR | put - -o NAME",
		Short:    "send files and directories to the server; a broken transfer goes on where it was",
		Examples: []string{"put report.pdf", "put *.jpg -O photos", "put report.pdf -o final.pdf", "put -r site", "put -r --exclude '*.tmp' site/ -O www"},
		More: `A file that is there already is replaced in a script; a person is asked first. Content that is
the same is never sent. The second of two names is where the first one goes, and the last of
several, if it is a directory on the server, where all of them go; but not if it is a file here,
or with -r a directory: in scripts -o NAME and -O DIR leave no doubt. put -r DIR makes DIR on the
server; put -r DIR/ puts what is in it. In a directory, files whose length and time are equal are
left alone. The name - is what comes in on stdin, which one put in a run can have. More than 1 MiB of it waits
in a temporary file until its end is known, and cannot be gone on with.
-E removes a file here once the server has it on disk, or had it already: then the content was
compared, not only length and time. What failed, was skipped or changed meanwhile stays, and so
do directories, symbolic links and what one leads to.
` + patternHelp,
		Fields: movedFields(),
		Login:  true, Min: 1, Max: -1, Args: Here + HereElseThere, Values: map[string]Side{"name": There, "dir": There}, Wire: []string{wire.CmdPut, wire.CmdData, wire.CmdCheck, wire.CmdCommit, wire.CmdStat, wire.CmdMkdir},
		Flags: func(f *pflag.FlagSet) {
			transferFlags(f)
			f.String("sync", "full", "`MODE` full waits until it is on disk, none does not")
		}, Run: runPut}
}

func runPut(ctx context.Context, s *Shell, c *Call) error {
	o, err := s.putOptions(c)
	if err != nil {
		return err
	}
	restore, err := s.limited(c)
	defer restore()
	if err != nil {
		return err
	}
	names, err := s.expandLocal(c.words)
	if err != nil {
		return err
	}
	if names[0] == "-" && !c.words[0].Quoted[0] {
		return s.putStdin(ctx, c, names, o)
	}
	here := func(name string) (bool, error) {
		info, err := os.Stat(s.local(name))
		return err == nil && (c.on("recursive") || !info.IsDir()), nil
	}
	target, err := s.targets(c, names, here, s.isRemoteDir(ctx), path.Join)
	if err != nil {
		return err
	}
	roots, single := s.rootsUp(c, target)
	if len(target.sources) == 1 && single {
		name := target.sources[0]
		return named(name, s.putPlain(ctx, c, s.local(name), s.abs(target.of(name, filepath.Base(name))), o))
	}
	if o.Expect != nil {
		return usagef("--if-unchanged is for one file")
	}
	return s.tree(ctx, c, labelOf(target.sources), roots, o, single)
}

func (s *Shell) putOptions(c *Call) (transfer.TreeOptions, error) {
	o, err := s.transferOptions(c, transfer.Replace)
	if err != nil {
		return o, err
	}
	o.Up = true
	switch c.value("sync") {
	case "full":
		o.NoSync = o.NoSync && !c.Changed("sync")
	case "none":
		o.NoSync = true
	default:
		return o, usagef("--sync is full or none")
	}
	if o.RemoveSource && o.NoSync {
		return o, &UsageError{"-E does not go with --sync none", "without it a source is removed when its copy is on disk"}
	}
	if c.Changed("if-unchanged") {
		v := c.value("if-unchanged")
		o.Expect = &v
	}
	return o, nil
}

// isRemoteDir returns a function that tells whether there is a directory of that name on the server.
func (s *Shell) isRemoteDir(ctx context.Context) func(string) (bool, error) {
	return func(name string) (bool, error) {
		e, err := s.client.Stat(ctx, s.abs(name))
		if wire.CodeOf(err) == wire.NotFound {
			return false, nil
		}
		return e.Kind == "dir", err
	}
}

// rootsUp makes roots of names of this machine. single: all of them are files.
func (s *Shell) rootsUp(c *Call, target *destination) (roots []transfer.Root, single bool) {
	var g gathered
	single = true
	for _, name := range target.sources {
		clean := filepath.Clean(s.local(name))
		if info, err := os.Stat(s.local(name)); c.on("recursive") && err == nil && info.IsDir() {
			base := filepath.Base(clean)
			if contents(name) {
				base = ""
			}
			g.roots = append(g.roots, transfer.Root{Local: clean, Remote: s.abs(target.of(name, base)), Chosen: true})
			single = false
			continue
		}
		to := s.abs(target.of(name, filepath.Base(clean)))
		g.file(filepath.Dir(clean), path.Dir(to), filepath.Base(clean))
	}
	return g.roots, single
}

// putPlain sends one file.
func (s *Shell) putPlain(ctx context.Context, c *Call, local, to string, o transfer.TreeOptions) error {
	fo := o.Options
	if o.Existing == transfer.Skip {
		none := ""
		fo.Expect = &none
	}
	if o.DryRun || o.Existing == transfer.KeepBoth || o.Existing == transfer.Ask && fo.Expect == nil {
		verdict, as, err := s.mayReplaceRemote(ctx, local, to, o)
		if err != nil || verdict == skip {
			return err
		}
		if o.DryRun {
			return s.wouldMove(o, verdict, local, as)
		}
		to, fo.Force = as, verdict == replace
		if verdict == unseen {
			fo.Expect = new(string)
			err := s.putOne(ctx, c.again(), local, to, fo)
			if wire.CodeOf(err) == wire.Exists {
				err = &hinted{err, "-f replaces it, -o NAME takes another name"}
			}
			return err
		}
	}
	return s.putOne(ctx, c.again(), local, to, fo)
}

// wouldMove prints what -n has to say of one file.
func (s *Shell) wouldMove(o transfer.TreeOptions, v verdict, local, remotePath string) error {
	deed, target := transfer.Create, local
	if v == replace {
		deed = transfer.Overwrite
	}
	if o.Up {
		target = remotePath
	}
	err := s.emit(map[string]any{"event": "planned", "action": deed.String(), "path": remotePath, "local": local},
		fmt.Sprintf("%-7s  %s\n", deed, term.Escape(target)))
	if err != nil {
		return err
	}
	return s.wouldRemove(o, local, remotePath)
}

// wouldRemove prints what -n has to say of the source of a file.
func (s *Shell) wouldRemove(o transfer.TreeOptions, local, remotePath string) error {
	if !o.RemoveSource {
		return nil
	}
	source := remotePath
	if o.Up {
		source = local
	}
	return s.emit(map[string]any{"event": "planned", "action": "remove", "path": remotePath, "local": local},
		fmt.Sprintf("%-7s  %s\n", "remove", term.Escape(source)))
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
	} else {
		base = plainName(base)
	}
	if d.dir == "" {
		return base
	}
	return d.join(d.dir, base)
}

// targets works out where files go: -o and -O say it, or the last word does, as in "put FILE NAME" and "put FILE... DIR", unless it
// is a source.
func (s *Shell) targets(c *Call, names []string, isSource, isDir func(string) (bool, error), join func(...string) string) (*destination, error) {
	d := &destination{sources: names, name: c.value("name"), dir: c.value("dir"), join: join}
	if last := c.words[len(c.words)-1]; d.name == "" && d.dir == "" && len(c.words) > 1 && !last.HasGlob() {
		source, err := isSource(names[len(names)-1])
		if err != nil {
			return nil, named(last.Text, err)
		}
		if !source || aPlace(last.Text) {
			if err := d.into(last.Text, len(c.words), isDir); err != nil {
				return nil, named(last.Text, err)
			}
		}
	}
	if d.name != "" && len(d.sources) > 1 {
		return nil, &UsageError{"-o NAME is for one file", "-O DIR names a directory for several"}
	}
	if d.name != "" && d.dir == "" && c.Changed("name") {
		dir, err := isDir(d.name)
		if err != nil && wire.CodeOf(err) != wire.Denied { // where the account may not look, a name is a file's
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

// aPlace tells whether a word names a directory by where it is: . and .., the top and the home are where something goes.
func aPlace(word string) bool {
	base := path.Base(word)
	return base == "." || base == ".." || base == "/" || word == "~" || word == "~/"
}

// into makes the last of the sources, typed as the last of so many words, the target of the others, if it can be one: of a single
// one its name or directory, of several their directory.
func (d *destination) into(target string, words int, isDir func(string) (bool, error)) error {
	dir, err := isDir(target)
	last, slash := len(d.sources)-1, strings.HasSuffix(target, "/")
	if err != nil && (last > 1 || wire.CodeOf(err) != wire.Denied) { // where the account may not look, a name is a file's
		return err
	}
	switch {
	case dir, slash && last == 1:
		d.sources, d.dir = d.sources[:last], target
	case last == 1:
		d.sources, d.name = d.sources[:last], target
	case slash, words == 2: // what a pattern fits, and one more
		return &wire.Error{Code: wire.NotFound, Message: "there is no such directory, which several files need"}
	}
	return nil
}

// mayReplaceRemote decides about a target on the server, and asks a person if it must. The same content needs no question. as is
// the name to use.
func (s *Shell) mayReplaceRemote(ctx context.Context, local, to string, o transfer.TreeOptions) (v verdict, as string, err error) {
	info, err := os.Stat(local)
	if err == nil && info.IsDir() {
		err = transfer.ErrIsDir
	}
	if err != nil {
		return skip, to, err
	}
	e, err := s.client.Stat(ctx, to)
	switch {
	case wire.CodeOf(err) == wire.NotFound:
		return goOn, to, nil
	case wire.CodeOf(err) == wire.Denied && o.Existing == transfer.Ask:
		return unseen, to, nil
	case err != nil:
		return goOn, to, err
	}
	same := false
	if e.Kind == "file" && info.Mode().IsRegular() {
		checking, stop := s.comparing(local, e.Length)
		same, err = s.Mover.Same(ctx, to, e, local, checking)
		stop()
	}
	switch code := wire.CodeOf(err); {
	case err != nil && code != wire.Denied && code != wire.Changed && code != wire.NotFound: // those are as good as different
		return goOn, to, err
	case same:
		if o.DryRun {
			s.say("up to date %s: %s", term.Escape(path.Base(to)), term.Bytes(e.Length))
			return skip, to, s.wouldRemove(o, local, to)
		}
		return goOn, to, nil
	case e.Kind != "file" && o.Existing != transfer.KeepBoth, o.DryRun && o.Existing != transfer.KeepBoth:
		return replace, to, nil
	}
	taken := func(name string) (bool, error) {
		_, err := s.client.Stat(ctx, name)
		if wire.CodeOf(err) == wire.NotFound {
			return false, nil
		}
		return true, err
	}
	return s.decide(o, to, e.Length, e.Mtime, taken)
}

// putOne sends one file; again is the line that goes on with it.
func (s *Shell) putOne(ctx context.Context, again, local, to string, o transfer.Options) error {
	done := s.track(s.short(local), &o)
	res, err := s.Mover.Put(ctx, local, to, o)
	took := done()
	if errors.Is(err, transfer.ErrIsDir) {
		return err
	}
	var kept *transfer.KeptError
	if err != nil && !errors.As(err, &kept) {
		if wire.CodeOf(err) != "" { // the server speaks of its own side
			err = named(to, err)
		}
		if wire.CodeOf(err) == wire.NotFound { // the file itself need not be there
			err = &hinted{err, "mkdir -p makes directories on the server"}
		}
		return s.unfinished(again, res, err)
	}
	verb := "stored"
	if o.NoSync {
		verb = "sent (not synced)"
	}
	if derr := s.done(verb, "sent", path.Base(to), to, res, took, o.RemoveSource && kept == nil); derr != nil {
		return derr
	}
	return err
}

// done is the last line of a transfer.
func (s *Shell) done(verb, moved, name, remotePath string, res remote.Result, took time.Duration, removed bool) error {
	if s.JSON {
		return s.emit(map[string]any{"event": verb, "path": remotePath, "length": res.Entry.Length, "moved": res.Moved, "reused": res.Reused,
			"same": res.Same, "version": res.Entry.Version, "seconds": took.Seconds(), "removed": removed}, "")
	}
	name = term.Escape(name)
	gone := ""
	if removed {
		gone = ", source removed"
	}
	switch {
	case res.Same:
		s.say("up to date %s: %s verified%s", name, term.Bytes(res.Entry.Length), gone)
	case res.Reused > 0:
		s.say("%s %s: %s, %s reused and verified, %s %s", verb, name, term.Bytes(res.Entry.Length), term.Bytes(res.Reused),
			term.Bytes(res.Moved), moved+pace(res.Moved, took)+gone)
	default:
		s.say("%s %s: %s %s", verb, name, term.Bytes(res.Entry.Length), moved+pace(res.Moved, took)+gone)
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

// unfinished adds to an error that a line goes on with what was moved.
func (s *Shell) unfinished(again string, res remote.Result, err error) error {
	if res.Moved+res.Reused > 0 && (ExitCode(err) == exitNoLink || ExitCode(err) == exitStopped || errors.Is(err, context.Canceled)) {
		return &hinted{err, "it goes on with: " + s.anywhere(again)}
	}
	return err
}

// anywhere is what runs a line again, wherever whoever reads it may be by then.
func (s *Shell) anywhere(line string) string {
	if s.Person && s.job == nil {
		return line
	}
	if s.dir != "/" || s.Person {
		line = "cd " + Quote(s.dir) + " && " + line
	}
	if !s.Person {
		o := s.client.Options()
		return "ferry " + Quote(o.User+"@"+o.Address) + " -c " + Quote(line)
	}
	if at, err := os.Getwd(); err != nil || at != s.ldir {
		line = "lcd " + Quote(s.ldir) + " && " + line
	}
	return line
}

// hinted is an error with what can be done about it.
type hinted struct {
	error
	hint string
}

func (e *hinted) Hint() string  { return e.hint }
func (e *hinted) Unwrap() error { return e.error }
