// Package term is everything about the person's terminal: what kind it is, text made safe for
// it, figures as people read them, passwords and progress.
package term

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"
)

// How a question can end without an answer.
var (
	ErrInterrupt  = errors.New("interrupted") // by Ctrl-C
	ErrTerminated = errors.New("terminated")  // because the program is to end
)

// IsTerminal reports whether f is a terminal.
func IsTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// Size returns the size of the terminal f in character cells, 80 by 24 if it does not say.
func Size(f *os.File) (columns, rows int) {
	columns, rows, err := term.GetSize(int(f.Fd()))
	if err != nil || columns <= 0 || rows <= 0 {
		return 80, 24
	}
	return columns, rows
}

// Colour reports whether colour may be written to f: it is a terminal that can move its cursor,
// and NO_COLOR is not set (no-color.org).
func Colour(f *os.File) bool {
	return os.Getenv("NO_COLOR") == "" && !dumb() && IsTerminal(f)
}

func dumb() bool {
	t := os.Getenv("TERM")
	return t == "dumb" || t == ""
}

// Password asks on the controlling terminal, whatever stdin and stdout are, and reads one line
// without echo. On SIGINT, SIGTERM or SIGHUP the echo
// is restored first and ErrInterrupt or ErrTerminated returned; one more line may then still be taken from the terminal, so the caller should exit.
func Password(prompt string) (string, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return "", fmt.Errorf("no terminal to ask for a password: %w", err)
	}
	defer tty.Close()
	fd := int(tty.Fd())
	state, err := term.GetState(fd)
	if err != nil {
		return "", fmt.Errorf("ask for a password: %w", err)
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGCONT)
	defer signal.Stop(signals)

	type answer struct {
		password []byte
		err      error
	}
	answers := make(chan answer, 1)
	go func() {
		p, err := term.ReadPassword(fd)
		answers <- answer{p, err}
	}()
	awaitChange(fd, state) // else ReadPassword could turn the echo off after it was restored
	fmt.Fprint(tty, prompt)
	for {
		select {
		case a := <-answers:
			fmt.Fprintln(tty)
			if a.err != nil {
				return "", fmt.Errorf("ask for a password: %w", a.err)
			}
			return string(a.password), nil
		case s := <-signals:
			if s == syscall.SIGCONT { // the prompt has scrolled away
				fmt.Fprint(tty, prompt)
				continue
			}
			err := term.Restore(fd, state)
			fmt.Fprintln(tty)
			if s == os.Interrupt {
				return "", errors.Join(ErrInterrupt, err)
			}
			return "", errors.Join(ErrTerminated, err)
		}
	}
}

// awaitChange waits until a terminal is no longer as it was: nothing tells when. Where the echo was off already it never is.
func awaitChange(fd int, before *term.State) {
	for begin := time.Now(); time.Since(begin) < suspendWait; time.Sleep(time.Millisecond) {
		if now, err := term.GetState(fd); err != nil || *now != *before {
			return
		}
	}
}
