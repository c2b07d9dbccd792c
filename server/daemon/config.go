package daemon

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/spf13/pflag"

	"ferry/server/account"
	"ferry/server/register"
)

// settings are the options of `ferryd serve`.
type settings struct {
	data, users, config  string
	listen               []string
	plain, plainInsecure []string
	addrFile, logFormat  string
	neverBan             []string
	keep                 days
	register             register.Rules // in the configuration file only
}

// flags returns the options. Environment and configuration file have no names of their own: whatever is here can stand
// there.
func (s *settings) flags() *pflag.FlagSet {
	s.keep = days(7 * 24 * time.Hour)
	s.logFormat = "text"
	f := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	f.StringVar(&s.data, "data", "", "data directory `DIR`, made if it is missing")
	f.StringVar(&s.users, "users", "", "account `FILE` (default DIR/users.toml)")
	f.StringArrayVar(&s.listen, "listen", []string{"127.0.0.1:8083"}, "listen at `HOST:PORT`, encrypted, or at unix:PATH, for this user; may be repeated")
	f.StringArrayVar(&s.plain, "listen-plain", nil, "listen at `HOST:PORT` of this machine without encryption; may be repeated")
	f.StringArrayVar(&s.plainInsecure, "listen-plain-insecure", nil, "listen at `HOST:PORT` of any network without encryption; may be repeated")
	f.StringVar(&s.config, "config", "", "configuration `FILE`")
	f.StringVar(&s.addrFile, "addr-file", "", "write the bound addresses to `FILE`, one a line, once connections are accepted")
	f.Var(&s.keep, "keep-uploads", "drop unfinished uploads that were not touched for `TIME`")
	f.StringArrayVar(&s.neverBan, "never-ban", []string{"127.0.0.0/8", "::1"},
		"never ban `ADDR`, an address or network, for failed logins; may be repeated; none: ban any")
	f.Var((*format)(&s.logFormat), "log-format", "`text or json`")
	return f
}

// load adds what the environment and the configuration file say to the options that were given.
func (s *settings) load(f *pflag.FlagSet, getenv func(string) string) error {
	err := error(nil)
	f.VisitAll(func(o *pflag.Flag) {
		name := "FERRYD_" + strings.ToUpper(strings.ReplaceAll(o.Name, "-", "_"))
		text := getenv(name)
		if err != nil || o.Changed || text == "" || o.Name == "help" {
			return
		}
		if e := set(o, strings.Split(text, ",")); e != nil {
			err = fmt.Errorf("%s: %w", name, e)
		}
	})
	if err == nil && s.config != "" {
		err = s.readConfig(f)
	}
	if err == nil && s.data == "" {
		err = &advised{errors.New("no data directory"), "give --data DIR"}
	}
	if err != nil {
		return usage(err)
	}
	if s.users == "" {
		s.users = filepath.Join(s.data, "users.toml")
	}
	return nil
}

// set gives an option that may be repeated all of texts, and any other option its commas back.
func set(o *pflag.Flag, texts []string) error {
	o.Changed = true
	if list, ok := o.Value.(pflag.SliceValue); ok {
		return list.Replace(texts)
	}
	return o.Value.Set(strings.Join(texts, ","))
}

// readConfig reads a configuration file: keys named like the options, each a string, or an array of strings where the
// option may be repeated, and the table register.
func (s *settings) readConfig(f *pflag.FlagSet) error {
	var file map[string]toml.Primitive
	md, err := toml.DecodeFile(s.config, &file)
	v := &value{flags: f}
	seen := map[string]bool{}
	for _, key := range md.Keys() {
		switch {
		case err != nil || seen[key[0]]:
		case key[0] == "register":
			err = md.PrimitiveDecode(file[key[0]], (*registration)(&s.register))
		default:
			v.key = key[0]
			err = md.PrimitiveDecode(file[v.key], v)
		}
		seen[key[0]] = true
	}
	var at toml.ParseError
	if errors.As(err, &at) {
		return &advised{fmt.Errorf("%s:%d: %s", s.config, at.Position.Line, at.Message), v.advice}
	}
	return plain(err)
}

