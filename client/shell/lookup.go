package shell

import (
	"context"
	"errors"
	"path"
	"path/filepath"
	"slices"
	"strings"
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

// filesHere offers the files of this machine that begin with a word.
func (s *Shell) filesHere(ctx context.Context, w Word) []found {
	text := w.unquotedHome()
	if text == "~" {
		return names("~/")
	}
	dir, base := filepath.Split(text)
	where, err := filepath.Abs(home(dir))
	if err != nil {
		return nil
	}
	all := s.lookups.find(ctx, "here "+where, func(context.Context) ([]string, error) { return listed(where) })
	return within(w.Text[:len(w.Text)-len(base)], base, all)
}

// filesThere offers the files on the server that begin with a word.
func (s *Shell) filesThere(ctx context.Context, w Word) []found {
	text, session := w.unquotedHome(), s.client
	if text == "~" {
		return names("~/")
	}
	if session == nil {
		return nil
	}
	dir, base := path.Split(text)
	where := s.abs(dir)
	all := s.lookups.find(ctx, "there "+where, func(ctx context.Context) ([]string, error) {
		return s.lookups.ask(session, func(c *remote.Client) ([]string, error) { return list(ctx, c, where) })
	})
	return within(w.Text[:len(w.Text)-len(base)], base, all)
}

// list returns the names in a directory of the server.
func list(ctx context.Context, c *remote.Client, dir string) (names []string, err error) {
	size := 0
	for e, err := range c.List(ctx, dir, false) {
		if err != nil {
			return nil, err
		}
		name := string(e.Name)
		if e.Kind == "dir" {
			name += "/"
		}
		names = append(names, name)
		if size += len(name); size > maxFound {
			return nil, errors.New("too many names")
		}
	}
	return names, nil
}

// within offers those of the names in a directory, which are sorted, that begin with base. Hidden ones have to be asked for.
func within(dir, base string, all []string) (fit []found) {
	first, _ := slices.BinarySearch(all, base)
	for _, n := range all[first:] {
		if !strings.HasPrefix(n, base) {
			break
		}
		if n == "" || base == "" && n[0] == '.' {
			continue
		}
		name := dir + n
		if dir == "" && base == "" && (n[0] == '-' || plainName(n) != n) {
			name = "./" + n // else it would be an option, or the home
		}
		fit = append(fit, found{name: name})
	}
	return fit
}

// orderable asks the server what can be the last word of a command line.
func orderable(ctx context.Context, c *remote.Client, line []string) (words []string, err error) {
	answer, err := c.Admin(ctx, append([]string{"complete"}, line...), "", false, false)
	if err != nil {
		return nil, err
	}
	for l := range strings.Lines(answer.Output) {
		word, _, _ := strings.Cut(strings.TrimSuffix(l, "\n"), "\t")
		if !strings.HasPrefix(word, ":") && word != "" {
			words = append(words, word)
		}
		if word == "--password-stdin" { // for which there is more to say from far away
			words = append(words, newPasswordFile, newPasswordCommand)
		}
	}
	return words, nil
}
