package wire

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
)

// Limits of one message. A peer cannot change them.
const (
	MaxHeaderBeforeLogin = 4 << 10  // bytes of JSON
	MaxHeader            = 64 << 10 // bytes of JSON once logged in, and of any answer
	MaxBody              = 1 << 20  // bytes after the header
	MaxDepth             = 8        // nested objects and arrays
)

// A ProtocolError means that the byte stream can no longer be trusted: the connection must be closed.
type ProtocolError struct{ Msg string }

func (e *ProtocolError) Error() string { return "protocol error: " + e.Msg }

func protocolErrorf(format string, args ...any) error {
	return &ProtocolError{fmt.Sprintf(format, args...)}
}

// Conn reads and writes messages on a byte stream. One goroutine may read while another writes; neither half may be used
// by two at once.
type Conn struct {
	stream net.Conn
	link   *Link
	w      *bufio.Writer // nil while nothing is buffered
	length [4]byte
}

// NewConn returns the messages of stream, whose bytes travel over link: stream is a *tls.Conn around it, or link itself.
func NewConn(stream net.Conn, link *Link) *Conn {
	link.gather = true
	return &Conn{stream: stream, link: link}
}

// ReadHeader reads the next header into buf, grown as needed up to limit bytes, and returns it. io.EOF means that the
// peer ended the stream between two messages; any other early end is io.ErrUnexpectedEOF. A header longer than limit, or
// empty, is a *ProtocolError, found before anything is allocated for it.
func (c *Conn) ReadHeader(buf []byte, limit int) ([]byte, error) {
	c.link.idle = true
	if _, err := io.ReadFull(c.stream, c.length[:1]); err != nil {
		return nil, err
	}
	c.link.idle = false
	if _, err := io.ReadFull(c.stream, c.length[1:]); err != nil {
		return nil, cutShort(err)
	}
	n := binary.LittleEndian.Uint32(c.length[:])
	if n == 0 || n > uint32(limit) {
		return nil, protocolErrorf("header of %d bytes, 1 to %d are allowed", n, limit)
	}
	if cap(buf) < int(n) {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	if _, err := io.ReadFull(c.stream, buf); err != nil {
		return nil, cutShort(err)
	}
	return buf, nil
}

// ReadBody fills p with the next bytes of the body.
func (c *Conn) ReadBody(p []byte) error {
	_, err := io.ReadFull(c.stream, p)
	return cutShort(err)
}

func cutShort(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Write buffers one message: header, then body. Flush sends what is left.
func (c *Conn) Write(header, body []byte) error {
	if len(header) == 0 || len(header) > MaxHeader || len(body) > MaxBody {
		return fmt.Errorf("message of %d and %d bytes is outside the limits", len(header), len(body))
	}
	if c.w == nil {
		c.w = c.link.bufs.writer(c.stream)
	}
	var n [4]byte
	binary.LittleEndian.PutUint32(n[:], uint32(len(header)))
	c.w.Write(n[:])
	c.w.Write(header)
	_, err := c.w.Write(body) // keeps the first error of the three
	return err
}

// WriteBody continues the body of the message that was written last.
func (c *Conn) WriteBody(p []byte) error {
	if c.w == nil {
		c.w = c.link.bufs.writer(c.stream)
	}
	_, err := c.w.Write(p)
	return err
}

// Flush sends everything written so far and gives the buffers back.
func (c *Conn) Flush() error {
	if c.w == nil {
		return nil
	}
	if err := c.w.Flush(); err != nil {
		return err
	}
	c.link.bufs.putWriter(c.w)
	c.w = nil
	return c.link.Flush()
}

// Link returns the transport below the connection.
func (c *Conn) Link() *Link { return c.link }

// Close closes the connection.
func (c *Conn) Close() error { return c.stream.Close() }
