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

// A message is in UTF-8 or UTF-16, which are the encodings that every reader of XML
// knows. What says which one is it, in this order: a byte order mark (RFC 7303,
// section 3.3), the charset of Content-Type, the XML declaration. So a declaration
// that says something else than what is known already does not count; clients write
// one without looking, such as encoding="utf-16" for a text that they send in UTF-8.
//
// Everything behind this file sees a message in UTF-8 without a byte order mark, so
// the limits of internal/xmltoken hold for each encoding alike.

// text finds the exchange's message in its body. The bytes belong to the body, which
// then holds other ones than were received if they had to be converted.
func (h *handler) text(r *http.Request, x *exchange) *refusal {
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

// charsetOf returns the charset that Content-Type says, in lower case, or "". What
// kind of text the body is said to be does not matter: scripts with curl send
// envelopes as forms. ok is false if the body can't be read.
func charsetOf(h http.Header) (charset string, ok bool) {
	if binding.Encoded(h) {
		return "", false
	}
	for _, t := range h["Content-Type"] {
		var said string
		switch t {
		case "text/xml":
		case `text/xml; charset="utf-8"`, "text/xml; charset=utf-8", "text/xml; charset=UTF-8":
			said = "utf-8" // what clients send
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

// encodingOf returns the byte order of a text in UTF-16, or nil for one in UTF-8, and
// the size of its byte order mark.
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
		// XML begins with a character of ASCII, whose other byte is 0.
		if len(text) > 1 && text[1] == 0 {
			return binary.LittleEndian, 0
		}
		return binary.BigEndian, 0
	}
	return nil, 0
}

// convert has the body hold a text in UTF-8 in the place of one in UTF-16. The new
// bytes are counted like received ones, beside the old ones until those are freed,
// and have the same limit.
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

// nextUTF16 reads a character of a text that is not empty. size is 0 if it is none: a
// half of a surrogate pair, or a half of a code unit.
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

// sizeInUTF8 returns how many bytes a text in UTF-16 is in UTF-8. ok is false if it
// is not UTF-16.
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

// appendUTF8 appends a text in UTF-16, which sizeInUTF8 accepts, as UTF-8.
func appendUTF8(b, text []byte, order binary.ByteOrder) []byte {
	for len(text) > 0 {
		r, size := nextUTF16(text, order)
		b = utf8.AppendRune(b, r)
		text = text[size:]
	}
	return b
}

// declared is an XML declaration that names an encoding.
var declared = regexp.MustCompile(`^<\?xml[ \t\r\n]+version[ \t\r\n]*=[ \t\r\n]*(?:"1\.0"|'1\.0')` +
	`[ \t\r\n]+encoding[ \t\r\n]*=[ \t\r\n]*(?:"[A-Za-z][A-Za-z0-9._-]*"|'[A-Za-z][A-Za-z0-9._-]*')` +
	`(?:[ \t\r\n]+standalone[ \t\r\n]*=[ \t\r\n]*(?:"(?:yes|no)"|'(?:yes|no)'))?[ \t\r\n]*\?>`)

// maxDeclaration is how far an XML declaration is looked for, in bytes.
const maxDeclaration = 256

// withoutDeclaration cuts off an XML declaration that names another encoding than
// UTF-8. It says nothing that the reader needs: XML without one is XML 1.0. A
// declaration that is not as XML wants it is left to the reader to refuse.
func withoutDeclaration(text []byte) []byte {
	begin := text[:min(len(text), maxDeclaration)]
	if !bytes.HasPrefix(begin, []byte("<?xml")) || isUTF8(begin) {
		return text
	}
	return text[len(declared.Find(begin)):]
}

// isUTF8 reports whether a text begins with a declaration that says UTF-8, in the
// spellings that clients have.
func isUTF8(begin []byte) bool {
	begin, _, _ = bytes.Cut(begin, []byte("?>"))
	return bytes.Contains(begin, []byte("UTF-8")) || bytes.Contains(begin, []byte("utf-8"))
}
