package jsontoken

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"unicode/utf8"
)

// Errors of WellFormed and of a cursor's Text. They contain nothing of the text.
var (
	ErrSyntax    = errors.New("the body is not JSON")
	ErrUTF8      = errors.New("the body is not UTF-8")
	ErrSurrogate = errors.New("a string has half of a surrogate pair")
)

// WellFormed returns an error if body is not a JSON text in UTF-8. A Cursor must only be used on a text
// that passed this check.
func WellFormed(body []byte) error {
	switch {
	case !utf8.Valid(body):
		return ErrUTF8
	case !json.Valid(body):
		return ErrSyntax
	}
	return nil
}

// Cursor moves through a well-formed JSON text. Between two calls it stands before a value, unless the
// comment of the method says otherwise.
type Cursor struct {
	Data []byte
	Pos  int
}

// Peek skips white space and returns the next byte without moving past it. It returns 0 at the end of the
// text.
func (c *Cursor) Peek() byte {
	for c.Pos < len(c.Data) {
		switch b := c.Data[c.Pos]; b {
		case ' ', '\t', '\r', '\n':
			c.Pos++
		default:
			return b
		}
	}
	return 0
}

// SkipByte moves past one byte of punctuation.
func (c *Cursor) SkipByte() { c.Peek(); c.Pos++ }

// More reports whether an array or object has another element. It moves past the comma before that element,
// or past end, the closing bracket. first is true on the first call.
func (c *Cursor) More(end byte, first bool) bool {
	b := c.Peek()
	if b == end {
		c.Pos++
		return false
	}
	if !first {
		c.Pos++ // the comma
	}
	return true
}

// Quoted moves past a string and returns its bytes, with the quotes and the escapes.
func (c *Cursor) Quoted() []byte {
	c.Peek()
	start := c.Pos
	for c.Pos++; c.Data[c.Pos] != '"'; c.Pos++ {
		if c.Data[c.Pos] == '\\' {
			c.Pos++
		}
	}
	c.Pos++
	return c.Data[start:c.Pos]
}

// Text moves past a string and returns its value.
func (c *Cursor) Text() (string, error) {
	q := c.Quoted()
	plain := q[1 : len(q)-1]
	if bytes.IndexByte(plain, '\\') < 0 {
		return string(plain), nil
	}
	if halfPair(plain) {
		// json.Unmarshal replaces it by U+FFFD, so that different names would become equal.
		return "", ErrSurrogate
	}
	var s string
	if err := json.Unmarshal(q, &s); err != nil {
		return "", ErrSyntax
	}
	return s, nil
}

// Key moves past the key of an object and its colon.
func (c *Cursor) Key() (string, error) {
	s, err := c.Text()
	c.SkipByte()
	return s, err
}

// Literal moves past a number, true, false or null.
func (c *Cursor) Literal() []byte {
	c.Peek()
	start := c.Pos
	for c.Pos < len(c.Data) {
		switch c.Data[c.Pos] {
		case ',', '}', ']', ' ', '\t', '\r', '\n':
			return c.Data[start:c.Pos]
		}
		c.Pos++
	}
	return c.Data[start:]
}

// Null moves past the next value if it is null. It reports whether it was.
func (c *Cursor) Null() bool {
	if c.Peek() != 'n' {
		return false
	}
	c.Literal()
	return true
}

// Skip moves past a value of any kind.
func (c *Cursor) Skip() {
	depth := 0
	for {
		switch c.Peek() {
		case '"':
			c.Quoted()
		case '{', '[':
			depth++
			c.Pos++
		case '}', ']':
			depth--
			c.Pos++
		case ',', ':':
			c.Pos++
		default:
			c.Literal()
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
