package shell

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"ferry/client/config"
	"ferry/client/term"
	"ferry/client/transfer"
	"ferry/shared/wire"
)

// treeFlags are the options that everything has that moves several files.
func treeFlags(f *pflag.FlagSet) {
	f.BoolP("preserve", "p", false, "keep permission bits too")
	f.BoolP("dry-run", "n", false, "print what would be done, and do nothing")
	f.BoolP("follow", "L", false, "follow symbolic links of the source, which are left out otherwise")
	f.IntP("parallel", "P", 0, "over `N` connections, 1 to 16")
	f.StringArray("include", nil, "only names that fit `PATTERN`; may be given several times")
	f.StringArray("exclude", nil, "no names that fit `PATTERN`, nor what is in such a directory")
	f.String("limit", "", "at most `RATE` bytes a second, as 500K or 2MiB/s")
}

const patternHelp = `Patterns: without a slash they fit the last part of a name, with one the whole name below
the directory that is moved; * and ? stay between two slashes, ** crosses them, a slash at the
end means directories only.`

// treeOptions reads what treeFlags allow.
func (s *Shell) treeOptions(c *Call) (o transfer.TreeOptions, err error) {
	o.Mode, o.DryRun, o.Follow, o.NoSync = c.on("preserve"), c.on("dry-run"), c.on("follow"), s.NoSync
	if o.Parallel, _ = c.GetInt("parallel"); !c.Changed("parallel") {
		o.Parallel = s.Parallel
	} else if o.Parallel < 1 || o.Parallel > transfer.MaxParallel {
		return o, usagef("-P takes 1 to %d", transfer.MaxParallel)
	}
	o.Parallel = s.share(o.Parallel)
	include, _ := c.GetStringArray("include")
	exclude, _ := c.GetStringArray("exclude")
	if o.Filter, err = transfer.NewFilter(include, exclude); err != nil {
		return o, &UsageError{err.Error(), "help " + c.name + " tells what patterns are"}
	}
	return o, nil
}

// limited sets the rate that a command asks for. restore goes back to that of the session.
func (s *Shell) limited(c *Call) (restore func(), err error) {
	restore = func() { s.limit.Set(0) }
	if !c.Changed("limit") {
		return restore, nil
	}
	n, err := config.ParseLimit(c.value("limit"))
	if err != nil {
		return restore, &UsageError{Msg: "--limit: " + err.Error()}
	}
	s.limit.Set(n)
	return restore, nil
}

// existing reads what is to become of files that are there already; script is the answer where nobody can be asked.
func (s *Shell) existing(c *Call, script transfer.Existing) (transfer.Existing, error) {
	var given []string
	answer := script
	if s.Person && s.Confirm {
		answer = transfer.Ask
	} else if s.Person {
		answer = transfer.Replace
	}
	for _, f := range []struct {
		name   string
		answer transfer.Existing
	}{{"force", transfer.Replace}, {"no-clobber", transfer.Skip}, {"keep-both", transfer.KeepBoth}} {
		if c.on(f.name) {
			given = append(given, "--"+f.name)
			answer = f.answer
		}
	}
	if len(given) > 1 {
		return answer, usagef("%s do not go together", strings.Join(given, " and "))
	}
	return answer, nil
}

// contents tells whether a name of a directory stands for what is in it.
func contents(name string) bool {
	return strings.HasSuffix(name, "/") || path.Base(name) == "." || path.Base(name) == ".."
}

// gathered is names on their way to becoming roots of a job.
type gathered struct {
	roots []transfer.Root
	at    map[[2]string]int // roots of single files, by their directories
	seen  map[string]bool
}

// file adds a single file, which keeps its name.
func (g *gathered) file(localDir, remoteDir, name string) {
	if g.at == nil {
		g.at, g.seen = map[[2]string]int{}, map[string]bool{}
	}
	if full := localDir + "\x00" + remoteDir + "\x00" + name; g.seen[full] {
		return
	} else {
		g.seen[full] = true
	}
	key := [2]string{localDir, remoteDir}
	i, ok := g.at[key]
	if !ok {
		i = len(g.roots)
		g.at[key] = i
		g.roots = append(g.roots, transfer.Root{Local: localDir, Remote: remoteDir, Names: []string{}, Chosen: true})
	}
	g.roots[i].Names = append(g.roots[i].Names, name)
}

// shown is how many names of each kind are listed for a person.
const shown = 20

