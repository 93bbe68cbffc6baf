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

// claimed returns the type that the element's xsi:type names, without its prefix, or "" if there is no
// xsi:type.
func claimed(e *xmltoken.Token) string {
	if len(e.Attributes) == 0 {
		return ""
	}
	name := bytes.TrimSpace(e.Attribute(nsInstance, "type"))
	return string(name[bytes.LastIndexByte(name, ':')+1:])
}

// absent reports whether xsi:nil marks the element as unset.
func absent(e *xmltoken.Token) bool {
	if len(e.Attributes) == 0 {
		return false
	}
	v := bytes.TrimSpace(e.Attribute(nsInstance, "nil"))
	return string(v) == "true" || string(v) == "1"
}

// dynamic decodes an element into an interface. xsi:type tells the type of the value: a subtype of the
// declared base type or, if the API declares anyType, any type of the API.
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

// anything decodes a value whose declared type is anyType. Objects are stored there as structs, not as
// pointers, because the library does so.
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

// managedObject decodes the current element as a reference. Attributes other than type and serverGuid, for
// example versionId, are ignored. If there is no type attribute, the id must tell the type.
func (d *decoder) managedObject(e *xmltoken.Token) (types.ManagedObjectReference, error) {
	ref := types.ManagedObjectReference{Type: d.codec.text(e.Attribute("", "type")),
		ServerGUID: string(e.Attribute("", "serverGuid"))}
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

// enumeration returns the string type of the API with the given name.
func enumeration(name string) (reflect.Type, bool) {
	t, ok := types.TypeFunc()(name)
	return t, ok && t.Kind() == reflect.String
}

// fresh allocates a value of the type, and charges for its memory.
func (d *decoder) fresh(t reflect.Type) (reflect.Value, error) {
	if err := d.charge(int(t.Size())); err != nil {
		return reflect.Value{}, err
	}
	return reflect.New(t), nil
}
