package value

import (
	"hash/maphash"
	"math"
	"reflect"
	"time"

	"github.com/vigate/vigate/internal/schema"
)

// Parts are the parts of a value whose changes can be reported separately.
type Parts struct {
	Type reflect.Type // of the value
	All  []Part
}

// Part is an element of a list, or a member of a data object.
type Part struct {
	Name string // suffix that leads from the value's path to the part
	At   int    // index of the element or member
	Sum  uint64 // fingerprint
}

// Sum returns v's fingerprint. It is valid in this process only. Two different values have the same
// fingerprint with a probability of 2^-64. Without the seed, nobody can construct such a pair.
func (s *Shapes) Sum(v reflect.Value) uint64 {
	var m maphash.Hash
	m.SetSeed(s.seed)
	hashText(&m, v.Type().String())
	s.write(&m, v)
	return m.Sum64()
}

// Parts returns the fingerprints of v's parts. It returns nil if v has no parts that can be
// distinguished by name.
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
			if !f.Own.ignored && concrete(fv).IsValid() && !(f.OmitEmpty && schema.Empty(fv)) {
				p.All = append(p.All, Part{"." + f.Name, i, s.Sum(fv)})
			}
		}
	}
	if !ok {
		return nil
	}
	return p
}

// elements returns the parts of a list. It reports false unless each element has a unique key.
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

// At returns v's part with index i.
func (s *Shapes) At(v reflect.Value, i int) reflect.Value {
	if schema.IsList(v.Type()) {
		return concrete(v.Index(i))
	}
	return concrete(s.of(v.Type()).Members[i].Of(v))
}

// name returns the key of a list's element in the form that paths use. It reports false if the
// element has no key.
func (s *Shapes) name(e reflect.Value) (string, bool) {
	sh := s.of(e.Type())
	if sh.Key < 0 {
		return "", false
	}
	k := sh.Members[sh.Key].Of(e)
	if k.Kind() == reflect.String {
		return quoteKey(k.String()), true
	}
	return formatKey(k.Int()), true
}

// write adds v to the hash. Different values give different input: a value of variable length is
// preceded by its length, and an optional value by whether it is present.
func (s *Shapes) write(m *maphash.Hash, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		dynamic := v.Kind() == reflect.Interface
		if v = v.Elem(); !v.IsValid() {
			hashNumber(m, 0)
			return
		}
		hashNumber(m, 1)
		if dynamic {
			hashText(m, v.Type().String())
		}
		s.write(m, v)
	case reflect.Struct:
		if v.Type() == schema.Time {
			t := v.Interface().(time.Time)
			hashNumber(m, uint64(t.Unix()))
			hashNumber(m, uint64(t.Nanosecond()))
			return
		}
		members := s.of(v.Type()).Members
		for i := range members {
			if f := &members[i]; !f.Own.ignored {
				s.write(m, f.Of(v))
			}
		}
	case reflect.Slice:
		hashNumber(m, uint64(v.Len()))
		for i := range v.Len() {
			s.write(m, v.Index(i))
		}
	case reflect.String:
		hashText(m, v.String())
	case reflect.Bool:
		if v.Bool() {
			hashNumber(m, 1)
		} else {
			hashNumber(m, 0)
		}
	case reflect.Float32, reflect.Float64:
		hashNumber(m, math.Float64bits(v.Float()))
	default:
		if v.CanInt() {
			hashNumber(m, uint64(v.Int()))
		} else if v.CanUint() {
			hashNumber(m, v.Uint())
		}
	}
}

func hashNumber(m *maphash.Hash, n uint64) { maphash.WriteComparable(m, n) }

func hashText(m *maphash.Hash, s string) {
	hashNumber(m, uint64(len(s)))
	m.WriteString(s)
}
