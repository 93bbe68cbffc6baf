package message

import (
	"bytes"
	"strings"
)

// An id of an object that belongs to a session is session[KEY]UUID. In a URL the brackets are escaped.
const (
	idOpen  = "session["
	urlOpen = "session%5b"
	// uuid is the length of a UUID as text, in bytes.
	uuid = 36
)

// formed reports whether a text contains an id in the form of an object that belongs to a session, or is a
// text that a lenient receiver could read as one.
func formed(text string) bool {
	from, to := nextID(text)
	return from < to
}

// nextID finds the first id in a text. If there is none, both results are equal.
func nextID(text string) (from, to int) {
	alone := false // the text is nothing but one id, perhaps with blanks around it
	for at, first := 0, true; ; first = false {
		n := indexFold(text[at:], "session")
		if n < 0 {
			return 0, 0
		}
		from = at + n
		if first {
			alone = strings.TrimSpace(text[:from]) == ""
		}
		if to = from + idLength(text, from, alone && first); to > from {
			return from, to
		}
		at = from + len("session")
	}
}

// indexFold is strings.Index for an ASCII text in lower case, and ignores the case of s.
func indexFold(s, lower string) int {
	for at := 0; ; at++ {
		n := strings.IndexAny(s[at:], "sS")
		if n < 0 || len(s)-at-n < len(lower) {
			return -1
		}
		if at += n; strings.EqualFold(s[at:at+len(lower)], lower) {
			return at
		}
	}
}

// idLength returns the length of the id that begins in text at the offset, or 0. An id amid other text needs
// two UUIDs. A text that is nothing but an id may have other parts; alone means that nothing is before it.
func idLength(text string, from int, alone bool) int {
	rest := text[from:]
	open := 0
	switch {
	case foldPrefix(rest, idOpen):
		open = len(idOpen)
	case foldPrefix(rest, urlOpen):
		open = len(urlOpen)
	default:
		return 0
	}
	key := open + word(rest[open:])
	end := key
	switch {
	case strings.HasPrefix(rest[key:], "]"):
		end += len("]")
	case foldPrefix(rest[key:], "%5d"):
		end += len("%5d")
	default:
		return 0
	}
	end += word(rest[end:])
	if key-open == uuid && end-key > uuid {
		return end
	}
	if alone && strings.TrimSpace(rest[end:]) == "" {
		return end
	}
	return 0
}

func foldPrefix(s, lower string) bool {
	return len(s) >= len(lower) && strings.EqualFold(s[:len(lower)], lower)
}

// word returns the length of the letters, digits and hyphens at the beginning of s.
func word(s string) int {
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' {
			return i
		}
	}
	return len(s)
}

// Word returns the length of the rest of an id, behind its bracket, at the beginning of b.
func Word(b []byte) int { return word(string(b[:min(len(b), maxWord)])) }

// maxWord is the longest rest of an id, in bytes.
const maxWord = 64

// Translate replaces each id in a text. to gets the id as it is written with brackets, and returns what
// replaces it, written the same way. If to returns false for one of them, so does Translate.
func Translate(text string, to func(id string) (string, bool)) (string, bool) {
	var b strings.Builder
	for {
		from, end := nextID(text)
		if from == end {
			b.WriteString(text)
			return b.String(), true
		}
		id, escaped := text[from:end], false
		if foldPrefix(id, urlOpen) {
			escaped = true
			id = unescape(id)
		}
		with, ok := to(id)
		if !ok {
			return "", false
		}
		if escaped {
			with = Escape(with)
		}
		b.WriteString(text[:from])
		b.WriteString(with)
		text = text[end:]
	}
}

// unescape returns an id from a URL with brackets.
func unescape(id string) string {
	id = idOpen + id[len(urlOpen):]
	if at := strings.IndexByte(id, '%'); at >= 0 {
		id = id[:at] + "]" + id[at+len("%5d"):]
	}
	return id
}

// Escape returns an id as it stands in a URL.
func Escape(id string) string {
	return strings.NewReplacer("[", "%5B", "]", "%5D").Replace(id)
}

// Masked returns a text of the same length and form that is nobody's key.
func Masked(key string) string {
	return strings.Map(func(c rune) rune {
		if c == '-' {
			return c
		}
		return '0'
	}, key)
}

// TypeBefore returns the attribute type of the tag with which a text ends, or "".
func TypeBefore(b []byte) string {
	if len(b) == 0 || b[len(b)-1] != '>' {
		return ""
	}
	tag := b[max(0, len(b)-maxTag):]
	tag = tag[bytes.LastIndexByte(tag, '<')+1:]
	_, rest, ok := bytes.Cut(tag, []byte(` type="`))
	if !ok {
		return ""
	}
	typ, _, ok := bytes.Cut(rest, []byte{'"'})
	if !ok {
		return ""
	}
	return string(typ)
}

// maxTag is how far before an id the beginning of its tag is looked for, in bytes.
const maxTag = 256
