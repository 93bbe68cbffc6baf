// Package value knows the parts of the values that properties have: how a path
// leads to one, and how one tells that it has changed without keeping it. It
// goes by the types of the API, whatever they are.
package value

import (
	"hash/maphash"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/schema"
)

var sessionType = reflect.TypeFor[types.UserSession]()

// idle are members whose change alone is no change of the object: each call
// changes them in the session that makes it, and waiting for changes would end
// at the waiter's own calls. They are current whenever the object is told, and
// who names one by its path waits for that one.
var idle = map[reflect.Type][]string{
	sessionType: {"callCount", "lastActiveTime"},
}

// Shapes is how the API's types are made, as far as it was asked for.
type Shapes struct {
	seed  maphash.Seed
	known sync.Map // *shape by reflect.Type of a struct; as many as there are types
	boxes sync.Map // reflect.Type of an ArrayOf… by that of the list
}

// shape is a data object's type.
type shape struct {
	members []field
	byName  map[string]int
	key     int // index of the member by which lists find the object; -1: none
}

type field struct {
	name     string
	index    []int
	typ      reflect.Type
	optional bool // the zero value means unset
	idle     bool
}

// New makes Shapes that know nothing yet.
func New() *Shapes { return &Shapes{seed: maphash.MakeSeed()} }

func (s *Shapes) of(t reflect.Type) *shape {
	if got, ok := s.known.Load(t); ok {
		return got.(*shape)
	}
	made := &shape{byName: map[string]int{}, key: -1}
	for i, m := range schema.Of(t, "json").Members {
		f := field{
			name: m.Name, index: m.Index, typ: m.Field.Type, optional: m.OmitEmpty,
			idle: slices.Contains(idle[t], m.Name),
		}
		made.members = append(made.members, f)
		made.byName[f.name] = i
		if f.name == "key" && (f.typ.Kind() == reflect.String || isInt(f.typ)) {
			made.key = i
		}
	}
	got, _ := s.known.LoadOrStore(t, made)
	return got.(*shape)
}

func (s *shape) keyOf(v reflect.Value) reflect.Value { return v.FieldByIndex(s.members[s.key].index) }

func isInt(t reflect.Type) bool { return reflect.Int <= t.Kind() && t.Kind() <= reflect.Int64 }

// isObject reports whether t is a data object's type.
func isObject(t reflect.Type) bool { return t.Kind() == reflect.Struct && t != schema.Time }

// IsList reports whether t is a list, which []byte is not: it is binary data.
func IsList(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8
}

// Leads reports whether the steps can lead anywhere in a value of the declared
// type. What is below a type that others derive from is not known before there
// is a value.
func (s *Shapes) Leads(t reflect.Type, steps []Step) bool {
	for _, st := range steps {
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		if t.Kind() == reflect.Interface {
			return true
		}
		if st.kind == member {
			if !isObject(t) {
				return false
			}
			sh := s.of(t)
			i, ok := sh.byName[st.text]
			if !ok {
				return false
			}
			t = sh.members[i].typ
			continue
		}
		if !IsList(t) || !s.findsBy(t.Elem(), st.kind) {
			return false
		}
		t = t.Elem()
	}
	return true
}

// findsBy reports whether lists of t find their elements by such a key.
func (s *Shapes) findsBy(t reflect.Type, kind stepKind) bool {
	if t.Kind() == reflect.Interface {
		base, ok := types.TypeFunc()(t.Name())
		if !ok {
			return true // any
		}
		t = base
	}
	if !isObject(t) {
		return false
	}
	sh := s.of(t)
	if sh.key < 0 {
		return false
	}
	return (sh.members[sh.key].typ.Kind() == reflect.String) == (kind == textKey)
}

// State is whether there is something at a path.
type State uint8

// The states that Walk finds.
const (
	Unset   State = iota
	Gone          // unset, as what contains it is
	Removed       // there is no element with the key
	Present
)

// Walk follows the steps from v.
func (s *Shapes) Walk(v reflect.Value, steps []Step) (reflect.Value, State) {
	for i, st := range steps {
		v = concrete(v)
		if !v.IsValid() {
			return v, Gone
		}
		last := i == len(steps)-1
		if st.kind != member {
			if v = s.element(v, st); !v.IsValid() && last {
				return v, Removed
			}
			continue
		}
		if !isObject(v.Type()) {
			return reflect.Value{}, Gone
		}
		sh := s.of(v.Type())
		at, ok := sh.byName[st.text]
		if !ok {
			return reflect.Value{}, Unset // a member of another derived type
		}
		f := &sh.members[at]
		if v = v.FieldByIndex(f.index); f.optional && isZero(v) {
			v = reflect.Value{}
		}
		if !v.IsValid() && last {
			return v, Unset
		}
	}
	if v = concrete(v); !v.IsValid() {
		return v, Unset
	}
	return v, Present
}

func isZero(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice:
		return v.Len() == 0
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}

// concrete takes pointers and interfaces off; the zero Value if there is
// nothing behind them.
func concrete(v reflect.Value) reflect.Value {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	return v
}

// element finds the element of a list.
func (s *Shapes) element(list reflect.Value, st Step) reflect.Value {
	if list.Kind() != reflect.Slice {
		return reflect.Value{}
	}
	for i := range list.Len() {
		e := concrete(list.Index(i))
		if !e.IsValid() || !isObject(e.Type()) {
			continue
		}
		sh := s.of(e.Type())
		if sh.key < 0 {
			continue
		}
		k := sh.keyOf(e)
		if k.Kind() == reflect.String && st.kind == textKey && k.String() == st.text ||
			k.CanInt() && st.kind == numberKey && k.Int() == st.number {
			return e
		}
	}
	return reflect.Value{}
}

// Box makes of v what can stand where any value may: lists become the API's
// ArrayOf types. A data object may be given by its address, so as not to be
// copied.
func (s *Shapes) Box(v reflect.Value) any {
	if v.CanAddr() && isObject(v.Type()) && v.Type() != schema.Reference {
		return v.Addr().Interface()
	}
	if !IsList(v.Type()) {
		return v.Interface()
	}
	t, ok := s.boxOf(v.Type())
	if !ok {
		return v.Interface()
	}
	b := reflect.New(t).Elem()
	b.Field(0).Set(v)
	return b.Interface()
}

func (s *Shapes) boxOf(list reflect.Type) (reflect.Type, bool) {
	if t, ok := s.boxes.Load(list); ok {
		return t.(reflect.Type), true
	}
	elem := list.Elem()
	name := "AnyType"
	if elem.Kind() != reflect.Interface || elem.NumMethod() > 0 {
		name = strings.TrimPrefix(types.VmomiTypeName(elem), "Base")
		name = strings.ToUpper(name[:1]) + name[1:]
	}
	t, ok := types.TypeFunc()("ArrayOf" + name)
	if !ok || t.Kind() != reflect.Struct || t.NumField() != 1 || t.Field(0).Type != list {
		return nil, false
	}
	s.boxes.Store(list, t)
	return t, true
}
