package shell

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/pflag"

	"ferry/client/term"
	"ferry/shared/wire"
)

func historyCommand() Command {
	return Command{Name: "history", Group: "session", Usage: "history [N] | history --script FILE", Short: "the lines typed so far, or this session as a script",
		Examples: []string{"history 20", "history --script nightly.ferry"},
		More: `--script writes the commands of this session that worked, with the server and the directories
where it began, so that ferry -b FILE does the same again; - prints them. A file that is there
is replaced with -f only. Where you were asked about files that were there already, the script
has the option that says the same, if you answered the same each time. Lines that begin with a
blank, and those that may hold a secret, are kept nowhere.`,
		Max: 1, Args: Free, Values: map[string]Side{"script": Here}, Fields: []Field{{"number", "integer", "place in the list, from 1"}, {"line", "string", "as it was typed"}},
		Flags: func(f *pflag.FlagSet) {
			f.String("script", "", "write this session to `FILE`")
			f.BoolP("force", "f", false, "replace the file")
		}, Run: runHistory}
}

func runHistory(ctx context.Context, s *Shell, c *Call) error {
	if c.Changed("script") {
		if len(c.words) > 0 {
			return usagef("--script takes the whole session")
		}
		return s.writeSession(c.value("script"), c.on("force"))
	}
	lines, first := s.In.History(), 0
	if len(c.words) > 0 {
		n, err := strconv.Atoi(c.Args()[0])
		if err != nil || n < 0 {
			return usagef("%s: how many lines?", c.Args()[0])
		}
		first = max(0, len(lines)-n)
	}
	for i, line := range lines[first:] {
		n := first + i + 1
		if err := s.emit(map[string]any{"number": n, "line": line}, fmt.Sprintf("%5d  %s\n", n, term.Escape(line))); err != nil {
			return err
		}
	}
	return nil
}

// session is what was done, as a script does it again.
type session struct {
	here  string // the directory of this machine where it began
	lines []scripted
}

// scripted is a line of such a script.
type scripted struct {
	text string
	job  *background // which it began; nil: none
}

func (s *session) add(line string) { s.lines = append(s.lines, scripted{text: line}) }

// arrived keeps where a login or an address has led to: what was typed may have failed behind it, or hold a secret.
func (s *Shell) arrived(line string) {
	if !s.blank {
		s.session.add(line)
	}
}

// began keeps a line that began a job.
func (s *Shell) began(b *background, line string) {
	if !s.private {
		s.session.lines = append(s.session.lines, scripted{line, b})
	}
}

// worked keeps a command for the script of the session, unless it is only about the shell itself.
func (s *Shell) worked(cmd Cmd) {
	c, ok := s.find(cmd.Words[0].Text)
	switch {
	case !ok || c.Secret || s.private || slices.Contains([]string{"open", "login", "help", "history", "status", "quit", "jobs", "kill", "queue"}, c.Name):
	case c.Name == "fg" || c.Name == "wait": // jobs may have other numbers in the script
		s.session.add("wait")
	default:
		s.session.add(s.answered(cmd))
	}
}

// script returns the lines that a script has to have: not those that began a job which failed or was stopped.
func (s *Shell) script() (lines []string) {
	for _, l := range s.session.lines {
		if l.job != nil {
			if how, _ := s.jobs.how(l.job); how == jobFailed || how == jobStopped {
				continue
			}
		}
		lines = append(lines, l.text)
	}
	return lines
}

// writeSession writes the session to a file, - for stdout.
func (s *Shell) writeSession(name string, force bool) error {
	lines := s.script()
	text := "# ferry -b runs this.\nlcd " + Quote(s.session.here) + "\n" + strings.Join(lines, "\n") + "\n"
	if name == "-" {
		return s.emit(map[string]any{"line": text}, text)
	}
	name = home(name)
	how := os.O_EXCL
	if force {
		how = os.O_TRUNC
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|how, 0o666)
	if os.IsExist(err) {
		return named(name, &hinted{&wire.Error{Code: wire.Exists, Message: "exists already"}, "-f replaces it"})
	}
	if err != nil {
		return named(name, err)
	}
	_, err = f.WriteString(text)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		s.say("wrote %s: %d commands", term.Escape(name), len(lines))
	}
	return named(name, err)
}

