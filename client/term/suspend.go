package term

import (
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// suspendWait is how long the kernel may take to do at once what it was told.
const suspendWait = 100 * time.Millisecond

// Suspend is Ctrl-Z where the terminal makes no signal of it.
func Suspend() { syscall.Kill(0, syscall.SIGTSTP) }

// Suspendable lets Ctrl-Z stop the program from now on. Meanwhile the terminal is as it is now, and what p draws is off the screen.
// Where no shell could wake the program, it goes on.
func Suspendable(p *Progress) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return
	}
	before, err := term.GetState(int(tty.Fd()))
	if err != nil || signal.Ignored(syscall.SIGTSTP) {
		tty.Close()
		return
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTSTP)
	go func() {
		for range signals {
			if wakeable() {
				p.without(func() { stop(tty, before) })
			}
		}
	}()
}

// without lets do run while nothing is drawn or written; the bars are off the screen meanwhile. It does not wait long for what is
// being written: that may wait for a program that was stopped.
func (p *Progress) without(do func()) {
	for begin := time.Now(); !p.mu.TryLock(); time.Sleep(time.Millisecond) {
		if time.Since(begin) > suspendWait {
			do()
			return
		}
	}
	defer p.mu.Unlock()
	drawn := p.drawn
	p.erase()
	do()
	if drawn {
		p.draw(time.Now())
	}
}

// stop stops the program and returns when it goes on. Others who had the signal, too, stop by themselves.
func stop(tty *os.File, before *term.State) {
	fd := int(tty.Fd())
	now, err := term.GetState(fd)
	changed := err == nil && *now != *before && inFront(tty)
	if changed {
		term.Restore(fd, before)
	}
	awaitStop()
	woken := make(chan os.Signal, 1)
	signal.Notify(woken, syscall.SIGCONT)
	defer signal.Stop(woken)
	syscall.Kill(os.Getpid(), syscall.SIGSTOP) // what SIGTSTP does is not to be had again once somebody was notified of it
	select {
	case <-woken:
	case <-time.After(suspendWait):
	}
	if changed { // in the background this waits until it is in front again
		term.Restore(fd, now)
	}
}

// awaitStop lets a program that was started stop first, if there is one: a pager puts the screen in order before, which must not come
// after what the shell writes.
func awaitStop() {
	for begin := time.Now(); time.Since(begin) < suspendWait; time.Sleep(time.Millisecond) {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_ALL, 0, &info, unix.WSTOPPED|unix.WNOHANG|unix.WNOWAIT, nil)
		if err == unix.ECHILD || info.Signo != 0 {
			return
		}
	}
}

// inFront reports whether the program is one of those that the shell of a terminal lets use it now; also where there is no such shell.
func inFront(tty *os.File) bool {
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err != nil || group == unix.Getpgrp()
}

// wakeable tells whether the parent is a shell of this terminal, or a program that such a shell has started.
func wakeable() bool {
	parent := os.Getppid()
	session, err := unix.Getsid(parent)
	own, _ := unix.Getsid(0)
	group, _ := unix.Getpgid(parent)
	return err == nil && session == own && (group != unix.Getpgrp() || parent != session)
}
