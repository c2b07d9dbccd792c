package shell

import (
	"context"
	"io"
	"slices"
	"strings"
	"sync"

	"ferry/client/term"
)

// maxRunning is how many jobs run at the same time; further ones wait. Each has at least one of the 16 connections that a
// session may have.
const maxRunning = 8

// A state is how far a job is.
type state string

const (
	jobQueued  state = "queued"
	jobRunning state = "running"
	jobDone    state = "done"
	jobFailed  state = "failed"
	jobStopped state = "stopped"
)

// background is a job: commands that run beside those in front, in a shell of their own.
type background struct {
	number int
	line   string  // its commands, as they were typed
	inLine bool    // it is of the queue: those run one after the other
	voice  *marked // what it says, nil if that is for programs
	ctx    context.Context
	stop   context.CancelCauseFunc
	ended  chan struct{} // closed when it is over

	// Guarded by jobs.mu.
	sh    *Shell // nil when it is over
	state state
	code  int // exit code, when it is over
}

// jobs are those of a shell that are not forgotten. Only the shell in front adds and takes away.
type jobs struct {
	mu   sync.Mutex
	list []*background // by number
}

// behind returns how many commands there are up to the & that lets them run in the background, 0 if that is not how the list
// at the beginning ends.
func behind(cmds []Cmd) int {
	for i, c := range cmds {
		switch c.Op {
		case "&":
			return i + 1
		case "&&", "||":
		default:
			return 0
		}
	}
	return 0
}

// joined writes commands as they were typed, without the last operator.
func joined(cmds []Cmd) string {
	var b strings.Builder
	for i, c := range cmds {
		if c.Tolerate {
			b.WriteByte('-')
		}
		b.WriteString(c.Text)
		if i < len(cmds)-1 {
			b.WriteString(" " + c.Op + " ")
		}
	}
	return b.String()
}

// echoed is what of a line is shown before its first command runs: of commands that go to the background all, if they begin
// a list.
func (s *Shell) echoed(cmds []Cmd, first bool) string {
	if n := behind(cmds); first && n > 0 {
		return joined(cmds[:n]) + " &"
	}
	return cmds[0].Text
}

// background runs commands as a job, and returns the exit code of that.
func (s *Shell) background(line string) int {
	b, name, err := s.launch(line, false)
	if err != nil {
		return s.report(name, err)
	}
	s.began(b, line+" &")
	return exitOK
}

// launch makes a job of a line, which runs at once, or when its turn comes. An error is about the command of that name.
func (s *Shell) launch(line string, inLine bool) (b *background, name string, err error) {
	b = &background{number: s.jobs.next(), line: line, inLine: inLine, ended: make(chan struct{}), state: jobQueued}
	b.ctx, b.stop = context.WithCancelCause(context.Background()) // it ends when it is told to, whatever becomes of the command in front
	if b.sh, err = s.fork(b); err != nil {
		return nil, "", err
	}
	if name, err := b.sh.refusal(line); err != nil {
		b.sh.retire()
		return nil, name, err
	}
	runs := s.jobs.add(b)
	how := ""
	if !runs {
		how = "queued: "
	}
	s.say("[%d] %s%s", b.number, how, term.Escape(line))
	if s.JSON {
		s.object(s.stdout, map[string]any{"event": "started", "number": b.number, "line": line})
	}
	if runs {
		go b.run(&s.jobs)
	}
	return b, "", nil
}

// fork returns the shell of a job: with the session, the directories and the settings as they are now, and connections,
// meters and output of its own. It has no terminal, and asks nothing.
func (s *Shell) fork(b *background) (*Shell, error) {
	here, err := s.workdir()
	if err != nil {
		return nil, named(".", err)
	}
	c := &Shell{Config: s.Config, inForce: s.inForce, commands: s.commands, helpers: s.helpers, dir: s.dir, before: s.before, ldir: here, job: b}
	c.In, c.Ask, c.Stdin, c.Echo = NewScript(strings.NewReader(""), io.Discard), nil, nil, false
	c.Settings = s.Settings.Clone()
	c.Err = s.voice(b)
	c.Out = s.above()
	c.stdout = c.Out
	c.limit.Of = &s.overall
	c.Remote.Notice, c.Remote.Trying = c.notice, c.trying
	if s.client != nil {
		s.client.Info() // a login that travels with the first command is over then: jobs join its session
		c.client = s.client.Apart(c.limit.Dial(s.dial), c.notice, c.trying)
		c.Mover.Client = c.client
	}
	return c, nil
}

