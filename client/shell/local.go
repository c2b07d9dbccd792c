package shell

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"ferry/client/term"
	"ferry/shared/wire"
)

func lcdCommand() Command {
	return Command{Name: "lcd", Group: "local", Usage: "lcd [DIR]", Short: "change the directory on this machine",
		Examples: []string{"lcd", "lcd ~/photos"}, Max: 1, Args: Here,
		Run: func(ctx context.Context, s *Shell, c *Call) error {
			dir := home("~")
			if len(c.words) > 0 {
				dir = home(c.Args()[0])
			}
			return named(dir, os.Chdir(dir))
		}}
}

func lpwdCommand() Command {
	return Command{Name: "lpwd", Group: "local", Usage: "lpwd", Short: "the directory on this machine",
		Examples: []string{"lpwd", "lpwd > where.txt"}, Fields: []Field{{"path", "string", "absolute"}}, Max: 0,
		Run: func(ctx context.Context, s *Shell, c *Call) error {
			dir, err := os.Getwd()
			if err != nil {
				return err
			}
			return s.emit(map[string]any{"path": dir}, term.Escape(dir)+"\n")
		}}
}

func llsCommand() Command {
	cmd := lsCommand()
	return Command{Name: "lls", Aliases: []string{"ldir"}, Group: "local", Usage: "lls [-1alhtSr] [NAME...]", Short: "list files on this machine",
		Examples: []string{"lls -l", "lls *.pdf"}, Fields: entryFields(), Max: -1, Args: Here, Flags: cmd.Flags,
		Run: func(ctx context.Context, s *Shell, c *Call) error {
			names, err := expandLocal(c.words)
			if err != nil {
				return err
			}
			if len(names) == 0 {
				names = []string{"."}
			}
			return s.each(ctx, "lls", names, func(name string) error {
				info, err := os.Lstat(name)
				if err != nil {
					return err
				}
				entries := []wire.Entry{localEntry(name, info)}
				if info.IsDir() {
					entries = nil
					list, err := os.ReadDir(name)
					if err != nil {
						return err
					}
					for _, e := range list {
						if info, err := e.Info(); err == nil && (c.on("all") || !strings.HasPrefix(e.Name(), ".")) {
							entries = append(entries, localEntry(e.Name(), info))
						}
					}
				}
				return s.list(c, entries)
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
func home(name string) string {
	if name == "~" || strings.HasPrefix(name, "~/") {
		if dir, err := os.UserHomeDir(); err == nil {
			return filepath.Join(dir, name[1:])
		}
	}
	return name
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
