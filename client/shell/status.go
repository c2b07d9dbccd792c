package shell

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"ferry/client/term"
	"ferry/shared/wire"
)

func statusCommand() Command {
	return Command{Name: "status", Aliases: []string{"showconnect", "version"}, Group: "session", Usage: "status",
		Short:    "the connection, its protection and speed, and the directories",
		Examples: []string{"status", "status | grep server"}, Max: 0, Wire: []string{wire.CmdPing},
		Fields: []Field{{"connected", "boolean", "whether somebody is logged in; if not, server, local, jobs and client are all there is"},
			{"server", "string", "address, \"\" if none was chosen"}, {"user", "string", "name of the account"}, {"program", "string", "the server's name and version"},
			{"encryption", "string", "TLS 1.3 or none"}, {"fingerprint", "string", "of the server's key, \"\" without encryption"},
			{"round_trip", "number", "seconds that a question and its answer took"}, {"directory", "string", "on the server"},
			{"local", "string", "directory on this machine"}, {"jobs", "integer", "how many run in the background or are queued"}, {"client", "string", "version of this ferry"}},
		Run: runStatus}
}

func runStatus(ctx context.Context, s *Shell, c *Call) error {
	here, err := s.workdir()
	if err != nil {
		return err
	}
	jobs := len(s.jobs.unfinished())
	if s.client == nil {
		server := s.Remote.Address
		return s.emit(map[string]any{"connected": false, "server": server, "local": here, "jobs": jobs, "client": s.Version},
			lines("not logged in", "", "server", server, "local", here, "jobs", strconv.Itoa(jobs), "ferry", s.Version))
	}
	begin := time.Now()
	if err := s.client.Ping(ctx); err != nil {
		return err
	}
	trip := time.Since(begin)
	i, o := s.client.Info(), s.client.Options()
	encryption, key := "TLS 1.3", s.client.Server()
	if o.Plain {
		encryption, key = "none", ""
	}
	return s.emit(map[string]any{"connected": true, "server": o.Address, "user": i.User, "program": i.Server, "encryption": encryption, "fingerprint": key,
		"round_trip": trip.Seconds(), "directory": s.dir, "local": here, "jobs": jobs, "client": s.Version},
		lines("logged in as", i.User, "server", o.Address, "program", i.Server, "encryption", strings.TrimSpace(encryption+" "+key),
			"answers in", trip.Round(10*time.Microsecond).String(), "directory", s.dir, "local", here, "jobs", strconv.Itoa(jobs), "ferry", s.Version))
}

// lines sets words and what they say below each other.
func lines(pairs ...string) string {
	var b strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			fmt.Fprintf(&b, "%s\n", pairs[i])
			continue
		}
		fmt.Fprintf(&b, "%-12s  %s\n", pairs[i], term.Escape(pairs[i+1]))
	}
	return b.String()
}
