package soap

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/schema"
	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/xmltoken"
)

const (
	// maxMemory limits the memory of the values that are decoded from one message, in bytes. The size of the
	// message, maxBody, is not enough as a limit: "<x/>" can become an object of a kilobyte.
	maxMemory = 64 << 20
)

// decoder decodes elements into values of the types that are declared for them. Its errors are *vim.Fault
// if the API does not allow the element, and *xmltoken.Error if the text is not XML.
type decoder struct {
	*reader
	codec  *codec
	types  typer
	memory int
}

// typer finds the type of an object by the object's id. It returns "" if no object has the id.
type typer interface {
	typeOf(id string) (string, error)
}

// step is one member on the path to the element that is being read, and its index if the member is a list.
type step struct {
	name string
	item int // index in the list; -1 if the member is no list
}

// where returns the path to the element that is being read, or to a member of it if one is given. Faults
// name it.
func (d *decoder) where(member ...string) string {
	var b strings.Builder
	for _, s := range d.path {
		b.WriteString("." + s.name)
		if s.item >= 0 {
			b.WriteString("[" + strconv.Itoa(s.item) + "]")
		}
	}
	for _, name := range member {
		b.WriteString("." + name)
	}
	return strings.TrimPrefix(b.String(), ".")
}

// object decodes the children of the current element into a struct.
func (d *decoder) object(v reflect.Value, p *plan) error {
	var few [24]bool
	seen := few[:]
	if len(p.Members) > len(few) {
		seen = make([]bool, len(p.Members))
	}
	for i := 0; ; {
		e, err := d.Child()
		if err != nil {
			return err
		}
		if e == nil {
			break
		}
		// Most clients write the members in the order of the API, so the next one is tried first.
		ok := i < len(p.Members) && p.Members[i].Name == string(e.Name)
		if !ok {
			i, ok = p.ByName[string(e.Name)]
		}
		if !ok || !ours(e) {
			return d.invalid("unknown element " + vim.Quote(string(e.Name)))
		}
		m := &p.Members[i]
		list := m.Own.list
		if seen[i] && !list {
			return d.invalid("the element " + vim.Quote(m.Name) + " is repeated")
		}
		if absent(e) {
			if err := d.Skip(); err != nil {
				return err
			}
			continue
		}
		seen[i] = true
		if err := d.member(m.Of(v), m, e, list); err != nil {
			return err
		}
		if !list {
			i++
		}
	}
	for i := range p.Members {
		if p.Members[i].Own.required && !seen[i] {
			return d.missing(p.Members[i].Name)
		}
	}
	return nil
}

// listed reports whether a value of the type is written as several elements.
func listed(t reflect.Type) bool { return t.Kind() == reflect.Slice && t != schema.Bytes }

// member decodes one element into the member m of a struct. If the member is a list, the element is
// appended.
func (d *decoder) member(v reflect.Value, m *field, e *xmltoken.Token, list bool) error {
	item := -1
	if list {
		// Grow doubles the capacity, so that an element can take the memory of two.
		if err := d.charge(2 * int(m.Type.Elem().Size())); err != nil {
			return err
		}
		item = v.Len()
		v.Grow(1)
		v.SetLen(item + 1)
		v = v.Index(item)
	}
	d.path = append(d.path, step{m.Name, item})
	err := d.value(v, e)
	d.path = d.path[:len(d.path)-1]
	return err
}

// value decodes the current element into v, by the type of v.
func (d *decoder) value(v reflect.Value, e *xmltoken.Token) error {
	switch v.Kind() {
	case reflect.Pointer:
		if err := d.charge(int(v.Type().Elem().Size())); err != nil {
			return err
		}
		v.Set(reflect.New(v.Type().Elem()))
		return d.value(v.Elem(), e)
	case reflect.Interface:
		return d.dynamic(v, e)
	}
	if name := claimed(e); name != "" && !fits(name, v.Type()) {
		return d.invalid(vim.Quote(name) + " is not a kind of " + bareName(v.Type()))
	}
	if !schema.IsObject(v.Type()) {
		return d.simple(v)
	}
	if v.Type() == schema.Reference {
		return d.reference(v, e)
	}
	return d.object(v, d.codec.plans.Of(v.Type()))
}

