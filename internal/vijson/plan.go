package vijson

import (
	"reflect"
	"sync"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/schema"
)

const (
	typeNameKey = "_typeName"
	valueKey    = "_value"
)

// boxed are the types of the API that are no objects, by the name that a box
// around one has.
var boxed = func() map[string]reflect.Type {
	all := schema.Simple()
	all["binary"] = schema.Bytes
	return all
}()

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
	of := schema.Of(t, "json")
	p := &plan{name: types.VmomiTypeName(t), byName: map[string]int{}, request: of.Request}
	for i, m := range of.Members {
		p.byName[m.Name] = i
		p.members = append(p.members, member{
			name: m.Name, index: m.Index, typ: m.Field.Type, required: !m.OmitEmpty, head: `,"` + m.Name + `":`,
		})
	}
	got, _ := c.plans.LoadOrStore(t, p)
	return got.(*plan)
}

// dataType finds the type that a stranger's _typeName means.
func (c *codec) dataType(name string) (reflect.Type, bool) {
	t, ok := schema.Named(name, types.VmomiTypeName)
	return t, ok && (t.Kind() != reflect.Struct || !c.plan(t).request)
}
