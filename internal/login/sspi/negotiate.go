package sspi

import (
	"encoding/asn1"
	"errors"
	"fmt"
)

const (
	maxMechanisms = 16
	accepting     = 1 // accept-incomplete of RFC 4178 §4.2.2
)

// The mechanisms of GSS-API. Older versions of Windows have another number for Kerberos.
func spnego() asn1.ObjectIdentifier         { return asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 2} }
func kerberos() asn1.ObjectIdentifier       { return asn1.ObjectIdentifier{1, 2, 840, 113554, 1, 2, 2} }
func legacyKerberos() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{1, 2, 840, 48018, 1, 2, 2} }

func isKerberos(m asn1.ObjectIdentifier) bool {
	return m.Equal(kerberos()) || m.Equal(legacyKerberos())
}

// offer is NegTokenInit of RFC 4178 §4.2.1: the first token of a negotiation.
type offer struct {
	Mechanisms []asn1.ObjectIdentifier `asn1:"explicit,tag:0"`
	Flags      asn1.BitString          `asn1:"explicit,optional,tag:1"`
	Token      []byte                  `asn1:"explicit,optional,tag:2"` // of the first mechanism
	MIC        []byte                  `asn1:"explicit,optional,tag:3"`
}

// reply is NegTokenResp of RFC 4178 §4.2.2: every later token of a negotiation.
type reply struct {
	State     asn1.Enumerated       `asn1:"explicit,optional,tag:0"`
	Mechanism asn1.ObjectIdentifier `asn1:"explicit,optional,tag:1"`
	Token     []byte                `asn1:"explicit,optional,tag:2"`
	MIC       []byte                `asn1:"explicit,optional,tag:3"`
}

// choice is a NegTokenResp that chooses a mechanism.
type choice struct {
	State     asn1.Enumerated       `asn1:"explicit,tag:0"`
	Mechanism asn1.ObjectIdentifier `asn1:"explicit,tag:1"`
}

// negotiate returns the AP-REQ in a client's token, or the answer that asks the client for one.
//
// A token is the first one of a negotiation, a later one, or a token of Kerberos without a negotiation.
// Each token is judged alone. That is safe because Kerberos is the only mechanism that is accepted: an
// attacker who changes the list of mechanisms can't bring about a weaker one. For the same reason the
// MIC of the list is not checked.
func negotiate(token []byte) (request, answer []byte, err error) {
	if len(token) > 0 && token[0] == 0xa1 { // a NegTokenResp has no header
		var r reply
		if err := tagged(token, 1, &r); err != nil {
			return nil, nil, fmt.Errorf("read answer of negotiation: %w", err)
		}
		if len(r.Mechanism) > 0 && !isKerberos(r.Mechanism) {
			return nil, nil, errors.New("the client insists on another mechanism than Kerberos")
		}
		request, err = kerberosRequest(r.Token)
		return request, nil, err
	}
	mechanism, inner, err := unwrap(token)
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("read token: %w", err)
	case mechanism.Equal(kerberos()):
		request, err = apRequest(inner)
		return request, nil, err
	case !mechanism.Equal(spnego()):
		return nil, nil, fmt.Errorf("the mechanism %s is not supported", mechanism)
	}
	var o offer
	if err := tagged(inner, 0, &o); err != nil {
		return nil, nil, fmt.Errorf("read offer of negotiation: %w", err)
	}
	if len(o.Mechanisms) == 0 || len(o.Mechanisms) > maxMechanisms {
		return nil, nil, errors.New("the client offers no mechanism, or too many")
	}
	if isKerberos(o.Mechanisms[0]) && len(o.Token) > 0 {
		request, err = kerberosRequest(o.Token)
		return request, nil, err
	}
	for _, m := range o.Mechanisms {
		if isKerberos(m) {
			answer, err = choose(m)
			return nil, answer, err
		}
	}
	return nil, nil, errors.New("the client does not offer Kerberos")
}

// choose returns the answer that asks for a token of the mechanism.
func choose(mechanism asn1.ObjectIdentifier) ([]byte, error) {
	b, err := asn1.Marshal(choice{accepting, mechanism})
	if err != nil {
		return nil, fmt.Errorf("choose mechanism: %w", err)
	}
	return asn1.Marshal(asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 1, IsCompound: true, Bytes: b})
}

// kerberosRequest returns the AP-REQ in a token of Kerberos.
func kerberosRequest(token []byte) ([]byte, error) {
	mechanism, inner, err := unwrap(token)
	if err != nil {
		return nil, fmt.Errorf("read token of Kerberos: %w", err)
	}
	if !isKerberos(mechanism) {
		return nil, errors.New("the token is not one of Kerberos")
	}
	return apRequest(inner)
}

// apRequest returns the AP-REQ in the inner token of Kerberos (RFC 4121 §4.1).
func apRequest(inner []byte) ([]byte, error) {
	if len(inner) < 2 || inner[0] != 1 || inner[1] != 0 {
		return nil, errors.New("the token of Kerberos has no request")
	}
	request, rest := inner[2:], asn1.RawValue{}
	if more, err := asn1.Unmarshal(request, &rest); err != nil || len(more) > 0 {
		return nil, errors.New("the request of Kerberos is not one value of ASN.1")
	}
	return request, nil
}

// unwrap removes the header of an initial token (RFC 2743 §3.1).
func unwrap(token []byte) (mechanism asn1.ObjectIdentifier, inner []byte, err error) {
	var header asn1.RawValue
	rest, err := asn1.Unmarshal(token, &header)
	if err != nil || len(rest) > 0 || header.Class != asn1.ClassApplication || header.Tag != 0 ||
		!header.IsCompound {
		return nil, nil, errors.New("it has no header of GSS-API")
	}
	if inner, err = asn1.Unmarshal(header.Bytes, &mechanism); err != nil {
		return nil, nil, errors.New("its header names no mechanism")
	}
	return mechanism, inner, nil
}

// tagged reads a value of ASN.1 in a context-specific tag.
func tagged(b []byte, tag int, into any) error {
	var outer asn1.RawValue
	rest, err := asn1.Unmarshal(b, &outer)
	if err != nil || len(rest) > 0 || outer.Class != asn1.ClassContextSpecific || outer.Tag != tag ||
		!outer.IsCompound {
		return errors.New("it is not exactly one value of the expected type")
	}
	if rest, err = asn1.Unmarshal(outer.Bytes, into); err != nil {
		return err
	}
	if len(rest) > 0 {
		return errors.New("there is data after it")
	}
	return nil
}
