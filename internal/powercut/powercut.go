// Package powercut gives a test a disk whose power can be cut. It needs Linux, root and loop devices and is for tests
// only.
//
// The disk is an ext4 file system in an image file behind a loop device. A cut copies the image as it is at that
// moment: what the kernel has not written to the device is not in the copy, exactly as after a power failure, and
// mounting the copy replays its journal. Nothing is synced for the cut, and the kernel's own timed journal commits
// are put off, so what a program did not sync is most likely lost (though never certainly: the kernel may write
// whenever it likes).
package powercut

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

const (
	imageSize = 512 << 20
	patience  = 10 * time.Second // how long a cut is tried while the disk is busy
)

// Disk is a mounted file system. It is unmounted and deleted when the test ends.
type Disk struct {
	t     testing.TB
	image string
	dir   string
	stat  string // the loop device's counters
	cuts  int
}

// New makes and mounts an empty disk of 512 MiB (sparse). The test is skipped, with the reason, where that is not
// possible: no Linux, not root, no mkfs.ext4, no loop device to be had.
func New(t testing.TB) *Disk {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("powercut: needs Linux")
	}
	if os.Geteuid() != 0 {
		t.Skip("powercut: needs root to mount")
	}
	for _, tool := range []string{"mkfs.ext4", "mount", "umount", "findmnt", "cp"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("powercut: " + err.Error())
		}
	}
	tmp := t.TempDir()
	d := &Disk{t: t, image: filepath.Join(tmp, "image"), dir: filepath.Join(tmp, "disk")}
	if err := os.WriteFile(d.image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(d.image, imageSize); err != nil {
		t.Fatal(err)
	}
	if _, err := run("mkfs.ext4", "-q", "-F", d.image); err != nil {
		t.Fatal(err)
	}
	if err := d.mount(d.image, d.dir); err != nil {
		t.Skip("powercut: ", err)
	}
	device, err := run("findmnt", "-n", "-o", "MAJ:MIN", "--mountpoint", d.dir)
	if err != nil {
		t.Fatal(err)
	}
	d.stat = "/sys/dev/block/" + device + "/stat"
	return d
}

// Dir is the root of the mounted disk.
func (d *Disk) Dir() string { return d.dir }

// Cut returns the root of a second mounted disk: what would be there if the power had failed now. The first one goes
// on undisturbed and can be cut again. The copy is of one moment: it is repeated when the device was written to
// meanwhile, and a disk that is never quiet for that long fails the test, so stop or kill its writers before.
func (d *Disk) Cut() string {
	d.t.Helper()
	d.cuts++
	image := fmt.Sprintf("%s.cut%d", d.image, d.cuts)
	if err := d.copyQuiet(image); err != nil {
		d.t.Fatal("powercut: ", err)
	}
	dir := fmt.Sprintf("%s.cut%d", d.dir, d.cuts)
	if err := d.mount(image, dir); err != nil {
		d.t.Fatal("powercut: ", err)
	}
	return dir
}

func (d *Disk) copyQuiet(image string) error {
	for late := time.Now().Add(patience); time.Now().Before(late); {
		before, err := d.writes()
		if err != nil {
			return err
		}
		if _, err := run("cp", "--sparse=always", d.image, image); err != nil {
			return err
		}
		after, err := d.writes()
		if err != nil {
			return err
		}
		if before == after && strings.HasSuffix(after, " 0") {
			return nil
		}
	}
	return fmt.Errorf("%s was written to during each copy for %v", d.dir, patience)
}

// writes returns the number of writes the loop device has done and of requests it is working on.
func (d *Disk) writes() (string, error) {
	b, err := os.ReadFile(d.stat)
	if err != nil {
		return "", err
	}
	f := strings.Fields(string(b))
	if len(f) < 9 {
		return "", fmt.Errorf("%s: unknown format", d.stat)
	}
	return f[4] + " " + f[8], nil
}

// mount mounts image at dir until the test ends.
func (d *Disk) mount(image, dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if _, err := run("mount", "-o", "loop,commit=300", image, dir); err != nil {
		return err
	}
	d.t.Cleanup(func() {
		_, err := run("umount", dir)
		if err == nil {
			return
		}
		d.t.Errorf("powercut: something still uses the disk: %v", err)
		if _, err := run("umount", "-l", dir); err != nil {
			d.t.Error("powercut: ", err)
		}
	})
	return nil
}

func run(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).CombinedOutput()
	text := strings.TrimSpace(string(out))
	if err != nil {
		return text, fmt.Errorf("%s: %w: %s", name, err, text)
	}
	return text, nil
}
