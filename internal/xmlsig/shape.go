package xmlsig

import (
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"regexp"
	"strings"
)

const (
	enveloped = nsSignature + "enveloped-signature"
	exclusive = nsExclusive
)

// method is an algorithm of signatures.
type method struct {
	algorithm x509.SignatureAlgorithm
	hash      crypto.Hash
	ecdsa     bool
}

// methods are the accepted algorithms of signatures.
var methods = map[string]method{
	"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256":   {x509.SHA256WithRSA, crypto.SHA256, false},
	"http://www.w3.org/2001/04/xmldsig-more#rsa-sha384":   {x509.SHA384WithRSA, crypto.SHA384, false},
	"http://www.w3.org/2001/04/xmldsig-more#rsa-sha512":   {x509.SHA512WithRSA, crypto.SHA512, false},
	"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256": {x509.ECDSAWithSHA256, crypto.SHA256, true},
	"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384": {x509.ECDSAWithSHA384, crypto.SHA384, true},
	"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512": {x509.ECDSAWithSHA512, crypto.SHA512, true},
}

// digests are the accepted algorithms of digests.
var digests = map[string]crypto.Hash{
	"http://www.w3.org/2001/04/xmlenc#sha256":       crypto.SHA256,
	"http://www.w3.org/2001/04/xmldsig-more#sha384": crypto.SHA384,
	"http://www.w3.org/2001/04/xmlenc#sha512":       crypto.SHA512,
}

// signature is what a signature element says.
type signature struct {
	info       Element // SignedInfo
	prefixes   string  // of the canonicalization of SignedInfo
	method     method
	references []reference
	value      []byte
	keyInfo    Element
}

// reference is one reference of a signature.
type reference struct {
	id        string
	enveloped bool
	prefixes  string // of the exclusive canonicalization
	hash      crypto.Hash
	digest    []byte
}

// maxReferences is the number of references that a signature may have. Clients sign two or three
// elements of a message.
const maxReferences = 8

// readSignature reads a signature. It refuses everything that is not in the lists above, and every
// element, attribute and text in a place where the verification does not look at it.
func readSignature(e Element) (s signature, err error) {
	parts, ok := e.Children()
	if !ok || !e.Is(nsSignature, "Signature") || !e.Only("Id") || len(parts) < 2 || len(parts) > 3 ||
		!parts[0].Is(nsSignature, "SignedInfo") || !parts[1].Is(nsSignature, "SignatureValue") ||
		!parts[0].Only("Id") || !parts[1].Only("Id") {
		return s, formError("want SignedInfo, SignatureValue and KeyInfo")
	}
	s.info = parts[0]
	if len(parts) == 3 {
		if s.keyInfo = parts[2]; !s.keyInfo.Is(nsSignature, "KeyInfo") || !s.keyInfo.Only("Id") {
			return s, formError("there is an element after SignatureValue that is not KeyInfo")
		}
	}
	info, ok := s.info.Children()
	if !ok || len(info) < 3 || len(info) > 2+maxReferences {
		return s, formError("want two methods and one or a few references")
	}
	if s.prefixes, ok = canonicalization(info[0], "CanonicalizationMethod"); !ok {
		return s, formError("the signature must be in exclusive canonical form")
	}
	if s.method, ok = methods[algorithm(info[1], "SignatureMethod")]; !ok {
		return s, formError("the algorithm of the signature is not accepted")
	}
	for _, r := range info[2:] {
		read, err := readReference(r)
		if err != nil {
			return s, err
		}
		s.references = append(s.references, read)
	}
	if s.value, ok = base64Text(parts[1]); !ok || len(s.value) == 0 {
		return s, formError("the value of the signature is not base64")
	}
	if s.method.ecdsa {
		if s.value, err = fromPair(s.value); err != nil {
			return s, err
		}
	}
	return s, nil
}

