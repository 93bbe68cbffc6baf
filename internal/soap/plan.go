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
	sessionType = reflect.TypeFor[types.UserSession]()
)

// simple maps the names of XML Schema's types to the Go types that the API uses for them.
var simple = schema.Simple()

// member is what the codec needs to know about a member of a struct.
type member struct {
	list bool // a list of elements
	// required is set if a request must contain the member. A list is never required: an empty list has no
	// element.
	required bool
	// since is the first release that has the member. It is zero if all releases that this server distinguishes
	// have it.
	since vim.Release
}

// plan and field describe how a struct and its members are written in XML.
type (
	plan  = schema.Plan[member]
	field = schema.Field[member]
)

// codec encodes and decodes the API's types. It is safe for concurrent use once learn has returned.
type codec struct {
	plans   *schema.Plans[member]
	readers sync.Pool // of *reader, cleared
	// names holds the types, ids, methods and properties of the API's objects, each under itself, so that text
	// needs no allocation for them. learn fills it before the first request.
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

// learn records the names of the API's objects, of their methods and of their properties. Most texts in a
// request are such names.
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

// text returns b as a string. For a name of the API it returns the existing string, without an allocation.
func (c *codec) text(b []byte) string {
	if name, ok := c.names[string(b)]; ok {
		return name
	}
	return string(b)
}

// reader reads a message, and keeps the path to the element that is being read.
type reader struct {
	xmltoken.Reader
	path []step

	steps [8]step // the first memory of path, which suffices for nearly all requests
}

// signed selects the part of a message whose signature a login method verifies: the WS-Security header.
var signed = xmltoken.Options{Signed: []string{nsSecurity}}

// reader returns a reader of the message. The caller gives it back with done.
func (c *codec) reader(message []byte) *reader {
	r, ok := c.readers.Get().(*reader)
	if !ok {
		r = &reader{}
	}
	r.Start(message, signed)
	r.path = r.steps[:0]
	return r
}

// done takes back a reader that is no longer used. It clears the reader, so that no part of the message
// stays in memory.
func (c *codec) done(r *reader) {
	*r = reader{}
	c.readers.Put(r)
}

// typeName returns the value of xsi:type for a value of the type, which must not be a list.
func typeName(t reflect.Type) string {
	if name := bareName(t); name[0] >= 'a' {
		return "xsd:" + name
	}
	return t.Name()
}

// bareName returns the name of a type without a prefix. An item of a list that stands alone has this name
// as its element. It is "anyType" for types that the API does not have.
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
		return t.Name() // "string" if it is Go's own
	case reflect.Slice:
		if t == schema.Bytes {
			return "base64Binary"
		}
	}
	return "anyType"
}
