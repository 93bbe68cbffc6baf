package openapi

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/schema"

	"github.com/vigate/vigate/internal/vim"
)

const typeName = "_typeName"

// kinds are types that can be used where the API declares a type that none of the objects has
// directly.
var kinds = map[string][]string{
	"SessionManagerServiceRequestSpec": {"SessionManagerHttpServiceRequestSpec",
		"SessionManagerVmomiServiceRequestSpec"},
}

// schemas collects the schemas of types, by name.
type schemas struct {
	done object
	todo []reflect.Type
	err  error
	// foreign is set while objects of another server are described.
	foreign bool
}

func newSchemas() *schemas {
	return &schemas{done: object{
		"AnyValue": object{
			"type": "object", "required": []string{typeName},
			"properties":  object{typeName: object{"type": "string"}, "_value": object{}},
			"description": "A data object, or a value of another type in _value. _typeName names the type.",
		},
		"FaultString": object{
			"type": "object", "required": []string{typeName, "faultstring"},
			"properties": object{
				typeName:      object{"type": "string"},
				"faultstring": object{"type": "string", "description": "The error message, in the caller's language."},
			},
		},
		"Unavailable": object{
			"type": "object", "required": []string{"faultstring"},
			"properties": object{"faultstring": object{"type": "string"}},
		},
	}}
}

// named requests the schema of a type of the API by its name.
func (s *schemas) named(name string) {
	t, ok := types.TypeFunc()(name)
	if !ok {
		s.err = fmt.Errorf("%s is not a type of the API", name)
		return
	}
	s.want(t)
}

// want requests the schema of a type and returns its name.
func (s *schemas) want(t reflect.Type) string {
	name := types.VmomiTypeName(t)
	if _, ok := s.done[name]; !ok {
		s.done[name] = object{}
		s.todo = append(s.todo, t)
	}
	return name
}

// complete makes the requested schemas, and all schemas that these request.
func (s *schemas) complete() {
	for len(s.todo) > 0 && s.err == nil {
		t := s.todo[len(s.todo)-1]
		s.todo = s.todo[:len(s.todo)-1]
		s.done[types.VmomiTypeName(t)] = s.make(t)
	}
}

// request makes the schema of a method's request and returns its name.
func (s *schemas) request(m *vim.Method) string {
	name := m.Name + "RequestType"
	schema := s.make(m.Args)
	// The path determines the type, and other members are not accepted.
	schema["additionalProperties"] = false
	schema["properties"].(object)[typeName] = object{"type": "string", "enum": names(m)}
	schema["required"] = slices.DeleteFunc(schema["required"].([]string), func(s string) bool { return s == typeName })
	if len(schema["required"].([]string)) == 0 {
		delete(schema, "required")
	}
	s.done[name] = schema
	return name
}

// names returns the type names that a request may have.
func names(m *vim.Method) []string {
	all := []string{m.Name, m.Name + "RequestType"}
	if n := m.Args.Name(); !slices.Contains(all, n) {
		all = append(all, n)
	}
	return all
}

// make makes the schema of a struct or an enumeration. A struct includes the members of its base
// types.
func (s *schemas) make(t reflect.Type) object {
	if t.Kind() == reflect.String {
		text := object{"type": "string"}
		if e, ok := reflect.Zero(t).Interface().(interface{ Strings() []string }); ok {
			text["enum"] = e.Strings()
		}
		return text
	}
	if t.Kind() != reflect.Struct {
		s.err = fmt.Errorf("%v is not a data object", t)
		return nil
	}
	self := object{"type": "string"}
	if _, base := types.TypeFunc()("Base" + t.Name()); !base {
		self["enum"] = []string{types.VmomiTypeName(t)}
	}
	properties, required := object{typeName: self}, []string{typeName}
	for _, m := range schema.Of(t, "json").Members {
		properties[m.Name] = s.of(m.Field.Type)
		if !m.OmitEmpty && !isOptional[m.Owner.Name()+"."+m.Name] {
			required = append(required, m.Name)
		}
	}
	return object{"type": "object", "properties": properties, "required": required}
}

// isOptional has the members that may be left out although the library's tags do not say so.
var isOptional = map[string]bool{
	"PropertyChange.val": true, // of a property without a value
}

// of returns the schema of a member of the type.
func (s *schemas) of(t reflect.Type) object {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		return object{"type": "string", "format": "byte"}
	case t.Kind() == reflect.Func && t.CanSeq():
		return object{"type": "array", "items": s.of(t.In(0).In(0))}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(t.Elem())
	case reflect.Slice:
		return object{"type": "array", "items": s.of(t.Elem())}
	case reflect.Struct:
		return object{"$ref": refSchema + s.want(t)}
	case reflect.Interface:
		return s.polymorphic(t)
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Uint8:
		return object{"type": "integer", "minimum": 0, "maximum": 255}
	case reflect.Int16, reflect.Int32:
		return object{"type": "integer", "format": "int32"}
	case reflect.Int64:
		return object{"type": "integer", "format": "int64"}
	case reflect.Float32:
		return object{"type": "number", "format": "float"}
	case reflect.Float64:
		return object{"type": "number", "format": "double"}
	case reflect.String:
		if t.PkgPath() != "" {
			return object{"$ref": refSchema + s.want(t)}
		}
		return object{"type": "string"}
	}
	s.err = fmt.Errorf("%v has no form in JSON", t)
	return nil
}

// polymorphic returns the schema of an interface: any value, or a type and its subtypes,
// distinguished by _typeName.
func (s *schemas) polymorphic(t reflect.Type) object {
	if t.NumMethod() == 0 {
		return object{"$ref": refSchema + "AnyValue"}
	}
	base, ok := types.TypeFunc()(t.Name())
	if !ok {
		s.err = fmt.Errorf("%v is not a type of the API", t)
		return nil
	}
	all := kinds[base.Name()]
	if len(all) == 0 {
		return object{"$ref": refSchema + s.want(base)}
	}
	refs, mapping := []object{}, object{}
	for _, name := range all {
		s.named(name)
		refs = append(refs, object{"$ref": refSchema + name})
		mapping[name] = refSchema + name
	}
	return object{"oneOf": refs, "discriminator": object{"propertyName": typeName, "mapping": mapping}}
}
