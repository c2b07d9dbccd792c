package shell

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"ferry/client/term"
	"ferry/shared/wire"
)

func dfCommand() Command {
	return Command{Name: "df", Aliases: []string{"quota"}, Group: "files", Usage: "df [-h]", Short: "how much room the account has",
		Examples: []string{"df -h", "df"},
		More: `Unfinished uploads count as used. What is free is what the quota leaves, or the server's disk if
that is less. Directories count as files.
`,
		Fields: []Field{{"used", "integer", "bytes"}, {"quota", "integer", "bytes, 0: no limit"}, {"free", "integer", "bytes left on the server's disk, -1: not known"},
			{"files", "integer", "files and directories"}, {"quota_files", "integer", "0: no limit"}},
		Login: true, Max: 0, Wire: []string{wire.CmdDf}, Flags: func(f *pflag.FlagSet) {
			f.BoolP("human", "h", false, "lengths as 3.2 GiB")
		}, Run: runDf}
}

func runDf(ctx context.Context, s *Shell, c *Call) error {
	room, err := s.client.Df(ctx)
	if err != nil {
		return err
	}
	bytes := func(n int64) string { return fmt.Sprint(n) }
	if c.on("human") {
		bytes = term.Bytes
	}
	files := func(n int64) string { return fmt.Sprint(n) }
	var b strings.Builder
	fmt.Fprintf(&b, "%-5s %14s %14s %14s %5s\n", "", "used", "quota", "free", "use")
	b.WriteString(roomRow("bytes", room.Used, room.Quota, room.Free, bytes))
	b.WriteString(roomRow("files", room.Files, room.QuotaFiles, -1, files))
	return s.emit(map[string]any{"used": room.Used, "quota": room.Quota, "free": room.Free, "files": room.Files, "quota_files": room.QuotaFiles}, b.String())
}

// roomRow is a line of df. limit is 0 if there is none; disk is what the server's medium leaves, -1 if that is not known.
func roomRow(what string, used, limit, disk int64, write func(int64) string) string {
	quota, free, use := "none", "-", "-"
	left := disk
	if limit > 0 {
		quota, use = write(limit), fmt.Sprintf("%d%%", int64(float64(used)/float64(limit)*100))
		if left = max(0, limit-used); disk >= 0 {
			left = min(left, disk)
		}
	}
	if left >= 0 {
		free = write(left)
	}
	return fmt.Sprintf("%-5s %14s %14s %14s %5s\n", what, write(used), quota, free, use)
}
