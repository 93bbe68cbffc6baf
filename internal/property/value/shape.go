// Package value works with parts of property values. It parses property paths, such as
// sessionList["KEY"].userName, and finds the part of a value that a path names. It also computes
// fingerprints of values and of their parts, so that a change can be detected without keeping the
// old value.
//
// [Parse] parses a path. [Shapes] caches the structure of the API's types, which it reads by
// reflection: a new type needs no code here. The package does not read properties and does not
// check privileges.
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

// ignored lists members that don't count as a change of their object. Each call changes these
// members of its session, so a client that waits for changes of its session would be woken by its
// own calls. When the object is reported for another reason, the members have their current values.
// A client that names such a member in a path is notified of its changes.
var ignored = map[reflect.Type][]string{
	sessionType: {"callCount", "lastActiveTime"},
}

// memberInfo is the information that Shapes keeps for each member of a data object.
type memberInfo struct {
	ignored bool
}

type shape = schema.Plan[memberInfo]

// Shapes caches the structure of the API's types. It is safe for concurrent use.
type Shapes struct {
	seed  maphash.Seed
	plans *schema.Plans[memberInfo]
	boxes sync.Map // maps the reflect.Type of a list to that of its ArrayOf… type
}

// New returns Shapes with an empty cache.
func New() *Shapes {
	return &Shapes{seed: maphash.MakeSeed(), plans: schema.NewPlans(schema.Codec[memberInfo]{
		Tag: "json", Spell: types.VmomiTypeName,
		Own: func(t reflect.Type, m schema.Member) memberInfo {
			return memberInfo{slices.Contains(ignored[t], m.Name)}
		},
	})}
}

func (s *Shapes) of(t reflect.Type) *shape { return s.plans.Of(t) }

// Leads reports whether the steps can lead to a part of a value of the declared type. It returns
// true if they pass an interface type, because only the value shows which derived type it has.
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

// Ignored reports whether the steps lead to a member whose changes don't count as changes of its
// object.
func (s *Shapes) Ignored(t reflect.Type, steps []Step) bool {
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
			if sh.Members[i].Own.ignored {
				return true
			}
			t = sh.Members[i].Type
		default:
			return false
		}
	}
	return false
}

// findsBy reports whether elements of type t in a list are found by this kind of key.
func (s *Shapes) findsBy(t reflect.Type, kind stepKind) bool {
	if t.Kind() == reflect.Interface {
		base, ok := types.TypeFunc()(t.Name())
		if !ok {
			return true // any type
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

// State says what is at a path.
type State uint8

// The states that Walk finds.
const (
	Unset   State = iota
	Gone          // unset because the containing value is unset
	Removed       // the list has no element with the key
	Present
)

// Walk follows the steps from v and returns the part that they lead to. index may be nil. It speeds
// up later walks from the same v.
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
			return reflect.Value{}, Unset // v has another derived type, without the member
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

// concrete dereferences pointers and interfaces. It returns the zero Value if one of them is nil.
func concrete(v reflect.Value) reflect.Value {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	return v
}

// element returns the list's element with the key of the step, or the zero Value.
func (s *Shapes) element(list reflect.Value, st Step, index *Index) reflect.Value {
	if list.Kind() != reflect.Slice {
		return reflect.Value{}
	}
	if index != nil {
		return index.element(s, list, st)
	}
	for i := range list.Len() {
		e, k := s.withKey(list.Index(i))
		if k.IsValid() && (k.Kind() == reflect.String && st.kind == textKey && k.String() == st.text ||
			k.CanInt() && st.kind == numberKey && k.Int() == st.number) {
			return e
		}
	}
	return reflect.Value{}
}

// withKey returns the concrete element of a list and its key. The key is the zero Value if the
// element has none.
func (s *Shapes) withKey(e reflect.Value) (element, key reflect.Value) {
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

// Box converts v to a value of the API's type anyType: lists become the API's ArrayOf types. For an
// addressable data object, Box returns a pointer to it, which saves a copy.
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
