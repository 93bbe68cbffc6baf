package value

import (
	"hash/maphash"
	"math"
	"reflect"
	"time"

	"github.com/vigate/vigate/internal/schema"
)

// Parts are those of a value that can be told one by one.
type Parts struct {
	Type reflect.Type // of the value
	All  []Part
}

// Part is an element of a list, or a member of a data object.
type Part struct {
	Name string // as it stands behind the value's path
	At   int    // which element or member it is
	Sum  uint64
}

// Sum is v's fingerprint, which is good for this process. Two values that differ
// have the same one with a chance of 2^-64, which nobody can better without the
// seed.
func (s *Shapes) Sum(v reflect.Value) uint64 {
	var m maphash.Hash
	m.SetSeed(s.seed)
	text(&m, v.Type().String())
	s.write(&m, v)
	return m.Sum64()
}

// Parts are the fingerprints of v's parts, nil where v has none that could be
// told apart.
func (s *Shapes) Parts(v reflect.Value) *Parts {
	p := &Parts{Type: v.Type()}
	ok := false
	switch {
	case schema.IsList(p.Type):
		p.All, ok = s.elements(v)
	case schema.IsObject(p.Type):
		ok = true
		members := s.of(p.Type).Members
		for i := range members {
			f := &members[i]
			fv := f.Of(v)
			if !f.Own.idle && concrete(fv).IsValid() && !(f.OmitEmpty && schema.Empty(fv)) {
				p.All = append(p.All, Part{"." + f.Name, i, s.Sum(fv)})
			}
		}
	}
	if !ok {
		return nil
	}
	return p
}

// elements are the parts of a list whose elements have keys, each its own.
func (s *Shapes) elements(v reflect.Value) ([]Part, bool) {
	all := make([]Part, 0, v.Len())
	seen := make(map[string]bool, v.Len())
	for i := range v.Len() {
		e := concrete(v.Index(i))
		if !e.IsValid() || !schema.IsObject(e.Type()) {
			return nil, false
		}
		name, ok := s.name(e)
		if !ok || seen[name] {
			return nil, false
		}
		seen[name] = true
		all = append(all, Part{name, i, s.Sum(e)})
	}
	return all, true
}

// At is v's part.
func (s *Shapes) At(v reflect.Value, i int) reflect.Value {
	if schema.IsList(v.Type()) {
		return concrete(v.Index(i))
	}
	return concrete(s.of(v.Type()).Members[i].Of(v))
}

// name is how an element of a list is called in a pats.
func (s *Shapes) name(e reflect.Value) (string, bool) {
	sh := s.of(e.Type())
	if sh.Key < 0 {
		return "", false
	}
	k := sh.Members[sh.Key].Of(e)
	if k.Kind() == reflect.String {
		return keyed(k.String()), true
	}
	return numbered(k.Int()), true
}

// write feeds v to the hash so that values that differ differ in what is fed:
// what has a length is preceded by it, what may be absent by whether it is.
func (s *Shapes) write(m *maphash.Hash, v reflect.Value) {
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
		s.write(m, v)
	case reflect.Struct:
		if v.Type() == schema.Time {
			t := v.Interface().(time.Time)
			number(m, uint64(t.Unix()))
			number(m, uint64(t.Nanosecond()))
			return
		}
		members := s.of(v.Type()).Members
		for i := range members {
			if f := &members[i]; !f.Own.idle {
				s.write(m, f.Of(v))
			}
		}
	case reflect.Slice:
		number(m, uint64(v.Len()))
		for i := range v.Len() {
			s.write(m, v.Index(i))
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
