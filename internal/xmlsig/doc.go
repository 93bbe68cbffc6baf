// Package xmlsig reads XML that is signed, verifies its signatures, and signs. It is for security
// tokens (SAML assertions) and for SOAP messages with a WS-Security header. It knows signatures, but
// neither tokens nor the meaning of messages: package saml does.
//
// [Parse] checks the limits and the form of a document before any cryptography, and returns a
// [Document]. Its [Element] values show names with their namespaces resolved. [VerifyEnveloped]
// verifies the signature inside an element and returns the verified element, which is read from the
// signed bytes again. The caller uses only this element. [Document.VerifyDetached] verifies a
// signature over several elements of a message. [Signer] signs.
//
// A strict subset of XML-DSig is accepted: exclusive canonicalization, RSA and ECDSA with SHA-2, and
// references to an id of the same document. The form of a signature is checked before the library
// goxmldsig reads it.
//
// Errors wrap one of the three errors below. Their texts contain nothing from the input, so they may
// be logged.
package xmlsig

import (
	"errors"
	"fmt"
)

var (
	// ErrDocument means that a document exceeds a limit, or is not XML of the accepted form.
	ErrDocument = errors.New("XML document not accepted")
	// ErrForm means that a signature is missing, or has a form or an algorithm that is not accepted.
	ErrForm = errors.New("signature of a form that is not accepted")
	// ErrInvalid means that a signature does not fit the document and the key.
	ErrInvalid = errors.New("signature not valid")
)

func documentError(reason string) error { return fmt.Errorf("%w: %s", ErrDocument, reason) }
func formError(reason string) error     { return fmt.Errorf("%w: %s", ErrForm, reason) }
func invalid(reason string) error       { return fmt.Errorf("%w: %s", ErrInvalid, reason) }

// MaxBytes is the size of the largest document that Parse accepts.
const MaxBytes = 256 << 10

// The limits of a document. Canonicalization copies the namespaces in scope for each element, so
// its cost is the product of both numbers. A token with 900 groups in a signed message has fewer
// than 1,000 elements.
const (
	maxDepth        = 32
	maxElements     = 1000
	maxAttributes   = 32 // of one element, including namespace declarations
	maxDeclarations = 16 // namespaces that one element declares
	maxScope        = 64 // namespace declarations in scope at one place
)

// The namespaces and the names of ids that the package knows.
const (
	nsSignature = "http://www.w3.org/2000/09/xmldsig#"
	nsExclusive = "http://www.w3.org/2001/10/xml-exc-c14n#"
	nsXML       = "http://www.w3.org/XML/1998/namespace"
	nsXMLNS     = "http://www.w3.org/2000/xmlns/"
)
