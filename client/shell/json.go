package shell

import (
	"errors"
	"io"
	"time"

	"ferry/client/term"
)

// With JSON everything that a command has to say is one object a line: its results, an object with the key error for what
// failed, and last a summary. docs/json.md is written from the Fields of the commands.

// Field is one key of the JSON objects of a command.
type Field struct {
	Name string
	Type string // string, integer, number, boolean, list or time (RFC 3339), or two of them with "or" between
	Text string // what it means, in a few words
}

// SummaryFields are those of the last object of every command.
func SummaryFields() []Field {
	return []Field{
		{"event", "string", `"summary"`},
		{"command", "string", "name of the command, whichever alias was typed"},
		{"exit", "integer", "exit code of the command"},
		{"seconds", "number", "how long it took"},
		{"failed", "integer", "how many of several names failed; only if some did, or of directories"},
		JobField(),
	}
}

// JobField is that of every object of a command in the background.
func JobField() Field { return Field{"job", "integer", "number of the job, only in the background"} }

// StartedFields are those of the object that tells of a new job.
func StartedFields() []Field {
	return []Field{{"event", "string", `"started"`}, {"number", "integer", "of the job"}, {"line", "string", "its commands"}}
}

// ErrorFields are those of the object behind the key error.
func ErrorFields() []Field {
	return []Field{
		{"command", "string", "as it was typed; ferry before the first command, \"\" for a line that cannot be taken apart, redirect for what is behind > or |"},
		{"code", "string", "a code of the protocol, or usage, no_connection, server_key, interrupted, terminated, failed"},
		{"message", "string", "what a person would read"},
		{"path", "string", "the name it is about, \"\" if there is none"},
		{"hint", "string", "what can be done, \"\" if nothing comes to mind"},
		{"retryable", "boolean", "the same command may succeed later and goes on where it was"},
		{"exit", "integer", "exit code of a command that ends with this error"},
	}
}

// ProgressFields are those of an object on stderr with --progress json.
func ProgressFields() []Field {
	return []Field{
		{"progress", "string", "name of the transfer: of the file, the directory, or how many names"},
		{"total", "integer", "bytes to be moved in all, reused ones included; -1: not known yet"},
		{"reused", "integer", "bytes that were there already and verified, so far"},
		{"moved", "integer", "bytes that travelled so far"},
		{"rate", "number", "moved bytes a second, over the last 5 s"},
		{"left", "integer", "seconds to go at this rate; absent if that cannot be said"},
		{"checking", "integer", "bytes that seem to be there already and are still to be compared; absent if none"},
		{"names", "integer", "names found so far, while a directory is compared; their number is not known"},
		{"files", "integer", "files that are done; absent if none"},
		{"all_files", "integer", "files in all; absent for a single one"},
		{"running", "list", "of several files up to 3 that take long, the longest first: objects with name, total, reused and moved"},
		{"note", "string", "what is waited for or done besides moving bytes, for people; absent while bytes move"},
		{"done", "boolean", "true in the last object of a transfer, whatever came of it"},
	}
}

// entryFields are those of a name on either side.
func entryFields() []Field {
	return []Field{
		{"name", "string", "without the directory, or as it was asked for"},
		{"kind", "string", "file, dir, link or other"},
		{"length", "integer", "bytes"},
		{"mtime", "time", "of the last change"},
		{"mode", "string", "permission bits, octal"},
		{"version", "string", "mark of the content, for --if-unchanged; not in listings of this machine"},
	}
}

// movedFields are those of the commands that move files.
func movedFields() []Field {
	return []Field{
		{"event", "string", "stored, sent (not synced), fetched, made, unchanged, skipped, left out, deleted, removed; planned with -n"},
		{"path", "string", "on the server"},
		{"local", "string", "on this machine"},
		{"length", "integer", "bytes of the file"},
		{"moved", "integer", "bytes that travelled; in the summary of all files"},
		{"reused", "integer", "bytes that were there already and verified; in the summary of all files"},
		{"same", "boolean", "the same content was there already"},
		{"version", "string", "mark of the content on the server"},
		{"seconds", "number", "how long it took"},
		{"removed", "boolean or integer", "the source was removed (-E); in the summary how many were"},
		{"reason", "string", "why it was left out"},
		{"action", "string", "with -n: new, replace, mkdir, touch, delete, remove"},
		{"dry_run", "boolean", "summary: nothing was done (-n)"},
		{"finished", "boolean", "summary: it was not stopped before its end"},
		{"files", "integer", "summary: files moved"},
		{"directories", "integer", "summary: empty directories made"},
		{"unchanged", "integer", "summary: left alone, they are the same"},
		{"skipped", "integer", "summary: left alone, a different file was there"},
		{"left_out", "integer", "summary: symbolic links and what is no regular file"},
		{"deleted", "integer", "summary: removed from the target"},
		{"kept", "integer", "summary: sources that could not be removed (-E)"},
	}
}

// last is the last object of a command with JSON.
func (c *Call) last(err error, code int, took time.Duration) map[string]any {
	var several *severalError
	if _, told := c.summary["failed"]; errors.As(err, &several) && !told {
		c.summary["failed"] = several.failed
	}
	c.summary["event"], c.summary["command"], c.summary["exit"], c.summary["seconds"] = "summary", c.name, code, took.Seconds()
	return c.summary
}

// emit writes a result: v as JSON, or text, which ends in a newline unless it is empty.
func (s *Shell) emit(v any, text string) error {
	if s.JSON {
		return s.object(s.Out, v)
	}
	return s.show(s.Out, []byte(text))
}

// show writes whole lines of results; where those go to the terminal, not into the bars.
func (s *Shell) show(w io.Writer, lines []byte) error {
	write := func() error {
		_, err := w.Write(lines)
		return err
	}
	if w == s.Err || s.columns() == 0 {
		return write()
	}
	return s.Err.Aside(write)
}

// raw returns where a command writes bytes that are neither text nor JSON.
func (s *Shell) raw() io.Writer {
	s.bytes = true
	return s.Out
}

// beside returns where objects go that are not results: among them, unless those are bytes.
func (s *Shell) beside() io.Writer {
	if s.bytes {
		return s.Err
	}
	return s.stdout
}

// object writes v as a line of JSON.
func (s *Shell) object(w io.Writer, v any) error {
	if m, ok := v.(map[string]any); ok && s.job != nil {
		m["job"] = s.job.number
	}
	b, err := term.JSON(v)
	if err != nil {
		return err
	}
	return s.show(w, b)
}
