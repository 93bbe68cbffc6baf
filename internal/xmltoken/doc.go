// Package xmltoken reads XML from untrusted senders. A message from a client is a few kilobytes long and is held in
// memory. Reading it must cost little time and memory, and every reader of the message must get the same meaning from
// it.
//
// A [Reader] returns the tags and texts of one message, with the namespaces of names resolved. It
// refuses document types, processing instructions, encodings other than UTF-8, repeated attributes,
// and messages that exceed its [Limits]. The caller limits the size of the message.
//
// A Reader uses two tokenizers. The fast one (plain.go) reads the subset of XML that clients write
// in practice. At the first construct outside this subset, it stops. Then a pass over the bytes
// (scan.go) checks that the message is cheap to tokenize, and encoding/xml of the standard library
// (standard.go) reads the message again from its beginning. Tests check that both tokenizers return
// the same tokens for every message, so encoding/xml alone decides what a message means.
//
// A message from a server that the caller has chosen can be read while it arrives ([Reader.StartStream]). The
// fast tokenizer reads a window of it (window.go). Where it stops, encoding/xml goes on, behind tags that
// stand for the open elements.
//
// Signatures are verified by libraries that use encoding/xml. [Options.Signed] lists the namespaces
// of signed elements. The fast tokenizer stops at an element that declares one of them. So the same
// code reads the verified elements and the used elements. A caller that passes the whole message to
// such a library calls [Check] first.
package xmltoken
