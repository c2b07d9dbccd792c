package remote

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"ferry/shared/wire"
)

// Look is what a server shows to anybody who asks, and how far asking got.
type Look struct {
	Connected   bool // there is a connection
	Encrypted   bool // TLS is up
	Fingerprint string
	Greeted     bool          // hello was answered
	Server      string        // program and version
	Trip        time.Duration // how long the answer took
	Clock       time.Duration // how much the server's clock is ahead, give or take half of Trip
	ClockKnown  bool          // the server told its time
}

// LookAt connects as Login does and says hello, but does not log in, and trusts any key. The error is why it got no further
// than the Look says.
func LookAt(ctx context.Context, o Options) (look Look, err error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	network, addr := "tcp", o.Address
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, addr, o.Plain = "unix", path, true
	}
	nc, err := o.Dial(ctx, network, addr)
	if err != nil {
		return look, dialReason(err)
	}
	defer nc.Close()
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	defer stop()
	look.Connected = true
	hello := &wire.HelloRequest{Request: wire.Request{Cmd: wire.CmdHello}, Version: wire.ProtocolVersion, Client: o.Program}
	link := wire.NewLink(nc, 15*time.Second, &wire.Buffers{})
	var w *wire.Conn
	if o.Plain {
		w = wire.NewConn(link, link)
		nonce := make([]byte, 32)
		rand.Read(nonce)
		hello.Nonce = hex.EncodeToString(nonce)
	} else {
		t := tls.Client(link, clientTLS(func(cs tls.ConnectionState) error {
			look.Fingerprint = Fingerprint(cs.PeerCertificates[0])
			return nil
		}))
		if err := t.HandshakeContext(ctx); err != nil {
			return look, late(ctx, tlsReason(err))
		}
		look.Encrypted = true
		w = wire.NewConn(t, link)
	}
	begin := time.Now()
	if err := errors.Join(say(w, hello), w.Flush()); err != nil {
		return look, late(ctx, dialReason(&lostError{err}))
	}
	var ans wire.HelloAnswer
	if err := hear(w, &ans); err != nil {
		return look, late(ctx, err)
	}
	look.Greeted, look.Server, look.Trip = true, ans.Server, time.Since(begin)
	if ans.Time != 0 {
		look.ClockKnown, look.Clock = true, time.Unix(0, ans.Time).Sub(begin.Add(look.Trip/2)).Round(time.Millisecond)
	}
	return look, nil
}

// late is err, or what to say of it if the time was up.
func late(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errSilent
	}
	return err
}

// clientTLS is how TLS is spoken; judge looks at the server's key.
func clientTLS(judge func(tls.ConnectionState) error) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{wire.ALPN}, InsecureSkipVerify: true, // the key is pinned instead
		DynamicRecordSizingDisabled: true, VerifyConnection: judge}
}

// ErrNoTLS is an answer that is not TLS.
var ErrNoTLS = errors.New("the server does not speak TLS (is it a ferry server?)")

// tlsReason says why TLS did not come up.
func tlsReason(err error) error {
	if errors.As(err, new(tls.RecordHeaderError)) {
		return ErrNoTLS
	}
	return dialReason(err)
}
