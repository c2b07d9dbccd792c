package shell

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unicode/utf8"

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
	maxLine       = 1 << 20 // bytes in a line of a script
	maxHistory    = 1000    // lines
	maxCandidates = 200     // shown in a list
	closeWait     = time.Second
)

// LineOptions says how the line reader of a terminal behaves.
type LineOptions struct {
	// HistoryFile is where lines are kept between runs, "" for nowhere. It is made with mode 0600;
	// a symbolic link or anything else but a regular file is left alone and nothing is kept.
	HistoryFile string

	// Complete returns what can stand at byte pos of line in place of the replaceLen bytes before
	// pos. Every candidate is written as it would be typed, with quotes, and begins with those
	// bytes; what follows them is appended. It has to answer quickly: keys wait for it.
	Complete func(line string, pos int) (candidates []string, replaceLen int)
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
	}
	t.stdin = readline.NewCancelableStdin(keys{os.Stdin, t.suspend})
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
	t.history.load()
	for _, line := range t.history.lines {
		t.rl.SaveHistory(line)
	}
	return t, nil
}

// terminal is a LineReader on chzyer/readline.
type terminal struct {
	rl       *readline.Instance
	stdin    *readline.CancelableStdin
	screen   *os.File
	state    *xterm.State // of the terminal before readline
	complete func(line string, pos int) ([]string, int)
	history  history
	closing  sync.Once

	mu      sync.Mutex  // held while a password is read, and by those who print
	reading atomic.Bool // within Read
	closed  atomic.Bool // readline draws no more
}

func (t *terminal) Read(prompt string) (string, error) {
	if t.closed.Load() { // readline would set the terminal up once more while Close gives it back
		return "", io.EOF
	}
	t.mu.Lock()
	t.rl.SetPrompt(t.lastLine(prompt))
	t.mu.Unlock()
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
	cfg.Stdin = io.NopCloser(strings.NewReader("")) // is not read, but would be made anew each time
	p, err := t.rl.ReadPasswordWithConfig(cfg)
	cfg.Stdin.Close()
	return string(p), interrupted(err)
}

// lastLine prints all but the last line of a prompt: readline would print them again at each key.
func (t *terminal) lastLine(prompt string) string {
	i := strings.LastIndexByte(prompt, '\n') + 1
	io.WriteString(t.screen, prompt[:i])
	return prompt[i:]
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
			t.rl.Close()
			close(closed)
		}()
		select {
		case <-closed:
		case <-time.After(closeWait):
		}
		if err = xterm.Restore(int(os.Stdin.Fd()), t.state); err != nil {
			err = fmt.Errorf("restore the terminal: %w", err)
		}
	})
	return err
}

// suspend stops the process group, as Ctrl-Z does where the terminal is not raw.
func (t *terminal) suspend() {
	t.rl.Terminal.ExitRawMode()
	syscall.Kill(0, syscall.SIGTSTP)
	t.rl.Terminal.EnterRawMode()
	t.rl.Refresh()
}

// keys takes out the keys that break readline: Ctrl-S (a Ctrl-C after it crashes), Ctrl-Space
// (a NUL, which it takes for the end) and Ctrl-Z (it would also stop the parent, which may be a
// terminal window or sshd).
type keys struct {
	r       io.Reader
	suspend func() // called for Ctrl-Z
}

func (k keys) Read(b []byte) (int, error) {
	for {
		n, err := k.r.Read(b)
		if bytes.IndexByte(b[:n], 0x1a) >= 0 {
			k.suspend()
		}
		kept := slices.DeleteFunc(b[:n], func(c byte) bool { return c == 0x13 || c == 0 || c == 0x1a })
		if len(kept) > 0 || err != nil || n == 0 {
			return len(kept), err
		}
	}
}

// completer hands readline at most one candidate. Its own list of several crashes on wide
// characters, so that is printed here.
type completer struct{ t *terminal }

func (c completer) Do(runes []rune, pos int) ([][]rune, int) {
	if c.t.complete == nil {
		return nil, 0
	}
	before := string(runes[:pos])
	candidates, replace := c.t.complete(string(runes), len(before))
	if len(candidates) == 0 || replace < 0 || replace > len(before) {
		return nil, 0
	}
	typed := before[len(before)-replace:]
	suffix, found := strings.CutPrefix(commonPrefix(candidates), typed)
	if found && suffix != "" {
		return [][]rune{[]rune(suffix)}, 0
	}
	if len(candidates) > 1 {
		columns, _ := term.Size(c.t.screen)
		io.WriteString(printer(c), listCandidates(candidates, columns))
	}
	return nil, 0
}

// commonPrefix returns what all candidates begin with, whole characters only, and no half of a
// backslash and the character it quotes.
func commonPrefix(candidates []string) string {
	prefix := candidates[0]
	for _, c := range candidates[1:] {
		n := 0
		for n < len(prefix) && n < len(c) && prefix[n] == c[n] {
			n++
		}
		for n < len(prefix) && n > 0 && !utf8.RuneStart(prefix[n]) {
			n--
		}
		prefix = prefix[:n]
	}
	if slashes := len(prefix) - len(strings.TrimRight(prefix, `\`)); len(candidates) > 1 && slashes%2 == 1 {
		prefix = prefix[:len(prefix)-1]
	}
	return prefix
}

// listCandidates writes the candidates in columns, down and then across.
func listCandidates(candidates []string, columns int) string {
	more := ""
	if n := len(candidates) - maxCandidates; n > 0 {
		candidates = candidates[:maxCandidates]
		more = fmt.Sprintf("... and %d more\n", n)
	}
	cells := 1
	names := make([]string, len(candidates))
	for i, c := range candidates {
		names[i] = term.Truncate(term.Escape(strings.TrimSuffix(c, " ")), columns-1)
		cells = max(cells, term.Width(names[i])+2)
	}
	perRow := max(columns/cells, 1)
	rows := (len(names) + perRow - 1) / perRow
	var b strings.Builder
	b.WriteByte('\n')
	for row := range rows {
		for i := row; i < len(names); i += rows {
			b.WriteString(names[i])
			if i+rows < len(names) {
				b.WriteString(strings.Repeat(" ", cells-term.Width(names[i])))
			}
		}
		b.WriteByte('\n')
	}
	return b.String() + more
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
		s.line++
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
