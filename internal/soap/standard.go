package soap

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
)

// standard reads tokens with the standard library's tokenizer: it decides what
// is XML and what it says.
type standard struct {
	tokens *xml.Decoder
	token
}

func newStandard(message []byte) *standard {
	return &standard{tokens: xml.NewDecoder(bytes.NewReader(message))}
}

// next is the next tag or text: comments and the declaration are nothing. It is
// io.EOF at the end.
func (s *standard) next() (*token, error) {
	for {
		s.token = token{begin: int(s.tokens.InputOffset())}
		read, err := s.tokens.Token()
		if errors.Is(err, io.EOF) {
			return nil, io.EOF
		}
		if err != nil {
			// The tokenizer's own words may repeat the message's.
			line, column := s.tokens.InputPos()
			return nil, bad("the message is not well-formed XML: line %d, column %d", line, column)
		}
		s.end = int(s.tokens.InputOffset())
		switch t := read.(type) {
		case xml.StartElement:
			if repeated(t.Attr) {
				return nil, bad("an attribute is repeated")
			}
			s.tag(t)
		case xml.EndElement:
			s.kind = endTag
		case xml.CharData:
			s.kind, s.text = text, t
		case xml.Directive:
			return nil, bad("%s", errDTD.Error())
		default:
			continue
		}
		return &s.token, nil
	}
}

func (s *standard) tag(e xml.StartElement) {
	s.kind, s.space, s.name = startTag, []byte(e.Name.Space), []byte(e.Name.Local)
	for _, a := range e.Attr {
		if a.Name.Space != "xmlns" && a.Name != (xml.Name{Local: "xmlns"}) {
			s.attributes = append(s.attributes, attribute{[]byte(a.Name.Space), []byte(a.Name.Local), []byte(a.Value)})
		}
	}
}

// repeated reports whether two attributes have one name, which the tokenizer
// lets pass, and which other parsers would read otherwise.
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
