package client

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"

	"github.com/vmware/govmomi/vim25/types"
)

const (
	// maxDepth bounds the nesting of an answer. Snapshot trees, the deepest of
	// the API, take two levels for each of at most 32 snapshots.
	maxDepth = 200
	// maxTypeName bounds a type's name in bytes.
	maxTypeName = 128
	// The decoder copies the rest of its input for each object of a declared
	// type that is not concrete, while it decodes that object. These bound what
	// it copies in all, and holds at once, for one answer.
	maxCopied = 32 << 30
	maxHeld   = 1 << 30
	// Up to this many bytes copied, an array is decoded in one go.
	cheapCopy = 4 << 20
)

var (
	errTooDeep    = errors.New("decode answer: nested too deeply")
	errTooComplex = errors.New("decode answer: too many nested objects for its size")
	errTypeName   = errors.New("decode answer: not a type name")
	errSyntax     = errors.New("decode answer: not one JSON value")
)

// shape is what inspect finds out about a JSON value.
type shape struct {
	typed      int // objects that carry a type name
	typedDepth int // how many of them are nested, at most
	elements   []span
}

// span is the place of an element of the outermost array.
type span struct{ from, to int }

// decode decodes an answer into what res points to.
func decode(body []byte, res any) error {
	s, err := inspect(body)
	if err != nil {
		return err
	}
	dst := reflect.ValueOf(res)
	if dst.Kind() != reflect.Pointer || dst.IsNil() {
		return fmt.Errorf("decode answer: %T is not a pointer to decode into", res)
	}
	cost := int64(s.typed) * int64(len(body))
	if cost <= cheapCopy || dst.Elem().Kind() != reflect.Slice || s.elements == nil {
		if cost > maxCopied || int64(s.typedDepth)*int64(len(body)) > maxHeld {
			return errTooComplex
		}
		return decodeValue(body, res)
	}
	// A long list is decoded element by element, so that the copies are of
	// elements.
	list := reflect.MakeSlice(dst.Elem().Type(), len(s.elements), len(s.elements))
	for i, e := range s.elements {
		element := body[e.from:e.to]
		// Each was inspected as a part of the whole, and can't be deeper or hold
		// more objects than bytes.
		if err := decodeElement(element, list.Index(i).Addr().Interface()); err != nil {
			return err
		}
	}
	dst.Elem().Set(list)
	return nil
}

func decodeElement(element []byte, res any) error {
	s, err := inspect(element)
	if err != nil {
		return err
	}
	size := int64(len(element))
	if int64(s.typed)*size > maxCopied || int64(s.typedDepth)*size > maxHeld {
		return errTooComplex
	}
	return decodeValue(element, res)
}

// decodeValue runs the API's decoder on input that inspect has accepted.
func decodeValue(body []byte, res any) (err error) {
	// The decoder panics on some malformed values, such as a boxed primitive
	// without its _value; nothing but res is left half done by that.
	defer func() {
		if r := recover(); r != nil {
			err = errors.New("decode answer: malformed value")
		}
	}()
	d := types.NewJSONDecoder(bytes.NewReader(body))
	if err := d.Decode(res); err != nil {
		return fmt.Errorf("decode answer: %w", err)
	}
	if len(bytes.TrimLeft(body[d.InputOffset():], " \t\r\n")) > 0 {
		return errSyntax
	}
	return nil
}

// inspect walks over JSON without decoding it and refuses what the decoder must
// not see: deep nesting, and type names that are not plain. (The decoder makes
// Go types of names such as "[100000000]int".) It does not check all of JSON's
// syntax; the decoder does.
func inspect(body []byte) (shape, error) {
	var levels [16]level
	w := walker{data: body, stack: levels[:0]}
	if err := w.walk(); err != nil {
		return shape{}, err
	}
	return w.shape, nil
}

// walker is the state of inspect.
type walker struct {
	shape
	data  []byte
	pos   int
	stack []level
	nest  int // typed objects that are open
}

// level is an object or array that is open.
type level struct {
	object bool
	typed  bool
	key    bool // in an object: the next string is a member's name
	isType bool // in an object: the value to come is the type's name
	from   int  // in the outermost array: where the current element starts
}

func (w *walker) walk() error {
	for w.pos < len(w.data) {
		switch c := w.data[w.pos]; c {
		case ' ', '\t', '\r', '\n':
		case '{', '[':
			if err := w.open(c == '{'); err != nil {
				return err
			}
		case '}', ']':
			if err := w.close(c == '}'); err != nil {
				return err
			}
		case ',':
			w.comma()
		case ':':
			if top := w.top(); top != nil {
				top.key = false
			}
		case '"':
			if err := w.text(); err != nil {
				return err
			}
			continue
		default:
			// A number or a literal, which is never the name of a type.
			if top := w.top(); top != nil && top.isType {
				return errTypeName
			}
		}
		w.pos++
	}
	if len(w.stack) != 0 {
		return errSyntax
	}
	return nil
}

func (w *walker) top() *level {
	if len(w.stack) == 0 {
		return nil
	}
	return &w.stack[len(w.stack)-1]
}

func (w *walker) open(object bool) error {
	if len(w.stack) >= maxDepth {
		return errTooDeep
	}
	if top := w.top(); top != nil && top.isType {
		return errTypeName
	}
	w.stack = append(w.stack, level{object: object, key: object, from: w.pos + 1})
	return nil
}

func (w *walker) close(object bool) error {
	top := w.top()
	if top == nil || top.object != object {
		return errSyntax
	}
	if len(w.stack) == 1 && !object {
		w.element(top)
	}
	if top.typed {
		w.nest--
	}
	w.stack = w.stack[:len(w.stack)-1]
	return nil
}

func (w *walker) comma() {
	top := w.top()
	if top == nil {
		return
	}
	top.key, top.isType = top.object, false
	if len(w.stack) == 1 && !top.object {
		w.element(top)
	}
}

// element notes the element of the outermost array that ends here.
func (w *walker) element(top *level) {
	if len(bytes.TrimLeft(w.data[top.from:w.pos], " \t\r\n")) > 0 {
		w.elements = append(w.elements, span{top.from, w.pos})
	}
	top.from = w.pos + 1
}

// text passes over a string, and looks at it where it is a name.
func (w *walker) text() error {
	start := w.pos + 1
	end, escaped := start, false
	for ; ; end++ {
		i := bytes.IndexByte(w.data[end:], '"')
		if i < 0 {
			return errSyntax
		}
		end += i
		slashes := 0
		for end-1-slashes >= start && w.data[end-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			break
		}
		escaped = true
	}
	w.pos = end + 1
	top := w.top()
	if top == nil || !top.object {
		return nil
	}
	s := w.data[start:end]
	if top.key {
		return w.name(top, s, escaped)
	}
	if top.isType && !isTypeName(s) {
		return errTypeName
	}
	return nil
}

// name looks at the name of a member.
func (w *walker) name(top *level, s []byte, escaped bool) error {
	// No member of the API needs an escape; one could hide a type's name.
	if escaped || bytes.IndexByte(s, '\\') >= 0 {
		return errSyntax
	}
	if string(s) != "_typeName" {
		return nil
	}
	top.isType = true
	w.typed++
	if !top.typed {
		top.typed = true
		w.nest++
		w.typedDepth = max(w.typedDepth, w.nest)
	}
	return nil
}

func isTypeName(s []byte) bool {
	if len(s) == 0 || len(s) > maxTypeName {
		return false
	}
	for i, c := range s {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return true
}
