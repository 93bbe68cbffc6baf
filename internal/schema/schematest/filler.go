// Package schematest supports tests of codecs: a [Filler] fills values of the API's types with random content.
// Each codec has texts and values of its own that are hard for its format. The package knows no format.
package schematest

import (
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/schema"
)

// deepest is the depth down to which optional members are filled.
const deepest = 3

// Filler fills values that have only one encoding: required lists are not empty, an optional member is either
// unset or filled, and times are in UTC. The same source gives the same values.
type Filler struct {
	*rand.Rand
	// Texts are the texts that strings get.
	Texts []string
	// Any are the values that members without a declared type get.
	Any []any
	// Fixed makes the values of types that are not filled member by member.
	Fixed map[reflect.Type]func(*Filler) any
	// Binary is set once a value has binary data (schema.Bytes).
	Binary bool
}

// Fill fills v, which must be settable.
func (f *Filler) Fill(t *testing.T, v reflect.Value) { f.fill(t, v, 0) }

func (f *Filler) fill(t *testing.T, v reflect.Value, depth int) {
	if fixed := f.Fixed[v.Type()]; fixed != nil {
		f.Binary = f.Binary || v.Type() == schema.Bytes
		v.Set(reflect.ValueOf(fixed(f)).Convert(v.Type()))
		return
	}
	if v.Type() == schema.Time {
		v.Set(reflect.ValueOf(time.Unix(f.Int64N(4e9), 1000*f.Int64N(1e6)).UTC()))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).Tag.Get("json") != "-" {
				f.fill(t, v.Field(i), depth+1)
			}
		}
	case reflect.Pointer:
		if depth <= deepest {
			v.Set(reflect.New(v.Type().Elem()))
			f.fill(t, v.Elem(), depth+1)
		}
	case reflect.Slice:
		if depth >= deepest {
			return // an item below this depth would be nil
		}
		v.Set(reflect.MakeSlice(v.Type(), 1+f.IntN(2), 2))
		for i := range v.Len() {
			f.fill(t, v.Index(i), depth+1)
		}
	case reflect.Interface:
		f.fillInterface(t, v, depth)
	case reflect.String:
		v.SetString(f.Text())
		if e, ok := v.Interface().(interface{ Strings() []string }); ok {
			v.SetString(e.Strings()[0]) // an enumeration
		}
	case reflect.Bool:
		v.SetBool(f.IntN(2) == 0)
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(f.Int64() >> f.IntN(60))
	case reflect.Uint8:
		v.SetUint(f.Uint64() & 127)
	case reflect.Float32, reflect.Float64:
		v.SetFloat(float64(float32(f.NormFloat64())))
	default:
		t.Fatalf("no value for a %v", v.Type())
	}
}

func (f *Filler) fillInterface(t *testing.T, v reflect.Value, depth int) {
	if v.NumMethod() == 0 {
		v.Set(reflect.ValueOf(f.Any[f.IntN(len(f.Any))]))
		f.Binary = f.Binary || v.Elem().Type() == schema.Bytes
		return
	}
	base, ok := schema.Declared(v.Type())
	if !ok {
		t.Fatalf("no type for %v", v.Type())
	}
	if depth <= deepest {
		p := reflect.New(base)
		f.fill(t, p.Elem(), depth+1)
		v.Set(p)
	}
}

// Text returns one of the texts.
func (f *Filler) Text() string { return f.Texts[f.IntN(len(f.Texts))] }
