package local

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"ferry/server/storage"
	"ferry/shared/block"
)

// Names below the reserved one.
const (
	dataName    = "data"
	journalName = "upload.json"
	journalNew  = "upload.new"  // becomes upload.json in one step
	lightPrefix = "t-"          // before the id of an Ephemeral upload
	quarantined = "quarantine-" // before the name of what the engine does not understand
)

var stagingID = regexp.MustCompile(`^[0-9a-f]{32}$`)

// staging is an upload on disk.
type staging struct {
	h     *Home
	id    string
	sick  atomic.Bool  // a sync failed, lose follows
	dirty atomic.Int64 // bytes written since the last sync
	seen  atomic.Int64 // when it was last touched, in nanoseconds after h.start
	end   atomic.Int64 // end of the last byte written, of Ephemeral uploads only
	owes  int64        // its part of h.owed; guarded by h.mu

	mu     sync.RWMutex   // held shared by running reads and writes, exclusively by what fences them; guards what follows
	spec   storage.Spec   // Touched is in seen
	weight storage.Amount // what it counts for
	fd     int            // data, -1 when there is no open handle
	timer  *time.Timer    // of the background sync, while fd is open
	handle *upload        // the newest, nil when closed
	gone   error          // what every use returns once it is published, dropped or lost
}

// journal is upload.json.
type journal struct {
	Format  int       `json:"format"` // 1
	Owner   string    `json:"owner"`
	ID      string    `json:"id"`
	Path    []byte    `json:"path"` // bytes, not text
	Job     string    `json:"job"`
	Writer  string    `json:"writer,omitempty"`
	Length  int64     `json:"length"`
	ModTime [2]int64  `json:"mtime"` // seconds and nanoseconds: any time, not only years of four digits
	Mode    uint32    `json:"mode"`
	Key     block.Key `json:"key"`
	Epoch   int64     `json:"epoch"`
	Created time.Time `json:"created"`
	Touched time.Time `json:"touched"`
	Expect  *string   `json:"expect"`
	Parents bool      `json:"parents"`
}

const (
	journalFormat = 1
	journalLimit  = 64 << 10 // bytes
)

// spec returns what the journal says, or why it cannot be believed.
func (j *journal) spec(id, owner string) (storage.Spec, error) {
	s := storage.Spec{
		ID: j.ID, Path: string(j.Path), Job: j.Job, Writer: j.Writer, Length: j.Length, ModTime: time.Unix(j.ModTime[0], j.ModTime[1]),
		Mode: fs.FileMode(j.Mode).Perm(), Key: j.Key, Epoch: j.Epoch, Created: j.Created, Touched: j.Touched, Expect: j.Expect,
		Parents: j.Parents,
	}
	switch {
	case j.Format != journalFormat:
		return s, fmt.Errorf("format %d, this program knows %d", j.Format, journalFormat)
	case j.ID != id:
		return s, errors.New("id of another upload")
	case j.Owner != owner:
		return s, errors.New("upload of another account")
	case clean(s.Path) != nil || s.Length < 0 || s.Epoch < 1:
		return s, errors.New("impossible values")
	}
	return s, nil
}

// writeJournal puts the journal of s into its directory in one step, durably.
func (h *Home) writeJournal(dir int, s storage.Spec) error {
	b, err := json.Marshal(journal{
		Format: journalFormat, Owner: h.owner, ID: s.ID, Path: []byte(s.Path), Job: s.Job, Writer: s.Writer, Length: s.Length,
		ModTime: [2]int64{s.ModTime.Unix(), int64(s.ModTime.Nanosecond())}, Mode: uint32(s.Mode.Perm()), Key: s.Key, Epoch: s.Epoch,
		Created: s.Created, Touched: s.Touched, Expect: s.Expect, Parents: s.Parents,
	})
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	fd, err := h.ops.Open(dir, journalNew, unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC, 0o600)
	if err != nil {
		return fail("journal", err)
	}
	defer unix.Close(fd)
	if _, err = h.write(fd, b, 0); err != nil {
		return err
	}
	if err = h.ops.Sync(fd); err == nil {
		err = h.ops.Rename(dir, journalNew, dir, journalName, 0)
	}
	if err == nil {
		err = h.ops.SyncDir(dir)
	}
	return fail("journal", err)
}

