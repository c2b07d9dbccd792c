// Bench measures ferry beside the tools people use for the same work, in one run on one machine, and writes down every sample,
// the bars of the design and whether they are met. It installs nothing: a tool that is missing is said to be.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"ferry/bench/bare"
	"ferry/bench/link"
	"ferry/bench/probe"
	"ferry/bench/report"
)

// ownNetwork is set in the environment of the process that has a network of its own.
const ownNetwork = "FERRY_BENCH_NETWORK"

// options are the command line.
type options struct {
	only, bin, disk, tmpfs, out, render, into string
	runs                                      int
	quick, list                               bool
}

func main() {
	err := helper(os.Args[1:])
	if errors.Is(err, errNoHelper) {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		err = start(ctx, os.Args[1:])
		stop()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

var errNoHelper = errors.New("this is the program itself")

// helper is what this binary does when the program starts it again, under a word that begins in @. Signals end it at once.
func helper(args []string) error {
	if len(args) == 0 {
		return errNoHelper
	}
	switch args[0] {
	case "@bare-serve":
		return bare.Serve(args[1:])
	case "@bare-move":
		return bare.Move(args[1:])
	case "@bare-fsync":
		return bare.Fsync(args[1:])
	case "@probe":
		return probe.Run(context.Background(), args[1:])
	}
	return errNoHelper
}

// start is the program.
func start(ctx context.Context, args []string) error {
	var o options
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.StringVar(&o.only, "only", "", "only rows whose id or title matches this `REGEXP`")
	f.IntVar(&o.runs, "n", 3, "runs of each tool in each row")
	f.BoolVar(&o.quick, "quick", false, "small sizes, to see that it works: the figures mean nothing")
	f.BoolVar(&o.list, "list", false, "list the rows and end")
	f.StringVar(&o.bin, "bin", "bin", "`DIR` of ferry and ferryd")
	f.StringVar(&o.disk, "dir", "/var/tmp", "`DIR` for the rows on a disk")
	f.StringVar(&o.tmpfs, "tmpfs", "/dev/shm", "`DIR` for the rows on tmpfs; root has one mounted there if it is on something else")
	f.StringVar(&o.out, "out", "", "write PATH.json and PATH.svg (default docs/bench/latest for a run of all rows that is not quick)")
	f.StringVar(&o.into, "into", "", "put the rows into the report of this JSON `FILE` in the place of its own, and draw its chart again")
	f.StringVar(&o.render, "render", "", "measure nothing: show the table of this JSON `FILE` again, and write its chart beside it")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if o.runs < 1 || f.NArg() > 0 {
		return errors.New("wrong arguments, see -h")
	}
	if o.render != "" {
		return render(o.render)
	}
	if o.out == "" && o.into == "" && o.only == "" && !o.quick {
		o.out = "docs/bench/latest"
	}
	if !o.list {
		if err := leaveNetwork(); err != nil {
			return err
		}
	}
	return run(ctx, o)
}

// render makes the table and the chart of a report again.
func render(path string) error {
	r, err := report.Load(path)
	if err != nil {
		return err
	}
	r.Table(os.Stdout)
	return os.WriteFile(strings.TrimSuffix(path, ".json")+".svg", r.Chart(), 0o644)
}

// leaveNetwork starts this program again in a network namespace of its own, where ports are free and loopback carries nobody
// else's bytes. Without root it stays where it is. Its congestion control is that of the machine, in every namespace.
func leaveNetwork() error {
	if os.Getenv(ownNetwork) != "" || os.Getuid() != 0 {
		return nil
	}
	ip, err := program("ip")
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: in the machine's own network:", err)
		return nil
	}
	runtime.LockOSThread() // the new namespace is this thread's, and exec makes it that of the whole process
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("network namespace: %w", err)
	}
	if out, err := exec.Command(ip, "link", "set", "lo", "up").CombinedOutput(); err != nil {
		return fmt.Errorf("bring up loopback: %w: %s", err, out)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return syscall.Exec(self, os.Args, append(os.Environ(), ownNetwork+"=yes"))
}

// bench is a run.
type bench struct {
	*processes
	options
	ferry, ferryd, self string
	sizes               sizes
	sums                map[string]string // digests of sources
	dirs                []string          // to be removed
	sites               map[string]*site
	undo                []func() // last first, at the end
}

func run(ctx context.Context, o options) (err error) {
	b := &bench{options: o, sums: map[string]string{}, sites: map[string]*site{}, sizes: sizesFor(o.quick)}
	rows := b.rows()
	match, err := regexp.Compile(o.only)
	if err != nil {
		return err
	}
	rows = slices.DeleteFunc(rows, func(r row) bool { return !match.MatchString(r.id) && !match.MatchString(r.title) })
	if o.list {
		for _, r := range rows {
			fmt.Printf("%-22s %s\n", r.id, r.title)
		}
		return nil
	}
	if len(rows) == 0 {
		return errors.New("no such row; -list lists them")
	}
	if err := b.prepareRun(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	rep := &report.Report{Time: time.Now().UTC().Format(time.RFC3339), Commit: b.commit(ctx), Quick: o.quick, Runs: o.runs,
		Machine: b.machine(), Versions: b.versions(ctx)}
	begin := time.Now()
	for i, r := range rows {
		fmt.Fprintf(os.Stderr, "[%4.0f s] %d/%d %s: %s\n", time.Since(begin).Seconds(), i+1, len(rows), r.id, r.title)
		rep.Rows = append(rep.Rows, b.carryOut(ctx, r)...)
		if ctx.Err() != nil {
			return errors.New("interrupted: nothing is written")
		}
	}
	fmt.Fprintf(os.Stderr, "[%4.0f s] done\n", time.Since(begin).Seconds())
	rep.Table(os.Stdout)
	if o.into != "" {
		whole, err := report.Load(o.into)
		if err == nil {
			err = whole.Update(rep)
		}
		if err != nil {
			return err
		}
		rep, o.out = whole, strings.TrimSuffix(o.into, ".json")
	}
	if o.out == "" {
		return nil
	}
	return errors.Join(rep.Save(o.out+".json"), os.WriteFile(o.out+".svg", rep.Chart(), 0o644))
}

// prepareRun finds what is needed and makes the directories.
func (b *bench) prepareRun(ctx context.Context) (err error) {
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	for name, at := range map[string]*string{"ferry": &b.ferry, "ferryd": &b.ferryd} {
		if *at, err = filepath.Abs(filepath.Join(b.bin, name)); err != nil {
			return err
		}
		if _, err := os.Stat(*at); err != nil {
			return fmt.Errorf("%w (make build)", err)
		}
	}
	raiseFiles()
	b.undo = append(b.undo, keepMemory())
	home, err := os.MkdirTemp("", "ferry-bench-")
	if err != nil {
		return err
	}
	b.dirs = append(b.dirs, home)
	if b.processes, err = newProcesses(home); err != nil {
		return err
	}
	if err := b.tmpfsDir(ctx, b.tmpfs); err != nil {
		return fmt.Errorf("-tmpfs %s: %w", b.tmpfs, err)
	}
	if fileSystem(b.disk) == "tmpfs" {
		return fmt.Errorf("-dir %s is no disk but tmpfs", b.disk)
	}
	if !b.quick {
		return b.warmMemory()
	}
	return nil
}

// warmMemory uses as much memory once as the largest rows do, so that the first of them does not pay for pages that the
// machine has never had.
func (b *bench) warmMemory() error {
	free, err := memInfo("MemAvailable")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(b.tmpfs, "warm")
	if err != nil {
		return err
	}
	defer f.Close()
	os.Remove(f.Name())
	zeros := make([]byte, 1<<20)
	for n := int64(0); n < min(free-4<<30, 16<<30); n += int64(len(zeros)) {
		if _, err := f.Write(zeros); err != nil {
			return nil // as much as there is room for
		}
	}
	return nil
}

// keepMemory stops a virtual machine from giving its free memory back to the host while the run lasts, where it may, and
// returns what lets it again: else every new page of a file costs what the host takes to find one, many times the copy itself.
func keepMemory() (undo func()) {
	const order = "/sys/module/page_reporting/parameters/page_reporting_order"
	old := word(order)
	for try := 20; try >= 10 && old != "unknown"; try-- { // the largest that the kernel takes is larger than any page
		if os.WriteFile(order, []byte(strconv.Itoa(try)), 0o644) == nil {
			return func() { os.WriteFile(order, []byte(old), 0o644) }
		}
	}
	return func() {}
}

// raiseFiles lets us and our children open as many files as we may give ourselves: ten thousand sessions need them.
func raiseFiles() {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return
	}
	want := syscall.Rlimit{Cur: max(limit.Max, 65536), Max: max(limit.Max, 65536)}
	if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &want) != nil {
		syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: limit.Max, Max: limit.Max})
	}
}

