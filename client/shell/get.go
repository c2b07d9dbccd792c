package shell

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"ferry/client/term"
	"ferry/client/transfer"
	"ferry/shared/wire"
)

func getCommand() Command {
	return Command{Name: "get", Aliases: []string{"mget", "reget", "mreget", "pget", "recv", "receive"}, Group: "transfer",
		Usage:    "get [-rpfnE] [-P N] [-o NAME] [-O DIR] FILE... | get FILE NAME | get FILE... DIR | get FILE -",
		Short:    "fetch files and directories from the server; a broken transfer goes on where it was",
		Examples: []string{"get image.png", "get *.pdf -O papers", "get -r site", "get -r --include '*.jpg' photos -O pictures", "get notes.txt -"},
		More: `A different file that is there already stays in a script (exit code 6), unless -f is given; a
person is asked. The second of two names is where the first one goes, and the last of several,
if it is a directory here, where all of them go; but not if it is a file on the server, or with
-r a directory: in scripts -o NAME and -O DIR leave no doubt. get -r DIR makes DIR here; get -r
DIR/ fetches what is in it. In a directory, files whose length and time are equal are left alone.
The name - as the target is stdout.
-E removes a file on the server once it is on disk here, or was already: then the content was
compared, not only length and time. What failed, was skipped or changed meanwhile stays, and so
do directories; it takes the right to delete. The server is asked right before whether the file
is still the one that was fetched: what is put there in the moment after that is lost.
` + patternHelp,
		Fields: movedFields(),
		Login:  true, Min: 1, Max: -1, Args: There + ThereElseHere, Values: map[string]Side{"name": Here, "dir": Here}, Wire: []string{wire.CmdGet, wire.CmdVerify, wire.CmdStat, wire.CmdLs, wire.CmdRm},
		Flags: transferFlags, Run: runGet}
}

func runGet(ctx context.Context, s *Shell, c *Call) error {
	o, err := s.transferOptions(c, transfer.Refuse)
	if err != nil {
		return err
	}
	restore, err := s.limited(c)
	defer restore()
	if err != nil {
		return err
	}
	words, stdout := toStdout(c)
	names, err := s.expandRemote(ctx, words)
	if err != nil {
		return err
	}
	if stdout && o.RemoveSource {
		return usagef("-E is for files: whether stdout kept what was fetched is not known")
	}
	if stdout {
		return s.printAll(ctx, "get", names, s.columns() > 0)
	}
	there := func(name string) (bool, error) {
		e, err := s.client.Stat(ctx, s.abs(name))
		if code := wire.CodeOf(err); code == wire.NotFound || code == wire.NotDir || code == wire.BadPath {
			return false, nil
		}
		return err == nil && (c.on("recursive") || e.Kind != "dir"), err
	}
	target, err := s.targets(c, names, there, func(name string) (bool, error) {
		info, err := os.Stat(s.local(home(name)))
		return err == nil && info.IsDir(), nil
	}, filepath.Join)
	if err != nil {
		return err
	}
	if err := s.inPlace(target.dir); err != nil && !c.on("recursive") {
		return err
	}
	if len(target.sources) == 1 {
		name := target.sources[0]
		e, err := s.client.Stat(ctx, s.abs(name))
		if err != nil {
			return named(name, err)
		}
		if e.Kind != "dir" || !c.on("recursive") {
			return named(name, s.getPlain(ctx, c, target, name, e, o))
		}
		r, err := s.rootDown(target, name)
		if err != nil {
			return err
		}
		return s.tree(ctx, c, labelOf(target.sources), []transfer.Root{r}, o, false)
	}
	if c.Changed("if-unchanged") {
		return usagef("--if-unchanged is for one file")
	}
	roots, single, err := s.rootsDown(ctx, c, target)
	if err != nil {
		return err
	}
	return s.tree(ctx, c, labelOf(target.sources), roots, o, single)
}

// inPlace tells whether there is the directory that files are to go to; "" is the one that we are in.
func (s *Shell) inPlace(dir string) error {
	_, err := os.Stat(s.local(home(dir)))
	if dir == "" || err == nil {
		return nil
	}
	return named(dir, &hinted{err, "lmkdir -p makes directories on this machine"})
}

// toStdout returns the words that name what is to be fetched, and whether that goes to stdout.
func toStdout(c *Call) ([]Word, bool) {
	if c.value("name") == "-" {
		return c.words, true
	}
	if last := c.words[len(c.words)-1]; last.Text == "-" && !last.Quoted[0] && len(c.words) > 1 {
		return c.words[:len(c.words)-1], true
	}
	return c.words, false
}

// baseName returns the name that something on the server gets here: the one that was asked for, never one that the server
// chose.
func baseName(remotePath string) (string, error) {
	base := path.Base(remotePath)
	if base == "/" || base == "." || base == ".." || strings.ContainsRune(base, filepath.Separator) {
		return "", &wire.Error{Code: wire.BadPath, Message: "not a name for a file"}
	}
	return base, nil
}

