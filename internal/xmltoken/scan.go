package xmltoken

import (
	"bytes"
	"unicode/utf8"
)

var (
	errEncoding   = errorf("the message is not UTF-8")
	errDTD        = errorf("a document type is not allowed")
	errProcessing = errorf("a processing instruction is not allowed")
	errDepth      = errorf("the message is nested too deeply")
	errMarkup     = errorf("the message has too many elements")
	errAttributes = errorf("an element has too many attributes")
	errNamespaces = errorf("too many namespaces are declared")
	errForm       = errorf("the message is not well-formed XML")
)

// Check returns an *Error if a message must not be passed to encoding/xml or to a library that uses
// it. Such a message exceeds the limits or contains a construct that no client sends, such as a
// document type. A message that Check accepts may still be malformed.
func Check(message []byte, l Limits) error { return scan(message, l.orDefault()) }

// scan refuses messages that would cost encoding/xml too much work. It makes one pass over the
// bytes and builds no tokens. encoding/xml decides what the message means and whether it is
// well-formed. So scan may refuse messages that encoding/xml would accept within the limits, but it
// must never accept a message that exceeds them. It accepts every message that plain reads to the
// end.
func scan(message []byte, l Limits) error {
	if !utf8.Valid(message) {
		return errEncoding
	}
	s := scanner{rest: message, limits: l, declared: make([]int, 1, 16)}
	if bytes.HasPrefix(s.rest, []byte("<?xml ")) {
		if !s.skipPast("?>") {
			return errForm
		}
	}
	for markup := 0; ; markup++ {
		at := bytes.IndexByte(s.rest, '<')
		if at < 0 {
			return nil
		}
		if markup >= l.Markup {
			return errMarkup
		}
		s.rest = s.rest[at+1:]
		if err := s.markup(); err != nil {
			return err
		}
	}
}

type scanner struct {
	rest   []byte
	limits Limits
	// declared holds the number of namespace declarations in scope for each open element. The first
	// entry is for the message outside the root element.
	declared []int
}

// skipPast moves behind the next occurrence of end.
func (s *scanner) skipPast(end string) bool {
	at := bytes.Index(s.rest, []byte(end))
	if at < 0 {
		return false
	}
	s.rest = s.rest[at+len(end):]
	return true
}

// markup skips the markup that began with '<'.
func (s *scanner) markup() error {
	if len(s.rest) == 0 {
		return errForm
	}
	switch s.rest[0] {
	case '/':
		if len(s.declared) == 1 {
			return errForm
		}
		s.declared = s.declared[:len(s.declared)-1]
		at := bytes.IndexByte(s.rest, '>')
		if at < 0 {
			return errForm
		}
		s.rest = s.rest[at+1:]
		return nil
	case '?':
		return errProcessing
	case '!':
	default:
		return s.element()
	}
	switch {
	case bytes.HasPrefix(s.rest, []byte("!--")):
		s.rest = s.rest[len("!--"):]
		return s.skipTo("-->")
	case bytes.HasPrefix(s.rest, []byte("![CDATA[")):
		return s.skipTo("]]>")
	}
	return errDTD
}

// skipTo skips the rest of a comment or a CDATA section, which ends with end.
func (s *scanner) skipTo(end string) error {
	if !s.skipPast(end) {
		return errForm
	}
	return nil
}

// element skips a start tag.
func (s *scanner) element() error {
	if len(s.declared) > s.limits.Depth {
		return errDepth
	}
	declared, attributes, name := s.declared[len(s.declared)-1], 0, 0
	for i := 0; i < len(s.rest); i++ {
		switch c := s.rest[i]; c {
		case ' ', '\t', '\r', '\n':
			name = i + 1
		case '"', '\'':
			if attributes++; attributes > s.limits.Attributes {
				return errAttributes
			}
			if bytes.HasPrefix(s.rest[name:], []byte("xmlns")) {
				declared++
			}
			n := bytes.IndexByte(s.rest[i+1:], c)
			if n < 0 {
				return errForm
			}
			i += n + 1
			name = i + 1
		case '>':
			if declared > s.limits.Namespaces {
				return errNamespaces
			}
			if i == 0 || s.rest[i-1] != '/' {
				s.declared = append(s.declared, declared)
			}
			s.rest = s.rest[i+1:]
			return nil
		}
	}
	return errForm
}
