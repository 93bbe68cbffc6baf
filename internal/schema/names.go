package schema

import (
	_ "embed" // the names
	"reflect"
	"strings"
	"sync"

	"github.com/vmware/govmomi/vim25/types"
)

// names.txt has the names of the API's data types. The generator of package translation writes it, because
// the library finds a type by its name, but can't list the names.
//
//go:embed names.txt
var namesText string

// Names returns the names of all data objects, enumerations and lists (ArrayOfString) of the API, sorted. The
// caller must not change the slice.
var Names = sync.OnceValue(func() []string {
	var all []string
	for line := range strings.Lines(namesText) {
		if name := strings.TrimSpace(line); !strings.HasPrefix(name, "#") {
			all = append(all, name)
		}
	}
	return all
})

// Base returns the type that a struct extends.
func Base(t reflect.Type) (reflect.Type, bool) {
	if t.Kind() != reflect.Struct || t.NumField() == 0 || !t.Field(0).Anonymous ||
		t.Field(0).Type.Kind() != reflect.Struct {
		return nil, false
	}
	return t.Field(0).Type, true
}

// Subtypes returns the types that extend each type of the API, directly or not.
var Subtypes = sync.OnceValue(func() map[reflect.Type][]reflect.Type {
	all := map[reflect.Type][]reflect.Type{}
	for _, name := range Names() {
		t, _ := types.TypeFunc()(name)
		for base, ok := Base(t); ok; base, ok = Base(base) {
			all[base] = append(all[base], t)
		}
	}
	return all
})

// spelling has the names that differ from those of the library's types.
var spelling = sync.OnceValue(func() map[reflect.Type]string {
	all := map[reflect.Type]string{}
	for _, name := range Names() {
		if t, _ := types.TypeFunc()(name); t.Name() != name {
			all[t] = name
		}
	}
	return all
})

// Spelled returns the name that the API has for a data type. The library's name may begin with another
// letter: VslmDiskInfoFlag is vslmDiskInfoFlag.
func Spelled(t reflect.Type) string {
	if name, ok := spelling()[t]; ok {
		return name
	}
	return t.Name()
}
