package shell

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"strings"

	"github.com/spf13/pflag"

	"ferry/client/remote"
	"ferry/client/term"
	"ferry/client/transfer"
	"ferry/shared/wire"
)

func cpCommand() Command {
	return Command{Name: "cp", Aliases: []string{"copy"}, Group: "files", Usage: "cp [-rfn] FROM... TO", Short: "copy files and directories on the server",
		Examples: []string{"cp report.pdf report-old.pdf", "cp -r site site-2026", "cp *.pdf papers"},
		More: `The bytes stay on the server: nothing is fetched and sent. Copies have the time and the mode of
what they are copies of. A directory that is there already is copied into; a file that is
there stays, unless -f is given, and is an error, unless -n is given.
`,
		Fields: didFields("copied, made, skipped", Field{"from", "string", "absolute"}, Field{"length", "integer", "bytes of the file"},
			Field{"reason", "string", "why it was skipped"}, Field{"files", "integer", "summary: files copied"},
			Field{"directories", "integer", "summary: directories made, or there already"}, Field{"bytes", "integer", "summary: bytes copied"},
			Field{"skipped", "integer", "summary: names left out"}),
		Login: true, Min: 2, Max: -1, Args: There, Wire: []string{wire.CmdCp, wire.CmdMkdir, wire.CmdStat, wire.CmdLs},
		Flags: func(f *pflag.FlagSet) {
			recursiveFlag(f, "directories too, with everything in them")
			f.BoolP("force", "f", false, "replace files that are there")
			f.BoolP("no-clobber", "n", false, "leave alone files that are there, without a complaint")
		}, Run: runCp}
}

// copying is a cp under way.
type copying struct {
	s       *Shell
	call    *Call
	steps   []copyStep
	failed  failures
	files   int64
	dirs    int64
	bytes   int64
	skipped int64
}

// copyStep is a file to copy, or a directory to make.
type copyStep struct {
	dir      bool
	from, to string
	length   int64
}

func runCp(ctx context.Context, s *Shell, c *Call) error {
	if err := replaceOrLeave(c); err != nil {
		return err
	}
	names, to, err := s.sources(ctx, c)
	if err != nil {
		return err
	}
	k := &copying{s: s, call: c, failed: failures{s: s, cmd: "cp"}}
	for _, name := range names {
		err := named(name, k.plan(ctx, s.abs(name), to(name)))
		if err != nil && (ctx.Err() != nil || len(names) == 1 || fatal(err)) {
			return err
		}
		k.failed.add(err)
	}
	single := len(names) == 1 && len(k.steps) == 1 && !k.steps[0].dir
	err = k.run(ctx, single)
	if ctx.Err() != nil || err != nil {
		return err
	}
	return k.end(single)
}

// replaceOrLeave refuses -f and -n together.
func replaceOrLeave(c *Call) error {
	if c.on("force") && c.on("no-clobber") {
		return usagef("-f replaces files, -n leaves them alone: which?")
	}
	return nil
}

// plan adds what it takes to copy a file or directory to a name.
func (k *copying) plan(ctx context.Context, from, to string) error {
	e, err := k.s.client.Stat(ctx, from)
	if err == nil {
		err = distinct(from, to, "copied")
	}
	switch {
	case err != nil:
		return err
	case e.Kind == "dir" && !k.call.on("recursive"):
		return &hinted{transfer.ErrIsDir, "cp -r copies whole directories"}
	case e.Kind != "dir":
		if err := transfer.Fetchable(e); err != nil {
			return err
		}
		k.steps = append(k.steps, copyStep{false, from, to, e.Length})
		return nil
	}
	if there, err := k.s.client.Stat(ctx, to); err == nil && there.Kind != "dir" {
		return named(to, &wire.Error{Code: wire.NotDir, Message: "not a directory"})
	}
	k.steps = append(k.steps, copyStep{dir: true, from: from, to: to})
	for e, err := range k.s.client.List(ctx, from, true) {
		source, target := path.Join(from, string(e.Name)), path.Join(to, string(e.Name))
		switch {
		case err != nil:
			return err
		case e.Kind == "dir" || e.Kind == "file":
			k.steps = append(k.steps, copyStep{e.Kind == "dir", source, target, e.Length})
		default:
			k.skip(source, "a symbolic link or not a regular file")
		}
	}
	return nil
}

