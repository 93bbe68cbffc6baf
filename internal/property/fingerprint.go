package property

import (
	"hash/maphash"
	"math"
	"reflect"
	"time"
)

// mark is what a client was told of one path, as little of it as tells whether
// it is to be told again: values are not kept.
type mark struct {
	state state
	sum   uint64
	// parts, in filters with partial updates: those of the value that can be
	// told one by one.
	parts *parts
}

type parts struct {
	typ reflect.Type
	all []part
}

// part is an element of a list, or a member of a data object.
type part struct {
	name string // as it stands behind the value's path
	at   int    // which element or member it is
	sum  uint64
}

func (m mark) same(o mark) bool { return m.state == o.state && m.sum == o.sum }

// hasher makes fingerprints. Two values that differ have the same one with a
// chance of 2^-64, which nobody can better without the seed.
type hasher struct {
	*shapes
	seed maphash.Seed
}

func (h *hasher) sum(v reflect.Value) uint64 {
	var m maphash.Hash
	m.SetSeed(h.seed)
	text(&m, v.Type().String())
	h.write(&m, v)
	return m.Sum64()
}

// parts are the fingerprints of v's parts, nil where v has none that could be
// told apart.
func (h *hasher) parts(v reflect.Value) *parts {
	p := &parts{typ: v.Type()}
	ok := false
	switch {
	case isList(p.typ):
		p.all, ok = h.elements(v)
	case isObject(p.typ):
		ok = true
		for i, f := range h.of(p.typ).members {
			if fv := v.FieldByIndex(f.index); !f.idle && concrete(fv).IsValid() && !(f.optional && isZero(fv)) {
				p.all = append(p.all, part{"." + f.name, i, h.sum(fv)})
			}
		}
	}
	if !ok {
		return nil
	}
	return p
}

// elements are the parts of a list whose elements have keys, each its own.
func (h *hasher) elements(v reflect.Value) ([]part, bool) {
	all := make([]part, 0, v.Len())
	seen := make(map[string]bool, v.Len())
	for i := range v.Len() {
		e := concrete(v.Index(i))
		if !e.IsValid() || !isObject(e.Type()) {
			return nil, false
		}
		name, ok := h.name(e)
		if !ok || seen[name] {
			return nil, false
		}
		seen[name] = true
		all = append(all, part{name, i, h.sum(e)})
	}
	return all, true
}

// at is v's part.
func (h *hasher) at(v reflect.Value, i int) reflect.Value {
	if isList(v.Type()) {
		return concrete(v.Index(i))
	}
	return concrete(v.FieldByIndex(h.of(v.Type()).members[i].index))
}

// name is how an element of a list is called in a path.
func (h *hasher) name(e reflect.Value) (string, bool) {
	sh := h.of(e.Type())
	if sh.key < 0 {
		return "", false
	}
	k := sh.keyOf(e)
	if k.Kind() == reflect.String {
		return keyed(k.String()), true
	}
	return numbered(k.Int()), true
}

// write feeds v to the hash so that values that differ differ in what is fed:
// what has a length is preceded by it, what may be absent by whether it is.
func (h *hasher) write(m *maphash.Hash, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		dynamic := v.Kind() == reflect.Interface
		if v = v.Elem(); !v.IsValid() {
			number(m, 0)
			return
		}
		number(m, 1)
		if dynamic {
			text(m, v.Type().String())
		}
		h.write(m, v)
	case reflect.Struct:
		if v.Type() == timeType {
			t := v.Interface().(time.Time)
			number(m, uint64(t.Unix()))
			number(m, uint64(t.Nanosecond()))
			return
		}
		for _, f := range h.of(v.Type()).members {
			if !f.idle {
				h.write(m, v.FieldByIndex(f.index))
			}
		}
	case reflect.Slice:
		number(m, uint64(v.Len()))
		for i := range v.Len() {
			h.write(m, v.Index(i))
		}
	case reflect.String:
		text(m, v.String())
	case reflect.Bool:
		if v.Bool() {
			number(m, 1)
		} else {
			number(m, 0)
		}
	case reflect.Float32, reflect.Float64:
		number(m, math.Float64bits(v.Float()))
	default:
		if v.CanInt() {
			number(m, uint64(v.Int()))
		} else if v.CanUint() {
			number(m, v.Uint())
		}
	}
}

func number(m *maphash.Hash, n uint64) { maphash.WriteComparable(m, n) }

func text(m *maphash.Hash, s string) {
	number(m, uint64(len(s)))
	m.WriteString(s)
}
