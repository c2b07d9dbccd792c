package shell

import (
	"fmt"
	"strings"

	"ferry/client/term"
	"ferry/client/transfer"
)

// verdict is what is to be done about a target that is there already.
type verdict int

const (
	goOn    verdict = iota // nothing is in the way
	unseen                 // the account may not look: what is there stays
	replace                // it may be replaced
	skip
	keepBoth
)

// decide does what the options say about something that is in the way, or what a person says.
func (s *Shell) decide(o transfer.TreeOptions, name string, length, mtime int64, taken func(string) (bool, error)) (verdict, string, error) {
	v := keepBoth
	var err error
	if o.Existing != transfer.KeepBoth {
		v, err = s.question(name, length, mtime)
	}
	if err == nil && v == keepBoth {
		name, err = transfer.FreeName(name, taken)
		v = goOn
	}
	return v, name, err
}

// question lets a person decide about something that is in the way.
func (s *Shell) question(name string, length, mtime int64) (verdict, error) {
	if s.all {
		return replace, nil
	}
	if s.job != nil {
		return skip, &hinted{transfer.ErrDiffers, "nobody is asked in the background: -f replaces it, --keep-both leaves both, --no-clobber leaves it"}
	}
	fmt.Fprintf(s.Err, "%s is there already (%s, %s)\n", term.Escape(name), term.Bytes(length), timeText(mtime))
	for {
		answer, err := s.In.Read("[r]eplace, [s]kip, [k]eep both, replace [a]ll, [c]ancel? ")
		if err != nil {
			return skip, errInterrupted
		}
		v := goOn
		switch strings.ToLower(strings.TrimSpace(answer)) {
		case "r", "replace", "o", "overwrite", "y", "yes":
			v = replace
		case "s", "skip", "n", "no":
			v = skip
		case "a", "all":
			v, s.all = replace, true
		case "c", "cancel":
			return skip, errInterrupted
		case "k", "keep", "keep both":
			v = keepBoth
		}
		if v != goOn {
			s.answers[v] = true
			return v, nil
		}
	}
}

// answered returns a command as it was typed, with the option that says beforehand what a person answered, if that was the
// same each time.
func (s *Shell) answered(cmd Cmd) string {
	option := ""
	if len(s.answers) == 1 {
		for v := range s.answers {
			option = map[verdict]string{replace: " -f", skip: " --no-clobber", keepBoth: " --keep-both"}[v]
		}
	}
	behind := cmd.Words[0].End - cmd.Words[0].Start
	return cmd.Text[:behind] + option + cmd.Text[behind:]
}
