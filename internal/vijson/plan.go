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

// boxed maps the names that a box can have to the Go types of the values. These are the API's types that
// are not objects.
var boxed = func() map[string]reflect.Type {
	all := schema.Simple()
	all["binary"] = schema.Bytes
	return all
}()

// member is what the codec needs to know about a member of a struct.
type member struct {
	head string // the text before the value: ,"name":
	// since is the release that added the member. It is zero if the first release of VI JSON has it.
	since vim.Release
}

// since returns the release in the mark that the library's types have.
func since(m schema.Member) vim.Release {
	r, err := vim.ParseRelease(m.Field.Tag.Get("vim"))
	if err != nil || !vim.FirstRelease.Before(r) {
		return vim.Release{}
	}
	return r
}

// plan and field describe how a struct and its members are written in JSON.
type (
	plan  = schema.Plan[member]
	field = schema.Field[member]
)

// codec encodes and decodes the API's types. It is safe for concurrent use.
type codec struct {
	plans *schema.Plans[member]
}

func newCodec() *codec {
	return &codec{schema.NewPlans(schema.Codec[member]{
		Tag: "json", Spell: types.VmomiTypeName,
		Own: func(_ reflect.Type, m schema.Member) member { return member{`,"` + m.Name + `":`, since(m)} },
	})}
}
