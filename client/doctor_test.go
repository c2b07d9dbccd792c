package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ferry/client/config"
	"ferry/server/servertest"
)

// TestDoctorServer: the doctor sees a clock that is off and a server that speaks another version. The rest that can be wrong is in
// doctor.txtar.
func TestDoctorServer(t *testing.T) {
	t.Setenv("SSH_AUTH_SOCK", "")
	s := servertest.New(t)
	for name, c := range map[string]struct {
		says func(answer *object)
		want string
		exit int
	}{
		"ahead":  {func(a *object) { (*a)["time"] = time.Now().Add(2 * time.Hour).UnixNano() }, "apart, the server is ahead\n      hint: set the clock of one of them", 0},
		"behind": {func(a *object) { (*a)["time"] = time.Now().Add(-2 * time.Hour).UnixNano() }, "apart, the server is behind\n", 0},
		"silent": {func(a *object) { delete(*a, "time") }, "warn  clock          the server does not tell its time\n", 0},
		"version": {func(a *object) {
			*a = object{"error": object{"code": "version", "message": "this server speaks version 9"}}
		},
			"FAIL  protocol       this server speaks version 9\n", 1},
	} {
		h := newHostile(t, s.PlainAddr(), func(object) {}, func(_ object, answer *object) { c.says(answer) })
		var out bytes.Buffer
		dir := t.TempDir()
		d := &doctor{options: &options{place: filepath.Join(dir, "config.toml"), settings: config.New(dir)}, out: &out, found: map[verdict]int{}}
		exit := d.examine(t.Context(), "ferry+plain://"+h.Addr().String())
		if !strings.Contains(out.String(), c.want) || exit != c.exit {
			t.Errorf("%s: %d\n%s", name, exit, &out)
		}
	}
}