// close stops every process, and removes every file and device that the run made.
func (b *bench) close() error {
	for _, s := range b.sites {
		s.close()
	}
	b.stopAll()
	for _, undo := range slices.Backward(b.undo) {
		undo()
	}
	var errs []error
	for _, dir := range b.dirs {
		errs = append(errs, os.RemoveAll(dir))
	}
	return errors.Join(errs...)
}

// site returns the place of that name, made when it is first asked for: tmpfs, disk, reflink or line.
func (b *bench) site(ctx context.Context, name string) (*site, error) {
	if s := b.sites[name]; s != nil {
		return s, nil
	}
	s := &site{b: b, medium: name, host: "127.0.0.1", servers: map[string]*server{}, failed: map[string]error{}}
	parent := b.tmpfs
	var err error
	switch name {
	case "disk":
		parent = b.disk
		s.medium, s.disk = "disk, "+fileSystem(parent), true
	case "reflink":
		if parent, s.medium, err = b.image(ctx); err != nil {
			return nil, err
		}
	case "line":
		if os.Getuid() != 0 {
			return nil, errors.New("needs root")
		}
		if _, err := program("ip"); err != nil {
			return nil, err
		}
		if s.link, err = link.Open(ctx, fmt.Sprintf("ferrybench%d", os.Getpid()), link.Quality{}); err != nil {
			return nil, err
		}
		s.host, s.client, s.server = s.link.Address(), s.link.Client(), s.link.Server()
		s.medium = "long line, tmpfs"
	}
	if s.dir, err = os.MkdirTemp(parent, "ferry-bench-"); err == nil {
		b.dirs = append(b.dirs, s.dir)
		err = errors.Join(os.Chmod(s.dir, 0o711), os.Mkdir(s.here(), 0o755))
	}
	if err != nil {
		s.close()
		return nil, err
	}
	b.sites[name] = s
	return s, nil
}
