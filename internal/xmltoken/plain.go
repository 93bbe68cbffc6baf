package xmltoken

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strconv"
	"unicode/utf8"
)

// plain is the fast tokenizer. It reads the XML that clients send in practice: tags with declared
// prefixes, text, names in ASCII, and predefined references. It returns the same tokens as standard
// at a fraction of the cost. It returns errNotPlain if it does not support a construct, for every
// error in the message, and if the message exceeds a limit of scan. So plain never changes whether
// a message is accepted or what it means.
//
// plain also stops at a tag that declares a namespace of Options.Signed.
type plain struct {
	message []byte
	at      int
	// source is set for a stream (window.go). Then message is a part of it, which begins at the offset base.
	source *stream
	base   int
	limits Limits
	signed []string
	token  Token
	open   []element     // the open elements
	spaces []declaration // the namespace declarations in scope
	markup int           // number of tags read
	// empty means that the last tag was <x/>, and its end tag is the next token.
	empty bool
	// written holds those values of the token that differ from the bytes of the message.
	written []byte

	// Initial memory of open, spaces and the token's attributes. It is enough for nearly all
	// requests.
	elements     [12]element
	declarations [6]declaration
	attributes   [4]Attribute
}

type element struct {
	name   []byte // with its prefix
	spaces int    // number of namespace declarations outside the element
}

// declaration binds a prefix to a namespace. The prefix of the default namespace is nil.
type declaration struct{ prefix, space []byte }

// errNotPlain means that the standard tokenizer must read from here on.
var errNotPlain = errors.New("not in plain XML")

// openings are the XML declarations that clients send.
var openings = [][]byte{
	[]byte(`<?xml version="1.0" encoding="UTF-8"?>`), []byte(`<?xml version="1.0" encoding="utf-8"?>`),
	[]byte(`<?xml version="1.0" encoding="UTF-8" ?>`), []byte(`<?xml version='1.0' encoding='UTF-8'?>`),
	[]byte(`<?xml version="1.0"?>`), []byte(`<?xml version="1.0" ?>`),
}

const longestOpening = len(`<?xml version="1.0" encoding="UTF-8" ?>`)

// start begins reading a message. p has its zero value.
func (p *plain) start(message []byte, o Options) {
	p.message, p.limits, p.signed = message, o.Limits.orDefault(), o.Signed
	p.open, p.spaces = p.elements[:0], p.declarations[:0]
	for _, d := range openings {
		if bytes.HasPrefix(message, d) {
			p.at = len(d)
			return
		}
	}
}

// next returns the next token. Its error is io.EOF or errNotPlain, or that of a stream. After an error, next must not
// be called again.
func (p *plain) next() (*Token, error) {
	for {
		p.token = Token{Begin: p.base + p.at, Attributes: p.attributes[:0]}
		p.written = p.written[:0]
		spaces, markup := len(p.spaces), p.markup
		if p.read() {
			p.token.End = p.base + p.at
			return &p.token, nil
		}
		p.spaces, p.markup = p.spaces[:spaces], markup // as before the tag that can't be read
		if p.ended() || !p.cut() {
			break
		}
		if err := p.fill(); err != nil {
			return nil, err
		}
	}
	if p.at == len(p.message) && len(p.open) == 0 {
		return nil, io.EOF
	}
	return nil, errNotPlain
}

func (p *plain) read() bool {
	rest := p.message[p.at:]
	switch {
	case p.empty:
		p.empty = false
		p.close()
		return true
	case len(rest) == 0:
		return false
	case rest[0] != '<':
		return p.characters()
	case len(rest) > 1 && rest[1] == '/':
		return p.endTag(rest[2:])
	}
	return p.startTag()
}

func (p *plain) characters() bool {
	raw := p.message[p.at:]
	switch n := bytes.IndexByte(raw, '<'); {
	case n >= 0:
		raw = raw[:n]
	case !p.ended():
		return false
	}
	value, ok := p.unescape(raw, false)
	if !ok {
		return false
	}
	p.token.Kind, p.token.Text = Text, value
	p.at += len(raw)
	return true
}

// leaf reads the rest of the current element in one step if it is text without references. It
// returns the number of tokens that it has read, including the end tag. If that is 0, leaf has read
// nothing, and the caller reads token by token.
func (p *plain) leaf() (value []byte, tokens int) {
	rest := p.message[p.at:]
	n := 0
	for n < len(rest) && asIs[rest[n]] {
		n++
	}
	if p.empty || len(rest)-n < 2 || rest[n] != '<' || rest[n+1] != '/' {
		return nil, 0
	}
	p.at += n
	if !p.endTag(rest[n+2:]) {
		p.at -= n
		return nil, 0
	}
	if n == 0 {
		return rest[:0], 1
	}
	return rest[:n:n], 2
}

