package xmltoken

import "unicode/utf8"

// AppendText appends s to b in a form that can stand as an element's text and as an
// attribute's value, and that reads back as s. Each character that XML can't hold
// becomes U+FFFD.
func AppendText(b []byte, s string) []byte {
	for i := range len(s) {
		if !asText[s[i]] {
			return appendEscaped(b, s)
		}
	}
	return append(b, s...)
}

// asText are the ASCII bytes that AppendText writes as they are.
var asText = bytesOf(" !#$%'()*+,-./0123456789:;=?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~\x7f")

// appendEscaped is AppendText for any text.
func appendEscaped(b []byte, s string) []byte {
	done := 0
	for i := 0; i < len(s); {
		r, size := rune(s[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(s[i:])
		}
		if escape := escaped(r, size); escape != "" {
			b = append(append(b, s[done:i]...), escape...)
			done = i + size
		}
		i += size
	}
	return append(b, s[done:]...)
}

// escaped returns how a character is written, or "" if it is written as it is.
func escaped(r rune, size int) string {
	switch r {
	case '&':
		return "&amp;"
	case '<':
		return "&lt;"
	case '>':
		return "&gt;"
	case '"':
		return "&#34;"
	case '\t':
		return "&#x9;"
	case '\n':
		return "&#xA;"
	case '\r':
		return "&#xD;" // as it is it would be read as "\n"
	case 0xfffe, 0xffff:
		return "\ufffd"
	}
	if r < ' ' || r == utf8.RuneError && size == 1 {
		return "\ufffd"
	}
	return ""
}
