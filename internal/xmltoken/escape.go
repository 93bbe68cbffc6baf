package xmltoken

import "unicode/utf8"

// AppendText appends s to b, escaped as an element's text or an attribute's value. A parser reads
// the result as s, except that each character that XML can't represent becomes U+FFFD.
func AppendText(b []byte, s string) []byte {
	for i := range len(s) {
		if !asText[s[i]] {
			return appendEscaped(b, s)
		}
	}
	return append(b, s...)
}

// asText is the set of ASCII bytes that AppendText does not escape.
var asText = bytesOf(" !#$%'()*+,-./0123456789:;=?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~\x7f")

// appendEscaped does the work of AppendText for a text that may need escapes.
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

// escaped returns the escape for a character, or "" if the character needs none.
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
		return "&#xD;" // parsers read an unescaped "\r" as "\n"
	case 0xfffe, 0xffff:
		return "\ufffd"
	}
	if r < ' ' || r == utf8.RuneError && size == 1 {
		return "\ufffd"
	}
	return ""
}
