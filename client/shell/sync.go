package shell

import (
	"context"
	"os"
	"path"
	"path/filepath"

	"github.com/spf13/pflag"

	"ferry/client/transfer"
	"ferry/shared/wire"
)

func syncCommand() Command {
	return Command{Name: "sync", Aliases: []string{"mirror"}, Group: "transfer", Usage: "sync up LOCAL [REMOTE] | sync down REMOTE [LOCAL]",
		Short:    "make one directory have what another has",
		Examples: []string{"sync up site", "sync up site /www --delete -n", "sync down photos --exclude '*.raw'"},
		More: `What differs in length or time is replaced. Without a second name the target has the name of the
source, in the directory where you are. --delete removes what the source does not have, but
nothing that --exclude or --include leaves out, and only after everything else went well; a
person is asked first, unless -f is given. With more than --max-delete to remove, nothing is
done at all.
` + patternHelp,
		Fields: movedFields(),
		Login:  true, Min: 2, Max: 3, Verbs: map[string]Side{"up": Here + There, "down": There + Here}, Wire: []string{wire.CmdLs, wire.CmdPut, wire.CmdGet, wire.CmdVerify, wire.CmdMkdir, wire.CmdRm, wire.CmdRmdir},
		Flags: func(f *pflag.FlagSet) {
			f.SortFlags = false
			f.BoolP("force", "f", false, "no questions; a file may replace a directory and the other way round")
			f.Bool("delete", false, "remove what the source does not have")
			f.Int("max-delete", 0, "do nothing if more than `N` would be removed")
			f.Bool("checksum", false, "compare content, not length and time")
			treeFlags(f)
		}, Run: runSync}
}

func runSync(ctx context.Context, s *Shell, c *Call) error {
	o, err := s.treeOptions(c)
	if err != nil {
		return err
	}
	restore, err := s.limited(c)
	defer restore()
	if err != nil {
		return err
	}
	o.Mirror, o.Existing, o.Force, o.Delete, o.Checksum = true, transfer.Replace, c.on("force"), c.on("delete"), c.on("checksum")
	if most, _ := c.GetInt("max-delete"); c.Changed("max-delete") && (most < 0 || !o.Delete) {
		return usagef("--max-delete goes with --delete and takes a number")
	}
	var root transfer.Root
	switch args := c.Args(); args[0] {
	case "up":
		o.Up = true
		root, err = s.syncUp(args[1:])
	case "down":
		root, err = s.syncDown(args[1:])
	default:
		return &UsageError{args[0] + ": up or down?", "usage: " + syncCommand().Usage}
	}
	if err != nil {
		return err
	}
	return s.tree(ctx, c, labelOf(c.Args()[1:2]), []transfer.Root{root}, o, false)
}

func (s *Shell) syncUp(names []string) (transfer.Root, error) {
	name := filepath.Clean(home(names[0]))
	local := s.local(name)
	info, err := os.Stat(local)
	if err == nil && !info.IsDir() {
		err = &wire.Error{Code: wire.NotDir, Message: "not a directory"}
	}
	to := plainName(filepath.Base(name))
	switch {
	case len(names) > 1:
		to = names[1]
	case to == "." || to == ".." || to == "/":
		to = ""
	}
	return transfer.Root{Local: filepath.Clean(local), Remote: s.abs(to), Chosen: true}, named(name, err)
}

func (s *Shell) syncDown(names []string) (transfer.Root, error) {
	from := s.abs(names[0])
	local, chosen := path.Base(from), false
	switch {
	case len(names) > 1:
		local, chosen = filepath.Clean(home(names[1])), true
	case from == s.dir || from == "/":
		local, chosen = ".", true
	}
	return transfer.Root{Local: filepath.Clean(s.local(local)), Remote: from, Chosen: chosen}, nil
}
