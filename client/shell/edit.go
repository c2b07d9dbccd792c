package shell

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"

	"ferry/client/term"
	"ferry/client/transfer"
	"ferry/shared/wire"
)

func editCommand() Command {
	return Command{Name: "edit", Aliases: []string{"vi"}, Group: "files", Usage: "edit FILE", Short: "change a file on the server with your editor",
		Examples: []string{"edit notes.txt", "edit site/index.html"},
		More: `The editor is $VISUAL, else $EDITOR, else vi. It works on a copy in a private directory, which is
sent when the editor ends and the text changed: over the version that was fetched and no other. If
somebody changed the file meanwhile, or the connection is gone, your copy stays and you are told
where it is. A name that is not there becomes a new file.
`,
		Fields: didFields("stored, unchanged", Field{"length", "integer", "bytes of the file"}, Field{"version", "string", "mark of the content on the server"}),
		Login:  true, Min: 1, Max: 1, Args: There, Wire: []string{wire.CmdStat, wire.CmdGet, wire.CmdPut}, Run: runEdit}
}

// editing is an edit under way.
type editing struct {
	s       *Shell
	at      string // on the server
	local   string // the copy
	version string // of what was fetched; "": a new file
	before  [sha256.Size]byte
}

func runEdit(ctx context.Context, s *Shell, c *Call) error {
	name, err := s.onlyThere(ctx, c.words[0])
	if err != nil {
		return err
	}
	e := &editing{s: s, at: s.abs(name)}
	base, err := baseName(e.at)
	if err != nil {
		return named(name, err)
	}
	dir, err := os.MkdirTemp("", "ferry-edit-") // 0700
	if err != nil {
		return err
	}
	e.local = filepath.Join(dir, base)
	done, err := e.run(ctx)
	if done {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	return named(name, err)
}

// run fetches, lets the editor work, and sends. done tells that the copy is of no use any more.
func (e *editing) run(ctx context.Context) (done bool, err error) {
	if err := e.fetch(ctx); err != nil {
		return true, err
	}
	failed := e.editor(ctx)
	after, err := e.digest()
	_, gone := os.Lstat(e.local)
	switch {
	case err != nil:
		return true, err
	case e.version != "" && errors.Is(gone, fs.ErrNotExist):
		return true, errors.New("the editor left no file, and nothing was sent")
	case after == e.before && failed == nil:
		e.s.say("%s is unchanged", term.Escape(path.Base(e.at)))
		return true, e.s.did(nil, "unchanged", e.at, nil)
	case after == e.before:
		return true, failed
	case failed != nil:
		return false, &hinted{failed, "nothing was sent; your text is in " + term.Escape(e.local)}
	}
	ctx, stop := e.s.interruptible(context.WithoutCancel(ctx)) // Ctrl-C was the editor's
	defer stop()
	return e.send(ctx)
}

// fetch makes the copy, if there is something to be copied.
func (e *editing) fetch(ctx context.Context) error {
	entry, err := e.s.client.Stat(ctx, e.at)
	if wire.CodeOf(err) == wire.NotFound {
		e.before, err = e.digest()
		return err
	}
	if err == nil {
		err = readable(entry)
	}
	if err != nil {
		return err
	}
	var o transfer.Options
	done := e.s.track(path.Base(e.at), &o)
	res, err := e.s.Mover.Get(ctx, e.at, entry, e.local, o)
	done()
	if err != nil {
		return err
	}
	e.version = res.Entry.Version
	if err := os.Chmod(e.local, fs.FileMode(res.Entry.Mode)|0o600); err != nil { // the mode that it will have on the server
		return err
	}
	e.before, err = e.digest()
	return err
}

// editor lets the person work on the copy.
func (e *editing) editor(ctx context.Context) error {
	program := cmp.Or(os.Getenv("VISUAL"), os.Getenv("EDITOR"), "vi")
	cmd := exec.Command("/bin/sh", "-c", program+` "$1"`, "sh", e.local) // it may have options
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	wait, err := e.s.front(ctx, cmd)
	if err == nil {
		err = wait()
	}
	if err != nil {
		return &hinted{errors.New("the editor failed: " + err.Error()), "set VISUAL or EDITOR to the one you like"}
	}
	return nil
}

// send puts the copy over the version that was fetched.
func (e *editing) send(ctx context.Context) (done bool, err error) {
	o := transfer.Options{Expect: &e.version, Mode: e.version != ""}
	tracked := e.s.track(e.local, &o)
	res, err := e.s.Mover.Put(ctx, e.local, e.at, o)
	took := tracked()
	if err == nil {
		e.s.say("stored %s: %s sent%s", term.Escape(path.Base(e.at)), term.Bytes(res.Moved), pace(res.Moved, took))
		return true, e.s.did(nil, "stored", e.at, map[string]any{"length": res.Entry.Length, "version": res.Entry.Version})
	}
	hint := "your text is in " + term.Escape(e.local)
	if code := wire.CodeOf(err); code == wire.Conflict || code == wire.Exists {
		hint += "; look at what is there now, and replace it with: put -f " + Quote(e.local) + " -o " + Quote(e.at)
	}
	return false, &hinted{err, hint}
}

// digest is that of the copy; of none it is that of an empty one.
func (e *editing) digest() (sum [sha256.Size]byte, err error) {
	h := sha256.New()
	f, err := os.Open(e.local)
	if errors.Is(err, fs.ErrNotExist) {
		return [sha256.Size]byte(h.Sum(nil)), nil
	}
	if err != nil {
		return sum, err
	}
	defer f.Close()
	_, err = io.Copy(h, f)
	return [sha256.Size]byte(h.Sum(nil)), err
}