// fits reports whether a type that an element names in xsi:type can stand where t is declared. Types of the API have
// subtypes only if they are declared as an interface, which dynamic decodes. A numeric type of XML Schema is accepted
// in place of a wider one.
func fits(name string, t reflect.Type) bool {
	got, ok := simple[name]
	if !ok {
		if name == t.Name() && t.Kind() == reflect.Struct {
			return true
		}
		// The library declares some of the API's enumerations as plain strings.
		got, ok = enumeration(name)
		return ok && t.Kind() == reflect.String && (t.Name() == "string" || t == got)
	}
	if integer(got) && integer(t) {
		return got.Size() <= t.Size()
	}
	return got == t || got.Kind() == reflect.String && t.Kind() == reflect.String
}

func integer(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Uint8, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return true
	}
	return false
}

// reference decodes a reference to a managed object. The id is the text of the element, the other members
// are attributes.
func (d *decoder) reference(v reflect.Value, e *xmltoken.Token) error {
	ref, err := d.managedObject(e)
	if err != nil {
		return err
	}
	*v.Addr().Interface().(*types.ManagedObjectReference) = ref
	return nil
}

// simple decodes the text of the current element.
func (d *decoder) simple(v reflect.Value) error {
	text, err := d.Text()
	if errors.Is(err, xmltoken.ErrNotText) {
		return d.want("a simple value")
	}
	if err != nil {
		return err
	}
	if err := d.charge(len(text)); err != nil {
		return err
	}
	if v.Kind() == reflect.String {
		return d.string(v, d.codec.text(text))
	}
	if v.Type() == schema.Bytes {
		b, err := base64.StdEncoding.AppendDecode(nil, bytes.Map(dropSpace, text))
		if err != nil {
			return d.want("base64")
		}
		v.SetBytes(b)
		return nil
	}
	text = bytes.Trim(text, " \t\r\n")
	if v.Type() == schema.Time {
		return d.time(v, string(text))
	}
	if err := setNumber(v, string(text)); err != nil {
		return d.want("a " + bareName(v.Type()))
	}
	return nil
}

func dropSpace(r rune) rune {
	switch r {
	case ' ', '\t', '\r', '\n':
		return -1
	}
	return r
}

func (d *decoder) string(v reflect.Value, text string) error {
	v.SetString(text)
	if v.Type() == stringType {
		return nil
	}
	if e, ok := v.Interface().(interface{ Strings() []string }); ok && !slices.Contains(e.Strings(), text) {
		return vim.InvalidArgument(d.where(), fmt.Errorf("not a value of %s", v.Type().Name()))
	}
	return nil
}

func (d *decoder) time(v reflect.Value, text string) error {
	t, err := schema.ParseXSD(text)
	if err != nil {
		return d.want(err.Error())
	}
	v.Set(reflect.ValueOf(t))
	return nil
}

// setNumber parses a number or a boolean in the forms that XML Schema allows.
func setNumber(v reflect.Value, text string) error {
	switch v.Kind() {
	case reflect.Bool:
		switch text {
		case "true", "1":
			v.SetBool(true)
		case "false", "0":
			v.SetBool(false)
		default:
			return strconv.ErrSyntax
		}
		return nil
	case reflect.Uint8:
		// A byte is signed in the API and unsigned in the library. Clients that use the library send either.
		n, err := strconv.ParseInt(text, 10, 16)
		if err != nil || n < -128 || n > 255 {
			return strconv.ErrRange
		}
		v.SetUint(uint64(uint8(n)))
		return nil
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, v.Type().Bits())
		v.SetInt(n)
		return err
	case reflect.Float32, reflect.Float64:
		if strings.ContainsAny(text, "xX_pPiI") && !strings.HasSuffix(text, "INF") {
			return strconv.ErrSyntax // forms that only Go has
		}
		n, err := strconv.ParseFloat(text, v.Type().Bits())
		v.SetFloat(n)
		return err
	}
	return strconv.ErrSyntax
}

// charge adds n bytes to the memory that the message takes. It fails if the sum exceeds maxMemory.
func (d *decoder) charge(n int) error {
	if d.memory += n; d.memory > maxMemory {
		return d.invalid("the message holds too much")
	}
	return nil
}

func (d *decoder) invalid(reason string) error { return vim.InvalidRequest(reason) }

// want returns the fault for an element that is not what its place requires. The fault does not repeat the
// text of the element, because it may be a password.
func (d *decoder) want(what string) error {
	return vim.InvalidRequest(d.where() + ": want " + what)
}

func (d *decoder) missing(name string) error {
	return vim.InvalidArgument(d.where(name), errors.New("not given"))
}
