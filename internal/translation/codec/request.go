package codec

import (
	"bytes"
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/vigate/vigate/internal/jsontoken"
	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/xmltoken"
)

const (
	typeNameKey = "_typeName"
	valueKey    = "_value"

	// maxDepth limits how deep the objects and lists of a request may be nested.
	maxDepth = 64
	// maxRequest limits the elements that are made of one body, in bytes. The size of the body is not enough
	// as a limit: an item of a list is at least the name of its member, twice.
	maxRequest = 32 << 20
)

// request translates one body.
type request struct {
	jsontoken.Cursor
	schema *Schema
	out    []byte
	limit  int // of out
	depth  int
	path   []string
	// spare is used to put members into another order.
	spare []byte
}

// Request appends the elements for the arguments of a method, in the order of the schema. body is a JSON
// object, or empty for a method without arguments. The error is a *vim.Fault.
func (s *Schema) Request(out, body []byte, method string) ([]byte, error) {
	shape, ok := s.types.named(method)
	if !ok || shape.of == nil || !shape.of.request {
		return out, vim.InvalidRequest("unknown type " + vim.Quote(method))
	}
	if len(bytes.Trim(body, " \t\r\n")) == 0 {
		body = []byte("{}")
	}
	if err := jsontoken.WellFormed(body); err != nil {
		return out, vim.InvalidRequest(err.Error())
	}
	r := request{Cursor: jsontoken.Cursor{Data: body}, schema: s, out: out, limit: len(out) + maxRequest}
	err := r.members(shape.of, func(name string) bool {
		// Clients name the method, or the type of the request.
		short, typed := strings.CutSuffix(name, "RequestType")
		return name == method || name == shape.of.goType.Name() ||
			typed && (short == method || short == strings.TrimSuffix(method, "_Task"))
	})
	return r.out, err
}

// segment is where the elements of a member are in the output.
type segment struct{ member, start, end int }

// members writes the members of an object. is reports whether its _typeName is the right one.
func (r *request) members(o *object, is func(string) bool) error {
	if err := r.enter('{'); err != nil {
		return err
	}
	defer r.leave()
	var few [24]segment
	written := few[:0]
	start, named, sorted := len(r.out), false, true
	for first := true; r.More('}', first); first = false {
		key, err := r.Key()
		if err != nil {
			return vim.InvalidRequest(err.Error())
		}
		if key == typeNameKey {
			if named {
				return vim.InvalidRequest("the key _typeName is repeated")
			}
			named = true
			if err := r.named(o, is); err != nil {
				return err
			}
			continue
		}
		i, ok := o.byName[key]
		if !ok {
			return vim.InvalidRequest("unknown field " + vim.Quote(key))
		}
		if slices.ContainsFunc(written, func(s segment) bool { return s.member == i }) {
			return vim.InvalidRequest("the key " + vim.Quote(key) + " is repeated")
		}
		at := len(r.out)
		if err := r.member(&o.members[i]); err != nil {
			return err
		}
		sorted = sorted && (len(written) == 0 || written[len(written)-1].member < i)
		written = append(written, segment{i, at, len(r.out)})
	}
	if len(written) < len(o.members) {
		if err := r.required(o, written); err != nil {
			return err
		}
	}
	if !sorted {
		r.sort(start, written)
	}
	return nil
}

// required checks that no required member is missing.
func (r *request) required(o *object, written []segment) error {
	given := make([]bool, len(o.members))
	for _, s := range written {
		given[s.member] = true
	}
	for i := range o.members {
		if m := &o.members[i]; m.required && !given[i] {
			return r.missing(m.name)
		}
	}
	return nil
}

// sort puts the members that were written from start on into the order of the schema.
func (r *request) sort(start int, written []segment) {
	r.spare = append(r.spare[:0], r.out[start:]...)
	r.out = r.out[:start]
	slices.SortFunc(written, func(a, b segment) int { return cmp.Compare(a.member, b.member) })
	for _, s := range written {
		r.out = append(r.out, r.spare[s.start-start:s.end-start]...)
	}
}

// member writes the elements of a member. null means that it is unset. For a list it means an empty list,
// because govmomi sends null for one.
func (r *request) member(m *member) error {
	if r.Null() {
		if m.required && !m.List {
			return r.missing(m.name)
		}
		return nil
	}
	r.path = append(r.path, m.name)
	var err error
	if m.List {
		err = r.list(m.name, m.Shape)
	} else {
		err = r.element(m.name, m.Shape)
	}
	if err != nil {
		return err
	}
	r.path = r.path[:len(r.path)-1]
	return nil
}

