// Package proc reads from /proc what processes cost: CPU time of a whole tree of them, memory, bytes on an interface.
package proc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const tick = time.Second / 100 // USER_HZ, the same on every Linux that Go runs on

// Stat is what matters of /proc/PID/stat.
type Stat struct {
	PID, Parent int
	State       byte          // R, S, D, Z ...
	Self        time.Duration // CPU time of the process, user and system, all threads
	Children    time.Duration // of its descendants that were waited for
}

// ParseStat reads a line of /proc/PID/stat. The name in it may hold spaces and parentheses.
func ParseStat(line string) (Stat, error) {
	open, end := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
	if open < 0 || end < open {
		return Stat{}, fmt.Errorf("no name in %q", line)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line[:open]))
	if err != nil {
		return Stat{}, err
	}
	f := strings.Fields(line[end+1:]) // from field 3 of proc(5) on
	if len(f) < 15 || len(f[0]) != 1 {
		return Stat{}, fmt.Errorf("too few fields in %q", line)
	}
	parent, err := strconv.Atoi(f[1])
	if err != nil {
		return Stat{}, err
	}
	var ticks [4]int64 // utime stime cutime cstime
	for i := range ticks {
		if ticks[i], err = strconv.ParseInt(f[11+i], 10, 64); err != nil {
			return Stat{}, err
		}
	}
	return Stat{PID: pid, Parent: parent, State: f[0][0],
		Self: time.Duration(ticks[0]+ticks[1]) * tick, Children: time.Duration(ticks[2]+ticks[3]) * tick}, nil
}

// All returns every process that can be seen.
func All() ([]Stat, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var all []Stat
	for _, name := range names {
		if name[0] < '0' || name[0] > '9' {
			continue
		}
		text, err := os.ReadFile("/proc/" + name + "/stat")
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // it ended meanwhile
		}
		if err != nil {
			return nil, err
		}
		s, err := ParseStat(string(text))
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// Below returns those of all that descend from root, root not included.
func Below(all []Stat, root int) []Stat {
	children := map[int][]Stat{}
	for _, s := range all {
		children[s.Parent] = append(children[s.Parent], s)
	}
	var tree []Stat
	for queue := []int{root}; len(queue) > 0; queue = queue[1:] {
		tree = append(tree, children[queue[0]]...)
		for _, s := range children[queue[0]] {
			queue = append(queue, s.PID)
		}
	}
	return tree
}

// CPU returns what the descendants of this process have used so far, those that ended included. It only grows as long as this
// process inherits orphans (PR_SET_CHILD_SUBREAPER) and waits for them, and no process below ignores SIGCHLD.
func CPU() (time.Duration, error) {
	all, err := All()
	if err != nil {
		return 0, err
	}
	var gone syscall.Rusage // finer than the ticks of our own stat
	if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &gone); err != nil {
		return 0, err
	}
	return time.Duration(gone.Utime.Nano()+gone.Stime.Nano()) + sum(Below(all, os.Getpid())), nil
}

func sum(tree []Stat) time.Duration {
	var total time.Duration
	for _, s := range tree {
		total += s.Self + s.Children
	}
	return total
}

// Memory is what /proc/PID/status says of a process's memory, in bytes.
type Memory struct{ RSS, Peak int64 }

// MemoryOf returns the memory of a process.
func MemoryOf(pid int) (Memory, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return Memory{}, err
	}
	return ParseMemory(string(text))
}

// ParseMemory reads the text of /proc/PID/status.
func ParseMemory(text string) (Memory, error) {
	var m Memory
	for line := range strings.Lines(text) {
		var at *int64
		switch {
		case strings.HasPrefix(line, "VmRSS:"):
			at = &m.RSS
		case strings.HasPrefix(line, "VmHWM:"):
			at = &m.Peak
		default:
			continue
		}
		if _, err := fmt.Sscanf(line[len("VmRSS:"):], "%d kB", at); err != nil {
			return m, fmt.Errorf("%q: %w", line, err)
		}
		*at <<= 10
	}
	if m.RSS == 0 {
		return m, errors.New("no VmRSS: the process has ended")
	}
	return m, nil
}

// ResetPeak makes a process's peak start again at what it has now.
func ResetPeak(pid int) error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
}

// PSS returns the proportional share of memory of a process, in bytes: pages that several have count in parts.
func PSS(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
			var kib int64
			_, err := fmt.Sscanf(rest, "%d kB", &kib)
			return kib << 10, err
		}
	}
	return 0, errors.New("no Pss in smaps_rollup")
}

// Received returns how many bytes an interface has received.
func Received(name string) (int64, error) {
	text, err := os.ReadFile("/proc/self/net/dev")
	if err != nil {
		return 0, err
	}
	return ParseReceived(string(text), name)
}

// ParseReceived reads the text of /proc/net/dev.
func ParseReceived(text, name string) (int64, error) {
	for line := range strings.Lines(text) {
		dev, rest, ok := strings.Cut(line, ":")
		if ok && strings.TrimSpace(dev) == name {
			var n int64
			_, err := fmt.Sscan(rest, &n)
			return n, err
		}
	}
	return 0, fmt.Errorf("no interface %s", name)
}
