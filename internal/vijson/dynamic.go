package vijson

import (
	"reflect"

	"github.com/vigate/vigate/internal/schema"
	"github.com/vigate/vigate/internal/vim"
)

// dynamic reads an object whose _typeName says what it is, into an interface:
// one of the types under a base type, or, where any value may be, a data object
// or a box around what is none.
func (d *decoder) dynamic(v reflect.Value) error {
	if d.peek() != '{' {
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

// anything reads a value of the declared type any. The library's types hold
// data objects there as structs, not as pointers.
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

// box reads {"_typeName":…,"_value":…} around a value of v's type.
func (d *decoder) box(v reflect.Value, name string) error {
	if err := d.enter('{'); err != nil {
		return err
	}
	defer d.leave()
	var named, valued bool
	for first := true; d.more('}', first); first = false {
		key, err := d.key()
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

// typeName looks ahead for the _typeName of the object that comes; empty: it has
// none.
func (d *decoder) typeName() (string, error) {
	c := d.find(typeNameKey)
	if c == nil {
		return "", nil
	}
	if c.peek() != '"' {
		return "", d.want("a string as _typeName")
	}
	name, err := c.text()
	if err != nil {
		return "", d.invalid(err.Error())
	}
	if name == "" {
		return "", d.invalid("an empty _typeName")
	}
	return name, nil
}

func (d *decoder) has(key string) bool { return d.find(key) != nil }

// find looks ahead for a key of the object that comes, and returns a cursor on
// its value.
func (d *decoder) find(name string) *cursor {
	c := d.cursor
	c.take()
	for first := true; c.more('}', first); first = false {
		if key, err := c.key(); err == nil && key == name {
			return &c
		}
		c.skip()
	}
	return nil
}

// fresh makes a value of the type, and accounts for it.
func (d *decoder) fresh(t reflect.Type) (reflect.Value, error) {
	if err := d.charge(int(t.Size())); err != nil {
		return reflect.Value{}, err
	}
	return reflect.New(t), nil
}
