package xmltoken

import (
	"errors"
	"fmt"
	"io"
)

// Error says why a message can't be read. Its text holds nothing of the message,
// so it may be logged and sent back.
type Error struct{ reason string }

func (e *Error) Error() string { return e.reason }

func errorf(format string, args ...any) error { return &Error{fmt.Sprintf(format, args...)} }

// Errors of a message that can be read, but is not of the form that the caller
// asked for.
var (
	// ErrNotText is Text's error for an element that has elements in it.
	ErrNotText = errors.New("an element has elements where it must have text")
	// ErrMore is End's error for a message with something after its element.
	ErrMore = errors.New("there is something after the document's element")
)

// Reader gives the tokens of one message, one by one. The zero value is ready for
// Start. After an error other than ErrNotText it must not be used any more.
type Reader struct {
	plain    plain
	given    int       // tokens that plain has given
	standard *standard // nil as long as plain reads
	last     int       // where the last token ended
	value    []byte    // what gather returned last

	short [64]byte // the first memory of value
}

// Start begins with a message, which must not change while it is read. A Reader
// that has read a message is made zero before it starts with another.
func (r *Reader) Start(message []byte, o Options) {
	r.plain.start(message, o)
	r.value = r.short[:0]
}

// Fast reports whether all that was read until now was read by the fast tokenizer.
// Callers have tests that their clients' messages are.
func (r *Reader) Fast() bool { return r.standard == nil }

// Offset returns where in the message the last token ended, in bytes.
func (r *Reader) Offset() int { return r.last }

// Next returns the next token, or io.EOF after the last one. All its other errors
// are *Error.
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

// handOver starts the standard tokenizer, and moves it to where plain has stopped.
func (r *Reader) handOver() error {
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

// Child returns the start tag of the next element inside the element that was begun
// last, or nil when that ends. Text between elements is an error, if it is not
// white space.
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

// Text returns all text of the element that was begun last, and passes its end.
// The bytes are valid until the next token or text is read. The error is
// ErrNotText if there is an element inside.
func (r *Reader) Text() ([]byte, error) {
	if r.standard == nil {
		if value, tokens := r.plain.leaf(); tokens > 0 {
			r.given += tokens
			r.last = r.plain.at
			return value, nil
		}
	}
	return r.gather()
}

// gather is Text for an element whose text comes in several tokens.
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

// Skip passes the rest of the element that was begun last, its end included.
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

// End checks that nothing but white space comes after the document's element, which
// has ended. The error is ErrMore if something does.
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

// early is the error of a message that ends inside an element.
func early(err error) error {
	if errors.Is(err, io.EOF) {
		return errorf("the message ends early")
	}
	return err
}
