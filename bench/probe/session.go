package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"ferry/client/remote"
	"ferry/shared/login"
	"ferry/shared/wire"
)

// session is a connection that is logged in and no more. The client of package remote keeps buffers and goroutines, of which
// ten thousand would not leave room for the server.
type session struct {
	nc     net.Conn
	secret *login.Secret
}

// Close ends it without a word.
func (s *session) Close() error { return s.nc.Close() }

// connect logs in, with a secret if there is one, which spares the Argon2id run.
func connect(ctx context.Context, o options, secret *login.Secret) (*session, error) {
	nc, err := (&net.Dialer{Timeout: 15 * time.Second}).DialContext(ctx, "tcp", o.addr)
	if err != nil {
		return nil, err
	}
	s := &session{nc: nc, secret: secret}
	if err := s.login(ctx, o); err != nil {
		nc.Close()
		return nil, err
	}
	return s, nil
}

func (s *session) login(ctx context.Context, o options) error {
	link := wire.NewLink(s.nc, time.Minute, &wire.Buffers{})
	t := tls.Client(link, &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{wire.ALPN}, InsecureSkipVerify: true,
		VerifyConnection: func(cs tls.ConnectionState) error {
			if remote.Fingerprint(cs.PeerCertificates[0]) != o.fingerprint {
				return errors.New("another server's key")
			}
			return nil
		}})
	if err := t.HandshakeContext(ctx); err != nil {
		return err
	}
	bind, err := login.TLSBinding(t.ConnectionState())
	if err != nil {
		return err
	}
	exchange := login.NewClient(o.user, o.password, bind)
	if s.secret != nil {
		exchange = login.NewClientSecret(o.user, bind, s.secret)
	}
	w := wire.NewConn(t, link)
	hello := &wire.HelloRequest{Request: wire.Request{Cmd: wire.CmdHello}, Version: wire.ProtocolVersion, Client: "bench"}
	first := &wire.MessageRequest{Request: wire.Request{Cmd: wire.CmdLogin}, Message: exchange.First()}
	if err := errors.Join(say(w, hello), say(w, first), w.Flush()); err != nil {
		return err
	}
	var challenge wire.LoginAnswer
	if err := errors.Join(hear(w, &wire.HelloAnswer{}), hear(w, &challenge)); err != nil {
		return err
	}
	final, err := exchange.Final(challenge.Message)
	if err != nil {
		return err
	}
	var proof wire.ProofAnswer
	if err := errors.Join(say(w, &wire.MessageRequest{Request: wire.Request{Cmd: wire.CmdProof}, Message: final}), w.Flush(), hear(w, &proof)); err != nil {
		return err
	}
	if err := exchange.Verify(proof.Message); err != nil {
		return err
	}
	s.secret = exchange.Secret()
	return nil
}

func say(w *wire.Conn, req wire.Requester) error {
	header, err := wire.Encode(req)
	if err != nil {
		return err
	}
	return w.Write(header, nil)
}

func hear(w *wire.Conn, ans wire.Answerer) error {
	header, err := w.ReadHeader(nil, wire.MaxHeader)
	if err != nil {
		return err
	}
	if err := wire.DecodeAnswer(header, ans); err != nil {
		return err
	}
	if e := ans.Top().Error; e != nil {
		return e
	}
	return nil
}