// value is the value of one key; decoding it sets the option of that name. Its errors get their line from the decoder.
type value struct {
	key    string
	flags  *pflag.FlagSet
	advice string // for an unknown key
}

// UnmarshalTOML implements toml.Unmarshaler.
func (v *value) UnmarshalTOML(data any) error {
	o := v.flags.Lookup(v.key)
	if o == nil || v.key == "config" || v.key == "help" {
		var known []string
		v.flags.VisitAll(func(o *pflag.Flag) {
			if o.Name != "config" && o.Name != "help" {
				known = append(known, o.Name)
			}
		})
		known = append(known, "register")
		v.advice = "known keys: " + strings.Join(known, ", ")
		return fmt.Errorf("unknown key %q", v.key)
	}
	_, repeated := o.Value.(pflag.SliceValue)
	var texts []string
	switch data := data.(type) {
	case string:
		texts = []string{data}
	case []any:
		for _, item := range data {
			text, ok := item.(string)
			if !ok || !repeated {
				return fmt.Errorf("%s: is not %s", v.key, want(repeated))
			}
			texts = append(texts, text)
		}
	default:
		return fmt.Errorf("%s: is not %s", v.key, want(repeated))
	}
	if o.Changed {
		return nil
	}
	if err := set(o, texts); err != nil {
		return fmt.Errorf("%s: %w", v.key, err)
	}
	return nil
}

// registration is the table register; decoding it checks it.
type registration register.Rules

// UnmarshalTOML implements toml.Unmarshaler.
func (r *registration) UnmarshalTOML(data any) error {
	table, ok := data.(map[string]any)
	if !ok {
		return errors.New("register: is not a table")
	}
	rules, err := register.ParseRules(table)
	*r = registration(rules)
	return err
}

func want(repeated bool) string {
	if repeated {
		return "a string or an array of strings"
	}
	return "a string"
}

// spared reads the addresses that are never banned.
func spared(texts []string) ([]netip.Prefix, error) {
	if slices.Equal(texts, []string{"none"}) {
		return nil, nil
	}
	var all []netip.Prefix
	for _, text := range texts {
		p, err := account.ParsePrefix(text)
		if err != nil {
			return nil, usage(fmt.Errorf("never-ban: %w", err))
		}
		all = append(all, p)
	}
	return all, nil
}

// days is a duration that may be given in days: "7d", "36h".
type days time.Duration

// String implements pflag.Value.
func (d *days) String() string {
	if t := time.Duration(*d); t%(24*time.Hour) != 0 {
		return t.String()
	}
	return strconv.Itoa(int(time.Duration(*d)/(24*time.Hour))) + "d"
}

// Set implements pflag.Value.
func (d *days) Set(text string) error {
	t, err := time.ParseDuration(text)
	if n, ok := strings.CutSuffix(text, "d"); ok {
		var count uint16 // 179 years
		_, err = fmt.Sscanf(n, "%d", &count)
		if err == nil && strconv.Itoa(int(count)) != n {
			err = strconv.ErrSyntax
		}
		t = time.Duration(count) * 24 * time.Hour
	}
	if err != nil || t <= 0 {
		return fmt.Errorf("%q is not a time such as 7d or 36h", text)
	}
	*d = days(t)
	return nil
}

// Type implements pflag.Value.
func (d *days) Type() string { return "time" }

// format is how log lines are written.
type format string

// String implements pflag.Value.
func (f *format) String() string { return string(*f) }

// Set implements pflag.Value.
func (f *format) Set(text string) error {
	if text != "text" && text != "json" {
		return fmt.Errorf("%q is neither text nor json", text)
	}
	*f = format(text)
	return nil
}

// Type implements pflag.Value.
func (f *format) Type() string { return "format" }
