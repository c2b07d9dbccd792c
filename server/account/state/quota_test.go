package state

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
)

// tree is a home: lengths by path, and unfinished uploads. Its own lock makes each step one.
type tree struct {
	t     *testing.T
	limit Usage

	mu     sync.Mutex
	files  map[string]int64
	staged map[string]Upload
	counts int
	during func() // called by Count, may be nil
	bad    error  // what Count and Staged fail with
}

func newTree(t *testing.T, limit Usage, files map[string]int64) *tree {
	return &tree{t: t, limit: limit, files: files, staged: map[string]Upload{}}
}

func (r *tree) Count(context.Context) (Usage, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts++
	if r.during != nil {
		r.during()
	}
	return r.sum(), r.bad
}

func (r *tree) Staged(context.Context) (list []Upload, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, u := range r.staged {
		list = append(list, u)
	}
	return list, r.bad
}

func (r *tree) sum() (u Usage) {
	for _, n := range r.files {
		u = u.plus(Usage{n, 1})
	}
	return u
}

func (r *tree) at(path string) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.get(path)
}

func (r *tree) get(path string) int64 {
	if n, ok := r.files[path]; ok {
		return n
	}
	return None
}

// publish puts a file there in one step, as a commit does, and fails the test if there is too much then.
func (r *tree) publish(path string, length int64) (replaced int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	replaced = r.get(path)
	r.files[path] = length
	if u := r.sum(); r.limit.Bytes > 0 && u.Bytes > r.limit.Bytes || r.limit.Files > 0 && u.Files > r.limit.Files {
		r.t.Errorf("%d bytes in %d files with a quota of %d in %d", u.Bytes, u.Files, r.limit.Bytes, r.limit.Files)
	}
	return replaced
}

// take removes a file in one step.
func (r *tree) take(path string) (length int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	length = r.get(path)
	delete(r.files, path)
	return length
}

func (r *tree) quota() *Quota {
	q := newQuota("home", func() {})
	q.tree = r
	return q
}

func (r *tree) length(path string) func() int64 { return func() int64 { return r.at(path) } }

// usage fails the test unless the counter is what the files are and so much is reserved.
func (r *tree) usage(q *Quota, reserved Usage) {
	r.t.Helper()
	used, held, err := q.Used(r.t.Context())
	if err != nil || used != r.sum() || held != reserved {
		r.t.Errorf("used %v, reserved %v, %v; want %v and %v", used, held, err, r.sum(), reserved)
	}
}

// Five uploads at once, each of 60 % of what is left: one of them goes through, and the quota is never passed.
func TestParallel(t *testing.T) {
	for range 200 {
		limit := Usage{Bytes: 1000}
		r := newTree(t, limit, map[string]int64{"/old": 900})
		q := r.quota()
		var passed, refused int
		var mu sync.Mutex
		var wg sync.WaitGroup
		for i := range 5 {
			wg.Go(func() {
				key := fmt.Sprint(i)
				err := q.Reserve(t.Context(), key, "/"+key, 60, r.length("/"+key), limit)
				mu.Lock()
				defer mu.Unlock()
				var e *Exceeded
				switch {
				case err == nil:
					passed++
				case errors.As(err, &e) && e.More.Bytes == 60:
					refused++
				default:
					t.Error(err)
				}
				if err == nil {
					end := q.Begin()
					q.Settle(key, "/"+key, 60, r.publish("/"+key, 60))
					end()
				}
			})
		}
		wg.Wait()
		if passed != 1 || refused != 4 {
			t.Fatalf("%d passed, %d were refused", passed, refused)
		}
		r.usage(q, Usage{})
	}
}

