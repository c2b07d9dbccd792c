package main

import (
	"strings"
	"testing"

	"ferry/internal/termtest"
)

// TestPersonPages: the pager begins when there is something to look at, and what is wrong with it is told.
func TestPersonPages(t *testing.T) {
	t.Parallel()
	s := newSeat(t)
	c := s.command("alice@" + s.proxy.Addr())
	c.Env = append(c.Env, "FERRY_PASSWORD="+password, "SHELL=/bin/sh", "PAGER=echo pager; cat -n; exit 3 #")
	p := termtest.Start(t, 100, 30, c)
	p.See(":/>>\n")
	p.Type("more none 'two words'\r")
	p.See("\nmore: 2 of 2 failed\n")
	ready(p)
	p.Type("more none my*\r")
	p.See("\npager\n     1  notes\n")
	p.See("\nmore: the pager failed: echo pager; cat -n; exit 3 #: exit status 3\nhint: set PAGER")
	ready(p)
	if screen := p.Screen(); strings.Count(screen, "\npager\n") != 1 {
		t.Errorf("the pager ran for nothing:\n%s", screen)
	}
	p.Type("\x04")
	s.leave(p, 0)
}