// endTag reads an end tag; rest begins with its name. The name and prefix must be those of the
// current element.
func (p *plain) endTag(rest []byte) bool {
	if len(p.open) == 0 {
		return false
	}
	name := p.open[len(p.open)-1].name
	if !bytes.HasPrefix(rest, name) || len(rest) == len(name) || rest[len(name)] != '>' || p.markup >= p.limits.Markup {
		return false
	}
	p.markup++
	p.at += len("</") + len(name) + len(">")
	p.close()
	return true
}

func (p *plain) close() {
	p.token.Kind = EndTag
	last := len(p.open) - 1
	p.spaces = p.spaces[:p.open[last].spaces]
	p.open = p.open[:last]
}

func (p *plain) startTag() bool {
	if len(p.open) >= p.limits.Depth || p.markup >= p.limits.Markup {
		return false
	}
	p.markup++
	outside := len(p.spaces)
	at := p.at + len("<")
	prefix, local := p.name(at)
	if local == nil || string(local) == "xmlns" {
		return false
	}
	name := p.message[at : at+nameSize(prefix, local)]
	if p.source != nil && len(name) > maxKept {
		return false
	}
	at, empty, ok := p.attributesAt(at+len(name), outside)
	if !ok {
		return false
	}
	// A declaration applies to the whole tag that contains it, so prefixes are resolved after all
	// attributes are read.
	t := &p.token
	if t.Space, ok = p.namespace(prefix); !ok {
		return false
	}
	for i := range t.Attributes {
		a := &t.Attributes[i]
		if a.Space == nil {
			continue // the default namespace does not apply to attributes
		}
		if a.Space, ok = p.namespace(a.Space); !ok {
			return false
		}
	}
	if p.repeats() {
		return false
	}
	t.Kind, t.Name = StartTag, local
	p.open = append(p.open, element{name, outside})
	p.at, p.empty = at, empty
	return true
}

// attributesAt reads the rest of a start tag. It adds the attributes to the token, with the prefix
// in Space instead of the namespace. It returns the end of the tag, and whether the element is
// empty.
func (p *plain) attributesAt(at, outside int) (end int, empty, ok bool) {
	for {
		spaced := at
		for at < len(p.message) && space(p.message[at]) {
			at++
		}
		rest := p.message[at:]
		switch {
		case len(rest) > 0 && rest[0] == '>':
			return at + 1, false, true
		case len(rest) > 1 && rest[0] == '/' && rest[1] == '>':
			return at + 2, true, true
		case spaced == at:
			return 0, false, false
		}
		prefix, local := p.name(at)
		if local == nil {
			return 0, false, false
		}
		rest = rest[nameSize(prefix, local):]
		if len(rest) < 2 || rest[0] != '=' || rest[1] != '"' && rest[1] != '\'' {
			return 0, false, false
		}
		n := bytes.IndexByte(rest[2:], rest[1])
		if n < 0 || !p.attribute(prefix, local, rest[2:2+n], outside) {
			return 0, false, false
		}
		at = len(p.message) - len(rest) + n + len(`=""`)
	}
}

// attribute adds an attribute to the token, or a declaration to the namespaces in scope.
func (p *plain) attribute(prefix, local, raw []byte, outside int) bool {
	value, ok := p.unescape(raw, true)
	switch {
	case !ok || len(p.token.Attributes)+len(p.spaces)-outside >= p.limits.Attributes:
		return false
	case prefix == nil && string(local) == "xmlns":
		return p.declare(nil, raw, value, outside)
	case string(prefix) == "xmlns":
		return len(value) > 0 && p.declare(local, raw, value, outside)
	case bytes.HasPrefix(prefix, []byte("xmlns")) || prefix == nil && bytes.HasPrefix(local, []byte("xmlns")):
		return false // scan counts it as a declaration, and plain must not accept more than scan
	}
	p.token.Attributes = append(p.token.Attributes, Attribute{prefix, local, value})
	return true
}

func (p *plain) declare(prefix, raw, value []byte, outside int) bool {
	if len(raw) > 0 && &raw[0] != &value[0] {
		return false // value is part of written, which the next token overwrites
	}
	if len(p.spaces) >= p.limits.Namespaces || p.source != nil && len(prefix)+len(value) > maxKept {
		return false
	}
	switch string(prefix) {
	case "xml", "xmlns":
		return false
	}
	if string(value) == "xmlns" {
		return false
	}
	for i := range p.signed {
		if string(value) == p.signed[i] {
			return false
		}
	}
	for _, b := range p.spaces[outside:] {
		if bytes.Equal(b.prefix, prefix) {
			return false
		}
	}
	p.spaces = append(p.spaces, declaration{prefix, value})
	return true
}

// namespace returns the namespace of a prefix. For a nil prefix, it is the default namespace.
func (p *plain) namespace(prefix []byte) (space []byte, ok bool) {
	for _, b := range slices.Backward(p.spaces) {
		if bytes.Equal(b.prefix, prefix) {
			return b.space, true
		}
	}
	return nil, prefix == nil
}

