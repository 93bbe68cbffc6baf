package schema_test

import (
	"reflect"
	"slices"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/schema"
)

func TestEveryNameIsThatOfADataType(t *testing.T) {
	names := schema.Names()
	if len(names) < 4000 || !slices.IsSorted(names) {
		t.Errorf("%d names, sorted: %v", len(names), slices.IsSorted(names))
	}
	for _, name := range names {
		of, ok := types.TypeFunc()(name)
		if !ok || of.Kind() != reflect.String && of.Kind() != reflect.Struct {
			t.Errorf("%s is no data type", name)
			continue
		}
		if of.Kind() == reflect.Struct && schema.Of(of, "xml").Request {
			t.Errorf("%s is a request", name)
		}
		if schema.Spelled(of) != name {
			t.Errorf("%s is spelled %s", name, schema.Spelled(of))
		}
	}
}

func TestSubtypesAreThoseThatExtendAType(t *testing.T) {
	view := reflect.TypeFor[types.SelectionSpec]()
	if got := schema.Subtypes()[view]; !slices.Equal(got, []reflect.Type{reflect.TypeFor[types.TraversalSpec]()}) {
		t.Errorf("%v", got)
	}
	fault := reflect.TypeFor[types.MethodFault]()
	for _, of := range []reflect.Type{reflect.TypeFor[types.RuntimeFault](), reflect.TypeFor[types.NoPermission]()} {
		if !slices.Contains(schema.Subtypes()[fault], of) {
			t.Errorf("%v is no subtype of MethodFault", of)
		}
	}
	if base, ok := schema.Base(fault); ok {
		t.Errorf("MethodFault extends %v", base)
	}
}
