package codec

import "github.com/vigate/vigate/internal/vim"

// any writes a value whose declared type is anyType: an object, or a box around any other value. Either
// names its type.
func (r *request) any(name string) error {
	if r.Peek() != '{' {
		return r.want("an object with _typeName")
	}
	typ, err := r.typeName()
	switch {
	case err != nil:
		return err
	case typ == "":
		return r.want("a _typeName")
	case typ == "binary":
		typ = "base64Binary"
	}
	if typ == "ManagedObjectReference" {
		if r.find(valueKey) == nil {
			return r.reference(name, true)
		}
		// The box names the type, and the reference need not.
		return r.box(typ, func() error { return r.reference(name, true) })
	}
	if k, ok := simpleKinds[typ]; ok {
		return r.boxed(name, "xsd:"+typ, Shape{Name: typ, kind: k}, typ)
	}
	s, ok := r.schema.types.named(typ)
	switch {
	case !ok || s.of != nil && s.of.request:
		return vim.InvalidRequest("unknown type " + vim.Quote(typ))
	case s.of == nil:
		return r.boxed(name, typ, s, typ)
	case s.of.list:
		items := &s.of.members[0]
		r.path = append(r.path, valueKey)
		r.open(name, typ)
		err := r.box(typ, func() error {
			if items.kind == kindOctets {
				return r.octets(items.name)
			}
			if r.Null() {
				return nil
			}
			return r.list(items.name, items.Shape)
		})
		if err != nil {
			return err
		}
		r.path = r.path[:len(r.path)-1]
		r.close(name)
		return nil
	}
	return r.structure(name, typ, s.of)
}

// boxed writes the value in a box as an element with the type xsi.
func (r *request) boxed(name, xsi string, s Shape, typ string) error {
	r.open(name, xsi)
	if err := r.box(typ, func() error { return r.simple(s) }); err != nil {
		return err
	}
	r.close(name)
	return nil
}

// box reads {"_typeName":…,"_value":…} around a value, which write writes.
func (r *request) box(typ string, write func() error) error {
	if err := r.enter('{'); err != nil {
		return err
	}
	defer r.leave()
	var named, valued bool
	for first := true; r.More('}', first); first = false {
		key, err := r.Key()
		if err != nil {
			return vim.InvalidRequest(err.Error())
		}
		switch {
		case key == typeNameKey && !named:
			named = true
			err = r.named(&object{name: typ}, func(name string) bool {
				return name == typ || typ == "base64Binary" && name == "binary"
			})
		case key == valueKey && !valued:
			valued, err = true, write()
		case key == typeNameKey, key == valueKey:
			err = vim.InvalidRequest("the key " + key + " is repeated")
		default:
			err = vim.InvalidRequest("unknown field " + vim.Quote(key))
		}
		if err != nil {
			return err
		}
	}
	if !valued {
		return r.missing(valueKey)
	}
	return nil
}

// boxName returns the name that a box has for a type that an element names, without its prefix.
func boxName(xsi string) string {
	switch xsi {
	case "base64Binary":
		return "binary"
	case "anyURI": // clients know no box for it
		return "string"
	}
	return xsi
}
