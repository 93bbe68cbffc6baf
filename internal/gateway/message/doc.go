// Package message changes requests and answers that pass through the gateway, and nothing in them but the
// ids that must differ between a client and its upstream server.
//
// [Parse] reads a SOAP request once. It finds the operation, its object, the headers that matter, and every
// place with an id in the form of an object that belongs to a session. Text is compared as a parser sees it,
// so that character references, CDATA sections and comments can't hide an id. [Message.Append] writes the
// request with other texts in some of these places; all other bytes stay as they were sent.
//
// A [Stream] passes an answer of any length on, in bounded memory. It finds the texts of a [Table], such as
// the keys of upstream sessions, and a [Replacer] decides what stands there instead. A Stream knows no
// format: it serves SOAP, JSON and the texts of other paths alike.
package message
