package soap

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// malformed is a message that is no SOAP request at all: the client's fault, in
// SOAP's terms. Its reason holds nothing of the message.
type malformed struct {
	code   string // in soapenv where the standard has one; empty: ClientFaultCode
	reason string
}

func (m *malformed) Error() string { return m.reason }

func bad(format string, args ...any) error { return &malformed{reason: fmt.Sprintf(format, args...)} }

// token is a tag or a piece of text. It and its bytes are good until the next
// one is read; what is kept of them is copied.
type token struct {
	kind        kind
	space, name []byte // of a start tag; the space is the namespace, not the prefix
	// attributes of a start tag, but for declarations of namespaces.
	attributes []attribute
	text       []byte
	begin, end int // where it is in the message
}

type attribute struct{ space, name, value []byte }

type kind byte

const (
	startTag kind = iota
	endTag
	text
)

// is reports whether the tag has the name.
func (t *token) is(space, name string) bool {
	return string(t.space) == space && string(t.name) == name
}

// attribute is an attribute's value, or nil.
func (t *token) attribute(space, name string) []byte {
	for i := range t.attributes {
		if a := &t.attributes[i]; string(a.name) == name && string(a.space) == space {
			return a.value
		}
	}
	return nil
}

// claimed is the type that the element says it has, without the prefix, or "".
func (t *token) claimed() string {
	if len(t.attributes) == 0 {
		return ""
	}
	name := bytes.TrimSpace(t.attribute(nsInstance, "type"))
	return string(name[bytes.LastIndexByte(name, ':')+1:])
}

// absent reports whether the element says that it is not there.
func (t *token) absent() bool {
	if len(t.attributes) == 0 {
		return false
	}
	v := bytes.TrimSpace(t.attribute(nsInstance, "nil"))
	return string(v) == "true" || string(v) == "1"
}

// blank reports whether the text is nothing but space.
func (t *token) blank() bool { return len(bytes.TrimLeft(t.text, " \t\r\n")) == 0 }

// reader gives the tokens of one message. They are those of the standard library's
// tokenizer, which reads the message from where it is not plain any more, if the
// scan lets it.
type reader struct {
	plain    plain
	given    int       // tokens that plain gave
	standard *standard // nil: not needed yet
	last     int       // where the last token ended
	value    []byte    // the last that text gave
	path     []step    // to what is read, for whoever reads it

	// As much as nearly all requests need of path and value.
	steps [8]step
	short [64]byte
}

// next is the next token. It is io.EOF at the end.
func (r *reader) next() (*token, error) {
	t, err := r.token()
	if err == nil {
		r.last = t.end
	}
	return t, err
}

func (r *reader) token() (*token, error) {
	if r.standard == nil {
		t, err := r.plain.next()
		if !errors.Is(err, errNotPlain) {
			r.given++
			return t, err
		}
		if err := scan(r.plain.message); err != nil {
			return nil, bad("%s", err.Error())
		}
		r.standard = newStandard(r.plain.message)
		for range r.given {
			if _, err := r.standard.next(); err != nil {
				return nil, err
			}
		}
	}
	return r.standard.next()
}

// child is the next element inside the one that was begun last, or nil at its
// end. There is no text between elements.
func (r *reader) child() (*token, error) {
	for {
		t, err := r.next()
		if err != nil {
			return nil, whole(err)
		}
		switch {
		case t.kind == startTag:
			return t, nil
		case t.kind == endTag:
			return nil, nil
		case !t.blank():
			return nil, bad("there is text between elements")
		}
	}
}

// text is all of the element that was begun last, which has no child. It is good
// until the next text is read.
func (r *reader) text() ([]byte, error) {
	if r.standard == nil {
		if value, tokens := r.plain.leaf(); tokens > 0 {
			r.given += tokens
			r.last = r.plain.at
			return value, nil
		}
	}
	return r.gather()
}

// gather is text for any element.
func (r *reader) gather() ([]byte, error) {
	r.value = r.value[:0]
	for {
		t, err := r.next()
		if err != nil {
			return nil, whole(err)
		}
		switch t.kind {
		case endTag:
			return r.value, nil
		case startTag:
			return nil, errNotText
		}
		r.value = append(r.value, t.text...)
	}
}

// errNotText: an element where a simple value must be.
var errNotText = errors.New("an element where a simple value must be")

// pass skips the rest of the element that was begun last.
func (r *reader) pass() error {
	for depth := 1; depth > 0; {
		t, err := r.next()
		if err != nil {
			return whole(err)
		}
		switch t.kind {
		case startTag:
			depth++
		case endTag:
			depth--
		}
	}
	return nil
}

// end makes sure that nothing comes any more.
func (r *reader) end() error {
	for {
		t, err := r.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if t.kind != text || !t.blank() {
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
