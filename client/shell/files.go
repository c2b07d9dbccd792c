package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/spf13/pflag"

	"ferry/client/term"
	"ferry/shared/wire"
)

func cdCommand() Command {
	return Command{Name: "cd", Group: "files", Usage: "cd [DIR | -]", Short: "change the directory on the server", Examples: []string{"cd photos/2026", "cd -"},
		Login: true, Max: 1, Args: There, Wire: []string{wire.CmdStat}, Run: func(ctx context.Context, s *Shell, c *Call) error {
			to := "/"
			if len(c.words) > 0 {
				if to = c.Args()[0]; to == "-" {
					to = s.before
				} else {
					to = s.abs(to)
				}
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

func mkdirCommand() Command {
	return perName(Command{Name: "mkdir", Aliases: []string{"md"}, Group: "files", Usage: "mkdir [-p] DIR...", Short: "make directories",
		Examples: []string{"mkdir photos", "mkdir -p photos/2026"}, Wire: []string{wire.CmdMkdir}, Flags: func(f *pflag.FlagSet) {
			f.BoolP("parents", "p", false, "also those above, and no complaint if it is there")
		}}, func(ctx context.Context, s *Shell, c *Call, name string) error {
		return s.client.Mkdir(ctx, s.abs(name), c.on("parents"))
	})
}

func rmdirCommand() Command {
	return perName(Command{Name: "rmdir", Aliases: []string{"rd"}, Group: "files", Usage: "rmdir DIR...", Short: "remove empty directories",
		Examples: []string{"rmdir old", "rmdir photos/2025 photos/2024"},
		Wire:     []string{wire.CmdRmdir}}, func(ctx context.Context, s *Shell, c *Call, name string) error {
		return s.client.Rmdir(ctx, s.abs(name))
	})
}

func rmCommand() Command {
	return perName(Command{Name: "rm", Aliases: []string{"del", "delete", "mdelete", "mrm"}, Group: "files", Usage: "rm [-f] FILE...", Short: "remove files",
		Examples: []string{"rm old.pdf", "rm *.tmp"}, Wire: []string{wire.CmdRm}, Flags: func(f *pflag.FlagSet) {
			f.BoolP("force", "f", false, "no complaint about files that are not there")
		}}, func(ctx context.Context, s *Shell, c *Call, name string) error {
		err := s.client.Remove(ctx, s.abs(name))
		if c.on("force") && wire.CodeOf(err) == wire.NotFound {
			return nil
		}
		return err
	})
}

func mvCommand() Command {
	return Command{Name: "mv", Aliases: []string{"rename", "ren", "mmv"}, Group: "files", Usage: "mv [-f] FROM... TO", Short: "move or rename files and directories",
		Examples: []string{"mv draft.txt final.txt", "mv *.pdf papers"}, Login: true, Min: 2, Max: -1, Args: There, Wire: []string{wire.CmdMv, wire.CmdStat},
		Flags: func(f *pflag.FlagSet) { f.BoolP("force", "f", false, "replace a file that is there") },
		Run: func(ctx context.Context, s *Shell, c *Call) error {
			to := c.Args()[len(c.words)-1]
			names, err := s.expandRemote(ctx, c.words[:len(c.words)-1])
			if err != nil {
				return err
			}
			e, err := s.client.Stat(ctx, s.abs(to))
			into := err == nil && e.Kind == "dir"
			if err != nil && wire.CodeOf(err) != wire.NotFound {
				return named(to, err)
			}
			if !into && (len(names) > 1 || strings.HasSuffix(to, "/")) {
				return named(to, &wire.Error{Code: wire.NotDir, Message: "not a directory"})
			}
			return s.each(ctx, "mv", names, func(name string) error {
				target := s.abs(to)
				if into {
					target = path.Join(target, path.Base(s.abs(name)))
				}
				e, err := s.client.Stat(ctx, s.abs(name)) // its version tells a repeated move from a new one
				if err != nil {
					return err
				}
				if err := s.client.Rename(ctx, s.abs(name), target, e.Version, c.on("force")); err != nil {
					return named(target, err) // what is moved is there, as was just seen
				}
				return nil
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
	return perName(Command{Name: "cat", Group: "files", Usage: "cat FILE...", Short: "print files",
		Examples: []string{"cat notes.txt", "cat log.txt | tail -20"}, Wire: []string{wire.CmdStat, wire.CmdGet}},
		func(ctx context.Context, s *Shell, c *Call, name string) error { return s.print(ctx, s.abs(name)) })
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
