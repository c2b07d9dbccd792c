package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// What stands on the command line wins over the environment, and that over the file.
func TestPrecedence(t *testing.T) {
	file := filepath.Join(t.TempDir(), "conf")
	text := "data = \"file\"\nusers = \"file\"\nlog-format = \"json\"\nlisten = [\"file:1\", \"file:2\"]\nkeep-uploads = \"1d\"\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &settings{}
	f := s.flags()
	if err := f.Parse([]string{"--data", "flag", "--listen", "flag:1", "--listen", "flag:2"}); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"FERRYD_DATA": "env", "FERRYD_USERS": "env,with comma", "FERRYD_CONFIG": file, "FERRYD_LISTEN": "env:1", "FERRYD_LISTEN_PLAIN": "env:1,env:2"}
	if err := s.load(f, func(name string) string { return env[name] }); err != nil {
		t.Fatal(err)
	}
	if s.data != "flag" || s.users != "env,with comma" || s.logFormat != "json" || time.Duration(s.keep) != 24*time.Hour ||
		!slices.Equal(s.listen, []string{"flag:1", "flag:2"}) || !slices.Equal(s.plain, []string{"env:1", "env:2"}) || len(s.plainInsecure) > 0 {
		t.Errorf("got %+v", s)
	}

	s = &settings{}
	f = s.flags()
	if err := s.load(f, func(name string) string { return map[string]string{"FERRYD_DATA": "d"}[name] }); err != nil {
		t.Fatal(err)
	}
	if s.users != filepath.Join("d", "users.toml") || !slices.Equal(s.listen, []string{"127.0.0.1:8083"}) || s.keep.String() != "7d" || s.logFormat != "text" {
		t.Errorf("defaults are %+v", s)
	}

	s = &settings{}
	err := s.load(s.flags(), func(name string) string {
		return map[string]string{"FERRYD_DATA": "d", "FERRYD_KEEP_UPLOADS": "never"}[name]
	})
	if err == nil || err.Error() != `FERRYD_KEEP_UPLOADS: "never" is not a time such as 7d or 36h` || exitCode(err) != 2 {
		t.Errorf("a bad variable: %v, exit %d", err, exitCode(err))
	}
}

// TestNeverBan: this machine is spared unless something else is said, anywhere, or nobody.
func TestNeverBan(t *testing.T) {
	file := filepath.Join(t.TempDir(), "conf")
	if err := os.WriteFile(file, []byte("data = \"d\"\nnever-ban = []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"--data", "d"}, "[127.0.0.0/8 ::1/128]"},
		{[]string{"--data", "d", "--never-ban", "192.0.2.7", "--never-ban", "2001:db8::/32"}, "[192.0.2.7/32 2001:db8::/32]"},
		{[]string{"--data", "d", "--never-ban", "none"}, "[]"},
		{[]string{"--config", file}, "[]"},
	} {
		s := &settings{}
		f := s.flags()
		err := f.Parse(tt.args)
		if err == nil {
			err = s.load(f, func(string) string { return "" })
		}
		never, nerr := spared(s.neverBan)
		if err != nil || nerr != nil || fmt.Sprint(never) != tt.want {
			t.Errorf("%q: %v, %v, %v, want %s", tt.args, never, err, nerr, tt.want)
		}
	}
}

func TestDays(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"7d": 7 * 24 * time.Hour, "36h": 36 * time.Hour, "90s": 90 * time.Second,
		"": 0, "d": 0, "-1d": 0, "07d": 0, "1.5d": 0, "0s": 0, "-1h": 0, "65536d": 0, "7 d": 0, "7dd": 0, "week": 0,
	} {
		var d days
		if err := d.Set(text); time.Duration(d) != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %v, %v, want %v", text, time.Duration(d), err, want)
		}
	}
}
