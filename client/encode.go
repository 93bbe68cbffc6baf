package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	vimjson "github.com/vmware/govmomi/vim25/json"
	"github.com/vmware/govmomi/vim25/types"
)

// encode returns the body of a method call: the members of req as JSON. req is a pointer to a
// request type or to a struct of the same form. If req is nil, the body is nil.
//
// The outermost object has no _typeName, because the method determines its type. All nested objects
// have one.
func encode(req any) ([]byte, error) {
	v := reflect.ValueOf(req)
	if !v.IsValid() {
		return nil, nil
	}
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil, nil
		}
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return nil, fmt.Errorf("encode request: %T is not a struct or a pointer to one", req)
	}
	root := v.Type()
	v, err := complete(v, 0)
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	e := vimjson.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	e.SetDiscriminator("_typeName", "_value", vimjson.DiscriminatorEncodeTypeNameAllObjects)
	e.SetTypeToDiscriminatorFunc(func(t reflect.Type) string {
		if t == root {
			return ""
		}
		return types.VmomiTypeName(t)
	})
	if err := e.Encode(v.Interface()); err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	return bytes.TrimSpace(buf.Bytes()), nil
}

// complete returns a copy of v that encodes to the form that the API expects, which the encoder
// does not produce by itself. Required lists that are nil become empty lists, because the API does
// not accept null. Go lists in members of type any become the API's ArrayOf types. complete does
// not change v.
func complete(v reflect.Value, depth int) (reflect.Value, error) {
	if depth > maxDepth {
		return v, errors.New("encode request: nested too deeply")
	}
	if v.Type().Implements(reflect.TypeFor[json.Marshaler]()) {
		return v, nil
	}
	switch v.Kind() {
	case reflect.Struct:
		return completeStruct(v, depth)
	case reflect.Slice:
		if v.IsNil() || !composite(v.Type().Elem().Kind()) {
			return v, nil
		}
		list := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		for i := range v.Len() {
			element, err := complete(v.Index(i), depth+1)
			if err != nil {
				return v, err
			}
			list.Index(i).Set(element)
		}
		return list, nil
	case reflect.Pointer:
		if v.IsNil() || v.Elem().Kind() != reflect.Struct {
			return v, nil
		}
		inner, err := complete(v.Elem(), depth+1)
		if err != nil {
			return v, err
		}
		p := reflect.New(v.Type().Elem())
		p.Elem().Set(inner)
		return p, nil
	case reflect.Interface:
		if v.IsNil() {
			return v, nil
		}
		return complete(box(v.Elem()), depth+1)
	}
	return v, nil
}

func completeStruct(v reflect.Value, depth int) (reflect.Value, error) {
	s := reflect.New(v.Type()).Elem()
	s.Set(v)
	for i := range s.NumField() {
		field, tag := s.Field(i), s.Type().Field(i).Tag.Get("json")
		if !field.CanSet() || tag == "-" {
			continue
		}
		if field.Kind() == reflect.Slice && field.IsNil() {
			if !strings.Contains(tag, ",omitempty") {
				field.Set(reflect.MakeSlice(field.Type(), 0, 0))
			}
			continue
		}
		inner, err := complete(field, depth+1)
		if err != nil {
			return v, err
		}
		field.Set(inner)
	}
	return s, nil
}

func composite(k reflect.Kind) bool {
	return k == reflect.Struct || k == reflect.Pointer || k == reflect.Interface || k == reflect.Slice
}

// box returns a list as the API's ArrayOf type of its elements: a []string becomes an
// ArrayOfString. It returns any other value unchanged.
func box(v reflect.Value) reflect.Value {
	if v.Kind() != reflect.Slice || v.Type() == reflect.TypeFor[[]byte]() {
		return v
	}
	name := types.VmomiTypeName(v.Type().Elem())
	if name == "" {
		return v
	}
	array, ok := types.TypeFunc()("ArrayOf" + strings.ToUpper(name[:1]) + name[1:])
	if !ok || array.Kind() != reflect.Struct || array.NumField() != 1 || array.Field(0).Type != v.Type() {
		return v
	}
	boxed := reflect.New(array).Elem()
	boxed.Field(0).Set(v)
	return boxed
}
