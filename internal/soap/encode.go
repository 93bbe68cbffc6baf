package soap

import (
	"encoding/base64"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/schema"
	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/xmltoken"
)

// encoder encodes values for a caller of one release. It can send a long list in parts while it encodes it.
type encoder struct {
	binding.Output
	codec   *codec
	release vim.Release
}

// element appends a value as an element of the given name. A list becomes one element per item. If typed is
// set, the reader can't know the type from its context: the element then names its type in xsi:type, and a
// list is wrapped in one element. A list may be an iter.Seq, whose items are never in memory all at once.
func (e *encoder) element(name string, v reflect.Value, typed bool) {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() {
			return
		}
		typed = typed || v.Kind() == reflect.Interface
		v = v.Elem()
	}
	if !v.IsValid() {
		e.Err = fmt.Errorf("encode answer: a required value is missing")
		return
	}
	t := v.Type()
	switch {
	case listed(t):
		e.list(name, v, t.Elem(), typed)
		return
	case t.Kind() == reflect.Func && t.CanSeq():
		e.list(name, v, t.In(0).In(0), typed) // the type is func(yield func(elem) bool)
		return
	case t == schema.Reference:
		e.reference(name, addressed[types.ManagedObjectReference](v), typed)
		return
	case t == sessionType:
		e.session(name, addressed[types.UserSession](v), typed)
		return
	}
	e.structure(name, v, typed)
}

// structure appends a value that is neither a list nor a reference.
func (e *encoder) structure(name string, v reflect.Value, typed bool) {
	t := v.Type()
	xsi := ""
	if typed {
		xsi = typeName(t)
	}
	e.open(name, xsi)
	switch {
	case schema.IsObject(t):
		e.members(v, e.codec.plans.Of(t))
	default:
		e.simple(v)
	}
	e.close(name)
}

func (e *encoder) list(name string, v reflect.Value, elem reflect.Type, typed bool) {
	inner := name
	if typed {
		inner = bareName(elem)
		e.open(name, schema.ListName(bareName(elem)))
	}
	if v.Kind() == reflect.Slice {
		for i := 0; i < v.Len() && e.Err == nil; i++ {
			e.item(inner, v.Index(i))
		}
	} else {
		for item := range v.Seq() {
			if e.item(inner, item); e.Err != nil {
				break
			}
		}
	}
	if typed && e.Err == nil {
		e.close(name)
	}
}

func (e *encoder) item(name string, v reflect.Value) {
	e.element(name, v, false)
	e.Flush()
}

func (e *encoder) open(name, xsi string) {
	e.Buf = append(append(e.Buf, '<'), name...)
	if xsi != "" {
		e.Buf = append(append(append(e.Buf, ` xsi:type="`...), xsi...), '"')
	}
	e.Buf = append(e.Buf, '>')
}

func (e *encoder) close(name string) {
	e.Buf = append(append(append(e.Buf, "</"...), name...), '>')
}

// addressed returns a pointer to the T in v: to v itself if it is addressable, otherwise to a copy.
func addressed[T any](v reflect.Value) *T {
	if v.CanAddr() {
		return v.Addr().Interface().(*T)
	}
	return new(v.Interface().(T))
}

func (e *encoder) reference(name string, ref *types.ManagedObjectReference, typed bool) {
	e.Buf = append(append(e.Buf, '<'), name...)
	if typed {
		e.Buf = append(e.Buf, ` xsi:type="ManagedObjectReference"`...)
	}
	e.Buf = append(xmltoken.AppendText(append(e.Buf, ` type="`...), ref.Type), '"')
	if ref.ServerGUID != "" {
		e.Buf = append(xmltoken.AppendText(append(e.Buf, ` serverGuid="`...), ref.ServerGUID), '"')
	}
	e.Buf = xmltoken.AppendText(append(e.Buf, '>'), ref.Value)
	e.close(name)
}

// members appends the members of a struct that are set and that the caller's release knows.
func (e *encoder) members(v reflect.Value, p *plan) {
	for i := range p.Members {
		m := &p.Members[i]
		if e.release.Before(m.Own.since) {
			continue
		}
		f := m.Of(v)
		if m.OmitEmpty && schema.Empty(f) {
			continue
		}
		e.element(m.Name, f, false)
	}
}

func (e *encoder) simple(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		e.Buf = xmltoken.AppendText(e.Buf, v.String())
	case reflect.Bool:
		e.Buf = strconv.AppendBool(e.Buf, v.Bool())
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Int:
		e.Buf = strconv.AppendInt(e.Buf, v.Int(), 10)
	case reflect.Uint8:
		e.Buf = strconv.AppendInt(e.Buf, int64(int8(v.Uint())), 10)
	case reflect.Float32, reflect.Float64:
		e.float(v.Float(), v.Type().Bits())
	case reflect.Slice:
		e.Buf = base64.StdEncoding.AppendEncode(e.Buf, v.Bytes())
	case reflect.Struct:
		e.time(addressed[time.Time](v))
	default:
		e.fail(v.Type())
	}
}

// float appends a number as XML Schema writes it.
func (e *encoder) float(f float64, bits int) {
	switch {
	case math.IsInf(f, 1):
		e.Buf = append(e.Buf, "INF"...)
	case math.IsInf(f, -1):
		e.Buf = append(e.Buf, "-INF"...)
	default:
		e.Buf = strconv.AppendFloat(e.Buf, f, 'g', -1, bits) // NaN is "NaN" in both
	}
}

// fail records the error for a value of a type that the API does not have.
func (e *encoder) fail(t reflect.Type) {
	e.Err = fmt.Errorf("encode answer: can't encode a value of type %v", t)
}
