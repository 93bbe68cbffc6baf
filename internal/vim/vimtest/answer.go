package vimtest

import (
	"reflect"
	"slices"
	"strings"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/vim"
)

// Answer is what a call gave.
type Answer struct {
	Value any
	Fault *vim.Fault

	f    *Fixture
	call *vim.Call
}

// Answer is what the newest call gave.
func (f *Fixture) Answer(value any, fault *vim.Fault) Answer { return Answer{value, fault, f, f.Last} }

// At calls a method of any object, or reads a property where there are no args.
func (f *Fixture) At(token string, on types.ManagedObjectReference, name string, args any) Answer {
	f.t.Helper()
	r, fault := f.Send(token, on, name, args)
	return f.Answer(r.Value, fault)
}

// As calls a method of a type's one object.
func (f *Fixture) As(token, typ, name string, args any) Answer {
	f.t.Helper()
	return f.At(token, f.Ref(typ), name, args)
}

// On is As of the administrator.
func (f *Fixture) On(typ, name string, args any) Answer {
	f.t.Helper()
	return f.As(f.Admin, typ, name, args)
}

// Prop reads a property of a type's one object.
func (f *Fixture) Prop(token, typ, name string) Answer {
	f.t.Helper()
	return f.As(token, typ, name, nil)
}

// Newest is the newest event as an administrator reads it.
func (f *Fixture) Newest() Answer {
	f.t.Helper()
	return f.Prop(f.Admin, "EventManager", "latestEvent")
}

// Get is the answer of a call that must succeed, in its type.
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

// OK holds a void call to success.
func OK(a Answer) {
	a.f.t.Helper()
	if a.Fault != nil || a.Value != nil {
		a.f.t.Errorf("%s: got %v, fault %v", a.call.Name, a.Value, a.Fault)
	}
}

// Fails holds the call to the fault, and the fault to being one that the API
// names for the method, or one that any may give; and to having a text.
func Fails[T any](a Answer) *T {
	a.f.t.Helper()
	want := reflect.TypeFor[T]().Name()
	if a.Fault == nil || a.Fault.Kind() != want {
		a.f.t.Errorf("%s: got %v, fault %v, want %s", a.call.Name, a.Value, a.Fault, want)
		return new(T)
	}
	always := []string{"NotAuthenticated", "NoPermission", "ManagedObjectNotFound", "MethodNotFound", "InvalidProperty", "LimitExceeded"}
	if m, _ := a.f.Method(a.call.Object, a.call.Name); m != nil && !slices.Contains(m.Faults, want) && !slices.Contains(always, want) {
		a.f.t.Errorf("%s does not name the fault %s", m.Name, want)
	}
	// A key that has no text stands for itself.
	if s := a.Fault.Text("de"); s == "" || strings.HasPrefix(s, "fault.") || s == a.Fault.Text("en") {
		a.f.t.Errorf("%s has no text: %q", want, s)
	}
	return any(a.Fault.Detail).(*T)
}

// Invalid holds the call to InvalidArgument of the property.
func Invalid(property string, a Answer) {
	a.f.t.Helper()
	if got := Fails[types.InvalidArgument](a); got.InvalidProperty != property {
		a.f.t.Errorf("%s: invalid property %q, want %q", a.call.Name, got.InvalidProperty, property)
	}
}

// Needs holds a method to its privilege: nobody may call it without a session,
// and nobody with one who lacks the privilege.
func (f *Fixture) Needs(privilege access.Privilege, typ, name string, args any) {
	f.t.Helper()
	if got := Fails[types.NotAuthenticated](f.As("", typ, name, args)); got.PrivilegeId != string(privilege) || got.Object == nil || got.Object.Type != typ {
		f.t.Errorf("%s: %+v", name, got)
	}
	if privilege == vim.View {
		return
	}
	if got := Fails[types.NoPermission](f.As(f.Ann, typ, name, args)); got.PrivilegeId != string(privilege) {
		f.t.Errorf("%s: %+v", name, got)
	}
}
