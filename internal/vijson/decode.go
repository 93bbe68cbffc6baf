package vijson

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/vigate/vigate/internal/jsontoken"
	"github.com/vigate/vigate/internal/schema"
	"github.com/vigate/vigate/internal/vim"
)

const (
	maxDepth = 64
	// maxMemory limits the memory of the values that are decoded from one body, in bytes. The size of the body,
	// maxBody, is not enough as a limit: "{}," can become an object of a kilobyte.
	maxMemory = 16 << 20
)

// decoder decodes one body into a value of the type that is declared for it.
type decoder struct {
	jsontoken.Cursor
	codec  *codec
	depth  int
	memory int
	path   []string
}

// decode decodes body into the struct that into points to. An empty body is an empty object. Its errors are
// *vim.Fault. If the body has a _typeName, it must be one of names.
func (c *codec) decode(body []byte, into any, names ...string) error {
	if len(bytes.Trim(body, " \t\r\n")) == 0 {
		body = []byte("{}")
	}
	if err := jsontoken.WellFormed(body); err != nil {
		return vim.InvalidRequest(err.Error())
	}
	d := decoder{Cursor: jsontoken.Cursor{Data: body}, codec: c}
	v := reflect.ValueOf(into).Elem()
	return d.object(v, c.plans.Of(v.Type()), names)
}

// object decodes an object into a struct.
func (d *decoder) object(v reflect.Value, p *plan, names []string) error {
	if err := d.enter('{'); err != nil {
		return err
	}
	defer d.leave()
	var few [24]bool
	seen := few[:]
	if len(p.Members) > len(few) {
		seen = make([]bool, len(p.Members))
	}
	named := false
	for first := true; d.More('}', first); first = false {
		key, err := d.Key()
		if err != nil {
			return d.invalid(err.Error())
		}
		if key == typeNameKey {
			if named {
				return d.invalid("the key _typeName is repeated")
			}
			named = true
			if err := d.named(names); err != nil {
				return err
			}
			continue
		}
		i, ok := p.ByName[key]
		if !ok {
			return d.invalid("unknown field " + vim.Quote(key))
		}
		if seen[i] {
			return d.invalid("the key " + vim.Quote(key) + " is repeated")
		}
		seen[i] = true
		if given, err := d.member(v, &p.Members[i]); err != nil {
			return err
		} else if !given {
			return d.missing(key)
		}
	}
	for i := range p.Members {
		if !p.Members[i].OmitEmpty && !seen[i] {
			return d.missing(p.Members[i].Name)
		}
	}
	return nil
}

// member decodes the value of a member. null means that the member is unset. For a list it means an empty
// list, because govmomi sends null for one. given is false if the value is null and the member is required.
func (d *decoder) member(v reflect.Value, m *field) (given bool, err error) {
	if d.Null() {
		return m.OmitEmpty || m.Type.Kind() == reflect.Slice, nil
	}
	d.path = append(d.path, m.Name)
	if err := d.value(m.Of(v)); err != nil {
		return true, err
	}
	d.path = d.path[:len(d.path)-1]
	return true, nil
}

// named reads the _typeName of an object whose type is already known, and checks it.
func (d *decoder) named(names []string) error {
	if d.Peek() != '"' {
		return d.want("a string as _typeName")
	}
	name, err := d.Text()
	if err != nil {
		return d.invalid(err.Error())
	}
	if !slices.Contains(names, name) {
		return d.invalid(vim.Quote(name) + " is not the type expected, " + names[0])
	}
	return nil
}

// value decodes the next value into v, by the type of v.
func (d *decoder) value(v reflect.Value) error {
	switch t := v.Type(); {
	case t == schema.Time:
		return d.time(v)
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		return d.binary(v)
	}
	switch v.Kind() {
	case reflect.Pointer:
		if err := d.charge(int(v.Type().Elem().Size())); err != nil {
			return err
		}
		v.Set(reflect.New(v.Type().Elem()))
		return d.value(v.Elem())
	case reflect.Interface:
		return d.dynamic(v)
	case reflect.Struct:
		p := d.codec.plans.Of(v.Type())
		return d.object(v, p, []string{p.Name})
	case reflect.Slice:
		return d.list(v)
	case reflect.String:
		return d.string(v)
	}
	return d.primitive(v)
}

