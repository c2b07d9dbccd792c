package session

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"time"

	"ferry/shared/wire"
)

// Control carries out the orders that come in at ln, until Shutdown or Close, then returns nil. Whoever can connect there is
// an administrator: nobody logs in.
func (s *Server) Control(ln net.Listener) error {
	return s.accept(ln, func(nc net.Conn) {
		defer s.active.Done()
		defer nc.Close()
		k := &control{srv: s, log: s.Log.With("peer", "control")}
		defer func() {
			if p := recover(); p != nil {
				k.log.Error("panic", "panic", p, "stack", string(debug.Stack()))
			}
		}()
		if err := k.serve(nc); err != nil && !errors.Is(err, io.EOF) {
			k.log.Info("control connection ended", "reason", err.Error())
		}
	})
}

// control is a connection of the control socket.
type control struct {
	srv     *Server
	log     *slog.Logger
	wire    *wire.Conn
	greeted bool
}

// serve answers one request after the other until the connection ends.
func (k *control) serve(nc net.Conn) error {
	link := wire.NewLink(nc, k.srv.Timing.Stall, &k.srv.bufs)
	k.wire = wire.NewConn(link, link)
	link.SetLimit(time.Now().Add(k.srv.Timing.Login))
	gone := make(chan struct{})
	defer close(gone)
	go func() {
		select {
		case <-k.srv.quit:
			link.Interrupt() // a request under way is finished
		case <-gone:
		}
	}()
	for {
		header, err := k.wire.ReadHeader(nil, wire.MaxHeader)
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return nil
			}
			return err
		}
		link.SetLimit(time.Time{})
		answer, err := k.answer(header)
		var e *wire.Error
		switch {
		case errors.As(err, &e):
			answer = &wire.EmptyAnswer{Answer: wire.Answer{Error: e}}
		case err != nil:
			return err
		}
		if err := k.say(answer); err != nil {
			return err
		}
	}
}

// answer carries out one request.
func (k *control) answer(header []byte) (wire.Answerer, error) {
	cmd, size, err := wire.Peek(header)
	switch {
	case err != nil:
		return nil, err
	case size >= 0:
		return nil, &wire.ProtocolError{Msg: "no body is taken here"}
	case cmd == wire.CmdHello:
		return k.hello(header)
	case cmd != wire.CmdAdmin:
		return nil, refusal(wire.UnknownCommand, "there is no command "+quoted(cmd)+" here")
	case !k.greeted:
		return nil, refusal(wire.Version, "say hello first")
	}
	var q wire.AdminRequest
	if err := wire.DecodeRequest(header, &q); err != nil {
		return nil, err
	}
	// The line cannot break without one of its ends, so no outcome is remembered.
	return k.srv.carryOut(k.srv.ctx, Order{Args: q.Args, Record: q.Record, JSON: q.JSON}, func(part *wire.AdminAnswer) error { return k.say(part) })
}

func (k *control) hello(header []byte) (wire.Answerer, error) {
	var r wire.HelloRequest
	if err := wire.DecodeRequest(header, &r); err != nil {
		return nil, err
	}
	if r.Version != wire.ProtocolVersion {
		return nil, refusal(wire.Version, versions(r.Version))
	}
	k.greeted = true
	return &wire.HelloAnswer{Version: wire.ProtocolVersion, Server: "ferryd " + k.srv.Version}, nil
}

func (k *control) say(a wire.Answerer) error {
	header, err := wire.Encode(a)
	if err == nil {
		err = k.wire.Write(header, nil)
	}
	if err == nil {
		err = k.wire.Flush()
	}
	return err
}
