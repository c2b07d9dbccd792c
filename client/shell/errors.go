package shell

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"syscall"

	"ferry/client/config"
	"ferry/client/remote"
	"ferry/client/term"
	"ferry/client/transfer"
	"ferry/shared/login"
	"ferry/shared/partial"
	"ferry/shared/wire"
)

// Exit codes. They are part of the command line that scripts rely on.
const (
	exitOK       = 0
	exitFailed   = 1
	exitUsage    = 2
	exitLogin    = 3
	exitNoLink   = 4
	exitTrust    = 5
	exitConflict = 6
	exitSpace    = 7
	exitSome     = 8
	exitStopped  = 130

	exitTerminated = 143
)

// Exit is an exit code and what it tells.
type Exit struct {
	Code int
	Text string
}

// Exits returns every exit code of ferry.
func Exits() []Exit {
	return []Exit{
		{exitOK, "ok"},
		{exitFailed, "a command failed: missing, denied, not verified ..."},
		{exitUsage, "wrong usage or syntax"},
		{exitLogin, "login refused"},
		{exitNoLink, "no connection: never made, or lost for longer than --reconnect-for (unfinished work is kept)"},
		{exitTrust, "the server's key is not trusted"},
		{exitConflict, "conflict: something else is there, it changed meanwhile, or another ferry is at it"},
		{exitSpace, "no space or quota, here or on the server"},
		{exitSome, "some of several files failed"},
		{exitStopped, "interrupted (Ctrl-C)"},
		{exitTerminated, "terminated"},
	}
}

// ExitCode returns the exit code for an error.
func ExitCode(err error) int {
	if err == nil {
		return exitOK
	}
	var several *severalError
	if errors.As(err, &several) {
		first := ExitCode(several.errs[0])
		for _, e := range several.errs {
			if several.failed < several.all || ExitCode(e) != first {
				return exitSome
			}
		}
		return first
	}
	for _, m := range []struct {
		is   error
		code int
	}{
		{errInterrupted, exitStopped}, {context.Canceled, exitStopped}, {ErrInterrupt, exitStopped},
		{errTerminated, exitTerminated}, {errStopped, exitTerminated}, {term.ErrTerminated, exitTerminated}, {remote.ErrAuth, exitLogin}, {login.ErrNeedPassword, exitLogin},
		{remote.ErrWrongPassword, exitLogin},
		{transfer.ErrDiffers, exitConflict}, {transfer.ErrUnderWay, exitConflict}, {remote.ErrSourceChanged, exitConflict}, {partial.ErrBusy, exitConflict},
		{syscall.ENOSPC, exitSpace}, {syscall.EDQUOT, exitSpace},
	} {
		if errors.Is(err, m.is) {
			return m.code
		}
	}
	var job *jobError
	switch {
	case errors.As(err, &job):
		return job.code
	case errors.As(err, new(*UsageError)), errors.As(err, new(*SyntaxError)), errors.As(err, new(*config.Error)):
		return exitUsage
	case errors.As(err, new(*remote.TrustError)):
		return exitTrust
	case errors.As(err, new(*remote.RefusedError)):
		return exitLogin
	case errors.As(err, new(*remote.UnreachableError)), remote.IsLost(err):
		return exitNoLink
	}
	switch wire.CodeOf(err) {
	case wire.AuthFailed, wire.LoginRequired, wire.MustChange:
		return exitLogin
	case wire.Conflict, wire.Changed, wire.Superseded, wire.Exists, wire.Busy, wire.Uncertain:
		return exitConflict
	case wire.Quota, wire.NoSpace, wire.TooLarge:
		return exitSpace
	case wire.ShuttingDown, wire.Kicked:
		return exitNoLink
	}
	return exitFailed
}

// fatal tells whether an error makes going on with further files pointless.
func fatal(err error) bool {
	switch ExitCode(err) {
	case exitLogin, exitNoLink, exitTrust, exitStopped:
		return true
	}
	return false
}

// explain says what happened in the words of a person, without the operation and path that the caller names.
func explain(err error) string {
	var file *fileError
	if errors.As(err, &file) {
		return file.Error()
	}
	var kept *transfer.KeptError
	if errors.As(err, &kept) {
		return kept.Done + ", but not removed: " + explain(kept.Err)
	}
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	var refused *remote.RefusedError
	if errors.As(err, &refused) {
		return term.Escape(refused.Error())
	}
	var w *wire.Error
	if errors.As(err, &w) {
		return term.Escape(w.Message)
	}
	return term.Escape(err.Error())
}

