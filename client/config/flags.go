package config

import (
	"cmp"

	"github.com/spf13/pflag"
)

// Flags makes an option of every setting that has one. What is given goes into the settings; a wrong value is an *Error.
func (s *Settings) Flags(f *pflag.FlagSet) {
	for _, t := range s.table {
		if t.Unasked {
			continue
		}
		o := f.VarPF(&option{settings: s, setting: t}, t.Name, t.Letter, t.Help)
		if t.Arg == "" {
			o.NoOptDefVal = "true" // with the type bool: the help shows no value then
		}
		if t.Default != off {
			o.DefValue = t.Default
		}
	}
}

// option is a setting as an option of the command line.
type option struct {
	settings *Settings
	setting  Setting
	texts    []string
}

// Set implements pflag.Value.
func (o *option) Set(text string) error {
	if !o.setting.List {
		o.texts = nil
	}
	o.texts = append(o.texts, text)
	return o.settings.Set(Option, "--"+o.setting.Name, o.setting.Name, o.texts...)
}

// String implements pflag.Value.
func (o *option) String() string { return "" }

// Type implements pflag.Value: what the help writes behind the option.
func (o *option) Type() string { return cmp.Or(o.setting.Arg, "bool") }
