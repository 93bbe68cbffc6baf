// Package schema describes the data types of the vSphere API for the codecs: the members of each
// struct, the names of the types, and how dates are written. Both JSON and XML codecs use it, so
// that they agree.
//
// [Of] lists the members of a struct. [Named] finds the type that a client names; it accepts only
// types of the API, so a client can't make the server create any other value. A [Plans] caches what
// a codec needs for each type. The types themselves are those of govmomi's package vim25/types. The
// package does not encode or decode values; the codecs do.
package schema

import (
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/vmware/govmomi/vim25/types"
)

// Types of the API that need special treatment.
var (
	Time      = reflect.TypeFor[time.Time]()
	Bytes     = reflect.TypeFor[[]byte]()
	Reference = reflect.TypeFor[types.ManagedObjectReference]()
)

// Simple returns the types of the API that are not objects, by their names in XML Schema. Names of
// the API's own types begin with a capital letter, so the two can't be confused.
func Simple() map[string]reflect.Type {
	return map[string]reflect.Type{
		"boolean":      reflect.TypeFor[bool](),
		"byte":         reflect.TypeFor[uint8](), // signed in the API
		"short":        reflect.TypeFor[int16](),
		"int":          reflect.TypeFor[int32](),
		"long":         reflect.TypeFor[int64](),
		"float":        reflect.TypeFor[float32](),
		"double":       reflect.TypeFor[float64](),
		"string":       reflect.TypeFor[string](),
		"anyURI":       reflect.TypeFor[string](),
		"base64Binary": Bytes,
		"dateTime":     Time,
	}
}

// Member is a member of a struct.
type Member struct {
	Name  string // name in the struct tag
	Index []int  // for reflect.Value.FieldByIndex
	Field reflect.StructField
	Owner reflect.Type // struct that declares the member: the given one or one of its bases
	// OmitEmpty is true if the tag says to omit the member when it is empty.
	OmitEmpty bool
	// Optional is true if the member may be missing. govmomi says so in its JSON tags.
	Optional bool
}

// Struct describes a struct.
type Struct struct {
	Members []Member
	// Request is true if the type is the request of a method. Requests are not data objects.
	Request bool
}

// Of lists the members of a struct with the names in the given tag (json or xml). The members of an
// embedded base type come first. A member that the base also has takes the place of the base's. The
// member of a request that names the object is not listed.
func Of(t reflect.Type, tag string) Struct {
	var s Struct
	s.add(t, tag, nil)
	return s
}

func (s *Struct) add(t reflect.Type, tag string, index []int) {
	for i := range t.NumField() {
		f := t.Field(i)
		at := append(slices.Clone(index), i)
		name, omit := parseTag(f, tag)
		if f.Anonymous && f.Type.Kind() == reflect.Struct && name == "" {
			s.add(f.Type, tag, at)
			continue
		}
		if this, _ := parseTag(f, "xml"); this == "_this" {
			s.Request = true
			continue
		}
		if name == "-" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		_, optional := parseTag(f, "json")
		s.Members = slices.DeleteFunc(s.Members, func(m Member) bool { return m.Name == name })
		s.Members = append(s.Members, Member{Name: name, Index: at, Field: f, Owner: t, OmitEmpty: omit,
			Optional: optional})
	}
}

// parseTag returns what the tag says of a field. A few of the library's types have no tags for JSON: what
// their tags for XML say is that of the API.
func parseTag(f reflect.StructField, tag string) (name string, omitEmpty bool) {
	text, ok := f.Tag.Lookup(tag)
	if !ok {
		text = f.Tag.Get("xml")
	}
	name, options, _ := strings.Cut(text, ",")
	return name, slices.Contains(strings.Split(options, ","), "omitempty")
}

// Named returns the data object or enumeration that a client means by a name. The name must be
// exactly what spell returns for the type. Names are never taken apart, and no new types are
// created.
func Named(name string, spell func(reflect.Type) string) (reflect.Type, bool) {
	t, ok := types.TypeFunc()(name)
	if !ok || spell(t) != name {
		return nil, false
	}
	return t, t.Kind() == reflect.String || t.Kind() == reflect.Struct
}

// IsList reports whether a type is a list. A []byte is binary data and not a list.
func IsList(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8
}

// IsObject reports whether a type is a struct with members. A time is not an object.
func IsObject(t reflect.Type) bool { return t.Kind() == reflect.Struct && t != Time }

// Empty reports whether an optional member has the value that means that it is missing. Times and
// objects are never empty.
func Empty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice:
		return v.Len() == 0
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}

// ListName returns the API's name for a list of elem.
func ListName(elem string) string {
	elem = strings.TrimPrefix(elem, "Base")
	return "ArrayOf" + strings.ToUpper(elem[:1]) + elem[1:]
}

// Declared returns the API type that an interface such as BaseEvent stands for.
func Declared(iface reflect.Type) (reflect.Type, bool) {
	if !strings.HasPrefix(iface.Name(), "Base") {
		return nil, false
	}
	t, ok := types.TypeFunc()(iface.Name())
	return t, ok && t.Kind() == reflect.Struct
}
