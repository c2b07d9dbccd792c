package proc

import (
	"os"
	"os/exec"
	"reflect"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	got, err := ParseStat("4711 (a (very) odd) name) S 1 4711 4711 0 -1 4194560 1 2 3 4 150 50 7 3 20 0 1 0 5 6 7\n")
	want := Stat{PID: 4711, Parent: 1, State: 'S', Self: 2 * time.Second, Children: 100 * time.Millisecond}
	if err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	for _, bad := range []string{"", "1 2 3", "x (a) S 1", "1 (a) S 1 2 3", "1 (a) S x 1 1 0 -1 1 1 2 3 4 1 1 1 1 20 0", "1 (a) S 1 1 1 0 -1 1 1 2 3 4 x 1 1 1 20 0"} {
		if s, err := ParseStat(bad); err == nil {
			t.Errorf("ParseStat(%q) = %+v", bad, s)
		}
	}
}

func TestBelow(t *testing.T) {
	all := []Stat{{PID: 1}, {PID: 9, Parent: 5}, {PID: 5, Parent: 2, Self: 1, Children: 2}, {PID: 2, Parent: 1}, {PID: 3, Parent: 1}, {PID: 6, Parent: 2, Self: 4}}
	tree := Below(all, 2)
	var pids []int
	for _, s := range tree {
		pids = append(pids, s.PID)
	}
	if !reflect.DeepEqual(pids, []int{5, 6, 9}) || sum(tree) != 7 {
		t.Errorf("below 2: %v, sum %d", pids, sum(tree))
	}
}

// TestCPU: what a child has used counts while it lives and once it has been waited for, and only once.
func TestCPU(t *testing.T) {
	before, err := CPU()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; echo done; read x")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Skip(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	alive, err := CPU()
	if err != nil {
		t.Fatal(err)
	}
	in.Close()
	cmd.Wait()
	after, err := CPU()
	if err != nil {
		t.Fatal(err)
	}
	own := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if alive-before < own/2 || alive-before > own || after-before < own || after-before > own+own/2 { // the runtime may try a child of its own
		t.Errorf("alive %v, ended %v; its own account is %v", alive-before, after-before, own)
	}
}

func TestMemory(t *testing.T) {
	got, err := ParseMemory("Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\nThreads:\t1\n")
	if want := (Memory{RSS: 1 << 20, Peak: 2 << 20}); err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	for _, bad := range []string{"", "VmRSS: many\n"} {
		if m, err := ParseMemory(bad); err == nil {
			t.Errorf("ParseMemory(%q) = %+v", bad, m)
		}
	}
	if m, err := MemoryOf(os.Getpid()); err != nil || m.RSS < 1<<20 || m.Peak < m.RSS {
		t.Errorf("our own memory: %+v, %v", m, err)
	}
}

func TestReceived(t *testing.T) {
	text := "Inter-|   Receive\n face |bytes\n    lo: 123 4 0\n  eth0:77 1 0\n"
	for name, want := range map[string]int64{"lo": 123, "eth0": 77} {
		if got, err := ParseReceived(text, name); err != nil || got != want {
			t.Errorf("%s: %d, %v; want %d", name, got, err, want)
		}
	}
	if _, err := ParseReceived(text, "eth1"); err == nil {
		t.Error("no error for an interface that is not there")
	}
}
