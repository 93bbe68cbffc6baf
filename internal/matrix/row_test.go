// Package matrix holds every row of the API to what each kind of caller may do:
// the rows come from the table of operations, so that a new one is judged here
// without being named. testdata/published.txt has the privilege that the vSphere
// API's reference states for each row.
package matrix

import (
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/vectors"
	"github.com/vigate/vigate/internal/vim"
)

type reference = types.ManagedObjectReference

// row is a method or a property of a type of managed object.
type row struct {
	object    *vim.Object
	method    *vim.Method // nil: a property
	property  *vim.Property
	name      string
	privilege string
}

func (r row) String() string { return r.object.Type + "." + r.name }

// read reports whether the row is a property.
func (r row) read() bool { return r.method == nil }

// empty is a request of the row that says nothing, nil for a property.
func (r row) empty() any {
	if r.read() {
		return nil
	}
	return r.method.NewArgs()
}

// rowsOf are the rows of all that the API serves.
func rowsOf(api *vim.API) []row {
	var all []row
	for _, o := range api.Objects() {
		for i := range o.Methods {
			m := &o.Methods[i]
			all = append(all, row{object: o, method: m, name: m.Name, privilege: string(m.Privilege)})
		}
		for i := range o.Properties {
			p := &o.Properties[i]
			all = append(all, row{object: o, property: p, name: p.Name, privilege: string(p.Privilege)})
		}
	}
	return all
}

func rows(t *testing.T) []row {
	t.Helper()
	return rowsOf(vectors.NewWorld(t).API)
}
