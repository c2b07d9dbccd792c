package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sync/errgroup"

	"ferry/client/remote"
	"ferry/internal/faultproxy"
	"ferry/internal/history"
	"ferry/server/servertest"
	"ferry/shared/block"
	"ferry/shared/wire"
)

// TestHistory: what 16 clients see of a few files that all of them put, overwrite, move and remove, while the server is
// killed and connections break, can be explained by what was acknowledged and what may have been done.
//
// FERRY_SEED repeats the choices of one run (not the moments at which they meet), FERRY_TORTURE=SECONDS goes on with new
// ones for so long.
func TestHistory(t *testing.T) {
	if s := os.Getenv("FERRY_SEED"); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		torture(t, seed)
		return
	}
	if s := os.Getenv("FERRY_TORTURE"); s != "" {
		seconds, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(time.Duration(seconds) * time.Second); time.Now().Before(end) && !t.Failed(); {
			torture(t, rand.Uint64()>>32)
		}
		return
	}
	for seed := range uint64(3) {
		torture(t, seed+1)
	}
}

const (
	tortureClients = 16
	tortureOps     = 40   // of each client
	tortureMtime   = 1e18 // and the number of the content: a file is told from another one by it, too
)

// torment is one run.
type torment struct {
	*servertest.Process
	t     *testing.T
	seed  uint64
	proxy *faultproxy.Proxy
	late  faultproxy.Late // of some clients
	key   ssh.Signer
	print string // the server's fingerprint
	begin time.Time
	done  chan bool // something for each operation that ended

	mu    sync.Mutex // guards what follows
	ops   []history.Op
	open  []int   // those of ops that may be done until the server is killed next
	kills []int64 // when the server was surely dead
}

// torture is one run with the choices of seed.
func torture(t *testing.T, seed uint64) {
	t.Run(fmt.Sprintf("FERRY_SEED=%d", seed), func(t *testing.T) {
		m := &torment{Process: servertest.Exec(t), t: t, seed: seed, begin: time.Now(), done: make(chan bool, tortureClients*tortureOps)}
		m.AddUser("alice", password)
		_, private, err := ed25519.GenerateKey(nil)
		if err == nil {
			m.key, err = ssh.NewSignerFromKey(private)
		}
		if err == nil {
			m.proxy, err = faultproxy.Start(m.Addr())
		}
		if err != nil {
			t.Fatal(err)
		}
		m.print = m.Fingerprint()
		m.Set("alice", "keys", string(ssh.MarshalAuthorizedKey(m.key.PublicKey())))
		defer m.proxy.Close()
		defer m.late.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		for _, p := range m.login(ctx) {
			wg.Go(func() {
				defer p.client.Close()
				for range tortureOps {
					p.turn(ctx)
					m.done <- true
				}
			})
		}
		ended := make(chan bool)
		go func() { wg.Wait(); close(ended) }()
		m.harm(ended)
		if ctx.Err() != nil {
			t.Fatal("the clients did not come to an end")
		}
		m.last(ctx)
		m.settle()
		begin := time.Now()
		switch err := history.Check(m.ops, 15*time.Second); {
		case errors.Is(err, history.ErrUndecided):
			t.Log(err) // no verdict: a slow machine makes histories in which everything overlaps
		case err != nil:
			t.Error(err)
		}
		m.report(time.Since(begin))
	})
}

func (m *torment) options(addr string) remote.Options {
	return remote.Options{
		Address: addr, User: "alice", Fingerprint: m.print, Program: "test",
		Password:     func(context.Context) (string, error) { return password, nil },
		ReconnectFor: time.Minute, Silence: 10 * time.Second, DialTimeout: 5 * time.Second,
	}
}

// now is the clock of the history.
func (m *torment) now() int64 { return int64(time.Since(m.begin)) }

