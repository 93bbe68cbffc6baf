package vijson

import (
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vmware/govmomi/vim25/types"
)

const (
	typeNameKey = "_typeName"
	valueKey    = "_value"
)

var (
	timeType      = reflect.TypeFor[time.Time]()
	bytesType     = reflect.TypeFor[[]byte]()
	referenceType = reflect.TypeFor[types.ManagedObjectReference]()
)

// boxed are the types of the API that are no objects, by the name that a box
// around one has.
var boxed = map[string]reflect.Type{
	"boolean":      reflect.TypeFor[bool](),
	"byte":         reflect.TypeFor[uint8](),
	"short":        reflect.TypeFor[int16](),
	"int":          reflect.TypeFor[int32](),
	"long":         reflect.TypeFor[int64](),
	"float":        reflect.TypeFor[float32](),
	"double":       reflect.TypeFor[float64](),
	"string":       reflect.TypeFor[string](),
	"anyURI":       reflect.TypeFor[string](),
	"binary":       bytesType,
	"base64Binary": bytesType,
	"dateTime":     timeType,
}

// plan is how a struct stands in JSON.
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
	// required: the tag does not say omitempty.
	required bool
	// head is what stands before the value: ,"name":
	head string
}

// codec reads and writes the API's types. Its zero value is ready.
type codec struct {
	plans sync.Map // of *plan by reflect.Type; as many as there are types
}

func (c *codec) plan(t reflect.Type) *plan {
	if p, ok := c.plans.Load(t); ok {
		return p.(*plan)
	}
	p := &plan{name: types.VmomiTypeName(t), byName: map[string]int{}}
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
		if f.Anonymous && f.Type.Kind() == reflect.Struct && f.Tag.Get("json") == "" {
			p.add(f.Type, at)
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" {
			p.request = p.request || f.Type == referenceType
			continue
		}
		if name == "" {
			name = f.Name
		}
		p.members = slices.DeleteFunc(p.members, func(m member) bool { return m.name == name })
		p.members = append(p.members, member{
			name: name, index: at, typ: f.Type,
			required: !slices.Contains(strings.Split(options, ","), "omitempty"),
			head:     `,"` + name + `":`,
		})
	}
}

// dataType finds the type that a stranger's _typeName means: a plain name of
// the API's, and exactly the one that the type is written with. So no name is
// ever taken apart, and no type is made.
func (c *codec) dataType(name string) (reflect.Type, bool) {
	t, ok := types.TypeFunc()(name)
	if !ok || types.VmomiTypeName(t) != name {
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
