package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"ferry/bench/proc"
	"ferry/bench/report"
)

// command is a program to be run and timed.
type command struct {
	argv  []string
	dir   string   // working directory
	env   []string // beside ours
	stdin string
}

// processes are those that this run started. Orphans below them come to us, so that their CPU time is not lost.
type processes struct {
	env []string

	mu  sync.Mutex
	own map[int]bool // started here and not waited for yet
}

func newProcesses(home string) (*processes, error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("inherit orphans: %w", err)
	}
	env := []string{"HOME=" + home, "XDG_STATE_HOME=" + home + "/state", "XDG_CONFIG_HOME=" + home + "/config", "LC_ALL=C", "PATH=" + os.Getenv("PATH"), "TERM=dumb"}
	return &processes{env: env, own: map[int]bool{}}, nil
}

// running is a process that was started.
type running struct {
	*exec.Cmd
	all *processes
	out bytes.Buffer // both outputs, unless they were taken elsewhere
}

// prepare makes a process that dies with ctx, and is in a group of its own: Ctrl-C is for us, who then stop it in order.
func (p *processes) prepare(ctx context.Context, c command) *running {
	r := &running{Cmd: exec.CommandContext(ctx, c.argv[0], c.argv[1:]...), all: p}
	r.Dir, r.Env = c.dir, append(p.env[:len(p.env):len(p.env)], c.env...)
	r.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	r.Cancel = func() error { return syscall.Kill(-r.Process.Pid, syscall.SIGKILL) }
	r.WaitDelay = 5 * time.Second
	if c.stdin != "" {
		r.Stdin = strings.NewReader(c.stdin)
	}
	return r
}

func (r *running) start() error {
	if r.Stdout == nil {
		r.Stdout = &r.out
	}
	r.Stderr = &r.out
	if err := r.Start(); err != nil {
		return err
	}
	r.all.mu.Lock()
	defer r.all.mu.Unlock()
	r.all.own[r.Process.Pid] = true
	return nil
}

// wait returns how it ended, with the last line it wrote.
func (r *running) wait() error {
	err := r.Wait()
	r.all.mu.Lock()
	delete(r.all.own, r.Process.Pid)
	r.all.mu.Unlock()
	if err != nil {
		return fmt.Errorf("%s: %s", err, lastLine(r.out.String()))
	}
	return nil
}

// lastLine returns what a program said last; a hint is not the reason.
func lastLine(text string) string {
	last := "it said nothing"
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "hint:") {
			last = line
		}
	}
	if len(last) > 160 {
		last = last[:160]
	}
	return last
}

// run runs a command to its end, untimed.
func (p *processes) run(ctx context.Context, c command) error {
	_, err := p.output(ctx, c)
	return err
}

// output is run, and returns what it wrote.
func (p *processes) output(ctx context.Context, c command) (string, error) {
	r := p.prepare(ctx, c)
	if err := r.start(); err != nil {
		return "", err
	}
	err := r.wait()
	return r.out.String(), err
}

// timed runs a command and measures it; wire tells how many bytes have crossed the network so far and may be nil.
func (p *processes) timed(ctx context.Context, c command, wire func() (int64, error)) (report.Sample, error) {
	return p.measure(ctx, wire, func() error { return p.run(ctx, c) })
}

// measure times what work does. The CPU time of everything below us counts, once it has come to rest again.
func (p *processes) measure(ctx context.Context, wire func() (int64, error), work func() error) (report.Sample, error) {
	if wire == nil {
		wire = func() (int64, error) { return 0, nil }
	}
	before, err := p.alive()
	if err != nil {
		return report.Sample{}, err
	}
	bytes, err := wire()
	if err != nil {
		return report.Sample{}, err
	}
	cpu, err := proc.CPU()
	if err != nil {
		return report.Sample{}, err
	}
	begin := time.Now()
	if err := work(); err != nil {
		return report.Sample{}, err
	}
	wall := time.Since(begin)
	p.settle(ctx, before)
	after, err := proc.CPU()
	if err != nil {
		return report.Sample{}, err
	}
	carried, err := wire()
	return report.Sample{Wall: wall.Seconds(), CPU: (after - cpu).Seconds(), Wire: carried - bytes}, err
}