// job is a transfer of several files as a person or a script sees it.
type job struct {
	s      *Shell
	c      *Call
	cmd    string
	label  string
	opts   transfer.TreeOptions
	single bool // only files: each has its line
	meter  *term.Meter
	warned int

	failed severalError // as many errors as are shown, and one of each exit code
	codes  map[int]bool
	left   int // failures that are not in failed
}

// tree plans and carries out a job over several files. single: they were named one by one.
func (s *Shell) tree(ctx context.Context, c *Call, label string, roots []transfer.Root, o transfer.TreeOptions, single bool) error {
	j := &job{s: s, c: c, cmd: c.name, label: label, single: single, codes: map[int]bool{}}
	o.Report, o.File = j.event, j.file
	o.Moved = func(n int64) { j.meter.Add(n) }
	o.Reused = func(n int64) { j.meter.Reuse(n) }
	o.Grow = func(n int64) { j.meter.Grow(n) }
	look := term.NewMeter(label, -1, 0)
	planned := s.follow(look, thisDisk)
	o.Planning = func(names, left, all int64) {
		look.Names(names)
		look.Checking(left, all)
	}
	o.Ask = func(name string, there transfer.File) (transfer.Existing, error) {
		planned()
		return s.askTree(name, there)
	}
	j.opts = o
	plan, err := s.Mover.Plan(ctx, roots, o)
	planned()
	if err != nil {
		return j.named(err)
	}
	if o.DryRun {
		if err := j.preview(plan); err != nil {
			return err
		}
		return j.guard(plan)
	}
	if err := j.guard(plan); err != nil {
		return err
	}
	if err := j.confirm(plan); err != nil {
		return err
	}
	begin := time.Now()
	if plan.Files > 0 {
		j.meter = term.NewMeter(label, plan.Bytes, plan.Files)
		defer s.follow(j.meter, thisDisk)()
	}
	sum, err := s.Mover.Run(ctx, plan)
	took := time.Since(begin)
	if j.meter != nil {
		j.meter.Done()
	}
	return j.end(sum, took, err)
}

// file begins a file that may take a while.
func (j *job) file(t *transfer.Task, o *transfer.Options) (done func()) {
	part := j.meter.Part(path.Base(t.Local()), t.Length())
	countBy(part, o)
	return part.Done
}

// named adds to an error of this machine the name that it is about.
func (j *job) named(err error) error {
	var here *fs.PathError
	if errors.As(err, &here) {
		return named(here.Path, err)
	}
	return named(j.label, err)
}

// guard refuses to delete more than was allowed.
func (j *job) guard(plan *transfer.Plan) error {
	if j.c.Lookup("max-delete") == nil || !j.c.Changed("max-delete") {
		return nil
	}
	if most, _ := j.c.GetInt("max-delete"); len(plan.Deletes) > most {
		return &hinted{fmt.Errorf("%d names would be deleted, more than --max-delete %d: nothing was moved or deleted", len(plan.Deletes), most),
			"-n shows which"}
	}
	return nil
}

// confirm asks a person before anything is deleted.
func (j *job) confirm(plan *transfer.Plan) error {
	n := len(plan.Deletes)
	if n == 0 || !j.s.Person || !j.s.Confirm || j.opts.Force {
		return nil
	}
	where := "on the server"
	if !j.opts.Up {
		where = "on this machine"
	}
	for i := range plan.Deletes[:min(n, shown)] {
		fmt.Fprintf(j.s.Err, "  %s\n", term.Escape(j.target(&plan.Deletes[i])))
	}
	if n > shown {
		fmt.Fprintf(j.s.Err, "  and %d more\n", n-shown)
	}
	yes, err := j.s.agreed(fmt.Sprintf("Delete these %d names %s?", n, where))
	if !yes {
		plan.Deletes = nil
	}
	return err
}

// target is what a task is about on the side that changes.
func (j *job) target(t *transfer.Task) string {
	if j.opts.Up {
		return t.Remote()
	}
	return t.Local()
}

// preview prints a plan.
func (j *job) preview(plan *transfer.Plan) error {
	for _, list := range [][]transfer.Task{plan.Clear, plan.Tasks, plan.Deletes} {
		for i := range list {
			t := &list[i]
			text := fmt.Sprintf("%-7s  %s", t.Deed, term.Escape(j.target(t)))
			if t.Deed == transfer.Create || t.Deed == transfer.Overwrite {
				text += "  (" + term.Bytes(t.Length()) + ")"
			}
			if err := j.s.emit(map[string]any{"event": "planned", "action": t.Deed.String(), "path": t.Remote(), "local": t.Local(), "length": t.Length()},
				text+"\n"); err != nil {
				return err
			}
			if t.MovesFile() {
				if err := j.s.wouldRemove(j.opts, t.Local(), t.Remote()); err != nil {
					return err
				}
			}
		}
	}
	sum := plan.Summary()
	sum.Files, sum.Moved, sum.Deleted, sum.Removed = plan.Files, plan.Bytes, len(plan.Deletes), plan.Sources()
	j.summary(sum, 0, true, false)
	return j.failures(sum)
}

