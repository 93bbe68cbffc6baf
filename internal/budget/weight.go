package budget

import "reflect"

// maxDepth bounds how deep Weight looks: the API's values are no deeper than
// what the bindings read, 64 levels of a few Go values each.
const maxDepth = 1000

// Weight is about how many bytes of memory the value takes, with all that it
// refers to. What is referred to twice counts twice.
func Weight(v any) int64 { return WeightOf(reflect.ValueOf(v)) }

// WeightOf is Weight of a reflect.Value. The zero Value weighs nothing.
func WeightOf(v reflect.Value) int64 {
	if !v.IsValid() {
		return 0
	}
	return int64(v.Type().Size()) + behind(v, 0)
}

// behind is the weight of what the value refers to, beside itself.
func behind(v reflect.Value, depth int) int64 {
	if depth > maxDepth {
		return 0
	}
	n := int64(0)
	switch v.Kind() {
	case reflect.String:
		n = int64(v.Len())
	case reflect.Pointer, reflect.Interface:
		if e := v.Elem(); e.IsValid() {
			n = int64(e.Type().Size()) + behind(e, depth+1)
		}
	case reflect.Slice:
		n = int64(v.Cap()) * int64(v.Type().Elem().Size())
		if refers(v.Type().Elem().Kind()) {
			for i := range v.Len() {
				n += behind(v.Index(i), depth+1)
			}
		}
	case reflect.Array:
		if refers(v.Type().Elem().Kind()) {
			for i := range v.Len() {
				n += behind(v.Index(i), depth+1)
			}
		}
	case reflect.Struct:
		if v.Type().PkgPath() == "time" {
			break // refers to its zone, which all share
		}
		for i := range v.NumField() {
			if f := v.Field(i); refers(f.Kind()) {
				n += behind(f, depth+1)
			}
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			n += 16 + WeightOf(it.Key()) + WeightOf(it.Value())
		}
	}
	return n
}

// refers reports whether values of the kind can refer to memory beside their
// own.
func refers(k reflect.Kind) bool {
	switch k {
	case reflect.String, reflect.Pointer, reflect.Interface, reflect.Slice, reflect.Array, reflect.Struct, reflect.Map:
		return true
	}
	return false
}
