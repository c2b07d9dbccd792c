package shell

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"ferry/client/transfer"
	"ferry/shared/wire"
)

func getCommand() Command {
	return Command{Name: "get", Aliases: []string{"mget", "reget", "receive"}, Group: "transfer", Usage: "get [-pf] [-o NAME] [-O DIR] FILE... | get FILE NAME",
		Short: "fetch files from the server; a broken transfer goes on where it was", Examples: []string{"get image.png", "get *.pdf -O papers"},
		More: `A different file that is there already stays in a script (exit code 6), unless -f is given; a person is asked.
The second of two names is where the first one goes, unless it is a file on the server: in scripts -o NAME leaves no doubt.`,
		Login: true, Min: 1, Max: -1, Args: There, Wire: []string{wire.CmdGet, wire.CmdVerify, wire.CmdStat},
		Flags: func(f *pflag.FlagSet) { transferFlags(f) }, Run: runGet}
}

func runGet(ctx context.Context, s *Shell, c *Call) error {
	o := transfer.Options{Force: c.on("force"), Mode: c.on("preserve")}
	names, err := s.expandRemote(ctx, c.words)
	if err != nil {
		return err
	}
	there := func(name string) (bool, error) {
		_, err := s.client.Stat(ctx, s.abs(name))
		if code := wire.CodeOf(err); code == wire.NotFound || code == wire.NotDir || code == wire.BadPath {
			return false, nil
		}
		return err == nil, err
	}
	target, err := s.targets(c, names, there, func(name string) (bool, error) {
		info, err := os.Stat(home(name))
		return err == nil && info.IsDir(), nil
	}, filepath.Join)
	if err != nil {
		return err
	}
	return s.each(ctx, "get", target.sources, func(name string) error {
		from := s.abs(name)
		e, err := s.client.Stat(ctx, from)
		if err != nil {
			return err
		}
		// The name is the one that was asked for, never one that the server chose.
		base := path.Base(from)
		if base == "/" || base == "." || base == ".." || strings.ContainsRune(base, filepath.Separator) {
			return &wire.Error{Code: wire.BadPath, Message: "not a name for a file"}
		}
		local := home(target.of(name, base))
		err = s.getOne(ctx, from, e, local, o)
		if errors.Is(err, transfer.ErrDiffers) && s.Person && !c.on("no-clobber") {
			info, serr := os.Lstat(local)
			if serr != nil {
				return serr
			}
			v, as, aerr := s.ask(local, info.Size(), info.ModTime().UnixNano(), func(name string) (bool, error) {
				_, err := os.Lstat(name)
				return err == nil, nil
			})
			if aerr != nil || v == skip {
				return aerr
			}
			o := o
			o.Force = v == replace
			err = s.getOne(ctx, from, e, as, o)
		}
		return err
	})
}

func (s *Shell) getOne(ctx context.Context, from string, e wire.Entry, local string, o transfer.Options) error {
	done := s.track(path.Base(from), &o)
	res, err := s.Mover.Get(ctx, from, e, local, o)
	took := done()
	if err != nil {
		var here *fs.PathError
		if errors.As(err, &here) {
			err = named(here.Path, err)
		}
		return s.unfinished("get", local, from, res, err)
	}
	return s.done("fetched", "received", filepath.Base(local), from, res, took)
}
