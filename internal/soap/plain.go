package soap

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strconv"
	"unicode/utf8"
)

// plain reads the XML that clients really send: tags with declared prefixes and
// text, names in ASCII, the references that every parser knows. It gives the
// tokens that standard gives, at a fraction of the cost, or errNotPlain where it
// is not certain that it would, also for all that is an error or beyond a limit of
// scan. So nothing is accepted, refused or understood otherwise for its sake.
//
// It stops where a message declares the namespace of signatures, before any
// element of that: what is signed is read by the tokenizer that verifies it.
type plain struct {
	message []byte
	at      int
	token   token
	open    []element     // the elements begun and not ended
	spaces  []declaration // the namespaces declared, in scope
	markup  int           // tags read
	// empty: the tag just given was <x/>, whose end is the next token.
	empty bool
	// written has the token's values that are not in the message as they are.
	written []byte

	// As much as nearly all requests need of the above.
	elements     [12]element
	declarations [6]declaration
	attributes   [4]attribute
}

type element struct {
	name   []byte // with its prefix
	spaces int    // declared outside of it
}

// declaration is a prefix that stands for a namespace, "" the default one.
type declaration struct{ prefix, space []byte }

// errNotPlain: from here on the standard tokenizer reads.
var errNotPlain = errors.New("not in plain XML")

// openings are the forms in which clients open a document.
var openings = [][]byte{
	[]byte(`<?xml version="1.0" encoding="UTF-8"?>`), []byte(`<?xml version="1.0" encoding="utf-8"?>`),
	[]byte(`<?xml version="1.0" encoding="UTF-8" ?>`), []byte(`<?xml version='1.0' encoding='UTF-8'?>`),
	[]byte(`<?xml version="1.0"?>`), []byte(`<?xml version="1.0" ?>`),
}

// start begins with a message. The zero value is ready for it.
func (p *plain) start(message []byte) {
	p.message = message
	p.open, p.spaces = p.elements[:0], p.declarations[:0]
	for _, d := range openings {
		if bytes.HasPrefix(message, d) {
			p.at = len(d)
			return
		}
	}
}

// next is the next token, io.EOF or errNotPlain. After an error there is none.
func (p *plain) next() (*token, error) {
	p.token = token{begin: p.at, attributes: p.attributes[:0]}
	p.written = p.written[:0]
	if !p.read() {
		if p.at == len(p.message) && len(p.open) == 0 {
			return nil, io.EOF
		}
		return nil, errNotPlain
	}
	p.token.end = p.at
	return &p.token, nil
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
	if n := bytes.IndexByte(raw, '<'); n >= 0 {
		raw = raw[:n]
	}
	value, ok := p.unescape(raw, false)
	if !ok {
		return false
	}
	p.token.kind, p.token.text = text, value
	p.at += len(raw)
	return true
}

// leaf reads all that is left of the element that was begun last, where that is
// text as it stands, at once. It reports how many tokens that is; 0: another way
// must be taken, and nothing was read.
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

// endTag reads a tag of which rest begins with the name. The name must be that
// of the element which was begun last, with the same prefix.
func (p *plain) endTag(rest []byte) bool {
	if len(p.open) == 0 {
		return false
	}
	name := p.open[len(p.open)-1].name
	if !bytes.HasPrefix(rest, name) || len(rest) == len(name) || rest[len(name)] != '>' || p.markup >= maxMarkup {
		return false
	}
	p.markup++
	p.at += len("</") + len(name) + len(">")
	p.close()
	return true
}

func (p *plain) close() {
	p.token.kind = endTag
	last := len(p.open) - 1
	p.spaces = p.spaces[:p.open[last].spaces]
	p.open = p.open[:last]
}

