package shell

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"ferry/client/term"
)

func jobsCommand() Command {
	return Command{Name: "jobs", Group: "jobs", Usage: "jobs", Short: "what runs in the background, and what is queued",
		Examples: []string{"put -r site & jobs", "jobs | grep running"}, Fields: jobFields(), Max: 0,
		More: `A & behind a command, or behind several with && or ||, lets them run in the background. A job has a
connection, directories and settings of its own, as they were when it began: cd, lcd, set and
Ctrl-C do not touch it. It asks nothing: where put or get would ask, it fails and says which option
answers beforehand. At most 8 run at the same time, the others wait for their turn. While there are
jobs, all transfers together have 6 connections beside one for each, whatever -P says. What a job has
to say appears with its number in front, its results without. A job that has ended is forgotten
when jobs has shown it, or wait or fg has told its exit code.
A person who leaves is asked what is to become of the jobs. A script waits for all of them in the
end; one that failed, and that nothing waited for, makes its exit code.
`,
		Run: func(ctx context.Context, s *Shell, c *Call) error {
			return s.showJobs(s.jobs.all(func(*background) bool { return true }))
		}}
}

// jobFields are those of everything that tells of jobs.
func jobFields() []Field {
	return []Field{{"number", "integer", "of the job"}, {"state", "string", "queued, running, done, failed or stopped"}, {"line", "string", "its commands"},
		{"queue", "boolean", "it is of the queue"}, {"exit", "integer", "exit code, if it has ended"},
		{"progress", "string", "how far its transfer is, in words, if one is running"}}
}

// showJobs prints jobs. A person has seen then what became of those that have ended; in a script they still make the exit code.
func (s *Shell) showJobs(list []*background) error {
	for _, b := range list {
		if err := s.showJob(b); err != nil {
			return err
		}
		if how, _ := s.jobs.how(b); how.over() && s.Person {
			s.jobs.forget(b)
		}
	}
	return nil
}

// showJob prints a job, and on a line of its own how far it is.
func (s *Shell) showJob(b *background) error {
	how, _ := s.jobs.how(b)
	object, text := s.jobObject(b), fmt.Sprintf("%-4s %-8s %s\n", fmt.Sprintf("[%d]", b.number), how, term.Escape(b.line))
	if m := s.jobs.meter(b); m != nil {
		object["progress"] = m.Line()
		text += "     " + m.Line() + "\n"
	}
	return s.emit(object, text)
}

func (s *Shell) jobObject(b *background) map[string]any {
	how, code := s.jobs.how(b)
	object := map[string]any{"number": b.number, "state": string(how), "line": b.line, "queue": b.inLine}
	if how.over() {
		object["exit"] = code
	}
	return object
}

// chosen returns the jobs of the numbers that a command was given, which may begin with % as in sh.
func (s *Shell) chosen(c *Call) (list []*background, err error) {
	for _, arg := range c.Args() {
		n, err := strconv.Atoi(strings.TrimPrefix(arg, "%"))
		found := s.jobs.all(func(b *background) bool { return b.number == n })
		if err != nil || len(found) == 0 {
			return nil, &UsageError{term.Escape(arg) + ": there is no such job", "jobs lists them"}
		}
		list = append(list, found...)
	}
	return list, nil
}

// jobError is that a job did not end well. What went wrong was told when it did.
type jobError struct {
	b    *background
	how  state
	code int
}

func (e *jobError) Error() string { return fmt.Sprintf("job %d %s: %s", e.b.number, e.how, e.b.line) }

// collect returns what became of a job that has ended, and forgets it.
func (s *Shell) collect(b *background) error {
	s.jobs.forget(b)
	how, code := s.jobs.how(b)
	if err := s.emit(s.jobObject(b), ""); err != nil {
		return err
	}
	if code == exitOK {
		return nil
	}
	return &jobError{b, how, code}
}
