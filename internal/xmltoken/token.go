package xmltoken

import "bytes"

// Token is a tag or a piece of text. It and its bytes are valid until the next
// token is read: the caller copies what it keeps.
type Token struct {
	Kind Kind
	// Space and Name are those of a start tag. Space is the namespace, not the
	// prefix.
	Space, Name []byte
	// Attributes of a start tag, without the declarations of namespaces.
	Attributes []Attribute
	// Text with all references resolved. An element's text may come in pieces.
	Text []byte
	// Begin and End are where the token stands in the message, in bytes.
	Begin, End int
}

// Attribute is an attribute of a start tag. Space is empty if it has no prefix.
type Attribute struct{ Space, Name, Value []byte }

// Kind is what a token is.
type Kind byte

// The kinds of tokens. An empty element, <x/>, is a start tag and an end tag.
const (
	StartTag Kind = iota
	EndTag
	Text
)

// Is reports whether the tag has the name.
func (t *Token) Is(space, name string) bool {
	return string(t.Space) == space && string(t.Name) == name
}

// Attribute returns an attribute's value, or nil if the tag does not have it.
func (t *Token) Attribute(space, name string) []byte {
	for i := range t.Attributes {
		if a := &t.Attributes[i]; string(a.Name) == name && string(a.Space) == space {
			return a.Value
		}
	}
	return nil
}

// Blank reports whether the text is white space only.
func (t *Token) Blank() bool { return len(bytes.TrimLeft(t.Text, " \t\r\n")) == 0 }
