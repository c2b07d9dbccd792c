package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"

	"github.com/spf13/pflag"

	"ferry/client/remote"
	"ferry/client/term"
	"ferry/shared/wire"
)

func cdCommand() Command {
	return Command{Name: "cd", Group: "files", Usage: "cd [DIR | -]", Short: "change the directory on the server", Examples: []string{"cd photos/2026", "cd -"},
		Login: true, Max: 1, Args: There, Wire: []string{wire.CmdStat}, Run: func(ctx context.Context, s *Shell, c *Call) error {
			to := s.before
			switch {
			case len(c.words) == 0:
				to = "/"
			case c.words[0].Text != "-":
				name, err := s.onlyThere(ctx, c.words[0].directory())
				if err != nil {
					return err
				}
				to = s.abs(name)
			}
			e, err := s.client.Stat(ctx, to)
			if err == nil && e.Kind != "dir" {
				err = &wire.Error{Code: wire.NotDir, Message: "not a directory"}
			}
			if err != nil {
				return named(to, err)
			}
			s.before, s.dir = s.dir, to
			return nil
		}}
}

func pwdCommand() Command {
	return Command{Name: "pwd", Group: "files", Usage: "pwd", Short: "the directory on the server",
		Examples: []string{"pwd", "pwd > where.txt"}, Fields: []Field{{"path", "string", "absolute"}}, Login: true, Max: 0,
		Run: func(ctx context.Context, s *Shell, c *Call) error {
			return s.emit(map[string]any{"path": s.dir}, term.Escape(s.dir)+"\n")
		}}
}

// perName makes a command that does one thing to each of its names.
func perName(cmd Command, f func(ctx context.Context, s *Shell, c *Call, name string) error) Command {
	cmd.Login, cmd.Min, cmd.Max, cmd.Args = true, 1, -1, There
	cmd.Run = func(ctx context.Context, s *Shell, c *Call) error {
		names, err := s.expandRemote(ctx, c.words)
		if err != nil {
			return err
		}
		return s.each(ctx, cmd.Name, names, func(name string) error { return f(ctx, s, c, name) })
	}
	return cmd
}

// did is the result of a command that says nothing when all is well: with JSON an object, and err as it was.
func (s *Shell) did(err error, event, path string, more map[string]any) error {
	if err != nil || !s.JSON {
		return err
	}
	object := map[string]any{"event": event, "path": path}
	maps.Copy(object, more)
	return s.emit(object, "")
}

// didFields are those of did.
func didFields(event string, more ...Field) []Field {
	return append([]Field{{"event", "string", event}, {"path", "string", "absolute"}}, more...)
}

// pipeline sends n requests one behind the other, without waiting for each answer. op is called from another goroutine, what it
// makes is answered on this one.
func (s *Shell) pipeline(ctx context.Context, n int, op func(i int) *remote.Op) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ops, fed := make(chan *remote.Op), make(chan struct{})
	go func() {
		defer close(fed)
		defer close(ops)
		for i := range n {
			select {
			case ops <- op(i):
			case <-ctx.Done():
				return
			}
		}
	}()
	err := s.client.Pipeline(ctx, ops)
	stop()
	<-fed
	return err
}

func mkdirCommand() Command {
	return perName(Command{Name: "mkdir", Aliases: []string{"md"}, Group: "files", Usage: "mkdir [-p] DIR...", Short: "make directories",
		Examples: []string{"mkdir photos", "mkdir -p photos/2026"}, Fields: didFields("made"), Wire: []string{wire.CmdMkdir}, Flags: func(f *pflag.FlagSet) {
			f.BoolP("parents", "p", false, "also those above, and no complaint if it is there")
		}}, func(ctx context.Context, s *Shell, c *Call, name string) error {
		err := s.client.Mkdir(ctx, s.abs(name), c.on("parents"))
		switch wire.CodeOf(err) {
		case wire.Exists:
			err = &hinted{err, "mkdir -p takes a directory that is there"}
		case wire.NotFound:
			err = &hinted{err, "mkdir -p makes those above it, too"}
		}
		return s.did(err, "made", s.abs(name), nil)
	})
}

func rmdirCommand() Command {
	return perName(Command{Name: "rmdir", Aliases: []string{"rd"}, Group: "files", Usage: "rmdir DIR...", Short: "remove empty directories",
		Examples: []string{"rmdir old", "rmdir photos/2025 photos/2024"}, Fields: didFields("removed"),
		Wire: []string{wire.CmdRmdir}}, func(ctx context.Context, s *Shell, c *Call, name string) error {
		return s.did(s.client.Rmdir(ctx, s.abs(name)), "removed", s.abs(name), nil)
	})
}

