package xmlsig

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"

	"github.com/beevik/etree"
	roundtrip "github.com/mattermost/xml-roundtrip-validator"

	"github.com/vigate/vigate/internal/xmltoken"
)

// Document is a parsed XML document within the limits. Nothing in it is verified.
type Document struct {
	root *etree.Element
	ids  map[string]*etree.Element
}

// Parse reads a document. The error is ErrDocument, wrapped. The document must not be larger than
// MaxBytes. It has no comments, CDATA sections, processing instructions and document type. Every
// prefix is declared, every namespace is an absolute URI, no attribute is repeated, and no two
// elements have the same id.
func Parse(raw []byte) (*Document, error) {
	if err := scan(raw); err != nil {
		return nil, err
	}
	tree := etree.NewDocument()
	tree.ReadSettings = etree.ReadSettings{
		MaxDepth: maxDepth, PreserveDuplicateAttrs: true,
		CharsetReader: func(string, io.Reader) (io.Reader, error) { return nil, errors.New("not UTF-8") },
	}
	if err := tree.ReadFromBytes(raw); err != nil {
		return nil, documentError("it is not well-formed")
	}
	d := &Document{ids: map[string]*etree.Element{}}
	for i, t := range tree.Child {
		switch t := t.(type) {
		case *etree.Element:
			if d.root != nil {
				return nil, documentError("it has a second root element")
			}
			d.root = t
		case *etree.CharData:
			if !t.IsWhitespace() {
				return nil, documentError("there is text outside the root element")
			}
		case *etree.ProcInst:
			if i != 0 {
				return nil, documentError("it has a processing instruction")
			}
		default:
			return nil, documentError("it has a comment or a document type")
		}
	}
	if d.root == nil {
		return nil, documentError("it has no root element")
	}
	if err := d.check(d.root, scope{"xml": nsXML}); err != nil {
		return nil, err
	}
	return d, nil
}

// Root returns the root element.
func (d *Document) Root() Element { return Element{d.root} }

// scan checks the limits with one pass over the bytes.
func scan(raw []byte) error {
	if len(raw) > MaxBytes {
		return documentError("it is too large")
	}
	err := xmltoken.Check(raw, xmltoken.Limits{
		Depth: maxDepth, Markup: 2 * maxElements, Attributes: maxAttributes, Namespaces: maxScope,
	})
	if err != nil {
		return documentError(err.Error()) // it contains nothing of the document
	}
	if bytes.Contains(raw, []byte("<!")) {
		return documentError("it has a comment, a CDATA section or a document type")
	}
	elements := bytes.Count(raw, []byte("<")) - bytes.Count(raw, []byte("</"))
	if bytes.HasPrefix(raw, []byte("<?")) {
		elements--
	}
	if elements > maxElements {
		return documentError("it has too many elements")
	}
	return nil
}

// scope maps the prefixes in scope to their namespaces. The prefix of the default namespace is "".
type scope map[string]string

// check checks an element and those in it, and collects the ids.
func (d *Document) check(e *etree.Element, outer scope) error {
	inner, err := outer.enter(e)
	if err != nil {
		return err
	}
	if _, ok := inner[e.Space]; !ok && e.Space != "" {
		return documentError("a prefix is not declared")
	}
	if strings.Contains(e.Tag, ":") {
		return documentError("a name is not a qualified name")
	}
	if !survives(e) {
		return documentError("it changes when it is written again")
	}
	if err := inner.attributes(e); err != nil {
		return err
	}
	if err := d.id(e); err != nil {
		return err
	}
	for _, t := range e.Child {
		switch t := t.(type) {
		case *etree.Element:
			if err := d.check(t, inner); err != nil {
				return err
			}
		case *etree.CharData:
			if !plainText(t.Data) && roundtrip.CheckToken(xml.CharData(t.Data)) != nil {
				return documentError("it changes when it is written again")
			}
		default:
			return documentError("it has a comment or a processing instruction")
		}
	}
	return nil
}

