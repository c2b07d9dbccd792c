// Package transfer moves files between this machine and a server: it knows where unfinished work lies on this side, what
// to do about files that are there already, and how a command goes on after a crash.
package transfer

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"
)

// Job is an unfinished transfer of this machine, as its file in the state directory tells it.
type Job struct {
	ID      string    `json:"id"`     // what the server knows an upload by
	Kind    string    `json:"kind"`   // put or get
	Server  string    `json:"server"` // its fingerprint, or without encryption its address
	User    string    `json:"user"`
	Remote  string    `json:"remote"` // absolute path in the home
	Local   string    `json:"local"`  // absolute path
	Length  int64     `json:"length"`
	Mtime   time.Time `json:"mtime"`
	Version string    `json:"version,omitempty"` // of a download
	Started time.Time `json:"started"`
}

// Busy is which transfers of this program are under way. The zero value is ready; nil counts none. It is safe for concurrent use.
//
// Meanwhile garbage is collected early, unless the environment variable GOGC says otherwise: what lives are a few buffers of a
// block each, and a heap that may grow to twice that is mostly what crypto/tls leaves behind for each record. There is so little of
// that that a collection is due every few hundred MiB. Many small files leave much more, and they are not counted here.
type Busy struct {
	mu   sync.Mutex
	ids  map[string]bool
	gogc int // as it was before the first of them
}

// busyGC is by how many percent the heap may grow meanwhile until garbage is collected.
const busyGC = 25

// Has tells whether a transfer is under way.
func (b *Busy) Has(id string) bool {
	if b == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ids[id]
}

// begin counts a transfer until end is called; ErrUnderWay if it is counted already.
func (b *Busy) begin(id string) (end func(), err error) {
	if b == nil {
		return func() {}, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ids[id] {
		return nil, ErrUnderWay
	}
	if b.ids == nil {
		b.ids = map[string]bool{}
	}
	if b.ids[id] = true; len(b.ids) == 1 && os.Getenv("GOGC") == "" {
		b.gogc = debug.SetGCPercent(busyGC)
	}
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if delete(b.ids, id); len(b.ids) == 0 && os.Getenv("GOGC") == "" {
			debug.SetGCPercent(b.gogc)
		}
	}, nil
}

// Jobs is the directory in which unfinished transfers are noted. The same transfer always has the same id, because it is
// derived from who moves what where and from a secret of this machine.
type Jobs struct{ Dir string }

// Begin notes a transfer and returns it with its id.
func (d Jobs) Begin(j Job) (Job, error) {
	key, err := d.key()
	if err != nil {
		return j, fmt.Errorf("state directory: %w", err)
	}
	mac := hmac.New(sha256.New, key)
	for _, s := range []string{j.Kind, j.Server, j.User, j.Remote, j.Local} {
		fmt.Fprintf(mac, "%d:%s", len(s), s)
	}
	j.ID = hex.EncodeToString(mac.Sum(nil)[:16])
	if old, err := d.load(j.ID + ".json"); err == nil {
		j.Started = old.Started
	} else {
		j.Started = time.Now()
	}
	text, err := json.Marshal(j)
	if err != nil {
		return j, err
	}
	return j, d.write(j.ID+".json", text)
}

// End forgets a transfer that is finished or given up.
func (d Jobs) End(id string) error {
	err := os.Remove(filepath.Join(d.Dir, id+".json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// List returns the unfinished transfers, oldest first. Files it cannot read are left alone.
func (d Jobs) List() ([]Job, error) {
	entries, err := os.ReadDir(d.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var jobs []Job
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".json") {
			if j, err := d.load(e.Name()); err == nil {
				jobs = append(jobs, j)
			}
		}
	}
	slices.SortFunc(jobs, func(a, b Job) int { return a.Started.Compare(b.Started) })
	return jobs, nil
}

func (d Jobs) load(name string) (j Job, err error) {
	text, err := os.ReadFile(filepath.Join(d.Dir, name))
	if err != nil {
		return j, err
	}
	if err := json.Unmarshal(text, &j); err != nil {
		return j, err
	}
	if j.ID+".json" != name {
		return j, errors.New("not a job of ours")
	}
	return j, nil
}

// key returns the machine's secret, made at the first use.
func (d Jobs) key() ([]byte, error) {
	if err := os.MkdirAll(d.Dir, 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(d.Dir, "key")
	for {
		key, err := os.ReadFile(path)
		if err == nil && len(key) == 32 {
			return key, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		key = make([]byte, 32)
		rand.Read(key)
		tmp := "key." + rand.Text()
		if err := d.write(tmp, key); err != nil {
			return nil, err
		}
		err = os.Link(filepath.Join(d.Dir, tmp), path) // two first clients agree on one key
		os.Remove(filepath.Join(d.Dir, tmp))
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		if errors.Is(err, fs.ErrExist) {
			if k, rerr := os.ReadFile(path); rerr == nil && len(k) != 32 {
				return nil, fmt.Errorf("%s is damaged: remove it", path)
			}
		}
	}
}

// write replaces a file in one step. Nothing is synced: what a crash of the machine loses here is found again by
// verification.
func (d Jobs) write(name string, text []byte) error {
	tmp, err := os.CreateTemp(d.Dir, ".tmp*") // 0600
	if err != nil {
		return err
	}
	_, err = tmp.Write(text)
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), filepath.Join(d.Dir, name))
	}
	if err != nil {
		os.Remove(tmp.Name())
	}
	return err
}
