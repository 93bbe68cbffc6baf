package soap

import (
	"reflect"
	"strings"
	"sync"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/schema"
	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/xmltoken"
)

var (
	stringType  = reflect.TypeFor[string]()
	octetsType  = reflect.TypeFor[types.ByteSlice]() // a list of xsd:byte
	sessionType = reflect.TypeFor[types.UserSession]()
)

// simple are the types of XML Schema, by their name there, that the API uses.
var simple = schema.Simple()

// member is what the codec keeps for a member of a struct.
type member struct {
	list bool // of elements
	// required in a request. A list is not: an empty one has no element.
	required bool
	// since is the first release that has the member; zero: older than any that
	// is told apart.
	since vim.Release
}

// plan and field are how a struct and a member of it stand in XML.
type (
	plan  = schema.Plan[member]
	field = schema.Field[member]
)

// codec reads and writes the API's types.
type codec struct {
	plans   *schema.Plans[member]
	readers sync.Pool // of *reader, which are zero
	// names are those of the API's objects and of what they have, by themselves.
	// It is set before the first request, and only read.
	names map[string]string
}

func newCodec() *codec {
	unmarked := releases()
	return &codec{plans: schema.NewPlans(schema.Codec[member]{
		Tag: "xml", Spell: reflect.Type.Name,
		Own: func(_ reflect.Type, m schema.Member) member {
			list := listed(m.Field.Type)
			return member{list: list, required: !list && !m.Optional, since: since(m, unmarked)}
		},
	})}
}

// learn takes the names of the API's objects and of what they have, which are
// most of what a request says.
func (c *codec) learn(objects []*vim.Object) {
	c.names = map[string]string{}
	for _, o := range objects {
		c.names[o.Type], c.names[o.ID] = o.Type, o.ID
		for i := range o.Methods {
			c.names[o.Methods[i].Name] = o.Methods[i].Name
		}
		for i := range o.Properties {
			c.names[o.Properties[i].Name] = o.Properties[i].Name
		}
	}
}

// text is what the bytes say: for a name of the API the one that is there.
func (c *codec) text(b []byte) string {
	if name, ok := c.names[string(b)]; ok {
		return name
	}
	return string(b)
}

// reader reads a message, and keeps the path to what is read.
type reader struct {
	xmltoken.Reader
	path []step

	steps [8]step // the first memory of path, enough for nearly all requests
}

// signed are what a login method verifies: the WS-Security header.
var signed = xmltoken.Options{Signed: []string{nsSecurity}}

// reader returns a reader of the message. It is given back with done.
func (c *codec) reader(message []byte) *reader {
	r, ok := c.readers.Get().(*reader)
	if !ok {
		r = &reader{}
	}
	r.Start(message, signed)
	r.path = r.steps[:0]
	return r
}

// done takes back a reader that is no longer used, and clears all of the message
// from it.
func (c *codec) done(r *reader) {
	*r = reader{}
	c.readers.Put(r)
}

// typeName is what xsi:type says of a value of the type that is no list.
func typeName(t reflect.Type) string {
	if name := bareName(t); name[0] >= 'a' {
		return "xsd:" + name
	}
	return t.Name()
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
		if t == schema.Time {
			return "dateTime"
		}
		return t.Name() // "string" of the plain one
	case reflect.Slice:
		if t == schema.Bytes {
			return "base64Binary"
		}
	}
	return "anyType"
}