// hintOf returns what can be done about an error, "" if nothing comes to mind.
func hintOf(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	switch {
	case errors.Is(err, transfer.ErrDiffers):
		return "-f replaces it, -o NAME takes another name"
	case errors.Is(err, transfer.ErrIsDir):
		return "-r moves whole directories"
	case atOutput(err):
		return ""
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "run the same command again when there is room: what was moved is not moved again"
	case errors.Is(err, remote.ErrAuth), errors.Is(err, login.ErrNeedPassword):
		return "to try again: login NAME"
	case errors.Is(err, remote.ErrSourceChanged):
		return "run the command again when nothing writes to the file"
	}
	return map[wire.Code]string{
		wire.Conflict:   "look at what is there now; -f replaces it",
		wire.Exists:     "remove it first, or choose another name",
		wire.NotEmpty:   "remove what is in it first",
		wire.Superseded: "the other ferry goes on with it",
		wire.Uncertain:  "look whether it was done before you try again",
		wire.Quota:      "remove something (resume lists unfinished uploads), or ask the administrator for more",
		wire.TooLarge:   "the administrator can allow longer ones (max_file_size)",
		wire.NoSpace:    "run the same command again when there is room: what was moved is not moved again",
		wire.Kicked:     "login NAME begins another one; the same command goes on with what was being moved",
		wire.Version:    "use a ferry of the same age as the server's",
		wire.MustChange: "type: passwd   (in a script: passwd --new-password-file FILE)",
	}[wire.CodeOf(err)]
}

// atOutput tells whether it was the place where results go that failed: nothing of what went there is kept for the next time.
func atOutput(err error) bool {
	var p *fs.PathError
	return errors.As(err, new(*outputError)) || errors.As(err, &p) && p.Path == os.Stdout.Name()
}

// report shows an error of a command and returns its exit code. With JSON it is an object among the results.
func (s *Shell) report(cmd string, err error) int {
	code := ExitCode(err)
	if errors.As(err, new(*outputError)) {
		cmd = "redirect"
	}
	if s.JSON {
		if !errors.As(err, new(*severalError)) { // each was told by itself, and the summary has their number
			s.object(s.beside(), failure(cmd, err))
		}
		return code
	}
	io.WriteString(s.Err, complaint(cmd, err))
	return code
}

// failures gathers those of a command whose names follow each other through a pipeline.
type failures struct {
	s   *Shell
	cmd string
	severalError
	fatal error // what makes going on pointless: it fails many, and is told once, at the end
}

// add tells of one of several failures; nil is none.
func (f *failures) add(err error) {
	switch {
	case err == nil || errors.Is(err, context.Canceled):
	case fatal(err):
		f.fatal = err
	default:
		f.s.report(f.cmd, err)
		f.errs = append(f.errs, err)
		f.failed++
	}
}

// of returns what the failures come to when so many names went well, nil if there was none.
func (f *failures) of(well int64) error {
	if f.failed == 0 {
		return nil
	}
	f.all = f.failed + int(well)
	return &f.severalError
}

// Complain shows an error that came before there was a shell, and returns its exit code.
func Complain(err error, json bool) int {
	if p, ok := err.(*fs.PathError); ok { // the operation tells a person nothing
		err = named(p.Path, p)
	}
	if !json {
		io.WriteString(os.Stderr, complaint("ferry", err))
	} else if line, err := term.JSON(failure("ferry", err)); err == nil {
		os.Stdout.Write(line)
	}
	return ExitCode(err)
}

// complaint is an error of a command as a person reads it, with its hint.
func complaint(cmd string, err error) string {
	text := explain(err) + "\n"
	if cmd != "" && !errors.As(err, new(*adminError)) { // that names its verb itself
		text = term.Escape(cmd) + ": " + text
	}
	if h := hintOf(err); h != "" {
		text += "hint: " + term.Escape(h) + "\n"
	}
	return text
}

// failure is the same for programs.
func failure(cmd string, err error) map[string]any {
	var file *fileError
	path, code := "", ExitCode(err)
	if errors.As(err, &file) {
		path = file.name
	}
	return map[string]any{"error": map[string]any{"command": cmd, "code": errorWord(err), "message": explain(err), "path": path,
		"hint": hintOf(err), "retryable": retryable(err), "exit": code}}
}

// retryable tells whether the same command may succeed later.
func retryable(err error) bool {
	return slices.Contains([]int{exitNoLink, exitStopped, exitTerminated}, ExitCode(err)) ||
		slices.Contains([]wire.Code{wire.Busy, wire.RateLimited, wire.TooMany}, wire.CodeOf(err)) || errors.Is(err, partial.ErrBusy)
}

// errorWord names an error for programs.
func errorWord(err error) string {
	if c := wire.CodeOf(err); c != "" {
		return string(c)
	}
	switch ExitCode(err) {
	case exitUsage:
		return "usage"
	case exitLogin:
		return string(wire.AuthFailed)
	case exitNoLink:
		return "no_connection"
	case exitTrust:
		return "server_key"
	case exitConflict:
		return string(wire.Exists)
	case exitSpace:
		return string(wire.NoSpace)
	case exitStopped:
		return "interrupted"
	case exitTerminated:
		return "terminated"
	}
	switch {
	case errors.Is(err, transfer.ErrIsDir):
		return string(wire.IsDir)
	case errors.Is(err, fs.ErrNotExist):
		return string(wire.NotFound)
	case errors.Is(err, fs.ErrPermission):
		return string(wire.Denied)
	}
	return "failed"
}
