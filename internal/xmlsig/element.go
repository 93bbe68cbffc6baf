package xmlsig

import (
	"strings"

	"github.com/beevik/etree"
)

// Element is an element of a parsed document. It is read-only. The zero Element is no element: it
// has no name, no attributes, no text and no children. Elements compare with ==.
type Element struct{ e *etree.Element }

// IsZero reports whether there is no element.
func (e Element) IsZero() bool { return e.e == nil }

// Is reports whether the element has the given namespace and local name.
func (e Element) Is(space, name string) bool {
	return e.e != nil && e.e.Tag == name && e.e.NamespaceURI() == space
}

// Name returns the local name.
func (e Element) Name() string {
	if e.e == nil {
		return ""
	}
	return e.e.Tag
}

// Attribute returns the value of an attribute, or "" if the element does not have it. space is empty
// for an attribute without a prefix.
func (e Element) Attribute(space, name string) string {
	if e.e == nil {
		return ""
	}
	for _, a := range e.e.Attr {
		if _, ok := declares(a); ok || a.Key != name || (a.Space == "") != (space == "") {
			continue
		}
		if space == "" {
			return a.Value
		}
		if uri, _ := e.Namespace(a.Space); uri == space {
			return a.Value
		}
	}
	return ""
}

// Only reports whether the element has no attributes except those with the given names, all without
// a prefix. Namespace declarations don't count.
func (e Element) Only(names ...string) bool {
	if e.e == nil {
		return true
	}
	for _, a := range e.e.Attr {
		if _, ok := declares(a); ok {
			continue
		}
		known := false
		for _, n := range names {
			known = known || a.Key == n
		}
		if a.Space != "" || !known {
			return false
		}
	}
	return true
}

// Namespace returns the namespace that a prefix has inside the element. ok is false if the prefix is
// not declared. It is for names in texts, such as the values of xsi:type.
func (e Element) Namespace(prefix string) (uri string, ok bool) {
	if prefix == "xml" {
		return nsXML, true
	}
	for at := e.e; at != nil; at = at.Parent() {
		for _, a := range at.Attr {
			if p, declared := declares(a); declared && p == prefix {
				return a.Value, true
			}
		}
	}
	return "", false
}

// Children returns the child elements. ok is false if there is text beside them that is not white
// space.
func (e Element) Children() (children []Element, ok bool) {
	if e.e == nil {
		return nil, true
	}
	for _, t := range e.e.Child {
		switch t := t.(type) {
		case *etree.Element:
			children = append(children, Element{t})
		case *etree.CharData:
			if strings.Trim(t.Data, " \t\r\n") != "" {
				return nil, false
			}
		}
	}
	return children, true
}

// Text returns all text of the element, as it is. ok is false if the element contains elements.
func (e Element) Text() (text string, ok bool) {
	if e.e == nil {
		return "", true
	}
	var b strings.Builder
	for _, t := range e.e.Child {
		c, isText := t.(*etree.CharData)
		if !isText {
			return "", false
		}
		b.WriteString(c.Data)
	}
	return b.String(), true
}
