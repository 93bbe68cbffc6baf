package soap

import (
	"bytes"
	"errors"
	"unicode/utf8"
)

// Limits of one message. Real requests stay below a tenth of each: the deepest
// seen nests selections some fifteen levels, and a signed login less.
const (
	maxBody       = 8 << 20
	maxDepth      = 64
	maxMarkup     = 500_000 // tags, comments and sections
	maxAttributes = 64      // of one element
	maxNamespaces = 128     // declared and in scope at one place
)

var (
	errEncoding   = errors.New("the message is not UTF-8")
	errDTD        = errors.New("a document type is not allowed")
	errProcessing = errors.New("a processing instruction is not allowed")
	errDepth      = errors.New("the message is nested too deeply")
	errMarkup     = errors.New("the message has too many elements")
	errAttributes = errors.New("an element has too many attributes")
	errNamespaces = errors.New("too many namespaces are declared")
	errForm       = errors.New("the message is not well-formed XML")
)

// scan refuses messages that the standard library's tokenizer must not be given,
// since they would cost too much to read or hold what no client sends, in one pass
// over the bytes that makes nothing of them. It does not decide what the message
// says, or whether it is well formed: the tokenizer does. It only bounds the
// tokenizer's work, and so may be stricter, never laxer, than that. What plain
// reads to its end is what scan lets pass.
func scan(message []byte) error {
	if !utf8.Valid(message) {
		return errEncoding
	}
	s := scanner{rest: message}
	if bytes.HasPrefix(s.rest, []byte("<?xml ")) {
		if !s.past("?>") {
			return errForm
		}
	}
	for markup := 0; ; markup++ {
		at := bytes.IndexByte(s.rest, '<')
		if at < 0 {
			return nil
		}
		if markup >= maxMarkup {
			return errMarkup
		}
		s.rest = s.rest[at+1:]
		if err := s.markup(); err != nil {
			return err
		}
	}
}

type scanner struct {
	rest  []byte
	depth int
	// declared are the namespace declarations in scope, by depth.
	declared [maxDepth + 1]int
}

// past moves behind the next end.
func (s *scanner) past(end string) bool {
	at := bytes.Index(s.rest, []byte(end))
	if at < 0 {
		return false
	}
	s.rest = s.rest[at+len(end):]
	return true
}

// markup passes what began with '<'.
func (s *scanner) markup() error {
	if len(s.rest) == 0 {
		return errForm
	}
	switch s.rest[0] {
	case '/':
		if s.depth--; s.depth < 0 {
			return errForm
		}
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
		return s.closed("-->")
	case bytes.HasPrefix(s.rest, []byte("![CDATA[")):
		return s.closed("]]>")
	}
	return errDTD
}

// closed passes the rest of what has the end.
func (s *scanner) closed(end string) error {
	if !s.past(end) {
		return errForm
	}
	return nil
}

// element passes a start tag.
func (s *scanner) element() error {
	if s.depth >= maxDepth {
		return errDepth
	}
	declared, attributes, name := s.declared[s.depth], 0, 0
	for i := 0; i < len(s.rest); i++ {
		switch c := s.rest[i]; c {
		case ' ', '\t', '\r', '\n':
			name = i + 1
		case '"', '\'':
			if attributes++; attributes > maxAttributes {
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
			if declared > maxNamespaces {
				return errNamespaces
			}
			if i == 0 || s.rest[i-1] != '/' {
				s.depth++
				s.declared[s.depth] = declared
			}
			s.rest = s.rest[i+1:]
			return nil
		}
	}
	return errForm
}
