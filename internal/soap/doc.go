// Package soap is the SOAP 1.1 binding: the managed objects of internal/vim for
// the clients that post envelopes to /sdk, properties by Fetch among them.
//
// A request's body is converted to UTF-8 first, if its client has chosen UTF-16
// (charset.go). It is then read by internal/xmltoken, which bounds what a message may
// cost and gives tags and texts. This package reads the envelope from them
// (envelope.go), and the operation's elements straight into the type that its row
// declares (decode.go); an element that has no place there is refused. A WS-Security
// header is kept as it was sent, for the login method that verifies it.
//
// The codec for the API's types is the package's own. The library's (vim25/xml)
// is the reference that the tests hold it to, but can't be given a stranger's
// bytes: it passes over elements it does not know, takes the last of repeated
// ones, panics where xsi:type names a type that has no place, and can't leave
// out the members that are newer than the caller.
package soap

import "github.com/vigate/vigate/internal/xmltoken"

// The namespaces that the binding knows.
const (
	nsEnvelope   = "http://schemas.xmlsoap.org/soap/envelope/"
	nsEncoding   = "http://schemas.xmlsoap.org/soap/encoding/"
	nsEnvelope12 = "http://www.w3.org/2003/05/soap-envelope"
	nsSchema     = "http://www.w3.org/2001/XMLSchema"
	nsInstance   = "http://www.w3.org/2001/XMLSchema-instance"
	nsSecurity   = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
	nsVim        = "urn:vim25"
	nsInternal   = "urn:internalvim25"
)

// ours reports whether an element may be one of the API's by its namespace: an
// operation, or a member. Clients made by hand leave the namespace out. If the
// envelope's own namespace is their default one, the elements in it then have that.
func ours(t *xmltoken.Token) bool {
	switch string(t.Space) {
	case nsVim, "", nsEnvelope, nsInternal:
		return true
	}
	return false
}
