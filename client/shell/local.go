package shell

import (
	"context"
	"io/fs"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/pflag"

	"ferry/client/config"
	"ferry/client/term"
	"ferry/shared/wire"
)

func lcdCommand() Command {
	return Command{Name: "lcd", Group: "local", Usage: "lcd [DIR | -]", Short: "change the directory on this machine", Examples: []string{"lcd ~/Downloads", "lcd -"},
		Max: 1, Args: Here, Run: func(ctx context.Context, s *Shell, c *Call) error {
			dir := home("~")
			if len(c.words) > 0 {
				name, err := s.onlyHere(c.words[0].directory())
				if err != nil {
					return err
				}
				if dir = name; dir == "-" && s.lbefore != "" {
					dir = s.lbefore
				}
			}
			before, err := s.workdir()
			if err == nil {
				err = s.chdir(dir)
			}
			if err == nil {
				s.lbefore = before
			}
			return named(dir, err)
		}}
}

func lpwdCommand() Command {
	return Command{Name: "lpwd", Group: "local", Usage: "lpwd", Short: "the directory on this machine",
		Examples: []string{"lpwd", "lpwd > where.txt"}, Fields: []Field{{"path", "string", "absolute"}}, Max: 0,
		Run: func(ctx context.Context, s *Shell, c *Call) error {
			dir, err := s.workdir()
			if err != nil {
				return err
			}
			return s.emit(map[string]any{"path": dir}, term.Escape(dir)+"\n")
		}}
}

func llsCommand() Command {
	return Command{Name: "lls", Aliases: []string{"ldir"}, Group: "local", Usage: "lls [-1adlhtSUrR] [NAME...]", Short: "list files on this machine", Examples: []string{"lls -lt", "lls ~/*.pdf"}, Fields: append(entryFields(), Field{"entries", "integer", "summary: how many"}),
		Max: -1, Args: Here, Flags: listFlags, Run: func(ctx context.Context, s *Shell, c *Call) error {
			names, err := s.expandLocal(c.words)
			if err != nil {
				return err
			}
			if len(names) == 0 {
				names = []string{"."}
			}
			describe := func(name string) (wire.Entry, error) {
				info, err := os.Lstat(s.local(name))
				if err != nil {
					return wire.Entry{}, err
				}
				return localEntry(name, info), nil
			}
			return s.listNames(ctx, "lls", c, names, describe, func(name string) iter.Seq2[wire.Entry, error] {
				return listLocal(ctx, s.local(name), c.on("recursive"))
			})
		}}
}

// listLocal yields what is in a directory of this machine, with deep everything below; what cannot be read there is left out.
func listLocal(ctx context.Context, dir string, deep bool) iter.Seq2[wire.Entry, error] {
	return func(yield func(wire.Entry, error) bool) {
		err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case name == ".":
				return err
			case err != nil:
				return nil
			}
			if info, err := d.Info(); err == nil && !yield(localEntry(name, info), nil) {
				return fs.SkipAll
			}
			if d.IsDir() && !deep {
				return fs.SkipDir
			}
			return nil
		})
		if err != nil {
			yield(wire.Entry{}, err)
		}
	}
}

func lmkdirCommand() Command {
	return Command{Name: "lmkdir", Group: "local", Usage: "lmkdir [-p] DIR...", Short: "make directories on this machine",
		Examples: []string{"lmkdir incoming", "lmkdir -p photos/2026"},
		Fields:   []Field{{"event", "string", "made"}, {"path", "string", "as it was given"}}, Min: 1, Max: -1, Args: Here, Flags: func(f *pflag.FlagSet) {
			f.BoolP("parents", "p", false, "also those above, and no complaint if it is there")
		}, Run: func(ctx context.Context, s *Shell, c *Call) error {
			make := os.Mkdir
			if c.on("parents") {
				make = os.MkdirAll
			}
			return s.each(ctx, "lmkdir", c.Args(), func(name string) error {
				return s.did(make(s.local(home(name)), 0o777), "made", name, nil)
			})
		}}
}

func localEntry(name string, info os.FileInfo) wire.Entry {
	kind := "other"
	switch {
	case info.IsDir():
		kind = "dir"
	case info.Mode().IsRegular():
		kind = "file"
	case info.Mode()&os.ModeSymlink != 0:
		kind = "link"
	}
	return wire.Entry{Name: wire.Name(name), Kind: kind, Length: info.Size(), Mtime: info.ModTime().UnixNano(), Mode: uint32(info.Mode().Perm())}
}

// home replaces a leading ~ by the home directory.
func home(name string) string { return config.Home(name) }

// workdir returns the directory of this machine that names begin at.
func (s *Shell) workdir() (string, error) {
	if s.ldir != "" {
		return s.ldir, nil
	}
	return os.Getwd()
}

// chdir goes to another directory of this machine. That of a job is its own.
func (s *Shell) chdir(dir string) error {
	if s.ldir == "" {
		return os.Chdir(dir)
	}
	info, err := os.Stat(s.local(dir))
	if err == nil && !info.IsDir() {
		err = syscall.ENOTDIR
	}
	if err == nil {
		s.ldir = filepath.Clean(s.local(dir))
	}
	return err
}

// local returns a name of this machine as the system takes it: that of a job begins at the job's directory, wherever the
// program has gone since. It is not cleaned, for a slash or a dot at its end means something.
func (s *Shell) local(name string) string {
	if s.ldir == "" || name == "" || filepath.IsAbs(name) {
		return name
	}
	return s.ldir + "/" + name
}

// short is a name that local returned, for a person.
func (s *Shell) short(name string) string {
	if s.ldir == "" {
		return name
	}
	return strings.TrimPrefix(name, s.ldir+"/")
}

func shellCommand() Command {
	return Command{Name: "!", Group: "local", Usage: "!COMMAND", Short: "run a command on this machine", Examples: []string{"!ls -la", "!sha256sum report.pdf"},
		Raw: true, Max: 1, Run: func(ctx context.Context, s *Shell, c *Call) error {
			line := ""
			if len(c.words) > 0 {
				line = c.words[0].Text
			}
			cmd := localShell(line)
			if strings.TrimSpace(line) == "" {
				if !s.Person {
					return usagef("!: which command?")
				}
				cmd = exec.Command(cmd.Path)
			}
			cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, s.raw(), os.Stderr
			wait, err := s.front(ctx, cmd)
			if err != nil {
				return err
			}
			return wait()
		}}
}
