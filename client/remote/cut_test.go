package remote_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"ferry/client/remote"
	"ferry/internal/faultproxy"
	"ferry/server/servertest"
)

// cutter does the same transfer again and again over a connection that is made anew each time.
type cutter struct {
	*rig
	client    *remote.Client
	get, over bool // download; over an old version of the file
	name      string
	local     string
	state     string
	turn      uint64
}

const cutLength = 3<<20 + 4711 // three blocks and a piece

// run does one transfer, after plan has had its say about the connection that it will be made on. It returns how many
// bytes travelled in each direction, reconnecting included.
func (c *cutter) run(plan func()) (up, down int64, err error) {
	c.turn++
	old, fresh := noise(cutLength+1, 2*c.turn), noise(cutLength, 2*c.turn+1)
	visible := c.home(c.name)
	if c.get {
		visible = c.local
		if err := os.WriteFile(c.home(c.name), fresh, 0o644); err != nil {
			return 0, 0, err
		}
	}
	os.Remove(visible)
	if c.over {
		if err := os.WriteFile(visible, old, 0o644); err != nil {
			return 0, 0, err
		}
	}
	stop := watch(visible, !c.over, sha256.Sum256(old), sha256.Sum256(fresh))
	before := c.proxy.Stats()
	plan()
	c.proxy.CutNow(faultproxy.RST)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var res remote.Result
	if c.get {
		res, err = fetch(ctx, c.client, c.state, "/"+c.name, c.local)
	} else {
		res, err = c.client.Put(ctx, "/"+c.name, source(fresh), remote.PutOptions{Job: remote.NewID()})
	}
	seen := stop()
	if err != nil {
		return 0, 0, err
	}
	if seen != nil {
		return 0, 0, seen
	}
	if got, err := os.ReadFile(visible); err != nil || !bytes.Equal(got, fresh) {
		return 0, 0, fmt.Errorf("the result is not the source (%v)", err)
	}
	if res.Moved > 2*cutLength {
		return 0, 0, fmt.Errorf("%d bytes counted as moved for %d", res.Moved, cutLength)
	}
	now := c.proxy.Stats()
	return now.Up - before.Up, now.Down - before.Down, nil
}

// TestCutEverywhere cuts the connection of a transfer at every kind of place, in every way and both directions. Always the
// transfer ends by itself with exactly the right bytes, nobody ever sees half a file, and little more than what was lost
// travels twice.
func TestCutEverywhere(t *testing.T) {
	t.Parallel()
	r := newRig(t, servertest.WithBeat(time.Second/5)) // a server that is only slow is not taken for a dead line
	o := r.options()
	o.Silence, o.DialTimeout = time.Second, 5*time.Second
	var wg sync.WaitGroup
	start := make(chan struct{}) // so that the first logins, which cost Argon2id, meet no transfers
	cases := 0
	var mu sync.Mutex
	limit := make(chan struct{}, 12) // transfers at once
	for _, how := range []faultproxy.How{faultproxy.FIN, faultproxy.RST, faultproxy.Silence} {
		for _, dir := range []faultproxy.Direction{faultproxy.Up, faultproxy.Down} {
			for _, get := range []bool{false, true} {
				for _, over := range []bool{false, true} {
					if over && how == faultproxy.Silence {
						continue // takes long and shows nothing that the others do not
					}
					what := fmt.Sprintf("how%d dir%d get=%v over=%v", how, dir, get, over)
					own := &rig{r.Server, newProxy(t, r.Addr()), t}
					co := o
					co.Address = own.proxy.Addr()
					c := &cutter{rig: own, client: own.login(co), get: get, over: over, name: "f" + strconv.Itoa(cases),
						local: filepath.Join(t.TempDir(), "local"), state: t.TempDir()}
					offset := cases % thin
					cases++
					wg.Go(func() {
						<-start
						limit <- struct{}{}
						up, down, err := c.run(func() {})
						<-limit
						if err != nil {
							t.Errorf("%s, not cut: %v", what, err)
							return
						}
						for i, n := range places(dir, get, up, down) {
							if i%thin != offset { // other places for others
								continue
							}
							limit <- struct{}{}
							gotUp, gotDown, err := c.run(func() { c.proxy.Cut(dir, n, how) })
							c.proxy.Release()
							<-limit
							const login = 16 << 10
							if err == nil && (gotUp > 2*up+3*login || gotDown > 2*down+3*login) {
								err = fmt.Errorf("%d bytes went up and %d down, %d and %d without a cut", gotUp, gotDown, up, down)
							}
							if err != nil {
								t.Errorf("%s, cut after byte %d: %v", what, n, err)
							}
							mu.Lock()
							cases++
							mu.Unlock()
						}
					})
				}
			}
		}
	}
	close(start)
	wg.Wait()
	t.Logf("%d transfers", cases)
}