// survives reports whether the start tag of an element is the same after it is written and read again.
// Go's XML package does not keep all names. Plain names always survive, which saves most of the work:
// the check costs more than a signature.
func survives(e *etree.Element) bool {
	plain := plainName(e.Space) && plainName(e.Tag)
	token := xml.StartElement{Name: xml.Name{Space: e.Space, Local: e.Tag}}
	for _, a := range e.Attr {
		plain = plain && plainName(a.Space) && plainName(a.Key) && plainText(a.Value)
		token.Attr = append(token.Attr, xml.Attr{Name: xml.Name{Space: a.Space, Local: a.Key}, Value: a.Value})
	}
	return plain || roundtrip.CheckToken(token) == nil
}

// plainName reports whether a name, or a prefix, consists of ASCII letters, digits and some
// punctuation. An element without a prefix has the empty one.
func plainName(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '_':
		case i > 0 && ('0' <= c && c <= '9' || c == '-' || c == '.'):
		default:
			return false
		}
	}
	return true
}

// plainText reports whether a text consists of printable ASCII characters, tabs and line feeds.
func plainText(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < ' ' || c > '~') && c != '\t' && c != '\n' {
			return false
		}
	}
	return true
}

// enter returns the scope inside an element.
func (s scope) enter(e *etree.Element) (scope, error) {
	inner, declared := s, 0
	for _, a := range e.Attr {
		prefix, ok := declares(a)
		if !ok {
			continue
		}
		if declared++; declared == 1 {
			inner = scope{}
			for p, uri := range s {
				inner[p] = uri
			}
		}
		switch {
		case declared > maxDeclarations:
			return nil, documentError("an element declares too many namespaces")
		case prefix == "xml" || prefix == "xmlns" || a.Value == nsXML || a.Value == nsXMLNS:
			return nil, documentError("a reserved namespace is declared")
		case a.Value == "" && prefix == "":
			// It ends the default namespace of an outer element.
		case strings.IndexByte(a.Value, ':') <= 0 || strings.ContainsAny(a.Value, " \t\r\n"):
			// Canonicalization is not defined for relative namespaces: libraries fail or differ.
			return nil, documentError("a namespace is not an absolute URI")
		}
		inner[prefix] = a.Value
	}
	return inner, nil
}

// declares reports whether an attribute declares a namespace, and for which prefix.
func declares(a etree.Attr) (prefix string, ok bool) {
	switch {
	case a.Space == "xmlns":
		return a.Key, true
	case a.Space == "" && a.Key == "xmlns":
		return "", true
	}
	return "", false
}

// attributes checks that no attribute is repeated, under any prefix, and that prefixes are declared.
func (s scope) attributes(e *etree.Element) error {
	type name struct{ space, key string }
	seen := make(map[name]bool, len(e.Attr))
	for _, a := range e.Attr {
		if strings.Contains(a.Key, ":") {
			return documentError("a name is not a qualified name")
		}
		n := name{a.Space, a.Key}
		if _, ok := declares(a); ok {
			n.space = "xmlns"
		} else if a.Space != "" {
			uri, ok := s[a.Space]
			if !ok {
				return documentError("a prefix is not declared")
			}
			n.space = uri
		}
		if seen[n] {
			return documentError("an attribute is repeated")
		}
		seen[n] = true
	}
	return nil
}

// id records the id of an element. Libraries look ids up by their local name, so an element has at
// most one attribute with such a name, under any prefix.
func (d *Document) id(e *etree.Element) error {
	found := false
	for _, a := range e.Attr {
		if _, ok := declares(a); ok || !strings.EqualFold(a.Key, "id") {
			continue
		}
		if found {
			return documentError("an element has two ids")
		}
		found = true
		if a.Value == "" {
			continue // govmomi writes an empty id on signatures; nothing can refer to it
		}
		if d.ids[a.Value] != nil {
			return documentError("an id is repeated")
		}
		d.ids[a.Value] = e
	}
	return nil
}
