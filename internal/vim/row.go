package vim

import (
	"context"
	"fmt"
	"iter"
	"reflect"
	"slices"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
)

// The API's privileges that most rows need, for packages that know no authority.
const (
	Anonymous = access.SystemAnonymous // anyone may call
	View      = access.SystemView      // whoever has an effective role may call
	Read      = access.SystemRead      // whoever has one that may read
)

// Object is a type of managed object: the table of what it answers.
type Object struct {
	Type string
	// ID is the moId where there is one object of the type; empty where objects
	// of the type belong to sessions, see API.NewInstance.
	ID         string
	Methods    []Method
	Properties []Property
	// Errors are what the errors of the domain are that the rows return, beside
	// those that any row may return. The first that matches counts.
	Errors []Mapping
}

// Method is the row of one operation.
type Method struct {
	Name      string
	Privilege access.Privilege
	// Args is the request's type, Result the answer's, nil for void.
	Args, Result reflect.Type
	// Optional: the result may be unset.
	Optional bool
	// Faults that the API names for the method, besides those that any may give.
	Faults []string
	// Errors override those of the object.
	Errors []Mapping
	// Audited methods leave a line in the audit log.
	Audited bool
	// NeedsProof: the method verifies the request as it was sent, so that the
	// binding keeps that in Call.Proof. For all others it is forgotten before the
	// method runs: it may hold a password, and a call may wait for an hour.
	NeedsProof bool
	// OwnSession methods concern the caller's own session alone: any live session
	// may call them, whatever its privileges.
	OwnSession bool
	// Authority is the rule by which the method changes what principals may do or
	// how they get in. Empty: it does not, and a commit that does is refused.
	Authority string
	// Waits: a call may wait until something changes. How many such calls a
	// session may have at a time is bounded.
	Waits bool

	run func(context.Context, *Call) (any, error)
}

// NewArgs makes an empty request for the binding to fill.
func (m *Method) NewArgs() any { return reflect.New(m.Args).Interface() }

// Property is the row of one property.
type Property struct {
	Name      string
	Privilege access.Privilege
	Type      reflect.Type
	Optional  bool

	// read may give a list as an iter.Seq; whole then makes it a slice.
	read    func(context.Context, *Call) (any, error)
	whole   func(any) any
	changed func(*Call) <-chan struct{}
}

// NewMethod makes the row of a method that answers with an R; a pointer R is an
// optional result.
func NewMethod[A, R any](
	name string, privilege access.Privilege, run func(context.Context, *Call, *A) (R, error), opts ...func(*Method),
) Method {
	result := reflect.TypeFor[R]()
	m := Method{Name: name, Privilege: privilege, Args: reflect.TypeFor[A](), Result: result}
	if result.Kind() == reflect.Pointer {
		m.Optional, m.Result = true, result.Elem()
	}
	m.run = func(ctx context.Context, c *Call) (any, error) {
		r, err := run(ctx, c, c.Args.(*A))
		if err != nil {
			return nil, err
		}
		return unset(r), nil
	}
	return m.with(opts)
}

// NewVoid makes the row of a method without a result.
func NewVoid[A any](
	name string, privilege access.Privilege, run func(context.Context, *Call, *A) error, opts ...func(*Method),
) Method {
	m := Method{Name: name, Privilege: privilege, Args: reflect.TypeFor[A]()}
	m.run = func(ctx context.Context, c *Call) (any, error) { return nil, run(ctx, c, c.Args.(*A)) }
	return m.with(opts)
}

func (m Method) with(opts []func(*Method)) Method {
	for _, o := range opts {
		o(&m)
	}
	return m
}

// Faults names the faults that the API documents for the method.
func Faults(names ...string) func(*Method) {
	return func(m *Method) { m.Faults = names }
}

// Errors says what errors of the domain are if this method returns them.
func Errors(all ...Mapping) func(*Method) {
	return func(m *Method) { m.Errors = all }
}

