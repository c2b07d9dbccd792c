package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// scripted is a connection that reads from one place, writes to another, and counts the calls.
type scripted struct {
	net.Conn // nil: what is not defined here is not called
	r        io.Reader
	w        io.Writer
	reads    int
	writes   int
	largest  int // bytes of one write
}

func (s *scripted) Read(p []byte) (int, error) { s.reads++; return s.r.Read(p) }

func (s *scripted) Write(p []byte) (int, error) {
	s.writes++
	s.largest = max(s.largest, len(p))
	return s.w.Write(p)
}

func (s *scripted) SetReadDeadline(time.Time) error  { return nil }
func (s *scripted) SetWriteDeadline(time.Time) error { return nil }
func (s *scripted) Close() error                     { return nil }

// over returns the messages of nc without TLS.
func over(nc net.Conn, stall time.Duration) *Conn {
	link := NewLink(nc, stall, &Buffers{})
	return NewConn(link, link)
}

// header returns a header of n bytes behind its length.
func header(n int) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(n))
	return append(b, strings.Repeat("h", n)...)
}

func TestHeaderLimits(t *testing.T) {
	for _, limit := range []int{1, MaxHeaderBeforeLogin, MaxHeader} {
		for _, n := range []int{1, limit - 1, limit} {
			if n == 0 {
				continue
			}
			got, err := over(&scripted{r: bytes.NewReader(header(n))}, 0).ReadHeader(nil, limit)
			if err != nil || len(got) != n {
				t.Errorf("limit %d, header of %d bytes: %d, %v", limit, n, len(got), err)
			}
		}
		for _, n := range []uint32{0, uint32(limit) + 1, 1 << 20, 0x7fffffff, 0x80000000, math.MaxUint32} {
			rest := strings.NewReader(strings.Repeat("x", 100))
			stream := io.MultiReader(bytes.NewReader(binary.LittleEndian.AppendUint32(nil, n)), rest)
			c := over(&scripted{r: stream}, 0)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := c.ReadHeader(nil, limit)
			runtime.ReadMemStats(&after)
			var proto *ProtocolError
			if !errors.As(err, &proto) {
				t.Errorf("limit %d, header of %d bytes: %v", limit, n, err)
			}
			if rest.Len() != 100 {
				t.Errorf("limit %d, header of %d bytes: its bytes were read", limit, n)
			}
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 64<<10 {
				t.Errorf("limit %d, header of %d bytes: %d bytes were allocated", limit, n, grown)
			}
		}
	}
}

func TestWriteLimits(t *testing.T) {
	for _, c := range []struct {
		header, body int
		ok           bool
	}{
		{0, 0, false}, {1, 0, true}, {MaxHeader, 0, true}, {MaxHeader + 1, 0, false}, {1, MaxBody, true}, {1, MaxBody + 1, false},
	} {
		var out bytes.Buffer
		w := over(&scripted{w: &out}, 0)
		err := w.Write(make([]byte, c.header), make([]byte, c.body))
		if ferr := w.Flush(); (err == nil) != c.ok || ferr != nil {
			t.Errorf("%+v: %v, %v", c, err, ferr)
		}
		if want := 4 + c.header + c.body; c.ok && out.Len() != want || !c.ok && out.Len() != 0 {
			t.Errorf("%+v: %d bytes were sent", c, out.Len())
		}
	}
}

