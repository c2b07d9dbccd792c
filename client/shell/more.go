package shell

import (
	"cmp"
	"context"
	"errors"
	"os"
	"os/exec"

	"ferry/shared/wire"
)

func moreCommand() Command {
	return Command{Name: "more", Aliases: []string{"less", "page"}, Group: "files", Usage: "more FILE...", Short: "look at files with a pager",
		Examples: []string{"more notes.txt", "more logs/today.log logs/yesterday.log"},
		More: `The pager is $PAGER, else less or more. The file comes as it is looked at; q, and Ctrl-C while it
comes, end that at once. Where stdout is not a terminal it is cat.
`,
		Login: true, Min: 1, Max: -1, Args: There, Wire: []string{wire.CmdStat, wire.CmdGet}, Run: func(ctx context.Context, s *Shell, c *Call) error {
			if s.columns() == 0 || s.JSON {
				return s.cat(ctx, c, false)
			}
			return s.leaf(ctx, c)
		}}
}

// leaf shows files with the pager, if there are any to show.
func (s *Shell) leaf(ctx context.Context, c *Call) error {
	names, err := s.expandRemote(ctx, c.words)
	if err != nil {
		return err
	}
	known, err := s.stats(ctx, names)
	if err != nil {
		return err
	}
	var fit []string
	missing := s.each(ctx, c.name, names, func(name string) error {
		err := known[name].err
		if err == nil {
			err = readable(known[name].entry)
		}
		if err == nil {
			fit = append(fit, name)
		}
		return err
	})
	if len(fit) == 0 {
		return missing
	}
	pager := firstOf(os.Getenv("PAGER"), "less", "more")
	err = s.into(ctx, &Output{Op: "|", To: Word{Text: pager}}, func(ctx context.Context) error { return s.printAll(ctx, c.name, fit, true) })
	var failed *outputError
	if errors.As(err, &failed) {
		err = &hinted{errors.New("the pager failed: " + explain(failed.error)), "set PAGER to the one you like"}
	}
	return cmp.Or(err, missing)
}

// firstOf returns the program that the person chose, else the first that is there.
func firstOf(chosen string, known ...string) string {
	for _, name := range known {
		if chosen != "" {
			break
		}
		if _, err := exec.LookPath(name); err == nil {
			chosen = name
		}
	}
	if chosen == "" {
		chosen = known[0]
	}
	return chosen
}