func (p *plain) startTag() bool {
	if len(p.open) >= maxDepth || p.markup >= maxMarkup {
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
	at, empty, ok := p.attributesAt(at+len(name), outside)
	if !ok {
		return false
	}
	// Declarations hold for the whole tag that they are in, so that prefixes are
	// told apart last.
	t := &p.token
	if t.space, ok = p.namespace(prefix); !ok {
		return false
	}
	for i := range t.attributes {
		a := &t.attributes[i]
		if a.space == nil {
			continue // the default namespace is not for attributes
		}
		if a.space, ok = p.namespace(a.space); !ok {
			return false
		}
	}
	if p.repeats() {
		return false
	}
	t.kind, t.name = startTag, local
	p.open = append(p.open, element{name, outside})
	p.at, p.empty = at, empty
	return true
}

// attributesAt reads the rest of a start tag. The attributes have their prefix
// in the place of the namespace. It reports where the tag ends, and whether it
// is that of an empty element.
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

// attribute takes an attribute or the declaration of a namespace.
func (p *plain) attribute(prefix, local, raw []byte, outside int) bool {
	value, ok := p.unescape(raw, true)
	switch {
	case !ok || len(p.token.attributes)+len(p.spaces)-outside >= maxAttributes:
		return false
	case prefix == nil && string(local) == "xmlns":
		return p.declare(nil, raw, value, outside)
	case string(prefix) == "xmlns":
		return len(value) > 0 && p.declare(local, raw, value, outside)
	case bytes.HasPrefix(prefix, []byte("xmlns")) || prefix == nil && bytes.HasPrefix(local, []byte("xmlns")):
		return false // scan counts it as a declaration
	}
	p.token.attributes = append(p.token.attributes, attribute{prefix, local, value})
	return true
}

func (p *plain) declare(prefix, raw, value []byte, outside int) bool {
	if len(raw) > 0 && &raw[0] != &value[0] {
		return false // it would outlive the token
	}
	if len(p.spaces) >= maxNamespaces {
		return false
	}
	switch string(prefix) {
	case "xml", "xmlns":
		return false
	}
	switch string(value) {
	case "xmlns", nsSecurity:
		return false
	}
	for _, b := range p.spaces[outside:] {
		if bytes.Equal(b.prefix, prefix) {
			return false
		}
	}
	p.spaces = append(p.spaces, declaration{prefix, value})
	return true
}

// namespace is what a prefix stands for. Without one it is the default.
func (p *plain) namespace(prefix []byte) (space []byte, ok bool) {
	for _, b := range slices.Backward(p.spaces) {
		if bytes.Equal(b.prefix, prefix) {
			return b.space, true
		}
	}
	return nil, prefix == nil
}

// repeats reports whether two attributes have one name.
func (p *plain) repeats() bool {
	for i, a := range p.token.attributes {
		for _, b := range p.token.attributes[:i] {
			if bytes.Equal(a.name, b.name) && bytes.Equal(a.space, b.space) {
				return true
			}
		}
	}
	return false
}

// name reads a name with its prefix, if it has one. local is nil where there is
// none, or one that needs a closer look.
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

// nameSize is how many bytes a name takes.
func nameSize(prefix, local []byte) int {
	if prefix == nil {
		return len(local)
	}
	return len(prefix) + len(":") + len(local)
}

func letter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' }

func space(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// inName are the bytes of names, but for ':'. Those past ASCII need a closer
// look.
var inName = bytesOf("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")

// asIs are the bytes that stand for themselves wherever they are in a text or a
// value.
var asIs = bytesOf("\t\n !\"#$%'()*+,-./0123456789:;=?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~\x7f")

func bytesOf(all string) (set [256]bool) {
	for _, c := range []byte(all) {
		set[c] = true
	}
	return set
}

// unescape is what a text or a value stands for: mostly what it is.
func (p *plain) unescape(raw []byte, quoted bool) (value []byte, ok bool) {
	for i, c := range raw {
		if !asIs[c] {
			return p.rewrite(raw, i, quoted)
		}
	}
	return raw, true
}

// rewrite is unescape from a byte on that does not stand for itself.
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
			// A line's end, also with the '\n' that may follow.
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

// character reports whether XML may have the character, which is not a control
// character that it has.
func character(r rune) bool {
	return r >= ' ' && r < 0xd800 || r > 0xdfff && r < 0xfffe || r > 0xffff && r <= utf8.MaxRune
}

// reference reads a reference to a character. size is 0 where it is none of
// those that XML has without a document type.
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
