package session

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"time"

	"ferry/server/account"
	"ferry/server/guard"
	"ferry/shared/login"
	"ferry/shared/wire"
)

// errTries ends a connection after the last allowed proof.
var errTries = errors.New("too many failed logins")

// gate reads and answers one message after the other until a user is logged in. Nothing is queued and no body is taken,
// so a stranger costs one small buffer and, through the link's limit, at most the login time.
func (c *conn) gate(encrypted bool) error {
	g := &gate{conn: c, encrypted: encrypted, from: addrOf(c.nc)}
	var buf []byte
	for c.home == nil {
		header, err := c.wire.ReadHeader(buf[:0], wire.MaxHeaderBeforeLogin)
		if err == nil {
			buf = header
			var cmd string
			var size int64
			cmd, size, err = wire.Peek(header)
			if err == nil && size >= 0 {
				err = &wire.ProtocolError{Msg: "a body is not taken before login"}
			}
			if err == nil {
				err = g.answer(cmd, header)
			}
		}
		var proto *wire.ProtocolError
		if errors.As(err, &proto) {
			g.say(&wire.EmptyAnswer{Answer: wire.Answer{Error: &wire.Error{Code: wire.BadRequest, Message: proto.Msg}}})
		}
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return errors.New("login took too long")
			}
			return err
		}
	}
	return nil
}

// gate is the state of a login.
type gate struct {
	*conn
	from      netip.Addr
	encrypted bool
	greeted   bool
	exchange  *login.Server
	record    login.Record
	tries     int
}

func (g *gate) say(a wire.Answerer) error {
	header, err := wire.Encode(a)
	if err != nil {
		return err
	}
	if err := g.wire.Write(header, nil); err != nil {
		return err
	}
	return g.wire.Flush()
}

func (g *gate) no(code wire.Code, format string, args ...any) error {
	return g.say(&wire.EmptyAnswer{Answer: wire.Answer{Error: &wire.Error{Code: code, Message: fmt.Sprintf(format, args...)}}})
}

// answer handles one request; an error ends the connection.
func (g *gate) answer(cmd string, header []byte) error {
	var err error
	switch cmd {
	case wire.CmdHello:
		var r wire.HelloRequest
		if err = wire.DecodeRequest(header, &r); err == nil {
			return g.hello(&r)
		}
	case wire.CmdKey:
		var r wire.KeyRequest
		if err = wire.DecodeRequest(header, &r); err == nil {
			return g.byKey(&r)
		}
	case wire.CmdAttach:
		var r wire.AttachRequest
		if err = wire.DecodeRequest(header, &r); err == nil {
			return g.attach(&r)
		}
	case wire.CmdRegister:
		var r wire.RegisterRequest
		if err = wire.DecodeRequest(header, &r); err == nil {
			return g.register(&r)
		}
	case wire.CmdLogin, wire.CmdProof:
		var r wire.MessageRequest
		if err = wire.DecodeRequest(header, &r); err != nil {
			break
		}
		if !g.greeted {
			return g.rude()
		}
		if cmd == wire.CmdLogin {
			return g.login(r.Message)
		}
		return g.proof(r.Message)
	default:
		if _, ok := g.srv.lookup(cmd); ok {
			return g.no(wire.LoginRequired, "%s: log in first", cmd)
		}
		return g.no(wire.UnknownCommand, "there is no command %s", quoted(cmd))
	}
	var e *wire.Error
	if errors.As(err, &e) {
		return g.no(e.Code, "%s: %s", cmd, e.Message)
	}
	return err
}

// rude answers somebody who did not say hello.
func (g *gate) rude() error {
	return g.no(wire.Version, "say hello first; this server speaks version %d", wire.ProtocolVersion)
}

// versions tells a client of another version.
func versions(theirs int) string {
	return fmt.Sprintf("this server speaks version %d, the client asked for version %d", wire.ProtocolVersion, theirs)
}

func (g *gate) hello(r *wire.HelloRequest) error {
	if r.Version != wire.ProtocolVersion {
		g.no(wire.Version, "%s", versions(r.Version))
		return fmt.Errorf("protocol version %d", r.Version)
	}
	if len(r.Client) > maxClient {
		return g.no(wire.BadRequest, "hello: field client is longer than %d bytes", maxClient)
	}
	if g.greeted {
		return g.no(wire.BadRequest, "hello was said already")
	}
	a := &wire.HelloAnswer{Version: wire.ProtocolVersion, Server: "ferryd " + g.srv.Version, Time: time.Now().UnixNano()}
	if !g.encrypted {
		theirs, err := hex.DecodeString(r.Nonce)
		if err != nil || len(theirs) != 32 {
			return g.no(wire.BadRequest, "hello: field nonce must be 64 hexadecimal digits on a plain connection")
		}
		ours := make([]byte, 32)
		rand.Read(ours)
		a.Nonce = hex.EncodeToString(ours)
		g.bind = login.PlainBinding(theirs, ours)
	}
	g.greeted, g.client = true, r.Client
	return g.say(a)
}

func (g *gate) login(message string) error {
	if g.tries == maxTries {
		g.no(wire.AuthFailed, "authentication failed")
		return errTries
	}
	g.exchange = login.NewServer(g.bind, func(user string) (login.Record, bool) {
		if a, ok := g.srv.Accounts.Current().Lookup(user); ok && a.HasAuth {
			g.record = a.Auth
			return a.Auth, true
		}
		return login.Record{}, false
	}, g.srv.Fake)
	first, err := g.exchange.First(message)
	user := g.exchange.User() // "" if the message is malformed
	if wait := g.srv.guard.Wait(g.from, user); wait > 0 {
		return g.later(user, wait)
	}
	if err != nil {
		return g.refused(user, guard.Malformed)
	}
	return g.say(&wire.LoginAnswer{Message: first})
}

