package extension

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Limits of a subject name in a registration.
const (
	maxSubject    = 4096 // bytes
	maxRDNs       = 64
	maxAttributes = 16 // of one RDN
)

// distinguished is a distinguished name: its RDNs in the order of a certificate, beginning at the
// root of the directory.
type distinguished []rdn

// rdn is a set of attributes. It contains each type only once.
type rdn []attribute

type attribute struct {
	oid string // dotted
	// value is text or, if opaque is set, the DER encoding in hex.
	value  string
	opaque bool
}

// shortNames maps the names of types in RFC 4514 §3, and other names that tools print, to OIDs.
// They are in upper case.
var shortNames = map[string]string{
	"CN":                  "2.5.4.3",
	"COMMONNAME":          "2.5.4.3",
	"SN":                  "2.5.4.4",
	"SURNAME":             "2.5.4.4",
	"SERIALNUMBER":        "2.5.4.5",
	"C":                   "2.5.4.6",
	"COUNTRYNAME":         "2.5.4.6",
	"L":                   "2.5.4.7",
	"LOCALITYNAME":        "2.5.4.7",
	"ST":                  "2.5.4.8",
	"S":                   "2.5.4.8",
	"STATEORPROVINCENAME": "2.5.4.8",
	"STREET":              "2.5.4.9",
	"STREETADDRESS":       "2.5.4.9",
	"O":                   "2.5.4.10",
	"ORGANIZATIONNAME":    "2.5.4.10",
	"OU":                  "2.5.4.11",

	"ORGANIZATIONALUNITNAME": "2.5.4.11",

	"T":            "2.5.4.12",
	"TITLE":        "2.5.4.12",
	"DESCRIPTION":  "2.5.4.13",
	"POSTALCODE":   "2.5.4.17",
	"GN":           "2.5.4.42",
	"GIVENNAME":    "2.5.4.42",
	"INITIALS":     "2.5.4.43",
	"DNQUALIFIER":  "2.5.4.46",
	"UID":          "0.9.2342.19200300.100.1.1",
	"USERID":       "0.9.2342.19200300.100.1.1",
	"DC":           "0.9.2342.19200300.100.1.25",
	"E":            "1.2.840.113549.1.9.1",
	"EMAIL":        "1.2.840.113549.1.9.1",
	"EMAILADDRESS": "1.2.840.113549.1.9.1",
}

// equal reports whether both name the same entry. RDNs are compared in order and types by their
// OIDs. Texts are compared without regard to case and the amount of white space, as by
// caseIgnoreMatch (RFC 4517 §4.2.11), and other values by their bytes.
func (d distinguished) equal(o distinguished) bool {
	if len(d) != len(o) {
		return false
	}
	for i := range d {
		if !d[i].equal(o[i]) {
			return false
		}
	}
	return true
}

func (r rdn) equal(o rdn) bool {
	if len(r) != len(o) {
		return false
	}
	for _, a := range r {
		b := o.get(a.oid)
		if b == nil || a.opaque != b.opaque {
			return false
		}
		if a.opaque && a.value != b.value || !a.opaque && !strings.EqualFold(a.value, b.value) {
			return false
		}
	}
	return true
}

func (r rdn) get(oid string) *attribute {
	for i := range r {
		if r[i].oid == oid {
			return &r[i]
		}
	}
	return nil
}

// add adds the attribute to the set.
func (r *rdn) add(a attribute) error {
	switch {
	case r.get(a.oid) != nil:
		return errors.New("a type twice in one RDN")
	case len(*r) == maxAttributes:
		return errors.New("too many attributes in one RDN")
	}
	*r = append(*r, a)
	return nil
}

// derName is a Name of X.501. The suffix SET of the inner type's name controls the decoder.
type (
	derName      []derRDNSET
	derRDNSET    []derAttribute
	derAttribute struct {
		Type  asn1.ObjectIdentifier
		Value asn1.RawValue
	}
)

// subject returns the subject of the certificate.
func subject(c *x509.Certificate) (distinguished, error) {
	var name derName
	rest, err := asn1.Unmarshal(c.RawSubject, &name)
	if err != nil || len(rest) > 0 || len(name) > maxRDNs {
		return nil, errors.New("parse certificate's subject: malformed")
	}
	d := make(distinguished, len(name))
	for i, set := range name {
		for _, a := range set {
			if err := d[i].add(fromDER(a.Type.String(), a.Value.FullBytes)); err != nil {
				return nil, fmt.Errorf("parse certificate's subject: %w", err)
			}
		}
	}
	return d, nil
}

