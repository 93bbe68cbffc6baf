// Package schema says what the API's types are made of, and which of them a
// stranger's bytes may name: what all codecs of theirs have to agree on.
package schema

import (
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/vmware/govmomi/vim25/types"
)

// Types of the API that are not what their kind says.
var (
	Time      = reflect.TypeFor[time.Time]()
	Bytes     = reflect.TypeFor[[]byte]()
	Reference = reflect.TypeFor[types.ManagedObjectReference]()
)

// Simple are the types of the API that are no objects, by their names in XML
// Schema. The API's own names begin with a capital letter, so that neither can
// be mistaken for the other.
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

// Member is one of a struct's.
type Member struct {
	Name  string // as the tag has it
	Index []int  // for reflect.Value.FieldByIndex
	Field reflect.StructField
	Owner reflect.Type // the struct that declares it: the one asked for, or a base of it
	// OmitEmpty: the tag says so.
	OmitEmpty bool
	// Optional: it may be left out, which the library says in its tags of JSON.
	Optional bool
}

// Struct is what a struct is made of.
type Struct struct {
	Members []Member
	// Request: the type is a method's, which is no data object.
	Request bool
}

// Of lists a struct's members by the names that a tag gives them (json, xml),
// those of an embedded base type first. A member that is in the base as well
// takes the base's place. The object that a method's request is for is none.
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
		s.Members = append(s.Members, Member{Name: name, Index: at, Field: f, Owner: t, OmitEmpty: omit, Optional: optional})
	}
}

func parseTag(f reflect.StructField, tag string) (name string, omitEmpty bool) {
	name, options, _ := strings.Cut(f.Tag.Get(tag), ",")
	return name, slices.Contains(strings.Split(options, ","), "omitempty")
}

// Named finds the data object or the enumeration that a stranger means by a
// name: a plain name of the API's, and exactly the one that spell writes the type
// with. So no name is ever taken apart, and no type is made.
func Named(name string, spell func(reflect.Type) string) (reflect.Type, bool) {
	t, ok := types.TypeFunc()(name)
	if !ok || spell(t) != name {
		return nil, false
	}
	return t, t.Kind() == reflect.String || t.Kind() == reflect.Struct
}

// IsList reports whether a type is a list. []byte is not: it is binary data.
func IsList(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8
}

// IsObject reports whether a type is a struct with members. A time is not.
func IsObject(t reflect.Type) bool { return t.Kind() == reflect.Struct && t != Time }

// Empty reports whether a member that may be left out has the value that means that
// it is. Times and objects are never empty.
func Empty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice:
		return v.Len() == 0
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}

// ListName is the API's name of a list, given that of its elements.
func ListName(elem string) string {
	elem = strings.TrimPrefix(elem, "Base")
	return "ArrayOf" + strings.ToUpper(elem[:1]) + elem[1:]
}

// Declared is the type of the API that an interface such as BaseEvent stands
// for.
func Declared(iface reflect.Type) (reflect.Type, bool) {
	if !strings.HasPrefix(iface.Name(), "Base") {
		return nil, false
	}
	t, ok := types.TypeFunc()(iface.Name())
	return t, ok && t.Kind() == reflect.Struct
}