// refusal tells why a line cannot be a job, with the name of the command that is at fault. What an alias stands for is seen
// when it runs.
func (s *Shell) refusal(line string) (name string, err error) {
	cmds, err := Split(line)
	if err != nil {
		return "", err
	}
	for _, cmd := range cmds {
		if text, _ := s.aliasOf(cmd.Words[0]); text != "" {
			continue
		}
		if _, err := s.prepare(cmd, &Call{}); err != nil {
			return cmd.Words[0].Text, err
		}
	}
	return "", nil
}

// retire ends the shell of a job, but not its session.
func (s *Shell) retire() {
	s.stdout.(*whole).flush()
	if s.client != nil {
		s.client.Close()
	}
}

// run carries the job out.
func (b *background) run(j *jobs) {
	code, _ := b.sh.Line(b.ctx, b.line)
	b.sh.retire()
	how := outcome(code)
	if b.voice != nil && !b.voice.said.Load() {
		b.sh.say("%s: %s", how, term.Escape(b.line))
	}
	j.over(b, how, code)
}

// outcome is the state of a job that ended with an exit code.
func outcome(code int) state {
	switch code {
	case exitOK:
		return jobDone
	case exitTerminated, exitStopped:
		return jobStopped
	}
	return jobFailed
}

// next returns the number of the next job.
func (j *jobs) next() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.list) == 0 {
		return 1
	}
	return j.list[len(j.list)-1].number + 1
}

// add takes a job in and tells whether it may run now; if not, schedule starts it.
func (j *jobs) add(b *background) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.list = append(j.list, b)
	return j.turn(b)
}

// turn marks a job as running if it is its turn. j.mu is held.
func (j *jobs) turn(b *background) bool {
	n := 0
	for _, other := range j.list {
		if other.state != jobRunning {
			continue
		}
		if n++; b.inLine && other.inLine || n == maxRunning {
			return false
		}
	}
	b.state = jobRunning
	return true
}

// over is told that a job has ended, and lets those run whose turn it is then.
func (j *jobs) over(b *background, how state, code int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	b.state, b.code, b.sh = how, code, nil
	close(b.ended)
	for _, next := range j.list {
		if next.state == jobQueued && j.turn(next) {
			go next.run(j)
		}
	}
}

// all returns those that fit, by number.
func (j *jobs) all(fit func(*background) bool) (list []*background) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, b := range j.list {
		if fit(b) {
			list = append(list, b)
		}
	}
	return list
}

// unfinished are those that run or will.
func (j *jobs) unfinished() []*background {
	return j.all(func(b *background) bool { return !b.state.over() })
}

func (s state) over() bool { return s != jobQueued && s != jobRunning }

// how returns how far a job is, and its exit code.
func (j *jobs) how(b *background) (state, int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return b.state, b.code
}

// meter returns what counts the job's transfer, nil if there is none just now.
func (j *jobs) meter(b *background) *term.Meter {
	j.mu.Lock()
	defer j.mu.Unlock()
	if b.sh == nil {
		return nil
	}
	return b.sh.meter.Load()
}

// forget takes a job off the list.
func (j *jobs) forget(b *background) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.list = slices.DeleteFunc(j.list, func(other *background) bool { return other == b })
}

// end stops a job, which is over as soon as it has put down what it holds. One that has not begun never does.
func (j *jobs) end(b *background, why error) {
	j.mu.Lock()
	begun := b.state != jobQueued
	if !begun {
		b.state = jobStopped
	}
	j.mu.Unlock()
	b.stop(why)
	if !begun {
		b.sh.retire()
		j.over(b, jobStopped, exitTerminated)
	}
}

// endAll stops all jobs and waits until they are over.
func (j *jobs) endAll(why error) {
	for _, b := range j.all(func(b *background) bool { return b.state == jobQueued }) {
		j.end(b, why)
	}
	running := j.unfinished()
	for _, b := range running {
		b.stop(why)
	}
	for _, b := range running {
		<-b.ended
	}
}
