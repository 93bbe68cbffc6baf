// Package soap is the SOAP 1.1 binding. It serves the managed objects of internal/vim to clients that post
// SOAP envelopes to /sdk. [Mount] adds its paths to an http.ServeMux. The handler behind them decodes a
// message into a [vim.Call], and encodes the [vim.Result] or [vim.Fault] of the call. The package knows
// nothing of single operations: their names, arguments and results come from the rows of internal/vim. The
// only operation of its own is Fetch, with which pyVmomi reads properties.
//
// A message is processed in these steps. Its body is converted to UTF-8 if the client sent UTF-16
// (charset.go). Package xmltoken splits it into tags and texts, within limits. The envelope and its
// headers are read (envelope.go), and the elements of the operation are decoded into the argument type of
// its row (decode.go). An element for which this type has no member is refused. The bytes of a WS-Security
// header are kept unchanged, for the login method that verifies the signature.
//
// The package has its own codec for the API's types. The library's codec (vim25/xml) is the reference in
// the tests. It must not decode the messages of strangers: it ignores unknown elements, takes the last of
// repeated elements, and panics if xsi:type names a type that does not fit. It also can't leave out the
// members that are newer than the caller's release.
package soap

import "github.com/vigate/vigate/internal/xmltoken"

// The namespaces that occur in messages.
const (
	nsEnvelope   = "http://schemas.xmlsoap.org/soap/envelope/"
	nsEncoding   = "http://schemas.xmlsoap.org/soap/encoding/"
	nsEnvelope12 = "http://www.w3.org/2003/05/soap-envelope"
	nsSchema     = "http://www.w3.org/2001/XMLSchema"
	nsInstance   = "http://www.w3.org/2001/XMLSchema-instance"
	nsSecurity   = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
	nsVim        = "urn:vim25"
	nsInternal   = "urn:internalvim25"
	nsService    = "urn:vim25Service"
)

// ours reports whether the namespace of an element is allowed for operations and their members. Some
// clients leave the namespace out. Others make the namespace of the envelope the default, and the elements
// of the operation inherit it. SOAP::Lite takes the namespace of the WSDL that has the service.
func ours(t *xmltoken.Token) bool {
	switch string(t.Space) {
	case nsVim, "", nsEnvelope, nsInternal, nsService:
		return true
	}
	return false
}
