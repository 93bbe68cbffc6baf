package wsdl

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/vigate/vigate/internal/schema"
	"github.com/vigate/vigate/internal/vim"
)

// operation is a method of one or more managed types. The name of a method is unique in the API.
type operation struct {
	*vim.Method
	receiver string
	faults   []string // sorted
}

// operationsOf returns the operations of the objects by name, in the order of their names.
func operationsOf(objects, forwarded []*vim.Object) ([]*operation, error) {
	all := map[string]*operation{}
	for i, o := range slices.Concat(objects, forwarded) {
		if i >= len(objects) && slices.ContainsFunc(objects, func(own *vim.Object) bool { return own.Type == o.Type }) {
			continue
		}
		for i := range o.Methods {
			m := &o.Methods[i]
			op := all[m.Name]
			if op == nil {
				op = &operation{Method: m, receiver: o.Type, faults: []string{anyFault}}
				all[m.Name] = op
			} else if !same(op.Method, m) {
				return nil, fmt.Errorf("%s of %s and %s differ", m.Name, op.receiver, o.Type)
			}
			op.faults = slices.Compact(slices.Sorted(slices.Values(append(op.faults, m.Faults...))))
		}
	}
	var sorted []*operation
	for _, name := range slices.Sorted(maps.Keys(all)) {
		sorted = append(sorted, all[name])
	}
	return sorted, nil
}

// anyFault is the base of the faults that any operation can return.
const anyFault = "RuntimeFault"

// same reports whether two rows of one name describe the same messages.
func same(a, b *vim.Method) bool {
	if a.Result != b.Result {
		return false
	}
	x, y := schema.Of(a.Args, "xml").Members, schema.Of(b.Args, "xml").Members
	return slices.EqualFunc(x, y, func(x, y schema.Member) bool {
		return x.Name == y.Name && x.Field.Type == y.Field.Type
	})
}

// in reports whether the part has the messages of an operation.
func (p *part) has(o *operation) bool {
	for i := range parts {
		other := &parts[i]
		if slices.Contains(strings.Fields(other.receivers), o.receiver) {
			return other == p
		}
	}
	return p == &parts[len(parts)-1]
}

// isFault reports whether a type can be the detail of a fault.
func (c *catalogue) isFault(d *datum) bool {
	if d.of == nil || d.of.Kind() != reflect.Struct {
		return false
	}
	for ; d != nil; d = d.base {
		if d.name == "MethodFault" {
			return true
		}
	}
	return false
}