func mvCommand() Command {
	return Command{Name: "mv", Aliases: []string{"rename", "ren", "mmv"}, Group: "files", Usage: "mv [-fn] FROM... TO", Short: "move or rename files and directories",
		Examples: []string{"mv draft.txt final.txt", "mv *.pdf papers"},
		Fields:   didFields("moved, skipped", Field{"from", "string", "absolute"}), Login: true, Min: 2, Max: -1, Args: There, Wire: []string{wire.CmdMv, wire.CmdStat},
		Flags: func(f *pflag.FlagSet) {
			f.BoolP("force", "f", false, "replace a file that is there")
			f.BoolP("no-clobber", "n", false, "leave alone what is there, without a complaint")
		},
		Run: func(ctx context.Context, s *Shell, c *Call) error {
			if err := replaceOrLeave(c); err != nil {
				return err
			}
			names, to, err := s.sources(ctx, c)
			if err != nil {
				return err
			}
			return s.each(ctx, "mv", names, func(name string) error {
				target := to(name)
				if err := distinct(s.abs(name), target, "moved"); err != nil {
					return err
				}
				e, err := s.client.Stat(ctx, s.abs(name)) // its version tells a repeated move from a new one
				if err != nil {
					return err
				}
				err = s.client.Rename(ctx, s.abs(name), target, e.Version, c.on("force"))
				switch exists := wire.CodeOf(err) == wire.Exists && !c.on("force"); {
				case exists && c.on("no-clobber"):
					return s.did(nil, "skipped", target, map[string]any{"from": s.abs(name)})
				case exists:
					err = &hinted{err, "-f replaces a file, -n leaves it alone"}
				}
				return s.did(named(target, err), "moved", target, map[string]any{"from": s.abs(name)}) // what is moved is there, as was just seen
			})
		}}
}

func statCommand() Command {
	return perName(Command{Name: "stat", Aliases: []string{"info"}, Group: "files", Usage: "stat NAME...", Short: "everything known about a name",
		Examples: []string{"stat report.pdf", "stat *.pdf"}, Fields: entryFields(), Wire: []string{wire.CmdStat}}, func(ctx context.Context, s *Shell, c *Call, name string) error {
		e, err := s.client.Stat(ctx, s.abs(name))
		if err != nil {
			return err
		}
		text := fmt.Sprintf("%s\n  kind     %s\n  length   %d (%s)\n  changed  %s\n  mode     %04o\n", term.Escape(string(e.Name)), term.Escape(e.Kind),
			e.Length, term.Bytes(e.Length), timeText(e.Mtime), e.Mode)
		if e.Version != "" {
			text += "  version  " + term.Escape(e.Version) + "\n"
		}
		return s.emit(entryJSON(e), text)
	})
}

func sumCommand() Command {
	return perName(Command{Name: "sum", Aliases: []string{"sha256sum"}, Group: "files", Usage: "sum FILE...", Short: "SHA-256 of files, computed on the server",
		Examples: []string{"sum report.pdf", "sum *.iso > SHA256SUMS"},
		Fields:   []Field{{"path", "string", "absolute"}, {"sha256", "string", "in hexadecimal digits"}}, Wire: []string{wire.CmdSum}}, func(ctx context.Context, s *Shell, c *Call, name string) error {
		sum, err := s.client.Sum(ctx, s.abs(name))
		if err != nil {
			return err
		}
		return s.emit(map[string]any{"path": s.abs(name), "sha256": sum}, term.Escape(sum)+"  "+term.Escape(name)+"\n")
	})
}

func catCommand() Command {
	return Command{Name: "cat", Group: "files", Usage: "cat FILE...", Short: "print files", Examples: []string{"cat notes.txt", "cat log.txt | tail -20"},
		More: `On a terminal, bytes that would command it or cannot be seen are shown as \xNN; into a file or a
program everything goes as it is.
`,
		Login: true, Min: 1, Max: -1, Args: There, Wire: []string{wire.CmdStat, wire.CmdGet}, Run: func(ctx context.Context, s *Shell, c *Call) error {
			return s.cat(ctx, c, s.columns() > 0)
		}}
}

// cat prints the files that a command names.
func (s *Shell) cat(ctx context.Context, c *Call, safe bool) error {
	names, err := s.expandRemote(ctx, c.words)
	if err != nil {
		return err
	}
	return s.printAll(ctx, c.name, names, safe)
}

// printAll prints files.
func (s *Shell) printAll(ctx context.Context, cmd string, names []string, safe bool) error {
	return s.each(ctx, cmd, names, func(name string) error { return s.print(ctx, s.abs(name), safe) })
}

func lnCommand() Command {
	return Command{Name: "ln", Aliases: []string{"link", "symlink"}, Group: "files", Usage: "ln", Short: "not here: there are no links in homes", Max: -1,
		Examples: []string{"cp -r site site-copy", "mv old.txt new.txt"},
		More: `A link could lead out of a home, or make two names of one file that a transfer replaces apart.
`,
		Flags: func(f *pflag.FlagSet) { f.BoolP("symbolic", "s", false, "not here either") },
		Run: func(context.Context, *Shell, *Call) error {
			return &hinted{&wire.Error{Code: wire.Unsupported, Message: "there are no links in homes"}, "cp makes a second copy, mv another name"}
		}}
}

// sequential takes a download that comes in order.
type sequential struct {
	w   io.Writer
	off int64
}

func (s *sequential) ReadAt([]byte, int64) (int, error) { return 0, io.EOF }

func (s *sequential) WriteAt(b []byte, off int64) (int, error) {
	if off != s.off {
		return 0, errors.New("bytes came out of order")
	}
	n, err := s.w.Write(b)
	s.off += int64(n)
	return n, err
}