// event is told what became of each name.
func (j *job) event(e transfer.Event) {
	if j.meter != nil {
		j.count(e)
	}
	switch {
	case e.Outcome == transfer.Failed, e.Outcome == transfer.Kept:
		j.fail(e)
	case j.s.JSON:
		j.s.emit(j.object(e), "")
	case e.Outcome == transfer.Ignored:
		if j.warned++; j.warned <= shown {
			fmt.Fprintf(j.s.Err, "%s: %s: left out: %s\n", j.cmd, term.Escape(j.source(e)), explain(e.Err))
		}
	case j.single && e.Outcome == transfer.Moved:
		j.s.done(j.verb(), j.travelled(), path.Base(e.Remote), e.Remote, e.Result, e.Took, false)
	case j.single && e.Outcome == transfer.Unchanged && !j.opts.DryRun:
		j.s.say("up to date %s: %s", term.Escape(path.Base(e.Remote)), term.Bytes(e.Length))
	case j.single && e.Outcome == transfer.Removed:
		j.s.say("removed %s", term.Escape(j.source(e)))
	case e.Outcome == transfer.Skipped && j.single:
		j.s.say("skipped %s: a different file is there already", term.Escape(path.Base(e.Remote)))
	}
}

// count takes an event into the total.
func (j *job) count(e transfer.Event) {
	switch e.Outcome {
	case transfer.Moved, transfer.Unchanged:
		j.meter.File()
	case transfer.Failed, transfer.Skipped: // its bytes will not come
		j.meter.Grow(-e.Length)
	}
}

// object is an event as JSON.
func (j *job) object(e transfer.Event) map[string]any {
	what := map[transfer.Outcome]string{transfer.Moved: j.verb(), transfer.Made: "made", transfer.Unchanged: "unchanged", transfer.Skipped: "skipped",
		transfer.Deleted: "deleted", transfer.Ignored: "left out", transfer.Removed: "removed"}[e.Outcome]
	o := map[string]any{"event": what, "path": e.Remote, "local": e.Local, "length": e.Length}
	switch e.Outcome {
	case transfer.Moved:
		o["moved"], o["reused"], o["version"] = e.Result.Moved, e.Result.Reused, e.Result.Entry.Version
	case transfer.Removed:
		o["removed"] = true
	case transfer.Ignored:
		o["reason"] = explain(e.Err)
	}
	return o
}

func (j *job) verb() string {
	switch {
	case !j.opts.Up:
		return "fetched"
	case j.opts.NoSync:
		return "sent (not synced)"
	}
	return "stored"
}

func (j *job) travelled() string {
	if j.opts.Up {
		return "sent"
	}
	return "received"
}

// source is the name of an event on the side that it comes from.
func (j *job) source(e transfer.Event) string {
	if j.opts.Up {
		return e.Local
	}
	return e.Remote
}

// fail notes a failure, and with JSON or where each name has its line tells of it at once.
func (j *job) fail(e transfer.Event) {
	name := j.source(e)
	var here *fs.PathError
	switch {
	case wire.CodeOf(e.Err) != "":
		name = e.Remote
	case errors.As(e.Err, &here), !j.opts.Up:
		name = e.Local
	}
	err := named(name, e.Err)
	switch code := ExitCode(err); {
	case len(j.failed.errs) < shown || !j.codes[code]:
		j.codes[code] = true
		j.failed.errs = append(j.failed.errs, err)
	default:
		j.left++
	}
	if j.s.JSON || j.single {
		j.s.report(j.cmd, err)
	}
}

// end is how a job takes its leave.
func (j *job) end(sum transfer.Summary, took time.Duration, err error) error {
	if !j.single || j.s.JSON {
		j.summary(sum, took, false, err != nil)
	}
	if err == nil {
		return j.failures(sum)
	}
	if !j.s.JSON && !j.single {
		j.list(sum)
	}
	switch {
	case ExitCode(err) == exitSpace:
		return &hinted{j.named(err), "make room; then it goes on with: " + j.s.anywhere(j.c.again())}
	case fatal(err) || ExitCode(err) == exitTerminated:
		return &hinted{err, "it goes on with: " + j.s.anywhere(j.c.again())}
	}
	return err
}