// harm kills the server and breaks connections until all clients are done.
func (m *torment) harm(ended <-chan bool) {
	rnd := rand.New(rand.NewPCG(m.seed, 1<<32))
	for {
		if !m.wait(30+rnd.IntN(70), ended) {
			return
		}
		switch rnd.IntN(8) {
		case 0, 1, 2:
			m.kill()
			m.Start()
		case 3:
			m.proxy.CutNow(faultproxy.RST)
		case 4:
			m.proxy.CutNow(faultproxy.FIN)
		case 5:
			for range 4 {
				how := []faultproxy.How{faultproxy.FIN, faultproxy.RST}[rnd.IntN(2)]
				m.proxy.Cut(faultproxy.Direction(rnd.IntN(2)), rnd.Int64N(20_000), how)
			}
			m.proxy.CutNow(faultproxy.RST)
		case 6, 7:
			m.late.Hold()
			if !m.wait(rnd.IntN(30), ended) {
				return
			}
			m.late.Arrive()
		}
	}
}

// wait waits for so many operations, false: all clients are done.
func (m *torment) wait(operations int, ended <-chan bool) bool {
	for range operations {
		select {
		case <-m.done:
		case <-ended:
			return false
		}
	}
	return true
}

// kill ends the server without warning. What it has not done by now it never does.
func (m *torment) kill() {
	m.Kill()
	m.mu.Lock()
	m.kills = append(m.kills, m.now())
	m.mu.Unlock()
}

// last reads everything once more, from a server that was killed after all clients had ended.
func (m *torment) last(ctx context.Context) {
	m.kill()
	m.Start()
	p := &player{torment: m, id: tortureClients, known: map[string]known{}}
	o := m.options(m.Addr())
	o.Keys = []ssh.Signer{m.key}
	var err error
	if p.client, err = enter(ctx, o); err != nil {
		m.t.Fatal(err)
	}
	defer p.client.Close()
	for _, name := range tortureNames() {
		p.get(ctx, name)
	}
	ups, err := p.client.Uploads(ctx)
	if err != nil {
		m.t.Error(err)
	}
	for _, u := range ups {
		if u.Live {
			m.t.Errorf("an upload of %s is live, and nobody is there", u.Path)
		}
	}
}

// settle gives the operations their end of which the client has not heard: the next moment at which the server was dead.
func (m *torment) settle() {
	for _, i := range m.open {
		o := &m.ops[i]
		for _, kill := range m.kills {
			if kill >= o.End {
				o.End = kill
				break
			}
		}
	}
}

// report tells what happened, and fails if too little did for the run to mean anything.
func (m *torment) report(took time.Duration) {
	count := map[string]int{}
	for _, o := range m.ops {
		count[string(o.Kind)+" "+string(o.Outcome)]++
		if o.Forgot {
			count["restarted"]++
		}
	}
	m.t.Logf("%v, %d kills, %d connections, checked in %v", count, len(m.kills), m.proxy.Stats().Accepted, took.Round(time.Millisecond))
	for _, what := range []string{"put done", "get done", "rm done", "mv done", "put conflict"} {
		if count[what] == 0 {
			m.t.Errorf("not one %s", what)
		}
	}
}

// tortureNames are pairs of names, between which files are moved.
func tortureNames() []string { return []string{"/a0", "/a1", "/b0", "/b1", "/c0", "/c1"} }

// player is one client.
type player struct {
	*torment
	id     int
	rnd    *rand.Rand
	client *remote.Client
	seq    int
	known  map[string]known
}

// known is what a client knows to have been a file's content once.
type known struct {
	version string
	content int
}

// login lets all clients in, most of them by way of the proxy, the others over lines that can be late.
func (m *torment) login(ctx context.Context) []*player {
	players := make([]*player, tortureClients)
	var g errgroup.Group
	for i := range players {
		o := m.options(m.proxy.Addr())
		if i%4 == 0 {
			o = m.options(m.Addr())
			o.Dial = m.late.Dial
		}
		g.Go(func() (err error) {
			if i%2 == 1 { // the others with the password
				o.Keys = []ssh.Signer{m.key}
			}
			p := &player{torment: m, id: i, rnd: rand.New(rand.NewPCG(m.seed, uint64(i))), known: map[string]known{}}
			p.client, err = enter(ctx, o)
			players[i] = p
			return err
		})
	}
	if err := g.Wait(); err != nil {
		m.t.Fatal(err)
	}
	return players
}

