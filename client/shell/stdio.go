package shell

import (
	"context"
	"errors"
	"path"

	"ferry/client/remote"
	"ferry/client/term"
	"ferry/client/transfer"
	"ferry/shared/wire"
)

// putStdin sends what comes in on stdin.
func (s *Shell) putStdin(ctx context.Context, c *Call, names []string, o transfer.TreeOptions) error {
	if s.job != nil {
		return &UsageError{"-: there is no stdin in the background", "type it without &"}
	}
	if s.Stdin == nil {
		return &UsageError{"-: stdin is where the commands come from", "give them with -c or -b instead"}
	}
	if s.spent {
		return &UsageError{"-: a command before has read stdin", "it comes once: cp makes a second copy on the server"}
	}
	if o.RemoveSource {
		return usagef("-E is for files: what comes in on stdin cannot be removed")
	}
	d := &destination{name: c.value("name"), dir: c.value("dir"), join: path.Join}
	switch {
	case len(names) == 2 && d.name == "":
		d.name = names[1]
	case len(names) > 1 || d.name == "":
		return &UsageError{"-: what comes in on stdin needs one name", "put - -o NAME"}
	}
	to := s.abs(d.of("-", ""))
	if o.DryRun {
		return s.wouldMove(o, goOn, "-", to)
	}
	if o.Existing == transfer.Skip {
		none := ""
		o.Expect = &none
	}
	s.spent = true // however it ends: what is left would pass for all of it
	done := s.track("-", &o.Options)
	in := &incoming{Reader: s.Stdin}
	read, begin := s.reading(in), o.Begin
	defer read()
	o.Begin = func(length int64) {
		read()
		begin(length)
	}
	res, err := s.Mover.PutReader(ctx, in, to, o.Options)
	took := done()
	if err != nil {
		return named(to, err)
	}
	verb := "stored"
	if o.NoSync {
		verb = "sent (not synced)"
	}
	return s.done(verb, "sent", path.Base(to), to, res, took, false)
}

// readable tells whether what is in an entry of the server can be shown.
func readable(e wire.Entry) error {
	err := transfer.Fetchable(e)
	if errors.Is(err, transfer.ErrIsDir) {
		err = &hinted{err, "ls lists what is in it"}
	}
	return err
}

// print writes a file of the server to stdout, as its blocks arrive and are verified; with safe only what may be shown on a
// terminal.
func (s *Shell) print(ctx context.Context, from string, safe bool) error {
	e, err := s.client.Stat(ctx, from)
	if err != nil {
		return err
	}
	if err := readable(e); err != nil {
		return err
	}
	out := s.raw()
	if safe {
		text := &term.Text{W: out}
		defer text.Flush()
		out = text
	}
	o := remote.GetOptions{Streams: 1, Restarted: func(wire.Entry) error { return errors.New("it changed while it was printed") }}
	if s.mayShow() {
		m := term.NewMeter(path.Base(from), e.Length, 0)
		defer s.follow(m, "waiting for the reader")()
		o.Moved = m.Add
	}
	_, err = s.client.Get(ctx, from, e, &sequential{w: out}, o)
	return err
}
