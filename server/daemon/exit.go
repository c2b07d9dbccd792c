package daemon

import (
	"errors"
	"io/fs"

	"ferry/server/account"
)

// exitError is an error with the exit code of the program.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// usage marks an error as a wrong command line, exit code 2.
func usage(err error) error { return &exitError{code: 2, err: err} }

// exitCode returns the exit code that an error of any command means.
func exitCode(err error) int {
	var e *exitError
	var file *account.Error
	var there *answered
	switch {
	case err == nil:
		return 0
	case errors.As(err, &there):
		return there.Exit
	case errors.As(err, &e):
		return e.code
	case errors.As(err, &file):
		return 7
	case errors.Is(err, account.ErrNotFound):
		return 6
	case errors.Is(err, account.ErrExists):
		return 9
	}
	return 1
}

// hint returns what an error advises to do, "" if it advises nothing.
func hint(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

// advised is an error with a hint.
type advised struct {
	error
	advice string
}

func (a *advised) Hint() string  { return a.advice }
func (a *advised) Unwrap() error { return a.error }

// plain returns the cause of a file error without the system call's name.
func plain(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return &plainError{p.Path + ": " + p.Err.Error(), p}
	}
	return err
}

// plainError is a file error in fewer words.
type plainError struct {
	text string
	err  error
}

func (e *plainError) Error() string { return e.text }
func (e *plainError) Unwrap() error { return e.err }
