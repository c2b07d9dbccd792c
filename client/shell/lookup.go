package shell

import (
	"context"
	"slices"
	"sync"
	"time"

	"ferry/client/remote"
)

const (
	lookupKept = 5 * time.Second  // what was found is good for, or ten times as long as it took
	lookupEnds = 10 * time.Second // what was not found by now is given up
	maxLookups = 8                // under way, and kept
	maxFound   = 64 << 20         // bytes of names; nobody completes among more
)

// lookups is what Tab has asked of the disk and the server for the line that is being typed. Neither may hold it up: they are
// asked aside, and what comes too late is there for the next Tab. The zero value is ready.
type lookups struct {
	mu    sync.Mutex // guards what follows
	kept  map[string]*lookup
	busy  int            // lookups under way, forgotten ones included
	of    *remote.Client // the session that aside belongs to
	aside *remote.Client // nil while it is in use, or there is none
}

// lookup is one question and what became of it.
type lookup struct {
	begun time.Time
	done  chan struct{}
	names []string // once done; sorted
}

// find returns what ask finds, sorted: at once if it was asked lately, else when it has come, or nothing when ctx ends before.
// What ask uses must be its own.
func (l *lookups) find(ctx context.Context, key string, ask func(context.Context) ([]string, error)) []string {
	k := l.begin(key, ask)
	if k == nil {
		return nil
	}
	select {
	case <-k.done:
		return k.names
	case <-ctx.Done():
		return nil
	}
}

// begin returns the lookup of that name, which it begins if there is none. nil: too many are under way.
func (l *lookups) begin(key string, ask func(context.Context) ([]string, error)) *lookup {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k := l.kept[key]; k != nil {
		return k
	}
	if l.busy == maxLookups {
		return nil
	}
	if l.kept == nil || len(l.kept) == maxLookups {
		l.kept = map[string]*lookup{}
	}
	k := &lookup{begun: time.Now(), done: make(chan struct{})}
	l.kept[key] = k
	l.busy++
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), lookupEnds)
		defer cancel()
		names, err := ask(ctx)
		slices.Sort(names)
		l.end(key, k, names, err)
	}()
	return k
}

// end keeps what was found for a while; what failed is asked again the next time.
func (l *lookups) end(key string, k *lookup, names []string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy--
	if err != nil {
		l.drop(key, k)
	} else {
		k.names = names
		time.AfterFunc(max(lookupKept, 10*time.Since(k.begun)), func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.drop(key, k)
		})
	}
	close(k.done)
}

// drop forgets one lookup, unless another has its place. l.mu is held.
func (l *lookups) drop(key string, k *lookup) {
	if l.kept[key] == k {
		delete(l.kept, key)
	}
}

// forget drops what was found: a command may have changed it.
func (l *lookups) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept = nil
}

// ask asks something of the server of a session, over a connection of its own.
func (l *lookups) ask(session *remote.Client, what func(*remote.Client) ([]string, error)) ([]string, error) {
	c := l.take(session)
	names, err := what(c)
	if err != nil {
		c.Close()
		return nil, err
	}
	l.give(session, c)
	return names, nil
}

// take returns a client for questions to the server of a session.
func (l *lookups) take(session *remote.Client) *remote.Client {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.aside
	l.aside = nil
	if c != nil && l.of == session {
		return c
	}
	if c != nil {
		c.Close()
	}
	l.of = session
	silent := func(string) {} // a line that is being typed is no place for notices
	return session.Apart(session.Options().Dial, silent, silent)
}

// give takes back what take gave.
func (l *lookups) give(session, c *remote.Client) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of != session || l.aside != nil {
		c.Close()
		return
	}
	l.aside = c
}
