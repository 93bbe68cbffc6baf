package xmltoken

import (
	"errors"
	"fmt"
	"io"
)

// Error says why a message can't be read. Its text contains nothing from the message, so it may be
// logged and sent to the client.
type Error struct{ reason string }

func (e *Error) Error() string { return e.reason }

func errorf(format string, args ...any) error { return &Error{fmt.Sprintf(format, args...)} }

// Errors for a message that is well-formed but does not have the form that the caller expects.
var (
	// ErrNotText is returned by Text if the element contains other elements.
	ErrNotText = errors.New("an element contains other elements instead of text")
	// ErrMore is returned by End if the root element is not the end of the message.
	ErrMore = errors.New("there is content after the root element")
)

// Reader returns the tokens of one message, one by one. The zero value is ready for Start. After an
// error other than ErrNotText, the Reader must not be used any more.
type Reader struct {
	plain    plain
	given    int       // number of tokens that plain has returned
	standard *standard // nil as long as plain reads
	last     int       // end of the last token
	value    []byte    // the last result of gather

	short [64]byte // initial memory of value
}

// Start begins reading a message, which must not change while it is read. Before a Reader starts
// with another message, the caller sets it to its zero value.
func (r *Reader) Start(message []byte, o Options) {
	r.plain.start(message, o)
	r.value = r.short[:0]
}

// StartStream begins reading a message while it arrives, so that only a part of it is in memory: 36 KiB, or
// a few times its longest tag or text. Of the limits, only that of the depth applies: a stream is for messages
// from a server that the caller has chosen, and of any length. A tag, a text or a comment may have 16 MiB. If
// the source fails, its error is the error of the Reader.
func (r *Reader) StartStream(source io.Reader, o Options) {
	r.plain.startStream(source, o)
	r.value = r.short[:0]
}

// Fast reports whether the fast tokenizer has read all tokens until now. It is for callers' tests
// that the fast tokenizer reads the messages of their clients.
func (r *Reader) Fast() bool { return r.standard == nil }

// Offset returns the byte offset of the last token's end in the message.
func (r *Reader) Offset() int { return r.last }

// Next returns the next token, or io.EOF after the last one. All other errors are of type *Error, or
// those of the source of a stream.
func (r *Reader) Next() (*Token, error) {
	t, err := r.token()
	if err == nil {
		r.last = t.End
	}
	return t, err
}

func (r *Reader) token() (*Token, error) {
	if r.standard == nil {
		t, err := r.plain.next()
		if !errors.Is(err, errNotPlain) {
			r.given++
			return t, err
		}
		if err := r.handOver(); err != nil {
			return nil, err
		}
	}
	return r.standard.next()
}

// handOver starts the standard tokenizer and skips the tokens that plain has already returned.
func (r *Reader) handOver() (err error) {
	if r.plain.source != nil {
		r.standard, err = r.plain.resume()
		return err
	}
	if err := scan(r.plain.message, r.plain.limits); err != nil {
		return err
	}
	r.standard = newStandard(r.plain.message)
	for range r.given {
		if _, err := r.standard.next(); err != nil {
			return err
		}
	}
	return nil
}

// Child returns the start tag of the next child of the current element, which is the innermost open
// one, or nil at the end tag of the current element. Text between child elements is an error unless
// it is white space.
func (r *Reader) Child() (*Token, error) {
	for {
		t, err := r.Next()
		if err != nil {
			return nil, early(err)
		}
		switch {
		case t.Kind == StartTag:
			return t, nil
		case t.Kind == EndTag:
			return nil, nil
		case !t.Blank():
			return nil, errorf("there is text between elements")
		}
	}
}

// Text returns all text of the current element and reads its end tag. The bytes are valid until the
// next token or text is read. The error is ErrNotText if the element contains another element.
func (r *Reader) Text() ([]byte, error) {
	if r.standard == nil {
		if value, tokens := r.plain.leaf(); tokens > 0 {
			r.given += tokens
			r.last = r.plain.base + r.plain.at
			return value, nil
		}
	}
	return r.gather()
}

// gather does the work of Text for an element whose text comes in several tokens.
func (r *Reader) gather() ([]byte, error) {
	r.value = r.value[:0]
	for {
		t, err := r.Next()
		if err != nil {
			return nil, early(err)
		}
		switch t.Kind {
		case EndTag:
			return r.value, nil
		case StartTag:
			return nil, ErrNotText
		}
		r.value = append(r.value, t.Text...)
	}
}

// Skip skips the rest of the current element, including its end tag.
func (r *Reader) Skip() error {
	for depth := 1; depth > 0; {
		t, err := r.Next()
		if err != nil {
			return early(err)
		}
		switch t.Kind {
		case StartTag:
			depth++
		case EndTag:
			depth--
		}
	}
	return nil
}

// End checks that only white space follows the root element, whose end tag has been read. The error
// is ErrMore if anything else follows.
func (r *Reader) End() error {
	for {
		t, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if t.Kind != Text || !t.Blank() {
			return ErrMore
		}
	}
}

// early replaces io.EOF by the error for a message that ends inside an element.
func early(err error) error {
	if errors.Is(err, io.EOF) {
		return errorf("the message ends early")
	}
	return err
}
