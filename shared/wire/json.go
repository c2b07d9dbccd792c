package wire

import (
	"bytes"
	"errors"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Peek reads of a request what must be known before the rest: which command it is and how many bytes of body follow (-1:
// none announced). Its error is a *ProtocolError: the header is not one JSON object in the strict sense of doc.go, so
// that the place of the next message is not known either.
func Peek(header []byte) (cmd string, size int64, err error) {
	if err := depth(header); err != nil {
		return "", 0, err
	}
	var r struct {
		Cmd  string `json:"cmd"`
		Size *int64 `json:"size"`
	}
	if len(header) == 0 || header[0] != '{' {
		return "", 0, protocolErrorf("the header is not a JSON object")
	}
	if err := json.Unmarshal(header, &r); err != nil {
		return "", 0, protocolErrorf("%s", explain(err))
	}
	if r.Size == nil {
		return r.Cmd, -1, nil
	}
	if *r.Size < 0 || *r.Size > MaxBody {
		return "", 0, protocolErrorf("a body of %d bytes, at most %d are allowed", *r.Size, MaxBody)
	}
	return r.Cmd, *r.Size, nil
}

// DecodeRequest reads a request header that Peek has passed into v, strictly. Its error is a *Error with BadRequest.
func DecodeRequest(header []byte, v Requester) error {
	if err := json.Unmarshal(header, v, json.RejectUnknownMembers(true)); err != nil {
		return &Error{BadRequest, explain(err)}
	}
	return nil
}

// DecodeAnswer reads an answer header into v; keys it does not know are ignored. Its error is a *ProtocolError.
func DecodeAnswer(header []byte, v Answerer) error {
	if err := depth(header); err != nil {
		return err
	}
	if err := json.Unmarshal(header, v); err != nil {
		return protocolErrorf("%s", explain(err))
	}
	if s := v.Top().Size; s != nil && (*s < 0 || *s > MaxBody) {
		return protocolErrorf("a body of %d bytes, at most %d are allowed", *s, MaxBody)
	}
	return nil
}

// Encode writes a request or an answer.
func Encode(v any) ([]byte, error) { return json.Marshal(v) }

// depth refuses headers nested deeper than MaxDepth before a parser recurses into them.
func depth(header []byte) error {
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
				return protocolErrorf("the header is nested deeper than %d", MaxDepth)
			}
		case c == '}' || c == ']':
			d--
		}
	}
	return nil
}

// explain says what is wrong with a header in a few words of our own, naming the field.
func explain(err error) string {
	var sem *json.SemanticError
	if errors.As(err, &sem) {
		field := strings.TrimPrefix(string(sem.JSONPointer), "/")
		switch {
		case errors.Is(err, json.ErrUnknownName):
			return "unknown field " + field
		case field == "":
			return "the header is not a JSON object"
		case sem.Err != nil && sem.JSONKind == '"' && !bytes.ContainsRune([]byte(sem.Err.Error()), '\n'):
			return "field " + field + ": " + sem.Err.Error()
		}
		return "field " + field + " has the wrong type"
	}
	var syn *jsontext.SyntacticError
	if errors.As(err, &syn) {
		if errors.Is(err, jsontext.ErrDuplicateName) {
			return "duplicate field " + strings.TrimPrefix(string(syn.JSONPointer), "/")
		}
		return "invalid JSON"
	}
	return "invalid header"
}
