package xmltoken

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
)

// standard is the tokenizer that uses encoding/xml. It decides whether a message is XML and what it
// means. It reads only messages that scan accepts.
type standard struct {
	tokens *xml.Decoder
	token  Token

	// The following are only set for a stream.
	source *failing
	depth  int // of the element that is being read
	limit  int // of depth
	shift  int // the offset in the message of the first byte that the decoder reads
}

// failing remembers why its source failed. encoding/xml would hide it behind an error of syntax. It fails if a token
// is too long, because encoding/xml keeps all of it in memory, even that of a comment.
type failing struct {
	io.Reader
	left int // bytes that the token may still have
	err  error
}

func (f *failing) Read(p []byte) (int, error) {
	if f.left <= 0 {
		f.err = errToken
		return 0, errToken
	}
	n, err := f.Reader.Read(p)
	f.left -= n
	if err != nil && !errors.Is(err, io.EOF) {
		f.err = err
	}
	return n, err
}

func newStandard(message []byte) *standard {
	return &standard{tokens: xml.NewDecoder(bytes.NewReader(message))}
}

func newStream(source io.Reader, l Limits) *standard {
	f := &failing{Reader: source}
	return &standard{tokens: xml.NewDecoder(f), source: f, limit: l.Depth}
}

// next returns the next tag or text, io.EOF at the end, or an *Error. It skips comments and the XML
// declaration.
func (s *standard) next() (*Token, error) {
	for {
		s.token = Token{Begin: s.shift + int(s.tokens.InputOffset())}
		if s.source != nil {
			s.source.left = maxToken
		}
		read, err := s.tokens.Token()
		if errors.Is(err, io.EOF) {
			return nil, io.EOF
		}
		if s.source != nil && s.source.err != nil {
			if errors.Is(s.source.err, errToken) {
				return nil, errToken
			}
			return nil, fmt.Errorf("read message: %w", s.source.err)
		}
		if err != nil {
			// The library's error is dropped because its text may contain bytes of the message.
			if s.source != nil {
				at := s.shift + int(s.tokens.InputOffset())
				return nil, errorf("the message is not well-formed XML: byte %d", at)
			}
			line, column := s.tokens.InputPos()
			return nil, errorf("the message is not well-formed XML: line %d, column %d", line, column)
		}
		s.token.End = s.shift + int(s.tokens.InputOffset())
		switch t := read.(type) {
		case xml.StartElement:
			if repeated(t.Attr) {
				return nil, errorf("an attribute is repeated")
			}
			if s.depth++; s.source != nil && s.depth > s.limit {
				return nil, errDepth
			}
			s.start(t)
		case xml.EndElement:
			s.depth--
			s.token.Kind = EndTag
		case xml.CharData:
			s.token.Kind, s.token.Text = Text, t
		case xml.Directive:
			return nil, errDTD
		default:
			continue
		}
		return &s.token, nil
	}
}

func (s *standard) start(e xml.StartElement) {
	t := &s.token
	t.Kind, t.Space, t.Name = StartTag, []byte(e.Name.Space), []byte(e.Name.Local)
	for _, a := range e.Attr {
		if a.Name.Space != "xmlns" && a.Name != (xml.Name{Local: "xmlns"}) {
			t.Attributes = append(t.Attributes, Attribute{[]byte(a.Name.Space), []byte(a.Name.Local), []byte(a.Value)})
		}
	}
}

// repeated reports whether two attributes have the same name. encoding/xml accepts such an element,
// but other parsers may use the other one of the two values.
func repeated(attributes []xml.Attr) bool {
	for i := range attributes {
		for j := range i {
			if attributes[i].Name == attributes[j].Name {
				return true
			}
		}
	}
	return false
}
