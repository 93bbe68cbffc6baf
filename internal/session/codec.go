package session

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/vigate/vigate/internal/principal"
)

// Field numbers of a session's record in protobuf's wire format. The format is compact, fast to
// read a million times at start, and can be extended by newer versions. The numbers are stored:
// never renumber or reuse them.
const (
	fieldToken = iota + 1
	fieldIdentity
	fieldOrigin
	fieldLocale
	fieldMessageLocale
	fieldLogin
	fieldDeadline
	fieldLastActive
	fieldCallCount
	fieldAddress
	fieldUserAgent
	fieldMethod
	fieldFront // absent for a session of this server itself
)

// Field numbers of an identity.
const (
	fieldDomain = iota + 1
	fieldUser
	fieldFullName
	fieldGroup
	fieldExtension
)

var (
	errCodec = errors.New("malformed session record")
	// Without one of these fields a session could not be identified, or would never expire.
	errMissing = fmt.Errorf("decode session: required field missing: %w", errCodec)
)

func (s *Session) encode() []byte {
	b := make([]byte, 0, 256)
	b = appendBytes(b, fieldToken, s.token[:])
	b = appendBytes(b, fieldIdentity, s.Identity.encode())
	if s.Origin != nil {
		b = appendBytes(b, fieldOrigin, s.Origin.encode())
	}
	b = appendText(b, fieldLocale, s.Locale)
	b = appendText(b, fieldMessageLocale, s.MessageLocale)
	b = appendTime(b, fieldLogin, s.LoginTime)
	b = appendTime(b, fieldDeadline, s.Deadline)
	b = appendTime(b, fieldLastActive, s.LastActiveTime)
	b = protowire.AppendTag(b, fieldCallCount, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(s.CallCount))
	b = appendText(b, fieldAddress, s.Address)
	b = appendText(b, fieldUserAgent, s.UserAgent)
	b = appendText(b, fieldMethod, s.Method)
	b = appendText(b, fieldFront, s.Front)
	return append(b, s.extra...)
}

func (i *Identity) encode() []byte {
	b := appendText(nil, fieldDomain, i.Name.Domain)
	b = appendText(b, fieldUser, i.Name.User)
	b = appendText(b, fieldFullName, i.FullName)
	for _, g := range i.Groups {
		b = appendBytes(b, fieldGroup, []byte(g))
	}
	if i.Extension {
		b = protowire.AppendTag(b, fieldExtension, protowire.VarintType)
		b = protowire.AppendVarint(b, 1)
	}
	return b
}

func appendBytes(b []byte, n protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), v)
}

func appendText(b []byte, n protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, n, protowire.BytesType), s)
}

func appendTime(b []byte, n protowire.Number, t time.Time) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(b, n, protowire.Fixed64Type), uint64(t.UnixNano()))
}

// field is one decoded field. Only the member for its wire type is set.
type field struct {
	num    protowire.Number
	bytes  []byte
	number uint64
	raw    []byte // tag and value
}

// fields calls f for each field of b.
func fields(b []byte, f func(field) error) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return fmt.Errorf("%w: %w", errCodec, protowire.ParseError(n))
		}
		v := field{num: num}
		m := 0
		switch typ {
		case protowire.BytesType:
			v.bytes, m = protowire.ConsumeBytes(b[n:])
		case protowire.VarintType:
			v.number, m = protowire.ConsumeVarint(b[n:])
		case protowire.Fixed64Type:
			v.number, m = protowire.ConsumeFixed64(b[n:])
		default:
			m = protowire.ConsumeFieldValue(num, typ, b[n:])
		}
		if m < 0 {
			return fmt.Errorf("field %d: %w: %w", num, errCodec, protowire.ParseError(m))
		}
		v.raw = b[:n+m]
		if err := f(v); err != nil {
			return err
		}
		b = b[n+m:]
	}
	return nil
}

// packed is a session's record, decoded only as far as needed to read a million of them at start.
// Numbers are decoded; parts that other sessions are likely to share stay encoded.
type packed struct {
	token    Hash
	login    int64 // times are ns since 1970
	deadline int64
	active   int64
	calls    int64
	address  []byte // encoded as in the record
	facts    []byte // the fields that decodeFacts reads
}

// unpack reads a record except its facts, which it appends to buffer.
func unpack(b, buffer []byte) (packed, error) {
	p := packed{facts: buffer}
	var login, deadline bool
	err := fields(b, func(f field) error {
		switch f.num {
		case fieldToken:
			if copy(p.token[:], f.bytes) != len(p.token) || len(f.bytes) != len(p.token) {
				return fmt.Errorf("token hash of %d bytes: %w", len(f.bytes), errCodec)
			}
		case fieldLogin:
			p.login, login = int64(f.number), true
		case fieldDeadline:
			p.deadline, deadline = int64(f.number), true
		case fieldLastActive:
			p.active = int64(f.number)
		case fieldCallCount:
			p.calls = int64(f.number)
		case fieldAddress:
			p.address = f.bytes
		default:
			p.facts = append(p.facts, f.raw...)
		}
		return nil
	})
	switch {
	case err != nil:
		return packed{}, fmt.Errorf("decode session: %w", err)
	case p.token == Hash{} || !login || !deadline:
		return packed{}, errMissing
	}
	return p, nil
}

func decodeFacts(raw string) (facts, error) {
	var s facts
	err := fields([]byte(raw), func(f field) error {
		var err error
		switch f.num {
		case fieldIdentity:
			s.identity, err = decodeIdentity(f.bytes)
		case fieldOrigin:
			var o Identity
			o, err = decodeIdentity(f.bytes)
			s.origin = &o
		case fieldLocale:
			s.locale = string(f.bytes)
		case fieldMessageLocale:
			s.messages = string(f.bytes)
		case fieldUserAgent:
			s.agent = string(f.bytes)
		case fieldMethod:
			s.method = string(f.bytes)
		case fieldFront:
			s.front = string(f.bytes)
		default:
			s.extra += string(f.raw)
		}
		return err
	})
	switch {
	case err != nil:
		return facts{}, fmt.Errorf("decode session: %w", err)
	case s.identity.Name.IsZero():
		return facts{}, errMissing
	}
	s.name, s.owner = s.identity.Name.String(), s.identity.Name.Key()
	s.shown = s.identity.Name.Shown()
	if s.origin != nil {
		s.owner = s.origin.Name.Key()
	}
	return s, nil
}

func decodeIdentity(b []byte) (Identity, error) {
	var i Identity
	err := fields(b, func(f field) error {
		switch f.num {
		case fieldDomain:
			i.Name.Domain = string(f.bytes)
		case fieldUser:
			i.Name.User = string(f.bytes)
		case fieldFullName:
			i.FullName = string(f.bytes)
		case fieldGroup:
			i.Groups = append(i.Groups, string(f.bytes))
		case fieldExtension:
			i.Extension = f.number == 1
		}
		return nil
	})
	if err == nil && i.Name == (principal.Name{}) {
		err = fmt.Errorf("identity without a name: %w", errCodec)
	}
	return i, err
}
