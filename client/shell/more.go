package shell

import (
	"context"
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
				return s.printAll(ctx, c, false)
			}
			pager := firstOf(os.Getenv("PAGER"), "less", "more")
			return s.into(ctx, &Output{Op: "|", To: Word{Text: pager}}, func(ctx context.Context) error { return s.printAll(ctx, c, true) })
		}}
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
