// Package xmltoken reads XML that strangers send: messages of a few kilobytes,
// held in memory, that must not be able to cost much time or memory, and that
// must mean the same to everybody who reads them.
//
// A [Reader] gives the tags and the texts of one message, with the namespaces of
// names resolved. It refuses document types, processing instructions, encodings
// other than UTF-8, attributes that are repeated, and whatever is beyond its
// [Limits]. The caller bounds the size of the message.
//
// There are two tokenizers behind it. The fast one (plain.go) reads the part of
// XML that clients write in practice. At the first thing that it does not know it
// gives up, and the standard library's encoding/xml (standard.go) reads the message
// again from its beginning, after a pass over the bytes (scan.go) has made sure that
// this is affordable. The tests hold the two to each other: on every message both
// give the same tokens, so encoding/xml alone decides what a message says.
//
// Signatures are verified by libraries that use encoding/xml. [Options.Signed]
// names the namespaces of what is signed; the fast tokenizer gives up where one of
// them is declared. So what is verified and what is used is read by the same code.
// A caller that gives the whole message to such a library calls [Check] first.
package xmltoken
