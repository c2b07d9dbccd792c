package shell

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"ferry/client/remote"
	"ferry/client/term"
	"ferry/shared/wire"
)

func touchCommand() Command {
	return perName(Command{Name: "touch", Group: "files", Usage: "touch [-c] [-d TIME] NAME...", Short: "set the time of files and directories; make empty files",
		Examples: []string{"touch marker", "touch -d '2026-01-31 12:00' report.pdf"},
		More: `A name that is not there becomes an empty file; what is there keeps its content. TIME is now if it
is not given, 2026-01-31, '2026-01-31 12:00', '2026-01-31 12:00:30' (in your time zone),
2026-01-31T12:00:30Z, @SECONDS since 1970, or -90m and -2h for a while ago.
`,
		Fields: didFields("touched", Field{"mtime", "time", "that it has now"}), Wire: []string{wire.CmdSet, wire.CmdStat, wire.CmdPut}, Flags: func(f *pflag.FlagSet) {
			f.StringP("date", "d", "", "this `TIME`, not now")
			f.BoolP("no-create", "c", false, "make nothing that is not there")
		}}, func(ctx context.Context, s *Shell, c *Call, name string) error {
		when := time.Now()
		if c.Changed("date") {
			var err error
			if when, err = parseTime(c.value("date"), when); err != nil {
				return err
			}
		}
		return s.did(s.touch(ctx, s.abs(name), when.UnixNano(), !c.on("no-create")), "touched", s.abs(name), map[string]any{"mtime": when.Format(time.RFC3339Nano)})
	})
}

// touch sets the time of what has a name, or with create makes an empty file of it.
func (s *Shell) touch(ctx context.Context, at string, mtime int64, create bool) error {
	_, err := s.client.Stat(ctx, at)
	if wire.CodeOf(err) == wire.NotFound {
		if !create {
			return nil
		}
		nothing := ""
		src := remote.Source{ReaderAt: bytes.NewReader(nil), Mtime: mtime, Check: func() error { return nil }}
		if _, err = s.client.Put(ctx, at, src, remote.PutOptions{Expect: &nothing}); wire.CodeOf(err) != wire.Exists {
			return err
		}
		err = nil // somebody was faster: then it has a time to set
	}
	if err != nil {
		return err
	}
	return s.client.Set(ctx, at, &mtime, nil)
}

// parseTime reads a time as a person writes it; one without a zone is of this machine's.
func parseTime(text string, now time.Time) (time.Time, error) {
	for _, layout := range []string{time.DateOnly, "2006-01-02 15:04", time.DateTime, "2006-01-02T15:04", "2006-01-02T15:04:05", time.RFC3339Nano} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, inRange(t)
		}
	}
	if seconds, ok := strings.CutPrefix(text, "@"); ok {
		if n, err := strconv.ParseInt(seconds, 10, 64); err == nil {
			return time.Unix(n, 0), inRange(time.Unix(n, 0))
		}
	}
	if text == "now" {
		return now, nil
	}
	if d, err := time.ParseDuration(text); err == nil && strings.HasPrefix(text, "-") {
		return now.Add(d), nil
	}
	return now, &UsageError{fmt.Sprintf("-d: %q is not a time", term.Escape(text)), "write it like '2026-01-31 12:00' or -2h"}
}

// inRange refuses a time that nanoseconds in 64 bits cannot say.
func inRange(t time.Time) error {
	if !time.Unix(0, t.UnixNano()).Equal(t) {
		return usagef("-d: that time is out of range")
	}
	return nil
}

func chmodCommand() Command {
	cmd := Command{Name: "chmod", Group: "files", Usage: "chmod [-R] MODE NAME...", Short: "change who may do what with files on the server's disk",
		Examples: []string{"chmod 640 report.pdf", "chmod u+x,go-w run.sh", "chmod -R go-w,a+rX site"},
		More: `MODE is octal (640) or says who (u, g, o, a), how (+, -, =) and what (r, w, x, X), as in u=rw,go-w.
It is about programs on the server: what an account may do over ferry is decided by its rights. The
server may leave out bits; then you are told which mode came of it. With -R files get X, as in
a+rX, only if somebody may run them already; symbolic links are left alone.
`,
		Fields: didFields("changed", Field{"mode", "string", "that it has now, octal"}),
		Login:  true, Dash: true, Min: 2, Max: -1, Args: Free + There, Wire: []string{wire.CmdSet, wire.CmdStat, wire.CmdLs},
		Flags: func(f *pflag.FlagSet) { f.BoolP("recursive", "R", false, "directories with everything in them") }}
	cmd.Run = func(ctx context.Context, s *Shell, c *Call) error {
		change, err := parseMode(c.Args()[0])
		if err != nil {
			return err
		}
		if slices.ContainsFunc(c.words[1:], func(w Word) bool { return w.Text == "-R" && !w.Quoted[0] }) {
			return &UsageError{"-R stands before the mode", "chmod -R MODE DIR"}
		}
		names, err := s.expandRemote(ctx, c.words[1:])
		if err != nil {
			return err
		}
		return s.each(ctx, cmd.Name, names, func(name string) error {
			e, err := s.client.Stat(ctx, s.abs(name))
			switch {
			case err != nil:
				return err
			case e.Kind == "dir" && c.on("recursive"):
				return s.chmodTree(ctx, name, e.Mode, change)
			}
			return s.chmod(ctx, name, change(e.Mode, e.Kind == "dir"))
		})
	}
	return cmd
}

