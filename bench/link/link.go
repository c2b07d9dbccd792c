package link

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	mtu       = 1500
	queueLen  = "10000" // packets that wait in a device for us; the line's own queue is what counts
	subnet    = "10.99.37."
	clientEnd = subnet + "1"
	serverEnd = subnet + "2"
)

// Link is a line between two network namespaces, that of the client and that of the server. Its methods may be called at any time.
type Link struct {
	client, server string // names of the namespaces
	devices        [2]*os.File
	begin          time.Time
	work           sync.WaitGroup

	mu     sync.Mutex // guards what follows
	lines  [2]*line   // up, down
	counts [2]int64   // bytes of packets taken
	turns  turns
	broken error
}

// Open makes the namespaces and the line. It needs to be root.
func Open(ctx context.Context, name string, q Quality) (*Link, error) {
	l := &Link{client: name + "-c", server: name + "-s", begin: time.Now()}
	l.Set(q)
	if err := l.open(ctx); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	for dir := range l.devices {
		p := &pipe{from: l.devices[dir], to: l.devices[1-dir]}
		p.ready.L = &p.mu
		l.work.Go(func() { p.take(l, dir) })
		l.work.Go(func() { l.fail(p.give(l.begin)) })
	}
	return l, nil
}

func (l *Link) open(ctx context.Context) error {
	for i, end := range []struct{ namespace, device, addr string }{{l.client, "fbench0", clientEnd}, {l.server, "fbench1", serverEnd}} {
		if err := ip(ctx, "netns", "add", end.namespace); err != nil {
			return err
		}
		f, err := openTun(end.device)
		if err != nil {
			return err
		}
		l.devices[i] = f
		for _, args := range []string{
			"link set " + end.device + " netns " + end.namespace,
			"-n " + end.namespace + " link set lo up",
			"-n " + end.namespace + " addr add " + end.addr + "/24 dev " + end.device,
			fmt.Sprintf("-n %s link set %s mtu %d txqueuelen %s up", end.namespace, end.device, mtu, queueLen),
		} {
			if err := ip(ctx, strings.Fields(args)...); err != nil {
				return err
			}
		}
	}
	return nil
}

func ip(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// openTun makes a TUN device that gives and takes bare IP packets.
func openTun(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	req, err := unix.NewIfreq(name)
	if err == nil {
		req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("make device %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil // only now: the poller must see a device that is set up
}

// Client and Server return the words before a command that run it on that side.
func (l *Link) Client() []string { return []string{"ip", "netns", "exec", l.client} }

// Server is as Client.
func (l *Link) Server() []string { return []string{"ip", "netns", "exec", l.server} }

// Address returns the server's address.
func (l *Link) Address() string { return serverEnd }

// Set changes what the line is like, from the next packet on, and the seed of its losses begins again.
func (l *Link) Set(q Quality) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = [2]*line{newLine(q), newLine(q)}
	l.turns = turns{pause: 2 * q.Delay * 9 / 10}
}

// Carried returns how many bytes of packets were put on the line, and how often at most the client waited for an answer
// since Set. It says so if the line is broken.
func (l *Link) Carried() (bytes, turns int64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts[0] + l.counts[1], l.turns.count, l.broken
}

// Close takes the line and the namespaces down.
func (l *Link) Close() error {
	for _, f := range l.devices {
		if f != nil {
			f.Close()
		}
	}
	l.work.Wait()
	var errs []error
	for _, namespace := range []string{l.client, l.server} {
		if _, err := os.Stat("/run/netns/" + namespace); err == nil {
			errs = append(errs, ip(context.Background(), "netns", "del", namespace))
		}
	}
	return errors.Join(errs...)
}

func (l *Link) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken == nil {
		l.broken = err
	}
}

// offer asks the line of a direction about a packet.
func (l *Link) offer(dir int, p []byte) (due time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Since(l.begin)
	l.counts[dir] += int64(len(p))
	l.turns.packet(dir == 0, payload(p), now)
	return l.lines[dir].offer(now, len(p))
}

// pipe carries the packets of one direction.
type pipe struct {
	from, to *os.File

	mu     sync.Mutex
	ready  sync.Cond // something was added to queue, or the end
	queue  []packet
	spare  [][]byte
	closed bool
}

type packet struct {
	due  time.Duration
	data []byte
}

// take reads packets until the device is closed.
func (p *pipe) take(l *Link, dir int) {
	for {
		buf := p.buffer()
		n, err := p.from.Read(buf)
		if err != nil {
			if !errors.Is(err, os.ErrClosed) {
				l.fail(fmt.Errorf("read from the line: %w", err))
			}
			break
		}
		due, ok := l.offer(dir, buf[:n])
		p.mu.Lock()
		if ok {
			p.queue = append(p.queue, packet{due, buf[:n]})
			p.ready.Signal()
		} else {
			p.spare = append(p.spare, buf)
		}
		p.mu.Unlock()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.ready.Signal()
}

func (p *pipe) buffer() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.spare); n > 0 {
		buf := p.spare[n-1]
		p.spare = p.spare[:n-1]
		return buf[:cap(buf)]
	}
	return make([]byte, mtu+100)
}

// give writes each packet when it is due, and what became due together without a pause in between.
func (p *pipe) give(begin time.Time) error {
	var batch []packet
	for {
		p.mu.Lock()
		for _, used := range batch {
			p.spare = append(p.spare, used.data)
		}
		for len(p.queue) == 0 && !p.closed {
			p.ready.Wait()
		}
		if p.closed {
			p.mu.Unlock()
			return nil
		}
		batch, p.queue = p.queue, batch[:0]
		p.mu.Unlock()
		for _, next := range batch {
			sleep(next.due - time.Since(begin))
			if _, err := p.to.Write(next.data); err != nil {
				if errors.Is(err, os.ErrClosed) {
					return nil
				}
				return fmt.Errorf("write to the line: %w", err)
			}
		}
	}
}

// sleep is time.Sleep with a finer grain than a millisecond: the runtime's timers wait in epoll, which counts those.
func sleep(d time.Duration) {
	if d <= 0 {
		return
	}
	t := unix.NsecToTimespec(int64(d))
	unix.Nanosleep(&t, nil)
}
