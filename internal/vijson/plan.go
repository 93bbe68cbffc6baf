package vijson

import (
	"reflect"

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

// member is what the codec keeps for a member of a struct.
type member struct {
	head string // what stands before the value: ,"name":
}

// plan and field are how a struct and a member of it stand in JSON.
type (
	plan  = schema.Plan[member]
	field = schema.Field[member]
)

// codec reads and writes the API's types.
type codec struct {
	plans *schema.Plans[member]
}

func newCodec() *codec {
	return &codec{schema.NewPlans(schema.Codec[member]{
		Tag: "json", Spell: types.VmomiTypeName,
		Own: func(_ reflect.Type, m schema.Member) member { return member{`,"` + m.Name + `":`} },
	})}
}
