package soap

import (
	"bytes"
	"encoding/binary"
	"mime"
	"net/http"
	"regexp"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/vigate/vigate/internal/binding"
)

// A message is in UTF-8 or UTF-16, the two encodings that every XML parser must support. The first of these
// that is present decides which of them it is: a byte order mark (RFC 7303, section 3.3), the charset
// parameter of Content-Type, the XML declaration. So a declaration is ignored if a mark or the charset is
// there. Some clients always write the same declaration, for example encoding="utf-16" in a text that they
// send in UTF-8.
//
// The code outside this file sees every message in UTF-8 without a byte order mark. So the limits of
// internal/xmltoken are the same for each encoding.

// text finds the text of the message in the body of the request, and stores it in x.message.raw. If the
// text was in UTF-16, the body holds the converted bytes afterwards. raw shares the memory of the body.
func (h *handler) text(r *http.Request, x *request) *refusal {
	charset, ok := charsetOf(r.Header)
	if !ok {
		return clientFault("the message must be in UTF-8 or UTF-16 and not compressed")
	}
	text := x.body.Bytes
	order, mark := encodingOf(text, charset)
	if order == nil {
		x.message.received = text
		text = text[mark:]
	} else {
		if refusal := h.convert(r, &x.body, text[mark:], order); refusal != nil {
			return refusal
		}
		text = x.body.Bytes
	}
	if order != nil || mark > 0 || charset != "" {
		text = withoutDeclaration(text)
	}
	x.message.raw = text
	return nil
}

// charsetOf returns the charset parameter of Content-Type in lower case, or "". The media type is ignored,
// because scripts that use curl send envelopes as forms. ok is false if the body is compressed, or in an
// encoding that is not supported.
func charsetOf(h http.Header) (charset string, ok bool) {
	if binding.Encoded(h) {
		return "", false
	}
	for _, t := range h["Content-Type"] {
		var said string
		switch t {
		case "text/xml":
		case `text/xml; charset="utf-8"`, "text/xml; charset=utf-8", "text/xml; charset=UTF-8":
			said = "utf-8" // the values that known clients send
		default:
			if _, params, err := mime.ParseMediaType(t); err == nil {
				said = strings.ToLower(params["charset"])
			}
		}
		switch said {
		case "":
		case "utf-8", "utf-16", "utf-16le", "utf-16be":
			if charset != "" && charset != said {
				return "", false
			}
			charset = said
		default:
			return "", false
		}
	}
	return charset, true
}

// encodingOf returns the byte order of a text in UTF-16, or nil for a text in UTF-8, and the size of its
// byte order mark in bytes.
func encodingOf(text []byte, charset string) (order binary.ByteOrder, mark int) {
	switch {
	case bytes.HasPrefix(text, []byte("\xef\xbb\xbf")):
		return nil, 3
	case bytes.HasPrefix(text, []byte("\xfe\xff")):
		return binary.BigEndian, 2
	case bytes.HasPrefix(text, []byte("\xff\xfe")):
		return binary.LittleEndian, 2
	}
	switch charset {
	case "utf-16le":
		return binary.LittleEndian, 0
	case "utf-16be":
		return binary.BigEndian, 0
	case "utf-16":
		// XML begins with an ASCII character. One of its two bytes is 0.
		if len(text) > 1 && text[1] == 0 {
			return binary.LittleEndian, 0
		}
		return binary.BigEndian, 0
	}
	return nil, 0
}

// convert replaces the body, which holds a text in UTF-16, by the same text in UTF-8. The new bytes have
// the limit of received bytes, and count against the bound of h.bodies. The old bytes count too until they
// are freed.
func (h *handler) convert(r *http.Request, body *binding.Body, text []byte, order binary.ByteOrder) *refusal {
	size, ok := sizeInUTF8(text, order)
	if !ok {
		return clientFault("the message is not UTF-16")
	}
	into, err := h.bodies.Room(r, size, maxBody)
	if err != nil {
		return bodyRefusal(err)
	}
	into.Bytes = appendUTF8(into.Bytes, text, order)
	body.Free()
	*body = into
	return nil
}

// nextUTF16 decodes the first character of a text, which must not be empty. size is 0 if the text does not
// begin with a whole character: it begins with half of a surrogate pair, or is a single byte.
func nextUTF16(text []byte, order binary.ByteOrder) (r rune, size int) {
	if len(text) < 2 {
		return 0, 0
	}
	if r = rune(order.Uint16(text)); !utf16.IsSurrogate(r) {
		return r, 2
	}
	if len(text) < 4 {
		return 0, 0
	}
	if r = utf16.DecodeRune(r, rune(order.Uint16(text[2:]))); r == utf8.RuneError {
		return 0, 0
	}
	return r, 4
}

// sizeInUTF8 returns the size in UTF-8, in bytes, of a text in UTF-16. ok is false if the text is not valid
// UTF-16.
func sizeInUTF8(text []byte, order binary.ByteOrder) (n int64, ok bool) {
	for len(text) > 0 {
		r, size := nextUTF16(text, order)
		if size == 0 {
			return 0, false
		}
		n += int64(utf8.RuneLen(r))
		text = text[size:]
	}
	return n, true
}

// appendUTF8 appends a text in UTF-16 as UTF-8. sizeInUTF8 must have accepted the text.
func appendUTF8(b, text []byte, order binary.ByteOrder) []byte {
	for len(text) > 0 {
		r, size := nextUTF16(text, order)
		b = utf8.AppendRune(b, r)
		text = text[size:]
	}
	return b
}

// declared matches an XML declaration that names an encoding.
var declared = regexp.MustCompile(`^<\?xml[ \t\r\n]+version[ \t\r\n]*=[ \t\r\n]*(?:"1\.0"|'1\.0')` +
	`[ \t\r\n]+encoding[ \t\r\n]*=[ \t\r\n]*(?:"[A-Za-z][A-Za-z0-9._-]*"|'[A-Za-z][A-Za-z0-9._-]*')` +
	`(?:[ \t\r\n]+standalone[ \t\r\n]*=[ \t\r\n]*(?:"(?:yes|no)"|'(?:yes|no)'))?[ \t\r\n]*\?>`)

// maxDeclaration is the largest XML declaration that withoutDeclaration recognises, in bytes.
const maxDeclaration = 256

// withoutDeclaration removes an XML declaration that names another encoding than UTF-8. The reader does not
// need the declaration: XML without one is XML 1.0. An invalid declaration stays, so that the reader
// refuses it.
func withoutDeclaration(text []byte) []byte {
	begin := text[:min(len(text), maxDeclaration)]
	if !bytes.HasPrefix(begin, []byte("<?xml")) || isUTF8(begin) {
		return text
	}
	return text[len(declared.Find(begin)):]
}

// isUTF8 reports whether a text begins with a declaration that names UTF-8, in one of the spellings that
// clients use.
func isUTF8(begin []byte) bool {
	begin, _, _ = bytes.Cut(begin, []byte("?>"))
	return bytes.Contains(begin, []byte("UTF-8")) || bytes.Contains(begin, []byte("utf-8"))
}