// idForm is the form of ids that references name.
var idForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,127}$`)

func readReference(e Element) (r reference, err error) {
	parts, ok := e.Children()
	uri := e.Attribute("", "URI")
	if !ok || !e.Is(nsSignature, "Reference") || !e.Only("Id", "URI") || len(parts) != 3 || uri == "" {
		return r, formError("a reference must have an URI, transforms, and a digest")
	}
	if r.id = uri[1:]; uri[0] != '#' || !idForm.MatchString(r.id) {
		return r, formError("a reference must name an id of the document")
	}
	transforms, ok := parts[0].Children()
	if !ok || !parts[0].Is(nsSignature, "Transforms") || !parts[0].Only() || len(transforms) < 1 ||
		len(transforms) > 2 {
		return r, formError("a reference must have one or two transforms")
	}
	if len(transforms) == 2 {
		if algorithm(transforms[0], "Transform") != enveloped {
			return r, formError("the first of two transforms must be that of an enveloped signature")
		}
		r.enveloped = true
	}
	if r.prefixes, ok = canonicalization(transforms[len(transforms)-1], "Transform"); !ok {
		return r, formError("the last transform must be exclusive canonicalization")
	}
	if r.hash, ok = digests[algorithm(parts[1], "DigestMethod")]; !ok {
		return r, formError("the algorithm of a digest is not accepted")
	}
	if r.digest, ok = base64Text(parts[2]); !ok || !parts[2].Is(nsSignature, "DigestValue") || !parts[2].Only() {
		return r, formError("a digest is not base64")
	}
	return r, nil
}

// algorithm returns the algorithm of an element that has the name and nothing in it, otherwise "".
func algorithm(e Element, name string) string {
	text, ok := e.Text()
	if !ok || strings.TrimSpace(text) != "" || !e.Is(nsSignature, name) || !e.Only("Algorithm") {
		return ""
	}
	return e.Attribute("", "Algorithm")
}

// canonicalization reports whether an element of the name asks for exclusive canonicalization, and
// returns the list of prefixes that it treats inclusively.
func canonicalization(e Element, name string) (prefixes string, ok bool) {
	parts, ok := e.Children()
	if !ok || !e.Is(nsSignature, name) || !e.Only("Algorithm") || e.Attribute("", "Algorithm") != exclusive {
		return "", false
	}
	switch len(parts) {
	case 0:
		return "", true
	case 1:
		text, plain := parts[0].Text()
		prefixes = parts[0].Attribute("", "PrefixList")
		return prefixes, plain && text == "" && parts[0].Is(nsExclusive, "InclusiveNamespaces") &&
			parts[0].Only("PrefixList") && !strings.Contains(prefixes, "#")
	}
	return "", false
}

// base64Text decodes the text of an element. White space counts for nothing: Java and xmlsec write
// lines.
func base64Text(e Element) ([]byte, bool) {
	text, ok := e.Text()
	if !ok {
		return nil, false
	}
	b, err := base64.StdEncoding.Strict().DecodeString(strings.Join(strings.Fields(text), ""))
	return b, err == nil
}

// certificates returns the certificates of a KeyInfo, in their order. ok is false if it has another
// form than one X509Data.
func certificates(keyInfo Element) (all []*x509.Certificate, ok bool) {
	data, ok := keyInfo.Children()
	if !ok || len(data) != 1 || !data[0].Is(nsSignature, "X509Data") || !data[0].Only() {
		return nil, false
	}
	parts, ok := data[0].Children()
	if !ok || len(parts) > maxCertificates {
		return nil, false
	}
	for _, p := range parts {
		if !p.Is(nsSignature, "X509Certificate") {
			continue // the issuer, the serial number or the subject, which add nothing
		}
		der, ok := base64Text(p)
		if !ok {
			return nil, false
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, false
		}
		all = append(all, c)
	}
	return all, len(all) > 0
}

// maxCertificates is the number of elements in X509Data.
const maxCertificates = 8

// Certificates returns the certificates in a KeyInfo element, in their order. ok is false if the
// element is not a KeyInfo with one X509Data, or has no certificate. Nothing is verified.
func Certificates(keyInfo Element) (all []*x509.Certificate, ok bool) {
	if !keyInfo.Is(nsSignature, "KeyInfo") {
		return nil, false
	}
	return certificates(keyInfo)
}
