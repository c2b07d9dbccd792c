package state

import (
	"context"
	"fmt"
	"sync"

	"ferry/server/account"
)

// maxLength is the longest file that is taken, in bytes (1 PiB): so sums cannot overflow.
const maxLength = 1 << 50

// None stands for the length of a file that is not there.
const None = -1

// Usage is what files take up.
type Usage struct {
	Bytes int64 `json:"bytes"` // their lengths, holes included
	Files int64 `json:"files"` // regular files only
}

// Upload is an unfinished upload.
type Upload struct {
	ID, Path string
	Length   int64
}

// Tree is what a Quota asks of an account's home.
type Tree interface {
	// Count returns what the published files take up.
	Count(ctx context.Context) (Usage, error)
	// Staged returns the unfinished uploads.
	Staged(ctx context.Context) ([]Upload, error)
}

// Exceeded is the error of what a quota does not allow. Its text may be told to the user.
type Exceeded struct {
	Limit, Used, More Usage // More is what was asked for
	files             bool  // which of the two
}

// Error names the limit, what is in use and what was asked for.
func (e *Exceeded) Error() string {
	if e.files {
		return fmt.Sprintf("quota: %d of %d files are in use", e.Used.Files, e.Limit.Files)
	}
	return fmt.Sprintf("quota: %d of %d bytes are in use, %d more are needed", e.Used.Bytes, e.Limit.Bytes, e.More.Bytes)
}

// Quota counts one account: the published files, and for every unfinished upload what it will add to them. Both together
// never pass the limit, whatever happens at the same time and in whatever order uploads end.
//
// The rules for whoever changes the account's tree:
//   - Before an upload, and before a copy: Reserve, under any key of its own; when the upload has an id, Name. An adopted upload
//     of another length: Reserve again under the same key, which replaces the reservation or leaves it if it is refused.
//   - Every commit, removal, move, drop and expiry lies between Begin and its end, with the calls that tell of it: Settle for
//     what was published, Removed for what was removed, Move around a move, Cancel for what was dropped.
//   - Reserve, Used and Recount may have to wait for all those: they must not be called between Begin and its end.
//
// Without a limit nothing is counted, and the calls cost next to nothing.
type Quota struct {
	home    string
	changed func()

	changing sync.RWMutex // held for reading while the tree is changed, for writing while it is counted

	mu       sync.Mutex // guards what follows
	tree     Tree
	used     Usage // if counted
	counted  bool
	listed   bool // the uploads of before are in held
	held     map[string]hold
	reserved Usage             // the charges of held
	credited map[string]string // path -> key of the reservation that has the credit for the file there
	moving   map[string]int    // paths that are being moved away: no credit is given there
}

// hold is one reservation.
type hold struct {
	path   string
	length int64
	credit int64 // length of the file that it will replace, None if there is none or another one has the credit
}

// charge is what a reservation adds to what is used.
func (h hold) charge() Usage {
	if h.credit == None {
		return Usage{h.length, 1}
	}
	return Usage{max(h.length-h.credit, 0), 0}
}

func newQuota(home string, changed func()) *Quota {
	return &Quota{home: home, changed: changed, held: map[string]hold{}, credited: map[string]string{}, moving: map[string]int{}}
}

