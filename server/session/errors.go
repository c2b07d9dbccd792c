package session

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"

	"ferry/server/storage"
	"ferry/shared/wire"
)

// codes pairs what storages return with what travels, most specific first.
func codes() []struct {
	err  error
	code wire.Code
	text string
} {
	return []struct {
		err  error
		code wire.Code
		text string
	}{
		{storage.ErrBadPath, wire.BadPath, "not a valid path"},
		{storage.ErrIsDir, wire.IsDir, "is a directory"},
		{storage.ErrNotDir, wire.NotDir, "not a directory"},
		{storage.ErrNotEmpty, wire.NotEmpty, "directory not empty"},
		{storage.ErrNotRegular, wire.Denied, "not a regular file"},
		{storage.ErrChanged, wire.Changed, "the file changed meanwhile"},
		{storage.ErrConflict, wire.Conflict, "someone else changed the file since the upload began"},
		{storage.ErrSuperseded, wire.Superseded, "a newer upload of this file took over"},
		{storage.ErrNoSpace, wire.NoSpace, "no space left on the server"},
		{storage.ErrLost, wire.VerifyFailed, "the server could not write the data to its disk"},
		{storage.ErrUncertain, wire.Uncertain, "the connection was lost and the server restarted: it cannot be known whether this was stored before"},
		{storage.ErrUnsupported, wire.Unsupported, "not supported by this server's storage"},
		{fs.ErrNotExist, wire.NotFound, "no such file or directory"},
		{fs.ErrExist, wire.Exists, "exists already"},
		{fs.ErrPermission, wire.Denied, "permission denied"},
		{context.Canceled, wire.ShuttingDown, "the server is shutting down"},
	}
}

// errorOf turns what a command failed with into what the client is told. It is the only such place.
func (c *conn) errorOf(cmd string, err error) *wire.Error {
	if err == nil {
		return nil
	}
	var e *wire.Error
	if errors.As(err, &e) {
		return e
	}
	if errors.Is(err, context.Canceled) && c.ended() != nil {
		return c.ended()
	}
	var full *storage.QuotaError
	if errors.As(err, &full) {
		return &wire.Error{Code: wire.Quota, Message: fullText(full)}
	}
	for _, m := range codes() {
		if errors.Is(err, m.err) {
			return &wire.Error{Code: m.code, Message: m.text}
		}
	}
	return c.internal(cmd, err)
}

// internal hides a failure behind an id that the log explains.
func (c *conn) internal(cmd string, err error) *wire.Error {
	id := newID()[:8]
	c.log.Log(context.Background(), slog.LevelError, "internal error", "cmd", cmd, "id", id, "err", err)
	return &wire.Error{Code: wire.Internal, Message: "internal error " + id + " on the server"}
}

func refusal(code wire.Code, msg string) error { return &wire.Error{Code: code, Message: msg} }
