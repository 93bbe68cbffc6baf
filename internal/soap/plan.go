package soap

import (
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/vim"
)

var (
	stringType    = reflect.TypeFor[string]()
	timeType      = reflect.TypeFor[time.Time]()
	bytesType     = reflect.TypeFor[[]byte]()          // xsd:base64Binary
	octetsType    = reflect.TypeFor[types.ByteSlice]() // a list of xsd:byte
	referenceType = reflect.TypeFor[types.ManagedObjectReference]()
)

// simple are the types of XML Schema, by their name there, that the API uses.
// The API's own names begin with a capital letter, so that neither can be
// mistaken for the other whatever the prefix.
var simple = map[string]reflect.Type{
	"boolean":      reflect.TypeFor[bool](),
	"byte":         reflect.TypeFor[uint8](), // signed on the wire
	"short":        reflect.TypeFor[int16](),
	"int":          reflect.TypeFor[int32](),
	"long":         reflect.TypeFor[int64](),
	"float":        reflect.TypeFor[float32](),
	"double":       reflect.TypeFor[float64](),
	"string":       reflect.TypeFor[string](),
	"anyURI":       reflect.TypeFor[string](),
	"base64Binary": bytesType,
	"dateTime":     timeType,
}

// plan is how a struct stands in XML.
type plan struct {
	name    string
	members []member
	byName  map[string]int
	// request: the type is a method's, which is no data object.
	request bool
}

type member struct {
	name  string
	index []int
	typ   reflect.Type
	// omitted where it has its type's zero value.
	omitted bool
	// required in a request. A list is not: an empty one has no element.
	required bool
	// since is the first release that has the member; zero: older than any that
	// is told apart.
	since vim.Release
}

// codec reads and writes the API's types. Its zero value is ready.
type codec struct {
	plans   sync.Map  // of *plan by reflect.Type; as many as there are types
	readers sync.Pool // of *reader, which are zero
}

// reader is one for the message. done is called when nothing uses it any more;
// it leaves nothing of the message behind.
func (c *codec) reader(message []byte) (r *reader, done func()) {
	r, ok := c.readers.Get().(*reader)
	if !ok {
		r = &reader{}
	}
	r.plain.start(message)
	r.path = r.steps[:0]
	return r, func() {
		*r = reader{}
		c.readers.Put(r)
	}
}

func (c *codec) plan(t reflect.Type) *plan {
	if p, ok := c.plans.Load(t); ok {
		return p.(*plan)
	}
	p := &plan{name: t.Name(), byName: map[string]int{}}
	p.add(t, nil)
	for i, m := range p.members {
		p.byName[m.name] = i
	}
	got, _ := c.plans.LoadOrStore(t, p)
	return got.(*plan)
}

// add appends t's members, those of an embedded base type first. A member that
// is in the base as well takes the base's place.
func (p *plan) add(t reflect.Type, index []int) {
	for i := range t.NumField() {
		f := t.Field(i)
		at := append(slices.Clone(index), i)
		name, options, _ := strings.Cut(f.Tag.Get("xml"), ",")
		if f.Anonymous && f.Type.Kind() == reflect.Struct && name == "" {
			p.add(f.Type, at)
			continue
		}
		if name == "_this" {
			p.request = true
			continue
		}
		_, json, _ := strings.Cut(f.Tag.Get("json"), ",")
		list := f.Type.Kind() == reflect.Slice && f.Type != bytesType
		p.members = slices.DeleteFunc(p.members, func(m member) bool { return m.name == name })
		p.members = append(p.members, member{
			name: name, index: at, typ: f.Type,
			omitted:  slices.Contains(strings.Split(options, ","), "omitempty"),
			required: !list && !slices.Contains(strings.Split(json, ","), "omitempty"),
			since:    since(t, f),
		})
	}
}

// since is when a member came into the API.
func since(t reflect.Type, f reflect.StructField) vim.Release {
	if r, ok := unmarked[t.Name()+"."+f.Name]; ok {
		return r
	}
	r, err := vim.ParseRelease(f.Tag.Get("vim"))
	if err != nil {
		return vim.Release{}
	}
	return r
}

// dataType finds the type that a stranger's xsi:type means: a plain name of the
// API's, and exactly the one that the type is written with. So no name is ever
// taken apart, and no type is made.
func (c *codec) dataType(name string) (reflect.Type, bool) {
	t, ok := types.TypeFunc()(name)
	if !ok || t.Name() != name {
		return nil, false
	}
	switch t.Kind() {
	case reflect.Struct:
		return t, !c.plan(t).request
	case reflect.String:
		return t, true
	}
	return nil, false
}

// declared is the type of the API that an interface such as BaseEvent stands
// for.
func declared(iface reflect.Type) (reflect.Type, bool) {
	if !strings.HasPrefix(iface.Name(), "Base") {
		return nil, false
	}
	t, ok := types.TypeFunc()(iface.Name())
	return t, ok && t.Kind() == reflect.Struct
}

// typeName is what xsi:type says of a value of the type that is no list.
func typeName(t reflect.Type) string {
	if name := bareName(t); name[0] >= 'a' {
		return "xsd:" + name
	}
	return t.Name()
}

// listName is what xsi:type says of a list.
func listName(elem reflect.Type) string {
	name := bareName(elem)
	return "ArrayOf" + strings.ToUpper(name[:1]) + name[1:]
}

// bareName is a type's name without a prefix, also of the elements of a list
// where it stands alone. It is "anyType" for types that the API does not have.
func bareName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return bareName(t.Elem())
	case reflect.Interface:
		if name, ok := strings.CutPrefix(t.Name(), "Base"); ok {
			return name
		}
		return "anyType"
	case reflect.Bool:
		return "boolean"
	case reflect.Uint8, reflect.Int8:
		return "byte"
	case reflect.Int16:
		return "short"
	case reflect.Int32:
		return "int"
	case reflect.Int64, reflect.Int:
		return "long"
	case reflect.Float32:
		return "float"
	case reflect.Float64:
		return "double"
	case reflect.String, reflect.Struct:
		if t == timeType {
			return "dateTime"
		}
		return t.Name() // "string" of the plain one
	case reflect.Slice:
		if t == bytesType {
			return "base64Binary"
		}
	}
	return "anyType"
}