// NeedsProof has bindings keep the request's bytes for the method.
func NeedsProof(m *Method) { m.NeedsProof = true }

// Audited has each call of the method leave a line in the audit log.
func Audited(m *Method) { m.Audited = true }

// OwnSession lets any live session call the method.
func OwnSession(m *Method) { m.OwnSession = true }

// ChangesAuthority declares that the method changes authority, by the rule.
func ChangesAuthority(rule string) func(*Method) {
	return func(m *Method) { m.Authority = rule }
}

// Waits marks a method whose calls may wait until something changes.
func Waits(m *Method) { m.Waits = true }

// NewProperty makes the row of a property; a pointer T is an optional one.
func NewProperty[T any](
	name string, privilege access.Privilege, read func(context.Context, *Call) (T, error), opts ...func(*Property),
) Property {
	typ := reflect.TypeFor[T]()
	p := Property{Name: name, Privilege: privilege, Type: typ}
	if typ.Kind() == reflect.Pointer {
		p.Optional, p.Type = true, typ.Elem()
	}
	p.read = func(ctx context.Context, c *Call) (any, error) {
		v, err := read(ctx, c)
		if err != nil {
			return nil, err
		}
		return unset(v), nil
	}
	for _, o := range opts {
		o(&p)
	}
	return p
}

// NewFixed makes the row of a property that has always the same value.
func NewFixed[T any](name string, privilege access.Privilege, value T) Property {
	return NewProperty(name, privilege, func(context.Context, *Call) (T, error) { return value, nil })
}

// streamed makes the row of a property that is a list too long to hold: bindings
// write its elements one by one.
func streamed[E any](
	name string, privilege access.Privilege, read func(context.Context, *Call) (iter.Seq[E], error),
	opts ...func(*Property),
) Property {
	p := NewProperty(name, privilege, read, opts...)
	p.Type = reflect.TypeFor[[]E]()
	p.whole = func(v any) any { return slices.AppendSeq([]E{}, v.(iter.Seq[E])) }
	return p
}

// Watched tells how to learn of changes of the property: f's channel is closed
// at the next one that the caller might see.
func Watched(f func(*Call) <-chan struct{}) func(*Property) {
	return func(p *Property) { p.changed = f }
}

// starts makes the row of a way in: a method that makes a session, answers with
// it, and is audited.
func starts[A any](name string, run func(context.Context, *Call, *A) (Result, error), opts ...func(*Method)) Method {
	m := NewMethod(name, Anonymous, run, append(opts, Audited)...)
	m.Result = reflect.TypeFor[types.UserSession]()
	return m
}

// unset turns a nil pointer into the nil that means unset, and a nil list into
// an empty one.
func unset(v any) any {
	switch rv := reflect.ValueOf(v); rv.Kind() {
	case reflect.Pointer:
		if rv.IsNil() {
			return nil
		}
	case reflect.Slice:
		if rv.IsNil() {
			return reflect.MakeSlice(rv.Type(), 0, 0).Interface()
		}
	}
	return v
}

// Ref is the reference of the type's one object.
func (o *Object) Ref() types.ManagedObjectReference {
	return types.ManagedObjectReference{Type: o.Type, Value: o.ID}
}

// check refuses a table that names a row twice.
func (o *Object) check() error {
	seen := map[string]bool{}
	for _, m := range o.Methods {
		if seen[m.Name] {
			return fmt.Errorf("%s has two rows %s", o.Type, m.Name)
		}
		if m.Waits && m.Privilege == Anonymous {
			return fmt.Errorf("%s.%s waits and needs no session that it could count for", o.Type, m.Name)
		}
		seen[m.Name] = true
	}
	for _, p := range o.Properties {
		if seen[p.Name] {
			return fmt.Errorf("%s has two rows %s", o.Type, p.Name)
		}
		seen[p.Name] = true
	}
	return nil
}
