package xmltoken

import "bytes"

// Token is a tag or a piece of text. It and its bytes are valid until the next token is read. The
// caller copies the bytes that it keeps.
type Token struct {
	Kind Kind
	// Space and Name are set for a start tag. Space is the namespace, not the prefix.
	Space, Name []byte
	// Attributes are the attributes of a start tag, without namespace declarations.
	Attributes []Attribute
	// Text is the text with all references resolved. An element's text may come in several tokens.
	Text []byte
	// Begin and End are the byte offsets of the token in the message.
	Begin, End int
}

// Attribute is an attribute of a start tag. Space is empty if the attribute has no prefix.
type Attribute struct{ Space, Name, Value []byte }

// Kind is the kind of a token.
type Kind byte

// The kinds of tokens. An empty element, <x/>, gives a start tag and an end tag.
const (
	StartTag Kind = iota
	EndTag
	Text
)

// Is reports whether the tag has the given namespace and name.
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
