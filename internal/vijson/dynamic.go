package vijson

import (
	"reflect"

	"github.com/vigate/vigate/internal/jsontoken"
	"github.com/vigate/vigate/internal/schema"
	"github.com/vigate/vigate/internal/vim"
)

// dynamic decodes an object into an interface. _typeName tells its type: a subtype of the declared base
// type or, if the API declares anyType, any data object, or a box around a value that is not an object.
func (d *decoder) dynamic(v reflect.Value) error {
	if d.Peek() != '{' {
		if v.NumMethod() == 0 {
			return d.want("an object with _typeName")
		}
		return d.want("an object")
	}
	name, err := d.typeName()
	if err != nil {
		return err
	}
	if v.NumMethod() == 0 {
		return d.anything(v, name)
	}
	t, base, ok := d.codec.plans.Under(v.Type(), name)
	switch {
	case base == nil:
		return d.invalid("a field of a type that can't be given")
	case !ok:
		return d.invalid(vim.Quote(name) + " is not a kind of " + base.Name())
	}
	p, err := d.fresh(t)
	if err != nil {
		return err
	}
	if err := d.value(p.Elem()); err != nil {
		return err
	}
	v.Set(p)
	return nil
}

// anything decodes a value whose declared type is anyType. Objects are stored there as structs, not as
// pointers, because the library does so.
func (d *decoder) anything(v reflect.Value, name string) error {
	if name == "" {
		return d.want("a _typeName")
	}
	t, primitive := boxed[name]
	if !primitive {
		var ok bool
		if t, ok = d.codec.plans.DataType(name); !ok {
			return d.invalid("unknown type " + vim.Quote(name))
		}
	}
	p, err := d.fresh(t)
	if err != nil {
		return err
	}
	if primitive || t.Kind() == reflect.String || t == schema.Reference && d.has(valueKey) {
		err = d.box(p.Elem(), name)
	} else {
		err = d.value(p.Elem())
	}
	if err != nil {
		return err
	}
	v.Set(p.Elem())
	return nil
}

// box decodes {"_typeName":…,"_value":…} around a value of v's type.
func (d *decoder) box(v reflect.Value, name string) error {
	if err := d.enter('{'); err != nil {
		return err
	}
	defer d.leave()
	var named, valued bool
	for first := true; d.More('}', first); first = false {
		key, err := d.Key()
		if err != nil {
			return d.invalid(err.Error())
		}
		switch {
		case key == typeNameKey && !named:
			named, err = true, d.named([]string{name})
		case key == valueKey && !valued:
			valued, err = true, d.value(v)
		case key == typeNameKey, key == valueKey:
			err = d.invalid("the key " + key + " is repeated")
		default:
			err = d.invalid("unknown field " + vim.Quote(key))
		}
		if err != nil {
			return err
		}
	}
	if !valued {
		return d.missing(valueKey)
	}
	return nil
}

// typeName returns the _typeName of the next object without moving the cursor, or "" if it has none.
func (d *decoder) typeName() (string, error) {
	c := d.find(typeNameKey)
	if c == nil {
		return "", nil
	}
	if c.Peek() != '"' {
		return "", d.want("a string as _typeName")
	}
	name, err := c.Text()
	if err != nil {
		return "", d.invalid(err.Error())
	}
	if name == "" {
		return "", d.invalid("an empty _typeName")
	}
	return name, nil
}

func (d *decoder) has(key string) bool { return d.find(key) != nil }

// find looks for a key in the next object without moving the cursor. It returns a cursor at the value of
// the key, or nil.
func (d *decoder) find(name string) *jsontoken.Cursor {
	c := d.Cursor
	c.SkipByte()
	for first := true; c.More('}', first); first = false {
		if key, err := c.Key(); err == nil && key == name {
			return &c
		}
		c.Skip()
	}
	return nil
}

// fresh allocates a value of the type, and charges for its memory.
func (d *decoder) fresh(t reflect.Type) (reflect.Value, error) {
	if err := d.charge(int(t.Size())); err != nil {
		return reflect.Value{}, err
	}
	return reflect.New(t), nil
}
