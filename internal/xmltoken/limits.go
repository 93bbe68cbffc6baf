package xmltoken

// Limits bound what one message may hold. A limit that is 0 has its default, which
// is ten times what real requests need: the deepest seen nest selections some
// fifteen levels, and a signed login fewer.
type Limits struct {
	Depth      int // of elements in elements; default 64
	Markup     int // tags, comments and sections; default 500,000
	Attributes int // of one element, namespace declarations included; default 64
	Namespaces int // declarations in scope at one place; default 128
}

func (l Limits) orDefault() Limits {
	if l.Depth == 0 {
		l.Depth = 64
	}
	if l.Markup == 0 {
		l.Markup = 500_000
	}
	if l.Attributes == 0 {
		l.Attributes = 64
	}
	if l.Namespaces == 0 {
		l.Namespaces = 128
	}
	return l
}

// Options say how a message is read. The zero value has the default limits, and
// nothing that is signed.
type Options struct {
	Limits Limits
	// Signed are namespaces of elements that somebody verifies with encoding/xml,
	// such as WS-Security's. A message is read by encoding/xml from where it
	// declares one of them.
	Signed []string
}
