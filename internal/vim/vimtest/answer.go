package vimtest

import (
	"reflect"
	"slices"
	"strings"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/vim"
)

// Answer is the outcome of a call.
type Answer struct {
	Value any
	Fault *vim.Fault

	f    *Fixture
	call *vim.Call
}

// Answer returns the outcome of the latest call.
func (f *Fixture) Answer(value any, fault *vim.Fault) Answer { return Answer{value, fault, f, f.Last} }

// At calls a method of any object, or reads a property if args are nil.
func (f *Fixture) At(token string, on types.ManagedObjectReference, name string, args any) Answer {
	f.t.Helper()
	r, fault := f.Send(token, on, name, args)
	return f.Answer(r.Value, fault)
}

// As calls a method of the type's only object.
func (f *Fixture) As(token, typ, name string, args any) Answer {
	f.t.Helper()
	return f.At(token, f.Ref(typ), name, args)
}

// On does the same as As, with the administrator's token.
func (f *Fixture) On(typ, name string, args any) Answer {
	f.t.Helper()
	return f.As(f.Admin, typ, name, args)
}

// Prop reads a property of the type's only object.
func (f *Fixture) Prop(token, typ, name string) Answer {
	f.t.Helper()
	return f.As(token, typ, name, nil)
}

// Newest reads the newest event as the administrator.
func (f *Fixture) Newest() Answer {
	f.t.Helper()
	return f.Prop(f.Admin, "EventManager", "latestEvent")
}

// Get returns the result of a call that must succeed, as a T.
func Get[T any](a Answer) T {
	a.f.t.Helper()
	var zero T
	if a.Fault != nil {
		a.f.t.Errorf("%s: got fault %v", a.call.Name, a.Fault)
		return zero
	}
	v, is := a.Value.(T)
	if !is {
		a.f.t.Errorf("%s: got %T %v, want a %T", a.call.Name, a.Value, a.Value, zero)
	}
	return v
}

// OK checks that a call of a void method succeeded.
func OK(a Answer) {
	a.f.t.Helper()
	if a.Fault != nil || a.Value != nil {
		a.f.t.Errorf("%s: got %v, fault %v", a.call.Name, a.Value, a.Fault)
	}
}

// Fails checks that the call failed with the fault T and returns it. It also checks that the API names the
// fault for the method, or that any method may return it, and that the fault has a text.
func Fails[T any](a Answer) *T {
	a.f.t.Helper()
	want := reflect.TypeFor[T]().Name()
	if a.Fault == nil || a.Fault.Kind() != want {
		a.f.t.Errorf("%s: got %v, fault %v, want %s", a.call.Name, a.Value, a.Fault, want)
		return new(T)
	}
	named := []string{
		"NotAuthenticated", "NoPermission", "ManagedObjectNotFound", "MethodNotFound", "InvalidProperty",
		"LimitExceeded",
	}
	m, _ := a.f.Method(a.call.Object, a.call.Name)
	if m != nil && !slices.Contains(append(named, m.Faults...), want) {
		a.f.t.Errorf("%s does not name the fault %s", m.Name, want)
	}
	// If a key has no text, Text returns the key.
	if s := a.Fault.Text("de"); s == "" || strings.HasPrefix(s, "fault.") || s == a.Fault.Text("en") {
		a.f.t.Errorf("%s has no text: %q", want, s)
	}
	return any(a.Fault.Detail).(*T)
}

// Invalid checks that the call failed with InvalidArgument of the property.
func Invalid(property string, a Answer) {
	a.f.t.Helper()
	if got := Fails[types.InvalidArgument](a); got.InvalidProperty != property {
		a.f.t.Errorf("%s: invalid property %q, want %q", a.call.Name, got.InvalidProperty, property)
	}
}

// Needs checks that a method can't be called without a session, nor by Ann, who lacks the privilege.
func (f *Fixture) Needs(privilege access.Privilege, typ, name string, args any) {
	f.t.Helper()
	got := Fails[types.NotAuthenticated](f.As("", typ, name, args))
	if got.PrivilegeId != string(privilege) || got.Object == nil || got.Object.Type != typ {
		f.t.Errorf("%s: %+v", name, got)
	}
	if privilege == vim.View {
		return
	}
	if got := Fails[types.NoPermission](f.As(f.Ann, typ, name, args)); got.PrivilegeId != string(privilege) {
		f.t.Errorf("%s: %+v", name, got)
	}
}
