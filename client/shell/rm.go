package shell

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"ferry/client/remote"
	"ferry/client/term"
	"ferry/shared/wire"
)

func rmCommand() Command {
	return Command{Name: "rm", Aliases: []string{"del", "delete", "mdelete", "mrm"}, Group: "files", Usage: "rm [-rf] NAME...", Short: "remove files, with -r directories",
		Examples: []string{"rm old.pdf", "rm *.tmp", "rm -r photos/2019"},
		More: `rm -r removes a directory with everything in it, in one go on the server. A person is told how
much that is, and asked; -f does not ask. What cannot be removed is listed and stays, the rest
goes. Symbolic links are removed, not what they lead to. There is no way back.
`,
		Fields: didFields("removed", Field{"names", "integer", "with -r: how many were removed"}, Field{"kept", "integer", "with -r: how many could not be"}),
		Wire:   []string{wire.CmdRm, wire.CmdRmtree, wire.CmdStat, wire.CmdLs}, Flags: func(f *pflag.FlagSet) {
			recursiveFlag(f, "directories too, with everything in them")
			f.BoolP("force", "f", false, "no question, and no complaint about names that are not there and patterns that nothing fits")
		}, Login: true, Min: 1, Max: -1, Args: There, Run: runRm}
}

func runRm(ctx context.Context, s *Shell, c *Call) error {
	var names []string
	for _, w := range c.words {
		more, err := s.expandRemote(ctx, []Word{w})
		if err != nil && !(c.on("force") && wire.CodeOf(err) == wire.NotFound) {
			return err
		}
		names = append(names, more...)
	}
	errs := make([]error, len(names))
	err := s.pipeline(ctx, len(names), func(i int) *remote.Op {
		return remote.RemoveOp(s.abs(names[i]), func(err error) { errs[i] = err })
	})
	if err != nil {
		return err
	}
	return s.each(ctx, "rm", names, func(name string) error {
		err := errs[0]
		errs = errs[1:]
		switch code := wire.CodeOf(err); {
		case code == wire.IsDir:
			return s.removeDir(ctx, c, name, err)
		case code == wire.NotFound && c.on("force"):
			return nil
		}
		return s.did(err, "removed", s.abs(name), nil)
	})
}

// removeDir removes a directory with what is in it, if that is wanted; err is why it is not removed as files are.
func (s *Shell) removeDir(ctx context.Context, c *Call, name string, err error) error {
	at := s.abs(name)
	switch {
	case !c.on("recursive"):
		return &hinted{err, "rm -r removes a directory with everything in it, rmdir an empty one"}
	case at == "/":
		return &hinted{&wire.Error{Code: wire.BadPath, Message: "the home itself cannot be removed"}, "rm -r /* removes what is in it"}
	case at == s.dir || strings.HasPrefix(s.dir, at+"/"):
		return &hinted{&wire.Error{Code: wire.Busy, Message: "you are in this directory"}, "cd .. first"}
	}
	if s.Person && !c.on("force") {
		if yes, err := s.confirmRemoval(ctx, at, name); err != nil || !yes {
			return err
		}
	}
	ans, err := s.client.RemoveAll(ctx, at)
	if err != nil {
		return err
	}
	if ans.Kept == 0 {
		s.say("removed %s: %s", term.Escape(name), count(ans.Removed, "name"))
	}
	if err := s.did(nil, "removed", at, map[string]any{"names": ans.Removed, "kept": ans.Kept}); err != nil {
		return err
	}
	return s.stayed(ans)
}

// confirmRemoval tells a person what a directory holds, and asks.
func (s *Shell) confirmRemoval(ctx context.Context, at, name string) (bool, error) {
	var files, dirs, length int64
	for e, err := range s.client.List(ctx, at, true) {
		if err != nil {
			return false, err
		}
		if e.Kind == "dir" {
			dirs++
		} else {
			files++
		}
		length += e.Length
	}
	return s.agreed(fmt.Sprintf("Remove %s with all that is in it (%s, %s, %s)?", term.Escape(name), count(files, "file"), count(dirs, "directory"),
		term.Bytes(length)))
}

// agreed asks a person until the answer is yes or no.
func (s *Shell) agreed(question string) (bool, error) {
	if s.job != nil {
		return false, &hinted{errors.New("nobody can be asked in the background"), "-f does it without a question"}
	}
	for {
		answer, err := s.In.Read(question + " [yes/no] ")
		if err != nil {
			return false, errInterrupted
		}
		switch strings.ToLower(strings.TrimSpace(answer)) {
		case "yes", "y":
			return true, nil
		case "no", "n":
			return false, nil
		}
	}
}

// stayed reports what of a tree could not be removed.
func (s *Shell) stayed(ans wire.RmtreeAnswer) error {
	if ans.Kept == 0 {
		return nil
	}
	several := &severalError{all: int(ans.Removed + ans.Kept), failed: int(ans.Kept)}
	for _, k := range ans.Why {
		err := named(string(k.Path), &k.Error)
		s.report("rm", err)
		several.errs = append(several.errs, err)
	}
	if more := ans.Kept - int64(len(ans.Why)); more > 0 {
		s.say("rm: and %s more", count(more, "name"))
	}
	if len(several.errs) == 0 {
		several.errs = []error{&wire.Error{Code: wire.NotEmpty, Message: "some names could not be removed"}}
	}
	return several
}

// count writes a number of things.
func count(n int64, thing string) string {
	switch stem, y := strings.CutSuffix(thing, "y"); {
	case n == 1:
		return "1 " + thing
	case y:
		return fmt.Sprintf("%d %sies", n, stem)
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