// openStage returns the staging directory, -1 when there is none and it is not to be made. h.mu must be held.
func (h *Home) openStage(make bool) (int, error) {
	var st unix.Stat_t
	if h.stage >= 0 && (unix.Fstat(h.stage, &st) != nil || st.Nlink > 0) {
		return h.stage, nil
	}
	top, err := h.openDir("/")
	if err != nil {
		return -1, err
	}
	defer top.Close()
	fd, err := openDirAt(top.fd, reserved)
	if err == unix.ENOENT && !make {
		return -1, nil
	}
	if err == unix.ENOENT {
		if err := h.ops.Mkdir(top.fd, reserved, 0o700); err != nil {
			return -1, fail("make staging directory", err)
		}
		if err := h.ops.SyncDir(top.fd); err != nil {
			h.ops.Unlink(top.fd, reserved, unix.AT_REMOVEDIR)
			return -1, fail("make staging directory", err)
		}
		fd, err = openDirAt(top.fd, reserved)
	}
	if err != nil {
		return -1, fail("open staging directory", err)
	}
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return -1, fail("open staging directory", err)
	}
	id := inodeOf(&st)
	h.stageID.Store(&id)
	if h.stage < 0 {
		h.stage = fd
		return fd, nil
	}
	// Somebody removed the one before under us: others use its number without asking.
	err = unix.Dup3(fd, h.stage, unix.O_CLOEXEC)
	unix.Close(fd)
	return h.stage, fail("open staging directory", err)
}

// openDirAt opens the directory base of dir, which must not be a link.
func openDirAt(dir int, base string) (int, error) {
	return retry(func() (int, error) {
		return unix.Openat(dir, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	})
}

// load reads the stagings of earlier runs, once, and cleans up behind them. h.mu must be held.
func (h *Home) load() error {
	if h.staged != nil {
		return nil
	}
	fd, err := h.openStage(false)
	if err != nil {
		return err
	}
	staged := map[string]*staging{}
	if fd >= 0 {
		list, err := openDirAt(fd, ".")
		if err != nil {
			return fail("list staging", err)
		}
		f := os.NewFile(uintptr(list), reserved)
		defer f.Close()
		names, err := f.Readdirnames(-1)
		if err != nil {
			return fail("list staging", err)
		}
		for _, name := range names {
			h.adopt(fd, name, staged)
		}
	}
	h.staged = staged
	var sum storage.Amount
	for _, s := range staged {
		sum = sum.Plus(s.weight)
	}
	h.meter.load(sum)
	return nil
}

// adopt puts one name of the staging directory where it belongs: into staged, away, or aside.
func (h *Home) adopt(stage int, name string, staged map[string]*staging) {
	var st unix.Stat_t
	if strings.HasPrefix(name, quarantined) || unix.Fstatat(stage, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
		return
	}
	kind := st.Mode & unix.S_IFMT
	if light, ok := strings.CutPrefix(name, lightPrefix); ok && kind == unix.S_IFREG && stagingID.MatchString(light) {
		if !strings.HasPrefix(light, h.token) { // else it is being written now
			if err := h.ops.Unlink(stage, name, 0); err != nil {
				h.log.Warn("left over upload stays", "name", name, "error", err)
			}
		}
		return
	}
	why := errors.New("unknown name")
	if stagingID.MatchString(name) && kind == unix.S_IFDIR {
		var s *staging
		if s, why = h.readStaging(stage, name); s != nil {
			staged[name] = s
		}
		if why == nil {
			return
		}
	}
	aside := quarantined + name[:min(len(name), 200)]
	err := h.rename(stage, name, stage, aside, unix.RENAME_NOREPLACE)
	for n := 1; err == unix.EEXIST && n < 100; n++ {
		err = h.rename(stage, name, stage, fmt.Sprintf("%s.%d", aside, n), unix.RENAME_NOREPLACE)
	}
	h.log.Warn("staging put aside", "name", name, "as", aside, "reason", why, "error", err)
}

// readStaging reads the directory id. It returns neither a staging nor an error when that was incomplete and is removed.
func (h *Home) readStaging(stage int, id string) (*staging, error) {
	fd, err := openDirAt(stage, id)
	if err != nil {
		return nil, fail("open", err)
	}
	defer unix.Close(fd)
	var data unix.Stat_t
	err = unix.Fstatat(fd, dataName, &data, unix.AT_SYMLINK_NOFOLLOW)
	var b []byte
	if err == nil {
		b, err = readSmall(fd, journalName)
	}
	if err == unix.ENOENT { // it stopped while being made, published or dropped
		return nil, h.clear(stage, id)
	}
	if err != nil {
		return nil, fail("read", err)
	}
	if data.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, storage.ErrNotRegular
	}
	var j journal
	dec := json.NewDecoder(bytes.NewReader(b))
	if err := dec.Decode(&j); err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	spec, err := j.spec(id, h.owner)
	if err != nil {
		return nil, err
	}
	s := &staging{h: h, id: id, spec: spec, fd: -1, weight: storage.Amount{Bytes: max(spec.Length, data.Size), Files: 1}}
	touched := spec.Touched
	if changed := time.Unix(data.Ctim.Unix()); changed.After(touched) {
		touched = changed
	}
	s.seen.Store(int64(time.Since(h.start) - max(0, time.Since(touched)))) // a time to come counts as now
	return s, nil
}

