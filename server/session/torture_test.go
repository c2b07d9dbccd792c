package session_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"ferry/server/servertest"
	"ferry/server/storage/local"
	"ferry/shared/block"
	"ferry/shared/wire"
)

// faults makes the file operation numbered at fail, counted from when it was armed.
type faults struct {
	mu  sync.Mutex
	at  int // 0: none
	n   int
	err error
	log []string
}

// arm starts the count. With at 0 nothing fails. It returns the operations since the last time.
func (f *faults) arm(at int, err error) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	log := f.log
	f.at, f.n, f.err, f.log = at, 0, err, nil
	return log
}

func (f *faults) hit(op string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n++
	f.log = append(f.log, op)
	if f.n == f.at {
		return f.err
	}
	return nil
}

// then does an operation unless it is to fail.
func (f *faults) then(op string, do func() error) error {
	if err := f.hit(op); err != nil {
		return err
	}
	return do()
}

// ops does no sync: there would be thousands, and nobody looks at the disk.
func (f *faults) ops() local.Ops {
	o := local.RealOps()
	r := o
	o.Open = func(dir int, name string, flags int, mode uint32) (int, error) {
		if err := f.hit("open"); err != nil {
			return -1, err
		}
		return r.Open(dir, name, flags, mode)
	}
	o.Write = func(fd int, b []byte, off int64) (int, error) {
		if err := f.hit("write"); err != nil {
			return 0, err
		}
		return r.Write(fd, b, off)
	}
	o.Truncate = func(fd int, n int64) error { return f.then("truncate", func() error { return r.Truncate(fd, n) }) }
	o.Chmod = func(fd int, mode uint32) error { return f.then("chmod", func() error { return r.Chmod(fd, mode) }) }
	o.Times = func(dir int, name string, ts []unix.Timespec) error {
		return f.then("times", func() error { return r.Times(dir, name, ts) })
	}
	o.Sync = func(int) error { return f.hit("sync") }
	o.SyncDir = func(int) error { return f.hit("syncdir") }
	o.SyncFS = func(int) error { return f.hit("syncfs") }
	o.Rename = func(fd int, from string, toFd int, to string, flags uint) error {
		return f.then("rename", func() error { return r.Rename(fd, from, toFd, to, flags) })
	}
	o.Unlink = func(dir int, name string, flags int) error {
		return f.then("unlink", func() error { return r.Unlink(dir, name, flags) })
	}
	o.Mkdir = func(dir int, name string, mode uint32) error {
		return f.then("mkdir", func() error { return r.Mkdir(dir, name, mode) })
	}
	return o
}

// sender numbers the requests of a peer. The server remembers the numbers.
type sender struct {
	*peer
	n *int
}

func (p *sender) id() string {
	*p.n++
	return fmt.Sprintf(`"id":"%032x"`, *p.n)
}

// small sends puts in one piece and returns their codes.
func (p *sender) small(path string, contents ...string) (errs []*wire.Error) {
	var all []byte
	for i, text := range contents {
		header := request("put", fmt.Sprintf(`%s,"path":"%s%d","length":%d,"mtime":1,"force":true,"parents":true,"size":%d`, p.id(), path, i, len(text), len(text)))
		all = append(append(all, frame(header)...), text...)
	}
	p.raw(all)
	for range contents {
		errs = append(errs, p.answer().Error)
	}
	return errs
}

// large sends a file of several blocks and returns the first error.
func (p *sender) large(path string, content []byte) *wire.Error {
	p.t.Helper()
	open := p.begin(path, int64(len(content)))
	if open.Error != nil {
		return open.Error
	}
	for off := int64(0); off < int64(len(content)); off += block.Size {
		if err := p.data(open, off, content[off:min(off+block.Size, int64(len(content)))]); err != nil {
			return err
		}
	}
	return p.commit(open)
}

