package session

import (
	"context"
	"net/netip"
	"slices"
	"unicode/utf8"

	"ferry/shared/wire"
)

// Order is a command line of an administrator.
type Order struct {
	Admin  string     // the account; "" for whoever came through the control socket
	From   netip.Addr // the zero Addr for a socket of this machine
	Args   []string   // as of ferryd, without the program's name
	Record string     // of the new password, "" if none was made yet
	JSON   bool       // results as one object a line
}

func serveAdmin(c *conn, r *request) error {
	var q wire.AdminRequest
	if err := wire.DecodeRequest(r.header, &q); err != nil {
		return err
	}
	r.quiet = true // Admin writes a line of its own
	if c.key == nil {
		return refusal(wire.Unsupported, "admin: not on a plain connection")
	}
	do := func() (wire.Answerer, error) {
		o := Order{Admin: c.ses.user, From: addrOf(c.nc), Args: q.Args, Record: q.Record, JSON: q.JSON}
		return c.srv.carryOut(c.lasting(), o, func(part *wire.AdminAnswer) error {
			c.respond(part, nil, nil)
			return c.ctx.Err()
		})
	}
	if q.ID != "" {
		return c.once(wire.Ident{ID: q.ID, Boot: q.Boot}, nil, do)
	}
	answer, err := do()
	if err == nil {
		c.respond(answer, nil, nil)
	}
	return err
}

// carryOut has an order carried out. say sends all parts of the answer but the last, which is returned.
func (s *Server) carryOut(ctx context.Context, o Order, say func(part *wire.AdminAnswer) error) (*wire.AdminAnswer, error) {
	if s.Admin == nil {
		return nil, refusal(wire.Unsupported, "this server takes no orders")
	}
	more := wire.Answer{More: true}
	output := &telling{say: func(text string) error { return say(&wire.AdminAnswer{Answer: more, Output: text}) }}
	notes := &telling{say: func(text string) error { return say(&wire.AdminAnswer{Answer: more, Notes: text}) }}
	last := s.Admin(ctx, o, output, notes)
	last.Output, last.Notes = string(output.text), string(notes.text)
	return last, nil
}

// tellPart is about how many bytes of text one message carries. The last ones are remembered with the answer.
const tellPart = 4 << 10

// telling is text on its way to an administrator. Whoever writes must write UTF-8.
type telling struct {
	text []byte
	say  func(text string) error
}

func (t *telling) Write(b []byte) (int, error) {
	t.text = append(t.text, b...)
	for len(t.text) > tellPart {
		end := tellPart
		for !utf8.RuneStart(t.text[end]) {
			end--
		}
		if err := t.say(string(t.text[:end])); err != nil {
			return 0, err
		}
		t.text = slices.Delete(t.text, 0, end)
	}
	return len(b), nil
}
