package wire

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Peek reads of a request what must be known before the rest: which command it is and how many bytes of body follow (-1:
// none announced). Its error is a *ProtocolError: the header is not one JSON object in the strict sense of doc.go, so
// that the place of the next message is not known either.
func Peek(header []byte) (cmd string, size int64, err error) {
	null, err := shape(header)
	if err != nil {
		return "", 0, err
	}
	var r struct {
		Cmd  string `json:"cmd"`
		Size *int64 `json:"size"`
	}
	if err := json.Unmarshal(header, &r); err != nil {
		return "", 0, protocolErrorf("%s", explain(err))
	}
	if null { // to the decoder it would be the same as a field left out
		return "", 0, protocolErrorf("null is not a value of any field")
	}
	if r.Size == nil {
		return r.Cmd, -1, nil
	}
	return r.Cmd, *r.Size, checkSize(*r.Size)
}

func checkSize(n int64) error {
	if n < 0 || n > MaxBody {
		return protocolErrorf("a body of %d bytes, 0 to %d are allowed", n, MaxBody)
	}
	return nil
}

// DecodeRequest reads a request header that Peek has passed into v, strictly. Its error is a *Error with BadRequest.
func DecodeRequest(header []byte, v Requester) error {
	if err := json.Unmarshal(header, v, json.RejectUnknownMembers(true)); err != nil {
		return &Error{Code: BadRequest, Message: explain(err)}
	}
	return nil
}

// DecodeAnswer reads an answer header into v; keys it does not know are ignored. Its error is a *ProtocolError.
func DecodeAnswer(header []byte, v Answerer) error {
	if _, err := shape(header); err != nil {
		return err
	}
	if err := json.Unmarshal(header, v); err != nil {
		return protocolErrorf("%s", explain(err))
	}
	if s := v.Top().Size; s != nil {
		return checkSize(*s)
	}
	return nil
}

// Encode writes a request or an answer.
func Encode(v any) ([]byte, error) { return json.Marshal(v) }

// shape refuses what does not begin as an object, and headers nested deeper than MaxDepth before a parser recurses into
// them; null tells whether there is one. Of text that is not JSON it is right up to the first error, where a parser stops.
func shape(header []byte) (null bool, err error) {
	if len(header) == 0 || header[0] != '{' {
		return false, protocolErrorf("the header is not a JSON object")
	}
	d, quoted := 0, false
	for i := 0; i < len(header); i++ {
		switch c := header[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if d++; d > MaxDepth {
				return false, protocolErrorf("the header is nested deeper than %d", MaxDepth)
			}
		case c == '}' || c == ']':
			d--
		case c == 'n':
			null = true
		}
	}
	return null, nil
}

// explain says what is wrong with a header in a few words of our own, naming the field.
func explain(err error) string {
	var sem *json.SemanticError
	if errors.As(err, &sem) {
		name := field(sem.JSONPointer)
		switch {
		case errors.Is(err, json.ErrUnknownName):
			return "unknown field " + name
		case name == "":
			return "the header is not a JSON object"
		case sem.Err != nil && sem.JSONKind == '"' && !strings.Contains(sem.Err.Error(), "\n"):
			return "field " + name + ": " + sem.Err.Error()
		}
		return "field " + name + " has the wrong type"
	}
	var syn *jsontext.SyntacticError
	if errors.As(err, &syn) {
		if errors.Is(err, jsontext.ErrDuplicateName) {
			return "duplicate field " + field(syn.JSONPointer)
		}
		return "invalid JSON"
	}
	return "invalid header"
}

// field names a place in a header. The peer may have chosen the text: it comes out short and printable.
func field(p jsontext.Pointer) string {
	const most = 40
	name := strings.Join(slices.Collect(p.Tokens()), "/")
	if len(name) > most {
		name = name[:most] + "..."
	}
	quoted := strconv.QuoteToASCII(name)
	return quoted[1 : len(quoted)-1]
}
