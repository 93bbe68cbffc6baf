package jwt

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4"

	"github.com/vigate/vigate/internal/principal"
)

const (
	maxKeyID   = 256 // bytes of a key's id
	maxMembers = 256 // members of the header or of the claims
)

// token is a token in its parts. Nothing of it is verified.
type token struct {
	text      string
	algorithm jose.SignatureAlgorithm
	key       string // id of the key; empty: none
	payload   []byte
	claims    object
}

// parse reads a token in the compact form: header, claims and signature. It refuses the form in JSON and
// encrypted tokens, which have other numbers of parts.
//
// Of the header only alg, kid and typ are used. Keys that a token brings or points to (jwk, jku, x5c,
// x5u) are ignored. An extension that must be understood (crit) is refused, because none is.
func parse(text string) (*token, error) {
	if len(text) > maxToken {
		return nil, fmt.Errorf("it has more than %d bytes", maxToken)
	}
	parts := strings.Split(text, ".")
	if len(parts) != 3 || parts[2] == "" {
		return nil, errors.New("it is not a signed token in the compact form")
	}
	header, err := decode(parts[0])
	if err != nil {
		return nil, fmt.Errorf("read header: %w", err)
	}
	h, err := readObject(header)
	if err != nil {
		return nil, fmt.Errorf("read header: %w", err)
	}
	for _, name := range []string{"crit", "b64", "zip", "enc"} {
		if h[name] != nil {
			return nil, fmt.Errorf("its header has %s, which is not supported", name)
		}
	}
	t := &token{text: text}
	algorithm, ok := h.text("alg")
	if !ok {
		return nil, errors.New("its header names no algorithm")
	}
	t.algorithm = jose.SignatureAlgorithm(algorithm)
	if h["kid"] != nil {
		if t.key, ok = h.text("kid"); !ok || t.key == "" || len(t.key) > maxKeyID {
			return nil, errors.New("the id of its key is not a text, or too long")
		}
	}
	if h["typ"] != nil && !isAccess(h) {
		return nil, errors.New("its type is not that of a token for access")
	}
	if t.payload, err = decode(parts[1]); err != nil {
		return nil, fmt.Errorf("read claims: %w", err)
	}
	if t.claims, err = readObject(t.payload); err != nil {
		return nil, fmt.Errorf("read claims: %w", err)
	}
	return t, nil
}

// isAccess reports whether the type in the header is that of an ID token or of an access token (RFC 9068).
// Issuers sign tokens of other types with the same keys, for example for a logout.
func isAccess(header object) bool {
	typ, ok := header.text("typ")
	if len(typ) > len("application/") && strings.EqualFold(typ[:len("application/")], "application/") {
		typ = typ[len("application/"):]
	}
	return ok && (strings.EqualFold(typ, "JWT") || strings.EqualFold(typ, "at+jwt"))
}

func decode(part string) ([]byte, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return nil, errors.New("it is not base64url")
	}
	return b, nil
}

// object is an object of JSON whose members have different names.
type object map[string]json.RawMessage

// readObject reads an object. It refuses two members with the same name, also in another case: readers
// that take the first, the last, or either case would find different claims.
func readObject(b []byte) (object, error) {
	if !utf8.Valid(b) {
		return nil, errors.New("it is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("it is not an object of JSON")
	}
	o, seen := object{}, map[string]bool{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, errors.New("it is not JSON")
		}
		key := name.(string) // the decoder accepts nothing else as a name
		if folded := principal.Fold(key); seen[folded] {
			return nil, errors.New("it has two members with the same name")
		} else if seen[folded] = true; len(seen) > maxMembers {
			return nil, fmt.Errorf("it has more than %d members", maxMembers)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, errors.New("it is not JSON")
		}
		o[key] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, errors.New("it is not JSON")
	}
	if _, err := d.Token(); err == nil || d.InputOffset() != int64(len(bytes.TrimRight(b, " \t\r\n"))) {
		return nil, errors.New("there is data after the object")
	}
	return o, nil
}

// text returns the member with the name if it is a text.
func (o object) text(name string) (string, bool) {
	if raw := o[name]; len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	var s string
	err := json.Unmarshal(o[name], &s)
	return s, err == nil
}

// texts returns the member with the name if it is a text or a list of texts.
func (o object) texts(name string) ([]string, bool) {
	if s, ok := o.text(name); ok {
		return []string{s}, true
	}
	var list []json.RawMessage
	if raw := o[name]; len(raw) == 0 || raw[0] != '[' || json.Unmarshal(raw, &list) != nil {
		return nil, false
	}
	all := make([]string, len(list))
	for i, raw := range list {
		var ok bool
		if all[i], ok = (object{"": raw}).text(""); !ok {
			return nil, false
		}
	}
	return all, true
}
