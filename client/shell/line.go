package shell

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"ferry/client/term"

	"github.com/chzyer/readline"
	xterm "golang.org/x/term"
)

// ErrInterrupt is what a LineReader returns for Ctrl-C.
var ErrInterrupt = term.ErrInterrupt

// A LineReader gives the shell its input, from a person or from a script. Read and Password are
// called by one goroutine; the writer of Stdout and Close may be used by others at the same time.
type LineReader interface {
	// Read returns the next line without its end; io.EOF after the last one, ErrInterrupt for Ctrl-C.
	Read(prompt string) (string, error)
	// Password asks for a secret, which is neither shown nor kept; io.EOF and ErrInterrupt as in Read.
	Password(prompt string) (string, error)
	// SaveHistory keeps a line for recall. Lines that begin with a blank and repetitions are not kept.
	SaveHistory(line string)
	// History returns the kept lines, oldest first.
	History() []string
	// Stdout writes whole lines without spoiling a line that is being typed.
	Stdout() io.Writer
	// Close gives the terminal back as it was; a Read under way ends with io.EOF.
	Close() error
}

const (
	maxLine    = 1 << 20 // bytes in a line of a script
	maxHistory = 1000    // lines
	closeWait  = time.Second
)

// LineOptions says how the line reader of a terminal behaves.
type LineOptions struct {
	// HistoryFile is where lines are kept between runs, "" for nowhere. It is made with mode 0600;
	// a symbolic link or anything else but a regular file is left alone and nothing is kept.
	HistoryFile string

	// Complete returns what can stand at byte pos of line in place of the replaceLen bytes before
	// pos; what follows those bytes in a candidate is appended. It has to answer quickly: keys wait
	// for it. Ctrl-C ends ctx.
	Complete func(ctx context.Context, line string, pos int) (candidates []Candidate, replaceLen int)
}

// NewTerminal returns a LineReader for the person at the terminal that is stdin. It writes to
// stdout, or to stderr if stdout is not a terminal.
func NewTerminal(o LineOptions) (LineReader, error) {
	state, err := xterm.GetState(int(os.Stdin.Fd()))
	if err != nil {
		return nil, fmt.Errorf("read from the terminal: %w", err)
	}
	t := &terminal{
		state:    state,
		screen:   os.Stdout,
		complete: o.Complete,
		history:  history{path: o.HistoryFile},

		interrupts: make(chan os.Signal, 1),
		woken:      make(chan os.Signal, 1),
	}
	t.keys = keyboard{r: os.Stdin, suspend: term.Suspend, interrupt: t.interrupt}
	t.stdin = readline.NewCancelableStdin(&t.keys)
	if !term.IsTerminal(os.Stdout) {
		t.screen = os.Stderr
	}
	// The history file is not readline's: after each password it would open it again by name,
	// through links, with mode 0666, and load it twice.
	t.rl, err = readline.NewEx(&readline.Config{
		Stdin:                  t.stdin,
		Stdout:                 t.screen,
		Stderr:                 t.screen,
		AutoComplete:           completer{t},
		Listener:               &t.keys,
		DisableAutoSaveHistory: true,
		HistoryLimit:           maxHistory,
		FuncIsTerminal:         func() bool { return true },
		FuncGetWidth: func() int {
			columns, _ := term.Size(t.screen)
			return columns
		},
	})
	if err != nil {
		return nil, fmt.Errorf("read from the terminal: %w", err)
	}
	// At a prompt Ctrl-C is a key as any other. A SIGINT from elsewhere must not end the program while the terminal is raw.
	signal.Notify(t.interrupts, os.Interrupt)
	signal.Notify(t.woken, syscall.SIGCONT)
	go func() {
		for range t.woken {
			if t.used.Load() {
				t.rl.Refresh()
			}
		}
	}()
	t.history.load()
	for _, line := range t.history.lines {
		t.rl.SaveHistory(line)
	}
	return t, nil
}

// terminal is a LineReader on chzyer/readline.
type terminal struct {
	rl       *readline.Instance
	keys     keyboard
	stdin    *readline.CancelableStdin
	screen   *os.File
	state    *xterm.State // of the terminal before readline
	complete func(ctx context.Context, line string, pos int) ([]Candidate, int)
	tab      atomic.Pointer[context.CancelFunc] // ends complete; nil while there is nothing to end
	history  history
	closing  sync.Once
	prompt   string // of the line that is being typed

	interrupts chan os.Signal // which nobody listens to
	woken      chan os.Signal // the program was stopped, and goes on

	mu      sync.Mutex  // held while a password is read, and by those who print
	reading atomic.Bool // within Read
	closed  atomic.Bool // readline draws no more
	used    atomic.Bool // readline was asked for something
}

func (t *terminal) Read(prompt string) (string, error) {
	if t.closed.Load() { // readline would set the terminal up once more while Close gives it back
		return "", io.EOF
	}
	t.mu.Lock()
	t.prompt = t.lastLine(prompt)
	t.rl.SetPrompt(t.prompt)
	t.mu.Unlock()
	t.used.Store(true)
	t.reading.Store(true)
	line, err := t.rl.Readline()
	t.reading.Store(false)
	if err == nil && t.closed.Load() { // half a line that nobody ended
		return "", io.EOF
	}
	return line, interrupted(err)
}

