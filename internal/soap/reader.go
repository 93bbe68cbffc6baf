package soap

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// malformed is a message that is no SOAP request at all: the client's fault, in
// SOAP's terms. Its reason holds nothing of the message.
type malformed struct {
	code   string // in soapenv where the standard has one; empty: ClientFaultCode
	reason string
}

func (m *malformed) Error() string { return m.reason }

func bad(format string, args ...any) error { return &malformed{reason: fmt.Sprintf(format, args...)} }

// reader gives the tokens of one message that has been scanned.
type reader struct {
	*xml.Decoder
	at int64 // where the last token began
}

func newReader(message []byte) *reader {
	return &reader{Decoder: xml.NewDecoder(bytes.NewReader(message))}
}

// next is the next tag or text: comments and the declaration are nothing. It is
// io.EOF at the end.
func (r *reader) next() (xml.Token, error) {
	for {
		r.at = r.InputOffset()
		token, err := r.Token()
		if errors.Is(err, io.EOF) {
			return nil, io.EOF
		}
		if err != nil {
			// The tokenizer's own words may repeat the message's.
			line, column := r.InputPos()
			return nil, bad("the message is not well-formed XML: line %d, column %d", line, column)
		}
		switch t := token.(type) {
		case xml.Comment, xml.ProcInst:
			continue
		case xml.Directive:
			return nil, bad("%s", errDTD.Error())
		case xml.StartElement:
			if repeated(t.Attr) {
				return nil, bad("an attribute is repeated")
			}
		}
		return token, nil
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

// child is the next element inside the one that was begun last, or nil at its
// end. There is no text between elements.
func (r *reader) child() (*xml.StartElement, error) {
	for {
		token, err := r.next()
		if err != nil {
			return nil, whole(err)
		}
		switch t := token.(type) {
		case xml.StartElement:
			return &t, nil
		case xml.EndElement:
			return nil, nil
		case xml.CharData:
			if len(bytes.TrimLeft(t, " \t\r\n")) > 0 {
				return nil, bad("there is text between elements")
			}
		}
	}
}

// text is all of the element that was begun last, which has no child.
func (r *reader) text() (string, error) {
	var first string
	var rest *strings.Builder
	for n := 0; ; n++ {
		token, err := r.next()
		if err != nil {
			return "", whole(err)
		}
		switch t := token.(type) {
		case xml.EndElement:
			if rest != nil {
				return rest.String(), nil
			}
			return first, nil
		case xml.CharData:
			switch {
			case n == 0:
				first = string(t)
			case rest == nil:
				rest = &strings.Builder{}
				rest.WriteString(first)
				fallthrough
			default:
				rest.Write(t)
			}
		default:
			return "", errNotText
		}
	}
}

// errNotText: an element where a simple value must be.
var errNotText = errors.New("an element where a simple value must be")

// pass skips the rest of the element that was begun last.
func (r *reader) pass() error {
	for depth := 1; depth > 0; {
		token, err := r.next()
		if err != nil {
			return whole(err)
		}
		switch token.(type) {
		case xml.StartElement:
			depth++
		case xml.EndElement:
			depth--
		}
	}
	return nil
}

// end makes sure that nothing comes any more.
func (r *reader) end() error {
	for {
		token, err := r.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if t, ok := token.(xml.CharData); !ok || len(bytes.TrimLeft(t, " \t\r\n")) > 0 {
			return bad("there is something after the envelope")
		}
	}
}

func whole(err error) error {
	if errors.Is(err, io.EOF) {
		return bad("the message ends early")
	}
	return err
}

// attribute is an attribute's value, or "".
func attribute(e *xml.StartElement, space, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name && a.Name.Space == space {
			return a.Value
		}
	}
	return ""
}

// claimed is the type that the element says it has, without the prefix, or "".
func claimed(e *xml.StartElement) string {
	name := strings.TrimSpace(attribute(e, nsInstance, "type"))
	return name[strings.LastIndexByte(name, ':')+1:]
}

// absent reports whether the element says that it is not there.
func absent(e *xml.StartElement) bool {
	v := strings.TrimSpace(attribute(e, nsInstance, "nil"))
	return v == "true" || v == "1"
}