func (d *decoder) list(v reflect.Value) error {
	if err := d.enter('['); err != nil {
		return err
	}
	defer d.leave()
	elem := v.Type().Elem()
	list := reflect.MakeSlice(v.Type(), 0, 0)
	at := len(d.path) - 1
	for first := true; d.More(']', first); first = false {
		// Append doubles the capacity, so that an element can take the memory of two.
		if err := d.charge(2 * int(elem.Size())); err != nil {
			return err
		}
		n := list.Len()
		list = reflect.Append(list, reflect.Zero(elem))
		if at < 0 || d.Peek() == '"' {
			// A list of strings, the usual case, needs no path for each item.
			if err := d.value(list.Index(n)); err != nil {
				return err
			}
			continue
		}
		whole := d.path[at]
		d.path[at] = whole + "[" + strconv.Itoa(n) + "]"
		if err := d.value(list.Index(n)); err != nil {
			return err
		}
		d.path[at] = whole
	}
	v.Set(list)
	return nil
}

func (d *decoder) string(v reflect.Value) error {
	if d.Peek() != '"' {
		return d.want("a string")
	}
	s, err := d.Text()
	if err != nil {
		return d.invalid(err.Error())
	}
	if err := d.charge(len(s)); err != nil {
		return err
	}
	v.SetString(s)
	if e, ok := v.Interface().(interface{ Strings() []string }); ok && !slices.Contains(e.Strings(), s) {
		return vim.InvalidArgument(strings.Join(d.path, "."), fmt.Errorf("not a value of %s", v.Type().Name()))
	}
	return nil
}

func (d *decoder) primitive(v reflect.Value) error {
	switch d.Peek() {
	case '"', '{', '[', 'n':
		return d.want("a " + kindName(v.Kind()))
	}
	text := string(d.Literal())
	var err error
	switch v.Kind() {
	case reflect.Bool:
		if text != "true" && text != "false" {
			return d.want("a boolean")
		}
		v.SetBool(text == "true")
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Int:
		var n int64
		n, err = strconv.ParseInt(text, 10, v.Type().Bits())
		v.SetInt(n)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		var n uint64
		n, err = strconv.ParseUint(text, 10, v.Type().Bits())
		v.SetUint(n)
	case reflect.Float32, reflect.Float64:
		var f float64
		f, err = strconv.ParseFloat(text, v.Type().Bits())
		v.SetFloat(f)
	default:
		return d.invalid("a field of a type that can't be given")
	}
	if err != nil {
		return d.want("a " + kindName(v.Kind()))
	}
	return nil
}

// kindName returns the name that the API has for a primitive type.
func kindName(k reflect.Kind) string {
	for name, t := range boxed {
		if t.Kind() == k && k != reflect.String && k != reflect.Slice && k != reflect.Struct {
			return name
		}
	}
	return k.String()
}

func (d *decoder) time(v reflect.Value) error {
	if d.Peek() != '"' {
		return d.want("a dateTime")
	}
	s, err := d.Text()
	if err != nil {
		return d.invalid(err.Error())
	}
	t, err := schema.ParseRFC3339(s)
	if err != nil {
		return d.want(err.Error() + ", as RFC 3339 has it")
	}
	v.Set(reflect.ValueOf(t))
	return nil
}

func (d *decoder) binary(v reflect.Value) error {
	if d.Peek() != '"' {
		return d.want("a string of base64")
	}
	s, err := d.Text()
	if err != nil {
		return d.invalid(err.Error())
	}
	if err := d.charge(len(s)); err != nil {
		return err
	}
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || strings.ContainsAny(s, "\r\n") {
		return d.want("a string of base64")
	}
	v.SetBytes(b)
	return nil
}

// enter moves past the bracket that opens a list or an object.
func (d *decoder) enter(open byte) error {
	if d.Peek() != open {
		if open == '[' {
			return d.want("a list")
		}
		return d.want("an object")
	}
	if d.depth++; d.depth > maxDepth {
		return d.invalid("the body is nested too deeply")
	}
	d.Pos++
	return nil
}

func (d *decoder) leave() { d.depth-- }

// charge adds n bytes to the memory that the body takes. It fails if the sum exceeds maxMemory.
func (d *decoder) charge(n int) error {
	if d.memory += n; d.memory > maxMemory {
		return d.invalid("the body holds too much")
	}
	return nil
}

func (d *decoder) invalid(reason string) error { return vim.InvalidRequest(reason) }

// want returns the fault for a value that is not what its place requires. The fault does not repeat the
// value, because it may be a password.
func (d *decoder) want(what string) error {
	if len(d.path) == 0 {
		return vim.InvalidRequest("want " + what)
	}
	return vim.InvalidRequest(strings.Join(d.path, ".") + ": want " + what)
}

func (d *decoder) missing(name string) error {
	return vim.InvalidArgument(strings.Join(append(slices.Clone(d.path), name), "."), fmt.Errorf("not given"))
}
