package domain_test

import (
	"reflect"
	"testing"

	"github.com/vigate/vigate/internal/domain"
	"github.com/vigate/vigate/internal/store"
)

// TestNoManagerIsAView: who has a manager can't change what the process believes
// without a commit.
func TestNoManagerIsAView(t *testing.T) {
	view := reflect.TypeFor[store.View]()
	of := reflect.TypeFor[domain.Domain]()
	for i := range of.NumField() {
		f := of.Field(i)
		if !f.IsExported() || f.Type == reflect.TypeFor[*store.Mirror]() {
			continue
		}
		if f.Type.Implements(view) {
			t.Errorf("%s is a view", f.Name)
		}
		for j := range view.NumMethod() {
			if name := view.Method(j).Name; hasMethod(f.Type, name) {
				t.Errorf("%s has the method %s", f.Name, name)
			}
		}
	}
}

func hasMethod(t reflect.Type, name string) bool {
	_, has := t.MethodByName(name)
	return has
}