// places returns where to cut a transfer that took so many bytes: in the handshake, the login and the headers, around the
// edges of blocks, and at the end.
func places(dir faultproxy.Direction, get bool, up, down int64) []int64 {
	total := up
	if dir == faultproxy.Down {
		total = down
	}
	at := []int64{0, 1, 100, 600, 1200, total / 2, total - 1, total, total + 1}
	if get == (dir == faultproxy.Down) { // the direction of the file's bytes
		begin := total - cutLength*(16384+22)/16384
		at = append(at, begin-20, begin+3)
		for edge := int64(1) << 20; edge < cutLength; edge += 1 << 20 {
			on := begin + edge*(16384+22)/16384
			at = append(at, on-1, on, on+1)
		}
	} else {
		for i := int64(1); i < 5; i++ {
			at = append(at, 1200+(total-1200)*i/5)
		}
	}
	slices.Sort(at)
	at = slices.Compact(at)
	return slices.DeleteFunc(at, func(n int64) bool { return n < 0 })
}

// TestCutAtRandom cuts a transfer of many megabytes at random places until it is done. FERRY_SEED repeats one run.
func TestCutAtRandom(t *testing.T) {
	t.Parallel()
	for i, get := range []bool{false, true} {
		t.Run(map[bool]string{false: "put", true: "get"}[get], func(t *testing.T) {
			t.Parallel()
			seed := rand.Uint64()
			if s := os.Getenv("FERRY_SEED"); s != "" {
				var err error
				if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
					t.Fatal(err)
				}
			}
			rnd := rand.New(rand.NewPCG(seed, uint64(i)))
			r := newRig(t, servertest.WithBeat(time.Second/5))
			o := r.options()
			o.Silence, o.DialTimeout = time.Second, 5*time.Second
			o.ReconnectFor = 4 * patience // cuts within one block are losses without progress
			c := r.login(o)
			data := noise(24<<20+13, seed)
			hows := []faultproxy.How{faultproxy.FIN, faultproxy.RST, faultproxy.Silence}
			const cuts = 12
			for range cuts {
				dir := faultproxy.Direction(rnd.IntN(2))
				n := rnd.Int64N(3 << 20)           // before the first block is across, or later
				if get == (dir == faultproxy.Up) { // little travels that way
					n = rnd.Int64N(1500)
				}
				r.proxy.Cut(dir, n, hows[rnd.IntN(len(hows))])
			}
			r.proxy.CutNow(faultproxy.FIN)
			ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
			defer cancel()
			var got []byte
			if get {
				mustWrite(t, r.home("f"), data)
				local := filepath.Join(t.TempDir(), "f")
				if _, err := fetch(ctx, c, t.TempDir(), "/f", local); err != nil {
					t.Fatalf("FERRY_SEED=%d: %v", seed, err)
				}
				got = mustRead(t, local)
			} else {
				if _, err := c.Put(ctx, "/f", source(data), remote.PutOptions{Job: remote.NewID()}); err != nil {
					t.Fatalf("FERRY_SEED=%d: %v", seed, err)
				}
				got = mustRead(t, r.home("f"))
			}
			if !bytes.Equal(got, data) {
				t.Fatalf("FERRY_SEED=%d: other bytes than the source's", seed)
			}
			if s := r.proxy.Stats(); s.Accepted < cuts/2 {
				t.Errorf("only %d connections: nothing was cut", s.Accepted)
			}
		})
	}
}