// Whatever many writers do to a home at the same time, its files never pass the quota, and the counter is right in the end.
func TestRandom(t *testing.T) {
	limit := Usage{Bytes: 2000, Files: 12}
	r := newTree(t, limit, map[string]int64{"/a": 300, "/d/a": 500})
	q := r.quota()
	paths := []string{"/a", "/b", "/c", "/d/a", "/d/b", "/d/c", "/e/f/g"}
	for i := range 12 {
		paths = append(paths, fmt.Sprintf("/many/%d", i))
	}
	var passed, refused [4]int
	var mu sync.Mutex
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(w), 7))
			for i := range 400 {
				path, key := paths[random.IntN(len(paths))], fmt.Sprintf("%d-%d", w, i)
				what := random.IntN(10)
				err := one(t.Context(), r, q, random, what, key, path, paths[random.IntN(len(paths))])
				mu.Lock()
				kind := min(max(what-4, 0), 3)
				if err != nil {
					refused[kind]++
				} else {
					passed[kind]++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	r.usage(q, Usage{})
	for kind, n := range passed {
		if n == 0 {
			t.Errorf("kind %d of change never passed", kind)
		}
	}
	if refused[0] == 0 {
		t.Error("no upload was ever refused")
	}
	if err := q.Recount(t.Context()); err != nil {
		t.Error(err)
	}
	r.usage(q, Usage{})
}

// one carries out a random change.
func one(ctx context.Context, r *tree, q *Quota, random *rand.Rand, what int, key, path, other string) error {
	switch {
	case what < 6: // an upload, now and then of another length on adoption, now and then dropped
		length := int64(random.IntN(600))
		if err := q.Reserve(ctx, key, path, length, r.length(path), r.limit); err != nil {
			return err
		}
		q.Name(key, key+"-id")
		if random.IntN(4) == 0 {
			longer := length + int64(random.IntN(300))
			if q.Reserve(ctx, key+"-id", path, longer, r.length(path), r.limit) == nil {
				length = longer
			}
		}
		end := q.Begin()
		defer end()
		if random.IntN(5) == 0 {
			q.Cancel(key + "-id")
			return nil
		}
		q.Settle(key+"-id", path, length, r.publish(path, length))
	case what == 6: // a move
		if path == other {
			return nil
		}
		end := q.Begin()
		defer end()
		done, err := q.Move(path, other, r.limit)
		if err != nil {
			return err
		}
		r.mu.Lock()
		replaced := int64(None)
		if length := r.get(path); length != None {
			replaced = r.get(other)
			delete(r.files, path)
			r.files[other] = length
		}
		r.mu.Unlock()
		done(replaced)
	default:
		end := q.Begin()
		defer end()
		if length := r.take(path); length != None {
			q.Removed(path, length)
		}
	}
	return nil
}

// A new version needs only what it is longer, and that counts against nobody twice.
func TestCredit(t *testing.T) {
	limit := Usage{Bytes: 1000}
	for _, tt := range []struct {
		name string
		then func(q *Quota, r *tree) error
		want Usage // reserved afterwards
	}{
		{"nothing happens", func(*Quota, *tree) error { return nil }, Usage{100, 0}},
		{"a second version waits for room", func(q *Quota, r *tree) error {
			if q.Reserve(t.Context(), "2", "/f", 900, r.length("/f"), limit) == nil {
				return errors.New("the same file was credited twice")
			}
			return nil
		}, Usage{100, 0}},
		{"it is removed", func(q *Quota, r *tree) error { q.Removed("/f", r.take("/f")); return nil }, Usage{900, 1}},
		{"a small one takes its place", func(q *Quota, r *tree) error {
			if err := q.Reserve(t.Context(), "2", "/f", 50, r.length("/f"), limit); err != nil {
				return err
			}
			q.Settle("2", "/f", 50, r.publish("/f", 50))
			return nil
		}, Usage{850, 0}},
		{"it would be moved away", func(q *Quota, r *tree) error {
			var e *Exceeded
			if _, err := q.Move("/f", "/g", limit); !errors.As(err, &e) {
				return fmt.Errorf("the move was not refused: %v", err)
			}
			return nil
		}, Usage{100, 0}},
		{"what is above would be moved away", func(q *Quota, r *tree) error {
			if _, err := q.Move("/", "/g", limit); err == nil {
				return errors.New("the move was not refused")
			}
			return nil
		}, Usage{100, 0}},
		{"it is moved away where there is room", func(q *Quota, r *tree) error {
			done, err := q.Move("/f", "/g", Usage{Bytes: 2000})
			if err != nil {
				return err
			}
			if err := q.Reserve(t.Context(), "2", "/f", 100, r.length("/f"), Usage{Bytes: 1800}); err != nil {
				return err // credited with a file that is just being moved away
			}
			r.publish("/g", r.take("/f"))
			done(None)
			return nil
		}, Usage{1000, 2}},
		{"it is adopted longer", func(q *Quota, r *tree) error {
			if q.Reserve(t.Context(), "1", "/f", 1001, r.length("/f"), limit) == nil {
				return errors.New("longer than the quota")
			}
			return q.Reserve(t.Context(), "1", "/f", 1000, r.length("/f"), limit)
		}, Usage{200, 0}},
		{"it is dropped", func(q *Quota, r *tree) error { q.Cancel("1"); q.Cancel("1"); return nil }, Usage{}},
	} {
		r := newTree(t, Usage{}, map[string]int64{"/f": 800})
		q := r.quota()
		if err := q.Reserve(t.Context(), "1", "/f", 900, r.length("/f"), limit); err != nil {
			t.Fatal(err)
		}
		if err := tt.then(q, r); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if _, held, err := q.Used(t.Context()); err != nil || held != tt.want {
			t.Errorf("%s: reserved %v, %v, want %v", tt.name, held, err, tt.want)
		}
	}
}

// Over the quota, after it was lowered, nothing may grow, but what does not is let through.
func TestOver(t *testing.T) {
	r := newTree(t, Usage{}, map[string]int64{"/f": 800})
	q := r.quota()
	limit := Usage{Bytes: 500, Files: 1}
	for _, tt := range []struct {
		path   string
		length int64
		want   string
	}{
		{"/f", 800, ""}, {"/f", 10, ""}, {"/f", 801, "quota: 800 of 500 bytes are in use, 1 more are needed"},
		{"/g", 0, "quota: 1 of 1 files are in use"}, {"/g", 1, "quota: 800 of 500 bytes are in use, 1 more are needed"},
		{"/f", maxLength + 801, "quota: 800 of 1125899906842624 bytes are in use, 1125899906842625 more are needed"},
	} {
		err := q.Reserve(t.Context(), "1", tt.path, tt.length, r.length(tt.path), limit)
		if got := fmt.Sprint(err); got != tt.want && (err != nil || tt.want != "") {
			t.Errorf("%s of %d: %s", tt.path, tt.length, got)
		}
		q.Cancel("1")
	}
	r.usage(q, Usage{})
}

// Without a limit nobody walks a tree. Once there is one, what is going on counts, too, and so do uploads of before.
func TestLimitLater(t *testing.T) {
	r := newTree(t, Usage{}, map[string]int64{"/f": 100})
	r.staged["before"] = Upload{"before", "/b", 200}
	q := r.quota()
	if err := q.Reserve(t.Context(), "1", "/f", 300, nil, Usage{}); err != nil {
		t.Fatal(err)
	}
	q.Settle("x", "/g", 50, r.publish("/g", 50))
	q.Removed("/g", r.take("/g"))
	if r.counts > 0 {
		t.Error("counted without a limit")
	}
	limit := Usage{Bytes: 1000}
	var e *Exceeded
	if err := q.Reserve(t.Context(), "2", "/h", 401, nil, limit); !errors.As(err, &e) || e.Used.Bytes != 600 {
		t.Errorf("got %v", err)
	}
	if err := q.Reserve(t.Context(), "2", "/h", 400, nil, limit); err != nil {
		t.Error(err)
	}
	if err := q.Reserve(t.Context(), "before", "/b", 300, nil, limit); err == nil {
		t.Error("an upload of before was adopted longer than there is room")
	}
	if r.counts != 1 {
		t.Errorf("counted %d times", r.counts)
	}
	r.usage(q, Usage{900, 3})
}

// A tree that cannot be read is an error, not room.
func TestCountFails(t *testing.T) {
	r := newTree(t, Usage{}, map[string]int64{"/f": 100})
	q := r.quota()
	r.bad = errors.New("no medium")
	if err := q.Reserve(t.Context(), "1", "/g", 1, nil, Usage{Bytes: 1000}); err == nil || !strings.Contains(err.Error(), "no medium") {
		t.Errorf("got %v", err)
	}
	r.bad = nil
	if err := q.Reserve(t.Context(), "1", "/g", 901, nil, Usage{Bytes: 1000}); err == nil {
		t.Error("the failed count was taken for a count")
	}
}

// A change and the telling of it are never on different sides of a count.
func TestCountWaits(t *testing.T) {
	r := newTree(t, Usage{}, map[string]int64{"/f": 100})
	q := r.quota()
	end := q.Begin()
	if q.changing.TryLock() {
		t.Error("a count could begin in the middle of a change")
	}
	end()
	r.during = func() {
		if q.changing.TryRLock() {
			t.Error("a change could begin in the middle of a count")
		}
	}
	if err := q.Recount(t.Context()); err != nil {
		t.Error(err)
	}
	again := r.quota()
	again.tree = r
	r.during = func() {
		if again.changing.TryRLock() {
			t.Error("a change could begin in the middle of the first count")
		}
	}
	if err := again.Reserve(t.Context(), "1", "/g", 1, nil, Usage{Files: 5}); err != nil || r.counts != 2 {
		t.Errorf("%v, counted %d times", err, r.counts)
	}
}

// What a change tells while the tree is being counted is not counted twice: the change waits.
func TestRecountAmongChanges(t *testing.T) {
	limit := Usage{Bytes: 1 << 30}
	r := newTree(t, limit, map[string]int64{})
	q := r.quota()
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 200 {
				key, path := fmt.Sprintf("%d-%d", w, i), fmt.Sprintf("/%d", (w+i)%7)
				if err := q.Reserve(t.Context(), key, path, int64(i), r.length(path), limit); err != nil {
					t.Error(err)
				}
				end := q.Begin()
				q.Settle(key, path, int64(i), r.publish(path, int64(i)))
				end()
			}
		})
		wg.Go(func() {
			for range 50 {
				if err := q.Recount(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	r.usage(q, Usage{})
}
