package xmlsig

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"math/big"

	"github.com/vigate/vigate/internal/xmltoken"
)

// Signer signs with the key of a certificate. It is safe for concurrent use if its key is.
type Signer struct {
	Key crypto.Signer // RSA of 2,048 bits or more, or ECDSA
	// Chain is the certificate of the key, followed by those of its authorities, if they are sent.
	Chain []*x509.Certificate
}

// SignEnveloped signs the root element of a document, which has an attribute ID. It returns the
// document with the signature as the second child of the root. prefixes are the prefixes, separated
// by spaces, that only texts and values of attributes use. The signature covers their declarations.
// The first child is a text element such as the issuer.
func (s Signer) SignEnveloped(document []byte, prefixes string) ([]byte, error) {
	d, err := Parse(document)
	if err != nil {
		return nil, err
	}
	children, _ := d.Root().Children()
	id := d.Root().Attribute("", "ID")
	if len(children) == 0 || !idForm.MatchString(id) {
		return nil, formError("the document must have an ID and a first child element")
	}
	signed, err := canonical(d.Root(), prefixes)
	if err != nil {
		return nil, err
	}
	signature, err := s.signature(id, prefixes, signed)
	if err != nil {
		return nil, err
	}
	end := "</" + children[0].e.FullTag() + ">"
	before, after, ok := bytes.Cut(document, []byte(end))
	if !ok {
		return nil, formError("the first child element has no end tag")
	}
	return bytes.Join([][]byte{before, []byte(end), signature, after}, nil), nil
}

// signature returns the Signature element for the canonical bytes of an element, in canonical form.
func (s Signer) signature(id, prefixes string, signed []byte) ([]byte, error) {
	name, ecdsaKey, err := s.algorithm()
	if err != nil {
		return nil, err
	}
	digest := crypto.SHA256.New()
	digest.Write(signed)
	inclusive := ""
	if prefixes != "" {
		inclusive = `<ec:InclusiveNamespaces xmlns:ec="` + nsExclusive + `" PrefixList="` +
			string(xmltoken.AppendText(nil, prefixes)) + `"></ec:InclusiveNamespaces>`
	}
	info := fmt.Sprintf(`<ds:CanonicalizationMethod Algorithm="%s"></ds:CanonicalizationMethod>`+
		`<ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#%s"></ds:SignatureMethod>`+
		`<ds:Reference URI="#%s"><ds:Transforms><ds:Transform Algorithm="%s"></ds:Transform>`+
		`<ds:Transform Algorithm="%s">%s</ds:Transform></ds:Transforms>`+
		`<ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"></ds:DigestMethod>`+
		`<ds:DigestValue>%s</ds:DigestValue></ds:Reference></ds:SignedInfo>`,
		exclusive, name, id, enveloped, exclusive, inclusive, base64.StdEncoding.EncodeToString(digest.Sum(nil)))
	hash := crypto.SHA256.New()
	fmt.Fprintf(hash, `<ds:SignedInfo xmlns:ds="%s">%s`, nsSignature, info)
	value, err := s.Key.Sign(rand.Reader, hash.Sum(nil), crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	if ecdsaKey != nil {
		if value, err = toPair(value, ecdsaKey); err != nil {
			return nil, err
		}
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `<ds:Signature xmlns:ds="%s"><ds:SignedInfo>%s<ds:SignatureValue>%s</ds:SignatureValue>`+
		`<ds:KeyInfo><ds:X509Data>`, nsSignature, info, base64.StdEncoding.EncodeToString(value))
	for _, c := range s.Chain {
		fmt.Fprintf(&b, `<ds:X509Certificate>%s</ds:X509Certificate>`, base64.StdEncoding.EncodeToString(c.Raw))
	}
	b.WriteString(`</ds:X509Data></ds:KeyInfo></ds:Signature>`)
	return b.Bytes(), nil
}

// algorithm returns the name of the algorithm for the key, and the key if it is one of ECDSA.
func (s Signer) algorithm() (string, *ecdsa.PublicKey, error) {
	if s.Key == nil || len(s.Chain) == 0 {
		return "", nil, fmt.Errorf("sign: no key or no certificate")
	}
	switch key := s.Key.Public().(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() >= MinRSA {
			return "rsa-sha256", nil, nil
		}
	case *ecdsa.PublicKey:
		return "ecdsa-sha256", key, nil
	}
	return "", nil, fmt.Errorf("sign: the key must be RSA of %d bits or more, or ECDSA", MinRSA)
}

// pair is a signature of ECDSA. XML has its two numbers one after the other, in the same number of
// bytes. Go and the library have them in ASN.1.
type pair struct{ R, S *big.Int }

// fromPair converts a signature of ECDSA from XML's encoding to ASN.1.
func fromPair(value []byte) ([]byte, error) {
	if len(value)%2 != 0 || len(value) < 64 || len(value) > 132 {
		return nil, formError("the value of an ECDSA signature has a wrong size")
	}
	half := len(value) / 2
	b, err := asn1.Marshal(pair{new(big.Int).SetBytes(value[:half]), new(big.Int).SetBytes(value[half:])})
	if err != nil {
		return nil, formError("the value of an ECDSA signature can't be encoded")
	}
	return b, nil
}

// toPair converts a signature of ECDSA from ASN.1 to XML's encoding.
func toPair(value []byte, key *ecdsa.PublicKey) ([]byte, error) {
	var p pair
	if _, err := asn1.Unmarshal(value, &p); err != nil {
		return nil, fmt.Errorf("sign: decode signature: %w", err)
	}
	size := (key.Params().BitSize + 7) / 8
	b := make([]byte, 2*size)
	p.R.FillBytes(b[:size])
	p.S.FillBytes(b[size:])
	return b, nil
}