// repeats reports whether two attributes have the same name.
func (p *plain) repeats() bool {
	for i, a := range p.token.Attributes {
		for _, b := range p.token.Attributes[:i] {
			if bytes.Equal(a.Name, b.Name) && bytes.Equal(a.Space, b.Space) {
				return true
			}
		}
	}
	return false
}

// name reads a name and its prefix, if any. local is nil if there is no name or if plain does not
// support it.
func (p *plain) name(at int) (prefix, local []byte) {
	rest := p.message[at:]
	n := 0
	for n < len(rest) && inName[rest[n]] {
		n++
	}
	if n == 0 || n == len(rest) || !letter(rest[0]) {
		return nil, nil
	}
	if rest[n] != ':' {
		return nil, rest[:n:n]
	}
	prefix, rest = rest[:n:n], rest[n+1:]
	for n = 0; n < len(rest) && inName[rest[n]]; {
		n++
	}
	if n == 0 || n == len(rest) || rest[n] == ':' || !letter(rest[0]) {
		return nil, nil
	}
	return prefix, rest[:n:n]
}

// nameSize returns the size of a name in the message, in bytes.
func nameSize(prefix, local []byte) int {
	if prefix == nil {
		return len(local)
	}
	return len(prefix) + len(":") + len(local)
}

func letter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' }

func space(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// inName is the set of bytes that names may contain, without ':'.
var inName = bytesOf("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")

// asIs is the set of bytes that need no conversion in a text or an attribute's value.
var asIs = bytesOf("\t\n !\"#$%'()*+,-./0123456789:;=?@" +
	"ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~\x7f")

func bytesOf(all string) (set [256]bool) {
	for _, c := range []byte(all) {
		set[c] = true
	}
	return set
}

// unescape returns the value of a text or an attribute. In most cases that is raw itself.
func (p *plain) unescape(raw []byte, quoted bool) (value []byte, ok bool) {
	for i, c := range raw {
		if !asIs[c] {
			return p.rewrite(raw, i, quoted)
		}
	}
	return raw, true
}

// rewrite does the work of unescape if byte i of raw needs conversion. The result is stored in
// p.written.
func (p *plain) rewrite(raw []byte, i int, quoted bool) (value []byte, ok bool) {
	from := len(p.written)
	p.written = append(p.written, raw[:i]...)
	for i < len(raw) {
		c, n := raw[i], 1
		switch {
		case asIs[c]:
			p.written = append(p.written, c)
		case c == '&':
			var r rune
			if r, n = reference(raw[i:]); n == 0 {
				return nil, false
			}
			p.written = utf8.AppendRune(p.written, r)
		case c == '\r':
			// "\r" and "\r\n" both mean "\n".
			p.written = append(p.written, '\n')
			if i+1 < len(raw) && raw[i+1] == '\n' {
				n = 2
			}
		case c == '>' && (quoted || !bytes.HasSuffix(raw[:i], []byte("]]"))):
			p.written = append(p.written, c)
		case c >= utf8.RuneSelf:
			var r rune
			if r, n = utf8.DecodeRune(raw[i:]); r == utf8.RuneError && n == 1 || !character(r) {
				return nil, false
			}
			p.written = append(p.written, raw[i:i+n]...)
		default:
			return nil, false
		}
		i += n
	}
	return p.written[from:len(p.written):len(p.written)], true
}

// character reports whether XML allows the character. It returns false for tab, "\r" and "\n",
// which XML allows: callers handle these themselves.
func character(r rune) bool {
	return r >= ' ' && r < 0xd800 || r > 0xdfff && r < 0xfffe || r > 0xffff && r <= utf8.MaxRune
}

// reference reads a character or entity reference. size is 0 if XML does not define the reference
// without a document type.
func reference(raw []byte) (r rune, size int) {
	const longest = len("&#x10FFFF;")
	end := bytes.IndexByte(raw[:min(len(raw), longest)], ';')
	if end < 0 {
		return 0, 0
	}
	name := raw[1:end]
	switch string(name) {
	case "lt":
		return '<', end + 1
	case "gt":
		return '>', end + 1
	case "amp":
		return '&', end + 1
	case "apos":
		return '\'', end + 1
	case "quot":
		return '"', end + 1
	}
	digits, base := bytes.CutPrefix(name, []byte("#x"))
	radix := 16
	if !base {
		if digits, base = bytes.CutPrefix(name, []byte("#")); !base {
			return 0, 0
		}
		radix = 10
	}
	n, err := strconv.ParseUint(string(digits), radix, 32)
	if r = rune(n); err != nil || n > utf8.MaxRune || !character(r) && r != '\t' && r != '\n' && r != '\r' {
		return 0, 0
	}
	return r, end + 1
}