// summary says in one line what was done, or with dry what would be; stopped: before the end.
func (j *job) summary(sum transfer.Summary, took time.Duration, dry, stopped bool) {
	if j.s.JSON {
		j.c.summary = map[string]any{"dry_run": dry, "finished": !stopped, "files": sum.Files, "directories": sum.Dirs, "moved": sum.Moved, "reused": sum.Reused,
			"unchanged": sum.Unchanged, "skipped": sum.Skipped, "left_out": sum.Ignored, "deleted": sum.Deleted,
			"removed": sum.Removed, "kept": sum.Kept, "failed": sum.Failed}
		return
	}
	var parts []string
	add := func(n int64, text string) {
		if n > 0 {
			parts = append(parts, text)
		}
	}
	verb, travelled, deleted, removed := j.verb(), j.travelled(), "deleted", "removed"
	if dry {
		verb, travelled, deleted, removed = "dry run:", "to move", "to delete", "to remove"
	}
	add(int64(sum.Files), files(sum.Files))
	add(sum.Reused, term.Bytes(sum.Reused)+" reused and verified")
	add(int64(sum.Files), term.Bytes(sum.Moved)+" "+travelled+pace(sum.Moved, took))
	add(int64(sum.Dirs), fmt.Sprintf("%d empty directories made", sum.Dirs))
	for _, n := range []struct {
		n    int
		what string
	}{{sum.Unchanged, "unchanged"}, {sum.Skipped, "skipped"}, {sum.Ignored, "left out"}, {sum.Deleted, deleted}, {sum.Removed, "sources " + removed},
		{sum.Kept, "sources not removed"}, {sum.Failed, "failed"}} {
		add(int64(n.n), fmt.Sprintf("%d %s", n.n, n.what))
	}
	if sum.Files == 0 && sum.Failed == 0 && !dry {
		verb = "up to date"
	}
	if parts == nil {
		parts = []string{map[bool]string{true: "nothing was moved", false: "nothing to do"}[stopped]}
	}
	if stopped {
		verb = "not finished:"
	}
	j.s.say("%s %s: %s", verb, term.Escape(j.label), strings.Join(parts, ", "))
}

func files(n int) string {
	if n == 1 {
		return "1 file"
	}
	return fmt.Sprintf("%d files", n)
}

// list shows what failed.
func (j *job) list(sum transfer.Summary) {
	for _, err := range j.failed.errs {
		fmt.Fprintf(j.s.Err, "%s: %s\n", j.cmd, explain(err))
	}
	if j.left > 0 {
		fmt.Fprintf(j.s.Err, "%s: and %d more\n", j.cmd, j.left)
	}
	if j.warned > shown {
		fmt.Fprintf(j.s.Err, "%s: %d more were left out\n", j.cmd, j.warned-shown)
	}
}

// failures is the error of a job that got to its end, nil if all went well.
func (j *job) failures(sum transfer.Summary) error {
	if !j.s.JSON && !j.single {
		j.list(sum)
	}
	failed := sum.Failed + sum.Kept
	if failed == 0 {
		return nil
	}
	j.failed.failed = failed
	j.failed.all = sum.Failed + sum.Files + sum.Unchanged + sum.Skipped
	hint := "what is there already is not moved again: " + j.s.anywhere(j.c.again())
	if sum.Failed == 0 {
		hint = "every file is at its target; this tries again to remove the sources that stayed: " + j.s.anywhere(j.c.again())
	}
	if j.opts.Delete && !j.opts.DryRun {
		hint = "nothing was deleted; " + hint
	}
	if len(j.codes) == 1 && j.codes[exitConflict] && sum.Kept == 0 {
		hint = "-f replaces what is there, --keep-both leaves both, --no-clobber leaves it without a word"
	}
	return &hinted{&j.failed, hint}
}

// askTree lets a person decide about one name of a job.
func (s *Shell) askTree(name string, there transfer.File) (transfer.Existing, error) {
	v, err := s.question(name, there.Length, there.Mtime)
	if s.job != nil {
		err = named(name, err)
	}
	return map[verdict]transfer.Existing{replace: transfer.Replace, skip: transfer.Skip, keepBoth: transfer.KeepBoth}[v], err
}

// labelOf names a job by what it was given.
func labelOf(names []string) string {
	if len(names) != 1 {
		return fmt.Sprintf("%d names", len(names))
	}
	if label := strings.TrimRight(names[0], "/"); label != "" {
		return filepath.Base(label)
	}
	return names[0]
}
