package xmlsig

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"slices"
	"time"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"
	"github.com/russellhaering/goxmldsig/etreeutils"
)

// VerifyEnveloped verifies the signature inside the element e, and returns the verified element and the
// certificate of the key that has signed it. The element is read again from the bytes that were signed,
// without the signature. The caller uses only this element, not e.
//
// The signature is the second child of e, and the only signature in it. It covers e, which it names
// by the attribute ID. choose gets the certificates in the signature's KeyInfo, if any, and returns
// the certificates that may have signed. They must be valid at the time now. Errors are ErrForm and
// ErrInvalid, wrapped.
func VerifyEnveloped(
	e Element, now time.Time, choose func(sent []*x509.Certificate) []*x509.Certificate,
) (Element, *x509.Certificate, error) {
	children, ok := e.Children()
	if !ok || len(children) < 2 || !children[1].Is(nsSignature, "Signature") {
		return Element{}, nil, formError("the second child element must be the signature")
	}
	for _, c := range children {
		if c != children[1] && contains(c, "Signature") {
			return Element{}, nil, formError("there is a second signature")
		}
	}
	s, err := readSignature(children[1])
	if err != nil {
		return Element{}, nil, err
	}
	id := e.Attribute("", "ID")
	if len(s.references) != 1 || s.references[0].id != id || !s.references[0].enveloped || s.prefixes != "" {
		return Element{}, nil, formError("the signature must have one reference, to the element around it")
	}
	var sent []*x509.Certificate
	if !s.keyInfo.IsZero() {
		if sent, ok = certificates(s.keyInfo); !ok {
			return Element{}, nil, formError("the key must be given by certificates")
		}
	}
	trusted := choose(sent)
	if len(sent) > 0 {
		trusted = slices.DeleteFunc(slices.Clone(trusted), func(c *x509.Certificate) bool {
			return !slices.ContainsFunc(sent, c.Equal)
		})
	}
	prepared, err := prepare(e, s)
	if err != nil {
		return Element{}, nil, err
	}
	for _, c := range trusted {
		if !fits(s.method, c.PublicKey) {
			continue
		}
		context := dsig.NewDefaultValidationContext(&dsig.MemoryX509CertificateStore{Roots: []*x509.Certificate{c}})
		context.Clock = dsig.NewFakeClockAt(now)
		if verified, err := context.Validate(prepared); err == nil {
			return Element{verified}, c, nil
		}
	}
	return Element{}, nil, invalid("no trusted certificate has signed the element as it is")
}

// contains reports whether an element is or contains an element of XML-DSig with the name.
func contains(e Element, name string) bool {
	if e.Is(nsSignature, name) {
		return true
	}
	for _, c := range e.e.ChildElements() {
		if contains(Element{c}, name) {
			return true
		}
	}
	return false
}

// prepare returns a copy of a signed element for the library. The copy declares the namespaces of
// the elements around it. Its signature has no KeyInfo, because the caller has chosen the
// certificate, and its value is in the encoding that the library reads. The signature does not
// cover either of them.
func prepare(e Element, s signature) (*etree.Element, error) {
	detached, err := detach(e)
	if err != nil {
		return nil, err
	}
	sig := detached.ChildElements()[1]
	parts := sig.ChildElements()
	parts[1].SetText(base64.StdEncoding.EncodeToString(s.value))
	if len(parts) == 3 {
		sig.RemoveChild(parts[2])
	}
	return detached, nil
}

// detach copies an element. The copy declares all namespaces in scope.
func detach(e Element) (*etree.Element, error) {
	around, err := etreeutils.NSBuildParentContext(e.e)
	if err != nil {
		return nil, formError("the namespaces can't be resolved")
	}
	copied, err := etreeutils.NSDetatch(around, e.e)
	if err != nil {
		return nil, formError("the namespaces can't be resolved")
	}
	return copied, nil
}

// canonical returns an element in exclusive canonical form.
func canonical(e Element, prefixes string) ([]byte, error) {
	copied, err := detach(e)
	if err != nil {
		return nil, err
	}
	b, err := dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList(prefixes).Canonicalize(copied)
	if err != nil || len(b) == 0 {
		return nil, formError("an element has no canonical form")
	}
	return b, nil
}

// SignedInfo identifies what a signature signs: it is the SHA-256 of the canonical SignedInfo. Two
// signatures with the same value cover the same bytes, even if their own bytes differ.
type SignedInfo [sha256.Size]byte

// VerifyDetached verifies a signature over elements of the document with a public key. The signature
// must cover all elements in must, which name themselves by an id. It may cover others. Its KeyInfo
// is not read: the caller knows the key. Errors are ErrForm and ErrInvalid, wrapped.
func (d *Document) VerifyDetached(sig Element, key crypto.PublicKey, must ...Element) (SignedInfo, error) {
	s, err := readSignature(sig)
	if err != nil {
		return SignedInfo{}, err
	}
	if !fits(s.method, key) {
		return SignedInfo{}, formError("the algorithm of the signature is not one of the key")
	}
	info, err := canonical(s.info, s.prefixes)
	if err != nil {
		return SignedInfo{}, err
	}
	if err := checkSignature(s.method, key, info, s.value); err != nil {
		return SignedInfo{}, err
	}
	covered := make([]Element, 0, maxReferences)
	for _, r := range s.references {
		target := Element{d.ids[r.id]}
		if r.enveloped || target.IsZero() || slices.Contains(covered, target) {
			return SignedInfo{}, formError("a reference is not to an element, or repeated")
		}
		b, err := canonical(target, r.prefixes)
		if err != nil {
			return SignedInfo{}, err
		}
		h := r.hash.New()
		h.Write(b)
		if subtle.ConstantTimeCompare(h.Sum(nil), r.digest) != 1 {
			return SignedInfo{}, invalid("an element is not the signed one")
		}
		covered = append(covered, target)
	}
	for _, e := range must {
		if e.IsZero() || !slices.Contains(covered, e) {
			return SignedInfo{}, invalid("the signature does not cover all that it must")
		}
	}
	return sha256.Sum256(info), nil
}

// MinRSA is the number of bits of the smallest RSA keys that are accepted.
const MinRSA = 2048

// MaxRSA is the number of bits of the largest RSA keys. A client may bring a key of its own, and the
// work grows with the square of its size.
const MaxRSA = 8192

// fits reports whether the algorithm is one for the key.
func fits(m method, key crypto.PublicKey) bool {
	switch key := key.(type) {
	case *rsa.PublicKey:
		return !m.ecdsa && key.N.BitLen() >= MinRSA && key.N.BitLen() <= MaxRSA
	case *ecdsa.PublicKey:
		return m.ecdsa
	}
	return false
}

func checkSignature(m method, key crypto.PublicKey, signed, value []byte) error {
	h := m.hash.New()
	h.Write(signed)
	ok := false
	switch key := key.(type) {
	case *rsa.PublicKey:
		ok = rsa.VerifyPKCS1v15(key, m.hash, h.Sum(nil), value) == nil
	case *ecdsa.PublicKey:
		ok = ecdsa.VerifyASN1(key, h.Sum(nil), value)
	}
	if !ok {
		return invalid("the key has not made the signature")
	}
	return nil
}
