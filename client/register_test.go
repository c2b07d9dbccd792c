package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ferry/client/remote"
	"ferry/server/servertest"
	"ferry/shared/wire"
)

// TestRegisterKilled kills the server again and again while people register, two with each invite. In the end each invite has made
// one account: that of whoever was told so, if anybody was.
func TestRegisterKilled(t *testing.T) {
	const invites = 6
	config := filepath.Join(t.TempDir(), "ferryd.toml")
	if err := os.WriteFile(config, []byte("[register]\nmode = \"invite\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := servertest.Exec(t, "--config", config)
	options := func(name string) remote.Options {
		return remote.Options{Address: p.Addr(), User: name, Fingerprint: p.Fingerprint(), ReconnectFor: time.Minute,
			Password: func(context.Context) (string, error) { return password, nil }}
	}
	type told struct {
		name string
		err  error
	}
	var results [invites][]told
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range invites {
		code := p.Invite()
		for _, who := range []string{"a", "b"} {
			name := fmt.Sprintf("user%d%s", i, who)
			o := options(name)
			wg.Go(func() {
				for {
					err := remote.Register(t.Context(), o, code, o.Password)
					if errors.As(err, new(*remote.UnreachableError)) || wire.CodeOf(err) == wire.RateLimited {
						time.Sleep(100 * time.Millisecond) // the server was down when it was asked, or others have failed too often
						continue
					}
					mu.Lock()
					defer mu.Unlock()
					results[i] = append(results[i], told{name, err})
					return
				}
			})
		}
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for kills := 0; kills < 20; kills++ {
		select {
		case <-done:
			t.Logf("killed %d times", kills)
			kills = 20
		case <-time.After(time.Duration(100+37*(kills%7)) * time.Millisecond):
			p.Restart()
		}
	}
	<-done
	for i, both := range results {
		won := ""
		for _, r := range both {
			switch {
			case r.err == nil && won != "":
				t.Errorf("invite %d: both were let in", i)
			case r.err == nil:
				won = r.name
			case wire.CodeOf(r.err) != wire.AuthFailed:
				t.Errorf("%s: %v", r.name, r.err)
			}
		}
		if won == "" {
			t.Errorf("invite %d: nobody was let in: %v", i, both)
			continue
		}
		c, err := remote.Login(t.Context(), options(won))
		if err != nil {
			t.Errorf("%s: %v", won, err)
			continue
		}
		c.Close()
	}
	text, err := os.ReadFile(p.Users())
	if n := strings.Count(string(text), "[users."); err != nil || n != invites {
		t.Errorf("%d accounts by %d invites, %v", n, invites, err)
	}
}

// TestPasswdKilled kills the server again and again while a password is changed: the old or the new one always logs in, and one that was
// acknowledged does.
func TestPasswdKilled(t *testing.T) {
	p := servertest.Exec(t)
	p.AddUser("alice", password)
	now := password
	for round := range 6 {
		o := remote.Options{Address: p.Addr(), User: "alice", Fingerprint: p.Fingerprint(), ReconnectFor: time.Minute,
			Password: func(context.Context) (string, error) { return now, nil }}
		c, err := remote.Login(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		next := fmt.Sprint("battery staple ", round)
		done := make(chan error, 1)
		go func() { done <- c.Passwd(t.Context(), nil, next) }()
		time.Sleep(time.Duration(round) * 150 * time.Millisecond) // somewhere in it, or behind it
		p.Restart()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		now = next
		p.Restart()
		if err := c.Ping(t.Context()); err != nil { // by the new one: the session is gone
			t.Error(err)
		}
		c.Close()
	}
}
