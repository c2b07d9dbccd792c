package wire

import (
	"errors"
	"io/fs"
)

// Code says what went wrong, for programs. Codes are only ever added.
type Code string

// The codes, in the order in which they came into being.
const (
	BadRequest     Code = "bad_request"     // the header is not what the command takes
	UnknownCommand Code = "unknown_command" //
	Unsupported    Code = "unsupported"     // not on this server, storage or transport
	Version        Code = "version"         // no common protocol version
	AuthFailed     Code = "auth_failed"     // unknown user or wrong proof
	LoginRequired  Code = "login_required"  //
	Denied         Code = "denied"          // no right to do that, or locked
	BadPath        Code = "bad_path"        // not absolute and clean, reserved, or too long
	NotFound       Code = "not_found"       //
	Exists         Code = "exists"          //
	IsDir          Code = "is_dir"          //
	NotDir         Code = "not_dir"         //
	NotEmpty       Code = "not_empty"       //
	Busy           Code = "busy"            // in use by someone else; later it may work
	Conflict       Code = "conflict"        // the target changed since the upload began
	Changed        Code = "changed"         // the file is no longer the version asked for
	Superseded     Code = "superseded"      // a newer writer has taken the upload over
	Uncertain      Code = "uncertain"       // it cannot be known whether it was done before
	VerifyFailed   Code = "verify_failed"   // bytes and tag do not match, or not every block was verified
	Quota          Code = "quota"           //
	NoSpace        Code = "no_space"        //
	RateLimited    Code = "rate_limited"    //
	TooMany        Code = "too_many"        // sessions, connections or uploads
	ShuttingDown   Code = "shutting_down"   //
	Internal       Code = "internal"        // the server's fault; the message carries an id for its log
	Kicked         Code = "kicked"          // an administrator ended the session
	MustChange     Code = "must_change"     // nothing but passwd before the password is changed
	TooLarge       Code = "too_large"       // the account takes no file of that length
)

// Codes returns every code, in their order.
func Codes() []Code {
	return []Code{BadRequest, UnknownCommand, Unsupported, Version, AuthFailed, LoginRequired, Denied, BadPath, NotFound, Exists,
		IsDir, NotDir, NotEmpty, Busy, Conflict, Changed, Superseded, Uncertain, VerifyFailed, Quota, NoSpace, RateLimited,
		TooMany, ShuttingDown, Internal, Kicked, MustChange, TooLarge}
}

// Error is the server's "no". The connection stays usable. Message is for people: it never holds an operating system's
// error text or a path of the server.
type Error struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
	After   int64  `json:"after,omitzero"` // with RateLimited: it may work after so many seconds; 0: nobody knows
}

func (e *Error) Error() string { return e.Message }

// Is lets errors.Is find the codes under the names that the standard library has for them.
func (e *Error) Is(target error) bool {
	switch target {
	case fs.ErrNotExist:
		return e.Code == NotFound
	case fs.ErrExist:
		return e.Code == Exists
	case fs.ErrPermission:
		return e.Code == Denied
	}
	return false
}

// CodeOf returns the code of the *Error in err's chain, or "" when there is none.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}