func (t *terminal) Password(prompt string) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	cfg := t.rl.GenPasswordConfig()
	cfg.Prompt = t.lastLine(prompt)
	cfg.MaskRune = '*'
	cfg.FuncGetWidth = t.rl.Config.FuncGetWidth
	cfg.Listener = t.rl.Config.Listener
	cfg.DisableAutoSaveHistory = true               // which comes after the answer, and may already be that of the lines
	cfg.Stdin = io.NopCloser(strings.NewReader("")) // is not read, but would be made anew each time
	t.used.Store(true)
	p, err := t.rl.ReadPasswordWithConfig(cfg)
	cfg.Stdin.Close()
	return string(p), interrupted(err)
}

// lastLine prints what readline must not: it would print it again at each key.
func (t *terminal) lastLine(prompt string) string {
	columns, _ := term.Size(t.screen)
	above, last := splitPrompt(prompt, columns)
	io.WriteString(t.screen, above)
	return last
}

// answerRoom is how many columns an answer has at least behind its question.
const answerRoom = 8

// splitPrompt parts a prompt into what is printed once and the line that readline edits. That is the last one, and only its
// last word where the whole would fill the row: readline does not count the rows of a prompt.
func splitPrompt(prompt string, columns int) (above, last string) {
	cut := strings.LastIndexByte(prompt, '\n') + 1
	if term.Width(prompt[cut:])+answerRoom > columns {
		if i := strings.LastIndexByte(strings.TrimRight(prompt[cut:], " "), ' '); i > 0 {
			return prompt[:cut+i] + "\n", prompt[cut+i+1:]
		}
	}
	return prompt[:cut], prompt[cut:]
}

func interrupted(err error) error {
	if errors.Is(err, readline.ErrInterrupt) {
		return ErrInterrupt
	}
	return err
}

func (t *terminal) SaveHistory(line string) {
	if len(t.history.lines) > 0 {
		t.rl.SaveHistory("") // leaves the line that was recalled; else readline would save that one
	}
	if t.history.add(line) {
		t.rl.SaveHistory(line)
	}
}

func (t *terminal) History() []string { return slices.Clone(t.history.lines) }

func (t *terminal) Stdout() io.Writer { return printer{t} }

// printer is the Stdout of a terminal.
type printer struct{ t *terminal }

func (p printer) Write(b []byte) (int, error) {
	p.t.mu.Lock()
	defer p.t.mu.Unlock()
	if p.t.closed.Load() || !p.t.reading.Load() {
		return p.t.screen.Write(b)
	}
	// Between its prompt and the first look at the keyboard readline would take nobody to be
	// typing and not draw the prompt again. The same holds for a moment after Enter.
	for i := 0; i < 20 && p.t.reading.Load() && !p.t.rl.Terminal.IsReading(); i++ {
		time.Sleep(time.Millisecond)
	}
	return p.t.rl.Stdout().Write(b)
}

// Close closes stdin first, which readline does not, and would then wait for the next key.
func (t *terminal) Close() error {
	var err error
	t.closing.Do(func() {
		t.closed.Store(true)
		t.stdin.Close()
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			if t.used.Load() { // else its goroutines may not have begun, and Close would race with that
				t.rl.Close()
			}
		}()
		select {
		case <-closed:
		case <-time.After(closeWait):
		}
		signal.Stop(t.interrupts)
		signal.Stop(t.woken)
		close(t.woken)
		if err = xterm.Restore(int(os.Stdin.Fd()), t.state); err != nil {
			err = fmt.Errorf("restore the terminal: %w", err)
		}
	})
	return err
}

// interrupt is what Ctrl-C does beside what readline makes of it, which comes when Tab is done.
func (t *terminal) interrupt() {
	if end := t.tab.Load(); end != nil {
		(*end)()
	}
}

// NewScript returns a LineReader for a script: no prompts, no history. Lines have at most 1 MiB;
// the last may lack its end. Stdout is out as it is.
func NewScript(r io.Reader, out io.Writer) LineReader {
	return &script{r: bufio.NewReader(r), out: out}
}

type script struct {
	r    *bufio.Reader
	out  io.Writer
	line int // number of the last line read
}

func (s *script) Read(string) (string, error) {
	var line []byte
	for {
		part, err := s.r.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > maxLine+2 { // with CR and LF
			return "", fmt.Errorf("line %d is longer than 1 MiB", s.line+1)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil && (!errors.Is(err, io.EOF) || len(line) == 0) {
			return "", err
		}
		if s.line++; s.line == 1 {
			line = bytes.TrimPrefix(line, []byte("\ufeff")) // a mark of editors, and no text
		}
		line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
		return string(line), nil
	}
}

func (s *script) Password(string) (string, error) {
	return "", errors.New("a script cannot be asked for a password: use --password-file, --password-stdin, --password-command or FERRY_PASSWORD")
}

func (s *script) SaveHistory(string) {}
func (s *script) History() []string  { return nil }
func (s *script) Stdout() io.Writer  { return s.out }
func (s *script) Close() error       { return nil }