// list writes a list as elements of the given name.
func (r *request) list(name string, item Shape) error {
	if err := r.enter('['); err != nil {
		return err
	}
	defer r.leave()
	at := len(r.path) - 1
	whole := r.path[at]
	for n, first := 0, true; r.More(']', first); n, first = n+1, false {
		if r.Peek() != '"' { // a text can't have a path of its own
			r.path[at] = whole + "[" + strconv.Itoa(n) + "]"
		}
		if err := r.element(name, item); err != nil {
			return err
		}
	}
	r.path[at] = whole
	return nil
}

// element writes one value as an element.
func (r *request) element(name string, s Shape) error {
	if len(r.out) > r.limit {
		return vim.InvalidRequest("the body holds too much")
	}
	switch s.kind {
	case kindObject:
		return r.object(name, s.of)
	case kindReference:
		return r.reference(name, false)
	case kindAny:
		return r.any(name)
	case kindOctets:
		return r.octets(name)
	}
	r.open(name, "")
	if err := r.simple(s); err != nil {
		return err
	}
	r.close(name)
	return nil
}

// object writes an object whose declared type is given. It names its own type if that is another one.
func (r *request) object(name string, declared *object) error {
	if r.Peek() != '{' {
		return r.want("an object")
	}
	typ, err := r.typeName()
	if err != nil {
		return err
	}
	o, xsi := declared, ""
	if typ != "" && typ != declared.name {
		s, ok := r.schema.types.named(typ)
		if !ok || s.of == nil || s.of.request || !s.of.is(declared) {
			return vim.InvalidRequest(vim.Quote(typ) + " is not a kind of " + declared.name)
		}
		o, xsi = s.of, s.of.name
	}
	return r.structure(name, xsi, o)
}

func (r *request) structure(name, xsi string, o *object) error {
	r.open(name, xsi)
	if err := r.members(o, func(typ string) bool { return typ == o.name || typ == o.goType.Name() }); err != nil {
		return err
	}
	r.close(name)
	return nil
}

func (r *request) named(o *object, is func(string) bool) error {
	if r.Peek() != '"' {
		return r.want("a string as _typeName")
	}
	name, err := r.Text()
	if err != nil {
		return vim.InvalidRequest(err.Error())
	}
	if !is(name) {
		return vim.InvalidRequest(vim.Quote(name) + " is not the type expected, " + o.name)
	}
	return nil
}

// typeName returns the _typeName of the next object without moving past it, or "" if it has none.
func (r *request) typeName() (string, error) {
	c := r.find(typeNameKey)
	if c == nil {
		return "", nil
	}
	if c.Peek() != '"' {
		return "", r.want("a string as _typeName")
	}
	name, err := c.Text()
	if err != nil {
		return "", vim.InvalidRequest(err.Error())
	}
	if name == "" {
		return "", vim.InvalidRequest("an empty _typeName")
	}
	return name, nil
}

// find returns a cursor at the value of a key of the next object, or nil.
func (r *request) find(name string) *jsontoken.Cursor {
	c := r.Cursor
	c.SkipByte()
	for first := true; c.More('}', first); first = false {
		if key, err := c.Key(); err == nil && key == name {
			return &c
		}
		c.Skip()
	}
	return nil
}

func (r *request) open(name, xsi string) {
	r.out = append(append(r.out, '<'), name...)
	if xsi != "" {
		r.out = append(append(append(r.out, ` xsi:type="`...), xsi...), '"')
	}
	r.out = append(r.out, '>')
}

func (r *request) close(name string) {
	r.out = append(append(append(r.out, "</"...), name...), '>')
}

// enter moves past the bracket that opens a list or an object.
func (r *request) enter(open byte) error {
	if r.Peek() != open {
		if open == '[' {
			return r.want("a list")
		}
		return r.want("an object")
	}
	if r.depth++; r.depth > maxDepth {
		return vim.InvalidRequest("the body is nested too deeply")
	}
	r.Pos++
	return nil
}

func (r *request) leave() { r.depth-- }

// want returns the fault for a value that is not what its place requires. The fault does not repeat the
// value, because it may be a password.
func (r *request) want(what string) error {
	if len(r.path) == 0 {
		return vim.InvalidRequest("want " + what)
	}
	return vim.InvalidRequest(strings.Join(r.path, ".") + ": want " + what)
}

func (r *request) missing(name string) error {
	path := strings.Join(append(slices.Clone(r.path), name), ".")
	return vim.InvalidArgument(path, errors.New("not given"))
}

// text appends a text. XML can't represent all characters, and none may be replaced in silence.
func (r *request) text(s string) error {
	if !representable(s) {
		return r.want("a text without control characters, which XML does not have")
	}
	r.out = xmltoken.AppendText(r.out, s)
	return nil
}

// representable reports whether XML can represent the text.
func representable(s string) bool {
	for _, c := range s {
		if c < ' ' && c != '\t' && c != '\n' && c != '\r' || c == 0xfffe || c == 0xffff {
			return false
		}
	}
	return true
}
