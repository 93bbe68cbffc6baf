package vijson

import (
	"encoding/base64"
	"fmt"
	"iter"
	"math"
	"reflect"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/schema"
	"github.com/vigate/vigate/internal/vim"
)

// encoder writes one value. Long lists at the root are sent piece by piece.
type encoder struct {
	binding.Output
	codec *codec
	// release is the caller's; zero: one that has every member.
	release vim.Release
	// within: what is written is inside an object, which is sent as a whole.
	within bool
}

// encode writes the result of a call. A list may be an iter.Seq, which is then
// never held whole. Sessions, which clients read most, one by one and by the
// hundred thousand, have a way of their own.
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

// reflect is encode for values of any type.
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

// flush sends what there is, if it is much, between the elements of a list at the
// root.
func (e *encoder) flush() {
	if !e.within {
		e.Flush()
	}
}

// fault writes a fault with its text beside its members.
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
			e.time(v.Addr().Interface().(*time.Time)) // without a copy on the heap
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

// nested writes a list inside an object.
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

// members writes the members that are set and that the caller's release has, and
// closes the object. A required
// list is there even when it is empty; null is never written.
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

// tooNew reports whether the caller's release is older than a member of the release
// since.
func (e *encoder) tooNew(since vim.Release) bool {
	return since != vim.Release{} && e.release != vim.Release{} && e.release.Before(since)
}

func unset(v reflect.Value, required bool) bool {
	if k := v.Kind(); k == reflect.Pointer || k == reflect.Interface {
		return v.IsNil()
	}
	return !required && schema.Empty(v)
}

// dynamic writes a value whose type the reader can't know: data objects say
// themselves what they are, all else goes into a box that does.
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

// boxName is the API's name of what is no data object: a list's is made of its
// elements'.
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

// float writes f as encoding/json does, which is as ECMAScript does.
func (e *encoder) float(f float64, bits int) {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		e.Err = fmt.Errorf("encode answer: %v is no number in JSON", f)
		return
	}
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (bits == 64 && (abs < 1e-6 || abs >= 1e21) ||
		bits == 32 && (float32(abs) < 1e-6 || float32(abs) >= 1e21)) {
		format = 'e'
	}
	e.Buf = strconv.AppendFloat(e.Buf, f, format, -1, bits)
	if n := len(e.Buf); format == 'e' && n >= 4 && e.Buf[n-4] == 'e' && e.Buf[n-3] == '-' && e.Buf[n-2] == '0' {
		e.Buf[n-2] = e.Buf[n-1]
		e.Buf = e.Buf[:n-1]
	}
}

func (e *encoder) time(at *time.Time) {
	b, ok := schema.AppendDateTime(append(e.Buf, '"'), *at)
	if !ok {
		e.Err = fmt.Errorf("encode answer: no form for a time of the year %d", at.UTC().Year())
		return
	}
	e.Buf = append(b, '"')
}

const hexDigits = "0123456789abcdef"

// string writes s quoted. What is not UTF-8 becomes U+FFFD.
func (e *encoder) string(s string) {
	b := append(e.Buf, '"')
	done := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' {
				i++
				continue
			}
			b = append(b, s[done:i]...)
			b = appendEscape(b, c)
			i++
			done = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			b = append(append(b, s[done:i]...), `\ufffd`...)
			done = i + size
		case r == '\u2028' || r == '\u2029': // line ends to JavaScript
			b = append(append(b, s[done:i]...), `\u202`...)
			b = append(b, hexDigits[r&15])
			done = i + size
		}
		i += size
	}
	e.Buf = append(append(b, s[done:]...), '"')
}

func appendEscape(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\n':
		return append(b, `\n`...)
	case '\r':
		return append(b, `\r`...)
	case '\t':
		return append(b, `\t`...)
	}
	return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}

// fail is for values that the API's types can't have.
func (e *encoder) fail(v reflect.Value) {
	if !v.IsValid() {
		e.Err = fmt.Errorf("encode answer: nothing where a value must be")
		return
	}
	e.Err = fmt.Errorf("encode answer: no form for a %v", v.Type())
}