// alive counts the processes below us, without those that ended and only wait for us.
func (p *processes) alive() (int, error) {
	p.reap()
	all, err := proc.All()
	n := 0
	for _, s := range proc.Below(all, os.Getpid()) {
		if s.State != 'Z' {
			n++
		}
	}
	return n, err
}

// settle waits until no more processes are there than before the work, which servers may have had fork for it: 3 s at most,
// and no less than 30 ms, in which a server closes what the client left.
func (p *processes) settle(ctx context.Context, before int) {
	for i := 0; i < 300 && ctx.Err() == nil; i++ {
		time.Sleep(10 * time.Millisecond)
		if n, err := p.alive(); i >= 2 && (err != nil || n <= before) {
			return
		}
	}
}

// reap takes leave of orphans that came to us.
func (p *processes) reap() {
	all, err := proc.All()
	if err != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range all {
		if s.Parent == os.Getpid() && s.State == 'Z' && !p.own[s.PID] {
			syscall.Wait4(s.PID, nil, syscall.WNOHANG, nil)
		}
	}
}

// stop ends a server: SIGTERM, and after 12 s SIGKILL.
func (r *running) stop() error {
	r.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(12*time.Second, func() { r.Process.Kill() })
	defer kill.Stop()
	return r.wait()
}

// stopAll ends what is left below us, sessions of servers that outlived them for example, each by its number.
func (p *processes) stopAll() {
	for range 20 {
		p.reap()
		all, _ := proc.All()
		left := 0
		for _, s := range proc.Below(all, os.Getpid()) {
			if s.State != 'Z' {
				syscall.Kill(s.PID, syscall.SIGKILL)
				left++
			}
		}
		if left == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// dialog is a process that is spoken to line by line.
type dialog struct {
	*running
	in  io.WriteCloser
	out *lines
}

// talk starts a process whose standard input and output are ours.
func (p *processes) talk(ctx context.Context, c command) (*dialog, error) {
	r := p.prepare(ctx, c)
	in, err := r.StdinPipe()
	if err != nil {
		return nil, err
	}
	out := &lines{all: make(chan string, 64)}
	r.Stdout = out
	if err := r.start(); err != nil {
		return nil, err
	}
	return &dialog{r, in, out}, nil
}

// lines hands over what a process writes, a line at a time.
type lines struct {
	rest []byte
	all  chan string
}

// Write implements io.Writer.
func (l *lines) Write(b []byte) (int, error) {
	l.rest = append(l.rest, b...)
	for {
		line, rest, found := bytes.Cut(l.rest, []byte("\n"))
		if !found {
			return len(b), nil
		}
		l.all <- string(line)
		l.rest = rest
	}
}

// say sends a line.
func (d *dialog) say(line string) error {
	_, err := io.WriteString(d.in, line+"\n")
	return err
}

// hear returns the next line. When none comes, the process has ended or takes too long, and is ended.
func (d *dialog) hear(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	gone := time.NewTicker(50 * time.Millisecond)
	defer gone.Stop()
	for {
		select {
		case line := <-d.out.all:
			return line, nil
		case <-ctx.Done():
			d.Cancel()
			return "", errors.Join(ctx.Err(), d.wait())
		case <-gone.C:
			if s, err := statOf(d.Process.Pid); err == nil && s.State == 'Z' && len(d.out.all) == 0 {
				return "", errors.Join(errors.New("it ended early"), d.end())
			}
		}
	}
}

// end closes its input and waits for it.
func (d *dialog) end() error {
	d.in.Close()
	return d.wait()
}

func statOf(pid int) (proc.Stat, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return proc.Stat{}, err
	}
	return proc.ParseStat(string(text))
}