// remember keeps a line for recall, unless it is private.
func (s *Shell) remember(line string) {
	s.blank = strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t")
	s.private = s.blank || s.secret(line)
	if !s.private && strings.TrimSpace(line) != "" {
		s.In.SaveHistory(line)
	}
}

// secret tells whether a line may hold a secret: a command that takes one, a password in an address, which is refused but was
// typed all the same, an invite, or a variable that holds one of those. A line that cannot be split is looked at word by word.
func (s *Shell) secret(line string) bool {
	if strings.Contains(line, "@SHA256:") || strings.Contains(line, "FERRY_PASSWORD=") || strings.Contains(line, "FERRY_INVITE=") {
		return true
	}
	cmds, err := Split(line)
	if err != nil {
		for _, w := range strings.Fields(line) {
			cmds = append(cmds, Cmd{Words: []Word{{Text: strings.Trim(w, `-@;&|'"`)}}})
		}
	}
	for _, cmd := range cmds {
		if c, ok := s.find(cmd.Words[0].Text); ok && (c.Secret || c.Line && len(cmd.Words) > 1 && s.secret(cmd.Words[1].Text)) {
			return true
		}
		for _, w := range cmd.Words {
			_, rest, scheme := strings.Cut(w.Text, "://")
			if !scheme {
				rest = w.Text
			}
			user, _, at := strings.Cut(rest, "@")
			if at && strings.Contains(user, ":") && !strings.HasPrefix(user, "unix:") {
				return true
			}
		}
	}
	return false
}

// history is the lines typed so far and the file they are kept in.
type history struct {
	path  string // "" if there is none
	lines []string
}

// open opens the file for appending, or fails if it is not a regular one of mode 0600.
func (h *history) open() (*os.File, error) {
	// O_NONBLOCK: a FIFO must not hold the shell.
	f, err := os.OpenFile(h.path, os.O_RDWR|os.O_CREATE|os.O_APPEND|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err == nil && info.Mode().Perm() != 0o600 {
		err = f.Chmod(0o600)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// load reads the last lines of the file, and shortens it when it has twice as many. A file that
// cannot be had is done without: history is never worth stopping for.
func (h *history) load() {
	if h.path == "" {
		return
	}
	f, err := h.open()
	if err != nil {
		h.path = ""
		return
	}
	defer f.Close()
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return
	}
	data, err := io.ReadAll(io.NewSectionReader(f, max(end-maxLine, 0), maxLine))
	if err != nil {
		return
	}
	lines := bytes.Split(bytes.TrimSuffix(data, []byte("\n")), []byte("\n"))
	if end > maxLine {
		lines = lines[1:] // cut in the middle
	}
	long := end > maxLine || len(lines) > 2*maxHistory
	for _, line := range lines[max(len(lines)-maxHistory, 0):] {
		if len(line) > 0 && utf8.Valid(line) && !bytes.ContainsFunc(line, unicode.IsControl) { // which would go to the terminal as they are
			h.lines = append(h.lines, string(line))
		}
	}
	if long {
		h.rewrite()
	}
}

// rewrite replaces the file by the lines in memory. If that fails the old one stays.
func (h *history) rewrite() {
	f, err := os.CreateTemp(filepath.Dir(h.path), ".history-*") // mode 0600
	if err != nil {
		return
	}
	_, err = io.WriteString(f, strings.Join(h.lines, "\n")+"\n")
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), h.path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
}

// add keeps a line and reports whether it did.
func (h *history) add(line string) bool {
	if strings.TrimSpace(line) == "" || line[0] == ' ' || line[0] == '\t' || strings.ContainsAny(line, "\n\r") ||
		len(h.lines) > 0 && h.lines[len(h.lines)-1] == line {
		return false
	}
	h.lines = append(h.lines, line)
	if n := len(h.lines) - maxHistory; n > 0 {
		h.lines = slices.Delete(h.lines, 0, n)
	}
	if h.path == "" {
		return true
	}
	if f, err := h.open(); err == nil {
		io.WriteString(f, line+"\n") // a line lost on a full disk is not worth a word
		f.Close()
	}
	return true
}
