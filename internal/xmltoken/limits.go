package xmltoken

// Limits bounds the content of one message. If a limit is 0, its default is used. The defaults are
// several times what real requests need: the deepest requests seen nest selections about fifteen
// levels, and a signed login is less deep.
type Limits struct {
	Depth      int // nesting of elements; default 64
	Markup     int // tags, comments and CDATA sections; default 500,000
	Attributes int // of one element, including namespace declarations; default 64
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

// Options configures a [Reader]. The zero value has the default limits and no signed namespaces.
type Options struct {
	Limits Limits
	// Signed lists the namespaces of elements that are verified with encoding/xml, such as the
	// namespace of WS-Security. From the first element that declares one of them, encoding/xml
	// reads the message.
	Signed []string
}