// All samples come across in one piece, byte by byte, and in one segment a hundred times.
func TestConnRoundTrip(t *testing.T) {
	var stream bytes.Buffer
	w := over(&scripted{w: &stream}, 0)
	const rounds = 100
	for range rounds {
		for _, s := range samples() {
			f := s.frame(t)
			if err := w.Write(f[4:len(f)-len(s.body)], s.body); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	var want []byte
	for _, s := range samples() {
		want = append(want, s.frame(t)...)
	}
	want = bytes.Repeat(want, rounds)
	if !bytes.Equal(stream.Bytes(), want) {
		t.Fatal("what was sent is not the messages one behind the other")
	}
	for name, r := range map[string]io.Reader{
		"one segment": bytes.NewReader(want), "byte by byte": iotest.OneByteReader(bytes.NewReader(want)),
		"halves": iotest.HalfReader(bytes.NewReader(want)), "data with EOF": iotest.DataErrReader(bytes.NewReader(want)),
	} {
		c := over(&scripted{r: r}, 0)
		var buf []byte
		for i := range rounds * len(samples()) {
			s := samples()[i%len(samples())]
			f := s.frame(t)
			h, err := c.ReadHeader(buf[:0], MaxHeader)
			if err != nil || !bytes.Equal(h, f[4:len(f)-len(s.body)]) {
				t.Fatalf("%s: message %d: %s, %v", name, i, h, err)
			}
			buf = h
			body := make([]byte, len(s.body))
			if err := c.ReadBody(body); err != nil || !bytes.Equal(body, s.body) {
				t.Fatalf("%s: message %d: body %q, %v", name, i, body, err)
			}
		}
		if _, err := c.ReadHeader(nil, MaxHeader); err != io.EOF {
			t.Errorf("%s: at the end: %v", name, err)
		}
	}
}

// Where a stream ends decides what its end means.
func TestEnd(t *testing.T) {
	body := []byte("hello")
	whole := append(header(10), body...)
	for cut := range len(whole) + 1 {
		c := over(&scripted{r: bytes.NewReader(whole[:cut])}, 0)
		_, err := c.ReadHeader(nil, MaxHeader)
		want := io.ErrUnexpectedEOF
		switch {
		case cut == 0:
			want = io.EOF
		case cut >= 14:
			want = nil
		}
		if err != want {
			t.Errorf("cut at %d: header: %v, want %v", cut, err, want)
		}
		if err != nil {
			continue
		}
		want = io.ErrUnexpectedEOF
		if cut == len(whole) {
			want = nil
		}
		if err := c.ReadBody(make([]byte, len(body))); err != want {
			t.Errorf("cut at %d: body: %v, want %v", cut, err, want)
		}
	}
}

// An error of the connection comes through as it is, inside a message too.
func TestReadError(t *testing.T) {
	broken := errors.New("broken")
	for cut := range 15 {
		r := io.MultiReader(bytes.NewReader(append(header(10), 1, 2, 3)[:cut]), iotest.ErrReader(broken))
		c := over(&scripted{r: r}, 0)
		_, err := c.ReadHeader(nil, MaxHeader)
		if err == nil {
			err = c.ReadBody(make([]byte, 3))
		}
		if err != broken {
			t.Errorf("after %d bytes: %v", cut, err)
		}
	}
}

// A failed write is told at the latest by Flush, and again by what follows.
func TestWriteError(t *testing.T) {
	for _, size := range []int{10, MaxBody} {
		c := over(&scripted{w: failing{}}, 0)
		err := c.Write([]byte("{}"), make([]byte, size))
		if err == nil {
			err = c.Flush()
		}
		if !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

type failing struct{}

func (failing) Write(p []byte) (int, error) { return 0, io.ErrClosedPipe }

func FuzzReadHeader(f *testing.F) {
	f.Add(append(header(10), "rest"...), uint16(MaxHeaderBeforeLogin))
	f.Add([]byte{0, 0, 0, 0}, uint16(10))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 1}, uint16(0xffff))
	f.Fuzz(func(t *testing.T, stream []byte, limit uint16) {
		c := over(&scripted{r: bytes.NewReader(stream)}, 0)
		for read := 0; ; {
			h, err := c.ReadHeader(nil, int(limit))
			if err != nil {
				var proto *ProtocolError
				if err != io.EOF && err != io.ErrUnexpectedEOF && !errors.As(err, &proto) {
					t.Fatalf("error %v", err)
				}
				if (err == io.EOF) != (read == len(stream)) {
					t.Fatalf("%v after %d of %d bytes", err, read, len(stream))
				}
				return
			}
			if len(h) == 0 || cap(h) > int(limit) || !bytes.Equal(h, stream[read+4:read+4+len(h)]) {
				t.Fatalf("a header of %d bytes in %d", len(h), cap(h))
			}
			read += 4 + len(h)
		}
	})
}

func BenchmarkWriteData(b *testing.B) {
	c := over(&scripted{w: io.Discard}, time.Minute)
	body := make([]byte, MaxBody)
	q := &DataRequest{Request: Request{Cmd: CmdData}, Upload: strings.Repeat("a", 32), Epoch: 3}
	b.SetBytes(MaxBody)
	b.ReportAllocs()
	for n := int64(0); b.Loop(); n++ {
		size := int64(len(body))
		q.Size, q.Offset = &size, n*MaxBody
		h, err := Encode(q)
		if err == nil {
			err = c.Write(h, body)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}
