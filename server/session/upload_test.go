package session_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"ferry/server/servertest"
	"ferry/server/storage/local"
	"ferry/shared/block"
	"ferry/shared/wire"
)

// staged returns the unfinished uploads of the account.
func (p *peer) staged() []wire.Upload {
	p.t.Helper()
	p.raw(frame(request("resume", "")))
	var a wire.ResumeAnswer
	if err := wire.DecodeAnswer(p.hear(), &a); err != nil || a.Error != nil {
		p.t.Fatal(err, a.Error)
	}
	return a.Uploads
}

// begin opens an upload, which is put over whatever is there.
func (p *sender) begin(path string, length int64) (a wire.PutAnswer) {
	p.t.Helper()
	p.raw(frame(request("put", fmt.Sprintf(`%s,"path":"%s","length":%d,"mtime":1,"force":true,"job":"%s"`, p.id(), path, length, anID))))
	if err := json.Unmarshal(p.hear(), &a); err != nil {
		p.t.Fatal(err)
	}
	return a
}

// data sends bytes of an upload.
func (p *sender) data(open wire.PutAnswer, off int64, b []byte) *wire.Error {
	p.t.Helper()
	p.raw(dataRequest(open, off, b))
	return p.answer().Error
}

func dataRequest(open wire.PutAnswer, off int64, b []byte) []byte {
	tag, _ := block.NewTagger(*open.Key).Tag(off/block.Size, b).MarshalText()
	header := request("data", fmt.Sprintf(`"upload":"%s","epoch":%d,"offset":%d,"tag":"%s","size":%d`, open.Upload, open.Epoch, off, tag, len(b)))
	return append(frame(header), b...)
}

// check asks for all blocks of an upload, which are to be those of content.
func (p *sender) check(open wire.PutAnswer, content []byte) *wire.Error {
	p.t.Helper()
	tagger, tags := block.NewTagger(*open.Key), []byte(nil)
	for off := int64(0); off < int64(len(content)); off += block.Size {
		tag := tagger.Tag(off/block.Size, content[off:min(off+block.Size, int64(len(content)))])
		tags = append(tags, tag[:]...)
	}
	p.raw(append(frame(request("check", fmt.Sprintf(`"upload":"%s","epoch":%d,"first":0,"size":%d`, open.Upload, open.Epoch, len(tags)))), tags...))
	a := p.answer()
	if a.Error == nil {
		p.skip(int64(len(tags)/16+7) / 8)
	}
	return a.Error
}

// commit publishes an upload.
func (p *sender) commit(open wire.PutAnswer) *wire.Error {
	p.t.Helper()
	return p.ask(p.commitRequest(open)).Error
}

func (p *sender) commitRequest(open wire.PutAnswer) string {
	return request("commit", fmt.Sprintf(`%s,"upload":"%s","epoch":%d`, p.id(), open.Upload, open.Epoch))
}