// fromDER returns an attribute with an encoded value.
func fromDER(oid string, der []byte) attribute {
	var s string
	rest, err := asn1.Unmarshal(der, &s)
	if err != nil || len(rest) > 0 || !utf8.ValidString(s) {
		return attribute{oid: oid, value: hex.EncodeToString(der), opaque: true}
	}
	return fromText(oid, s)
}

func fromText(oid, s string) attribute {
	return attribute{oid: oid, value: strings.Join(strings.Fields(s), " ")}
}

// parseName parses a distinguished name in the form of RFC 4514, with the entry itself first:
// CN=x,O=y. It ignores white space around separators. It refuses the older forms with quotes or
// semicolons.
func parseName(s string) (distinguished, error) {
	if len(s) > maxSubject || !utf8.ValidString(s) {
		return nil, fmt.Errorf("parse subject name: too long or not UTF-8: %w", ErrSubjectName)
	}
	p := nameParser{rest: s}
	var d distinguished
	for {
		r, err := p.rdn()
		if err == nil && len(d) == maxRDNs {
			err = errors.New("too many RDNs")
		}
		if err != nil {
			return nil, fmt.Errorf("parse subject name: at byte %d: %w: %w", len(s)-len(p.rest), err, ErrSubjectName)
		}
		d = append(d, r)
		if !p.take(',') {
			break
		}
	}
	// The text begins with the end of the certificate's order.
	for i, j := 0, len(d)-1; i < j; i, j = i+1, j-1 {
		d[i], d[j] = d[j], d[i]
	}
	return d, nil
}

type nameParser struct{ rest string }

// take consumes c if it comes next.
func (p *nameParser) take(c byte) bool {
	if p.rest == "" || p.rest[0] != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

// rdn parses attributes up to a comma or the end.
func (p *nameParser) rdn() (rdn, error) {
	var r rdn
	for {
		a, err := p.attribute()
		if err != nil {
			return nil, err
		}
		if err := r.add(a); err != nil {
			return nil, err
		}
		if !p.take('+') {
			return r, nil
		}
	}
}

func (p *nameParser) attribute() (attribute, error) {
	kind, rest, ok := strings.Cut(p.rest, "=")
	if !ok {
		return attribute{}, errors.New("no equals sign")
	}
	oid, err := attributeType(strings.Trim(kind, " "))
	if err != nil {
		return attribute{}, err
	}
	p.rest = strings.TrimLeft(rest, " ")
	if p.take('#') {
		return p.encoded(oid)
	}
	return p.text(oid)
}

func attributeType(s string) (string, error) {
	upper := strings.ToUpper(s)
	if oid, ok := shortNames[upper]; ok {
		return oid, nil
	}
	oid, err := x509.ParseOID(strings.TrimPrefix(upper, "OID."))
	if err != nil {
		return "", errors.New("unknown attribute type")
	}
	return oid.String(), nil
}

// encoded parses the hex digits of a DER value.
func (p *nameParser) encoded(oid string) (attribute, error) {
	end := strings.IndexAny(p.rest, ",+")
	if end < 0 {
		end = len(p.rest)
	}
	der, err := hex.DecodeString(strings.TrimRight(p.rest[:end], " "))
	if err != nil {
		return attribute{}, errors.New("malformed hex")
	}
	var raw asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &raw); err != nil || len(rest) > 0 {
		return attribute{}, errors.New("malformed DER")
	}
	p.rest = p.rest[end:]
	return fromDER(oid, der), nil
}

// text parses a string with its escapes.
func (p *nameParser) text(oid string) (attribute, error) {
	var b strings.Builder
	for p.rest != "" && p.rest[0] != ',' && p.rest[0] != '+' {
		c := p.rest[0]
		switch {
		case c == '\\':
			n, err := escaped(p.rest[1:])
			if err != nil {
				return attribute{}, err
			}
			b.WriteByte(n.char)
			p.rest = p.rest[1+n.length:]
			continue
		case strings.IndexByte("\"<>;\x00", c) >= 0:
			return attribute{}, errors.New("a character that must be escaped")
		}
		b.WriteByte(c)
		p.rest = p.rest[1:]
	}
	if !utf8.ValidString(b.String()) {
		return attribute{}, errors.New("escapes are not UTF-8")
	}
	return fromText(oid, b.String()), nil
}

type escape struct {
	char   byte
	length int
}

// escaped parses what follows a backslash: a special character or two hex digits.
func escaped(s string) (escape, error) {
	if s != "" && strings.IndexByte(` "#+,;<=>\`, s[0]) >= 0 {
		return escape{s[0], 1}, nil
	}
	if len(s) >= 2 {
		if b, err := hex.DecodeString(s[:2]); err == nil {
			return escape{b[0], 2}, nil
		}
	}
	return escape{}, errors.New("malformed escape")
}
