package translation

import (
	_ "embed" // the table
	"fmt"
	"strings"
	"sync"

	"github.com/vigate/vigate/internal/translation/codec"
)

//go:generate go run ./generate

// table.txt is the table of the managed types of the API.
//
//go:embed table.txt
var tableText string

// managedType is a type of managed objects.
type managedType struct {
	name string
	base *managedType // nil if it extends nothing
	// properties and methods are the type's own, not those of the types that it extends.
	properties, methods []row
}

// row is a property or a method.
type row struct {
	name string
	// value is what the property has or the method returns. void is set for a method without a result.
	value codec.Shape
	void  bool
}

// property returns a property of the type or of one that it extends.
func (t *managedType) property(name string) (*row, bool) {
	for ; t != nil; t = t.base {
		for i := range t.properties {
			if t.properties[i].name == name {
				return &t.properties[i], true
			}
		}
	}
	return nil, false
}

// table is what the API has: its managed types and all methods. It is never changed.
type table struct {
	order   []*managedType
	types   map[string]*managedType
	methods map[string]*row // names of methods are unique over all types
	schema  *codec.Schema
}

// api returns the table. It is read at the first use.
var api = sync.OnceValue(func() *table {
	t, err := parseTable(tableText)
	if err != nil {
		panic(err) // a test reads the table too
	}
	return t
})

// parseTable reads a table in the form that the generator writes.
func parseTable(text string) (*table, error) {
	t := &table{types: map[string]*managedType{}, methods: map[string]*row{}, schema: codec.NewSchema()}
	bases := map[string]string{}
	var current *managedType
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		entry, below := strings.CutPrefix(line, "\t")
		first, rest, _ := strings.Cut(entry, " ")
		switch {
		case strings.HasPrefix(line, "#"):
		case !below:
			current = &managedType{name: first}
			t.types[first], bases[first] = current, rest
			t.order = append(t.order, current)
		case current == nil:
			return nil, fmt.Errorf("read table: %q belongs to no type", entry)
		default:
			if err := t.row(current, first, rest); err != nil {
				return nil, fmt.Errorf("read table: %s.%w", current.name, err)
			}
		}
	}
	for _, m := range t.order {
		for i := range m.methods {
			t.methods[m.methods[i].name] = &m.methods[i]
		}
		if base := bases[m.name]; base != "" {
			if m.base = t.types[base]; m.base == nil {
				return nil, fmt.Errorf("read table: %s extends an unknown type", m.name)
			}
		}
	}
	return t, nil
}

func (t *table) row(m *managedType, name, value string) error {
	method, called := strings.CutSuffix(name, "()")
	r := row{name: method, void: called && value == ""}
	if !r.void {
		var ok bool
		if r.value, ok = t.schema.Shape(value); !ok {
			return fmt.Errorf("%s has the unknown type %q", name, value)
		}
	}
	if called {
		m.methods = append(m.methods, r)
	} else {
		m.properties = append(m.properties, r)
	}
	return nil
}