// rootDown is the root of one directory.
func (s *Shell) rootDown(target *destination, name string) (transfer.Root, error) {
	from, base := s.abs(name), ""
	if !contents(name) && from != "/" {
		var err error
		if base, err = baseName(from); err != nil {
			return transfer.Root{}, named(name, err)
		}
	}
	local := filepath.Clean(s.local(home(target.of(name, base))))
	return transfer.Root{Local: local, Remote: from, Chosen: base == "" || target.name != ""}, nil
}

// rootsDown makes roots of names on the server. single: all of them are files.
func (s *Shell) rootsDown(ctx context.Context, c *Call, target *destination) (roots []transfer.Root, single bool, err error) {
	var g gathered
	single = true
	dirs := map[string]map[string]bool{} // the directories in each directory that was listed
	for _, name := range target.sources {
		from := s.abs(name)
		if c.on("recursive") {
			above := path.Dir(from)
			if dirs[above] == nil && from != "/" {
				if dirs[above], err = s.directories(ctx, above); err != nil {
					return nil, false, named(name, err)
				}
			}
			if from == "/" || dirs[above][path.Base(from)] {
				r, err := s.rootDown(target, name)
				if err != nil {
					return nil, false, err
				}
				g.roots, single = append(g.roots, r), false
				continue
			}
		}
		base, err := baseName(from)
		if err != nil {
			return nil, false, named(name, err)
		}
		g.file(filepath.Dir(s.local(home(target.of(name, base)))), path.Dir(from), base)
	}
	return g.roots, single, nil
}

// directories returns the names of those in a directory of the server.
func (s *Shell) directories(ctx context.Context, dir string) (map[string]bool, error) {
	dirs := map[string]bool{}
	for e, err := range s.client.List(ctx, dir, false) {
		if wire.CodeOf(err) == wire.NotFound {
			return dirs, nil
		}
		if err != nil {
			return nil, err
		}
		if e.Kind == "dir" {
			dirs[string(e.Name)] = true
		}
	}
	return dirs, nil
}

// getPlain fetches one file.
func (s *Shell) getPlain(ctx context.Context, c *Call, target *destination, name string, e wire.Entry, o transfer.TreeOptions) error {
	from := s.abs(name)
	if v := c.value("if-unchanged"); c.Changed("if-unchanged") && e.Version != v {
		return &wire.Error{Code: wire.Changed, Message: "it is not that version any more"}
	}
	base, err := baseName(from)
	if err != nil {
		return err
	}
	local := s.local(home(target.of(name, base)))
	if o.DryRun {
		return s.wouldGet(o, from, e, local)
	}
	err = s.getOne(ctx, c.again(), from, e, local, o.Options)
	if !errors.Is(err, transfer.ErrDiffers) || o.Existing != transfer.Ask && o.Existing != transfer.KeepBoth {
		return err
	}
	info, err := os.Lstat(local)
	if err != nil {
		return err
	}
	v, as, err := s.decide(o, local, info.Size(), info.ModTime().UnixNano(), func(name string) (bool, error) {
		_, err := os.Lstat(name)
		return err == nil, nil
	})
	if err != nil || v == skip {
		return err
	}
	o.Force = v == replace
	return s.getOne(ctx, c.again(), from, e, as, o.Options)
}

// wouldGet prints what -n has to say of one file.
func (s *Shell) wouldGet(o transfer.TreeOptions, from string, e wire.Entry, local string) error {
	if err := transfer.Fetchable(e); err != nil {
		return err
	}
	v := goOn
	if info, err := os.Lstat(local); err == nil {
		if v = replace; info.Size() == e.Length && info.ModTime().UnixNano() == e.Mtime {
			s.say("up to date %s: %s", term.Escape(filepath.Base(local)), term.Bytes(e.Length))
			return s.wouldRemove(o, local, from)
		}
	}
	return s.wouldMove(o, v, local, from)
}

// getOne fetches one file; again is the line that goes on with it.
func (s *Shell) getOne(ctx context.Context, again, from string, e wire.Entry, local string, o transfer.Options) error {
	done := s.track(path.Base(from), &o)
	res, err := s.Mover.Get(ctx, from, e, local, o)
	took := done()
	var kept *transfer.KeptError
	if err != nil && !errors.As(err, &kept) {
		var here *fs.PathError
		if errors.As(err, &here) {
			err = named(here.Path, err)
		}
		if errors.Is(err, transfer.ErrNotRegular) {
			err = &hinted{err, "files take the place of files only; get FILE - > NAME writes into what is there"}
		}
		return s.unfinished(again, res, err)
	}
	if derr := s.done("fetched", "received", filepath.Base(local), from, res, took, o.RemoveSource && kept == nil); derr != nil {
		return derr
	}
	return err
}