// enter is remote.Login, once more until ctx ends where no connection comes about: so many at a time can take longer than a line that is
// lost may.
func enter(ctx context.Context, o remote.Options) (*remote.Client, error) {
	for {
		c, err := remote.Login(ctx, o)
		if ctx.Err() != nil || !errors.As(err, new(*remote.UnreachableError)) {
			return c, err
		}
	}
}

// turn does one operation. One of some clients is given up at some moment.
func (p *player) turn(ctx context.Context) {
	if p.rnd.IntN(20) == 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(p.rnd.IntN(30_000))*time.Microsecond)
		defer cancel()
	}
	names := tortureNames()
	at := p.rnd.IntN(len(names))
	name, other := names[at], names[at^1]
	switch k := p.rnd.IntN(100); {
	case k < 30:
		p.put(ctx, name)
	case k < 40:
		p.flood(ctx)
	case k < 75:
		p.get(ctx, name)
	case k < 85:
		p.change(ctx, history.Op{Kind: history.Rm, Name: name}, func() error { return p.client.Remove(ctx, name) })
	default:
		replace := p.rnd.IntN(2) == 0
		p.change(ctx, history.Op{Kind: history.Mv, Name: name, To: other, Replace: replace}, func() error {
			return p.client.Rename(ctx, name, other, "", replace)
		})
	}
}

// content makes up a file and the condition under which it may be published.
func (p *player) content(name string, length int) ([]byte, remote.PutOptions, history.Op) {
	p.seq++
	id := p.id*10_000 + p.seq
	o := remote.PutOptions{Job: remote.NewID(), Streams: 1 + p.rnd.IntN(3)}
	op := history.Op{Kind: history.Put, Name: name, Content: id, If: history.Any}
	was, ok := p.known[name]
	switch k := p.rnd.IntN(4); {
	case k == 0:
		o.Force = true
	case k == 1:
		o.Expect, op.If = new(string), 0
	case k == 2 && ok:
		o.Expect, op.If = &was.version, was.content
	}
	return document(id, length), o, op
}

func (p *player) put(ctx context.Context, name string) {
	b, o, op := p.content(name, p.length())
	src := remote.Source{ReaderAt: bytes.NewReader(b), Length: int64(len(b)), Mtime: tortureMtime + int64(op.Content), Check: func() error { return nil }}
	p.change(ctx, op, func() error {
		res, err := p.client.Put(ctx, name, src, o)
		p.learn(name, res, op.Content, err)
		return err
	})
}

// flood puts several small files in one go, as a tree is.
func (p *player) flood(ctx context.Context) {
	names := tortureNames()
	ops := make(chan *remote.Op, len(names))
	begin, boot := p.now(), p.client.Info().Boot
	for range 2 + p.rnd.IntN(len(names)-1) {
		name := names[p.rnd.IntN(len(names))]
		b, o, op := p.content(name, 100+1000*p.rnd.IntN(4))
		op.Begin = begin
		ops <- remote.PutOp(name, b, tortureMtime+int64(op.Content), 0, o, func(res remote.Result, err error) {
			p.learn(name, res, op.Content, err)
			p.note(ctx, op, boot, err)
		})
	}
	close(ops)
	p.client.Pipeline(ctx, ops) // each of them is told
}

func (p *player) learn(name string, res remote.Result, content int, err error) {
	if err == nil {
		p.known[name] = known{res.Entry.Version, content}
	}
}

// length is that of a file: mostly small, sometimes more than goes in one piece, and often that of another.
func (p *player) length() int {
	switch p.rnd.IntN(8) {
	case 0:
		return block.Size + 1
	case 1:
		return block.Size + p.rnd.IntN(2*block.Size)
	case 2:
		return 100_000
	}
	return 100 + 1000*p.rnd.IntN(4)
}

// change does an operation that changes something.
func (p *player) change(ctx context.Context, op history.Op, do func() error) {
	boot := p.client.Info().Boot
	op.Begin = p.now()
	p.note(ctx, op, boot, do())
}

