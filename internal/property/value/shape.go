// Package value knows the parts of the values that properties have: how a path
// leads to one, and how one tells that it has changed without keeping it. It
// goes by the types of the API, whatever they are.
package value

import (
	"hash/maphash"
	"reflect"
	"slices"
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

// own is what is kept for a member of a struct.
type own struct {
	idle bool
}

type shape = schema.Plan[own]

// Shapes is how the API's types are made, as far as it was asked for.
type Shapes struct {
	seed  maphash.Seed
	plans *schema.Plans[own]
	boxes sync.Map // reflect.Type of an ArrayOf… by that of the list
}

// New makes Shapes that know nothing yet.
func New() *Shapes {
	return &Shapes{seed: maphash.MakeSeed(), plans: schema.NewPlans(schema.Codec[own]{
		Tag: "json", Spell: types.VmomiTypeName,
		Own: func(t reflect.Type, m schema.Member) own { return own{slices.Contains(idle[t], m.Name)} },
	})}
}

func (s *Shapes) of(t reflect.Type) *shape { return s.plans.Of(t) }

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
			if !schema.IsObject(t) {
				return false
			}
			sh := s.of(t)
			i, ok := sh.ByName[st.text]
			if !ok {
				return false
			}
			t = sh.Members[i].Type
			continue
		}
		if !schema.IsList(t) || !s.findsBy(t.Elem(), st.kind) {
			return false
		}
		t = t.Elem()
	}
	return true
}

// Idle reports whether the steps lead to a member of the declared type that
// changes without being a change of the object that has it.
func (s *Shapes) Idle(t reflect.Type, steps []Step) bool {
	for _, st := range steps {
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		switch {
		case st.kind != member && schema.IsList(t):
			t = t.Elem()
		case st.kind == member && schema.IsObject(t):
			sh := s.of(t)
			i, ok := sh.ByName[st.text]
			if !ok {
				return false
			}
			if sh.Members[i].Own.idle {
				return true
			}
			t = sh.Members[i].Type
		default:
			return false
		}
	}
	return false
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
	if !schema.IsObject(t) {
		return false
	}
	sh := s.of(t)
	if sh.Key < 0 {
		return false
	}
	return (sh.Members[sh.Key].Type.Kind() == reflect.String) == (kind == textKey)
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

// Walk follows the steps from v. index, which may be nil, remembers what was
// found in v from one walk to the next.
func (s *Shapes) Walk(v reflect.Value, steps []Step, index *Index) (reflect.Value, State) {
	for i, st := range steps {
		v = concrete(v)
		if !v.IsValid() {
			return v, Gone
		}
		last := i == len(steps)-1
		if st.kind != member {
			if i > 0 {
				index = nil
			}
			if v = s.element(v, st, index); !v.IsValid() && last {
				return v, Removed
			}
			continue
		}
		if !schema.IsObject(v.Type()) {
			return reflect.Value{}, Gone
		}
		sh := s.of(v.Type())
		at, ok := sh.ByName[st.text]
		if !ok {
			return reflect.Value{}, Unset // a member of another derived type
		}
		f := &sh.Members[at]
		if v = f.Of(v); f.OmitEmpty && schema.Empty(v) {
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

// concrete takes pointers and interfaces off; the zero Value if there is
// nothing behind them.
func concrete(v reflect.Value) reflect.Value {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	return v
}

// element finds the element of a list.
func (s *Shapes) element(list reflect.Value, st Step, index *Index) reflect.Value {
	if list.Kind() != reflect.Slice {
		return reflect.Value{}
	}
	if index != nil {
		return index.element(s, list, st)
	}
	for i := range list.Len() {
		e, k := s.keyed(list.Index(i))
		if k.IsValid() && (k.Kind() == reflect.String && st.kind == textKey && k.String() == st.text ||
			k.CanInt() && st.kind == numberKey && k.Int() == st.number) {
			return e
		}
	}
	return reflect.Value{}
}

// keyed is an element of a list and its key. One that has none has the zero
// Value for key.
func (s *Shapes) keyed(e reflect.Value) (element, key reflect.Value) {
	e = concrete(e)
	if !e.IsValid() || !schema.IsObject(e.Type()) {
		return e, reflect.Value{}
	}
	sh := s.of(e.Type())
	if sh.Key < 0 {
		return e, reflect.Value{}
	}
	return e, sh.Members[sh.Key].Of(e)
}

// Box makes of v what can stand where any value may: lists become the API's
// ArrayOf types. A data object may be given by its address, so as not to be
// copied.
func (s *Shapes) Box(v reflect.Value) any {
	if v.CanAddr() && schema.IsObject(v.Type()) && v.Type() != schema.Reference {
		return v.Addr().Interface()
	}
	if !schema.IsList(v.Type()) {
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
		name = types.VmomiTypeName(elem)
	}
	t, ok := types.TypeFunc()(schema.ListName(name))
	if !ok || t.Kind() != reflect.Struct || t.NumField() != 1 || t.Field(0).Type != list {
		return nil, false
	}
	s.boxes.Store(list, t)
	return t, true
}