// readSmall reads the regular file base of dir, as far as a journal may be long.
func readSmall(dir int, base string) ([]byte, error) {
	fd, err := retry(func() (int, error) {
		return unix.Openat(dir, base, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	b := make([]byte, journalLimit)
	n, err := readFull(fd, b, 0)
	if err == nil {
		return nil, errors.New("journal too long")
	}
	if err != io.EOF {
		return nil, err
	}
	if n == 0 {
		return nil, errors.New("journal empty")
	}
	return b[:n], nil
}

// clear removes the directory of a staging, the journal first: what is left if that is all that happens is cleaned up by the
// next load.
func (h *Home) clear(stage int, id string) error {
	fd, err := openDirAt(stage, id)
	if err == unix.ENOENT {
		return nil
	}
	if err != nil {
		return fail("remove staging", err)
	}
	defer unix.Close(fd)
	for _, base := range []string{journalName, journalNew, dataName} {
		if err := h.ops.Unlink(fd, base, 0); err != nil && err != unix.ENOENT {
			return fail("remove staging", err)
		}
	}
	if err := h.ops.Unlink(stage, id, unix.AT_REMOVEDIR); err != nil && err != unix.ENOENT {
		return fail("remove staging", err)
	}
	return nil
}

// Upload opens a new upload, or reopens the one called s.ID. Of an Ephemeral one the target is looked at by Commit only.
func (h *Home) Upload(ctx context.Context, s storage.Spec) (storage.Upload, error) {
	if err := h.enter(); err != nil {
		return nil, err
	}
	defer h.life.RUnlock()
	if err := clean(s.Path); err != nil {
		return nil, err
	}
	if s.Length < 0 {
		return nil, errors.New("upload: negative length")
	}
	if err := h.countFor(ctx); err != nil {
		return nil, err
	}
	s.Ephemeral = s.Ephemeral && s.ID == ""
	if s.Ephemeral {
		return h.light(s)
	}
	if err := h.target(s); err != nil {
		return nil, err
	}
	h.mu.Lock()
	err := h.load()
	old := h.staged[s.ID]
	h.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if s.ID == "" {
		return h.create(s)
	}
	if old == nil {
		return nil, fs.ErrNotExist
	}
	return old.reopen(s)
}

// target refuses early what Commit would refuse.
func (h *Home) target(s storage.Spec) error {
	d, base, err := h.at(s.Path)
	for above := path.Dir(s.Path); s.Parents && errors.Is(err, fs.ErrNotExist) && above != "/"; {
		above = path.Dir(above)
		if d, err = h.openDir(above); err == nil {
			return d.Close() // the rest can be made here
		}
	}
	if err != nil {
		return err
	}
	defer d.Close()
	st, err := d.stat(base)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return replaceable(&st)
}

// replaceable returns why a file cannot be put in the place of what st is of. A link can: it is replaced, not followed.
func replaceable(st *unix.Stat_t) error {
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return nil
	}
	return regular(st)
}

// reserve finds room for need more bytes of s next to what other open uploads have still to write.
func (h *Home) reserve(s *staging, stage int, need int64) error {
	u, err := medium(stage)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if need > u.Free-h.owed+s.owes {
		return storage.ErrNoSpace
	}
	h.owed += need - s.owes
	s.owes = need
	return nil
}

// paid takes n bytes off what s owes.
func (h *Home) paid(s *staging, n int64) {
	h.mu.Lock()
	n = min(n, s.owes)
	s.owes -= n
	h.owed -= n
	h.mu.Unlock()
}

// light makes an Ephemeral upload: one file, no journal. Room is not looked for below one block, as its only write will tell.
func (h *Home) light(spec storage.Spec) (storage.Upload, error) {
	h.mu.Lock()
	stage, err := h.openStage(true)
	h.mu.Unlock()
	if err != nil {
		return nil, err
	}
	spec.ID = fmt.Sprintf("%s%016x", h.token, h.count.Add(1))
	spec.Key, spec.Epoch, spec.Created = block.NewKey(), 1, time.Now()
	s := &staging{h: h, id: spec.ID, spec: spec, fd: -1}
	mode := uint32(spec.Mode.Perm())
	if mode == 0 {
		mode = 0o666
	}
	err = s.weigh(spec.Length)
	if err == nil && spec.Length > block.Size {
		err = h.reserve(s, stage, spec.Length)
	}
	if err == nil {
		s.fd, err = h.ops.Open(stage, lightPrefix+s.id, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL, mode)
		err = fail("open staging", err)
	}
	if err != nil {
		h.paid(s, spec.Length)
		s.unweigh()
		return nil, err
	}
	return s.give(), nil
}

// create makes a new staging.
func (h *Home) create(spec storage.Spec) (storage.Upload, error) {
	h.mu.Lock()
	stage, err := h.openStage(true)
	h.mu.Unlock()
	if err != nil {
		return nil, err
	}
	id := block.NewKey()
	spec.ID = fmt.Sprintf("%x", id[:])
	spec.Key, spec.Epoch, spec.Created = block.NewKey(), 1, time.Now()
	spec.Touched = spec.Created
	s := &staging{h: h, id: spec.ID, spec: spec, fd: -1}
	s.touch()
	if err := s.weigh(spec.Length); err != nil {
		return nil, err
	}
	if err := h.reserve(s, stage, spec.Length); err != nil {
		s.unweigh()
		return nil, err
	}
	err = fail("make staging", h.ops.Mkdir(stage, s.id, 0o700))
	if err == nil {
		s.fd, err = h.fill(stage, spec)
	}
	if err == nil {
		err = fail("make staging", h.ops.SyncDir(stage))
	}
	if err != nil {
		s.shut()
		if err := h.clear(stage, s.id); err != nil {
			h.log.Warn("failed upload stays until the next start", "id", s.id, "error", err)
		}
		s.unweigh()
		return nil, err
	}
	h.mu.Lock()
	h.staged[s.id] = s
	h.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.give(), nil
}

// fill makes the files of a new staging and returns its data, open.
func (h *Home) fill(stage int, spec storage.Spec) (int, error) {
	dir, err := openDirAt(stage, spec.ID)
	if err != nil {
		return -1, fail("open staging", err)
	}
	defer unix.Close(dir)
	fd, err := h.ops.Open(dir, dataName, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL, 0o600)
	if err != nil {
		return -1, fail("open staging", err)
	}
	err = fail("size staging", h.ops.Truncate(fd, spec.Length))
	if err == nil {
		err = h.writeJournal(dir, spec)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// reopen fences the handle there is and returns a new one.
func (s *staging) reopen(spec storage.Spec) (storage.Upload, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone != nil || s.sick.Load() {
		return nil, fs.ErrNotExist
	}
	h := s.h
	fresh := s.fd < 0
	dir, err := openDirAt(h.stage, s.id)
	if err != nil {
		return nil, fail("open staging", err)
	}
	defer unix.Close(dir)
	if fresh {
		s.fd, err = retry(func() (int, error) {
			return unix.Openat(dir, dataName, unix.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		})
		if err != nil {
			s.fd = -1
			return nil, fail("open staging", err)
		}
	}
	spec.Key, spec.Epoch, spec.Created, spec.Touched = s.spec.Key, s.spec.Epoch+1, s.spec.Created, time.Now()
	if err := s.resize(dir, spec); err != nil {
		if fresh {
			s.shut()
		}
		return nil, err
	}
	s.spec = spec
	s.touch()
	return s.give(), nil
}

// resize makes journal and data what spec says. Until that is done the longer of the two lengths counts.
func (s *staging) resize(dir int, spec storage.Spec) error {
	var st unix.Stat_t
	if err := unix.Fstat(s.fd, &st); err != nil {
		return fail("stat staging", err)
	}
	if err := regular(&st); err != nil {
		return err
	}
	was := s.weight.Bytes
	if err := s.weigh(max(spec.Length, was)); err != nil {
		return err
	}
	if err := s.h.reserve(s, dir, max(0, spec.Length-st.Blocks*512)); err != nil {
		s.weigh(was)
		return err
	}
	if err := s.h.writeJournal(dir, spec); err != nil {
		return err
	}
	if st.Size != spec.Length {
		if err := s.h.ops.Truncate(s.fd, spec.Length); err != nil {
			return fail("size staging", err)
		}
	}
	return s.weigh(spec.Length)
}

// give makes the handle of the current epoch. s.mu must be held, or s known to nobody else.
func (s *staging) give() *upload {
	u := &upload{s: s, spec: s.spec}
	s.handle = u
	if s.timer == nil && !s.spec.Ephemeral {
		s.timer = time.AfterFunc(time.Hour, s.flush)
		s.timer.Stop()
	}
	s.h.opened(u)
	return u
}

// shut closes the data. s.mu must be held, or s known to nobody else.
func (s *staging) shut() {
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	if s.fd >= 0 {
		unix.Close(s.fd)
		s.fd = -1
	}
	s.handle = nil
	s.h.paid(s, s.spec.Length)
}

// finish closes the data for good, leaving why to every handle. s.mu must be held.
func (s *staging) finish(why error) {
	s.shut()
	s.unweigh()
	s.gone = why
	if !s.spec.Ephemeral {
		s.h.mu.Lock()
		delete(s.h.staged, s.id)
		s.h.mu.Unlock()
	}
}

// erase removes the files. s.mu must be held.
func (s *staging) erase() error {
	if s.spec.Ephemeral {
		err := s.h.ops.Unlink(s.h.stage, lightPrefix+s.id, 0)
		if err == unix.ENOENT {
			err = nil
		}
		return fail("remove staging", err)
	}
	return s.h.clear(s.h.stage, s.id)
}

// drop removes the staging. s.mu must be held.
func (s *staging) drop() error {
	if err := s.erase(); err != nil {
		return err
	}
	s.finish(storage.ErrSuperseded)
	return nil
}

// lose gives the staging up after a failed sync: what the kernel still shows of it may never have reached the medium, and
// asking again would not tell. s.mu must be held.
func (s *staging) lose(cause error) error {
	if s.gone != nil {
		return s.gone
	}
	lost := fmt.Errorf("%w: %w", storage.ErrLost, cause)
	if err := s.erase(); err != nil {
		s.h.log.Warn("lost upload stays until the next start", "id", s.id, "error", err)
		if s.fd >= 0 { // then at least nothing of it is taken up again
			s.h.ops.Truncate(s.fd, 0)
		}
	}
	s.finish(lost)
	return lost
}

// touch notes that the staging is in use.
func (s *staging) touch() { s.seen.Store(int64(time.Since(s.h.start))) }

// flush syncs what was written, in the background.
func (s *staging) flush() {
	if s.h.enter() != nil {
		return
	}
	defer s.h.life.RUnlock()
	s.mu.RLock()
	if s.fd < 0 || s.dirty.Swap(0) == 0 {
		s.mu.RUnlock()
		return
	}
	err := s.h.ops.DataSync(s.fd)
	if err != nil {
		s.sick.Store(true) // before a commit can ask, for the kernel tells a failure once
	}
	s.mu.RUnlock()
	if err == nil {
		return
	}
	s.h.log.Error("sync of an upload failed", slog.String("id", s.id), slog.Any("error", err))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lose(fail("sync", err))
}

// current returns the spec with what is known of its last use.
func (s *staging) current() (storage.Spec, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	spec := s.spec
	spec.Touched = s.h.start.Add(time.Duration(s.seen.Load()))
	return spec, s.gone == nil
}

// all returns the stagings.
func (h *Home) all() ([]*staging, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.load(); err != nil {
		return nil, err
	}
	var all []*staging
	for _, s := range h.staged {
		all = append(all, s)
	}
	return all, nil
}

// Uploads yields the staged uploads, oldest first.
func (h *Home) Uploads(ctx context.Context) iter.Seq2[storage.Spec, error] {
	return func(yield func(storage.Spec, error) bool) {
		specs, err := h.specs()
		if err != nil {
			yield(storage.Spec{}, err)
			return
		}
		for _, s := range specs {
			if !yield(s, nil) {
				return
			}
		}
	}
}

func (h *Home) specs() ([]storage.Spec, error) {
	if err := h.enter(); err != nil {
		return nil, err
	}
	defer h.life.RUnlock()
	all, err := h.all()
	h.mu.Lock()
	stage := h.stage
	h.mu.Unlock()
	var specs []storage.Spec
	for _, s := range all {
		spec, ok := s.current()
		if !ok {
			continue
		}
		var data unix.Stat_t
		if unix.Fstatat(stage, s.id+"/"+dataName, &data, unix.AT_SYMLINK_NOFOLLOW) == nil {
			spec.Done = min(data.Blocks*512, spec.Length) // all but the holes
		}
		specs = append(specs, spec)
	}
	slices.SortFunc(specs, func(a, b storage.Spec) int {
		return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.ID, b.ID))
	})
	return specs, err
}

// Drop discards a staged upload.
func (h *Home) Drop(ctx context.Context, id string) error {
	if err := h.enter(); err != nil {
		return err
	}
	defer h.life.RUnlock()
	h.mu.Lock()
	err := h.load()
	s := h.staged[id]
	h.mu.Unlock()
	if err != nil {
		return err
	}
	if s == nil {
		return fs.ErrNotExist
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone != nil {
		return fs.ErrNotExist
	}
	return s.drop()
}

// Expire drops the uploads without an open handle that were not touched for olderThan, and returns what they counted for. Time is counted
// by the monotonic clock while the Home is open; an upload that was touched in what is now the future counts as touched when
// it was read.
func (h *Home) Expire(ctx context.Context, olderThan time.Duration) (dropped storage.Amount) {
	if h.enter() != nil {
		return dropped
	}
	defer h.life.RUnlock()
	all, err := h.all()
	if err != nil {
		h.log.Warn("cannot expire uploads", "error", err)
	}
	for _, s := range all {
		if ctx.Err() != nil || !s.mu.TryLock() { // in use
			continue
		}
		if s.handle == nil && s.gone == nil && time.Since(h.start)-time.Duration(s.seen.Load()) >= olderThan {
			weight := s.weight
			if err := s.drop(); err != nil {
				h.log.Warn("cannot expire an upload", "id", s.id, "error", err)
			} else {
				dropped = dropped.Plus(weight)
			}
		}
		s.mu.Unlock()
	}
	return dropped
}
