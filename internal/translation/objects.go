package translation

import (
	"reflect"
	"slices"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/vim"
)

// Objects describes the managed types of the API for the OpenAPI document. A type has the rows of the
// types that it extends too.
func (t *Translation) Objects() []*vim.Object {
	var all []*vim.Object
	for _, m := range t.api.order {
		o := &vim.Object{Type: m.name}
		for b := m; b != nil; b = b.base {
			for i := range b.methods {
				o.Methods = append(o.Methods, t.api.method(&b.methods[i]))
			}
			for _, p := range b.properties {
				if !slices.ContainsFunc(o.Properties, func(q vim.Property) bool { return q.Name == p.name }) {
					o.Properties = append(o.Properties,
						vim.Property{Name: p.name, Type: t.api.schema.GoType(p.value), Optional: true})
				}
			}
		}
		all = append(all, o)
	}
	return all
}

func (t *table) method(r *row) vim.Method {
	m := vim.Method{Name: r.name, Optional: r.value.Optional}
	m.Args, _ = types.TypeFunc()(r.name)
	if m.Args == nil {
		m.Args = reflect.TypeFor[struct{}]()
	}
	if !r.void {
		m.Result = t.schema.GoType(r.value)
	}
	return m
}