// distinct refuses a target that is the source, or below it.
func distinct(from, to, done string) error {
	switch {
	case from == to:
		return &wire.Error{Code: wire.BadPath, Message: "cannot be " + done + " onto itself"}
	case strings.HasPrefix(to, strings.TrimSuffix(from, "/")+"/"):
		return &wire.Error{Code: wire.BadPath, Message: "cannot be " + done + " into itself"}
	}
	return nil
}

// run carries out the steps.
func (k *copying) run(ctx context.Context, single bool) error {
	var alone error
	err := k.s.pipeline(ctx, len(k.steps), func(i int) *remote.Op {
		t := k.steps[i]
		if t.dir {
			return remote.MkdirOp(t.to, true, func(err error) { k.failed.add(k.made(t, err)) })
		}
		return remote.CopyOp(t.from, t.to, k.call.on("force"), func(err error) {
			if err = k.copied(t, err); single {
				alone = err
			} else {
				k.failed.add(err)
			}
		})
	})
	return cmp.Or(err, alone, k.failed.fatal)
}

// made is told what became of a directory.
func (k *copying) made(t copyStep, err error) error {
	if err == nil {
		k.dirs++
	}
	return k.s.did(named(t.to, err), "made", t.to, nil)
}

// copied is told what became of a file.
func (k *copying) copied(t copyStep, err error) error {
	switch code := wire.CodeOf(err); {
	case err == nil:
		k.files++
		k.bytes += t.length
	case code == wire.Exists && k.call.on("no-clobber"):
		k.skip(t.to, "it is there already")
		return nil
	case code == wire.Exists:
		err = &hinted{err, "-f replaces it, -n leaves it alone"}
	case code == wire.Changed:
		return named(t.from, err)
	}
	return k.s.did(named(t.to, err), "copied", t.to, map[string]any{"from": t.from, "length": t.length})
}

// skip tells of a name that is left out.
func (k *copying) skip(name, why string) {
	k.skipped++
	if k.s.JSON {
		k.s.did(nil, "skipped", name, map[string]any{"reason": why})
	} else if !k.call.on("no-clobber") {
		fmt.Fprintf(k.s.Err, "cp: %s: left out: %s\n", term.Escape(name), why)
	}
}

// end says how it went.
func (k *copying) end(single bool) error {
	k.call.summary = map[string]any{"files": k.files, "directories": k.dirs, "bytes": k.bytes, "skipped": k.skipped}
	switch {
	case single && k.files == 1:
		k.s.say("copied %s: %s", term.Escape(path.Base(k.steps[0].to)), term.Bytes(k.bytes))
	case k.dirs > 0:
		k.s.say("copied %s in %s: %s", count(k.files, "file"), count(k.dirs, "directory"), term.Bytes(k.bytes))
	case k.files > 0:
		k.s.say("copied %s: %s", count(k.files, "file"), term.Bytes(k.bytes))
	}
	return k.failed.of(k.files + k.dirs + k.skipped)
}

// sources returns what the last word of a command says where the others go: to that name, or into it if it is a directory.
func (s *Shell) sources(ctx context.Context, c *Call) (names []string, to func(name string) string, err error) {
	last := len(c.words) - 1
	if names, err = s.expandRemote(ctx, c.words[:last]); err != nil {
		return nil, nil, err
	}
	target, err := s.onlyThere(ctx, c.words[last])
	if err != nil {
		return nil, nil, err
	}
	e, err := s.client.Stat(ctx, s.abs(target))
	into := err == nil && e.Kind == "dir"
	switch {
	case err != nil && wire.CodeOf(err) != wire.NotFound:
		return nil, nil, named(target, err)
	case !into && (len(names) > 1 || strings.HasSuffix(target, "/")):
		return nil, nil, named(target, &wire.Error{Code: wire.NotDir, Message: "not a directory"})
	}
	return names, func(name string) string {
		if into {
			return path.Join(s.abs(target), path.Base(s.abs(name)))
		}
		return s.abs(target)
	}, nil
}
