package vijson

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"unicode/utf8"
)

var (
	errSyntax    = errors.New("the body is not JSON")
	errUTF8      = errors.New("the body is not UTF-8")
	errSurrogate = errors.New("a string has half of a surrogate pair")
)

// wellFormed returns an error if body is not a JSON text in UTF-8. A cursor must only be used on a text
// that passed this check.
func wellFormed(body []byte) error {
	switch {
	case !utf8.Valid(body):
		return errUTF8
	case !json.Valid(body):
		return errSyntax
	}
	return nil
}

// cursor moves through a well-formed JSON text. Between two calls it stands before a value, unless the
// comment of the method says otherwise.
type cursor struct {
	data []byte
	pos  int
}

// peek skips white space and returns the next byte without moving past it. It returns 0 at the end of the
// text.
func (c *cursor) peek() byte {
	for c.pos < len(c.data) {
		switch b := c.data[c.pos]; b {
		case ' ', '\t', '\r', '\n':
			c.pos++
		default:
			return b
		}
	}
	return 0
}

// skipByte moves past one byte of punctuation.
func (c *cursor) skipByte() { c.peek(); c.pos++ }

// more reports whether an array or object has another element. It moves past the comma before that element,
// or past end, the closing bracket. first is true on the first call.
func (c *cursor) more(end byte, first bool) bool {
	b := c.peek()
	if b == end {
		c.pos++
		return false
	}
	if !first {
		c.pos++ // the comma
	}
	return true
}

// quoted moves past a string and returns its bytes, with the quotes and the escapes.
func (c *cursor) quoted() []byte {
	c.peek()
	start := c.pos
	for c.pos++; c.data[c.pos] != '"'; c.pos++ {
		if c.data[c.pos] == '\\' {
			c.pos++
		}
	}
	c.pos++
	return c.data[start:c.pos]
}

// text moves past a string and returns its value.
func (c *cursor) text() (string, error) {
	q := c.quoted()
	plain := q[1 : len(q)-1]
	if bytes.IndexByte(plain, '\\') < 0 {
		return string(plain), nil
	}
	if halfPair(plain) {
		// json.Unmarshal replaces it by U+FFFD, so that different names would become equal.
		return "", errSurrogate
	}
	var s string
	if err := json.Unmarshal(q, &s); err != nil {
		return "", errSyntax
	}
	return s, nil
}

// key moves past the key of an object and its colon.
func (c *cursor) key() (string, error) {
	s, err := c.text()
	c.skipByte()
	return s, err
}

// literal moves past a number, true, false or null.
func (c *cursor) literal() []byte {
	c.peek()
	start := c.pos
	for c.pos < len(c.data) {
		switch c.data[c.pos] {
		case ',', '}', ']', ' ', '\t', '\r', '\n':
			return c.data[start:c.pos]
		}
		c.pos++
	}
	return c.data[start:]
}

// null moves past the next value if it is null. It reports whether it was.
func (c *cursor) null() bool {
	if c.peek() != 'n' {
		return false
	}
	c.literal()
	return true
}

// skip moves past a value of any kind.
func (c *cursor) skip() {
	depth := 0
	for {
		switch c.peek() {
		case '"':
			c.quoted()
		case '{', '[':
			depth++
			c.pos++
		case '}', ']':
			depth--
			c.pos++
		case ',', ':':
			c.pos++
		default:
			c.literal()
		}
		if depth == 0 {
			return
		}
	}
}

// halfPair reports whether the inside of a quoted string contains an escaped surrogate without its other
// half.
func halfPair(s []byte) bool {
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			continue
		}
		i++
		if s[i] != 'u' {
			continue
		}
		switch r := hex4(s[i+1:]); {
		case r >= 0xdc00 && r <= 0xdfff:
			return true
		case r >= 0xd800 && r <= 0xdbff:
			next := s[i+5:]
			if len(next) < 6 || next[0] != '\\' || next[1] != 'u' {
				return true
			}
			if low := hex4(next[2:]); low < 0xdc00 || low > 0xdfff {
				return true
			}
			i += 6
		}
		i += 4
	}
	return false
}

func hex4(s []byte) uint64 {
	r, _ := strconv.ParseUint(string(s[:4]), 16, 16)
	return r
}
