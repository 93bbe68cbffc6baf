// Package soap is the SOAP 1.1 binding: the managed objects of internal/vim for
// the clients that post envelopes to /sdk, properties by Fetch among them.
//
// A request is read in two steps. First into tags and text: by a reader of the
// plain XML that clients write, and from where a message is anything else by the
// standard library's tokenizer, which the former is held to; what is signed by
// the latter alone, for so are signatures verified. Before that one sees a message,
// its bytes are scanned for what no client sends and for what would cost too much;
// the reader of plain XML has the same limits. Second, the elements are read straight
// into the type that the operation's row declares; what has no place there is refused.
//
// The codec for the API's types is the package's own. The library's (vim25/xml)
// is the reference that the tests hold it to, but can't be given a stranger's
// bytes: it passes over elements it does not know, takes the last of repeated
// ones, panics where xsi:type names a type that has no place, and can't leave
// out the members that are newer than the caller.
package soap

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

// ours reports whether an element may be one of the API's by its namespace.
// Clients made by hand leave it out of the members.
func (t *token) ours() bool { return t.isOperation() || len(t.space) == 0 }

// isOperation reports whether an element may be an operation by its namespace.
func (t *token) isOperation() bool { return string(t.space) == nsVim || string(t.space) == nsInternal }
