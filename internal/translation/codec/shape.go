package codec

import (
	"reflect"
	"strings"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/schema"
	"github.com/vigate/vigate/internal/vim"
)

// kind says how a value is written.
type kind byte

const (
	kindObject    kind = iota
	kindReference      // to a managed object
	kindAny            // names its own type
	kindText           // also of an enumeration or a URI
	kindBoolean
	kindByte
	kindShort
	kindInt
	kindLong
	kindFloat
	kindDouble
	kindTime
	kindBinary // base64 in both formats
	// kindOctets are bytes that SOAP has as one element for each, and JSON as base64. Such a member is
	// never a list.
	kindOctets
)

// simpleKinds are the kinds of the types that are not objects, by their names in XML Schema.
var simpleKinds = map[string]kind{
	"boolean": kindBoolean, "byte": kindByte, "short": kindShort, "int": kindInt, "long": kindLong,
	"float": kindFloat, "double": kindDouble, "string": kindText, "anyURI": kindText,
	"base64Binary": kindBinary, "dateTime": kindTime,
}

// bits are the sizes of the numbers.
var bits = map[kind]int{kindByte: 8, kindShort: 16, kindInt: 32, kindLong: 64, kindFloat: 32, kindDouble: 64}

// Shape is the type of a value.
type Shape struct {
	// Name is the name of the type in SOAP: string, VirtualMachineConfigSpec. For a list, it is that of
	// the items.
	Name string
	// List is true for a list, and Optional if the value may be unset.
	List, Optional bool

	kind kind
	of   *object // of kindObject
}

// object is a data object of the API.
type object struct {
	name    string
	goType  reflect.Type
	base    *object // nil if it extends nothing
	members []member
	byName  map[string]int
	// list is true for a type such as ArrayOfString, whose only member are the items.
	list bool
	// request is true for the request of a method, which is not a data object.
	request bool
}

// member is a member of an object.
type member struct {
	Shape
	name     string
	required bool
	// since is the release that added the member. It is zero if the first release of VI JSON has it.
	since vim.Release
}

// is reports whether o is t or one of its subtypes.
func (o *object) is(t *object) bool {
	for ; o != nil; o = o.base {
		if o == t {
			return true
		}
	}
	return false
}

const listPrefix = "ArrayOf"

// Schema finds the types of the API. It is safe for concurrent use.
type Schema struct{ types registry }

// NewSchema returns the schema of the library's types.
func NewSchema() *Schema { return new(Schema) }

// Shape returns the shape that a text describes: the name of a type, after [] for a list, after ? for
// a value that may be unset. bytes are a list of xsd:byte. ok is false if the API has no such type.
func (s *Schema) Shape(text string) (shape Shape, ok bool) {
	text, shape.Optional = strings.CutPrefix(text, "?")
	text, shape.List = strings.CutPrefix(text, "[]")
	shape.Name = text
	switch text {
	case "anyType":
		shape.kind = kindAny
		return shape, true
	case "bytes":
		shape.kind = kindOctets
		return shape, true
	}
	if k, simple := simpleKinds[text]; simple {
		shape.kind = k
		return shape, true
	}
	found, ok := s.types.named(text)
	found.List, found.Optional = shape.List, shape.Optional
	return found, ok
}

// shapeOf returns the shape of values of a Go type.
func (b *builder) shapeOf(t reflect.Type) Shape {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == octets:
		return Shape{Name: "byte", kind: kindOctets}
	case t == schema.Bytes:
		return Shape{Name: "base64Binary", kind: kindBinary}
	case t.Kind() == reflect.Slice:
		s := b.shapeOf(t.Elem())
		s.List = true
		return s
	case t == schema.Reference:
		return Shape{Name: t.Name(), kind: kindReference}
	case t.Kind() == reflect.Interface:
		base, ok := schema.Declared(t)
		if !ok {
			return Shape{Name: "anyType", kind: kindAny}
		}
		t = base
	}
	for name, simple := range goTypes {
		if t == simple && name != "anyURI" {
			return Shape{Name: name, kind: simpleKinds[name]}
		}
	}
	if t.Kind() == reflect.String {
		return Shape{Name: spelled(t), kind: kindText}
	}
	o := b.object(t)
	return Shape{Name: o.name, kind: kindObject, of: o}
}

var (
	octets  = reflect.TypeFor[types.ByteSlice]()
	goTypes = schema.Simple()
)

// GoType returns the library's type for a shape. An object stands for its subtypes too.
func (s *Schema) GoType(shape Shape) reflect.Type {
	var t reflect.Type
	switch {
	case shape.of != nil:
		t = shape.of.goType
	case shape.kind == kindAny:
		t = reflect.TypeFor[any]()
	case shape.kind == kindReference:
		t = schema.Reference
	case shape.kind == kindOctets:
		t = octets
	case goTypes[shape.Name] != nil:
		t = goTypes[shape.Name]
	default:
		t, _ = goType(shape.Name)
	}
	if shape.List {
		return reflect.SliceOf(t)
	}
	return t
}
