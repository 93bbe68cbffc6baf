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

// wellFormed reports what is wrong with body as a JSON text, nil for nothing.
// A cursor may only be put on a text that passed.
func wellFormed(body []byte) error {
	switch {
	case !utf8.Valid(body):
		return errUTF8
	case !json.Valid(body):
		return errSyntax
	}
	return nil
}

// cursor walks a well-formed JSON text. It is always before a value, or where a
// method's comment says.
type cursor struct {
	data []byte
	pos  int
}

// peek returns the first byte of what comes next.
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

// take passes one byte of punctuation.
func (c *cursor) take() { c.peek(); c.pos++ }

// more reports whether an array or object that ends with end has another
// element, and passes what stands before it. first is true for the first.
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

// quoted passes a string and returns it as it stands, quotes included.
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

// text passes a string and returns what it says.
func (c *cursor) text() (string, error) {
	q := c.quoted()
	plain := q[1 : len(q)-1]
	if bytes.IndexByte(plain, '\\') < 0 {
		return string(plain), nil
	}
	if halfPair(plain) {
		// The decoder would make U+FFFD of it, and so one name of many.
		return "", errSurrogate
	}
	var s string
	if err := json.Unmarshal(q, &s); err != nil {
		return "", errSyntax
	}
	return s, nil
}

// key passes an object's key and its colon.
func (c *cursor) key() (string, error) {
	s, err := c.text()
	c.take()
	return s, err
}

// literal passes a number, true, false or null.
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

// null passes a null, if that is what comes.
func (c *cursor) null() bool {
	if c.peek() != 'n' {
		return false
	}
	c.literal()
	return true
}

// skip passes a value of any kind.
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

// halfPair reports whether the inside of a quoted string has an escaped
// surrogate without its other half.
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
