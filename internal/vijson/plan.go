package vijson

import (
	"reflect"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/schema"
	"github.com/vigate/vigate/internal/vim"
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
	// since is the release that brought the member; zero: it is as old as VI JSON.
	since vim.Release
}

// since returns the release that the library's mark says.
func since(m schema.Member) vim.Release {
	r, err := vim.ParseRelease(m.Field.Tag.Get("vim"))
	if err != nil || !vim.FirstRelease.Before(r) {
		return vim.Release{}
	}
	return r
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
		Own: func(_ reflect.Type, m schema.Member) member { return member{`,"` + m.Name + `":`, since(m)} },
	})}
}
