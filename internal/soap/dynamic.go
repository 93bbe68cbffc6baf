package soap

import (
	"bytes"
	"errors"
	"reflect"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/schema"
	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/xmltoken"
)

// claimed returns the type that the element's xsi:type names, without the prefix,
// or "".
func claimed(e *xmltoken.Token) string {
	if len(e.Attributes) == 0 {
		return ""
	}
	name := bytes.TrimSpace(e.Attribute(nsInstance, "type"))
	return string(name[bytes.LastIndexByte(name, ':')+1:])
}

// absent reports whether the element's xsi:nil says that it is not there.
func absent(e *xmltoken.Token) bool {
	if len(e.Attributes) == 0 {
		return false
	}
	v := bytes.TrimSpace(e.Attribute(nsInstance, "nil"))
	return string(v) == "true" || string(v) == "1"
}

// dynamic reads an element whose xsi:type says what it is, into an interface:
// one of the types under a base type, or, where any value may be, whatever the
// API has.
func (d *decoder) dynamic(v reflect.Value, e *xmltoken.Token) error {
	name := claimed(e)
	if v.NumMethod() == 0 {
		return d.anything(v, e, name)
	}
	t, base, ok := d.codec.plans.Under(v.Type(), name)
	switch {
	case base == nil:
		return d.invalid("an element of a type that can't be given")
	case !ok:
		return d.invalid(vim.Quote(name) + " is not a kind of " + base.Name())
	}
	p, err := d.fresh(t)
	if err != nil {
		return err
	}
	if err := d.object(p.Elem(), d.codec.plans.Of(t)); err != nil {
		return err
	}
	v.Set(p)
	return nil
}

// anything reads a value of the declared type any. The library's types hold
// data objects there as structs, not as pointers.
func (d *decoder) anything(v reflect.Value, e *xmltoken.Token, name string) error {
	if name == "" {
		return d.want("an xsi:type")
	}
	t, ok := simple[name]
	if !ok {
		if t, ok = d.codec.plans.DataType(name); !ok {
			return d.invalid("unknown type " + vim.Quote(name))
		}
	}
	p, err := d.fresh(t)
	if err != nil {
		return err
	}
	switch {
	case t == schema.Reference:
		err = d.reference(p.Elem(), e)
	case schema.IsObject(t):
		err = d.object(p.Elem(), d.codec.plans.Of(t))
	default:
		err = d.simple(p.Elem())
	}
	if err != nil {
		return err
	}
	v.Set(p.Elem())
	return nil
}

// managedObject reads the element that was begun as a reference. versionId and
// other attributes say nothing here. If there is no type, the id has to tell it.
func (d *decoder) managedObject(e *xmltoken.Token) (types.ManagedObjectReference, error) {
	ref := types.ManagedObjectReference{Type: d.codec.text(e.Attribute("", "type")), ServerGUID: string(e.Attribute("", "serverGuid"))}
	value, err := d.Text()
	if errors.Is(err, xmltoken.ErrNotText) {
		return ref, d.want("a reference")
	}
	if err != nil {
		return ref, err
	}
	ref.Value = d.codec.text(value)
	if ref.Type == "" {
		if ref.Type, err = d.types.typeOf(ref.Value); err != nil {
			return ref, err
		}
		if ref.Type == "" {
			return ref, d.want("a reference with a type, or with the id of an object that is served")
		}
	}
	return ref, d.charge(len(ref.Type) + len(ref.Value) + len(ref.ServerGUID))
}

// enumeration finds a string type of the API's.
func enumeration(name string) (reflect.Type, bool) {
	t, ok := types.TypeFunc()(name)
	return t, ok && t.Kind() == reflect.String
}

// fresh makes a value of the type, and accounts for it.
func (d *decoder) fresh(t reflect.Type) (reflect.Value, error) {
	if err := d.charge(int(t.Size())); err != nil {
		return reflect.Value{}, err
	}
	return reflect.New(t), nil
}