// refused counts a failed try of a user. What is said and how the connection goes on is the same whatever the reason.
func (g *gate) refused(user string, why guard.Reason) error {
	g.exchange = nil
	g.srv.guard.Refused(g.from, user, why)
	// The line is documented: filters read it. What the peer chose comes last.
	g.log.Warn("login failed", "reason", string(why), "user", clipped(user))
	return g.failed()
}

// failed ends a try that was answered like any other that failed.
func (g *gate) failed() error {
	g.tries++
	if err := g.no(wire.AuthFailed, "authentication failed"); err != nil {
		return err
	}
	if g.tries >= maxTries {
		return errTries
	}
	return nil
}

// later turns away who has to wait before a try to log in as user is looked at.
func (g *gate) later(user string, wait time.Duration) error {
	g.srv.guard.Refused(g.from, user, guard.RateLimited)
	after := int64((wait + time.Second - 1) / time.Second)
	g.srv.stranger(g.log, slog.LevelWarn, "login refused", "reason", string(guard.RateLimited), "after", after, "user", clipped(user))
	g.say(&wire.EmptyAnswer{Answer: wire.Answer{Error: &wire.Error{Code: wire.RateLimited, Message: "too many failed logins", After: after}}})
	return errors.New("login refused: too many failed logins")
}

// clipped keeps what a stranger sends from making the log long.
func clipped(user string) string {
	if len(user) > 64 {
		return user[:64] + "..."
	}
	return user
}

func (g *gate) proof(message string) error {
	if g.exchange == nil {
		return g.no(wire.BadRequest, "proof: send login first")
	}
	user := g.exchange.User()
	if wait := g.srv.guard.Wait(g.from, user); wait > 0 { // others may have failed since login
		return g.later(user, wait)
	}
	final, err := g.exchange.Final(message)
	if err != nil {
		return g.refused(user, guard.WrongPassword)
	}
	g.exchange = nil
	a, ok := g.srv.Accounts.Current().Lookup(user)
	if !ok || !a.HasAuth || a.Auth.String() != g.record.String() { // changed while the proof was on its way
		return g.refused(user, guard.Changed)
	}
	return g.enter(a, final, nil)
}

// byKey lets somebody in who has one of the account's private keys.
func (g *gate) byKey(r *wire.KeyRequest) error {
	switch {
	case !g.greeted:
		return g.rude()
	case g.key == nil:
		return g.no(wire.Unsupported, "key: not on a plain connection")
	case g.tries == maxTries:
		g.no(wire.AuthFailed, "authentication failed")
		return errTries
	}
	g.exchange = nil
	if wait := g.srv.guard.Wait(g.from, r.User); wait > 0 {
		return g.later(r.User, wait)
	}
	key, err := login.VerifyKey(r.Key, r.Signature, r.User, g.conn.key)
	a, ok := g.srv.Accounts.Current().Lookup(r.User)
	if err == nil && ok {
		_, ok = a.PublicKey(key)
	}
	if err != nil || !ok {
		return g.refused(r.User, guard.WrongKey)
	}
	return g.enter(a, "", key)
}

// enter lets an account in that has proved to be it, and begins its session. key is the public key that did it, nil for the
// password.
func (g *gate) enter(a *account.Account, final string, key []byte) error {
	g.srv.guard.Admitted(g.from, a.Name)
	if why, e := g.srv.barred(a, g.from); why != "" {
		return g.turnAway(a, why, e)
	}
	home, err := g.srv.openHome(a)
	if err != nil {
		g.log.Error("cannot open home", "user", a.Name, "err", err)
		return g.turnAway(a, guard.NoHome, refusal(wire.Denied, "the home directory is missing or unusable: tell the administrator"))
	}
	ses, err := g.srv.begin(g.conn, a, key, home)
	if err != nil {
		return g.turnAway(a, guard.TooMany, err)
	}
	g.home = home
	return g.say(&wire.ProofAnswer{Message: final, Session: ses.id, Secret: hex.EncodeToString(ses.secret[:]), Boot: g.srv.boot,
		Up: time.Since(g.srv.began).Milliseconds(), User: a.Name, Rights: a.Rights.Names(), Features: []string{"nosync"}, MustChange: key == nil && a.MustChange})
}

// turnAway tells somebody whose proof was right why the account cannot come in now.
func (g *gate) turnAway(a *account.Account, why guard.Reason, no error) error {
	e := g.errorOf("", no)
	g.srv.guard.Refused(g.from, a.Name, why)
	g.log.Warn("login refused", "reason", string(why), "user", a.Name)
	g.no(e.Code, "%s", e.Message)
	return errors.New("login refused: " + e.Message)
}

// attach lets a further connection of a session in.
func (g *gate) attach(r *wire.AttachRequest) error {
	if !g.greeted {
		return g.rude()
	}
	if g.tries == maxTries {
		g.no(wire.AuthFailed, "authentication failed")
		return errTries
	}
	err := g.srv.attach(g.conn, r.Session, r.Proof, g.bind)
	var e *wire.Error
	switch {
	case err == nil:
		g.home = g.ses.home
		return g.say(&wire.EmptyAnswer{})
	case errors.As(err, &e) && e.Code != wire.AuthFailed:
		return g.no(e.Code, "%s", e.Message)
	}
	g.exchange = nil
	// Nobody guesses 32 random bytes: mostly the server was started anew meanwhile.
	g.srv.stranger(g.log, slog.LevelInfo, "attach failed")
	return g.failed()
}