// Reserve sets aside what a file of the given length at path will add. limit is the account's of now; 0 is none. It may be
// refused (Exceeded) if it needs more than the reservation that key has already. What replaced returns, the length of the
// file that is at path or None, is credited; it is asked in a moment in which no removal that was told can be overlooked, and
// may be nil. The first Reserve with a limit may take as long as a walk through the tree.
func (q *Quota) Reserve(ctx context.Context, key, path string, length int64, replaced func() int64, limit Usage) error {
	limited := limit != Usage{}
	if limited {
		if err := q.ready(ctx); err != nil {
			return err
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	h := hold{path, length, None}
	if limited && replaced != nil && q.mayCredit(key, path) {
		h.credit = max(replaced(), None)
	}
	old, known := q.held[key]
	q.release(key)
	was := Usage{}
	if known {
		was = old.charge()
	}
	if err := q.check(was, h.charge(), limit); err != nil {
		if known {
			q.hold(key, old)
		}
		return err
	}
	q.hold(key, h)
	return nil
}

// check refuses a charge that is more than it was and too much beside all others. mu is held.
func (q *Quota) check(was, more, limit Usage) error {
	used := q.used.plus(q.reserved)
	switch {
	case more.Bytes > maxLength:
		return &Exceeded{Limit: Usage{Bytes: maxLength}, Used: used, More: more}
	case limit.Bytes > 0 && more.Bytes > was.Bytes && more.Bytes > limit.Bytes-used.Bytes:
		return &Exceeded{Limit: limit, Used: used, More: more}
	case limit.Files > 0 && more.Files > was.Files && more.Files > limit.Files-used.Files:
		return &Exceeded{Limit: limit, Used: used, More: more, files: true}
	}
	return nil
}

// mayCredit reports whether the file at path can be credited to a reservation. mu is held.
func (q *Quota) mayCredit(key, path string) bool {
	if owner, taken := q.credited[path]; taken && owner != key {
		return false
	}
	for from := range q.moving {
		if account.Within(path, from) {
			return false
		}
	}
	return true
}

// hold puts a reservation in the place of the one that key has. mu is held.
func (q *Quota) hold(key string, h hold) {
	q.release(key)
	q.held[key] = h
	q.reserved = q.reserved.plus(h.charge())
	if h.credit != None {
		q.credited[h.path] = key
	}
}

// release ends a reservation, if there is one. mu is held.
func (q *Quota) release(key string) {
	h, known := q.held[key]
	if !known {
		return
	}
	q.reserved = q.reserved.minus(h.charge())
	delete(q.held, key)
	if q.credited[h.path] == key {
		delete(q.credited, h.path)
	}
}

// Name gives a reservation another key: that of the upload it was made for.
func (q *Quota) Name(key, id string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if h, known := q.held[key]; known && key != id {
		q.release(key)
		q.hold(id, h)
	}
}

// Cancel ends the reservation of an upload that was dropped or failed. One that is not known is no error.
func (q *Quota) Cancel(key string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.release(key)
}

// Begin announces that the tree is going to be changed; it waits while the tree is being counted. The change and the calls
// that tell of it are over when end is called. It does not nest.
func (q *Quota) Begin() (end func()) {
	q.changing.RLock()
	return q.changing.RUnlock
}

// Settle ends the reservation of an upload that was published: the file at path has length bytes now and replaced one of the
// length replaced, or None, which must be the one that was there in the moment of the step.
func (q *Quota) Settle(key, path string, length, replaced int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.release(key)
	if other, known := q.credited[path]; known {
		h := q.held[other]
		h.credit = length // never more in all than before: what the other one will replace is this file
		q.hold(other, h)
	}
	q.add(Usage{length, 1})
	if replaced != None {
		q.add(Usage{-replaced, -1})
	}
}

// Removed tells that the file at path, of the given length, is gone.
func (q *Quota) Removed(path string, length int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.uncredit(path)
	q.add(Usage{-length, -1})
}

// Move is asked before a file or directory is moved. It may be refused (Exceeded): an upload that was to replace what moves
// away will then add to it. Otherwise done must be called when the move has succeeded or failed, with the length of a file that
// was replaced, or None.
func (q *Quota) Move(from, to string, limit Usage) (done func(replaced int64), err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	before := q.reserved
	lost := q.uncredit(from)
	grown := q.reserved.minus(before)
	q.reserved = before // judged as if it were asked for now
	err = q.check(Usage{}, grown, limit)
	q.reserved = before.plus(grown)
	if err != nil {
		for key, h := range lost {
			q.hold(key, h)
		}
		return nil, err
	}
	q.moving[from]++
	return func(replaced int64) {
		q.mu.Lock()
		defer q.mu.Unlock()
		if q.moving[from]--; q.moving[from] == 0 {
			delete(q.moving, from)
		}
		if replaced != None {
			q.uncredit(to)
			q.add(Usage{-replaced, -1})
		}
	}, nil
}

// uncredit takes the credit from the reservations that counted on a file at path or below it, and returns them as they were.
// mu is held.
func (q *Quota) uncredit(path string) (were map[string]hold) {
	were = map[string]hold{}
	for at, key := range q.credited {
		if account.Within(at, path) {
			were[key] = q.held[key]
		}
	}
	for key, h := range were {
		h.credit = None
		q.hold(key, h)
	}
	return were
}

// add changes what is used. What is not counted stays unknown. mu is held.
func (q *Quota) add(u Usage) {
	if q.counted {
		q.used = q.used.plus(u)
		q.changed()
	}
}

// Used returns what the published files take up and what unfinished uploads have reserved beyond that, counting first if
// that has not been done.
func (q *Quota) Used(ctx context.Context) (used, reserved Usage, err error) {
	if err := q.ready(ctx); err != nil {
		return Usage{}, Usage{}, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.used, q.reserved, nil
}

// Recount counts again, for when files were changed by other hands. Changes of the tree wait for it.
func (q *Quota) Recount(ctx context.Context) error {
	q.changing.Lock()
	defer q.changing.Unlock()
	return q.count(ctx)
}

// ready makes sure that everything is counted.
func (q *Quota) ready(ctx context.Context) error {
	done := func() bool {
		q.mu.Lock()
		defer q.mu.Unlock()
		return q.counted && q.listed
	}
	if done() {
		return nil
	}
	q.changing.Lock()
	defer q.changing.Unlock()
	if done() {
		return nil
	}
	q.mu.Lock()
	counted := q.counted
	q.mu.Unlock()
	if counted {
		return q.list(ctx)
	}
	return q.count(ctx)
}

// count walks the tree and lists the uploads. changing is held for writing.
func (q *Quota) count(ctx context.Context) error {
	q.mu.Lock()
	tree := q.tree
	q.mu.Unlock()
	u, err := tree.Count(ctx)
	if err != nil {
		return fmt.Errorf("count the files: %w", err)
	}
	q.mu.Lock()
	q.used, q.counted = u, true
	q.mu.Unlock()
	q.changed()
	return q.list(ctx)
}

// list adds the uploads that are not known yet. changing is held for writing.
func (q *Quota) list(ctx context.Context) error {
	q.mu.Lock()
	tree := q.tree
	q.mu.Unlock()
	ups, err := tree.Staged(ctx)
	if err != nil {
		return fmt.Errorf("list the uploads: %w", err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, u := range ups {
		if _, known := q.held[u.ID]; !known {
			q.hold(u.ID, hold{u.Path, min(u.Length, maxLength), None})
		}
	}
	q.listed = true
	return nil
}

func (u Usage) plus(v Usage) Usage  { return Usage{u.Bytes + v.Bytes, u.Files + v.Files} }
func (u Usage) minus(v Usage) Usage { return Usage{u.Bytes - v.Bytes, u.Files - v.Files} }
