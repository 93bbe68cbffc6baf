package vijson

import (
	"encoding/base64"
	"fmt"
	"iter"
	"math"
	"reflect"
	"strconv"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/jsontoken"
	"github.com/vigate/vigate/internal/schema"
	"github.com/vigate/vigate/internal/vim"
)

// encoder encodes one value. It can send a long list in parts while it encodes it.
type encoder struct {
	binding.Output
	codec *codec
	// release is the caller's release. Zero means that it has every member.
	release vim.Release
	// within is set inside an object. An object is sent whole.
	within bool
}

// encode appends the result of a call. A list may be an iter.Seq, whose items are never in memory all at
// once. Sessions have an encoder of their own, which is faster: clients read them most, and a list can have
// a hundred thousand.
func (e *encoder) encode(value any) error {
	switch v := value.(type) {
	case *types.UserSession:
		if v != nil {
			e.session(v)
			return e.Err
		}
	case iter.Seq[types.UserSession]:
		e.sessions(v)
		return e.Err
	}
	return e.reflect(value)
}

// reflect is encode for the other types.
func (e *encoder) reflect(value any) error {
	v := reflect.ValueOf(value)
	switch {
	case v.Kind() == reflect.Func && v.Type().CanSeq():
		e.sequence(v)
	case schema.IsList(v.Type()):
		e.list(v)
	default:
		e.value(v)
	}
	return e.Err
}

func (e *encoder) sequence(v reflect.Value) {
	e.Buf = append(e.Buf, '[')
	start := true
	for elem := range v.Seq() {
		if !start {
			e.Buf = append(e.Buf, ',')
		}
		start = false
		e.value(elem)
		if e.flush(); e.Err != nil {
			return
		}
	}
	e.Buf = append(e.Buf, ']')
}

func (e *encoder) list(v reflect.Value) {
	e.Buf = append(e.Buf, '[')
	for i := range v.Len() {
		if i > 0 {
			e.Buf = append(e.Buf, ',')
		}
		e.value(v.Index(i))
		if e.flush(); e.Err != nil {
			return
		}
	}
	e.Buf = append(e.Buf, ']')
}

// flush sends the buffer if it is long enough. It does so only between the items of a list that is the
// whole result.
func (e *encoder) flush() {
	if !e.within {
		e.Flush()
	}
}

// fault appends a fault, and its text beside its members.
func (e *encoder) fault(detail types.BaseMethodFault, text string) error {
	v := reflect.ValueOf(detail).Elem()
	p := e.codec.plans.Of(v.Type())
	e.open(p)
	e.Buf = append(e.Buf, `,"faultstring":`...)
	e.string(text)
	e.members(v, p)
	return e.Err
}

func (e *encoder) value(v reflect.Value) {
	switch t := v.Type(); {
	case t == schema.Time:
		if v.CanAddr() {
			e.time(v.Addr().Interface().(*time.Time)) // avoids a copy on the heap
			return
		}
		at := v.Interface().(time.Time)
		e.time(&at)
		return
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		e.Buf = append(e.Buf, '"')
		e.Buf = base64.StdEncoding.AppendEncode(e.Buf, v.Bytes())
		e.Buf = append(e.Buf, '"')
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		p := e.codec.plans.Of(v.Type())
		e.open(p)
		e.members(v, p)
	case reflect.Pointer:
		if v.IsNil() {
			e.fail(v)
			return
		}
		e.value(v.Elem())
	case reflect.Interface:
		e.dynamic(v.Elem())
	case reflect.Slice:
		e.nested(v)
	case reflect.String:
		e.string(v.String())
	default:
		e.primitive(v)
	}
}

// nested appends a list inside an object.
func (e *encoder) nested(v reflect.Value) {
	within := e.within
	e.within = true
	e.list(v)
	e.within = within
}

func (e *encoder) open(p *plan) {
	e.Buf = append(e.Buf, `{"`+typeNameKey+`":"`...)
	e.Buf = append(e.Buf, p.Name...)
	e.Buf = append(e.Buf, '"')
}

// members appends the members that are set and that the caller's release has, and closes the object. It
// writes a required list even if it is empty, and never writes null.
func (e *encoder) members(v reflect.Value, p *plan) {
	for i := range p.Members {
		m := &p.Members[i]
		f := m.Of(v)
		if unset(f, !m.OmitEmpty) || e.tooNew(m.Own.since) {
			continue
		}
		e.Buf = append(e.Buf, m.Own.head...)
		e.value(f)
	}
	e.Buf = append(e.Buf, '}')
}

// tooNew reports whether the caller's release is older than since, the release that added a member.
func (e *encoder) tooNew(since vim.Release) bool {
	return since != vim.Release{} && e.release != vim.Release{} && e.release.Before(since)
}

func unset(v reflect.Value, required bool) bool {
	if k := v.Kind(); k == reflect.Pointer || k == reflect.Interface {
		return v.IsNil()
	}
	return !required && schema.Empty(v)
}

// dynamic appends a value whose declared type does not tell its real type. A data object names its own
// type. Any other value is put into a box that names it.
func (e *encoder) dynamic(v reflect.Value) {
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	switch {
	case !v.IsValid() || v.Kind() == reflect.Pointer:
		e.fail(v)
	case schema.IsObject(v.Type()):
		e.value(v)
	default:
		e.Buf = append(e.Buf, `{"`+typeNameKey+`":"`...)
		e.Buf = append(e.Buf, boxName(v.Type())...)
		e.Buf = append(e.Buf, `","`+valueKey+`":`...)
		e.value(v)
		e.Buf = append(e.Buf, '}')
	}
}

// boxName returns the API's name of a type that is not a data object. The name of a list contains the name
// of its items' type.
func boxName(t reflect.Type) string {
	if !schema.IsList(t) {
		return types.VmomiTypeName(t)
	}
	elem := t.Elem()
	if elem.Kind() == reflect.Interface && elem.NumMethod() == 0 {
		return "ArrayOfAnyType"
	}
	return schema.ListName(types.VmomiTypeName(elem))
}

func (e *encoder) primitive(v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		e.Buf = strconv.AppendBool(e.Buf, v.Bool())
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Int:
		e.Buf = strconv.AppendInt(e.Buf, v.Int(), 10)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		e.Buf = strconv.AppendUint(e.Buf, v.Uint(), 10)
	case reflect.Float32, reflect.Float64:
		e.float(v.Float(), v.Type().Bits())
	default:
		e.fail(v)
	}
}

// float appends a number in the form of encoding/json, which is that of ECMAScript.
func (e *encoder) float(f float64, bits int) {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		e.Err = fmt.Errorf("encode answer: JSON has no number for %v", f)
		return
	}
	e.Buf = jsontoken.AppendFloat(e.Buf, f, bits)
}

func (e *encoder) time(at *time.Time) {
	b, ok := schema.AppendDateTime(append(e.Buf, '"'), *at)
	if !ok {
		e.Err = fmt.Errorf("encode answer: can't encode a time in the year %d", at.UTC().Year())
		return
	}
	e.Buf = append(b, '"')
}

// string appends a quoted string. Invalid UTF-8 becomes U+FFFD.
func (e *encoder) string(s string) { e.Buf = jsontoken.AppendString(e.Buf, s) }

// fail records the error for a value of a type that the API does not have.
func (e *encoder) fail(v reflect.Value) {
	if !v.IsValid() {
		e.Err = fmt.Errorf("encode answer: a required value is missing")
		return
	}
	e.Err = fmt.Errorf("encode answer: can't encode a value of type %v", v.Type())
}
