// Package kind names the types of events as people do: by a type of the API, such as UserLoginSessionEvent, or by the
// id of an EventEx, such as vigate.account.locked. The command line and the console show these names, and take them in
// filters.
package kind

import (
	"reflect"
	"strings"

	"github.com/vmware/govmomi/vim25/types"
)

// Of returns the name of an event's type.
func Of(e types.BaseEvent) string {
	switch e := e.(type) {
	case *types.EventEx:
		return e.EventTypeId
	case *types.ExtendedEvent:
		return e.EventTypeId
	}
	return reflect.TypeOf(e).Elem().Name()
}

// ID returns what a filter of the API takes for a name, in EventFilterSpec.EventTypeId.
func ID(name string) string {
	if strings.Contains(name, ".") {
		return name
	}
	return "vim.event." + name // a type that the API defines
}
