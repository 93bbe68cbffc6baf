package budget

import "reflect"

// maxDepth limits how deep Weight descends. Values of the API are not deeper than the bindings can
// decode, which is 64 levels with a few Go values each.
const maxDepth = 1000

// Weight returns an estimate of the memory in bytes that the value takes, including everything that
// it refers to. A value that is referred to twice counts twice.
func Weight(v any) int64 { return WeightOf(reflect.ValueOf(v)) }

// WeightOf returns the weight of a reflect.Value. The zero Value has the weight 0.
func WeightOf(v reflect.Value) int64 {
	if !v.IsValid() {
		return 0
	}
	return int64(v.Type().Size()) + behind(v, 0)
}

// behind returns the weight of everything that the value refers to, without the value itself.
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
			break // a time refers to its zone, which all times share
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

// refers reports whether values of the kind can refer to other memory.
func refers(k reflect.Kind) bool {
	switch k {
	case reflect.String, reflect.Pointer, reflect.Interface, reflect.Slice, reflect.Array, reflect.Struct, reflect.Map:
		return true
	}
	return false
}