// TestEveryFault: whichever file operation of a request fails, the answer is an error of the right kind that tells nothing
// about the server, the name shows old or new, the connection goes on, and the same request made again is carried out.
func TestEveryFault(t *testing.T) {
	long := bytes.Repeat([]byte("several blocks, "), block.Size/16*2+100)
	old, fresh := "the old text", strings.Repeat("the new text ", 100)
	one := func(err *wire.Error) []*wire.Error { return []*wire.Error{err} }
	var f faults
	sent := 0
	s := servertest.New(t, servertest.WithOps(f.ops()))
	s.AddUser("alice", "correct horse")
	home := func(name string) string { return filepath.Join(s.Home("alice"), name) }
	write := func(name, text string) {
		if err := os.WriteFile(home(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name          string
		before, after map[string]string // "" is nothing, "/" a directory
		do            func(p *sender) []*wire.Error
	}{
		{"put small", map[string]string{"f0": old}, map[string]string{"f0": fresh}, func(p *sender) []*wire.Error { return p.small("/f", fresh) }},
		{"put several", map[string]string{"d": "", "f1": ""}, map[string]string{"d/f0": fresh, "d/f1": old, "d/f2": fresh},
			func(p *sender) []*wire.Error { return p.small("/d/f", fresh, old, fresh) }},
		{"put large", map[string]string{"f": old}, map[string]string{"f": string(long)}, func(p *sender) []*wire.Error { return one(p.large("/f", long)) }},
		{"mkdir", map[string]string{"d": ""}, map[string]string{"d/e": "/"}, func(p *sender) []*wire.Error {
			return one(p.ask(request("mkdir", p.id()+`,"path":"/d/e","parents":true`)).Error)
		}},
		{"rm", map[string]string{"f": old}, map[string]string{"f": ""}, func(p *sender) []*wire.Error {
			return one(p.ask(request("rm", p.id()+`,"path":"/f"`)).Error)
		}},
		{"rmdir", map[string]string{"d": "/"}, map[string]string{"d": ""}, func(p *sender) []*wire.Error {
			return one(p.ask(request("rmdir", p.id()+`,"path":"/d"`)).Error)
		}},
		{"mv", map[string]string{"f": fresh, "g": old}, map[string]string{"f": "", "g": fresh}, func(p *sender) []*wire.Error {
			return one(p.ask(request("mv", p.id()+`,"path":"/f","to":"/g","replace":true`)).Error)
		}},
	} {
		for fault, codes := range map[syscall.Errno][]wire.Code{
			unix.EIO: {wire.Internal, wire.VerifyFailed}, unix.ENOSPC: {wire.NoSpace}, unix.EDQUOT: {wire.NoSpace}, unix.EROFS: {wire.Denied, wire.VerifyFailed},
		} {
			t.Run(fmt.Sprintf("%s, %s", c.name, unix.ErrnoName(fault)), func(t *testing.T) {
				p := &sender{in(t, s), &sent}
				for at := 1; ; at++ {
					if at == 100 {
						t.Fatal("never ended")
					}
					list, err := filepath.Glob(home("[a-z]*")) // but not the staging
					if err != nil {
						t.Fatal(err)
					}
					for _, name := range list {
						os.RemoveAll(name)
					}
					for name, text := range c.before {
						if text == "/" {
							os.Mkdir(home(name), 0o700)
						} else if text != "" {
							write(name, text)
						}
					}
					f.arm(at, fault)
					errs := c.do(p)
					log := f.arm(0, nil)
					if len(log) < at {
						if err := errors.Join(asErrors(errs)...); err != nil || at < 3 {
							t.Errorf("%d operations, no fault, but %v", len(log), err)
						}
						return
					}
					what := fmt.Sprintf("fault at %d, %s", at, log[at-1])
					failed := false
					for _, e := range errs {
						if e == nil {
							continue
						}
						failed = true
						if !slices.Contains(codes, e.Code) || strings.Contains(e.Message, s.Data()) || strings.Contains(e.Message, fault.Error()) && fault == unix.EIO {
							t.Errorf("%s: %s, %q", what, e.Code, e.Message)
						}
					}
					if !failed && log[at-1] != "unlink" {
						t.Errorf("%s: no error", what)
					}
					if !failed && !shows(t, home, c.after) {
						t.Errorf("%s: an untrue success", what)
					}
					for name, text := range c.after {
						if failed && !shows(t, home, map[string]string{name: text}) && !shows(t, home, map[string]string{name: c.before[name]}) {
							t.Errorf("%s: %s is neither old nor new", what, name)
						}
					}
					if shows(t, home, c.after) {
						continue
					}
					if err := errors.Join(asErrors(c.do(p))...); err != nil || !shows(t, home, c.after) {
						t.Errorf("%s: the same again: %v", what, err)
					}
				}
			})
		}
	}
}

func asErrors(errs []*wire.Error) (all []error) {
	for _, e := range errs {
		if e != nil {
			all = append(all, e)
		}
	}
	return all
}

// shows tells whether the names hold that: nothing for "", a directory for "/", else a file.
func shows(t *testing.T, home func(string) string, want map[string]string) bool {
	t.Helper()
	for name, text := range want {
		info, err := os.Lstat(home(name))
		if errors.Is(err, fs.ErrNotExist) {
			if text != "" {
				return false
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if info.IsDir() {
			if text != "/" {
				return false
			}
			continue
		}
		b, err := os.ReadFile(home(name))
		if err != nil || string(b) != text {
			return false
		}
	}
	return true
}
