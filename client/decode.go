package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/vmware/govmomi/vim25/types"
)

const (
	// maxDepth limits the nesting of a response. The deepest responses of the API are snapshot
	// trees, which take two levels for each of at most 32 snapshots.
	maxDepth = 200
	// maxTypeName limits the length of a type name, in bytes.
	maxTypeName = 128
	// For each object whose declared type is an interface, the decoder copies the rest of its input
	// and holds the copy while it decodes the object. maxCopied limits the bytes copied for one
	// response, and maxHeld the bytes held at once.
	maxCopied = 32 << 30
	maxHeld   = 1 << 30
	// cheapCopy is the number of copied bytes up to which an array is decoded as a whole.
	cheapCopy = 4 << 20
)

var (
	errTooDeep    = errors.New("decode response: nested too deeply")
	errTooComplex = errors.New("decode response: too many nested objects for its size")
	errTypeName   = errors.New("decode response: not a type name")
	errSyntax     = errors.New("decode response: not one JSON value")
)

// shape describes a JSON value. The function inspect finds it without decoding the value.
type shape struct {
	typed      int // number of objects that have a type name
	typedDepth int // greatest number of such objects nested in each other
	list       bool
	elements   []span // elements of the list, if it is a list
}

func (s shape) isTooComplex(size int) bool {
	return int64(s.typed)*int64(size) > maxCopied || int64(s.typedDepth)*int64(size) > maxHeld
}

// span is the position of one element of the outermost array in the response.
type span struct{ from, to int }

// decode decodes a response into the variable that res points to.
func decode(body []byte, res any) error {
	s, err := inspect(body)
	if err != nil {
		return err
	}
	dst := reflect.ValueOf(res)
	if dst.Kind() != reflect.Pointer || dst.IsNil() {
		return fmt.Errorf("decode response: %T is not a pointer to decode into", res)
	}
	if isPlain(dst.Type().Elem()) {
		if err := json.Unmarshal(body, res); err != nil {
			return fmt.Errorf("decode response: %w", err)
		}
		return nil
	}
	if s.list && int64(s.typed)*int64(len(body)) > cheapCopy {
		if list, ok := listIn(dst.Elem()); ok {
			return decodeList(body, s.elements, list)
		}
	}
	if s.isTooComplex(len(body)) {
		return errTooComplex
	}
	return decodeValue(body, res)
}

// isPlain reports whether no member of the type is an interface. The API's decoder does nothing for such a
// type that encoding/json does not, which takes half the time and copies nothing.
func isPlain(t reflect.Type) bool { return plain(t, map[reflect.Type]bool{}) }

func plain(t reflect.Type, seen map[reflect.Type]bool) bool {
	if seen[t] || t == reflect.TypeFor[time.Time]() {
		return true
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Interface:
		return false
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return plain(t.Elem(), seen)
	case reflect.Struct:
		for i := range t.NumField() {
			if !plain(t.Field(i).Type, seen) {
				return false
			}
		}
	}
	return true
}

// listIn returns the list that v is or points to. It makes pointers that are nil.
func listIn(v reflect.Value) (reflect.Value, bool) {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		v = v.Elem()
	}
	return v, v.Kind() == reflect.Slice
}

// decodeList decodes a list one element at a time, so that the decoder copies only elements and not
// the whole list.
func decodeList(body []byte, elements []span, dst reflect.Value) error {
	list := reflect.MakeSlice(dst.Type(), len(elements), len(elements))
	for i, e := range elements {
		if err := decodeElement(body[e.from:e.to], list.Index(i).Addr().Interface()); err != nil {
			return err
		}
	}
	dst.Set(list)
	return nil
}

func decodeElement(element []byte, res any) error {
	s, err := inspect(element)
	if err != nil {
		return err
	}
	if s.isTooComplex(len(element)) {
		return errTooComplex
	}
	return decodeValue(element, res)
}

