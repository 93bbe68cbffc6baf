// Package matrix tests who may use which row of the API. It calls every method and property as
// every kind of caller: without a session, with too few privileges, as an extension, as an
// impersonator, and with authority that is taken away during the call or on another server.
//
// The rows come from the operation table of the API, so a new row is tested without further work.
// testdata/published.txt has the privilege that the reference of the vSphere API states for each
// row. The package contains only tests.
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
	method    *vim.Method // nil for a property
	property  *vim.Property
	name      string
	privilege string
}

func (r row) String() string { return r.object.Type + "." + r.name }

// read reports whether the row is a property.
func (r row) read() bool { return r.method == nil }

// empty returns an empty request of the row, or nil for a property.
func (r row) empty() any {
	if r.read() {
		return nil
	}
	return r.method.NewArgs()
}

// rowsOf returns the rows of everything that the API serves.
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
