package shell

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spf13/pflag"

	"ferry/client/term"
	"ferry/client/transfer"
	"ferry/shared/partial"
	"ferry/shared/wire"
)

func resumeCommand() Command {
	return Command{Name: "resume", Group: "transfer", Usage: "resume [all | N... | --drop N...]",
		Short:    "list unfinished transfers: uploads of this account, downloads of this machine; go on with them",
		Examples: []string{"resume", "resume all", "resume 2", "resume --drop 1"}, Fields: append(movedFields(), Field{"number", "integer", "place in the list, from 1"}, Field{"kind", "string", "put or get"}, Field{"remote", "string", "on the server"},
			Field{"done", "integer", "bytes that are there"}, Field{"since", "time", "when it began"},
			Field{"source", "string", "unchanged, changed, on another machine, or why it cannot be read"}, Field{"live", "boolean", "it is being sent now"}),
		Login: true, Max: -1, Verbs: map[string]Side{"all": Nowhere}, Wire: []string{wire.CmdResume, wire.CmdDrop},
		Flags: func(f *pflag.FlagSet) { f.Bool("drop", false, "give up instead: remove what was moved so far") }, Run: runResume}
}

// unfinished is one line of resume's list.
type unfinished struct {
	kind   string // put or get
	remote string
	local  string // "" if another machine has the source
	length int64
	done   int64
	since  time.Time
	state  string // of the source, in words
	live   bool
	job    string
	upload string
}

// unfinishedTransfers lists what can be gone on with, in the order in which it began.
func (s *Shell) unfinishedTransfers(ctx context.Context) ([]unfinished, error) {
	ups, err := s.client.Uploads(ctx)
	if err != nil {
		return nil, err
	}
	jobs, err := s.Mover.Jobs.List()
	if err != nil {
		return nil, err
	}
	server, user := s.client.Server(), s.client.Options().User
	mine := map[string]transfer.Job{}
	var list []unfinished
	for _, j := range jobs {
		if j.Server != server || j.User != user {
			continue
		}
		if j.Kind == "put" {
			mine[j.ID] = j
			continue
		}
		info, err := os.Stat(partial.Name(j.Local))
		if err != nil { // nothing was kept
			s.Mover.Jobs.End(j.ID)
			continue
		}
		u := unfinished{kind: "get", remote: j.Remote, local: j.Local, length: j.Length, done: min(info.Size(), j.Length), since: j.Started, live: s.Mover.Busy.Has(j.ID),
			job: j.ID, state: "unchanged"}
		if e, err := s.client.Stat(ctx, j.Remote); err != nil {
			u.state = explain(err)
		} else if e.Version != j.Version {
			u.state = "changed"
		}
		list = append(list, u)
	}
	for _, up := range ups {
		u := unfinished{kind: "put", remote: string(up.Path), length: up.Length, done: up.Done, since: time.Unix(0, up.Created), live: up.Live || s.Mover.Busy.Has(up.Job),
			job: up.Job, upload: up.ID, state: "on another machine"}
		if j, ok := mine[up.Job]; ok {
			u.local, u.state = j.Local, "unchanged"
			if info, err := os.Stat(j.Local); err != nil {
				u.state = explain(err)
			} else if info.Size() != up.Length || info.ModTime().UnixNano() != up.Mtime {
				u.state = "changed"
			}
		}
		list = append(list, u)
	}
	return list, nil
}

func runResume(ctx context.Context, s *Shell, c *Call) error {
	list, err := s.unfinishedTransfers(ctx)
	if err != nil {
		return err
	}
	if len(c.words) == 0 && !c.on("drop") {
		return s.showUnfinished(list)
	}
	var chosen []string
	for _, a := range c.Args() {
		if a == "all" {
			chosen = nil
			for i, u := range list {
				if u.kind == "put" && u.local == "" && !c.on("drop") {
					s.say("%s: what was being sent is on another machine: left as it is", term.Escape(u.remote))
					continue
				}
				if u.live {
					s.say("%s: is under way now: left as it is", term.Escape(u.remote))
					continue
				}
				chosen = append(chosen, strconv.Itoa(i+1))
			}
			if len(list) == 0 {
				s.say("nothing is unfinished")
			}
			if len(chosen) == 0 {
				return nil
			}
			break
		}
		if n, err := strconv.Atoi(a); err != nil || n < 1 || n > len(list) {
			return &UsageError{a + ": there is no such number", "resume lists the unfinished transfers"}
		}
		chosen = append(chosen, a)
	}
	if len(chosen) == 0 && c.on("drop") {
		return usagef("--drop: which? (numbers of the list, or all)")
	}
	return s.each(ctx, "resume", chosen, func(number string) error {
		n, _ := strconv.Atoi(number)
		u := list[n-1]
		if s.Mover.Busy.Has(u.job) {
			return named(u.remote, transfer.ErrUnderWay)
		}
		if c.on("drop") {
			return s.drop(ctx, u)
		}
		switch {
		case u.kind == "get":
			e, err := s.client.Stat(ctx, u.remote)
			if err != nil {
				return err
			}
			return s.getOne(ctx, "get "+Quote(u.remote)+" -o "+Quote(u.local), u.remote, e, u.local, transfer.Options{Parallel: s.share(s.Parallel)})
		case u.local == "":
			return &UsageError{u.remote + ": the file that was being sent is on another machine", "run the put there again, or here with the same file"}
		}
		return s.putOne(ctx, "put "+Quote(u.local)+" -o "+Quote(u.remote), u.local, u.remote, transfer.Options{Parallel: s.share(s.Parallel)})
	})
}

func (s *Shell) drop(ctx context.Context, u unfinished) error {
	if u.upload != "" {
		if err := s.client.Drop(ctx, u.upload); err != nil && wire.CodeOf(err) != wire.NotFound {
			return err
		}
	} else {
		p, err := partial.Open(u.local, s.Mover.Ops) // not while another ferry is at it
		if err != nil {
			return err
		}
		if err := p.Discard(); err != nil {
			return err
		}
	}
	return s.Mover.Jobs.End(u.job)
}

func (s *Shell) showUnfinished(list []unfinished) error {
	if len(list) == 0 {
		s.say("nothing is unfinished")
	}
	for i, u := range list {
		from, to := u.local, u.remote
		if u.kind == "get" {
			from, to = u.remote, u.local
		}
		if from == "" {
			from = "?"
		}
		percent := 100.0
		if u.length > 0 {
			percent = 100 * float64(u.done) / float64(u.length)
		}
		state := "source " + u.state
		if u.live {
			state = "under way now"
		}
		text := fmt.Sprintf("%3d  %s %s -> %s  %s of %s (%.0f%%), %s old, %s\n", i+1, u.kind, term.Escape(from), term.Escape(to), term.Bytes(u.done),
			term.Bytes(u.length), percent, age(time.Since(u.since)), term.Escape(state))
		if err := s.emit(map[string]any{"number": i + 1, "kind": u.kind, "remote": u.remote, "local": u.local, "length": u.length, "done": u.done,
			"since": u.since.Format(time.RFC3339), "source": u.state, "live": u.live}, text); err != nil {
			return err
		}
	}
	return nil
}

// age says a duration in its largest unit.
func age(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", max(0, int(d.Seconds())))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