// note notes an operation that has just ended, and what it was told. boot is of the server that knew the client when it began.
func (p *player) note(ctx context.Context, op history.Op, boot string, err error) {
	op.Client, op.End, op.Forgot = p.id, p.now(), p.client.Info().Boot != boot
	outcomes := map[wire.Code]history.Outcome{wire.NotFound: history.Missing, wire.Exists: history.Exists,
		wire.Conflict: history.Conflict, wire.Uncertain: history.Maybe}
	unheard, known := err != nil && ctx.Err() != nil, true
	switch op.Outcome = history.Maybe; {
	case unheard:
	case err == nil:
		op.Outcome = history.Done
	default:
		op.Outcome, known = outcomes[wire.CodeOf(err)]
	}
	if !known || op.Kind == history.Put && op.Outcome == history.Missing {
		p.t.Errorf("client %d: %s %s: %v", p.id, op.Kind, op.Name, err)
		op.Outcome, unheard = history.Maybe, true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if unheard {
		p.open = append(p.open, len(p.ops))
	}
	p.ops = append(p.ops, op)
}

// get reads a file, all of it, and notes what it saw.
func (p *player) get(ctx context.Context, name string) {
	op := history.Op{Client: p.id, Kind: history.Get, Name: name, Outcome: history.Done, Begin: p.now()}
	var m memory
	e, err := p.client.Stat(ctx, name)
	var res remote.Result
	if err == nil {
		res, err = p.client.Get(ctx, name, e, &m, remote.GetOptions{})
	}
	op.End = p.now()
	code := wire.CodeOf(err)
	switch {
	case err == nil:
		op.Content, err = identify(m.b[:res.Entry.Length])
		if err != nil {
			p.t.Errorf("client %d: %s: %v", p.id, name, err)
			return
		}
		p.known[name] = known{res.Entry.Version, op.Content}
	case code == wire.NotFound:
	case code == wire.Changed, ctx.Err() != nil:
		return // saw nothing
	default:
		p.t.Errorf("client %d: get %s: %v", p.id, name, err)
		return
	}
	p.mu.Lock()
	p.ops = append(p.ops, op)
	p.mu.Unlock()
}

// document returns content that tells what it is in its first line and everywhere after it.
func document(id, length int) []byte {
	var key [32]byte
	copy(key[:], strconv.Itoa(id))
	b := make([]byte, length)
	rand.NewChaCha8(key).Read(b)
	copy(b, fmt.Sprintf("content %010d of %010d bytes\n", id, length))
	return b
}

// identify returns the id of a document, and an error if it is not one, or not all of it, or not only of it.
func identify(b []byte) (id int, err error) {
	var length int
	if _, err := fmt.Sscanf(string(b[:min(len(b), 40)]), "content %d of %d bytes\n", &id, &length); err != nil {
		return 0, fmt.Errorf("%d bytes that nobody has put: %.40q", len(b), b)
	}
	if want := document(id, length); !bytes.Equal(b, want) {
		same := 0
		for same < min(len(b), len(want)) && b[same] == want[same] {
			same++
		}
		return id, fmt.Errorf("content %d is %d bytes of %d and differs from byte %d", id, len(b), length, same)
	}
	return id, nil
}

// memory is a file in memory.
type memory struct {
	mu sync.Mutex
	b  []byte
}

func (m *memory) ReadAt(p []byte, off int64) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return bytes.NewReader(m.b).ReadAt(p, off)
}

func (m *memory) WriteAt(p []byte, off int64) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if need := int(off) + len(p); need > len(m.b) {
		m.b = append(m.b, make([]byte, need-len(m.b))...)
	}
	return copy(m.b[off:], p), nil
}

// TestIdentify: a document that is cut, longer, damaged or mixed with another is found out.
func TestIdentify(t *testing.T) {
	a, b := document(7, 5000), document(8, 5000)
	if id, err := identify(a); id != 7 || err != nil {
		t.Error(id, err)
	}
	for name, bad := range map[string][]byte{
		"empty": nil, "cut": a[:4999], "longer": append(bytes.Clone(a), 0), "damaged": append(bytes.Clone(a[:4999]), a[4999]^1),
		"mixed": append(bytes.Clone(a[:2500]), b[2500:]...), "zeros": append(bytes.Clone(a[:2500]), make([]byte, 2500)...), "foreign": []byte(strings.Repeat("x", 50)),
	} {
		if _, err := identify(bad); err == nil {
			t.Errorf("%s: taken for whole", name)
		}
	}
}