// decodeValue runs the API's decoder on input that inspect has accepted.
func decodeValue(body []byte, res any) (err error) {
	// The decoder panics on some malformed values, such as a boxed primitive without its _value. A
	// panic leaves only res incomplete.
	defer func() {
		if r := recover(); r != nil {
			err = errors.New("decode response: malformed value")
		}
	}()
	d := types.NewJSONDecoder(bytes.NewReader(body))
	if err := d.Decode(res); err != nil {
		return fmt.Errorf("decode response: %w", err)
	}
	if len(bytes.TrimLeft(body[d.InputOffset():], " \t\r\n")) > 0 {
		return errSyntax
	}
	return nil
}

// inspect walks over JSON without decoding it and refuses input that the decoder must not see: deep
// nesting, and type names with other characters than letters, digits and underscores. (The decoder
// would build Go types for names such as "[100000000]int".) inspect does not check the whole JSON
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
	nest  int // number of open objects that have a type name

	// begun is set when the outermost value has begun, closed when the outermost object or list has
	// ended.
	begun, closed bool
}

// level is an object or array that has begun and not ended yet.
type level struct {
	object bool
	typed  bool
	key    bool // in an object: the next string is a member's name
	isType bool // in an object: the next value is a type name
	from   int  // in the outermost array: start of the current element
}

func (w *walker) walk() error {
	for w.pos < len(w.data) {
		c := w.data[w.pos]
		if c == ' ' || c == '\t' || c == '\r' || c == '\n' {
			w.pos++
			continue
		}
		if len(w.stack) == 0 {
			// No value may precede or follow an object or a list. The decoder finds values that
			// follow a value of another kind.
			if w.closed || w.begun && (c == '{' || c == '[') {
				return errSyntax
			}
			w.begun = true
		}
		if err := w.step(c); err != nil {
			return err
		}
		w.pos++
	}
	if len(w.stack) != 0 {
		return errSyntax
	}
	return nil
}

// step handles the token that begins at pos and leaves pos at the token's last byte.
func (w *walker) step(c byte) error {
	switch c {
	case '{', '[':
		return w.open(c == '{')
	case '}', ']':
		return w.close(c == '}')
	case ',':
		return w.comma()
	case ':':
		if top := w.top(); top != nil {
			top.key = false
		}
	case '"':
		return w.text()
	default:
		// A number or a literal is never a type name.
		if top := w.top(); top != nil && top.isType {
			return errTypeName
		}
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
	if len(w.stack) == 0 {
		w.list = !object
	}
	w.stack = append(w.stack, level{object: object, key: object, from: w.pos + 1})
	return nil
}

func (w *walker) close(object bool) error {
	top := w.top()
	if top == nil || top.object != object {
		return errSyntax
	}
	if len(w.stack) == 1 {
		w.closed = true
		// The list [] has no element, but [x,] lacks one.
		if !object && (len(w.elements) > 0 || !w.isBlank(top.from)) {
			if err := w.element(top); err != nil {
				return err
			}
		}
	}
	if top.typed {
		w.nest--
	}
	w.stack = w.stack[:len(w.stack)-1]
	return nil
}

func (w *walker) comma() error {
	top := w.top()
	if top == nil {
		return errSyntax
	}
	top.key, top.isType = top.object, false
	if len(w.stack) == 1 && !top.object {
		return w.element(top)
	}
	return nil
}

// element records the element of the outermost array that ends at pos.
func (w *walker) element(top *level) error {
	if w.isBlank(top.from) {
		return errSyntax
	}
	w.elements = append(w.elements, span{top.from, w.pos})
	top.from = w.pos + 1
	return nil
}

func (w *walker) isBlank(from int) bool {
	return len(bytes.TrimLeft(w.data[from:w.pos], " \t\r\n")) == 0
}

// text skips a string. It checks the string if it is a member's name or a type name.
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
	w.pos = end
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

// name checks the name of a member.
func (w *walker) name(top *level, s []byte, escaped bool) error {
	// No member of the API needs an escape, and an escape could hide the member _typeName.
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

func isTypeName[S string | []byte](s S) bool {
	if len(s) == 0 || len(s) > maxTypeName {
		return false
	}
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return true
}