// TestBlankUpload: of what a session without connections had open only that stays which somebody may go on with. The rest is
// neither listed nor counted, and nothing of it is on the disk.
func TestBlankUpload(t *testing.T) {
	s := servertest.New(t)
	s.AddUser("alice", "correct horse")
	n := 0
	old := make([]byte, 2*block.Size+1)
	if err := os.WriteFile(filepath.Join(s.Home("alice"), "old"), old, 0o600); err != nil {
		t.Fatal(err)
	}
	watch := &sender{in(t, s), &n}
	must := func(err *wire.Error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	ended := 0
	for _, c := range []struct {
		name string
		kept int
		do   func(t *testing.T, p *sender)
	}{
		{"opened", 0, func(t *testing.T, p *sender) { p.begin("/f", 3*block.Size) }},
		{"opened over a file", 0, func(t *testing.T, p *sender) { p.begin("/old", int64(len(old))) }},
		{"read after the client was gone", 0, func(t *testing.T, p *sender) {
			p.raw(frame(request("put", p.id()+`,"path":"/f","length":3145728,"mtime":1,"job":"`+anID+`"`)))
		}},
		{"a block that was damaged", 0, func(t *testing.T, p *sender) {
			b := dataRequest(p.begin("/f", 3*block.Size), 0, old[:block.Size])
			b[len(b)-1] ^= 1
			p.raw(b)
			if a := p.answer(); a.code() != wire.VerifyFailed {
				t.Errorf("got %v", a.Error)
			}
		}},
		{"a block", 1, func(t *testing.T, p *sender) {
			must(p.data(p.begin("/f", 3*block.Size), block.Size, old[:block.Size]))
		}},
		{"a byte", 1, func(t *testing.T, p *sender) { must(p.data(p.begin("/f", 3*block.Size), block.Size, old[:1])) }},
		{"all found in the old version", 1, func(t *testing.T, p *sender) { must(p.check(p.begin("/old", int64(len(old))), old)) }},
		{"published after the client was gone", 0, func(t *testing.T, p *sender) {
			open := p.begin("/old", int64(len(old)))
			must(p.check(open, old))
			p.raw(frame(p.commitRequest(open)))
		}},
		{"opened again", 1, func(t *testing.T, p *sender) { p.begin("/f", 3*block.Size); p.begin("/f", 3*block.Size) }},
		{"taken over", 1, func(t *testing.T, p *sender) {
			p.begin("/f", 3*block.Size)
			watch.begin("/f", 3*block.Size)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &sender{in(t, s), &n}
			c.do(t, p)
			p.nc.Close()
			ended++
			s.Log.Await(t, ended, "session ended")
			all := watch.staged()
			if len(all) != c.kept {
				t.Errorf("%d unfinished uploads, want %d", len(all), c.kept)
			}
			used := int64(len(old))
			for _, u := range all {
				used += u.Length
			}
			if a := watch.df(); a.Used != used {
				t.Errorf("%d bytes are used, want %d", a.Used, used)
			}
			if dirs, err := filepath.Glob(filepath.Join(s.Home("alice"), ".ferry", "*")); err != nil || len(dirs) != c.kept {
				t.Errorf("on the disk are %q, %v", dirs, err)
			}
			for _, u := range all {
				if a := watch.ask(request("drop", watch.id()+`,"upload":"`+u.ID+`"`)); a.Error != nil {
					t.Fatal(a.Error)
				}
			}
		})
	}
}

// TestBlankTakenOver: an upload without a byte that is taken over while the session that opened it ends is of use to the one who
// has it now, whichever comes first.
func TestBlankTakenOver(t *testing.T) {
	s := servertest.New(t)
	s.AddUser("alice", "correct horse")
	n := 0
	p, j := &sender{in(t, s), &n}, loggedIn(t, s)
	first := &sender{j.peer, &n}
	content := make([]byte, 2*block.Size)
	for i := range 10 {
		path := fmt.Sprintf("/f%d", i)
		if i > 0 {
			first.peer = j.join(t, s)
		}
		first.begin(path, int64(len(content)))
		var gone sync.WaitGroup
		gone.Go(func() { first.nc.Close() })
		if err := p.large(path, content); err != nil {
			t.Fatalf("round %d: %v", i, err)
		}
		gone.Wait()
		s.Log.Await(t, i+1, "session ended")
	}
	if all := p.staged(); len(all) != 0 {
		t.Errorf("left: %+v", all)
	}
}

// TestReleaseLate: a session's last connection ends, and before what it had open is let go of, another one has come in. It
// finds it open.
func TestReleaseLate(t *testing.T) {
	var stop, stopped atomic.Bool
	gate := make(chan struct{})
	ops := local.RealOps()
	create := ops.Open
	ops.Open = func(dir int, name string, flags int, mode uint32) (int, error) {
		if stop.Swap(false) {
			stopped.Store(true)
			<-gate
		}
		return create(dir, name, flags, mode)
	}
	s := servertest.New(t, servertest.WithOps(ops))
	s.AddUser("alice", "correct horse")
	n := 0
	j, other := loggedIn(t, s), &sender{in(t, s), &n}
	p := &sender{j.peer, &n}
	open := p.begin("/f", 3*block.Size)
	if err := p.data(open, 0, make([]byte, block.Size)); err != nil {
		t.Fatal(err)
	}
	stop.Store(true)
	other.raw(frame(request("put", other.id()+`,"path":"/slow","length":3145728,"mtime":1,"job":"`+strings.Repeat("5", 32)+`"`)))
	for !stopped.Load() { // the uploads of the account are looked at by nobody else until then
		runtime.Gosched()
	}
	p.nc.Close()
	p.peer = j.join(t, s)
	close(gate)
	if a := other.answer(); a.Error != nil {
		t.Error(a.Error)
	}
	if err := p.data(open, block.Size, make([]byte, block.Size)); err != nil {
		t.Error(err)
	}
}