// chmod changes the mode of a name and tells if the server gave it another one.
func (s *Shell) chmod(ctx context.Context, name string, want uint32) error {
	at := s.abs(name)
	if err := s.client.Set(ctx, at, nil, &want); err != nil {
		return err
	}
	e, err := s.client.Stat(ctx, at)
	if err != nil {
		return err
	}
	if e.Mode != want {
		s.say("chmod: %s: %s", term.Escape(name), otherMode(e.Mode, want))
	}
	return s.did(nil, "changed", at, modeField(e.Mode))
}

// chmodTree changes the modes of a directory and of what is below it, where they are to be others. What is below comes first, for the
// new mode may shut the directory that it is in; but what opens the top comes before that is looked into.
func (s *Shell) chmodTree(ctx context.Context, name string, mode uint32, change func(mode uint32, dir bool) uint32) error {
	at, top := s.abs(name), change(mode, true)
	if at == "/" {
		return &hinted{&wire.Error{Code: wire.BadPath, Message: "the mode of the home itself cannot be changed"}, "chmod -R MODE /* changes what is in it"}
	}
	if open := mode | top&0o700; open != mode {
		if err := s.client.Set(ctx, at, nil, &open); err != nil {
			return err
		}
	}
	steps := []wire.Entry{{Mode: top}} // with the modes that they are to have
	for e, err := range s.client.List(ctx, at, true) {
		if wire.CodeOf(err) == wire.Denied {
			return &hinted{err, "if a directory in it is shut, open that one first"}
		}
		if err != nil {
			return err
		}
		if want := change(e.Mode, e.Kind == "dir"); want != e.Mode && (e.Kind == "dir" || e.Kind == "file") {
			steps = append(steps, wire.Entry{Name: e.Name, Mode: want})
		}
	}
	slices.Reverse(steps)
	well, others := int64(0), 0
	failed, errs := failures{s: s, cmd: "chmod"}, make([]error, len(steps))
	err := s.pipeline(ctx, 2*len(steps), func(i int) *remote.Op {
		e, below := &steps[i/2], string(steps[i/2].Name)
		if i%2 == 0 {
			return remote.SetOp(path.Join(at, below), nil, &e.Mode, func(err error) { errs[i/2] = err })
		}
		return remote.StatOp(path.Join(at, below), func(now wire.Entry, err error) {
			if err = cmp.Or(errs[i/2], err); err == nil {
				well++
				err = s.did(nil, "changed", path.Join(at, below), modeField(now.Mode))
			}
			if err == nil && now.Mode != e.Mode {
				if others++; others == 1 {
					s.say("chmod: %s: %s", term.Escape(path.Join(name, below)), otherMode(now.Mode, e.Mode))
				}
			}
			failed.add(named(path.Join(name, below), err))
		})
	})
	if others > 1 {
		s.say("chmod: and so it did with %s more", count(int64(others-1), "name"))
	}
	return cmp.Or(err, failed.fatal, failed.of(well))
}

// otherMode says that the server gave a name another mode than the one that was wanted.
func otherMode(got, want uint32) string {
	return fmt.Sprintf("the server made it %04o, not %04o", got, want)
}

func modeField(mode uint32) map[string]any { return map[string]any{"mode": fmt.Sprintf("%04o", mode)} }

// parseMode reads a mode as chmod takes it and returns what it makes of the one that is there.
func parseMode(text string) (func(mode uint32, dir bool) uint32, error) {
	bad := &UsageError{fmt.Sprintf("%q is not a mode", term.Escape(text)), "640, or u=rw,g=r,o="}
	if n, err := strconv.ParseUint(text, 8, 32); err == nil {
		if n > 0o777 {
			return nil, &UsageError{Msg: "modes go to 777: there is no setuid, setgid or sticky bit"}
		}
		return func(uint32, bool) uint32 { return uint32(n) }, nil
	}
	var clauses []func(mode uint32, dir bool) uint32
	for clause := range strings.SplitSeq(text, ",") {
		split := strings.IndexAny(clause, "+-=")
		if split < 0 {
			return nil, bad
		}
		f, ok := parseClause(clause[:split], clause[split:])
		if !ok {
			return nil, bad
		}
		clauses = append(clauses, f)
	}
	return func(mode uint32, dir bool) uint32 {
		for _, f := range clauses {
			mode = f(mode, dir)
		}
		return mode
	}, nil
}

// parseClause reads one clause of a symbolic mode: whose bits, and what becomes of them (as in "+rw" or "=r-w").
func parseClause(who, what string) (func(mode uint32, dir bool) uint32, bool) {
	if who == "" {
		who = "a"
	}
	whose := uint32(0) // their bits
	for _, w := range who {
		bits, ok := map[rune]uint32{'u': 0o700, 'g': 0o070, 'o': 0o007, 'a': 0o777}[w]
		if !ok {
			return nil, false
		}
		whose |= bits
	}
	letters := map[rune]uint32{'r': 0o444, 'w': 0o222, 'x': 0o111, 'X': 0o111}
	for _, r := range what {
		if letters[r] == 0 && !strings.ContainsRune("+-=", r) {
			return nil, false
		}
	}
	return func(mode uint32, dir bool) uint32 {
		op, seen := rune(0), mode // X looks at the mode before
		for _, r := range what {
			bits := letters[r] & whose
			if r == 'X' && !dir && seen&0o111 == 0 {
				bits = 0
			}
			switch {
			case r == '=':
				op, mode = r, mode&^whose
			case letters[r] == 0:
				op = r
			case op == '-':
				mode &^= bits
			default:
				mode |= bits
			}
		}
		return mode
	}, true
}
