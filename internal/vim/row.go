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

// The API's privileges that most rows need, for packages that don't import access.
const (
	Anonymous = access.SystemAnonymous // no session is needed
	View      = access.SystemView      // a session with any role
	Read      = access.SystemRead      // a session with a role that allows reading
)

// Object is a type of managed object: the table of its methods and properties.
type Object struct {
	Type string
	// ID is the moId if there is one object of the type. It is empty if objects of the type belong
	// to sessions; see API.NewInstance.
	ID         string
	Methods    []Method
	Properties []Property
	// Errors map the errors of the domain that the rows return, besides those that any row may
	// return. The first mapping that matches is used.
	Errors []Mapping
}

// Method is the row of one operation.
type Method struct {
	Name      string
	Privilege access.Privilege
	// Args is the type of the request. Result is that of the result, or nil for void.
	Args, Result reflect.Type
	// Optional is set if the result may be unset.
	Optional bool
	// Faults are the faults that the API names for the method, besides those that any method may
	// return.
	Faults []string
	// Errors override those of the object.
	Errors []Mapping
	// Audited is set if each call leaves a line in the audit log.
	Audited bool
	// NeedsProof is set if the method verifies the request as it was sent. The binding then keeps
	// its bytes in Call.Proof. For all other methods the bytes are freed before the method runs:
	// they may contain a password, and a call may wait for an hour.
	NeedsProof bool
	// OwnSession is set if the method concerns only the caller's own session. Any live session may
	// call it, whatever its privileges.
	OwnSession bool
	// Authority is the rule by which the method changes what principals may do or how they log in.
	// If it is empty, the method makes no such change, and a commit with one is refused.
	Authority string
	// Waits is set if a call may wait until something changes. The number of such calls that a
	// session may have at a time is bounded.
	Waits bool

	run    func(context.Context, *Call) (any, error)
	locale func(args any) string // returns the locale in the arguments; nil: there is none
}

// NewArgs returns an empty request, which the binding fills.
func (m *Method) NewArgs() any { return reflect.New(m.Args).Interface() }

// Property is the row of one property.
type Property struct {
	Name      string
	Privilege access.Privilege
	Type      reflect.Type
	Optional  bool

	// read may return a list as an iter.Seq. whole then converts it to a slice.
	read    func(context.Context, *Call) (any, error)
	whole   func(any) any
	changed func(*Call) <-chan struct{}
}

// NewMethod returns the row of a method with a result of the type R. If R is a pointer, the result
// is optional.
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

// NewVoid returns the row of a method without a result.
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

// Faults sets the faults that the API documents for the method.
func Faults(names ...string) func(*Method) {
	return func(m *Method) { m.Faults = names }
}

// Errors sets the mappings of errors that this method returns.
func Errors(all ...Mapping) func(*Method) {
	return func(m *Method) { m.Errors = all }
}

// NeedsProof makes bindings keep the request's bytes for the method.
func NeedsProof(m *Method) { m.NeedsProof = true }

// Audited makes each call of the method leave a line in the audit log.
func Audited(m *Method) { m.Audited = true }

// OwnSession lets any live session call the method.
func OwnSession(m *Method) { m.OwnSession = true }

// ChangesAuthority declares that the method changes authority by the rule.
func ChangesAuthority(rule string) func(*Method) {
	return func(m *Method) { m.Authority = rule }
}

// Waits marks a method whose calls may wait until something changes.
func Waits(m *Method) { m.Waits = true }

// Locale sets the function that returns the locale in a request. If a caller without a session calls
// the method, the texts of its faults are in this locale.
func Locale[A any](of func(*A) string) func(*Method) {
	return func(m *Method) { m.locale = func(args any) string { return of(args.(*A)) } }
}

// NewProperty returns the row of a property. If T is a pointer, the property is optional.
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

// NewFixed returns the row of a property that always has the same value.
func NewFixed[T any](name string, privilege access.Privilege, value T) Property {
	return NewProperty(name, privilege, func(context.Context, *Call) (T, error) { return value, nil })
}

// NewStreamed returns the row of a property that is a list too long to keep in memory. Bindings
// write its elements one by one.
func NewStreamed[E any](
	name string, privilege access.Privilege, read func(context.Context, *Call) (iter.Seq[E], error),
	opts ...func(*Property),
) Property {
	p := NewProperty(name, privilege, read, opts...)
	p.Type = reflect.TypeFor[[]E]()
	p.whole = func(v any) any { return slices.AppendSeq([]E{}, v.(iter.Seq[E])) }
	return p
}

// Watched sets the function that returns a channel for changes of the property. The channel is closed
// at the next change that the caller may see.
func Watched(f func(*Call) <-chan struct{}) func(*Property) {
	return func(p *Property) { p.changed = f }
}

// unset converts a nil pointer to the nil that means unset, and a nil list to an empty one.
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

// Ref returns the reference of the type's only object.
func (o *Object) Ref() types.ManagedObjectReference {
	return types.ManagedObjectReference{Type: o.Type, Value: o.ID}
}

// check returns an error if the table has two rows of one name, or a row that waits without a
// session.
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
